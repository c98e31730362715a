"""All points of a metric, as MLflow asks for them: in pages, of several runs, or thinned out for a chart.

MLflow's SQL store orders by time and drops what was logged twice (`log_model` logs the metrics of a run once more);
so do these.
"""

from __future__ import annotations

from typing import Any, List, Optional

from mlflow.entities import Metric
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchUtils

from mini_mlflow.entities import Point
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.run_handles import RunHandles
from mini_mlflow.reading.metric_history import read_history

_MOVED_AT_MOST = 5


class HistoryMethods:
    """Histories of metrics."""

    handles: RunHandles

    @told_as_mlflow
    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: Optional[int] = None, page_token: Optional[str] = None
    ) -> PagedList:
        """The points by timestamp, step and value: one page, and the token of the next (None: this is the last)."""
        points = sorted(self._points(run_id, metric_key), key=_by_time)
        offset = SearchUtils.parse_start_offset_from_page_token(page_token)
        end = len(points) if max_results is None else offset + max_results
        token = SearchUtils.create_page_token(end) if end < len(points) else None
        return PagedList([_to_metric(metric_key, point) for point in points[offset:end]], token)

    @told_as_mlflow
    def get_metric_history_bulk(self, run_ids: List[str], metric_key: str, max_results: int) -> List[MetricWithRunId]:
        """The points of several runs, run by run; the first ``max_results`` of all of them."""
        found: List[MetricWithRunId] = []
        for run_id in sorted(set(run_ids)):
            for point in sorted(self._points(run_id, metric_key), key=_by_time)[: max_results - len(found)]:
                found.append(MetricWithRunId(_to_metric(metric_key, point), run_id))
        return found

    @told_as_mlflow
    def get_metric_history_bulk_interval(
        self,
        run_ids: List[str],
        metric_key: str,
        max_results: int,
        start_step: Optional[int],
        end_step: Optional[int],
    ) -> List[MetricWithRunId]:
        """Of each run so many points at most, evenly spaced over its steps, the first and the last among them."""
        if (start_step is None) != (end_step is None):
            raise MlflowException.invalid_parameter_value(
                "Both start_step and end_step must be specified together, or neither may be specified."
            )
        found: List[MetricWithRunId] = []
        for run_id in run_ids:
            points = sorted(self._points(run_id, metric_key), key=_by_step)
            if start_step is not None and end_step is not None:
                points = [point for point in points if start_step <= point.step <= end_step]
            for point in _thin_out(points, max(1, max_results)):
                found.append(MetricWithRunId(_to_metric(metric_key, point), run_id))
        return found

    @told_as_mlflow
    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: List[int], max_results: int
    ) -> List[MetricWithRunId]:
        """The points at these steps."""
        wanted = set(steps)
        points = [point for point in self._points(run_id, metric_key) if point.step in wanted]
        points.sort(key=_by_step)
        return [MetricWithRunId(_to_metric(metric_key, point), run_id) for point in points[:max_results]]

    @told_as_mlflow
    def get_max_step_for_metric(self, run_id: str, metric_key: str) -> int:
        """The highest step; 0 if the run has no such metric."""
        return max((point.step for point in self._points(run_id, metric_key)), default=0)

    def _points(self, run_id: str, metric_key: str) -> List[Point]:
        """None of a run that there is not: so says MLflow's SQL store; its file store raises."""
        for _ in range(_MOVED_AT_MOST):
            try:
                shown = read_history(self.handles.find(run_id).paths, metric_key).shown
            except FileNotFoundError:
                # Deleted or restored since it was found.
                continue
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return []
                raise
            return _drop_duplicates(shown)
        return []


def _drop_duplicates(points: List[Point]) -> List[Point]:
    seen = {(point.step, repr(point.value), point.timestamp): point for point in reversed(points)}
    return points if len(seen) == len(points) else list(reversed(list(seen.values())))


def _number(value: float) -> float:
    # MLflow's database has 0 for NaN, beside a mark. Any place will do that is the same each time.
    return value if value == value else 0.0


def _by_time(point: Point) -> Any:
    return point.timestamp, point.step, _number(point.value)


def _by_step(point: Point) -> Any:
    return point.step, point.timestamp, _number(point.value), point.value != point.value


def _to_metric(key: str, point: Point) -> Metric:
    return Metric(key, point.value, point.timestamp, point.step)


def _thin_out(points: List[Point], most: int) -> List[Point]:
    """The first of each of ``most`` groups of neighbours, and the last of all in place of the last of these."""
    if len(points) <= most:
        return points
    size, larger = divmod(len(points), most)
    starts = [group * size + min(group, larger) for group in range(most)]
    return [points[start] for start in starts[:-1]] + [points[-1]]
