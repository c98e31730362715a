"""Writing a metric anew from all points that can still be read of it.

The order is that of a merge, so that readers and writers meet nothing new, and a kill changes nothing: sealed files
under names that nothing has, then the document that lists them, then what is no longer listed goes (here into the
quarantine). Sealed files that are whole stay as they are, up to the first that is not; the points after that move up
into the places of those that are lost. Their steps stay theirs.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import METRICS, RunPaths, sealed_name, sealed_range
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError, OutsideTreeError
from mini_mlflow.formats import tiers
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line
from mini_mlflow.formats.points import as_new, decode_points, to_sealed
from mini_mlflow.formats.rewinds import Rewinds, find_rewinds
from mini_mlflow.formats.tiers import Range, check_sealed, join_ranges
from mini_mlflow.formats.values import to_nonfinite
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.upkeep.mending import Case, Told
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.writing.run_state import last_commit

_IN_DOCUMENT = 4


class Left(NamedTuple):
    """What is left of a metric.

    Attributes:
        points: all that can be read, oldest first.
        rewinds: what hides some of them.
        intact: the sealed files that hold the first of them, whole.
        commit: the last commit whose points are among them.
        extra: what other writers put into the document.
        lost: what could not be read, in words.
    """

    points: List[Point]
    rewinds: Rewinds
    intact: Tuple[Range, ...]
    commit: int
    extra: Tuple[Tuple[str, Any], ...]
    lost: List[str]


def gather(look: RunLook, key: str, follow: bool = False) -> Left:
    """What is left of the metric; ``follow``, and what is raised, as in `read_history`."""
    paths = look.paths
    with Told() as told:
        history = read_history(paths, key, follow)
    document = _parse(paths, key)
    if document is not None:
        listed = document.sealed
    else:
        listed = join_ranges(map(sealed_range, list_folder(paths.history_folder(key))))
    head = document or _salvage_head(look, key)
    commit = max(look.highest, head.commit if head is not None else 0)
    last = _last_told(look, key, head, history.stored)
    rewinds = find_rewinds(history.stored, history.shown)
    extra = document.extra if document is not None else ()
    intact = tuple(_iter_intact(paths, key, listed))
    return Left(history.stored + last, rewinds, intact, commit, extra, told.messages)


def _salvage_head(look: RunLook, key: str) -> Optional[MetricDocument]:
    """What the first line of a damaged document says, if it can be read; of commits, only what others know too."""
    path = look.paths.document(METRICS, key)
    try:
        head = parse_first_line(read_file(path), path, key)
    except (FileNotFoundError, DamagedFileError, OutsideTreeError):
        return None
    snapshot = look.snapshot.metadata if look.snapshot is not None else {}
    known = max(look.highest, last_commit(look.meta), last_commit(snapshot))
    return head._replace(commit=head.commit if head.commit <= known else 0)


def _parse(paths: RunPaths, key: str) -> Optional[MetricDocument]:
    path = paths.document(METRICS, key)
    try:
        return parse_document(read_file(path), path, key)
    except (FileNotFoundError, DamagedFileError, OutsideTreeError):
        return None


def _iter_intact(paths: RunPaths, key: str, listed: Sequence[Range]) -> Iterator[Range]:
    for pair in listed:
        path = paths.sealed(key, *pair)
        try:
            whole = len(decode_points(check_sealed(read_file(path), pair, path), path)) == pair[1] - pair[0] + 1
        except (DamagedFileError, OSError):
            return
        if not whole:
            return
        yield pair


def _last_told(look: RunLook, key: str, head: Optional[MetricDocument], points: List[Point]) -> List[Point]:
    """The last point as the snapshot, or the document's first line, has it; if it is not among those that were read."""
    told = look.snapshot.metrics.get(key) if look.snapshot is not None else None
    if told is not None:
        count, last = told["count"], Point(told["step"], to_nonfinite(told["value"]), told["timestamp"])
    elif head is not None and look.commits.get((METRICS, key), 0) <= head.commit:
        count, last = head.count, Point(head.step, head.value, head.timestamp)
    else:
        return []
    if count <= len(points) or not isinstance(last.value, (int, float)):
        return []
    return [] if points and repr(points[-1]) == repr(last) else [last._replace(value=float(last.value))]


def rebuild(case: Case, key: str, in_document: bool = False) -> Optional[str]:
    """The metric's document and sealed files hold all points that can be read, and agree.

    Args:
        in_document: all points go into the document, which lists no sealed file; those behind a link, too.

    Returns:
        What is lost, if anything.

    Raises:
        OSError: with ``filename`` set; what could be read before can be read still.
    """
    paths = case.paths
    left = gather(case.in_run, key, follow=in_document)
    if not left.points:
        return _give_up(case, key)
    intact = () if in_document else left.intact
    first = intact[-1][1] + 1 if intact else 0
    new = [] if in_document else _plan(paths, key, first, len(left.points))
    for pair in new:
        _write_sealed(case, key, pair, left.points[pair[0] : pair[1] + 1])
    document = _compose(key, left, (*intact, *new))
    case.replace(paths.document(METRICS, key), document.dump())
    case.open.files.forget()
    if not in_document:
        _put_away(case, key, set(document.sealed))
    return "; ".join(left.lost) or None


def _give_up(case: Case, key: str) -> str:
    for path in (case.paths.document(METRICS, key), case.paths.history_folder(key)):
        if os.path.lexists(path):
            case.move(path)
    return "no point of it can be read"


def _plan(paths: RunPaths, key: str, first: int, count: int) -> List[Range]:
    """The sealed files for the points from ``first`` on, but for the newest. No file has the name of one of them:
    the document that is about to be replaced may list it."""
    taken = set(list_folder(paths.history_folder(key)))
    ranges: List[Range] = []
    while count - first > _IN_DOCUMENT * tiers.SEAL_AT:
        size = min(tiers.LARGEST, count - first - tiers.SEAL_AT)
        while size and sealed_name(first, first + size - 1) in taken:
            size -= 1
        if not size:
            break
        ranges.append((first, first + size - 1))
        first += size
    return ranges


def _write_sealed(case: Case, key: str, pair: Range, points: Sequence[Point]) -> None:
    folder = case.paths.history_folder(key)
    if atomic.create_folder(folder) and case.tree.sync:
        atomic.sync_folder(os.path.dirname(folder))
    lines = to_sealed(MetricDocument(key).appended(as_new(points), 0).points)
    atomic.write_file(folder, sealed_name(*pair), lines, case.tree.sync)
    if case.tree.sync:
        atomic.sync_folder(folder)


def _compose(key: str, left: Left, sealed: Tuple[Range, ...]) -> MetricDocument:
    count = sealed[-1][1] + 1 if sealed else 0
    whole = MetricDocument(key).appended(as_new(left.points), left.commit)
    newest = MetricDocument(key, count=count, sealed=sealed).appended(as_new(left.points[count:]), left.commit)
    whole = whole._replace(sealed=sealed, points=newest.points, extra=left.extra)
    return whole.summarized(left.rewinds, [(0, left.points)]) if left.rewinds else whole


def _put_away(case: Case, key: str, listed: Set[Range]) -> None:
    folder = case.paths.history_folder(key)
    names = {sealed_name(*pair) for pair in listed}
    for name in list_folder(folder):
        if sealed_range(name) and name not in names:
            case.move(os.path.join(folder, name))
    if not listed:
        atomic.remove_folder(folder)
