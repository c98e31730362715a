"""Assessments of traces: feedback, expectations, and references to issues, each a tag of the trace's run.

What concerns two assessments (one overrides another, and is deleted again) is one commit, and what is made from an
assessment as it stands is made under the trace's lock: of two changes at once, neither is lost.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from mlflow.entities import Expectation, Feedback
from mlflow.entities.assessment import Assessment
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST

from mini_mlflow.formats.mlflow_records import ASSESSMENT, AssessmentRecord, dump_assessment, parse_assessment
from mini_mlflow.formats.times import now_ms
from mini_mlflow.mlflow_plugin.assessment_records import dump_new, to_assessment, to_record
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.traces import TraceMethods, trace_not_found
from mini_mlflow.writing.operations import batch_submission


class AssessmentMethods(TraceMethods):
    """The part of the store that knows assessments."""

    @told_as_mlflow
    def create_assessment(self, assessment: Assessment) -> Assessment:
        """The assessment, stored, with an id; the one that it overrides is not valid any more.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST: there is no such trace, or none to override.
        """
        trace_id = assessment.trace_id
        key, value = dump_new(assessment, trace_id)

        def decide(view: Any) -> Any:
            if key in view.tags:
                text = "Trace '%s' has an assessment with the ID '%s' already"
                raise MlflowException(text % (trace_id, assessment.assessment_id), RESOURCE_ALREADY_EXISTS)
            tags: Dict[str, Any] = {key: value}
            if assessment.overrides:
                overridden = _record_in(view.tags, trace_id, assessment.overrides)
                tags.update([dump_assessment(overridden._replace(valid=False))])
            return batch_submission(tags=tags)

        self._change_trace(trace_id, decide)
        return self.get_assessment(trace_id, assessment.assessment_id)

    @told_as_mlflow
    def get_assessment(self, trace_id: str, assessment_id: str) -> Assessment:
        """The assessment. Raises MlflowException (RESOURCE_DOES_NOT_EXIST) if there is none, or no such trace."""
        traces = self._traces
        address = traces.find(trace_id)
        view = None if address is None else traces.read(address)
        if view is None:
            raise trace_not_found(trace_id)
        return to_assessment(_record_in(view.tags, trace_id, assessment_id), trace_id)

    @told_as_mlflow
    def update_assessment(
        self,
        trace_id: str,
        assessment_id: str,
        name: Optional[str] = None,
        expectation: Any = None,
        feedback: Any = None,
        rationale: Optional[str] = None,
        metadata: Optional[Dict[str, str]] = None,
    ) -> Assessment:
        """The assessment, with what is not None changed; ``metadata`` is merged into what it has.

        Raises:
            MlflowException: as `get_assessment`; or the value is of the other kind. Nothing was stored.
        """
        changed: List[Assessment] = []

        def decide(view: Any) -> Any:
            found = to_assessment(_record_in(view.tags, trace_id, assessment_id), trace_id)
            _change(found, name, expectation, feedback, rationale, metadata)
            record = to_record(found)
            # As it is read from now on.
            changed[:] = [to_assessment(record, trace_id)]
            return batch_submission(tags=dict([dump_assessment(record)]))

        self._change_trace(trace_id, decide)
        return changed[0]

    @told_as_mlflow
    def delete_assessment(self, trace_id: str, assessment_id: str) -> None:
        """The trace, if there is one, has no such assessment; the one that it overrode is valid again."""

        def decide(view: Any) -> Any:
            key = ASSESSMENT + assessment_id
            record = parse_assessment(view.tags.get(key))
            if record is None:
                return batch_submission()
            overridden = parse_assessment(view.tags.get(ASSESSMENT + (record.overrides or "")))
            tags = {}
            if overridden is not None:
                tags = dict([dump_assessment(overridden._replace(valid=True, last_update_time_ms=now_ms()))])
            return batch_submission(tags=tags, deleted_tags=[key])

        self._traces.change(trace_id, decide)


def _record_in(tags: Any, trace_id: str, assessment_id: str) -> AssessmentRecord:
    record = parse_assessment(tags.get(ASSESSMENT + assessment_id))
    if record is None:
        raise MlflowException(
            "Assessment with ID '%s' not found for trace '%s'" % (assessment_id, trace_id), RESOURCE_DOES_NOT_EXIST
        )
    return record


def _change(
    found: Assessment,
    name: Optional[str],
    expectation: Any,
    feedback: Any,
    rationale: Optional[str],
    metadata: Optional[Dict[str, str]],
) -> None:
    if expectation is not None and feedback is not None:
        raise MlflowException.invalid_parameter_value("Cannot specify both `expectation` and `feedback` parameters.")
    if expectation is not None:
        if not isinstance(found, Expectation):
            raise MlflowException.invalid_parameter_value("Cannot update expectation value on a Feedback assessment.")
        found.expectation.value = expectation.value
    if feedback is not None:
        if not isinstance(found, Feedback):
            raise MlflowException.invalid_parameter_value("Cannot update feedback value on an Expectation assessment.")
        found.feedback.value, found.feedback.error = feedback.value, feedback.error
        found.error = feedback.error
    if name is not None:
        found.name = name
    if rationale is not None:
        found.rationale = rationale
    if metadata:
        found.metadata = {**(found.metadata or {}), **metadata}
    found.last_update_time_ms = now_ms()
