"""Which traces there are: filtered and ordered in MLflow's language for traces, given page by page, and deleted.

What a filter finds, and the order of what is found, are those of MLflow's SQL store.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, List, Optional, Tuple

from mlflow.entities import TraceInfo
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import SEARCH_TRACES_DEFAULT_MAX_RESULTS
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from mlflow.utils.search_utils import SearchTraceUtils
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import _resolve_experiment_ids_and_locations

from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.mlflow_plugin.arguments import check_max_results
from mini_mlflow.mlflow_plugin.inner_trees import numbers_of
from mini_mlflow.mlflow_plugin.locations import default_artifact_root
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.remembered import RememberedTrace
from mini_mlflow.mlflow_plugin.trace_filter import find
from mini_mlflow.mlflow_plugin.trace_links import TraceLinks
from mini_mlflow.mlflow_plugin.traces import to_trace_info


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
        check_max_results(max_results)
        seen = _sort(self._traces.search(self.trace_cache, None if wanted is None else numbers_of(wanted)), order_by)
        found = find(seen, filter_string, self._linked_traces)
        # One more than the page, so that there is a token for it.
        end = SearchTraceUtils.parse_start_offset_from_page_token(page_token) + max_results + 1
        try:
            first = list(islice(found, end))
        except (TypeError, ValueError) as error:
            # MLflow's parser takes a text for what it compares to a number later.
            raise MlflowException.invalid_parameter_value("Invalid filter %r: %s" % (filter_string, error)) from error
        page, token = SearchTraceUtils.paginate(first, page_token, max_results)
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


def _sort(traces: List[RememberedTrace], order_by: Optional[List[str]]) -> List[RememberedTrace]:
    """In order; what does not have a field comes after what does."""
    ordered = sorted(traces, key=lambda one: one.trace_id)
    ordered.sort(key=lambda one: one.timestamp_ms, reverse=True)
    parsed = [SearchTraceUtils.parse_order_by_for_search_traces(text) for text in order_by or []]
    if len({(kind, key) for kind, key, _ in parsed}) < len(parsed):
        raise MlflowException.invalid_parameter_value("`order_by` contains duplicate fields: %s" % order_by)
    # Sorts are stable: the last key first.
    for kind, key, is_ascending in reversed(parsed):
        valued = [(_value_of(one, kind, key), one) for one in ordered]
        known = [pair for pair in valued if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=not is_ascending)
        ordered = [one for _, one in known] + [one for value, one in valued if value is None]
    return ordered


def _value_of(trace: RememberedTrace, kind: str, key: str) -> Any:
    if kind == "tag":
        return trace.tags.get(key)
    if kind == "request_metadata":
        return trace.trace_metadata.get(key)
    # Not as the text that MLflow has of it: 10 comes after 9.
    return int(trace.experiment_id) if key == "experiment_id" else getattr(trace, key)
