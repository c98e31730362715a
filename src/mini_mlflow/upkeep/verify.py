"""A whole tree, read and judged: `verify` returns everything that is wrong, and changes nothing.

The trees that stand within it, of what MLflow keeps beside runs, are part of it.

It takes no lock, writes nothing, works on a read-only tree, and may run beside writers. Most of what it tells is
certain after one look, since files are replaced whole. What rests on several files is only doubted, and told if a
second look finds it too (`upkeep.confirming`).

Not found out: values that flipped into other valid values, runs and keys that are gone without a trace, what the
bytes of an artifact should be, and what stands in ``.quarantine``.

Memory holds the names and findings of one run, its documents without their points, and the points of one sealed file.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Callable, Dict, Iterator, List, Optional

from mini_mlflow.disk.keys import TEMPORARY_PREFIX, check_experiment_id, check_run_id
from mini_mlflow.disk.layout import (
    ARTIFACTS,
    DOCTOR,
    DOCTOR_LOCK,
    EXPERIMENT,
    GC_LOCK,
    IMPORT_LOCK,
    LOCKS,
    LOG,
    METRICS,
    MLFLOW,
    PARAMS,
    QUARANTINE,
    REGISTRY,
    REGISTRY_LOCK,
    TAGS,
    TRASH,
    TREE_LOCK,
    RunPaths,
    resolve_root,
)
from mini_mlflow.disk.locks import is_held
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import InvalidKeyError, InvalidValueError
from mini_mlflow.upkeep.artifact_look import look_at_artifacts
from mini_mlflow.upkeep.confirming import iter_confirmed
from mini_mlflow.upkeep.document_look import look_at_values
from mini_mlflow.upkeep.entries import Entry, is_file, is_folder, iter_entries, note_foreign
from mini_mlflow.upkeep.experiment_look import holds_artifacts, iter_left_standing, look_at_name
from mini_mlflow.upkeep.findings import Finding, Look
from mini_mlflow.upkeep.inner_trees import list_inner_trees, look_at_inner_trees, seen_from
from mini_mlflow.upkeep.log_look import look_at_log, look_for_documents_ahead, look_for_documents_of_log
from mini_mlflow.upkeep.metric_look import look_at_metrics
from mini_mlflow.upkeep.owners import look_at_owner
from mini_mlflow.upkeep.run_look import RunLook, look_at_entries, look_at_meta
from mini_mlflow.upkeep.snapshot_look import compare_snapshot, look_at_snapshot
from mini_mlflow.upkeep.trash_look import iter_remains, look_at_deletion

#: Gives the findings of the run that stands at an entry of its experiment.
FindInRun = Callable[[RunPaths, Entry], Iterator[Finding]]


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
    yield from walk_all(resolve_root(runs_dir), find_in_run)


def walk_all(root: str, visit: FindInRun) -> Iterator[Finding]:
    """The findings of `walk` in the tree and in those that stand within it, all with their paths in the tree."""
    yield from walk(Look(root), visit)
    for tree in list_inner_trees(root):
        for finding in walk(Look(tree), visit):
            yield seen_from(root, tree, finding)


def walk(look: Look, visit: FindInRun) -> Iterator[Finding]:
    """The findings outside of runs, and of each run what ``visit`` gives, in one tree. Raises as `verify` does."""
    with os.scandir(look.root):
        pass
    names: Dict[str, int] = {}
    real = os.path.realpath(look.root)
    # The tree itself may stand behind a link, as no part of it may. In order, for of two names the first is right.
    for entry in sorted(iter_entries(look, real), key=lambda entry: (len(entry.name), entry.name)):
        yield from _find_in_root(look, entry._replace(path=os.path.join(look.root, entry.name)), names, visit)
        yield from look.drain()
    message = "one that was killed while it made an experiment left it; the next one to make an experiment sweeps it"
    yield from iter_remains(look, look.root, _lock(look.root, TREE_LOCK), message)


def _lock(root: str, name: str) -> str:
    return os.path.join(root, LOCKS, name)


def _find_in_root(look: Look, entry: Entry, names: Dict[str, int], visit: FindInRun) -> Iterator[Finding]:
    if entry.name.startswith(DOCTOR):
        if is_held(os.path.join(entry.path, DOCTOR_LOCK)) is not True:
            look.note(entry.path, "temporary", "a doctor that was killed left it; a repair does away with it")
        return
    if entry.name.startswith(TEMPORARY_PREFIX):
        return
    if entry.name in REGISTRY:
        # MLflow's own database, which it locks and replaces as it likes.
        return
    if entry.name == MLFLOW:
        yield from look_at_inner_trees(look, entry)
        return
    if entry.name in (LOCKS, QUARANTINE, TRASH):
        if is_folder(look, entry) and entry.name != QUARANTINE:
            in_locks = entry.name == LOCKS
            yield from _find_in_locks(look, entry.path) if in_locks else _find_in_trash(look, entry.path, visit)
        return
    try:
        experiment_id = check_experiment_id(entry.name)
    except InvalidValueError:
        note_foreign(look, entry, "a tree")
        return
    if is_folder(look, entry):
        yield from _find_in_experiment(look, entry.path, experiment_id, names, visit)


def _find_in_trash(look: Look, folder: str, visit: FindInRun) -> Iterator[Finding]:
    for entry in iter_entries(look, folder):
        if _is_experiment(entry.name):
            if is_folder(look, entry):
                yield from _find_in_experiment(look, entry.path, int(entry.name), None, visit)
        elif not entry.name.startswith(TEMPORARY_PREFIX):
            note_foreign(look, entry, "the trash")
    message = "a gc that was cut short left it; the next gc removes it"
    yield from iter_remains(look, folder, _lock(look.root, GC_LOCK), message)


def _find_in_locks(look: Look, folder: str) -> Iterator[Finding]:
    for experiment in iter_entries(look, folder):
        if experiment.name in (TREE_LOCK, GC_LOCK, REGISTRY_LOCK, IMPORT_LOCK):
            _look_at_lock(look, experiment)
        elif not _is_experiment(experiment.name):
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


def _find_in_experiment(
    look: Look, folder: str, experiment_id: int, names: Optional[Dict[str, int]], visit: FindInRun
) -> Iterator[Finding]:
    """``names`` None: the experiment's part of the trash."""
    for entry in iter_entries(look, folder):
        if entry.name == EXPERIMENT and names is not None:
            look_at_name(look, entry, experiment_id, names)
        elif stat.S_ISREG(entry.mode):
            note_foreign(look, entry, "an experiment")
        elif names is not None and stat.S_ISDIR(entry.mode) and holds_artifacts(entry):
            continue
        elif is_folder(look, entry):
            try:
                run_id = check_run_id(entry.name)
            except InvalidKeyError:
                note_foreign(look, entry, "an experiment (its name is no run id)")
            else:
                where = RunPaths.of if names is not None else RunPaths.in_trash
                yield from visit(where(RunAddress(look.root, experiment_id, run_id)), entry)
        yield from look.drain()
    if names is not None:
        yield from iter_left_standing(look, folder, experiment_id, _lock(look.root, GC_LOCK))


def note_no_run(look: RunLook, entry: Entry) -> None:
    """Notes of a folder among runs that it is none, if so."""
    if not look.is_run:
        note_foreign(look, entry, "an experiment (it is no run)")


def find_in_run(paths: RunPaths, entry: Entry) -> Iterator[Finding]:
    """The findings of the run that stands at the entry; what is only doubted, if a second look finds it too."""
    first = look_at_run(paths, deep=True)
    note_no_run(first, entry)
    yield from first.findings
    yield from iter_confirmed(first, paths.run_lock, lambda: look_at_run(paths, deep=False))


def look_at_run(paths: RunPaths, deep: bool) -> RunLook:
    """One look at a run; ``deep`` reads its sealed files too. For the holder of its lock, doubts are certain."""
    look = RunLook(paths, deep)
    parts = look_at_entries(look)
    if ARTIFACTS in parts and deep:
        look_at_artifacts(look)
    if look.is_run:
        look_at_meta(look)
        look_at_deletion(look)
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
    if not look.is_deleted:
        look_at_owner(look)
    return look
