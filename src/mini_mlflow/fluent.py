"""The module-level functions: log to this thread's active run without holding it."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional

from mini_mlflow import active
from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import resolve_settings
from mini_mlflow.run import Run

_runs_dir: Optional[str] = None
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
    experiment_id: Any = 0,
    run_id: Optional[str] = None,
    version: Optional[str] = None,
    nested: bool = False,
) -> Run:
    """A run that is this thread's active run from now on. Arguments and errors as `ExperimentTracker.start_run`."""
    root = _runs_dir or resolve_root(os.environ.get("MINI_MLFLOW_RUNS_DIR") or "mlruns")
    wish = active.Wish(run_name, experiment_id, run_id, version, nested)
    return active.start(root, wish, resolve_settings(_fsync))


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
