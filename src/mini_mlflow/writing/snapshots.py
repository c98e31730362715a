"""The snapshot of an ended run: gathered from its documents, and given back to them when the run is resumed.

The snapshot is synced, so what it holds whole (params, tags, metrics of one point) need not be synced on its own when
a run ends. The price is paid by `restore`: before a snapshot is removed, each of those documents must be whole.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Dict, List, Mapping, NamedTuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import quote_key
from mini_mlflow.disk.layout import META, METRICS, RunPaths, document_stem
from mini_mlflow.disk.regular import list_folder, read_file, read_first_line
from mini_mlflow.entities import Point
from mini_mlflow.errors import (
    DamagedFileError,
    DamagedFileWarning,
    InvalidTypeError,
    InvalidValueError,
    OutsideTreeError,
)
from mini_mlflow.formats.commits import VALUE_KINDS
from mini_mlflow.formats.documents import (
    Snapshot,
    dump_meta,
    dump_snapshot,
    dump_value_document,
    parse_value_document,
)
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line
from mini_mlflow.formats.latest import parse_latest, unless_last
from mini_mlflow.formats.values import DELETION, Encoded, encode_value, to_nonfinite
from mini_mlflow.writing.pending import Place
from mini_mlflow.writing.run_state import last_commit, read_meta
from mini_mlflow.writing.seen import Seen, StoredValue

_UNREADABLE = (DamagedFileError, OutsideTreeError, InvalidTypeError, InvalidValueError)


class Gathered(NamedTuple):
    """What the documents of a run hold.

    Attributes:
        values: for "params" and "tags", key to value; without the tags that were deleted.
        deleted: the places of those.
        metrics: key to document, without its points.
        commit: the highest commit that any document claims to hold; 0 if none does.
    """

    values: Dict[str, Dict[str, Encoded]]
    deleted: List[Place]
    metrics: Dict[str, MetricDocument]
    commit: int

    def dump(self, metadata: Mapping[str, Any]) -> bytes:
        """The snapshot."""
        return dump_snapshot(metadata, self.values, self.metrics)

    def beside_snapshot(self) -> List[Place]:
        """The places of what the snapshot does not hold whole: longer histories, and tags that were deleted, which
        documents from before the deletion would bring back."""
        longer = (key for key, document in self.metrics.items() if document.count != 1 or document.hidden)
        return [*self.deleted, *((METRICS, key) for key in longer)]


def gather_documents(paths: RunPaths, seen: Seen) -> Gathered:
    """All documents of the run, read; damaged ones are left out, with a warning.

    Raises:
        OSError: what the system refuses.
    """
    values: Dict[str, Dict[str, Encoded]] = {}
    deleted: List[Place] = []
    highest = 0
    for kind in VALUE_KINDS:
        found = _read_all(paths, kind, _read_value, seen)
        values[kind] = {key: one.encoded for key, one in found.items() if one.encoded != DELETION}
        deleted += [(kind, key) for key in found if key not in values[kind]]
        highest = max([highest, *(one.commit for one in found.values())])
    metrics = _read_all(paths, METRICS, _read_summary, seen)
    return Gathered(values, deleted, metrics, max([highest, *(one.commit for one in metrics.values())]))


def _read_all(paths: RunPaths, kind: str, read: Callable[[str, str, Seen], Any], seen: Seen) -> Dict[str, Any]:
    folder = paths.kind_folder(kind)
    found: Dict[str, Any] = {}
    for name in sorted(list_folder(folder)):
        stem = document_stem(name)
        if stem is not None:
            path = "%s/%s" % (folder, name)
            try:
                one = read(path, stem, seen)
            except _UNREADABLE as error:
                warnings.warn("left out of the snapshot: %s" % error, DamagedFileWarning, stacklevel=2)
                continue
            # 0.1.0 puts a key such as "a%b" into another file than we do. Where both stand, ours is the newer.
            if one.key not in found or stem == quote_key(one.key):
                found[one.key] = one
    return found


def _read_value(path: str, stem: str, seen: Seen) -> Any:
    return seen.parsed(path, read_file(path), lambda data: _parse_value(data, path, stem))


def _parse_value(data: bytes, path: str, stem: str) -> StoredValue:
    document = parse_value_document(data, path, stem)
    return StoredValue(document.key, encode_value(document.value, path), document.commit)


def _read_summary(path: str, stem: str, seen: Seen) -> Any:
    return seen.parsed(path, read_first_line(path), lambda data: parse_first_line(data, path, stem))


def restore_documents(paths: RunPaths, snapshot: Snapshot, commit: int, sync: bool) -> None:
    """Every param, tag and one-point metric of the snapshot has a whole document; with ``sync``, on the medium.

    Args:
        commit: the number that rebuilt documents carry: the run's last.

    Raises:
        OSError: with ``filename`` set; nothing is lost, the snapshot is still there.
    """
    take_back_points(paths, snapshot, sync)
    time_text = str(snapshot.metadata.get("end_time") or "")
    kept: List[str] = []
    for kind, values in (("params", snapshot.params), ("tags", snapshot.tags)):
        for key, value in values.items():
            path = paths.document(kind, key)
            encoded = encode_value(value, path)
            # A power cut may also have brought back a document from before the last write, whole.
            found = _parsed(path, key, _parse_value)
            if found is None or found[:2] != (key, encoded):
                _write(paths.kind_folder(kind), path, dump_value_document(key, encoded, time_text, commit))
            kept.append(path)
    for key, summary in snapshot.metrics.items():
        if summary["count"] == 1:
            path = paths.document(METRICS, key)
            point = (float(to_nonfinite(summary["value"])), int(summary["step"]), int(summary["timestamp"]))
            wanted = MetricDocument(key).appended([point], commit)
            found = _parsed(path, key, parse_document)
            # Points are never taken back: a document with more of them is newer, or the snapshot's count was flipped.
            if found is None or (found.count < 2 and (found.count, found.points) != (1, wanted.points)):
                _write(paths.kind_folder(METRICS), path, wanted.dump())
            kept.append(path)
    if sync:
        for path in kept:
            atomic.sync_file(path)
        for folder in sorted({os.path.dirname(path) for path in kept}):
            atomic.sync_folder(folder)


def take_back_points(paths: RunPaths, snapshot: Snapshot, sync: bool) -> None:
    """No document has points of a change whose snapshot never stood (`ended_snapshots`); with ``sync``, for good.

    Raises:
        OSError: with ``filename`` set; some may have them still.
    """
    folder = paths.kind_folder(METRICS)
    taken_back = False
    for key, told in snapshot.metrics.items():
        path = paths.document(METRICS, key)
        try:
            head = parse_first_line(read_first_line(path), path, key)
            if head.commit <= last_commit(snapshot.metadata) or head.count <= told["count"]:
                continue
            document = parse_document(read_file(path), path, key)
        except (FileNotFoundError, *_UNREADABLE):
            continue
        # By its number and its count; either alone may be wrong. Such a change seals nothing.
        if document.sealed_count <= told["count"]:
            atomic.write_file(folder, os.path.basename(path), _shorten(document, told, snapshot).dump(), sync)
            taken_back = True
    if taken_back and sync:
        atomic.sync_folder(folder)


def _shorten(document: MetricDocument, told: Mapping[str, Any], snapshot: Snapshot) -> MetricDocument:
    """The document with as many points as the snapshot counts, of which that tells the rest."""
    lines = document.points.split(b",\n")[: told["count"] - document.sealed_count]
    last = Point(told["step"], float(to_nonfinite(told["value"])), told["timestamp"])
    return document._replace(
        count=told["count"],
        commit=last_commit(snapshot.metadata),
        value=last.value,
        step=last.step,
        timestamp=last.timestamp,
        minimum=to_nonfinite(told["min"]),
        maximum=to_nonfinite(told["max"]),
        points=b",\n".join(lines),
        latest=unless_last(parse_latest(told), last),
    )


def restore_meta(paths: RunPaths, meta: Mapping[str, Any], seen: Seen, sync: bool) -> None:
    """``meta.yaml`` says ``meta``, as the snapshot does; with ``sync``, on the medium.

    Without the snapshot, it alone makes the folder a run.

    Raises:
        OSError: with ``filename`` set; nothing is lost, the snapshot is still there.
    """
    try:
        whole = read_meta(paths, seen) == meta
    except (FileNotFoundError, *_UNREADABLE):
        whole = False
    if not whole:
        atomic.write_file(paths.folder, META, dump_meta(meta), sync)
    if sync:
        atomic.sync_file(paths.meta)
        atomic.sync_folder(paths.folder)


def _parsed(path: str, key: str, parse: Callable[[bytes, str, str], Any]) -> Any:
    try:
        return parse(read_file(path), path, key)
    except (FileNotFoundError, *_UNREADABLE):
        return None


def _write(folder: str, path: str, data: bytes) -> None:
    atomic.create_folder(folder)
    atomic.write_file(folder, os.path.basename(path), data, sync=False)
