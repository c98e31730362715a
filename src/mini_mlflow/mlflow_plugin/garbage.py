"""What ``mlflow gc`` asks of a store: which runs have been deleted long enough, and to remove them for good."""

from __future__ import annotations

from typing import Any, List

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE

from mini_mlflow.entities import ACTIVE
from mini_mlflow.mlflow_plugin.experiments import ExperimentMethods
from mini_mlflow.mlflow_plugin.refusals import experiment_not_found, run_not_found, told_as_mlflow
from mini_mlflow.mlflow_plugin.run_handles import RunHandles
from mini_mlflow.reading.trash import find_deleted, has_lain, list_deleted
from mini_mlflow.writing import trash
from mini_mlflow.writing.experiment_trash import remove_experiments


class GarbageMethods(ExperimentMethods):
    """Removing for good. Not on MLflow's AbstractStore: its command line looks whether they are there."""

    handles: RunHandles

    @told_as_mlflow
    def _get_deleted_runs(self, older_than: int = 0) -> List[str]:
        """The ids of the runs that have been deleted for ``older_than`` milliseconds."""
        seconds = older_than / 1000.0
        return [one.run_id for one in list_deleted(self.root) if has_lain(self.root, one, seconds)]

    @told_as_mlflow
    def _hard_delete_run(self, run_id: str) -> None:
        """The run is gone for good, whether it was in the trash or not."""
        standing = self.handles.find(run_id)
        if not standing.is_deleted:
            trash.delete(standing.address, self.settings)
        deleted = find_deleted(standing.address)
        if deleted is None:
            raise run_not_found(run_id)
        trash.gc(self.root, [deleted], self.settings)
        self.handles.forget(run_id)

    @told_as_mlflow
    def _hard_delete_experiment(self, experiment_id: Any) -> None:
        """The experiment, which is deleted, is gone for good, with the runs of it that are left."""
        experiment = self.find_experiment(experiment_id)
        if experiment.lifecycle_stage == ACTIVE:
            raise experiment_not_found(experiment_id)
        number = experiment.experiment_id
        trash.gc(self.root, list_deleted(self.root, number), self.settings)
        if number not in remove_experiments(self.root, [experiment], self.settings):
            raise MlflowException("Experiment %d was changed meanwhile, and is not removed" % number, INVALID_STATE)
