"""What two processes find out about locks and renames between them, in a folder of the doctor's."""

from __future__ import annotations

import os
import time
from typing import Callable, Iterator, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.upkeep.diagnosis import FAILURE, OK, WARNING, Check
from mini_mlflow.upkeep.second_process import NoAnswer, SecondProcess

_REPLACED = 200
_BYTES = 4000
_FREED_WITHIN_S = 10.0
_ASK_AGAIN_S = 0.01
_REMEDY = "keep the tree on a local disk, or on NFS version 4 with locks, or let one process write to a run"


def _check_exclusion(folder: str, other: SecondProcess) -> Check:
    """A lock is one's own while it is held, whatever its holder opens and closes beside it."""
    path = _lock_path(folder)
    lock = KeptLock(path)
    try:
        if not lock.try_acquire():
            return Check("locks", FAILURE, "a lock that nobody holds cannot be taken; %s" % _REMEDY)
        if other.ask("lock", path) != "busy":
            return Check("locks", FAILURE, "two processes hold one lock at once; %s" % _REMEDY)
        # Where flock(2) is made of fcntl(2) locks, closing any descriptor of the file gives the lock up.
        seen = is_held(path)
        if other.ask("lock", path) != "busy" or other.ask("look", path) != "True":
            return Check("locks", FAILURE, "a lock is lost when its holder looks at it; %s" % _REMEDY)
        if seen is not True:
            message = "the holder of a lock cannot see that it is held: its own runs may read as CRASHED in it"
            return Check("locks", WARNING, message)
        lock.release()
        if other.ask("lock", path) != "held" or lock.try_acquire():
            return Check("locks", FAILURE, "a lock that was given up does not pass to who asks for it; %s" % _REMEDY)
        return Check("locks", OK, "exclude other processes, and pass from one to the other")
    except OSError as error:
        return Check("locks", FAILURE, "are refused (%s): every log call would fail; %s" % (error, _REMEDY))
    finally:
        lock.close()


def _check_death(folder: str, other: SecondProcess) -> Check:
    """A lock is free when its holder has been killed."""
    path = _lock_path(folder)
    if other.ask("lock", path) != "held" or is_held(path) is not True:
        return Check("locks of the dead", FAILURE, "a lock that another process holds is not seen; %s" % _REMEDY)
    other.kill()
    if not _becomes_free(path):
        message = "outlive their holder by more than %g s: a run whose process has died would stay RUNNING"
        return Check("locks of the dead", FAILURE, message % _FREED_WITHIN_S)
    return Check("locks of the dead", OK, "are free at once")


def _becomes_free(path: str) -> bool:
    deadline = time.monotonic() + _FREED_WITHIN_S
    while is_held(path) is not False:
        if time.monotonic() > deadline:
            return False
        time.sleep(_ASK_AGAIN_S)
    return True


def _check_fork(folder: str, other: SecondProcess) -> Check:
    """A forked child that closes its copy of a lock neither frees it nor keeps it after its parent's death."""
    path = _lock_path(folder)
    if other.ask("lock", path) != "held":
        return Check("locks and forks", FAILURE, "a lock that nobody holds cannot be taken; %s" % _REMEDY)
    if other.ask("fork") == "cannot":
        return Check("locks and forks", OK, "there is no fork here")
    other.hear()
    if is_held(path) is not True:
        return Check("locks and forks", FAILURE, "a lock is lost when a forked child closes its copy; %s" % _REMEDY)
    other.kill()
    if not _becomes_free(path):
        message = "a forked child keeps the lock of its parent, which has died; start workers by spawn"
        return Check("locks and forks", FAILURE, message)
    return Check("locks and forks", OK, "a forked child neither frees its parent's lock nor keeps it")


def _check_renames(folder: str, other: SecondProcess) -> Check:
    """Who reads a file while it is replaced sees the old one or the new one, whole."""
    path = os.path.join(folder, "replaced")
    atomic.write_file(folder, "replaced", b"0" * _BYTES, sync=False)
    other.ask("watch", path)
    for number in range(_REPLACED):
        atomic.write_file(folder, "replaced", b"%d" % (number % 10) * _BYTES, sync=False)
        atomic.write_file(folder, "new", b"x", sync=False)
        atomic.move(os.path.join(folder, "new"), os.path.join(folder, "new-%d" % (number % 2)))
    seen = other.ask("stop")
    if seen != "whole":
        message = "another process saw a file %s while it was replaced; keep the tree on a local disk" % seen
        return Check("renames", FAILURE, message)
    return Check("renames", OK, "another process sees the old file or the new one, whole")


def _lock_path(folder: str) -> str:
    return os.path.join(folder, "locks", "%d.lock" % len(os.listdir(folder)))


_Try = Callable[[str, SecondProcess], Check]
#: What is tried with one process, and then what takes another: the last of each kills it.
_TRIED: Tuple[Tuple[Tuple[str, _Try], ...], ...] = (
    (("locks", _check_exclusion), ("renames", _check_renames), ("locks of the dead", _check_death)),
    (("locks and forks", _check_fork),),
)


def check_in_pairs(folder: str) -> Iterator[Check]:
    """Locks and renames, between this process and another. What cannot be tried is a warning."""
    for together in _TRIED:
        left = list(together)
        try:
            with SecondProcess() as other:
                while left:
                    yield left[0][1](folder, other)
                    del left[0]
        except NoAnswer as error:
            message = "could not be tried: of the second process that it takes, %s" % error
            yield from (Check(name, WARNING, message) for name, _ in left)
