"""Which of a metric's points is its latest, as MLflow has it: the greatest by step, then timestamp, then value. Pure.

The last point is the one that was logged last, and mostly the latest too. So a document's first line and a snapshot's
summary name the latest, ``"latest": [step, value, timestamp]``, only where it is another point than the last one.

The order is total: NaN counts as 0, and of points that nothing tells apart then, the one that was logged first is the
latest. Both is what MLflow's SQL store comes to. (Its file store compares NaN itself, so that there the order of
logging decides; where the two stores agree, so does this.)
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.formats.values import to_nonfinite

_step_of = itemgetter(0)


def rank(point: Tuple[int, float, int]) -> Tuple[int, int, float]:
    """What the order goes by, of (step, value, timestamp)."""
    step, value, timestamp = point
    return step, timestamp, value if value == value else 0.0


def find_latest(points: Sequence[Tuple[int, float, int]], before: Optional[Point] = None) -> Optional[Point]:
    """The latest of ``points``, which are in the order in which they were logged, and of ``before``, that of the
    points before them; None if there is none."""
    if not points:
        return before
    # Mostly one point has the greatest step, so that only steps are compared, without a call for each.
    step = max(map(_step_of, points))
    if before is not None and before.step > step:
        return before
    found = max([point for point in points if point[0] == step], key=rank)
    return before if before is not None and rank(before) >= rank(found) else Point(*found)


def unless_last(latest: Optional[Point], last: Optional[Point]) -> Optional[Point]:
    """``latest`` where it is to be named: it is another point than ``last``."""
    # Not by ==, to which NaN is another point than itself, and the zeros are the same.
    return None if repr(latest) == repr(last) else latest


def parse_latest(summary: Mapping[str, Any]) -> Optional[Point]:
    """The latest point of a metric whose summary is as in `formats.documents.Snapshot`; None if another writer put
    there what is no number."""
    step, value, timestamp = summary.get("latest") or (summary["step"], summary["value"], summary["timestamp"])
    if type(value) is not float:
        value = to_nonfinite(value)
        if type(value) not in (float, int):
            return None
    return Point(step, value, timestamp)


def parse_all_latest(summaries: Mapping[str, Mapping[str, Any]]) -> Dict[str, Point]:
    """Key to latest point, of the metrics that have one."""
    found = ((key, parse_latest(summary)) for key, summary in summaries.items())
    return {key: point for key, point in found if point is not None}
