"""What waits to be folded, sorted by the document it goes into; and what becomes of it there. Pure."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk.layout import METRICS
from mini_mlflow.formats.commits import REWIND, Change, MetricChange, RewindChange, ValueChange
from mini_mlflow.formats.documents import dump_value_document
from mini_mlflow.formats.history import MetricDocument
from mini_mlflow.formats.rewinds import NewItem, Rewind
from mini_mlflow.writing.seen import StoredValue

#: (folder, key): which document.
Place = Tuple[str, str]
#: Where a rewind goes: into no document of its own, and into those of all metrics.
REWOUND: Place = (REWIND, "")
#: The changes of commits by the commit's number.
Commits = Dict[int, Sequence[Change]]


class Pending(NamedTuple):
    """The changes of one document, oldest first, each with its commit's number; at least one.

    Those of a metric are points and rewinds.
    """

    place: Place
    changes: List[Tuple[int, Change]]

    def items_after(self, commit: Optional[int]) -> List[NewItem]:
        """The points and rewinds of commits above ``commit``; None: all."""
        return [
            (change.value, change.step, change.timestamp) if isinstance(change, MetricChange) else Rewind(change.step)
            for number, change in self.changes
            if (commit is None or number > commit) and not isinstance(change, ValueChange)
        ]


def place_of(change: Change) -> Place:
    """The document that a change goes into."""
    return (METRICS, change.key) if isinstance(change, MetricChange) else (change.kind, change.key)


def by_place(
    commits: Commits, places: Optional[Set[Place]] = None, list_metrics: Callable[[], Iterable[str]] = tuple
) -> List[Pending]:
    """What ``commits`` change in ``places`` (None: in all).

    Args:
        list_metrics: the keys of the metrics that have documents; asked if a rewind is among the changes of all.
    """
    found: Dict[Place, List[Tuple[int, Change]]] = {}
    for number in sorted(commits):
        for change in commits[number]:
            if isinstance(change, RewindChange):
                _rewind_all(found, number, change, places, list_metrics)
                continue
            place = place_of(change)
            if places is None or place in places:
                found.setdefault(place, []).append((number, change))
    return [Pending(place, changes) for place, changes in found.items()]


def _rewind_all(
    found: Dict[Place, List[Tuple[int, Change]]],
    number: int,
    change: RewindChange,
    places: Optional[Set[Place]],
    list_metrics: Callable[[], Iterable[str]],
) -> None:
    wanted = ((METRICS, key) for key in list_metrics()) if places is None else places
    # And those whose first points are among the changes before it.
    for place in dict.fromkeys([*wanted, *found]):
        if place[0] == METRICS:
            found.setdefault(place, []).append((number, change))


def dump_value(change: ValueChange, commit: int) -> Tuple[bytes, StoredValue]:
    """The document of a param or a tag after ``change``, and what it says."""
    data = dump_value_document(change.key, change.encoded, change.timestamp, commit)
    return data, StoredValue(change.key, change.encoded, commit)


def dump_first(change: Change, commit: int) -> Tuple[bytes, Any]:
    """The document of a key for which nothing was logged before ``change``, at ``commit``, and what it says."""
    if isinstance(change, ValueChange):
        return dump_value(change, commit)
    assert isinstance(change, MetricChange)
    document = MetricDocument(change.key).appended([(change.value, change.step, change.timestamp)], commit)
    return document.dump(), document
