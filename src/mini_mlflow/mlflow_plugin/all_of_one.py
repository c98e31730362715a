"""All metrics, params or tags of a run: asked for by programs that know MLflow's file store, which alone has these."""

from __future__ import annotations

from typing import List

from mlflow.entities import ExperimentTag, Metric, Param, RunTag

from mini_mlflow.mlflow_plugin.contract import StoreContract


class AllOfOne(StoreContract):
    """What `get_run` and `get_experiment` tell, piece by piece; they raise as those do."""

    def get_all_metrics(self, run_uuid: str) -> List[Metric]:
        """The latest point of each metric, deleted runs' too."""
        return list(self.get_run(run_uuid).data._metric_objs)

    def get_all_params(self, run_uuid: str) -> List[Param]:
        """The params."""
        return [Param(key, value) for key, value in self.get_run(run_uuid).data.params.items()]

    def get_all_tags(self, run_uuid: str) -> List[RunTag]:
        """The tags that MLflow shows, ``mlflow.runName`` among them."""
        return [RunTag(key, value) for key, value in self.get_run(run_uuid).data.tags.items()]

    def get_all_experiment_tags(self, exp_id: str) -> List[ExperimentTag]:
        """The experiment's tags."""
        return [ExperimentTag(key, value) for key, value in self.get_experiment(exp_id).tags.items()]
