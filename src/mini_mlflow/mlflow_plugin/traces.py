"""MLflow's traces: what is known of each is a run of the inner tree of traces; its spans are an artifact.

The spans of a trace stand in ``traces.json`` at its artifact location, which the client writes once the trace is
stored, as it does for any store without a table of spans. A trace without that file is still whole here.

Storing a trace again brings its fields, metadata, tags and assessments up to date, and keeps what the new one does
not name, as MLflow's SQL store does. So a client that was told of an error may ask again.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from mlflow.entities import LifecycleStage, Trace, TraceInfo
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_state import TraceState
from mlflow.exceptions import MlflowException, MlflowTraceDataException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.tracing.constant import TraceMetadataKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _validate_experiment_id, _validate_trace_tag

from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import InvalidKeyError, RunDeletedError
from mini_mlflow.formats.mlflow_records import TRACE, TraceRecord, dump_trace, is_record, parse_trace
from mini_mlflow.formats.times import LIMIT_MS, ms_to_iso
from mini_mlflow.mlflow_plugin.assessment_records import assessments_of, dump_new
from mini_mlflow.mlflow_plugin.contract import StoreContract
from mini_mlflow.mlflow_plugin.inner_trees import InnerTree, id_of, numbers_of, traces_of
from mini_mlflow.mlflow_plugin.logged_models import check_is_no_record
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.trace_spans import load_trace
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest

#: How MLflow marks a trace that a client has stored as a whole; before 3.17 it does not.
_FINALIZED_KEY = getattr(TraceMetadataKey, "TRACE_INFO_FINALIZED", None)
_FINALIZED = {} if _FINALIZED_KEY is None else {_FINALIZED_KEY: "true"}


class TraceMethods(StoreContract):
    """The part of the store that knows traces."""

    @property
    def _traces(self) -> InnerTree:
        return traces_of(self.root, self.settings)

    @told_as_mlflow
    def start_trace(self, trace_info: TraceInfo) -> TraceInfo:
        """The trace is stored: all that ``trace_info`` says of it, or nothing. Returns it as it stands.

        Raises:
            MlflowException: its experiment does not exist or is deleted, or its id cannot be stored.
        """
        return self._store_trace(trace_info, _FINALIZED)

    def _store_trace(self, trace_info: TraceInfo, more_metadata: Mapping[str, str]) -> TraceInfo:
        if trace_info.experiment_id is None:
            # Else it would stand for the default one.
            raise MlflowException.invalid_parameter_value("A trace must say which experiment it belongs to")
        _validate_experiment_id(trace_info.experiment_id)
        experiment = self.get_experiment(trace_info.experiment_id)
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            text = "The experiment %s must be in the 'active' state. Current state is %s."
            raise MlflowException(
                text % (trace_info.experiment_id, experiment.lifecycle_stage), INVALID_PARAMETER_VALUE
            )
        trace_id = trace_info.trace_id
        tags = {str(key): str(value) for key, value in (trace_info.tags or {}).items() if not is_record(str(key))}
        tags[MLFLOW_ARTIFACT_LOCATION] = append_to_uri_path(
            experiment.artifact_location, "traces", trace_id, "artifacts"
        )
        metadata = {str(key): str(value) for key, value in (trace_info.trace_metadata or {}).items()}
        metadata.update(more_metadata)
        records = dict(dump_new(one, trace_id) for one in trace_info.assessments or [])

        def decide(view: Any) -> Any:
            record = _record_of(trace_info, parse_trace(view.tags.get(TRACE)))
            return batch_submission(params=metadata, tags={**tags, **records, **dict([dump_trace(record)])})

        address = self._create_trace(trace_info, decide)
        view = self._traces.read(address)
        if view is None:
            raise trace_not_found(trace_id)
        return to_trace_info(address, view)

    def _create_trace(self, trace_info: TraceInfo, decide: Any) -> RunAddress:
        traces, trace_id = self._traces, trace_info.trace_id
        try:
            found = traces.find(trace_id)
            # What one that was killed has left elsewhere is no trace.
            is_known = found is not None and traces.read(found) is not None
            address = found if found and is_known else traces.address(int(trace_info.experiment_id), trace_id)
        except InvalidKeyError as error:
            raise MlflowException.invalid_parameter_value(
                "a trace cannot have the id %r: %s" % (trace_id, error)
            ) from None
        request = StartRequest(start_time=ms_to_iso(min(max(trace_info.request_time, 0), LIMIT_MS)))
        try:
            traces.create(address, request, decide)
        except RunDeletedError:
            # One that is being deleted lies in the trash for a moment, or for good if that was killed.
            traces.remove([one for one in traces.list_deleted() if one.run_id == address.run_id])
            traces.create(address, request, decide)
        traces.end(address)
        return address

    @told_as_mlflow
    def get_trace_info(self, trace_id: str) -> TraceInfo:
        """What is known of the trace. Raises MlflowException (RESOURCE_DOES_NOT_EXIST) if there is none."""
        traces = self._traces
        address = traces.find(trace_id)
        view = None if address is None else traces.read(address)
        if address is None or view is None:
            raise trace_not_found(trace_id)
        return to_trace_info(address, view)

    @told_as_mlflow
    def batch_get_trace_infos(
        self, trace_ids: List[str], location: Optional[str] = None, experiment_ids: Optional[List[str]] = None
    ) -> List[TraceInfo]:
        """What is known of those traces that there are (in the experiments, if given), in the order of the ids."""
        traces, found = self._traces, []
        numbers = None if experiment_ids is None else set(numbers_of(experiment_ids))
        for trace_id in dict.fromkeys(trace_ids):
            address = traces.find(trace_id)
            if address is not None and (numbers is None or address.experiment_id in numbers):
                view = traces.read(address)
                if view is not None:
                    found.append(to_trace_info(address, view))
        return found

    def get_trace(self, trace_id: str, *, allow_partial: bool = False) -> Trace:
        """The trace with its spans, from its artifact.

        Args:
            allow_partial: also if some of them, or all, are not there.

        Raises:
            MlflowException: there is no such trace, or its spans are not all there; what MLflow raises for an artifact
                that is missing or damaged.
        """
        found = self.batch_get_trace_infos([trace_id])
        if not found:
            # In other words than `get_trace_info`, as in MLflow.
            raise MlflowException("Trace with ID %s is not found." % trace_id, RESOURCE_DOES_NOT_EXIST)
        trace = load_trace(found[0], allow_partial)
        if trace is None:
            text = "Trace with ID %s is not fully exported yet, please try again later."
            raise MlflowException(text % trace_id, RESOURCE_DOES_NOT_EXIST)
        return trace

    def batch_get_traces(
        self, trace_ids: List[str], location: Optional[str] = None, experiment_ids: Optional[List[str]] = None
    ) -> List[Trace]:
        """Those of the traces that there are and that have all their spans, in the order of the ids."""
        found = []
        for info in self.batch_get_trace_infos(trace_ids, location, experiment_ids):
            try:
                found.append(load_trace(info, allow_partial=False))
            except MlflowTraceDataException:
                continue
        return [trace for trace in found if trace is not None]

    # -- changing ----------------------------------------------------------------------------------------------

    @told_as_mlflow
    def set_trace_tag(self, trace_id: str, key: str, value: str) -> None:
        """The trace has this tag. Raises as `get_trace_info`."""
        key, value = _validate_trace_tag(key, value)
        check_is_no_record(key)
        submission = batch_submission(tags={key: str(value)})
        self._change_trace(trace_id, lambda _: submission)

    @told_as_mlflow
    def delete_trace_tag(self, trace_id: str, key: str) -> None:
        """The trace has no such tag. Raises as `get_trace_info`, also if it had none."""

        def decide(view: Any) -> Any:
            if key not in view.tags or is_record(key):
                text = "No trace tag with key '%s' for trace with ID '%s'"
                raise MlflowException(text % (key, trace_id), RESOURCE_DOES_NOT_EXIST)
            return batch_submission(deleted_tags=[key])

        self._change_trace(trace_id, decide)

    def _change_trace(self, trace_id: str, decide: Any) -> None:
        if self._traces.change(trace_id, decide) is None:
            raise trace_not_found(trace_id)


def _record_of(info: TraceInfo, before: Optional[TraceRecord]) -> TraceRecord:
    record = TraceRecord(
        info.trace_id,
        info.request_time,
        info.state.value,
        info.execution_duration,
        info.request_preview,
        info.response_preview,
        info.client_request_id,
    )
    if before is None:
        return record
    previews = ("request_preview", "response_preview")
    return record._replace(**{name: getattr(before, name) for name in previews if getattr(record, name) is None})


def to_trace_info(address: RunAddress, view: Any) -> TraceInfo:
    """What is known of the trace of a run of the inner tree (a view of it, or as it was found)."""
    record = parse_trace(view.tags.get(TRACE))
    if record is None:
        raise trace_not_found(id_of(address.run_id))
    return TraceInfo(
        trace_id=record.trace_id,
        trace_location=TraceLocation.from_experiment_id(str(address.experiment_id)),
        request_time=record.request_time,
        state=TraceState(record.state),
        request_preview=record.request_preview,
        response_preview=record.response_preview,
        client_request_id=record.client_request_id,
        execution_duration=record.execution_duration,
        trace_metadata={key: str(value) for key, value in view.params.items()},
        tags={key: str(value) for key, value in view.tags.items() if not is_record(key)},
        assessments=assessments_of(record.trace_id, view.tags),
    )


def trace_not_found(trace_id: str) -> MlflowException:
    return MlflowException("Trace with ID '%s' not found." % trace_id, RESOURCE_DOES_NOT_EXIST)
