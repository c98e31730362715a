"""All points of one metric, read without a lock while others write: sealed files, the document, then the log."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import METRICS, RunPaths, sealed_range
from mini_mlflow.disk.regular import exists, list_folder, read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.formats.documents import Snapshot, parse_meta
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.points import NewPoint, as_new, drop_known, salvage_points, to_points
from mini_mlflow.formats.tiers import join_ranges
from mini_mlflow.formats.values import to_nonfinite
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    held,
    list_log,
    read_log,
    read_snapshot,
    warn,
)

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
    with held(paths) as standing:
        return _read_all(standing, key)


def _read_all(paths: RunPaths, key: str) -> List[Point]:
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
    commits = read_log(paths, list_log(paths))
    document, lines = _read_document(paths, key)
    older = _read_sealed(paths, key, document.sealed if document else _list_sealed(paths, key), give_up)
    if older is None:
        return None
    path = paths.document(METRICS, key)
    if document is not None:
        newest = salvage_points(document.points, path)
        if len(newest) != document.count - document.sealed_count:
            warn(DamagedFileError(path, "has only %d points that can be read" % len(newest)))
        return older + newest + to_points(_new_points(commits, key, document.commit), document.count)
    # Without the document nobody knows up to which commit the points were folded; their values and times tell.
    points = older + to_points(drop_known(older, as_new(salvage_points(lines, path))), len(older))
    points += to_points(drop_known(points, _new_points(commits, key, 0)), len(points))
    return points or _history_in_snapshot(snapshot, key)


def _read_document(paths: RunPaths, key: str) -> Tuple[Optional[MetricDocument], bytes]:
    """The document; or None, and the lines that may still hold points."""
    path = paths.document(METRICS, key)
    data = b""
    try:
        check_folder(paths.kind_folder(METRICS))
        legacy = paths.legacy_document(METRICS, key)
        if legacy is not None and not exists(path) and exists(legacy):
            path = legacy
        data = read_file(path)
        return parse_document(data, path, key), b""
    except FileNotFoundError:
        return None, b""
    except (DamagedFileError, OSError) as error:
        warn(error)
        return None, data.partition(b"\n")[2]


def _list_sealed(paths: RunPaths, key: str) -> Tuple[Tuple[int, int], ...]:
    try:
        check_folder(paths.kind_folder(METRICS))
        return join_ranges(map(sealed_range, list_folder(paths.history_folder(key))))
    except FileNotFoundError:
        return ()
    except OSError as error:
        warn(error)
        return ()


def _read_sealed(paths: RunPaths, key: str, sealed: Sequence[Tuple[int, int]], give_up: bool) -> Optional[List[Point]]:
    points: List[Point] = []
    for first, last in sealed:
        path = paths.sealed(key, first, last)
        try:
            found = salvage_points(read_file(path), path)
        except FileNotFoundError as error:
            if not give_up:
                return None
            warn(error)
            continue
        except OSError as error:
            warn(error)
            continue
        if len(found) != last - first + 1:
            warn(DamagedFileError(path, "has only %d points that can be read" % len(found)))
        points += found
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
