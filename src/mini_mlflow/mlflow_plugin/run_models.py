"""What runs have to do with logged models: those that they made, and the metrics that are a model's as well.

A metric that names a model is stored twice, as MLflow asks for both: first with each model, then with the run, each in
one commit, and all under the run's lock once nothing speaks against the run's. A kill in between leaves it with models
alone, and so does a disk that fails the run's commit; the call has not returned then, or raised. Logging it again is
harmless: a point of a model is a tag that its own bytes name, and the run has it once.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from mlflow.entities import LoggedModelOutput, Metric

from mini_mlflow.formats.mlflow_records import ModelMetric, ModelOutput, dump_metric, dump_output
from mini_mlflow.mlflow_plugin.logged_models import LoggedModelMethods, model_not_found
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.writing.operations import batch_submission


class RunModelMethods(LoggedModelMethods):
    """The part of the store that ties runs to logged models."""

    @told_as_mlflow
    def log_outputs(self, run_id: str, models: List[LoggedModelOutput]) -> None:
        """The run has made these models, on disk, in one commit; of one model, the first step counts.

        Raises:
            MlflowException: none of it is.
        """
        outputs = [ModelOutput(model.model_id, int(model.step)) for model in models or []]
        self.record(run_id, dict(map(dump_output, reversed(outputs))))

    def _log_model_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Each model that the metrics name has its points, those of one model in one commit; deleted ones have none.

        Raises:
            MlflowException: there is no such model; those before it have their points, and the run has none.
        """
        records: Dict[str, Dict[str, Any]] = {}
        for metric in metrics:
            point = ModelMetric(
                metric.key,
                float(metric.value),
                int(metric.timestamp),
                int(metric.step),
                run_id,
                metric.dataset_name,
                metric.dataset_digest,
            )
            records.setdefault(str(metric.model_id), {}).update([dump_metric(point)])
        for model_id, told in records.items():
            # The same point again is the same tag with the same value.
            is_stored = self._models.add(model_id, batch_submission(tags=told))
            # With a model that was deleted meanwhile, whoever evaluates it has the points with the run.
            if not is_stored and self._models.find_deleted(model_id) is None:
                raise model_not_found(model_id)
