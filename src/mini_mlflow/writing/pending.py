"""What waits to be folded, sorted by the document it goes into; and what becomes of it there. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk.layout import METRICS
from mini_mlflow.formats.commits import Change, MetricChange, ValueChange
from mini_mlflow.formats.documents import dump_value_document
from mini_mlflow.formats.history import MetricDocument
from mini_mlflow.formats.points import NewPoint
from mini_mlflow.writing.seen import StoredValue

#: (folder, key): which document.
Place = Tuple[str, str]
#: The changes of commits by the commit's number.
Commits = Dict[int, Sequence[Change]]


class Pending(NamedTuple):
    """The changes of one document, oldest first, each with its commit's number; at least one."""

    place: Place
    changes: List[Tuple[int, Change]]

    def points_after(self, commit: Optional[int]) -> List[NewPoint]:
        """The points of commits above ``commit``; None: all."""
        return [
            (change.value, change.step, change.timestamp)
            for number, change in self.changes
            if (commit is None or number > commit) and isinstance(change, MetricChange)
        ]


def place_of(change: Change) -> Place:
    """The document that a change goes into."""
    return (METRICS, change.key) if isinstance(change, MetricChange) else (change.kind, change.key)


def by_place(commits: Commits, places: Optional[Set[Place]] = None) -> List[Pending]:
    """What ``commits`` change in ``places`` (None: in all)."""
    found: Dict[Place, List[Tuple[int, Change]]] = {}
    for number in sorted(commits):
        for change in commits[number]:
            place = place_of(change)
            if places is None or place in places:
                found.setdefault(place, []).append((number, change))
    return [Pending(place, changes) for place, changes in found.items()]


def dump_value(change: ValueChange, commit: int) -> Tuple[bytes, StoredValue]:
    """The document of a param or a tag after ``change``, and what it says."""
    data = dump_value_document(change.key, change.encoded, change.timestamp, commit)
    return data, StoredValue(change.key, change.encoded, commit)


def dump_first(change: Change, commit: int) -> Tuple[bytes, Any]:
    """The document of a key for which nothing was logged before ``change``, at ``commit``, and what it says."""
    if isinstance(change, ValueChange):
        return dump_value(change, commit)
    document = MetricDocument(change.key).appended([(change.value, change.step, change.timestamp)], commit)
    return document.dump(), document
