"""What the params and tags of a run are now, after all that was committed. For the holder of the run's lock."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Optional

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import DamagedFileError, OutsideTreeError
from mini_mlflow.formats.commits import ValueChange
from mini_mlflow.formats.documents import ValueDocument, parse_value_document
from mini_mlflow.formats.values import DELETED, decode_value
from mini_mlflow.writing.run_files import RunFiles


def read_current(files: RunFiles, kind: str, keys: Iterable[str]) -> Dict[str, Any]:
    """Of ``keys``, those that are set, with their values; ``files.log`` has just been looked at.

    What cannot be read is not set, as it is for readers.

    Raises:
        OSError: what the system refuses.
    """
    wanted = set(keys)
    if not wanted:
        return {}
    log = files.log
    commits = log.changes(range(log.floor + 1, (log.last or 0) + 1))
    newest: Dict[str, Any] = {}
    for number in sorted(commits):
        for change in commits[number]:
            if isinstance(change, ValueChange) and change.kind == kind and change.key in wanted:
                newest[change.key] = (number, change)
    found = {}
    for key in wanted:
        document = _read(files.paths, kind, key)
        number, last = newest.get(key, (-1, None))
        if last is not None and (document is None or document.commit < number):
            found[key] = _decode(last)
        elif document is not None:
            found[key] = document.value
    return {key: value for key, value in found.items() if value is not DELETED}


def _read(paths: RunPaths, kind: str, key: str) -> Optional[ValueDocument]:
    # Ours first: where 0.1.0 spelled the name of the file differently and both stand, it is the newer.
    for path in (paths.document(kind, key), paths.legacy_document(kind, key)):
        try:
            document = parse_value_document(read_file(path), path, key) if path is not None else None
        except (FileNotFoundError, DamagedFileError, OutsideTreeError):
            continue
        if document is not None and document.key == key:
            return document
    return None


def _decode(change: ValueChange) -> Any:
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)
