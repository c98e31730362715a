"""One run as it stands, read without a lock while others write.

The order makes it right: first the log, then the documents. A commit at or below a document's number is in it
already; a commit file that is gone between listing and opening has been folded into documents that were not read yet;
and a sealed file that is gone has been merged, so the metric's document is read again. An ended run stands in its
snapshot, one small file.

What stood together must be seen together: a run is read again if a document is ahead of the log that was read, or if
the names of the documents changed meanwhile (the first value of a key may be a document at once, and no commit), or
its folder may have been elsewhere for a moment (deleted and restored: what was looked for then seemed not to be there).

Damaged files are skipped, with a warning that names them; everything else is read all the same.
"""

from __future__ import annotations

import json
import platform
from typing import Any, Dict, List, NamedTuple, Tuple

from mini_mlflow.disk.layout import METRICS, RunPaths
from mini_mlflow.disk.locks import is_held
from mini_mlflow.disk.regular import read_file, read_first_line
from mini_mlflow.entities import CRASHED, RUNNING, UNKNOWN
from mini_mlflow.formats.commits import VALUE_KINDS, MetricChange, ValueChange
from mini_mlflow.formats.documents import parse_meta, parse_value_document
from mini_mlflow.formats.history import parse_first_line
from mini_mlflow.formats.values import decode_value, to_nonfinite
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    documents,
    identify_folder,
    list_log,
    read_document,
    read_log,
    read_snapshot,
    read_snapshot_metadata,
)

Listed = List[Tuple[str, str]]
# Documents are replaced ten times a second at the most; a reader is not overtaken this often in a row.
_OVERTAKEN_AT_MOST = 20
# Nor is a run ended and resumed so often in the time of as many looks.
_RESUMED_AT_MOST = 3


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
    check_folders(paths)
    snapshot = read_snapshot(paths)
    if snapshot is not None:
        metrics = {key: to_nonfinite(summary.get("value")) for key, summary in snapshot.metrics.items()}
        return RunView(snapshot.metadata, snapshot.params, metrics, snapshot.tags)
    folder = None
    for _ in range(_OVERTAKEN_AT_MOST):
        now = identify_folder(paths)
        if now != folder:
            folder, metadata = now, _read_live_metadata(paths)
        numbers = list_log(paths)
        commits = read_log(paths, numbers)
        listed = _list_documents(paths)
        found = {kind: _read_documents(paths, kind, listed[kind]) for kind in listed}
        ahead = numbers and any(document.commit > numbers[-1] for documents in found.values() for document in documents)
        whole = not ahead and _list_documents(paths) == listed and (numbers or not list_log(paths))
        if identify_folder(paths) == folder and whole:
            break
    values = {kind: {document.key: document.value for document in documents} for kind, documents in found.items()}
    _apply(commits, found, values)
    return RunView(metadata, values["params"], values[METRICS], values["tags"])


def read_stored_metadata(paths: RunPaths) -> Dict[str, Any]:
    """What `read_run` has as metadata, without asking whether the owner lives; of a run whose folders are folders.

    For listings, which know that already. Raises FileNotFoundError and DamagedFileError as `read_run`.
    """
    metadata = read_snapshot_metadata(paths)
    return metadata if metadata is not None else parse_meta(read_file(paths.meta), paths.meta)


def _read_live_metadata(paths: RunPaths) -> Dict[str, Any]:
    metadata = parse_meta(read_file(paths.meta), paths.meta)
    for _ in range(_RESUMED_AT_MOST):
        if metadata.get("status") != RUNNING or is_held(paths.owner_lock) is not False:
            return metadata
        # The run may have ended since: then its owner gave up the lock after saying so. And it may have been resumed
        # since that: then RUNNING says nothing of the lock that was free before, and the lock is looked at again.
        snapshot = read_snapshot(paths)
        metadata = snapshot.metadata if snapshot is not None else parse_meta(read_file(paths.meta), paths.meta)
    if metadata.get("status") == RUNNING:
        here = metadata.get("host") in (None, platform.node())
        metadata["status"] = CRASHED if here else UNKNOWN
    return metadata


def _list_documents(paths: RunPaths) -> Dict[str, Listed]:
    return {kind: documents(paths, kind) for kind in (*VALUE_KINDS, METRICS)}


def _read_documents(paths: RunPaths, kind: str, listed: Listed) -> List[Any]:
    """The documents of a kind, one a key; without their points."""
    found: Dict[str, Any] = {}
    for path, stem in listed:
        if kind == METRICS:
            document = read_document(path, stem, parse_first_line, read_first_line)
        else:
            document = read_document(path, stem, parse_value_document)
        # 0.1.0 puts a key such as "a%20b" into another file than we do. Where both stand, ours is the newer.
        if document is not None and (document.key not in found or paths.document(kind, document.key) == path):
            found[document.key] = document
    return list(found.values())


def _apply(commits: Commits, found: Dict[str, List[Any]], values: Dict[str, Dict[str, Any]]) -> None:
    """``values`` hold what the commits say that the documents do not hold yet."""
    held = {(kind, document.key): document.commit for kind, documents in found.items() for document in documents}
    for number, changes in commits:
        for change in changes:
            kind = change.kind if isinstance(change, ValueChange) else METRICS
            if number > held.get((kind, change.key), 0):
                values[kind][change.key] = change.value if isinstance(change, MetricChange) else _value_of(change)


def _value_of(change: ValueChange) -> Any:
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)
