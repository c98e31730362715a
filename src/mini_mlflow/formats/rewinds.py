"""Rewinds: which points of a metric are hidden. Pure.

A rewind to a step hides the points that stand before it, in commit order, and have a greater step. Nothing is taken
away: they stay in documents and sealed files, at their positions. So what a rewind means for one metric is a pair
``[position, step]``: of the points at positions below ``position``, those with a step above ``step`` are hidden.
Sealing and merging keep positions, and with them the meaning of every pair.

A document lists only rewinds that hide something, and none that a later one to the same or a smaller step covers. So
in its list positions and steps both rise, and the first pair whose position is above a point's decides about it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from mini_mlflow.entities import Point
from mini_mlflow.formats.latest import find_latest
from mini_mlflow.formats.points import NewPoint, find_known

#: (position, step) of each rewind; both rise from one to the next.
Rewinds = Tuple[Tuple[int, int], ...]
#: Points in batches, oldest first, each batch with the position of its first point.
Batches = Iterable[Tuple[int, Sequence[Point]]]


class Rewind(NamedTuple):
    """Among new points: those before it, stored ones too, are hidden if their step is greater."""

    step: int


#: What a commit brings to a metric.
NewItem = Union[NewPoint, Rewind]


def add_rewind(rewinds: Rewinds, position: int, step: int) -> Rewinds:
    """``rewinds`` and one more, without those that another one covers."""
    kept: List[Tuple[int, int]] = []
    # From the latest back, and at one position the one that hides most first.
    for pair in sorted({*rewinds, (position, step)}, key=lambda pair: (-pair[0], pair[1])):
        if not kept or pair[1] < kept[-1][1]:
            kept.append(pair)
    return tuple(reversed(kept))


def parse_rewinds(pairs: Any, count: int) -> Rewinds:
    """The rewinds of a metric of ``count`` points as a document lists them. Raises ValueError or TypeError."""
    rewinds = tuple((position, step) for position, step in pairs)
    if {type(number) for pair in rewinds for number in pair} != {int}:
        raise TypeError("%.80r are no rewinds" % (pairs,))
    if rewinds != add_rewind(rewinds[1:], *rewinds[0]) or not 0 < rewinds[0][0] <= rewinds[-1][0] <= count:
        raise ValueError("the rewinds %.80r do not follow one another" % (pairs,))
    return rewinds


def select_visible(points: Sequence[Point], first: int, rewinds: Rewinds) -> List[Point]:
    """Of ``points``, the first of which stands at position ``first``, those that are not hidden."""
    shown: List[Point] = []
    begin = 0
    for position, limit in rewinds:
        end = max(position - first, begin)
        shown += [point for point in points[begin:end] if point[0] <= limit]
        begin = end
    shown += points[begin:]
    return shown


class Summary(NamedTuple):
    """What points and rewinds come to.

    Attributes:
        hidden: how many points are hidden.
        newly: how many of them were not hidden before.
        last: the last visible point; None if there is none.
        low, high: the least and the greatest visible value but NaN; None if there is none.
        latest: the latest visible point; None if there is none.
    """

    hidden: int
    newly: int
    last: Optional[Point]
    low: Optional[float]
    high: Optional[float]
    latest: Optional[Point]


def summarize(batches: Batches, rewinds: Rewinds, before: Rewinds = ()) -> Summary:
    """The summary of points of which ``rewinds`` hide some, and ``before`` did."""
    hidden, newly, last = 0, 0, None
    latest: Optional[Point] = None
    ends: List[float] = []
    for first, points in batches:
        shown = select_visible(points, first, rewinds)
        hidden += len(points) - len(shown)
        newly += len(select_visible(points, first, before)) - len(shown)
        if shown:
            last = shown[-1]
        latest = find_latest(shown, latest)
        numbers = ends + [value for _, value, _ in shown if value == value]
        if numbers:
            ends = [min(numbers), max(numbers)]
    low, high = ends or (None, None)
    return Summary(hidden, newly, last, low, high, latest)


def append_items(items: Iterable[NewItem], stored: List[Point], shown: Sequence[Point]) -> List[Point]:
    """``stored`` has the points of ``items`` too; returned are those that are visible then, of which ``shown`` were."""
    shown = list(shown)
    for item in items:
        if isinstance(item, Rewind):
            shown = [point for point in shown if point.step <= item.step]
        else:
            value, step, timestamp = item
            point = Point(len(shown) if step is None else step, value, timestamp)
            stored.append(point)
            shown.append(point)
    return shown


def drop_known_items(older: Sequence[Point], items: Sequence[NewItem]) -> Tuple[List[NewItem], Rewinds]:
    """As `points.drop_known`, with rewinds among the new points; also, at their positions in ``older``, those of the
    rewinds that points of ``older`` came after. They are not among the items that are left.

    What the log still holds of ``older`` are its last points. So a rewind stands as many from the end as points
    followed it in the log that are known.
    """
    known = find_known(older, [item for item in items if not isinstance(item, Rewind)])
    after = sum(known)
    told = iter(known)
    left: List[NewItem] = []
    rewinds: Rewinds = ()
    for item in items:
        if isinstance(item, Rewind):
            if after:
                rewinds = add_rewind(rewinds, len(older) - after, item.step)
            else:
                left.append(item)
        elif next(told):
            after -= 1
        else:
            left.append(item)
    return left, rewinds


def find_rewinds(stored: Sequence[Point], shown: Sequence[Point]) -> Rewinds:
    """Rewinds that hide of ``stored`` what is not among ``shown``, and nothing else.

    For points that some of them were lost of, at whose positions the rewinds can be counted on no more. A rewind to
    ``step`` may reach up to the first visible point of a greater step: before that, all such points are hidden. And
    for a hidden point, a rewind to the step just below its own reaches beyond it, since the one that hid it does.
    """
    hidden: List[int] = []
    visible_at: List[int] = []
    greatest: List[int] = []
    left = len(shown)
    for position in range(len(stored) - 1, -1, -1):
        # From the end: of two equal points the later one is visible.
        if left and stored[position] == shown[left - 1]:
            left -= 1
            visible_at.append(position)
        else:
            hidden.append(stored[position].step)
    visible_at.reverse()
    for position in visible_at:
        greatest.append(max(stored[position].step, greatest[-1] if greatest else stored[position].step))
    rewinds: Rewinds = ()
    for step in sorted({step - 1 for step in hidden}):
        first = bisect_right(greatest, step)
        position = visible_at[first] if first < len(greatest) else len(stored)
        if position > (rewinds[-1][0] if rewinds else 0):
            rewinds = (*rewinds, (position, step))
    return rewinds
