"""`ExperimentTracker`: one tree and one experiment, for starting runs and for reading what was logged."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Dict, List, Optional, Tuple, Type

from mini_mlflow import active, run_stack
from mini_mlflow.disk.keys import check_experiment_id, check_run_id, check_text
from mini_mlflow.disk.layout import RunPaths, resolve_root
from mini_mlflow.entities import Point, RunAddress, Settings, resolve_settings
from mini_mlflow.errors import InvalidTypeError, show
from mini_mlflow.reading.experiments import is_deleted
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_view import read_run
from mini_mlflow.reading.search import list_run_metadata
from mini_mlflow.run import Run
from mini_mlflow.tracker_amending import AmendingMethods
from mini_mlflow.tracker_artifacts import ArtifactReadingMethods
from mini_mlflow.tracker_experiment_changes import ExperimentChangingMethods
from mini_mlflow.tracker_experiments import ExperimentMethods
from mini_mlflow.tracker_search import SearchMethods
from mini_mlflow.tracker_trash import TrashMethods
from mini_mlflow.writing.run_state import not_found


class ExperimentTracker(
    SearchMethods, ExperimentMethods, ExperimentChangingMethods, TrashMethods, AmendingMethods, ArtifactReadingMethods
):
    """Starts runs in one tree and reads them back. Safe to share between threads; pickles.

    ``with tracker as run`` starts a run and ends it, again and again, from many threads at once: a tracker keeps no
    run of its own. Reading never locks and never writes, and works while others log.

    Args:
        run_name: the name of runs started without one.
        experiment_id: an int >= 0, or its decimal str: the experiment of calls that name none.
        runs_dir: the tree. Its absolute path is settled here; it is made when the first run is.
        fsync, lock_timeout_s: as for `Run`.

    Raises:
        ValueError, TypeError: a bad argument.
    """

    def __init__(
        self,
        run_name: Optional[str] = None,
        experiment_id: Any = 0,
        runs_dir: Any = "mlruns",
        *,
        fsync: Optional[str] = None,
        lock_timeout_s: Optional[float] = None,
    ) -> None:
        self.run_name = check_text(run_name, "run_name")
        self.experiment_id = check_experiment_id(experiment_id)
        self.runs_dir = resolve_root(runs_dir)
        self._settings = resolve_settings(fsync, lock_timeout_s)

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (self.run_name, self.experiment_id, self.runs_dir, tuple(self._settings))

    def __repr__(self) -> str:
        return "ExperimentTracker(run_name=%r, experiment_id=%d, runs_dir=%r)" % (
            self.run_name,
            self.experiment_id,
            self.runs_dir,
        )

    # -- runs of this thread -----------------------------------------------------------------------------------

    def start_run(
        self,
        run_name: Optional[str] = None,
        experiment_id: Any = None,
        run_id: Optional[str] = None,
        version: Optional[str] = None,
        nested: bool = False,
    ) -> Run:
        """A run that is this thread's active run from now on.

        Args:
            run_name, experiment_id: None takes the tracker's.
            run_id: None draws one. The id of a run that exists attaches to it, and resumes it if it has ended:
                status RUNNING again, the start time kept.
            version: such as ``"v1.0"``.
            nested: with True, start it although a run is active; that one is recorded as ``parent_run_id``.

        Raises:
            RuntimeError: "already an active run" in this thread, and not nested.
            ValueError, TypeError: a bad argument; nothing was made.
            OSError: the tree cannot be written, or LockTimeout; no run was made, none became active.
        """
        return self._start(active.Wish(run_name, experiment_id, run_id, version, nested), opened_by=None)

    def _start(self, wish: active.Wish, opened_by: Any) -> Run:
        complete = wish._replace(
            run_name=wish.run_name if wish.run_name is not None else self.run_name,
            experiment_id=wish.experiment_id if wish.experiment_id is not None else self.experiment_id,
        )
        return active.start(self.runs_dir, complete, self._settings, opened_by)

    def active_run(self) -> Optional[Run]:
        """This thread's active run, whoever started it; None if there is none."""
        return active.current_run()

    def end_run(self, status: str = "FINISHED") -> None:
        """This thread's active run has ended. Raises RuntimeError ("No active run") and what `Run.end` raises."""
        active.end(status)

    def __enter__(self) -> Run:
        return self._start(active.Wish(experiment_id=None), opened_by=self)

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """The run of this block has ended, FAILED if an exception leaves it; one ended inside is left alone."""
        run = run_stack.pop_opened_by(self)
        if run is not None:
            run.__exit__(exc_type, exc, traceback)

    # -- reading -----------------------------------------------------------------------------------------------

    def list_runs(self, experiment_id: Any = None) -> List[str]:
        """The ids of the experiment's runs, newest start first; [] if there is no such experiment.

        Runs that cannot be read are left out, with a DamagedFileWarning that names the file.
        """
        return [run_id for run_id, _ in list_run_metadata(self.runs_dir, self._experiment(experiment_id))]

    def get_run(self, run_id: str, experiment_id: Any = None) -> Dict[str, Any]:
        """``{"metadata": {...}, "params": {...}, "metrics": {...}, "tags": {...}}`` of the run as it stands.

        ``metadata`` holds all of ``meta.yaml``, other writers' keys too; its "status" is CRASHED where the run says
        RUNNING but its owner is dead, and UNKNOWN where the owner is on another host and cannot be seen. ``metrics``
        holds the last visible value of each. Documents that cannot be read are left out, with a DamagedFileWarning.

        Raises:
            RunNotFoundError: (a FileNotFoundError and a LookupError) there is no such run.
            ValueError, TypeError: a bad id; or the run's ``meta.yaml`` cannot be read (DamagedFileError).
        """
        paths = self._paths(run_id, experiment_id)
        try:
            run = read_run(paths)
        except FileNotFoundError:
            raise not_found(paths.address) from None
        return {"metadata": run.metadata, "params": run.params, "metrics": run.metrics, "tags": run.tags}

    def get_run_by_version(self, run_name: str, version: str, experiment_id: Any = None) -> Optional[Dict[str, Any]]:
        """The newest run of that name and version, as `get_run` gives it; None if there is none."""
        return self._newest(experiment_id, {"name": run_name, "version": version})

    def get_latest_version(self, run_name: str, experiment_id: Any = None) -> Optional[Dict[str, Any]]:
        """The newest run of that name, of whatever version, as `get_run` gives it; None if there is none."""
        return self._newest(experiment_id, {"name": run_name})

    def _newest(self, experiment_id: Any, wanted: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        number = self._experiment(experiment_id)
        for run_id, metadata in list_run_metadata(self.runs_dir, number):
            if all(metadata.get(field) == value for field, value in wanted.items()):
                try:
                    return self.get_run(run_id, number)
                except (FileNotFoundError, ValueError):
                    # Deleted or damaged since it was listed: the next newest is the answer.
                    continue
        return None

    def get_metric_history(
        self, run_id: str, key: str, experiment_id: Any = None, *, hidden: bool = False
    ) -> List[Point]:
        """All points of the metric as ``Point(step, value, timestamp)``, in the order in which they were logged.

        The timestamp is in milliseconds since the epoch. [] if the run has no such metric (yet). Points that cannot
        be read are left out, with a DamagedFileWarning; so are those that a `Run.rewind` hides, unless ``hidden``.

        Raises:
            RunNotFoundError, ValueError, TypeError: as `get_run`.
        """
        paths = self._paths(run_id, experiment_id)
        if not isinstance(key, str):
            raise InvalidTypeError("metric key must be a str, not %s: %s" % (type(key).__name__, show(key)))
        try:
            history = read_history(paths, key)
        except FileNotFoundError:
            raise not_found(paths.address) from None
        return history.stored if hidden else history.shown

    def _experiment(self, experiment_id: Any) -> int:
        return self.experiment_id if experiment_id is None else check_experiment_id(experiment_id)

    def _paths(self, run_id: Any, experiment_id: Any) -> RunPaths:
        address = RunAddress(self.runs_dir, self._experiment(experiment_id), check_run_id(run_id))
        if is_deleted(*address[:2]):
            # Its runs are deleted with it, also those that do not lie in the trash yet.
            raise not_found(address)
        return RunPaths.of(address)


def _rebuild(
    run_name: Optional[str], experiment_id: int, runs_dir: str, settings: Tuple[Any, ...]
) -> ExperimentTracker:
    fsync, lock_timeout_s = Settings(*settings)
    return ExperimentTracker(run_name, experiment_id, runs_dir, fsync=fsync, lock_timeout_s=lock_timeout_s)
