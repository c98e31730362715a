"""The points of one metric piece by piece, for who compares or copies a history that need not fit into memory.

Memory holds the points of one sealed file (`formats.tiers`: 65,536 at the most), and those that are not sealed yet.
Where something is damaged, a rewind waits in the log, or a change after the end was cut short, the whole history is
read instead, as `metric_history` does.

A history only grows, and at its end. So who meets a sealed file that has been merged meanwhile reads the document again
and goes on behind the points that it has given out.
"""

from __future__ import annotations

from typing import Iterator, List, Optional

from mini_mlflow.disk.layout import METRICS, RunPaths
from mini_mlflow.disk.regular import read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange, RewindChange
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.points import decode_points, to_points
from mini_mlflow.formats.rewinds import select_visible
from mini_mlflow.reading.metric_history import may_be_ahead, read_history
from mini_mlflow.reading.run_folder import Commits, check_folders, held, list_log, read_log, read_snapshot_metadata

_MERGES_MET = 20


def iter_history(paths: RunPaths, key: str, hidden: bool = False) -> Iterator[List[Point]]:
    """The history of the metric from its start; nothing if the run has no such metric.

    Args:
        hidden: also the points that a rewind hides.

    Raises:
        FileNotFoundError: there is no such run, or it was moved away meanwhile.
        OutsideTreeError, DamagedFileError: as `metric_history.read_history`.
    """
    check_folders(paths)
    given = 0
    try:
        with held(paths) as standing:
            for piece, visible in _iter_pieces(standing, key):
                given += len(piece)
                yield piece if hidden else visible
    except _TakeAll:
        history = read_history(paths, key)
        if hidden:
            yield history.stored[given:]
        elif given:
            raise DamagedFileError(paths.document(METRICS, key), "was damaged while it was read") from None
        else:
            yield history.shown


class _TakeAll(Exception):
    """The history cannot be read in pieces."""


def _iter_pieces(paths: RunPaths, key: str) -> Iterator[List[List[Point]]]:
    """Pairs of a piece of the history and of its points that no rewind hides."""
    commits = read_log(paths, list_log(paths))
    position = 0
    for _ in range(_MERGES_MET):
        document = _read_document(paths, key, commits)
        if document is None:
            return
        for first, last in document.sealed:
            if last < position:
                continue
            found = _read_sealed(paths, document, first, last)
            if found is None:
                break
            piece = found[position - first :]
            yield [piece, select_visible(piece, position, document.rewinds)]
            position = last + 1
        else:
            newest = _decode(document.points, paths, document)
            piece = newest[position - document.sealed_count :]
            yield [piece, select_visible(piece, position, document.rewinds)]
            new = _new_points(document, commits)
            yield [new, new]
            return
    raise _TakeAll


def _read_document(paths: RunPaths, key: str, commits: Commits) -> Optional[MetricDocument]:
    path, before = paths.document(METRICS, key), read_snapshot_metadata(paths)
    try:
        document = parse_document(read_file(path), path, key)
    except (FileNotFoundError, DamagedFileError):
        # There may be points in the log, in sealed files, in the snapshot, or under the name that 0.1.0 gave it.
        raise _TakeAll from None
    waits = any(number > document.commit and _has_rewind(changes) for number, changes in commits)
    if waits or document.key != key or may_be_ahead(paths, before, document):
        raise _TakeAll
    return document


def _has_rewind(changes: object) -> bool:
    return any(isinstance(change, RewindChange) for change in changes)  # type: ignore[attr-defined]


def _read_sealed(paths: RunPaths, document: MetricDocument, first: int, last: int) -> Optional[List[Point]]:
    """The points of a sealed file; None if it was merged."""
    path = paths.sealed(document.key, first, last)
    try:
        data = read_file(path)
    except FileNotFoundError:
        return None
    found = _decode(data, paths, document)
    if len(found) != last - first + 1:
        raise _TakeAll
    return found


def _decode(lines: bytes, paths: RunPaths, document: MetricDocument) -> List[Point]:
    try:
        return decode_points(lines, paths.document(METRICS, document.key))
    except DamagedFileError:
        raise _TakeAll from None


def _new_points(document: MetricDocument, commits: Commits) -> List[Point]:
    new = [
        (change.value, change.step, change.timestamp)
        for number, changes in commits
        if number > document.commit
        for change in changes
        if isinstance(change, MetricChange) and change.key == document.key
    ]
    return to_points(new, document.count - document.hidden)
