"""One run as it stands, read without a lock while others write.

The order makes it right: first the log, then the documents. A commit at or below a document's number is in it
already; a commit file that is gone between listing and opening has been folded into documents that were not read yet;
and a sealed file that is gone has been merged, so the metric's document is read again. An ended run stands in its
snapshot, one small file.

What stood together must be seen together: a run is read again if a document is ahead of the log that was read, or if
the names of the documents changed meanwhile (the first value of a key may be a document at once, and no commit). And
its folder is held, so that a run which is deleted meanwhile, and perhaps restored, is read whole or not at all.

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
from mini_mlflow.formats.history import MetricDocument, parse_first_line
from mini_mlflow.formats.points import NewPoint
from mini_mlflow.formats.values import decode_value, to_nonfinite
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    documents,
    held,
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
        summaries: key to ``{"value", "step", "timestamp", "count", "min", "max"}`` of the same metrics, the timestamp
            in milliseconds; of an ended run with its numbers as JSON says them.
    """

    metadata: Dict[str, Any]
    params: Dict[str, Any]
    metrics: Dict[str, Any]
    tags: Dict[str, Any]
    summaries: Dict[str, Dict[str, Any]]


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
        return RunView(snapshot.metadata, snapshot.params, metrics, snapshot.tags, snapshot.metrics)
    with held(paths) as standing:
        return _read_documents_and_log(standing)


def _read_documents_and_log(paths: RunPaths) -> RunView:
    metadata = _read_live_metadata(paths)
    for _ in range(_OVERTAKEN_AT_MOST):
        numbers = list_log(paths)
        commits = read_log(paths, numbers)
        listed = _list_documents(paths)
        found = {kind: _read_documents(paths, kind, listed[kind]) for kind in listed}
        ahead = numbers and any(document.commit > numbers[-1] for documents in found.values() for document in documents)
        if not ahead and _list_documents(paths) == listed and (numbers or not list_log(paths)):
            break
    values = {kind: {document.key: document.value for document in found[kind]} for kind in VALUE_KINDS}
    _apply(commits, found, values)
    summaries = _sum_up(commits, found[METRICS])
    metrics = {key: summary["value"] for key, summary in summaries.items()}
    return RunView(metadata, values["params"], metrics, values["tags"], summaries)


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
    """``values`` hold the params and tags that the commits say and the documents do not hold yet."""
    folded = {(kind, document.key): document.commit for kind in values for document in found[kind]}
    for number, changes in commits:
        for change in changes:
            if isinstance(change, ValueChange) and number > folded.get((change.kind, change.key), 0):
                values[change.kind][change.key] = _value_of(change)


def _sum_up(commits: Commits, documents: List[MetricDocument]) -> Dict[str, Dict[str, Any]]:
    """Of each metric its summary, with the points of the commits that its document does not hold yet."""
    summed = {document.key: document for document in documents}
    new: Dict[str, List[NewPoint]] = {}
    for number, changes in commits:
        for change in changes:
            if isinstance(change, MetricChange):
                document = summed.get(change.key)
                if number > (document.commit if document is not None else 0):
                    new.setdefault(change.key, []).append((change.value, change.step, change.timestamp))
    for key, points in new.items():
        summed[key] = summed.get(key, MetricDocument(key)).appended(points, 0)
    return {key: _summary(document) for key, document in summed.items()}


def _summary(document: MetricDocument) -> Dict[str, Any]:
    return {
        "value": document.value,
        "step": document.step,
        "timestamp": document.timestamp,
        "count": document.count,
        "min": document.minimum,
        "max": document.maximum,
    }


def _value_of(change: ValueChange) -> Any:
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)
