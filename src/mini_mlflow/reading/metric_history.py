"""All points of one metric, read without a lock while others write: sealed files, the document, then the log."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import METRICS, RunPaths, sealed_range
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.formats.documents import Snapshot, parse_meta
from mini_mlflow.formats.history import MetricDocument, NewPoint, decode_points, drop_overlap, parse_document
from mini_mlflow.formats.tiers import check_sealed, join_ranges
from mini_mlflow.formats.values import to_nonfinite
from mini_mlflow.reading.run_folder import Commits, check_folders, read_document, read_log, read_snapshot, warn

# A reader meets a merge at most once in hours; this many in a row mean that a file is missing.
_MERGES_MET = 20


def read_history(paths: RunPaths, key: str) -> List[Point]:
    """All points of the metric, in the order in which they were logged; [] if the run has no such metric.

    What is damaged is passed over, with a DamagedFileWarning that names the file.

    Raises:
        FileNotFoundError: there is no such run.
        OutsideTreeError, DamagedFileError: its folder is a link, its ``meta.yaml`` cannot be read.
    """
    check_folders(paths)
    snapshot = read_snapshot(paths)
    if snapshot is None:
        # A folder without a whole meta.yaml is no run.
        parse_meta(read_file(paths.meta), paths.meta)
    for attempt in range(_MERGES_MET):
        found = _read_once(paths, key, snapshot, give_up=attempt == _MERGES_MET - 1)
        if found is not None:
            return found
    return []


def _read_once(paths: RunPaths, key: str, snapshot: Optional[Snapshot], give_up: bool) -> Optional[List[Point]]:
    """The points; None if a sealed file was merged meanwhile and all must be read again."""
    commits = read_log(paths)
    document = _read_document(paths, key)
    lost = document is None
    if document is None:
        sealed = _list_sealed(paths, key)
        document = MetricDocument(key, count=sealed[-1][1] + 1 if sealed else 0, sealed=sealed)
    older = _read_sealed(paths, document, give_up)
    if older is None:
        return None
    new: Sequence[NewPoint] = _new_points(commits, key, document.commit)
    if lost:
        new = drop_overlap(older, new)
    if lost and not older and not new:
        return _history_in_snapshot(snapshot, key)
    return older + decode_points(document.appended(new, 0).points, paths.document(METRICS, key))


def _read_document(paths: RunPaths, key: str) -> Optional[MetricDocument]:
    try:
        check_folder(paths.kind_folder(METRICS))
    except FileNotFoundError:
        return None
    except OSError as error:
        warn(error)
        return None
    document: Optional[MetricDocument] = read_document(paths.document(METRICS, key), key, parse_document)
    return document


def _list_sealed(paths: RunPaths, key: str) -> Tuple[Tuple[int, int], ...]:
    try:
        return join_ranges(map(sealed_range, list_folder(paths.history_folder(key))))
    except OSError as error:
        warn(error)
        return ()


def _read_sealed(paths: RunPaths, document: MetricDocument, give_up: bool) -> Optional[List[Point]]:
    points: List[Point] = []
    for pair in document.sealed:
        path = paths.sealed(document.key, *pair)
        try:
            points += decode_points(check_sealed(read_file(path), pair, path), path)
        except FileNotFoundError as error:
            if not give_up:
                return None
            warn(error)
        except (DamagedFileError, OSError) as error:
            warn(error)
    return points


def _new_points(commits: Commits, key: str, above: int) -> List[NewPoint]:
    return [
        (change.value, change.step, change.timestamp)
        for number, changes in commits
        if number > above
        for change in changes
        if isinstance(change, MetricChange) and change.key == key
    ]


def _history_in_snapshot(snapshot: Optional[Snapshot], key: str) -> List[Point]:
    # A metric of one point is whole in the snapshot, and its document need not have survived a power cut.
    summary = snapshot.metrics.get(key) if snapshot is not None else None
    if summary is None or summary.get("count") != 1:
        return []
    return [Point(int(summary["step"]), float(to_nonfinite(summary["value"])), int(summary["timestamp"]))]
