"""What MLflow works out about many traces at once: which sessions are over, and how far two filters go together."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from mini_mlflow.mlflow_plugin.inner_trees import numbers_of
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.remembered import RememberedTrace
from mini_mlflow.mlflow_plugin.trace_filter import find
from mini_mlflow.mlflow_plugin.trace_search import TraceSearch


class TraceAnalysis(TraceSearch):
    """The part of the store that counts traces."""

    @told_as_mlflow
    def find_completed_sessions(
        self,
        experiment_id: str,
        min_last_trace_timestamp_ms: int,
        max_last_trace_timestamp_ms: int,
        max_results: Optional[int] = None,
        filter_string: Optional[str] = None,
    ) -> List[Any]:
        """The sessions whose last trace was then (both ends included), the one that ended first in front.

        Args:
            max_results: so many at most; None: all.
            filter_string: only those whose first trace it finds.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE: the filter does not follow the language.
        """
        from mlflow.genai.scorers.online.entities import CompletedSession

        seen = self._traces.search(self.trace_cache, numbers_of([experiment_id]))
        sessions: Dict[str, List[RememberedTrace]] = {}
        for trace in sorted(seen, key=lambda one: one.timestamp_ms):
            if trace.session is not None:
                sessions.setdefault(trace.session, []).append(trace)
        found = {trace.trace_id for trace in find(seen, filter_string, self._linked_traces)}
        over = []
        for session_id, traces in sessions.items():
            first, last = traces[0].timestamp_ms, traces[-1].timestamp_ms
            starts_as_asked = any(one.trace_id in found for one in traces if one.timestamp_ms == first)
            if min_last_trace_timestamp_ms <= last <= max_last_trace_timestamp_ms and starts_as_asked:
                over.append(CompletedSession(session_id, first, last))
        return sorted(over, key=lambda one: (one.last_trace_timestamp_ms, one.session_id))[:max_results]

    @told_as_mlflow
    def calculate_trace_filter_correlation(
        self,
        experiment_ids: List[str],
        filter_string1: str,
        filter_string2: str,
        base_filter: Optional[str] = None,
    ) -> Any:
        """How far the two filters find the same traces, among those that ``base_filter`` finds; None: among all.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE: a filter does not follow the language.
        """
        from mlflow.store.analytics.trace_correlation import calculate_npmi_from_counts
        from mlflow.tracing.analysis import TraceFilterCorrelationResult

        seen = self._traces.search(self.trace_cache, numbers_of(experiment_ids))
        base, first, second = (
            {trace.trace_id for trace in find(seen, " and ".join(filter(None, texts)), self._linked_traces)}
            for texts in ((base_filter,), (base_filter, filter_string1), (base_filter, filter_string2))
        )
        npmi = calculate_npmi_from_counts(len(first & second), len(first), len(second), len(base))
        return TraceFilterCorrelationResult(
            npmi=npmi.npmi,
            npmi_smoothed=npmi.npmi_smoothed,
            filter1_count=len(first),
            filter2_count=len(second),
            joint_count=len(first & second),
            total_count=len(base),
        )
