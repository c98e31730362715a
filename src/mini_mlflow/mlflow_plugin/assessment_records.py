"""Assessments between MLflow's objects and the records that stand as tags of a trace."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Tuple

from mlflow.entities import AssessmentError, AssessmentSource, Expectation, Feedback
from mlflow.entities.assessment import Assessment
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis

from mini_mlflow.formats.mlflow_records import ASSESSMENT, AssessmentRecord, dump_assessment, parse_assessment

FEEDBACK, EXPECTATION, ISSUE = "feedback", "expectation", "issue"


def new_assessment_id() -> str:
    """One that nobody has, as MLflow draws them."""
    import uuid

    return "a-" + uuid.uuid4().hex


def dump_new(assessment: Assessment, trace_id: str) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag of one that is new: valid, with an id from here on, made now if it does not say when."""
    if assessment.assessment_id is None:
        assessment.assessment_id = new_assessment_id()
    record, now_ms = to_record(assessment), get_current_time_millis()
    created, updated = record.create_time_ms or now_ms, record.last_update_time_ms or now_ms
    return dump_assessment(record._replace(create_time_ms=created, last_update_time_ms=updated, valid=True))


def to_record(assessment: Assessment) -> AssessmentRecord:
    """The record of an assessment that has an id."""
    kind, value, error = _value_of(assessment)
    return AssessmentRecord(
        assessment_id=assessment.assessment_id,
        kind=kind,
        name=assessment.name,
        value=value,
        source_type=assessment.source.source_type,
        create_time_ms=assessment.create_time_ms,
        last_update_time_ms=assessment.last_update_time_ms,
        source_id=assessment.source.source_id,
        error=error.to_dictionary() if error is not None else None,
        run_id=assessment.run_id,
        span_id=assessment.span_id,
        rationale=assessment.rationale,
        metadata=dict(assessment.metadata) if assessment.metadata else None,
        overrides=assessment.overrides,
        valid=assessment.valid is not False,
    )


def _value_of(assessment: Assessment) -> Tuple[str, Any, Any]:
    if assessment.feedback is not None:
        return FEEDBACK, assessment.feedback.value, assessment.feedback.error
    if assessment.expectation is not None:
        return EXPECTATION, assessment.expectation.value, None
    issue = getattr(assessment, "issue", None)
    if issue is None:
        raise MlflowException.invalid_parameter_value("An assessment must have a feedback or an expectation")
    return ISSUE, issue.to_dictionary(), None


def to_assessment(record: AssessmentRecord, trace_id: str) -> Assessment:
    """MLflow's object of a record."""
    told: Dict[str, Any] = {
        "source": AssessmentSource(source_type=record.source_type, source_id=record.source_id),
        "trace_id": trace_id,
        "metadata": dict(record.metadata) if record.metadata else None,
        "span_id": record.span_id,
        "create_time_ms": record.create_time_ms,
        "last_update_time_ms": record.last_update_time_ms,
    }
    if record.kind == FEEDBACK:
        error = None if record.error is None else AssessmentError.from_dictionary(record.error)
        made = Feedback(name=record.name, value=record.value, error=error, rationale=record.rationale, **told)
    elif record.kind == EXPECTATION:
        # MLflow's stores keep no rationale of an expectation.
        made = Expectation(name=record.name, value=record.value, **told)
    else:
        made = _to_issue(record, told)
    made.assessment_id, made.run_id = record.assessment_id, record.run_id
    made.overrides, made.valid = record.overrides, record.valid
    return made


def _to_issue(record: AssessmentRecord, told: Dict[str, Any]) -> Assessment:
    # Not in every MLflow that this works with.
    from mlflow.entities import assessment

    known = {field.name for field in dataclasses.fields(Assessment)}
    if not hasattr(assessment, "IssueReference") or "issue" not in known:
        raise MlflowException.invalid_parameter_value("This MLflow knows no assessments of the kind %r" % record.kind)
    name = record.value.get("issue_name") if isinstance(record.value, dict) else None
    return assessment.IssueReference(record.name, str(name), rationale=record.rationale, **told)


def records_of(tags: Mapping[str, Any]) -> List[AssessmentRecord]:
    """The records among the tags of a trace, oldest first; what is none is left out."""
    found = [parse_assessment(value) for key, value in tags.items() if key.startswith(ASSESSMENT)]
    records = [one for one in found if one is not None]
    return sorted(records, key=lambda one: (one.create_time_ms, one.assessment_id))


def assessments_of(trace_id: str, tags: Mapping[str, Any]) -> List[Assessment]:
    """The assessments among the tags of a trace, oldest first; what is none is left out."""
    return [to_assessment(one, trace_id) for one in records_of(tags)]
