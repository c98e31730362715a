"""Mends of experiments' names and of the trash. A run in the trash is mended once it is restored."""

from __future__ import annotations

import os
from typing import Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import check_experiment_id
from mini_mlflow.disk.layout import GC_LOCK, TRASH, TREE_LOCK
from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.formats.deletions import dump_deletion
from mini_mlflow.formats.times import ms_to_iso
from mini_mlflow.upkeep.mending import AlreadyMendedError, Case, Plan, move_away, refuse
from mini_mlflow.writing.experiment_trash import finish_deletion
from mini_mlflow.writing.tree_lock import held

#: The rules that are mended in the trash.
IN_TRASH = frozenset(("deletion-time", "deleted-twice", "mode-owner", "mode-group"))


def mend_in_trash(case: Case) -> Plan:
    """Of a rule that is not mended in the trash."""
    return refuse("restore the run and repair it then, or remove it with gc", "the run lies in the trash")


def mend_remains(case: Case) -> Plan:
    return Plan("remove what was being made, or removed, when a process was killed", lambda: _remove_remains(case))


def _remove_remains(case: Case) -> Optional[str]:
    lock = GC_LOCK if case.parts[0] == TRASH else TREE_LOCK
    with held(case.tree.root, lock, case.tree.settings.lock_timeout_s):
        remove_tree(case.path)
    return "some of it could not be removed" if os.path.lexists(case.path) else None


def mend_torn_experiment(case: Case) -> Plan:
    return move_away(case)._replace(action="move it into .quarantine; the experiment has no name then")


def mend_experiment_twice(case: Case) -> Plan:
    return refuse("change one of the two names", "which of them is right, a person must say")


def mend_half_deleted(case: Case) -> Plan:
    """What deleting the experiment left, and so all that it left there."""
    return Plan("move it to the trash", lambda: _finish_deletion(case))


def _finish_deletion(case: Case) -> Optional[str]:
    if not os.path.lexists(case.path):
        raise AlreadyMendedError
    finish_deletion(case.tree.root, check_experiment_id(case.parts[0]), case.tree.settings)
    return "it could not be moved" if os.path.lexists(case.path) else None


def mend_deletion_left(case: Case) -> Plan:
    return Plan("remove it", lambda: atomic.remove_file(case.path))


def mend_deletion_time(case: Case) -> Plan:
    """What gc goes by without it becomes what it says."""
    since_ms = os.lstat(case.paths.folder).st_ctime_ns // 1_000_000
    return Plan(
        "write the time of the folder's last change into deleted.json",
        lambda: case.replace(case.paths.deletion, dump_deletion(ms_to_iso(since_ms))),
    )


def mend_deleted_twice(case: Case) -> Plan:
    return refuse("remove one with gc, or move it away", "which of the two runs is the right one, a person must say")
