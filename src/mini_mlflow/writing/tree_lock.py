"""The locks that guard what belongs to no single run: what experiments are called and how they stand (the tree's lock),
and what moves all of an experiment's runs at once, or removes them (the gc's).

One process at a time holds one, and in it one thread: flock(2) excludes threads too, as each takes its lock on a
descriptor of its own, but a fork in the middle of a hold would leave the child with a copy of that descriptor, which
keeps the lock of a parent that is killed then. So the thread's turn is taken before each fork.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import Any, Iterator

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import LOCKS
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.errors import TreeBusyError

_FORK_WAIT_S = 60.0

_turn: Any = threading.RLock()


@contextmanager
def held(root: str, name: str, timeout_s: float) -> Iterator[None]:
    """Within the block, this thread alone holds the lock ``name`` of the tree, which is made if it is not there.

    Raises:
        TreeBusyError: this is a signal handler, and the frame that it interrupted holds it: waiting would never end.
        LockTimeout: others held it for ``timeout_s`` seconds.
        OSError: the tree or the lock file cannot be made.
    """
    if _turn._is_owned():
        raise TreeBusyError("this thread is in the middle of changing %s; do it after the signal handler" % root)
    with _turn:
        atomic.create_folders(root)
        with _holding(root, name, timeout_s):
            yield


@contextmanager
def held_too(root: str, name: str, timeout_s: float) -> Iterator[None]:
    """The same for who is within `held` already, with another name: the gc's lock first, then the tree's.

    Raises:
        LockTimeout, OSError: as there.
    """
    assert _turn._is_owned()
    with _holding(root, name, timeout_s):
        yield


@contextmanager
def _holding(root: str, name: str, timeout_s: float) -> Iterator[None]:
    # The tree may stand behind a link, which a lock's folders may not.
    lock = KeptLock(os.path.join(os.path.realpath(root), LOCKS, name))
    try:
        lock.acquire(timeout_s)
        yield
    finally:
        lock.close()


_held_by_fork = False


def _before_fork() -> None:
    global _held_by_fork
    _held_by_fork = _turn.acquire(timeout=_FORK_WAIT_S)


def _after_fork_in_parent() -> None:
    if _held_by_fork:
        _turn.release()


def _after_fork_in_child() -> None:
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
