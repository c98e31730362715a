"""The module-level functions: log to this thread's active run without holding it."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mini_mlflow import active
from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import Experiment, resolve_settings
from mini_mlflow.reading.found_run import FoundRuns
from mini_mlflow.run import Run
from mini_mlflow.tracker import ExperimentTracker
from mini_mlflow.tracker_search import LIMIT_RESULTS

_runs_dir: Optional[str] = None
# What set_experiment chose, by tree: a number means nothing in another one.
_experiments: Dict[str, int] = {}
_fsync: Optional[str] = None


def set_runs_dir(path: Any) -> None:
    """Runs that `start_run` starts from now on, in any thread, go to the tree ``path`` (settled as absolute here).

    Without it, the environment variable ``MINI_MLFLOW_RUNS_DIR`` says where, else ``mlruns`` in the working folder.

    Raises:
        ValueError, TypeError: not a path; the tree stays what it was.
    """
    global _runs_dir
    _runs_dir = resolve_root(path)


def set_fsync(fsync: Optional[str]) -> None:
    """Runs that `start_run` starts from now on survive power cuts as ``fsync`` says: "end", "always" or "never".

    None goes back to the environment variable ``MINI_MLFLOW_FSYNC``, else "end".

    Raises:
        ValueError, TypeError: not such a level; nothing changes.
    """
    global _fsync
    resolve_settings(fsync)
    _fsync = fsync


def start_run(
    run_name: Optional[str] = None,
    experiment_id: Any = None,
    run_id: Optional[str] = None,
    version: Optional[str] = None,
    nested: bool = False,
) -> Run:
    """A run that is this thread's active run from now on. Arguments and errors as `ExperimentTracker.start_run`.

    ``experiment_id`` None is the one of `set_experiment`, else 0.
    """
    root = _root()
    number = _experiments.get(root, 0) if experiment_id is None else experiment_id
    return active.start(root, active.Wish(run_name, number, run_id, version, nested), resolve_settings(_fsync))


def chosen_root() -> str:
    """The absolute path of the tree that `start_run` starts runs in."""
    return _root()


def _root() -> str:
    return _runs_dir or resolve_root(os.environ.get("MINI_MLFLOW_RUNS_DIR") or "mlruns")


def _tracker() -> ExperimentTracker:
    """A tracker for what these functions do: in their tree, and in the experiment of `set_experiment`."""
    root = _root()
    return ExperimentTracker(experiment_id=_experiments.get(root, 0), runs_dir=root, fsync=_fsync)


def search_runs(
    filter_string: str = "",
    order_by: Any = None,
    max_results: Optional[int] = LIMIT_RESULTS,
    experiment_ids: Any = None,
    *,
    experiment_names: Any = None,
    search_all_experiments: bool = False,
) -> FoundRuns:
    """`ExperimentTracker.search_runs` in the tree of `start_run`, and the experiment of `set_experiment`."""
    return _tracker().search_runs(
        filter_string,
        order_by,
        max_results,
        experiment_ids,
        experiment_names=experiment_names,
        search_all_experiments=search_all_experiments,
    )


def active_run() -> Optional[Run]:
    """This thread's active run; None if there is none."""
    return active.current_run()


def end_run(status: str = "FINISHED") -> None:
    """This thread's active run has ended. Raises RuntimeError ("No active run") and what `Run.end` raises."""
    active.end(status)


def log_param(key: str, value: Any) -> None:
    """`Run.log_param` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_param(key, value)


def log_params(params: Mapping[str, Any]) -> None:
    """`Run.log_params` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_params(params)


def log_metric(key: str, value: Any, step: Optional[int] = None, timestamp: Optional[int] = None) -> None:
    """`Run.log_metric` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_metric(key, value, step, timestamp)


def log_metrics(metrics: Mapping[str, Any], step: Optional[int] = None, timestamp: Optional[int] = None) -> None:
    """`Run.log_metrics` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_metrics(metrics, step, timestamp)


def set_tag(key: str, value: Any) -> None:
    """`Run.set_tag` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    """`Run.set_tags` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().set_tags(tags)


def delete_tag(key: str) -> None:
    """`Run.delete_tag` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().delete_tag(key)


def log_artifact(local_path: Any, artifact_path: Optional[str] = None) -> None:
    """`Run.log_artifact` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_artifact(local_path, artifact_path)


def log_artifacts(local_dir: Any, artifact_path: Optional[str] = None) -> None:
    """`Run.log_artifacts` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_artifacts(local_dir, artifact_path)


def log_text(text: str, artifact_file: str) -> None:
    """`Run.log_text` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_text(text, artifact_file)


def log_dict(dictionary: Any, artifact_file: str) -> None:
    """`Run.log_dict` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_dict(dictionary, artifact_file)


def log_figure(figure: Any, artifact_file: str) -> None:
    """`Run.log_figure` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().log_figure(figure, artifact_file)


def flush() -> None:
    """`Run.flush` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().flush()


def rewind(step: int) -> None:
    """`Run.rewind` on this thread's active run. Raises RuntimeError ("No active run") and what that raises."""
    active.require_run().rewind(step)


# -- experiments and the trash -------------------------------------------------------------------------------------


def set_experiment(name: Optional[str] = None, experiment_id: Any = None) -> Experiment:
    """Runs that `start_run` starts from now on, in any thread and in children forked later, go to this experiment.

    It holds for the tree of the moment: after `set_runs_dir` that tree's own choice holds, else experiment 0, and
    this one again once its tree is back. Arguments and errors as `ExperimentTracker.set_experiment`.
    """
    tracker = _tracker()
    experiment = tracker.set_experiment(name, experiment_id)
    _experiments[tracker.runs_dir] = experiment.experiment_id
    return experiment


def create_experiment(name: str, tags: Optional[Mapping[str, Any]] = None) -> int:
    """The id of a new experiment. Arguments and errors as `ExperimentTracker.create_experiment`."""
    return _tracker().create_experiment(name, tags)


def get_experiment(experiment_id: Any) -> Experiment:
    """The experiment of that id. Raises as `ExperimentTracker.get_experiment`."""
    return _tracker().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Optional[Experiment]:
    """The experiment of that name; None if there is none."""
    return _tracker().get_experiment_by_name(name)


def search_experiments(
    filter_string: str = "",
    order_by: Optional[Sequence[str]] = None,
    max_results: Optional[int] = None,
    *,
    lifecycle_stage: str = "active",
) -> List[Experiment]:
    """The experiments that pass the filter. Arguments and errors as `ExperimentTracker.search_experiments`."""
    return _tracker().search_experiments(filter_string, order_by, max_results, lifecycle_stage=lifecycle_stage)


def rename_experiment(experiment_id: Any, new_name: str) -> None:
    """The experiment has that name. As `ExperimentTracker.rename_experiment`."""
    _tracker().rename_experiment(experiment_id, new_name)


def set_experiment_tag(experiment_id: Any, key: str, value: Any) -> None:
    """The experiment has that tag. As `ExperimentTracker.set_experiment_tag`."""
    _tracker().set_experiment_tag(experiment_id, key, value)


def set_experiment_tags(experiment_id: Any, tags: Mapping[str, Any]) -> None:
    """The experiment has these tags. As `ExperimentTracker.set_experiment_tags`."""
    _tracker().set_experiment_tags(experiment_id, tags)


def delete_experiment_tag(experiment_id: Any, key: str) -> None:
    """The experiment has no such tag. As `ExperimentTracker.delete_experiment_tag`."""
    _tracker().delete_experiment_tag(experiment_id, key)


def delete_experiment(experiment_id: Any) -> None:
    """The experiment is deleted, with its runs. As `ExperimentTracker.delete_experiment`."""
    _tracker().delete_experiment(experiment_id)


def restore_experiment(experiment_id: Any) -> None:
    """The experiment is back, with its runs. As `ExperimentTracker.restore_experiment`."""
    _tracker().restore_experiment(experiment_id)


def delete_run(run_id: str, experiment_id: Any = None) -> None:
    """The run is in the trash. As `ExperimentTracker.delete_run`, in the experiment of `set_experiment`, else 0."""
    _tracker().delete_run(run_id, experiment_id)


def restore_run(run_id: str, experiment_id: Any = None) -> None:
    """The run is back. As `ExperimentTracker.restore_run`, in the experiment of `set_experiment`, else 0."""
    _tracker().restore_run(run_id, experiment_id)
