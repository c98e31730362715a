"""Which traces a filter in MLflow's language finds, as they are found in MLflow's SQL store.

The filter is parsed, and its fields and comparators are checked, by MLflow's own code, whether there are traces or
not. What that code can compare in memory it compares; the rest stands here: regular expressions, assessments
(``feedback``, ``expectation``, ``issue``), prompts, traces that were linked to a run, and spans.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Mapping, Optional

from mlflow.exceptions import MlflowException
from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey
from mlflow.utils.search_utils import SearchTraceUtils, SearchUtils

from mini_mlflow.formats.mlflow_records import AssessmentRecord
from mini_mlflow.mlflow_plugin.assessment_records import EXPECTATION, FEEDBACK, ISSUE
from mini_mlflow.mlflow_plugin.remembered import RememberedTrace
from mini_mlflow.mlflow_plugin.trace_spans import has_span

#: The ids of the traces that are linked to a run.
LinkedTo = Callable[[str], FrozenSet[str]]
#: One condition of a filter, as MLflow parses it: ``type``, ``key``, ``comparator``, ``value``.
Clause = Mapping[str, Any]


Test = Callable[[RememberedTrace], bool]


def find(traces: List[RememberedTrace], filter_string: Optional[str], linked_to: LinkedTo) -> Iterator[RememberedTrace]:
    """Those of the traces that the filter finds, in their order. Who takes a few of them spares reading more spans.

    Args:
        traces: all that are searched: an assessment of a session counts for each trace of the session.

    Raises:
        MlflowException: the filter does not follow the language.
    """
    if not filter_string:
        return iter(traces)
    clauses = SearchTraceUtils.parse_search_filter_for_search_traces(filter_string)
    # Before any is matched: what is wrong is told also where no trace gets that far.
    of_spans = [one for one in clauses if SearchTraceUtils.is_span(one["type"], one["key"], _comparator(one))]
    tests = [_test_of(one, traces, linked_to) for one in clauses if one not in of_spans]
    # Spans last, as they are read from files, and together, as one span must fit them all.
    if of_spans:
        tests.append(lambda trace: has_span(trace.build(), of_spans, compare))
    return (trace for trace in traces if all(test(trace) for test in tests))


def compare(comparator: str, value: Any, wanted: Any) -> bool:
    """The value is there, and compares so. Raises MlflowException: it is no regular expression."""
    if value is None:
        return False
    if comparator != "RLIKE":
        return bool(SearchUtils.get_comparison_func(comparator)(value, wanted))
    try:
        return re.search(str(wanted), str(value)) is not None
    except re.error as error:
        raise MlflowException.invalid_parameter_value("Invalid regular expression %r: %s" % (wanted, error)) from None


def _comparator(clause: Clause) -> str:
    return str(clause["comparator"]).upper()


def _test_of(clause: Clause, traces: List[RememberedTrace], linked_to: LinkedTo) -> Test:
    kind, key, comparator, value = clause["type"], clause["key"], _comparator(clause), clause["value"]
    if kind in (FEEDBACK, EXPECTATION) and SearchTraceUtils.is_assessment(kind, key, comparator):
        return _test_of_assessments(kind, key, comparator, value, traces)
    # Not in every MLflow that this works with.
    if kind == ISSUE and hasattr(SearchTraceUtils, "is_issue") and SearchTraceUtils.is_issue(kind, key, comparator):
        return lambda trace: any(trace.assessments_of(ISSUE, str(value)))
    if key == TraceTagKey.LINKED_PROMPTS and SearchTraceUtils.is_tag(kind, comparator):
        _check_prompt(comparator, str(value))
        return lambda trace: trace.is_linked_to(str(value))
    if key == TraceMetadataKey.SOURCE_RUN and comparator == "=":
        linked = linked_to(str(value))
        return lambda trace: trace.trace_metadata.get(key) == value or trace.trace_id in linked
    return _test_of_field(kind, key, comparator, value)


def _test_of_field(kind: str, key: str, comparator: str, value: Any) -> Test:
    if SearchTraceUtils.is_tag(kind, comparator):
        fields = "tags"
    elif SearchTraceUtils.is_request_metadata(kind, comparator):
        fields = "trace_metadata"
    elif SearchTraceUtils.is_attribute(kind, key, comparator):
        return lambda trace: compare(comparator, getattr(trace, key), value)
    else:
        raise MlflowException.invalid_parameter_value("Invalid search expression type '%s'" % kind)
    if comparator in ("IS NULL", "IS NOT NULL"):
        return lambda trace: (key in getattr(trace, fields)) == (comparator == "IS NOT NULL")
    return lambda trace: compare(comparator, getattr(trace, fields).get(key), value)


def _check_prompt(comparator: str, value: str) -> None:
    if comparator != "=":
        raise MlflowException.invalid_parameter_value(
            "Invalid comparator '%s' for prompts filter. Only '=' is supported with format: prompt = \"name/version\""
            % comparator
        )
    if value.count("/") != 1:
        raise MlflowException.invalid_parameter_value(
            "Invalid prompts filter value '%s'. Expected format: prompt = \"name/version\"" % value
        )


def _test_of_assessments(kind: str, name: str, comparator: str, value: Any, traces: List[RememberedTrace]) -> Test:
    must_be_there = comparator != "IS NULL"

    def matching(trace: RememberedTrace) -> List[AssessmentRecord]:
        found = [one for one in trace.assessments_of(kind, name) if one.valid]
        if comparator in ("IS NULL", "IS NOT NULL"):
            return found
        return [one for one in found if _compare_assessment(comparator, one.value, value)]

    matches: Dict[str, List[AssessmentRecord]] = {trace.trace_id: matching(trace) for trace in traces}
    # An assessment that names a session is one of all the traces of the session that its own trace is in.
    sessions = {
        trace.session
        for trace in traces
        if any(TraceMetadataKey.TRACE_SESSION in (one.metadata or {}) for one in matches[trace.trace_id])
    } - {None}
    return lambda trace: (bool(matches[trace.trace_id]) or trace.session in sessions) == must_be_there


def _compare_assessment(comparator: str, stored: Any, value: Any) -> bool:
    if comparator in ("<", "<=", ">", ">="):
        is_number = isinstance(stored, (int, float)) and not isinstance(stored, bool)
        return is_number and compare(comparator, stored, float(value))
    text = json.dumps(stored)
    if comparator in ("=", "!="):
        # A boolean or a number is compared as JSON writes it, a text as it is.
        return (text in (str(value), json.dumps(value))) == (comparator == "=")
    return compare(comparator, text, value)
