"""What the files of a run say of the run as a whole, for its writers: whether it has ended, which number came last."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import LOG, METRICS, PARAMS, TAGS, RunPaths, document_stem
from mini_mlflow.disk.regular import list_folder, read_file, read_first_line
from mini_mlflow.errors import DamagedFileError, RunEndedError
from mini_mlflow.formats.documents import Snapshot, parse_meta, parse_snapshot, parse_value_document
from mini_mlflow.formats.history import parse_first_line


def read_meta(paths: RunPaths) -> Dict[str, Any]:
    """What ``meta.yaml`` says, of a run whose folders are real folders.

    Raises:
        FileNotFoundError: there is no such run.
        OutsideTreeError: a link stands where one of its folders should be; nothing must be written through it.
        DamagedFileError: ``meta.yaml`` cannot be read.
    """
    atomic.check_folder(os.path.dirname(paths.folder))
    atomic.check_folder(paths.folder)
    for kind in (LOG, PARAMS, METRICS, TAGS):
        try:
            atomic.check_folder(paths.kind_folder(kind))
        except FileNotFoundError:
            continue
    return parse_meta(read_file(paths.meta), paths.meta)


def read_snapshot(paths: RunPaths) -> Optional[Snapshot]:
    """The snapshot; None if there is none, or none that is whole."""
    try:
        return parse_snapshot(read_file(paths.snapshot), paths.snapshot)
    except (FileNotFoundError, DamagedFileError):
        return None


def read_state(paths: RunPaths) -> Dict[str, Any]:
    """What holds: what the snapshot says of a run that has one, else ``meta.yaml``. Raises as `read_meta`."""
    meta, damage = None, None
    try:
        meta = read_meta(paths)
    except DamagedFileError as error:
        # A power cut may have left nothing of it: it was a new name once, and need not have been synced.
        damage = error
    snapshot = read_snapshot(paths)
    if snapshot is not None:
        return snapshot.metadata
    if meta is None:
        assert damage is not None
        raise damage
    return meta


def cannot_log(paths: RunPaths, status: Any) -> RunEndedError:
    """The error of a log call to a run that has ended with ``status``."""
    run_id = paths.address.run_id
    return RunEndedError(
        "Cannot log to run %r: it has ended with status %s; start_run(run_id=%r) resumes it" % (run_id, status, run_id)
    )


def highest_in_documents(paths: RunPaths, meta: Mapping[str, Any]) -> int:
    """The highest commit number that ``meta`` or any document claims to hold; 0 if none does."""
    commit = meta.get("commit", 0)
    highest = commit if isinstance(commit, int) else 0
    for kind in (PARAMS, METRICS, TAGS):
        for name in list_folder(paths.kind_folder(kind)):
            stem = document_stem(name)
            if stem is not None:
                highest = max(highest, _commit_in(kind, os.path.join(paths.kind_folder(kind), name), stem))
    return highest


def _commit_in(kind: str, path: str, stem: str) -> int:
    try:
        if kind == METRICS:
            return parse_first_line(read_first_line(path), path, stem).commit
        return parse_value_document(read_file(path), path, stem).commit
    except (DamagedFileError, OSError):
        # A document that says nothing cannot claim a number.
        return 0
