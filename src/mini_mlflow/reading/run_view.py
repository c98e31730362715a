"""One run as it stands, read without a lock while others write.

The order makes it right: first the log, then the documents. A commit at or below a document's number is in it
already; a commit file that is gone between listing and opening has been folded into documents that were not read yet;
and a sealed file that is gone has been merged, so the metric's document is read again. An ended run stands in its
snapshot, one small file.

Damaged files are skipped, with a warning that names them; everything else is read all the same.
"""

from __future__ import annotations

import json
import platform
from typing import Any, Dict, NamedTuple

from mini_mlflow.disk.layout import METRICS, RunPaths
from mini_mlflow.disk.locks import is_held
from mini_mlflow.disk.regular import read_file, read_head
from mini_mlflow.entities import CRASHED, RUNNING, UNKNOWN
from mini_mlflow.formats.commits import VALUE_KINDS, MetricChange, ValueChange
from mini_mlflow.formats.documents import parse_meta, parse_value_document
from mini_mlflow.formats.history import parse_first_line
from mini_mlflow.formats.values import decode_value, to_nonfinite
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    documents,
    read_document,
    read_log,
    read_snapshot,
)

_HEAD_BYTES = 4096


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
    metadata = _read_live_metadata(paths)
    commits = read_log(paths)
    values = {kind: _read_values(paths, kind, commits) for kind in VALUE_KINDS}
    return RunView(metadata, values["params"], _read_last_values(paths, commits), values["tags"])


def read_stored_metadata(paths: RunPaths) -> Dict[str, Any]:
    """What `read_run` has as metadata, without asking whether the owner lives. For listings; raises the same."""
    check_folders(paths)
    snapshot = read_snapshot(paths)
    return snapshot.metadata if snapshot is not None else parse_meta(read_file(paths.meta), paths.meta)


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


# 0.1.0 puts a key such as "a%20b" into another file than we do. Where both stand, what we wrote is the newer.


def _read_values(paths: RunPaths, kind: str, commits: Commits) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    held: Dict[str, int] = {}
    for path, stem in documents(paths, kind):
        document = read_document(path, stem, parse_value_document)
        if document is not None and (document.key not in values or paths.document(kind, document.key) == path):
            values[document.key], held[document.key] = document.value, document.commit
    for number, changes in commits:
        for change in changes:
            if isinstance(change, ValueChange) and change.kind == kind and number > held.get(change.key, 0):
                values[change.key] = _value_of(change)
    return values


def _value_of(change: ValueChange) -> Any:
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)


def _read_last_values(paths: RunPaths, commits: Commits) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    held: Dict[str, int] = {}
    for path, stem in documents(paths, METRICS):
        document = read_document(path, stem, parse_first_line, _read_first_line)
        if document is not None and (document.key not in values or paths.document(METRICS, document.key) == path):
            values[document.key], held[document.key] = document.value, document.commit
    for number, changes in commits:
        for change in changes:
            if isinstance(change, MetricChange) and number > held.get(change.key, 0):
                values[change.key] = change.value
    return values


def _read_first_line(path: str) -> bytes:
    head = read_head(path, _HEAD_BYTES)
    return head if b"\n" in head or len(head) < _HEAD_BYTES else read_file(path)
