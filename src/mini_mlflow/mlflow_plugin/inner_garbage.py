"""An experiment that is removed for good takes its logged models and traces with it."""

from __future__ import annotations

from typing import Any

from mini_mlflow.entities import ACTIVE
from mini_mlflow.mlflow_plugin.garbage import GarbageMethods
from mini_mlflow.mlflow_plugin.inner_trees import models_of, traces_of
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow


class InnerGarbageMethods(GarbageMethods):
    """What ``mlflow gc`` asks of a store, with what stands in the trees within the tree."""

    @told_as_mlflow
    def _hard_delete_experiment(self, experiment_id: Any) -> None:
        """The experiment, which is deleted, is gone for good, with its runs, logged models and traces."""
        experiment = self.find_experiment(experiment_id)
        if experiment.lifecycle_stage != ACTIVE:
            # First: should this be cut short, the experiment is still there to be removed again.
            for tree in (models_of(self.root, self.settings), traces_of(self.root, self.settings)):
                tree.empty(experiment.experiment_id)
        super()._hard_delete_experiment(experiment_id)
