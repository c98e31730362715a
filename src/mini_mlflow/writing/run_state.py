"""What the files of a run say of the run as a whole, for its writers: whether it has ended, which number came last."""

from __future__ import annotations

import errno
import os
from typing import Any, Dict, Mapping, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import LOG, METRICS, PARAMS, TAGS, RunPaths, document_stem
from mini_mlflow.disk.regular import exists, list_folder, read_file, read_first_line
from mini_mlflow.entities import RUNNING, RunAddress
from mini_mlflow.errors import DamagedFileError, RunDeletedError, RunEndedError, RunNotFoundError
from mini_mlflow.formats.documents import Snapshot, parse_meta, parse_snapshot, parse_value_document
from mini_mlflow.formats.history import parse_first_line
from mini_mlflow.writing.experiment_files import is_deleted
from mini_mlflow.writing.seen import Seen


def check_folders(paths: RunPaths) -> None:
    """Returns if the run's folders are real folders.

    Raises:
        FileNotFoundError: there is no such run.
        OutsideTreeError: a link stands where one of its folders should be; nothing must be written through it.
    """
    atomic.check_folder(paths.experiment)
    atomic.check_folder(paths.folder)
    for kind in (LOG, PARAMS, METRICS, TAGS):
        try:
            atomic.check_folder(paths.kind_folder(kind))
        except FileNotFoundError:
            continue


def read_meta(paths: RunPaths, seen: Seen) -> Dict[str, Any]:
    """What ``meta.yaml`` says. Raises FileNotFoundError, OutsideTreeError, or DamagedFileError if it cannot be read."""
    path = paths.meta
    meta: Dict[str, Any] = seen.parsed(path, read_file(path), lambda data: parse_meta(data, path))
    return meta


def read_snapshot(paths: RunPaths) -> Optional[Snapshot]:
    """The snapshot; None if there is none, or none that is whole."""
    try:
        return parse_snapshot(read_file(paths.snapshot), paths.snapshot)
    except (FileNotFoundError, DamagedFileError):
        return None


def read_state(paths: RunPaths, seen: Seen) -> Dict[str, Any]:
    """What holds: what the snapshot says of a run that has one, else ``meta.yaml``.

    With a snapshot, ``meta.yaml`` is not looked at: its last version need not have survived a power cut.

    Raises:
        RunDeletedError: it is not there, and lies in the trash.
        FileNotFoundError, OutsideTreeError, DamagedFileError: as `check_folders` and `read_meta`.
    """
    try:
        check_folders(paths)
        snapshot = read_snapshot(paths)
        return snapshot.metadata if snapshot is not None else read_meta(paths, seen)
    except FileNotFoundError as error:
        raise explain(paths, error) from None


def not_found(address: RunAddress) -> RunNotFoundError:
    """The error that names the run, its experiment and the tree, and what helps if it was deleted."""
    paths = RunPaths.of(address)
    text = "Run %r not found in experiment %d" % address[2:0:-1]
    if is_deleted(*address[:2]):
        text += ": the experiment has been deleted, and restore_experiment(%d) brings it back" % address.experiment_id
    elif exists(paths.trashed):
        text += ": it has been deleted, and restore_run(%r) brings it back" % address.run_id
    return RunNotFoundError(errno.ENOENT, text, paths.folder)


def read_live_state(paths: RunPaths, seen: Seen) -> Dict[str, Any]:
    """The same, of a run that has not ended. Raises RunEndedError ("Cannot log") if it has, and as `read_state`."""
    state = read_state(paths, seen)
    if state.get("status", RUNNING) != RUNNING:
        raise cannot_log(paths, state.get("status"))
    return state


def explain(paths: RunPaths, error: Exception) -> Exception:
    """``error``; or what the caller must be told instead, if files are missing since the run was deleted."""
    if isinstance(error, FileNotFoundError) and exists(paths.trashed) and not exists(paths.meta):
        _, number, run_id = paths.address
        remedy = "restore_experiment(%d)" % number if is_deleted(*paths.address[:2]) else "restore_run(%r)" % run_id
        return RunDeletedError(
            "Cannot log to run %r: it has been deleted; %s brings it back, gc() removes it for good" % (run_id, remedy)
        )
    return error


def deleted_meanwhile(paths: RunPaths) -> RunDeletedError:
    """The error of a call that was at work while the run was deleted; it may have been restored since."""
    run_id = paths.address.run_id
    return RunDeletedError(
        "Cannot log to run %r: it was deleted meanwhile, and nothing was stored; log it again, after restore_run(%r) "
        "if the run still lies in the trash" % (run_id, run_id)
    )


def cannot_log(paths: RunPaths, status: Any) -> RunEndedError:
    """The error of a log call to a run that has ended with ``status``."""
    run_id = paths.address.run_id
    return RunEndedError(
        "Cannot log to run %r: it has ended with status %s; start_run(run_id=%r) resumes it" % (run_id, status, run_id)
    )


def last_commit(meta: Mapping[str, Any]) -> int:
    """The highest commit number that ``meta`` remembers, from the end of a run; 0 if it remembers none."""
    commit = meta.get("commit", 0)
    return commit if isinstance(commit, int) else 0


def highest_in_documents(paths: RunPaths, meta: Mapping[str, Any]) -> int:
    """The highest commit number that ``meta`` or any document claims to hold; 0 if none does."""
    highest = last_commit(meta)
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
