"""The part of a tracker that deletes runs, brings them back, and removes them for good."""

from __future__ import annotations

from typing import Any, List

from mini_mlflow.collecting import collect, find_due
from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.entities import DeletedRun, RunAddress, Settings
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show
from mini_mlflow.reading.trash import list_deleted
from mini_mlflow.writing import trash


class TrashMethods:
    """What `ExperimentTracker` does about deleted runs."""

    runs_dir: str
    experiment_id: int
    _settings: Settings

    def delete_run(self, run_id: str, experiment_id: Any = None) -> None:
        """The run is in the trash, whole: listed and read no more, until `restore_run` brings it back.

        Whoever has it open, in whatever thread or process, is told at the next call (RunDeletedError) and stores
        nothing. A run that is active in this thread does not stand in the way of the next `start_run`. The runs
        that were nested in it stay.

        Raises:
            RunNotFoundError: there is no such run.
            RunExistsError: another run of that id lies in the trash already.
            ValueError, TypeError: no run id or experiment id.
            OSError: the disk refused, or LockTimeout; the run is where it was.
        """
        trash.delete(self._trash_address(run_id, experiment_id), self._settings)

    def restore_run(self, run_id: str, experiment_id: Any = None) -> None:
        """The run is back from the trash, as it was; who had it open logs to it again.

        Raises:
            RunNotFoundError: it is not in the trash.
            RunExistsError: a run of that id stands in the experiment.
            ExperimentDeletedError: its experiment is deleted; `restore_experiment` brings that back, with all its runs.
            ValueError, TypeError: no run id or experiment id.
            OSError: the disk refused, or LockTimeout; the run lies in the trash.
        """
        trash.restore(self._trash_address(run_id, experiment_id), self._settings)

    def list_deleted_runs(self, experiment_id: Any = None) -> List[DeletedRun]:
        """The runs that are deleted, the one deleted last first; of all experiments if none is named."""
        return list_deleted(self.runs_dir, None if experiment_id is None else check_experiment_id(experiment_id))

    def gc(self, older_than_s: float = 0.0, dry_run: bool = False, experiment_id: Any = None) -> List[str]:
        """Runs that have lain in the trash for ``older_than_s`` seconds are gone for good, the oldest deletion first.

        So are experiments that have been deleted for so long, once none of their runs is left; and deleted models and
        traces of MLflow's.

        Args:
            older_than_s: seconds since the deletion, 0 or more.
            dry_run: nothing is removed; the runs that would be are returned.
            experiment_id: None: of all experiments.

        Returns:
            The ids of the runs that were removed.

        Raises:
            ValueError, TypeError: a bad argument.
            OSError: the disk refused, or LockTimeout; runs that were not removed by then are in the trash. What the
                system does not let go of a removed run (a missing permission) is left to the next gc instead.
        """
        seconds = _check_seconds(older_than_s)
        chosen = None if experiment_id is None else [check_experiment_id(experiment_id)]
        if dry_run:
            return [one.run_id for one in find_due(self.runs_dir, seconds, chosen).runs]
        return collect(self.runs_dir, seconds, self._settings, chosen).runs

    def _trash_address(self, run_id: Any, experiment_id: Any) -> RunAddress:
        number = self.experiment_id if experiment_id is None else check_experiment_id(experiment_id)
        return RunAddress(self.runs_dir, number, check_run_id(run_id))


def _check_seconds(seconds: Any) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTypeError("older_than_s must be a number of seconds, not %s" % show(seconds))
    if not 0.0 <= seconds < float("inf"):
        raise InvalidValueError("older_than_s must be a finite number of seconds, 0 or more, not %s" % show(seconds))
    return float(seconds)
