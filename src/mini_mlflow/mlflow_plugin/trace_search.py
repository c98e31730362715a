"""Which traces there are: filtered and ordered in MLflow's language for traces, given page by page, and deleted.

The filter is parsed and matched by MLflow's own code. Besides what that does in memory, it knows assessments
(``feedback`` and ``expectation``, whose values are compared as MLflow's SQL store does) and traces that were linked to
a run. What asks for spans is refused, as they are no part of the store.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Tuple

from mlflow.entities import TraceInfo
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD, SEARCH_TRACES_DEFAULT_MAX_RESULTS
from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from mlflow.utils.search_utils import SearchTraceUtils, SearchUtils
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _resolve_experiment_ids_and_locations

from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.mlflow_plugin.assessment_records import EXPECTATION, FEEDBACK, to_record
from mini_mlflow.mlflow_plugin.inner_trees import numbers_of
from mini_mlflow.mlflow_plugin.locations import default_artifact_root
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.remembered import RememberedTrace
from mini_mlflow.mlflow_plugin.trace_links import TraceLinks
from mini_mlflow.mlflow_plugin.traces import to_trace_info

#: The ids of the traces that are linked to a run.
LinkedTo = Callable[[str], FrozenSet[str]]


class TraceSearch(TraceLinks):
    """The part of the store that finds traces, and deletes those that it finds."""

    @told_as_mlflow
    def search_traces(
        self,
        experiment_ids: Optional[List[str]] = None,
        filter_string: Optional[str] = None,
        max_results: int = SEARCH_TRACES_DEFAULT_MAX_RESULTS,
        order_by: Optional[List[str]] = None,
        page_token: Optional[str] = None,
        model_id: Optional[str] = None,
        locations: Optional[List[str]] = None,
    ) -> Tuple[List[TraceInfo], Optional[str]]:
        """A page of the traces that are found, the newest first unless told otherwise, and the token of the next page.

        Args:
            experiment_ids, locations: the experiments to look in, by one of these names; None for all.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE: something does not follow the language.
        """
        wanted = _resolve_experiment_ids_and_locations(experiment_ids, locations)
        _check_limit(max_results)
        found = self._traces.search(self.trace_cache, None if wanted is None else numbers_of(wanted))
        if filter_string:
            found = _filter(found, filter_string, self._linked_traces)
        page, token = SearchTraceUtils.paginate(_sort(found, order_by), page_token, max_results)
        return [one.build() for one in page], token

    @told_as_mlflow
    def _delete_traces(
        self,
        experiment_id: str,
        max_timestamp_millis: Optional[int] = None,
        max_traces: Optional[int] = None,
        trace_ids: Optional[List[str]] = None,
    ) -> int:
        """How many traces of the experiment are gone for good, the oldest first; those asked for alone, if any are."""
        traces = self._traces
        infos = [to_trace_info(run.address, run) for run in traces.iterate(numbers_of([experiment_id]))]
        if max_timestamp_millis is not None:
            infos = [info for info in infos if info.timestamp_ms <= max_timestamp_millis]
        if trace_ids:
            infos = [info for info in infos if info.trace_id in set(trace_ids)]
        infos.sort(key=lambda info: (info.timestamp_ms, info.trace_id))
        deleted = []
        for info in infos[:max_traces]:
            if traces.delete(traces.address(int(experiment_id), info.trace_id)):
                deleted.append(info)
        # Those, too, that one who was killed here had deleted.
        traces.remove(traces.list_deleted())
        for info in deleted:
            self._remove_spans(info)
        return len(deleted)

    def _remove_spans(self, info: TraceInfo) -> None:
        # Only those in the tree: what else MLflow has artifacts in is not ours to clear.
        own = append_to_uri_path(default_artifact_root(self.root), info.experiment_id, "traces", info.trace_id)
        if info.tags.get(MLFLOW_ARTIFACT_LOCATION) == append_to_uri_path(own, "artifacts"):
            remove_tree(local_file_uri_to_path(own))


def _check_limit(max_results: Any) -> None:
    if type(max_results) is not int or not 1 <= max_results <= SEARCH_MAX_RESULTS_THRESHOLD:
        raise MlflowException.invalid_parameter_value(
            "Invalid value %r for request parameter max_results. It must be a positive integer, at most %d"
            % (max_results, SEARCH_MAX_RESULTS_THRESHOLD)
        )


def _filter(traces: List[RememberedTrace], filter_string: str, linked_to: LinkedTo) -> List[RememberedTrace]:
    class _Matching(SearchTraceUtils):  # type: ignore[misc]
        @classmethod
        def _does_trace_match_clause(cls, trace: RememberedTrace, sed: Dict[str, Any]) -> bool:
            kind, key, comparator = sed.get("type"), sed.get("key"), str(sed.get("comparator")).upper()
            if kind in (FEEDBACK, EXPECTATION) and cls.is_assessment(kind, key, comparator):
                return _has_assessment(trace.build(), str(kind), str(key), comparator, sed.get("value"))
            if comparator == "=" and key == TraceTagKey.LINKED_PROMPTS:
                return trace.is_linked_to(str(sed.get("value")))
            matches = bool(super()._does_trace_match_clause(trace, sed))
            if not matches and comparator == "=" and key == TraceMetadataKey.SOURCE_RUN:
                return trace.trace_id in linked_to(str(sed.get("value")))
            return matches

    return list(_Matching.filter(traces, filter_string))


def _has_assessment(info: TraceInfo, kind: str, name: str, comparator: str, value: Any) -> bool:
    records = [to_record(one) for one in info.assessments]
    found = [one.value for one in records if one.kind == kind and one.name == name and one.valid]
    if comparator in ("IS NULL", "IS NOT NULL"):
        return bool(found) == (comparator == "IS NOT NULL")
    if comparator in ("<", "<=", ">", ">="):
        compare = SearchUtils.get_comparison_func(comparator)
        numbers = [one for one in found if isinstance(one, (int, float)) and not isinstance(one, bool)]
        return any(compare(number, float(value)) for number in numbers)
    texts = [json.dumps(one) for one in found]
    if comparator in ("=", "!="):
        # A boolean or a number is compared as JSON writes it, a text as it is.
        same = {str(value), json.dumps(value)}
        return any((text in same) == (comparator == "=") for text in texts)
    return any(SearchUtils.get_comparison_func(comparator)(text, value) for text in texts)


def _sort(traces: List[RememberedTrace], order_by: Optional[List[str]]) -> List[RememberedTrace]:
    """In order; what does not have a field comes after what does."""
    ordered = sorted(traces, key=lambda one: one.trace_id)
    ordered.sort(key=lambda one: one.timestamp_ms, reverse=True)
    # Sorts are stable: the last key first.
    for text in reversed(order_by or []):
        kind, key, is_ascending = SearchTraceUtils.parse_order_by_for_search_traces(text)
        valued = [(_value_of(one, kind, key), one) for one in ordered]
        known = [pair for pair in valued if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=not is_ascending)
        ordered = [one for _, one in known] + [one for value, one in valued if value is None]
    return ordered


def _value_of(trace: RememberedTrace, kind: str, key: str) -> Any:
    if kind == "tag":
        return trace.tags.get(key)
    if kind == "request_metadata":
        return trace.request_metadata.get(key)
    return getattr(trace, key)
