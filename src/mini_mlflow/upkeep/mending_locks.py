"""Mends of locks and owners. No lock file is replaced or removed: who has it open would exclude nobody any more."""

from __future__ import annotations

import os
import platform
from typing import Any, Optional

from mini_mlflow.disk import in_place
from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.entities import FAILED, RunAddress
from mini_mlflow.errors import MiniMlflowError
from mini_mlflow.upkeep.mending import AlreadyMendedError, Case, Plan, refuse
from mini_mlflow.upkeep.signs_of_life import find_signs
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.open_runs import get_open_run

_OWNER = ".owner"


def mend_filled_lock(case: Case) -> Plan:
    """The lock file is emptied in place, while it is held: its bytes are kept in the quarantine."""
    action = "copy its bytes into .quarantine and empty it"
    if is_held(case.path) is True:
        return refuse(action, "somebody holds it; repair again once it is free")
    return Plan(action, lambda: _empty_lock(case))


def _empty_lock(case: Case) -> Optional[str]:
    name = case.parts[-1]
    try:
        run_id = check_run_id(name[: -len(_OWNER)] if name.endswith(_OWNER) else "")
        address = RunAddress(case.tree.root, check_experiment_id(case.parts[-2]), run_id)
    except MiniMlflowError:
        return _empty_held(case)
    # Whoever takes over a run does so under its lock, and goes without the owner lock if that is held at that moment.
    run = get_open_run(address, case.tree.settings)
    try:
        told: Optional[str] = run.group.run_alone(lambda: _empty_held(case))
        return told
    finally:
        run.close_lock()


def _empty_held(case: Case) -> Optional[str]:
    lock = KeptLock(case.path)
    lock.acquire(min(1.0, case.tree.settings.lock_timeout_s))
    try:
        if not os.stat(case.path).st_size:
            raise AlreadyMendedError
        place = case.tree.quarantine.copy(case.path)
        in_place.empty_file(case.path)
    finally:
        lock.close()
    return "its bytes are in %s" % place


def mend_missing_owner_lock(case: Case) -> Plan:
    """The lock file is made, unless the owner may be alive and hold one that somebody deleted."""
    meta = case.in_run.meta
    action = "make the lock file, so that it shows that nobody holds it"
    if meta.get("host") in (None, platform.node()) and _is_alive(meta.get("pid")):
        reason = "process %s may be the run's owner, and hold a lock file that was deleted" % meta.get("pid")
        return refuse("end the run there, or stop that process and repair again", reason)
    return Plan(action, lambda: _make_lock(case.paths.owner_lock))


def _is_alive(pid: Any) -> bool:
    """Whether a process of that number runs here; only ever a reason to leave a run alone."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1 or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _make_lock(path: str) -> None:
    lock = KeptLock(path)
    lock.try_acquire()
    lock.close()


def mend_dead_owner(case: Case) -> Plan:
    """The run has ended FAILED, at the time of the last thing that it logged."""
    ended = find_signs(case.in_run).last
    return Plan("end the run FAILED, as of %s" % ended, lambda: lifecycle.end_alone(case.open, FAILED, ended))


def mend_owner_elsewhere(case: Case) -> Plan:
    host = case.in_run.meta.get("host")
    return refuse(
        "repair on that host, or attach to the run and end it", "only host %s can tell whether it lives" % host
    )
