"""All points of one metric, read without a lock while others write: sealed files, the document, then the log.

The points that a rewind hid are left out, by what the document and then the log say of rewinds.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import METRICS, RunPaths, sealed_range
from mini_mlflow.disk.regular import exists, list_folder, read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange, RewindChange
from mini_mlflow.formats.documents import Snapshot, parse_meta
from mini_mlflow.formats.history import MetricDocument, parse_document, salvage_rewinds
from mini_mlflow.formats.points import as_new, drop_known, salvage_points, to_points
from mini_mlflow.formats.rewinds import (
    NewItem,
    Rewind,
    Rewinds,
    add_rewind,
    append_items,
    drop_known_items,
    select_visible,
)
from mini_mlflow.formats.tiers import join_ranges
from mini_mlflow.formats.values import to_nonfinite
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    held,
    last_commit,
    list_log,
    read_log,
    read_snapshot,
    read_snapshot_metadata,
    warn,
)

# A reader meets a merge at most once in hours; this many in a row mean that a file is missing.
_MERGES_MET = 20


class History(NamedTuple):
    """The points of a metric in the order in which they were logged: all of them, and those that no rewind hides."""

    stored: List[Point]
    shown: List[Point]


def read_history(paths: RunPaths, key: str, follow: bool = False) -> History:
    """The history of the metric; an empty one if the run has no such metric.

    What is damaged is passed over, with a DamagedFileWarning that names the file.

    Args:
        follow: read the sealed files also behind a link in their folder's place. For a repair, which takes them in.

    Raises:
        FileNotFoundError: there is no such run.
        OutsideTreeError, DamagedFileError: its folder is a link, its ``meta.yaml`` cannot be read.
    """
    check_folders(paths)
    with held(paths) as standing:
        return _read_all(standing, key, follow)


def _read_all(paths: RunPaths, key: str, follow: bool) -> History:
    for attempt in range(_MERGES_MET):
        snapshot = read_snapshot(paths)
        if snapshot is None:
            # A folder without a whole meta.yaml is no run.
            parse_meta(read_file(paths.meta), paths.meta)
        found = _read_once(paths, key, snapshot, attempt == _MERGES_MET - 1, follow)
        if found is not None:
            return found
    return History([], [])


def _read_once(
    paths: RunPaths, key: str, snapshot: Optional[Snapshot], give_up: bool, follow: bool
) -> Optional[History]:
    """The history; None if a sealed file was merged meanwhile, or the run was changed, and all must be read again."""
    commits = read_log(paths, list_log(paths))
    document, data = _read_document(paths, key)
    if document is not None:
        history = bring_up(paths, document, commits, give_up, follow)
        return history if history is None else _leave_out_ahead(paths, document, history, snapshot, give_up)
    older = _read_sealed(paths, key, _list_sealed(paths, key), (), give_up)
    if older is None:
        return None
    # Without the document nobody knows up to which commit the points were folded; their values and times tell.
    lines = data.partition(b"\n")[2]
    stored = older.stored + to_points(
        drop_known(older.stored, as_new(salvage_points(lines, paths.document(METRICS, key)))), len(older.stored)
    )
    items, rewinds = drop_known_items(stored, _new_items(commits, key, 0))
    for pair in salvage_rewinds(data):
        rewinds = add_rewind(rewinds, *pair)
    shown = append_items(items, stored, select_visible(stored, 0, rewinds))
    return History(stored, shown) if stored else _history_in_snapshot(snapshot, key)


def may_be_ahead(paths: RunPaths, before: Optional[Dict[str, Any]], document: MetricDocument) -> bool:
    """Whether the document may have points of a change after the end that its snapshot does not have, and may never.

    Whoever makes such a change writes the snapshot after the documents, and may have been killed between.

    Args:
        before: the metadata of the snapshot that was read before the document; None if there was none.
    """
    metadata = before if before is not None else read_snapshot_metadata(paths)
    return metadata is not None and document.commit > last_commit(metadata)


def _leave_out_ahead(
    paths: RunPaths, document: MetricDocument, history: History, before: Optional[Snapshot], give_up: bool
) -> Optional[History]:
    """The history as the snapshot counts it; None if that has changed since ``before``, and all must be read again."""
    if not may_be_ahead(paths, None if before is None else before.metadata, document) or give_up:
        return history
    snapshot = read_snapshot(paths)
    if snapshot is None or (before is not None and snapshot.metadata != before.metadata):
        # What was ahead may have been taken back since.
        return None
    told = snapshot.metrics.get(document.key)
    if told is None:
        return history
    return History(history.stored[: told["count"]], history.shown[: told["count"] - told.get("hidden", 0)])


def bring_up(
    paths: RunPaths, document: MetricDocument, commits: Commits, give_up: bool, follow: bool = False
) -> Optional[History]:
    """The history of a metric whose document is whole, as far as ``commits`` go.

    Args:
        give_up: pass over a sealed file that is gone, with a warning.
        follow: as in `read_history`.

    Returns:
        None if a sealed file is gone: it was merged since the document was read, which must be read again.
    """
    behind_link = not follow and document.sealed and _is_behind_link(paths, document.key)
    sealed = () if behind_link else document.sealed
    history = _read_sealed(paths, document.key, sealed, document.rewinds, give_up)
    if history is None:
        return None
    path, first = paths.document(METRICS, document.key), document.sealed_count
    newest = salvage_points(document.points, path)
    if len(newest) != document.count - first:
        warn(DamagedFileError(path, "has only %d points that can be read" % len(newest)))
    history.stored.extend(newest)
    history.shown.extend(select_visible(newest, first, document.rewinds))
    items = _new_items(commits, document.key, document.commit)
    return history._replace(shown=append_items(items, history.stored, history.shown)) if items else history


def _read_document(paths: RunPaths, key: str) -> Tuple[Optional[MetricDocument], bytes]:
    """The document; or None, and the bytes that may still hold points."""
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
        return None, data


def _list_sealed(paths: RunPaths, key: str) -> Tuple[Tuple[int, int], ...]:
    try:
        check_folder(paths.kind_folder(METRICS))
        return join_ranges(map(sealed_range, list_folder(paths.history_folder(key))))
    except FileNotFoundError:
        return ()
    except OSError as error:
        warn(error)
        return ()


def _is_behind_link(paths: RunPaths, key: str) -> bool:
    """Whether there is no folder where the sealed files should be, but a link to one; a warning says so."""
    try:
        check_folder(paths.history_folder(key))
    except FileNotFoundError:
        # As each of the files is; what that means is for their reader to say.
        return False
    except OSError as error:
        warn(error)
        return True
    return False


def _read_sealed(
    paths: RunPaths, key: str, sealed: Sequence[Tuple[int, int]], rewinds: Rewinds, give_up: bool
) -> Optional[History]:
    history = History([], [])
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
        history.stored.extend(found)
        history.shown.extend(select_visible(found, first, rewinds) if rewinds else found)
    return history


def _new_items(commits: Commits, key: str, above: int) -> List[NewItem]:
    items: List[NewItem] = []
    for number, changes in commits:
        for change in changes if number > above else ():
            if isinstance(change, MetricChange):
                if change.key == key:
                    items.append((change.value, change.step, change.timestamp))
            elif isinstance(change, RewindChange):
                items.append(Rewind(change.step))
    return items


def _history_in_snapshot(snapshot: Optional[Snapshot], key: str) -> History:
    # A metric of one point is whole in the snapshot, and its document need not have survived a power cut.
    summary = snapshot.metrics.get(key) if snapshot is not None else None
    if summary is None or summary.get("count") != 1:
        return History([], [])
    point = Point(int(summary["step"]), float(to_nonfinite(summary["value"])), int(summary["timestamp"]))
    return History([point], [point])
