"""Where threads of one process that write to different runs pass one after another, so that they do not fight.

Each system call gives CPython's interpreter lock away, and taking it back from a thread on another core costs more
than most of the calls themselves. A commit makes ten of them: eight threads, each with a run of its own, got a third
of the work done that one of them does alone. Who waits at the turnstile sleeps once for each commit instead.

It guards nothing. Whoever waited `_PATIENCE_S` goes on without it, so it can neither block a thread for good nor make
a deadlock of what would be none (a signal handler logs to a run whose turn belongs to a thread that waits here). It
is left while a thread waits for the disk or for another process, since then others have the interpreter to themselves.

An interrupt may come between any two bytecodes. So nothing is kept here but an RLock, which knows its owner from the
instant it is taken: who is inside need not enter again, and leaving twice does no harm.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

# Also the longest that a thread can be passed over by others that come back faster than it wakes up.
_PATIENCE_S = 0.02

_turnstile: Any = threading.RLock()
# Without a global interpreter lock there is nothing to fight for.
_in_use: bool = getattr(sys, "_is_gil_enabled", lambda: True)()


def enter() -> None:
    """This thread is inside, or has waited long enough. Nothing happens if it is inside already."""
    if _in_use and not _turnstile._is_owned():
        _turnstile.acquire(timeout=_PATIENCE_S)


def leave() -> bool:
    """This thread is not inside; True if it was."""
    if _turnstile._is_owned():
        _turnstile.release()
        return True
    return False


def renew_after_fork() -> None:
    """In a forked child nobody is inside: whoever was, is a thread of its parent."""
    global _turnstile
    _turnstile = threading.RLock()
