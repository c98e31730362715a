"""One run as it stands, read without a lock while others write.

The order makes it right: first the log, then the documents. A commit at or below a document's number is in it
already; a commit file that is gone between listing and opening has been folded into documents that were not read yet;
and a sealed file that is gone has been merged, so the metric's document is read again. An ended run stands in its
snapshot, one small file.

Damaged files are skipped, with a warning that names them; everything else is read all the same.
"""

from __future__ import annotations

import os
import platform
import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import METRICS, RunPaths, commit_number, document_stem
from mini_mlflow.disk.locks import is_held
from mini_mlflow.disk.regular import list_folder, read_file, read_head
from mini_mlflow.entities import CRASHED, RUNNING, UNKNOWN, Point
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning
from mini_mlflow.formats.commits import VALUE_KINDS, Change, MetricChange, ValueChange, parse_commit
from mini_mlflow.formats.documents import Snapshot, ValueDocument, parse_meta, parse_snapshot, parse_value_document
from mini_mlflow.formats.history import (
    MetricDocument,
    NewPoint,
    check_sealed,
    decode_points,
    parse_document,
    parse_first_line,
)
from mini_mlflow.formats.values import decode_value, to_nonfinite

_HEAD_BYTES = 4096
# A reader meets a merge at most once in hours; this many in a row mean that a file is missing.
_MERGES_MET = 20

Commits = List[Tuple[int, Sequence[Change]]]


class RunView(NamedTuple):
    """A run as a reader sees it.

    Attributes:
        metadata: what ``meta.yaml`` says; "status" is CRASHED or UNKNOWN where the owner is gone or out of sight.
        params, tags: key to value.
        metrics: key to last value.
    """

    metadata: Dict[str, Any]
    params: Dict[str, Any]
    metrics: Dict[str, Any]
    tags: Dict[str, Any]


def read_run(paths: RunPaths) -> RunView:
    """The run as it stands.

    Raises:
        FileNotFoundError: there is no such run (no folder, or none with a ``meta.yaml``).
        OutsideTreeError: its folder is a symbolic link.
        DamagedFileError: its ``meta.yaml`` cannot be read; what else there is then belongs to nobody.
    """
    _check_folders(paths)
    snapshot = _read_snapshot(paths)
    if snapshot is not None:
        metrics = {key: to_nonfinite(summary.get("value")) for key, summary in snapshot.metrics.items()}
        return RunView(snapshot.metadata, snapshot.params, metrics, snapshot.tags)
    metadata = _read_live_metadata(paths)
    commits = _read_log(paths)
    values = {kind: _read_values(paths, kind, commits) for kind in VALUE_KINDS}
    return RunView(metadata, values["params"], _read_last_values(paths, commits), values["tags"])


def read_metadata(paths: RunPaths) -> Dict[str, Any]:
    """What `read_run` has as metadata, alone; raises the same."""
    _check_folders(paths)
    snapshot = _read_snapshot(paths)
    return snapshot.metadata if snapshot is not None else _read_live_metadata(paths)


def read_stored_metadata(paths: RunPaths) -> Dict[str, Any]:
    """The same without asking whether the owner lives: the status is the stored one. For listings."""
    _check_folders(paths)
    snapshot = _read_snapshot(paths)
    return snapshot.metadata if snapshot is not None else parse_meta(read_file(paths.meta), paths.meta)


def read_history(paths: RunPaths, key: str) -> List[Point]:
    """All points of the metric, in the order in which they were logged.

    Raises:
        KeyError: the run has no such metric.
        FileNotFoundError, OutsideTreeError, DamagedFileError: as `read_run`.
    """
    _check_folders(paths)
    # Its meta.yaml must be there and whole: a folder without one is no run.
    snapshot = _read_snapshot(paths)
    if snapshot is None:
        parse_meta(read_file(paths.meta), paths.meta)
    for attempt in range(_MERGES_MET):
        commits = _read_log(paths)
        document = _read_metric(paths, key, parse_document, _read_whole)
        new = _new_points(commits, key, document.commit if document else 0)
        if document is None and not new:
            return _history_in_snapshot(snapshot, key)
        document = (document or MetricDocument(key)).appended(new, 0)
        older = _read_sealed(paths, document, give_up=attempt == _MERGES_MET - 1)
        if older is not None:
            break
    return (older or []) + decode_points(document.points, paths.document(METRICS, key))


def _check_folders(paths: RunPaths) -> None:
    check_folder(os.path.dirname(paths.folder))
    check_folder(paths.folder)


def _read_snapshot(paths: RunPaths) -> Optional[Snapshot]:
    try:
        return parse_snapshot(read_file(paths.snapshot), paths.snapshot)
    except FileNotFoundError:
        return None
    except (DamagedFileError, OSError) as error:
        _warn(error)
        return None


def _read_live_metadata(paths: RunPaths) -> Dict[str, Any]:
    metadata = parse_meta(read_file(paths.meta), paths.meta)
    if metadata.get("status") != RUNNING or is_held(paths.owner_lock) is not False:
        return metadata
    # The run may have ended since: then its owner gave up the lock after writing another status.
    metadata = parse_meta(read_file(paths.meta), paths.meta)
    if metadata.get("status") == RUNNING:
        here = metadata.get("host") in (None, platform.node())
        metadata["status"] = CRASHED if here else UNKNOWN
    return metadata


def _warn(error: Exception) -> None:
    warnings.warn("skipped: %s" % error, DamagedFileWarning, stacklevel=3)


# -- the log -----------------------------------------------------------------------------------------------------


def _read_log(paths: RunPaths) -> Commits:
    """The commits in the log, in order."""
    try:
        names = list_folder(paths.log)
    except OSError as error:
        _warn(error)
        return []
    numbers = [number for number in map(commit_number, names) if number is not None]
    if not numbers:
        return []
    # Not the listed numbers alone: readdir(3) may miss one that was made during the listing and show a later one.
    commits = []
    for number in range(min(numbers), max(numbers) + 1) if max(numbers) - min(numbers) < 100_000 else sorted(numbers):
        path = paths.commit(number)
        try:
            commits.append((number, parse_commit(read_file(path), path)))
        except FileNotFoundError:
            continue
        except (DamagedFileError, OSError) as error:
            _warn(error)
    return commits


# -- params and tags ---------------------------------------------------------------------------------------------


def _documents(paths: RunPaths, kind: str) -> List[Tuple[str, str]]:
    folder = paths.kind_folder(kind)
    try:
        names = list_folder(folder)
    except OSError as error:
        _warn(error)
        return []
    stems = ((name, document_stem(name)) for name in sorted(names))
    return [(os.path.join(folder, name), stem) for name, stem in stems if stem is not None]


def _read_values(paths: RunPaths, kind: str, commits: Commits) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    held: Dict[str, int] = {}
    for path, stem in _documents(paths, kind):
        document = _read_document(path, stem, parse_value_document, _read_whole)
        if document is not None and (document.key not in values or _is_own_place(paths, kind, path, document)):
            values[document.key], held[document.key] = document.value, document.commit
    for number, changes in commits:
        for change in changes:
            if isinstance(change, ValueChange) and change.kind == kind and number > held.get(change.key, 0):
                values[change.key] = _value_of(change)
    return values


def _is_own_place(paths: RunPaths, kind: str, path: str, document: ValueDocument) -> bool:
    # 0.1.0 puts a key such as "a%20b" into another file than we do; what we wrote is the newer.
    return paths.document(kind, document.key) == path


def _value_of(change: ValueChange) -> Any:
    import json

    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)


# -- metrics -----------------------------------------------------------------------------------------------------


def _read_last_values(paths: RunPaths, commits: Commits) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    held: Dict[str, int] = {}
    for path, stem in _documents(paths, METRICS):
        document = _read_document(path, stem, parse_first_line, _read_first_line)
        if document is not None:
            values[document.key], held[document.key] = document.value, document.commit
    for number, changes in commits:
        for change in changes:
            if isinstance(change, MetricChange) and number > held.get(change.key, 0):
                values[change.key] = change.value
    return values


def _new_points(commits: Commits, key: str, above: int) -> List[NewPoint]:
    return [
        (change.value, change.step, change.timestamp)
        for number, changes in commits
        if number > above
        for change in changes
        if isinstance(change, MetricChange) and change.key == key
    ]


def _read_metric(
    paths: RunPaths, key: str, parse: Callable[[bytes, str, str], MetricDocument], read: Callable[[str], bytes]
) -> Optional[MetricDocument]:
    try:
        check_folder(paths.kind_folder(METRICS))
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(error)
        return None
    return _read_document(paths.document(METRICS, key), key, parse, read)


def _read_document(path: str, stem: str, parse: Callable[[bytes, str, str], Any], read: Callable[[str], bytes]) -> Any:
    try:
        return parse(read(path), path, stem)
    except FileNotFoundError:
        return None
    except (DamagedFileError, OSError) as error:
        _warn(error)
        return None


def _read_whole(path: str) -> bytes:
    return read_file(path)


def _read_first_line(path: str) -> bytes:
    head = read_head(path, _HEAD_BYTES)
    return head if b"\n" in head or len(head) < _HEAD_BYTES else read_file(path)


def _read_sealed(paths: RunPaths, document: MetricDocument, give_up: bool) -> Optional[List[Point]]:
    """The points of the sealed files; None if one was merged meanwhile and the document must be read again."""
    points: List[Point] = []
    for first, last in document.sealed:
        path = paths.sealed(document.key, first, last)
        try:
            points += decode_points(check_sealed(read_file(path), (first, last), path), path)
        except FileNotFoundError as error:
            if not give_up:
                return None
            _warn(error)
        except (DamagedFileError, OSError) as error:
            _warn(error)
    return points


def _history_in_snapshot(snapshot: Optional[Snapshot], key: str) -> List[Point]:
    summary = snapshot.metrics.get(key) if snapshot is not None else None
    if summary is None:
        raise KeyError(key)
    if summary.get("count") != 1:
        return []
    return [Point(int(summary["step"]), float(to_nonfinite(summary["value"])), int(summary["timestamp"]))]


