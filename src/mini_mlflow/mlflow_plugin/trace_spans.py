"""The spans of a trace, read from its artifact, where the client puts them; and what a filter asks of them."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, Optional

from mlflow.entities import Trace, TraceData, TraceInfo
from mlflow.entities.span import Span
from mlflow.exceptions import MlflowTraceDataException, MlflowTraceDataNotFound
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracing.constant import TraceMetadataKey, TraceSizeStatsKey
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
    return [one for one in spans or [] if isinstance(one, dict)]


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
    data: Dict[str, Any] = get_artifact_repository(location).download_trace_data()
    return data


def _fits(span: Dict[str, Any], clause: Mapping[str, Any], compare: Compare) -> bool:
    key, comparator = str(clause["key"]), str(clause["comparator"]).upper()
    return compare(comparator, _value_of(span, key), clause["value"])


def _value_of(span: Dict[str, Any], key: str) -> Any:
    if key == "content":
        return json.dumps(span, ensure_ascii=False)
    if key.startswith(_ATTRIBUTES):
        stored = (span.get("attributes") or {}).get(SearchTraceUtils._trim_backticks(key[len(_ATTRIBUTES) :]))
        return _to_text(stored)
    whole = Span.from_dict(span)
    return {"name": whole.name, "type": whole.span_type, "status": whole.status.status_code.value}[key]


def _to_text(stored: Any) -> Any:
    """An attribute as a filter compares it: a text as it is, all else as JSON writes it. MLflow stores it as JSON."""
    if not isinstance(stored, str):
        return None if stored is None else json.dumps(stored)
    try:
        value = json.loads(stored)
    except ValueError:
        return stored
    return value if isinstance(value, str) else stored
