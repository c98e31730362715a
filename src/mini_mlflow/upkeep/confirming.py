"""What was doubted is looked for again, once nobody is at work.

A writer holds the run's lock from the first of its steps to the last, and leaves the run in order, but for what it
could not do. So what a look saw, was still so when the lock was free, and is seen again, is no writer's work in
progress. (The lock is asked for as readers ask for an owner's: shared, for microseconds, and only where there is a
doubt.) While the lock is never seen free, doubts are dropped: somebody is at work, and may well put it right.
"""

from __future__ import annotations

import os
import time
from typing import Callable, Iterator

from mini_mlflow.disk.locks import is_held
from mini_mlflow.upkeep.findings import Finding, Look

# Writers in hot loops leave a lock free for some per cent of the time. One that is held for longer than all of this
# belongs to a process that is stopped, or waits for its disk.
_ASKED_AT_MOST = 200
_BETWEEN_S = 0.002


def iter_confirmed(first: Look, lock: str, look_again: Callable[[], Look]) -> Iterator[Finding]:
    """The doubts of ``first`` that ``look_again`` finds too, with the lock file ``lock`` seen free in between."""
    if first.doubts and _is_seen_free(lock):
        known = {doubt.identity for doubt in first.doubts}
        yield from (doubt.finding for doubt in look_again().doubts if doubt.identity in known)


def _is_seen_free(lock: str) -> bool:
    for _ in range(_ASKED_AT_MOST):
        held = is_held(lock)
        # Without a lock file, nobody has ever written here since the tree was copied.
        if held is False or (held is None and not os.path.lexists(lock)):
            return True
        time.sleep(_BETWEEN_S)
    return False
