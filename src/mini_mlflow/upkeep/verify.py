"""A whole tree, read and judged: `verify` returns everything that is wrong, and changes nothing.

It takes no lock, writes nothing, works on a read-only tree, and may run beside writers. Most of what it tells is
certain after one look, since files are replaced whole. What rests on several files is only doubted, and told if a
second look finds it too (`upkeep.confirming`).

Not found out: values that flipped into other valid values, runs and keys that are gone without a trace, what the
bytes of an artifact should be, and what stands in ``.trash``.

Memory holds the names and findings of one run, its documents without their points, and the points of one sealed file.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Iterator, List

from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.disk.layout import ARTIFACTS, LOCKS, LOG, METRICS, PARAMS, TAGS, RunPaths, resolve_root
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import InvalidKeyError, InvalidValueError
from mini_mlflow.upkeep.artifact_look import look_at_artifacts
from mini_mlflow.upkeep.confirming import iter_confirmed
from mini_mlflow.upkeep.document_look import look_at_values
from mini_mlflow.upkeep.entries import Entry, is_file, is_folder, iter_entries, note_foreign
from mini_mlflow.upkeep.findings import Finding, Look
from mini_mlflow.upkeep.log_look import look_at_log, look_for_documents_ahead, look_for_documents_of_log
from mini_mlflow.upkeep.metric_look import look_at_metrics
from mini_mlflow.upkeep.owners import look_at_owner
from mini_mlflow.upkeep.run_look import RunLook, look_at_entries, look_at_meta
from mini_mlflow.upkeep.snapshot_look import compare_snapshot, look_at_snapshot

_TRASH = ".trash"
_EXPERIMENT = "experiment.yaml"


def verify(runs_dir: Any) -> List[Finding]:
    """Everything that is wrong with a tree, sorted by path; [] if nothing is.

    Args:
        runs_dir: the tree's path, a str or a path.

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: there is no such folder, or it cannot be listed.
        InvalidTypeError, InvalidValueError: not a path.
    """
    return sorted(iter_findings(runs_dir))


def iter_findings(runs_dir: Any) -> Iterator[Finding]:
    """The same, one at a time as they are found, run by run in no order: for trees with much that is wrong."""
    root = resolve_root(runs_dir)
    with os.scandir(root):
        look = Look(root)
    # The tree itself may stand behind a link, as no part of it may.
    for entry in iter_entries(look, os.path.realpath(root)):
        yield from _find_in_root(look, entry._replace(path=os.path.join(root, entry.name)))
        yield from look.drain()


def _find_in_root(look: Look, entry: Entry) -> Iterator[Finding]:
    if entry.name in (LOCKS, _TRASH):
        if is_folder(look, entry) and entry.name == LOCKS:
            yield from _find_in_locks(look, entry.path)
        return
    try:
        experiment_id = check_experiment_id(entry.name)
    except InvalidValueError:
        note_foreign(look, entry, "a tree")
        return
    if is_folder(look, entry):
        yield from _find_in_experiment(look, entry.path, experiment_id)


def _find_in_locks(look: Look, folder: str) -> Iterator[Finding]:
    for experiment in iter_entries(look, folder):
        if not _is_experiment(experiment.name):
            note_foreign(look, experiment, "the folder of locks")
        elif is_folder(look, experiment):
            for entry in iter_entries(look, experiment.path):
                _look_at_lock(look, entry)
                yield from look.drain()


def _is_experiment(name: str) -> bool:
    try:
        check_experiment_id(name)
    except InvalidValueError:
        return False
    return True


def _look_at_lock(look: Look, entry: Entry) -> None:
    if not entry.name.endswith((".lock", ".owner")):
        note_foreign(look, entry, "the folder of locks")
    elif is_file(look, entry, lock=True) and entry.size_bytes:
        message = "it holds %d bytes that nobody reads; empty it while no process uses the tree" % entry.size_bytes
        look.note(entry.path, "lock-not-empty", message)


def _find_in_experiment(look: Look, folder: str, experiment_id: int) -> Iterator[Finding]:
    for entry in iter_entries(look, folder):
        if stat.S_ISREG(entry.mode):
            if entry.name != _EXPERIMENT:
                note_foreign(look, entry, "an experiment")
        elif is_folder(look, entry):
            try:
                run_id = check_run_id(entry.name)
            except InvalidKeyError:
                note_foreign(look, entry, "an experiment (its name is no run id)")
            else:
                yield from _find_in_run(RunPaths.of(RunAddress(look.root, experiment_id, run_id)), entry)
        yield from look.drain()


def _find_in_run(paths: RunPaths, entry: Entry) -> Iterator[Finding]:
    first = _look_at_run(paths, deep=True)
    if not first.is_run:
        note_foreign(first, entry, "an experiment (it is no run)")
    yield from first.findings
    yield from iter_confirmed(first, paths.run_lock, lambda: _look_at_run(paths, deep=False))


def _look_at_run(paths: RunPaths, deep: bool) -> RunLook:
    look = RunLook(paths, deep)
    parts = look_at_entries(look)
    if ARTIFACTS in parts and deep:
        look_at_artifacts(look)
    if look.is_run:
        look_at_meta(look)
    if not (look.is_run and look.is_known):
        return look
    look_at_snapshot(look)
    if LOG in parts:
        look_at_log(look)
    for kind in (PARAMS, TAGS):
        if kind in parts:
            look_at_values(look, kind)
    if METRICS in parts:
        look_at_metrics(look)
    look_for_documents_of_log(look)
    look_for_documents_ahead(look)
    compare_snapshot(look)
    look_at_owner(look)
    return look
