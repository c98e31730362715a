"""The snapshot of an ended run: gathered from its documents, and given back to them when the run is resumed.

The snapshot is synced, so what it holds whole (params, tags, metrics of one point) need not be synced on its own when
a run ends. The price is paid by `restore`: before a snapshot is removed, each of those documents must be whole.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Dict, List, Mapping, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import quote_key
from mini_mlflow.disk.layout import METRICS, RunPaths, document_stem
from mini_mlflow.disk.regular import list_folder, read_file, read_first_line
from mini_mlflow.errors import (
    DamagedFileError,
    DamagedFileWarning,
    InvalidTypeError,
    InvalidValueError,
    OutsideTreeError,
)
from mini_mlflow.formats.commits import VALUE_KINDS
from mini_mlflow.formats.documents import Snapshot, dump_snapshot, dump_value_document, parse_value_document
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line
from mini_mlflow.formats.values import Encoded, encode_value, to_nonfinite

_UNREADABLE = (DamagedFileError, OutsideTreeError, InvalidTypeError, InvalidValueError)


def gather_snapshot(paths: RunPaths, metadata: Mapping[str, Any]) -> Tuple[bytes, List[str]]:
    """The snapshot's bytes, and the keys of the metrics whose history it does not hold whole.

    Damaged documents are left out, with a warning. Raises OSError for what the system refuses.
    """
    values: Dict[str, Dict[str, Encoded]] = {}
    for kind in VALUE_KINDS:
        values[kind] = _read_all(paths, kind, _read_value)
    metrics = _read_all(paths, METRICS, _read_summary)
    longer = [key for key, document in metrics.items() if document.count != 1]
    return dump_snapshot(metadata, values, metrics), longer


def _read_all(paths: RunPaths, kind: str, read: Callable[[str, str], Tuple[str, Any]]) -> Dict[str, Any]:
    folder = paths.kind_folder(kind)
    found: Dict[str, Any] = {}
    for name in sorted(list_folder(folder)):
        stem = document_stem(name)
        if stem is not None:
            path = os.path.join(folder, name)
            try:
                key, item = read(path, stem)
            except _UNREADABLE as error:
                warnings.warn("left out of the snapshot: %s" % error, DamagedFileWarning, stacklevel=2)
                continue
            # 0.1.0 puts a key such as "a%b" into another file than we do. Where both stand, ours is the newer.
            if key not in found or stem == quote_key(key):
                found[key] = item
    return found


def _read_value(path: str, stem: str) -> Tuple[str, Encoded]:
    document = parse_value_document(read_file(path), path, stem)
    return document.key, encode_value(document.value, path)


def _read_summary(path: str, stem: str) -> Tuple[str, MetricDocument]:
    document = parse_first_line(read_first_line(path), path, stem)
    return document.key, document


def restore_documents(paths: RunPaths, snapshot: Snapshot, commit: int, sync: bool) -> None:
    """Every param, tag and one-point metric of the snapshot has a whole document; with ``sync``, on the medium.

    Args:
        commit: the number that rebuilt documents carry: the run's last.

    Raises:
        OSError: with ``filename`` set; nothing is lost, the snapshot is still there.
    """
    time_text = str(snapshot.metadata.get("end_time") or "")
    kept: List[str] = []
    for kind, values in (("params", snapshot.params), ("tags", snapshot.tags)):
        for key, value in values.items():
            path = paths.document(kind, key)
            encoded = encode_value(value, path)
            # A power cut may also have brought back a document from before the last write, whole.
            if _parsed(path, key, _read_value) != (key, encoded):
                _write(paths.kind_folder(kind), path, dump_value_document(key, encoded, time_text, commit))
            kept.append(path)
    for key, summary in snapshot.metrics.items():
        if summary["count"] == 1:
            path = paths.document(METRICS, key)
            point = (float(to_nonfinite(summary["value"])), int(summary["step"]), int(summary["timestamp"]))
            wanted = MetricDocument(key).appended([point], commit)
            found = _parsed(path, key, _read_metric)
            if found is None or (found.count, found.points) != (1, wanted.points):
                _write(paths.kind_folder(METRICS), path, wanted.dump())
            kept.append(path)
    if sync:
        for path in kept:
            atomic.sync_file(path)
        for folder in sorted({os.path.dirname(path) for path in kept}):
            atomic.sync_folder(folder)


def _parsed(path: str, key: str, read: Callable[[str, str], Any]) -> Any:
    try:
        return read(path, key)
    except (FileNotFoundError, *_UNREADABLE):
        return None


def _read_metric(path: str, stem: str) -> MetricDocument:
    return parse_document(read_file(path), path, stem)


def _write(folder: str, path: str, data: bytes) -> None:
    atomic.create_folder(folder)
    atomic.write_file(folder, os.path.basename(path), data, sync=False)
