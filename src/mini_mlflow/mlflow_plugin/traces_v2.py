"""Traces as MLflow 2 stored them, in two calls: at their start, and at their end. Its clients still ask servers so."""

from __future__ import annotations

from typing import Any, Dict

from mlflow.entities.trace_info import TraceInfo
from mlflow.entities.trace_info_v2 import TraceInfoV2
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_state import TraceState
from mlflow.entities.trace_status import TraceStatus
from mlflow.exceptions import MlflowException
from mlflow.tracing.utils import generate_request_id_v2

from mini_mlflow.formats.mlflow_records import TRACE, dump_trace, is_record, parse_trace
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.traces import TraceMethods, trace_not_found
from mini_mlflow.writing.operations import batch_submission


class TraceMethodsV2(TraceMethods):
    """The part of the store that speaks MLflow 2 of traces."""

    @told_as_mlflow
    def deprecated_start_trace_v2(
        self, experiment_id: str, timestamp_ms: int, request_metadata: Dict[str, str], tags: Dict[str, str]
    ) -> TraceInfoV2:
        """A new trace, stored, IN_PROGRESS. Raises MlflowException as `start_trace`."""
        started = TraceInfo(
            trace_id=generate_request_id_v2(),
            trace_location=TraceLocation.from_experiment_id(str(experiment_id)),
            request_time=timestamp_ms,
            state=TraceState.IN_PROGRESS,
            trace_metadata=dict(request_metadata),
            tags=dict(tags),
        )
        return TraceInfoV2.from_v3(self._store_trace(started, {}))

    @told_as_mlflow
    def deprecated_end_trace_v2(
        self,
        request_id: str,
        timestamp_ms: int,
        status: TraceStatus,
        request_metadata: Dict[str, str],
        tags: Dict[str, str],
    ) -> TraceInfoV2:
        """The trace has ended then; metadata and tags are merged into what it has. Raises as `get_trace_info`."""
        if status == TraceStatus.UNSPECIFIED:
            raise MlflowException.invalid_parameter_value("A trace does not end %s" % status.value)

        def decide(view: Any) -> Any:
            record = parse_trace(view.tags.get(TRACE))
            if record is None:
                raise trace_not_found(request_id)
            ended = record._replace(
                execution_duration=timestamp_ms - record.request_time, state=status.to_state().value
            )
            told = {str(key): str(value) for key, value in tags.items() if not is_record(str(key))}
            return batch_submission(
                params={str(key): str(value) for key, value in request_metadata.items()},
                tags={**told, **dict([dump_trace(ended)])},
            )

        self._change_trace(request_id, decide)
        return TraceInfoV2.from_v3(self.get_trace_info(request_id))
