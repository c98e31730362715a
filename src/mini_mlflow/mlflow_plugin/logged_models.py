"""MLflow's logged models: made, read, finalized, tagged and deleted, each a run of the inner tree of models.

A model that is deleted lies in that tree's trash, from where `mlflow gc` removes it for good. Of a deleted model,
MLflow wants to know when that was as the time of its last change: that is told from when it went into the trash, so
deleting is one rename.
"""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Optional

from mlflow.entities import LifecycleStage, LoggedModel, LoggedModelParameter, LoggedModelStatus, LoggedModelTag, Metric
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, INVALID_STATE, RESOURCE_DOES_NOT_EXIST
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _validate_logged_model_name, _validate_param, _validate_tag_name

from mini_mlflow.entities import RunAddress
from mini_mlflow.formats.mlflow_records import (
    METRIC,
    MODEL,
    ModelRecord,
    dump_model,
    is_record,
    parse_metric,
    parse_model,
)
from mini_mlflow.formats.times import iso_to_ms, ms_to_iso, now_ms
from mini_mlflow.mlflow_plugin.contract import StoreContract
from mini_mlflow.mlflow_plugin.inner_trees import InnerTree, id_of, models_of
from mini_mlflow.mlflow_plugin.refusals import check_told, experiment_is_deleted, in_both_words, told_as_mlflow
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest


class LoggedModelMethods(StoreContract):
    """The part of the store that knows logged models."""

    @property
    def _models(self) -> InnerTree:
        return models_of(self.root, self.settings)

    @told_as_mlflow
    def create_logged_model(
        self,
        experiment_id: str = "0",
        name: Optional[str] = None,
        source_run_id: Optional[str] = None,
        tags: Optional[List[LoggedModelTag]] = None,
        params: Optional[List[LoggedModelParameter]] = None,
        model_type: Optional[str] = None,
    ) -> LoggedModel:
        """The model, PENDING, with its tags and params: all of it or none. Raises MlflowException; nothing was made."""
        _validate_logged_model_name(name)
        experiment = self.get_experiment(experiment_id)
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            text = "Could not create model under non-active experiment with ID %s."
            raise experiment_is_deleted(experiment.experiment_id, text)
        told_params, told_tags = _check_params(params), _check_tags(tags)
        model_id, created = "m-" + uuid.uuid4().hex, now_ms()
        record = ModelRecord(
            append_to_uri_path(experiment.artifact_location, "models", model_id, "artifacts"),
            created,
            created,
            LoggedModelStatus.PENDING.to_int(),
            model_type=model_type,
            source_run_id=source_run_id,
        )
        key, value = dump_model(record)
        submission = batch_submission(params=told_params, tags={**told_tags, key: value})
        request = StartRequest(name or _generate_random_name(), start_time=ms_to_iso(created))
        self._models.create(self._models.address(int(experiment_id), model_id), request, lambda _: submission)
        return self.get_logged_model(model_id)

    @told_as_mlflow
    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """The model as it stands. Raises MlflowException (RESOURCE_DOES_NOT_EXIST) if there is none."""
        models = self._models
        address = models.find(model_id)
        view = None if address is None else models.read(address)
        if address is not None and view is not None:
            return as_told(to_model(address, view))
        deleted = models.find_deleted(model_id) if allow_deleted else None
        if deleted is not None:
            address = models.address(deleted.experiment_id, model_id)
            view = models.read(address, deleted=True)
            if view is not None:
                return as_told(to_model(address, view, iso_to_ms(deleted.deleted_at)))
        raise model_not_found(model_id)

    @told_as_mlflow
    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        """The model has that status. Raises as `get_logged_model`."""

        def decide(view: Any) -> Any:
            record = parse_model(view.tags[MODEL])
            if record is None:
                raise _invalid(model_id)
            changed = record._replace(status=LoggedModelStatus(status).to_int(), last_updated_timestamp=now_ms())
            return batch_submission(tags=dict([dump_model(changed)]))

        address = self._change_model(model_id, decide)
        if LoggedModelStatus.is_finalized(status):
            self._models.end(address)
        return self.get_logged_model(model_id)

    @told_as_mlflow
    def log_logged_model_params(self, model_id: str, params: Optional[List[LoggedModelParameter]]) -> None:
        """The model has these params too. Raises MlflowException also if one has another value; nothing was stored."""
        told = _check_params(params)

        def decide(view: Any) -> Any:
            for key, value in told.items():
                if view.params.get(key, value) != value:
                    text = (
                        "Changing param values is not allowed. Param with key='%s' was already logged with value='%s'"
                    )
                    raise MlflowException(
                        (text + " for model with ID='%s'. Attempted logging new value '%s'.")
                        % (key, view.params[key], model_id, value),
                        INVALID_PARAMETER_VALUE,
                    )
            return batch_submission(params=told)

        self._change_model(model_id, decide)

    @told_as_mlflow
    def set_logged_model_tags(self, model_id: str, tags: List[LoggedModelTag]) -> None:
        """The model has these tags, all of them or none. Raises as `get_logged_model`."""
        submission = batch_submission(tags=_check_tags(tags))
        self._change_model(model_id, lambda _: submission)

    @told_as_mlflow
    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """The model has no such tag. Raises as `get_logged_model`, also if it had none."""
        _validate_tag_name(key)

        def decide(view: Any) -> Any:
            if key not in view.tags or is_record(key):
                text = "No tag with key %r found for model with ID %r."
                raise MlflowException(text % (key, model_id), RESOURCE_DOES_NOT_EXIST)
            return batch_submission(deleted_tags=[key])

        self._change_model(model_id, decide)

    def _change_model(self, model_id: str, decide: Any) -> RunAddress:
        address = self._models.change(model_id, decide)
        if address is None:
            raise model_not_found(model_id)
        return address

    # -- deleting ----------------------------------------------------------------------------------------------

    @told_as_mlflow
    def delete_logged_model(self, model_id: str) -> None:
        """The model lies in the trash; one that is there already stays there. Raises as `get_logged_model`."""
        models = self._models
        address = models.find(model_id)
        is_there = address is not None and models.read(address) is not None and models.delete(address)
        if not is_there and models.find_deleted(model_id) is None:
            raise model_not_found(model_id)

    @told_as_mlflow
    def _get_deleted_logged_models(self, older_than: int = 0) -> List[str]:
        return [id_of(one.run_id) for one in self._models.list_deleted(older_than / 1000.0)]

    @told_as_mlflow
    def _hard_delete_logged_model(self, model_id: str) -> None:
        models = self._models
        address = models.find(model_id)
        if address is not None:
            models.delete(address)
        deleted = models.find_deleted(model_id)
        if deleted is None:
            raise model_not_found(model_id)
        models.remove([deleted])


def to_model(address: RunAddress, view: Any, deleted_ms: Optional[int] = None) -> LoggedModel:
    """The model of a run of the inner tree (a view of it, or as it was found). Raises MlflowException if it is none."""
    record = parse_model(view.tags.get(MODEL))
    model_id = id_of(address.run_id)
    if record is None:
        raise _invalid(model_id)
    return LoggedModel(
        experiment_id=str(address.experiment_id),
        model_id=model_id,
        name=view.metadata.get("name"),
        artifact_location=record.artifact_location,
        creation_timestamp=record.creation_timestamp,
        last_updated_timestamp=max(record.last_updated_timestamp, deleted_ms or 0),
        model_type=record.model_type,
        source_run_id=record.source_run_id,
        status=record.status,
        status_message=record.status_message,
        tags={key: str(value) for key, value in view.tags.items() if not is_record(key)},
        params={key: str(value) for key, value in view.params.items()},
        metrics=_metrics_of(model_id, view.tags),
    )


def as_told(model: LoggedModel) -> LoggedModel:
    """The model as MLflow's SQL store tells it: with None for no metrics, which MLflow's search cannot go through."""
    model.metrics = model.metrics or None
    return model


def _metrics_of(model_id: str, tags: Dict[str, Any]) -> List[Metric]:
    found = [parse_metric(value) for key, value in tags.items() if key.startswith(METRIC)]
    points = [one for one in found if one is not None]
    points.sort(key=lambda one: (one.key, one.timestamp, one.step, one.run_id or "", one.dataset_name or ""))
    return [
        Metric(
            one.key,
            one.value,
            one.timestamp,
            one.step,
            model_id=model_id,
            dataset_name=one.dataset_name,
            dataset_digest=one.dataset_digest,
            run_id=one.run_id,
        )
        for one in points
    ]


def _check_params(params: Optional[List[LoggedModelParameter]]) -> Dict[str, str]:
    checked = [_validate_param(param.key, param.value) for param in params or []]
    return {param.key: check_told(param.key, param.value) for param in checked}


def _check_tags(tags: Optional[List[LoggedModelTag]]) -> Dict[str, str]:
    for tag in tags or []:
        _validate_tag_name(tag.key)
        check_is_no_record(tag.key)
    # As in MLflow's file store, whose tests ask for it; its database refuses None, and its tests do not ask.
    return {tag.key: "" if tag.value is None else str(tag.value) for tag in tags or []}


def check_is_no_record(key: str) -> None:
    """Raises MlflowException if ours are the tags that begin so."""
    if is_record(key):
        raise MlflowException.invalid_parameter_value("A tag key cannot begin as the store's own do: %r" % key)


def model_not_found(model_id: str) -> MlflowException:
    text = in_both_words("Logged model with ID '%s' not found." % model_id, "Model '%s' not found" % model_id)
    return MlflowException(text, RESOURCE_DOES_NOT_EXIST)


def _invalid(model_id: str) -> MlflowException:
    return MlflowException("Model '%s' metadata is in invalid state." % model_id, INVALID_STATE)
