"""The spans of a trace, read from its artifact, where the client puts them; and what a filter asks of them."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, Optional

from mlflow.entities import Trace, TraceData, TraceInfo
from mlflow.exceptions import MlflowTraceDataCorrupted, MlflowTraceDataException, MlflowTraceDataNotFound
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey, TraceSizeStatsKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from mlflow.utils.search_utils import SearchTraceUtils

#: Whether a value, which may be None, compares so with what a filter asks for.
Compare = Callable[[str, Any, Any], bool]
_ATTRIBUTES = "attributes."


def has_span(info: TraceInfo, clauses: List[Mapping[str, Any]], compare: Compare) -> bool:
    """One span of the trace fits all the clauses; a trace whose spans are missing or damaged has none."""
    spans = load_spans(info)
    return any(all(_fits(span, clause, compare) for clause in clauses) for span in spans)


def load_spans(info: TraceInfo) -> List[Dict[str, Any]]:
    """The spans as the client stored them; none if they are missing or damaged."""
    try:
        spans = _download(info).get("spans")
    except MlflowTraceDataException:
        return []
    return [one for one in spans if isinstance(one, dict)] if isinstance(spans, list) else []


def load_trace(info: TraceInfo, allow_partial: bool) -> Optional[Trace]:
    """The trace with its spans, the root in front, then as they started; None if not all are there.

    Args:
        allow_partial: also if some of them, or all, are not there.

    Raises:
        MlflowTraceDataException: the artifact is missing or damaged.
    """
    try:
        spans = TraceData.from_dict(_download(info)).spans
    except MlflowTraceDataException:
        if not allow_partial:
            raise
        spans = []
    if not allow_partial and len(spans) < _expected_of(info):
        return None
    spans.sort(key=lambda span: (span.parent_id is not None, span.start_time_ns))
    return Trace(info, TraceData(spans=spans))


def _expected_of(info: TraceInfo) -> int:
    """How many spans the trace has, as the client told; 0 if it did not."""
    try:
        sizes = json.loads(info.trace_metadata.get(TraceMetadataKey.SIZE_STATS, "{}"))
        return int(sizes.get(TraceSizeStatsKey.NUM_SPANS, 0))
    except (ValueError, TypeError, AttributeError):
        # Anybody may write metadata.
        return 0


def _download(info: TraceInfo) -> Dict[str, Any]:
    location = info.tags.get(MLFLOW_ARTIFACT_LOCATION)
    if location is None:
        raise MlflowTraceDataNotFound(request_id=info.trace_id)
    try:
        data = get_artifact_repository(location).download_trace_data()
    except UnicodeDecodeError:
        data = None
    if not isinstance(data, dict):
        raise MlflowTraceDataCorrupted(request_id=info.trace_id)
    return data


def _fits(span: Dict[str, Any], clause: Mapping[str, Any], compare: Compare) -> bool:
    key, comparator = str(clause["key"]), str(clause["comparator"]).upper()
    return compare(comparator, _value_of(span, key), clause["value"])


def _value_of(span: Dict[str, Any], key: str) -> Any:
    # Read from what is stored, not through MLflow's `Span`: a span that is damaged must not hinder a search.
    if key == "content":
        return json.dumps(span, ensure_ascii=False)
    if key == "name":
        return _to_text(span.get("name"))
    if key == "status":
        status = span.get("status")
        # MLflow 2 stored it as a text of its own.
        code = status.get("code") if isinstance(status, dict) else span.get("status_code")
        return str(code or "UNSET").replace("STATUS_CODE_", "")
    attributes = span.get("attributes")
    name = SpanAttributeKey.SPAN_TYPE if key == "type" else SearchTraceUtils._trim_backticks(key[len(_ATTRIBUTES) :])
    return _from_json(attributes.get(name)) if isinstance(attributes, dict) else None


def _from_json(stored: Any) -> Optional[str]:
    """An attribute as a filter compares it: a text as it is, all else as JSON writes it. MLflow stores it as JSON."""
    text = _to_text(stored)
    try:
        value = json.loads(text or "null")
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _to_text(stored: Any) -> Optional[str]:
    return stored if stored is None or isinstance(stored, str) else json.dumps(stored)
