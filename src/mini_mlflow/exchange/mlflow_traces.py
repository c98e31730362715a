"""A trace of MLflow's file store as a run of the small tree that keeps them here.

Its tags are tags, its metadata params, its assessments and all else records (`formats.mlflow_records`), as the plugin
for MLflow has them. MLflow 2.14 to 2.22 called the fields otherwise than 3.x does.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional, Tuple

from mini_mlflow.entities import FINISHED
from mini_mlflow.exchange.incoming import IncomingRun, IncomingValue, Values
from mini_mlflow.exchange.mlflow_files import Tell, changed_ms, iter_keys, read_meta_or_tell, read_values, to_iso
from mini_mlflow.formats.mlflow_records import AssessmentRecord, TraceRecord, dump_assessment, dump_trace
from mini_mlflow.formats.times import iso_to_ms

_INFO = "trace_info.yaml"
#: The tag that says where its spans stand.
LOCATION = "mlflow.artifactLocation"
_UNSPECIFIED = "STATE_UNSPECIFIED"
_STATES = ("OK", "ERROR", "IN_PROGRESS", _UNSPECIFIED)
_JSON_FORMAT = "JSON_FORMAT"


def read_trace(run_id: str, folder: str, location: str, tell: Tell) -> Optional[IncomingRun]:
    """The trace in ``folder``; None, and told, if nothing says that it is one.

    Args:
        run_id: its id, as it may name a run's folder here.
        location: the URI of its artifacts here.
    """
    fields = read_meta_or_tell(folder, tell, _INFO)
    if fields is None:
        return None
    path = os.path.join(folder, _INFO)
    changed = changed_ms(path)
    record = _to_record(os.path.basename(folder), fields, changed)
    start = to_iso(record.request_time)
    tags = read_values(os.path.join(folder, "tags"), tell)
    tags[LOCATION] = IncomingValue(location)
    key, value = dump_trace(record)
    tags[key] = IncomingValue(value, changed)
    return IncomingRun(
        run_id,
        folder,
        None,
        FINISHED,
        start,
        to_iso(record.request_time + (record.execution_duration or 0)) or start,
        None,
        {"made_by": "mlflow"},
        read_values(os.path.join(folder, "request_metadata"), tell),
        {**tags, **_read_assessments(os.path.join(folder, "assessments"), tell)},
        lambda: iter(()),
    )


def _to_record(trace_id: str, fields: Mapping[str, Any], changed: Optional[int]) -> TraceRecord:
    started = fields.get("timestamp_ms", fields.get("request_time"))
    started_ms = started if type(started) is int else iso_to_ms(started)
    lasted = fields.get("execution_time_ms", fields.get("execution_duration_ms"))
    state = str(fields.get("state", fields.get("status")))
    return TraceRecord(
        trace_id,
        started_ms if started_ms is not None else changed or 0,
        state if state in _STATES else _UNSPECIFIED,
        lasted if type(lasted) is int else None,
        _to_text(fields.get("request_preview")),
        _to_text(fields.get("response_preview")),
        _to_text(fields.get("client_request_id")),
    )


# -- assessments ---------------------------------------------------------------------------------------------------


def _read_assessments(folder: str, tell: Tell) -> Values:
    found: Values = {}
    for name, path in iter_keys(folder, tell):
        fields = read_meta_or_tell(folder, tell, name)
        if fields is None:
            continue
        try:
            key, value = dump_assessment(_to_assessment(fields, changed_ms(path) or 0))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            tell(path, "is no assessment that is known: %s" % error)
            continue
        found[key] = IncomingValue(value, changed_ms(path))
    return found


def _to_assessment(fields: Mapping[str, Any], changed: int) -> AssessmentRecord:
    kind, value, error = _value_of(fields)
    source = fields.get("source") or {}
    created = iso_to_ms(fields.get("create_time"))
    updated = iso_to_ms(fields.get("last_update_time"))
    return AssessmentRecord(
        assessment_id=str(fields["assessment_id"]),
        kind=kind,
        name=str(fields["assessment_name"]),
        value=value,
        source_type=str(source.get("source_type")),
        create_time_ms=changed if created is None else created,
        last_update_time_ms=changed if updated is None else updated,
        source_id=_to_text(source.get("source_id")),
        error=error,
        run_id=_to_text(fields.get("run_id")),
        span_id=_to_text(fields.get("span_id")),
        rationale=_to_text(fields.get("rationale")),
        metadata=fields.get("metadata") or None,
        overrides=_to_text(fields.get("overrides")),
        valid=fields.get("valid") is not False,
    )


def _value_of(fields: Mapping[str, Any]) -> Tuple[str, Any, Optional[Dict[str, Any]]]:
    """The kind, the value and the error."""
    if "feedback" in fields:
        feedback = fields["feedback"] or {}
        return "feedback", feedback.get("value"), feedback.get("error")
    if "expectation" in fields:
        expectation = fields["expectation"] or {}
        serialized = expectation.get("serialized_value")
        if serialized is None:
            return "expectation", expectation.get("value"), None
        if serialized.get("serialization_format") != _JSON_FORMAT:
            raise ValueError("its value is serialized as %.80r" % serialized.get("serialization_format"))
        return "expectation", json.loads(serialized["value"]), None
    if "issue" in fields:
        return "issue", fields["issue"], None
    raise ValueError("it is no feedback, no expectation and no issue")


def _to_text(value: Any) -> Optional[str]:
    return None if value is None else str(value)
