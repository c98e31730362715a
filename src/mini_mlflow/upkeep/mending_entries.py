"""Mends of what stands in folders: strangers, links, special files, modes, temporaries and empty folders."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional

from mini_mlflow.disk import atomic, in_place
from mini_mlflow.disk.layout import DOCTOR, DOCTOR_LOCK, LOCKS, METRICS
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.upkeep.entries import find_missing_of_file, find_missing_of_folder
from mini_mlflow.upkeep.mending import Case, Plan, move_away, refuse
from mini_mlflow.upkeep.mending_histories import take_in_history
from mini_mlflow.writing.staging import sweep_stagings


def mend_foreign(case: Case) -> Plan:
    return move_away(case)


def mend_irregular(case: Case) -> Plan:
    """A link, a FIFO or the like is moved away; what should stand there is a finding of its own then."""
    mode = os.lstat(case.path).st_mode
    if case.look is None and case.parts[0] == LOCKS:
        return _mend_irregular_lock(case, mode)
    if case.look is not None and case.parts[0] == METRICS and case.path.endswith(".history") and stat.S_ISLNK(mode):
        return take_in_history(case)
    return move_away(case)


def _mend_irregular_lock(case: Case, mode: int) -> Plan:
    if len(case.parts) < 3:
        # Who opened a lock through the link keeps that one, and would exclude nobody who comes after.
        return refuse(
            "remove it while no process uses the tree",
            "processes may hold locks behind it that nobody can see once it is gone",
        )
    if stat.S_ISFIFO(mode):
        return Plan("remove it while holding it", lambda: _remove_held(case))
    if stat.S_ISLNK(mode) or stat.S_ISDIR(mode) or stat.S_ISSOCK(mode):
        # What cannot be opened as a lock is held by nobody.
        return move_away(case)
    return refuse("remove it while no process uses the tree", "a process may use it as the lock that it stands for")


def _remove_held(case: Case) -> None:
    # Not renamed: only of a file without any name does a process notice that the lock it kept open is none any more.
    lock = KeptLock(case.path)
    lock.acquire(case.tree.settings.lock_timeout_s)
    try:
        atomic.remove_file(case.path)
    finally:
        lock.close()


def mend_unreadable(case: Case) -> Plan:
    """What nobody may read is left to who may; what the disk does not give is moved away, whole."""
    is_folder = stat.S_ISDIR(os.lstat(case.path).st_mode)
    try:
        if is_folder:
            list_folder(case.path)
        else:
            read_file(case.path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            action = "let user %d, whose it is, give leave to read it" % os.lstat(case.path).st_uid
            return refuse(action, "this process has no permission (%s)" % error.strerror)
        if is_folder:
            return refuse("ask who looks after the disk", "the system does not list it (%s)" % error.strerror)
        return move_away(case)
    return Plan("read it again", lambda: "this time it could be read")


def mend_mode(case: Case) -> Plan:
    """The owner, and in a shared folder the group, may do what they need to."""
    mode, above = os.lstat(case.path).st_mode, os.stat(os.path.dirname(case.path)).st_mode
    is_lock = case.look is None and case.parts[0] == LOCKS
    missing = find_missing_of_folder(mode, above) if stat.S_ISDIR(mode) else find_missing_of_file(mode, above, is_lock)
    bits = missing.owner << 6 if case.finding.rule == "mode-owner" else missing.group << 3
    wanted = stat.S_IMODE(mode) | bits
    return Plan(
        "chmod it from %04o to %04o" % (stat.S_IMODE(mode), wanted), lambda: in_place.set_mode(case.path, wanted)
    )


def mend_temporary(case: Case) -> Plan:
    """A temporary is what nobody was told of; a folder of that name is kept, but for a doctor's and of artifacts."""
    if case.look is None and os.path.basename(case.path).startswith(DOCTOR):
        if is_held(os.path.join(case.path, DOCTOR_LOCK)) is True:
            return refuse("wait for the doctor to be done", "a doctor is at work in it")
        return Plan("remove it", lambda: _remove_doctors(case))
    if stat.S_ISDIR(os.lstat(case.path).st_mode):
        if case.look is not None and len(case.parts) == 1:
            return Plan("remove what was being copied when a process was killed", lambda: _sweep_staging(case))
        return move_away(case)
    return Plan("remove it", lambda: atomic.remove_file(case.path))


def _sweep_staging(case: Case) -> Optional[str]:
    sweep_stagings(case.paths)
    return "some of it could not be removed" if os.path.lexists(case.path) else None


def _remove_doctors(case: Case) -> None:
    for name in list_folder(case.path):
        path = os.path.join(case.path, name)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            atomic.remove_folder(path)
        else:
            atomic.remove_file(path)
    if not atomic.remove_folder(case.path):
        case.move()


def mend_empty_run(case: Case) -> Plan:
    return Plan("remove the empty folder", lambda: None if atomic.remove_folder(case.path) else "it is not empty now")
