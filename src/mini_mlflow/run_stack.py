"""Which runs are active in this thread, innermost last.

A `threading.local`, not a context variable: notebooks run each cell in a context of its own, and a run that one cell
starts must be active in the next. Coroutines and worker threads pass the `Run` object instead. A forked child starts
with none: its parent's run is the parent's to end.
"""

from __future__ import annotations

import os
import threading
from typing import Any, List, NamedTuple


class Entry(NamedTuple):
    """An active run, and the object whose with-block made it active (None: a plain start_run)."""

    run: Any
    opened_by: Any


class _Stack(threading.local):
    def __init__(self) -> None:
        self.entries: List[Entry] = []


_stack = _Stack()


def entries() -> List[Entry]:
    """This thread's own list, to be read and changed by this thread alone."""
    return _stack.entries


def push(run: Any, opened_by: Any) -> None:
    """``run`` is this thread's active run."""
    _stack.entries.append(Entry(run, opened_by))


def discard(run: Any) -> None:
    """``run`` is not active in this thread, wherever in the stack it stood."""
    _stack.entries[:] = [entry for entry in _stack.entries if entry.run is not run]


def pop_opened_by(opener: Any) -> Any:
    """The innermost run that ``opener`` made active, which is active no more; None if there is none."""
    found = _stack.entries
    for index in range(len(found) - 1, -1, -1):
        if found[index].opened_by is opener:
            return found.pop(index).run
    return None


def _renew_after_fork() -> None:
    global _stack
    _stack = _Stack()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
