"""One lock acquisition for the work of many threads; knows no files.

Threads of a process meet here. Each puts what it wants stored into a queue and waits for its turn. Whoever gets it
first leads: it takes the file lock, stores *everything* that waits by then, its own and the others', and steps down.
The others find their work done when their turn comes, and just return. Looking at the queue only after the file lock
is held is what makes batches: while one process waits for another, work gathers. (bbolt's DB.Batch does the same with
a timer; here there is none, and no background thread.)

Signal handlers may log and end runs, also while the frame that they interrupted leads. The turn is an RLock, which
knows its owner from the instant it is taken, so such a nested call is let through instead of waiting for itself. It
works under the outer frame's file lock and leaves that lock to it.

Interrupts (KeyboardInterrupt, SystemExit from a handler) may come between any two bytecodes. So nothing leaves the
queue before it is settled, and what an interrupted leader left is there for the next one.

The store promises: `enter` and `leave` may be called again at any time, and after `leave` nothing is half way.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from typing import Any, Callable, Deque, List, Optional

from mini_mlflow.writing.operations import Submission

Waiting = Callable[[], List[Submission]]


class GroupCommit:
    """The queue of one run in one process.

    Args:
        enter: takes the file lock, at once if it is held already; is told whether it is nested in its own thread.
        store: settles what the function it is given returns.
        leave: clears up after an interrupt and frees the file lock.
    """

    def __init__(
        self, enter: Callable[[bool], None], store: Callable[[Waiting], None], leave: Callable[[], None]
    ) -> None:
        self._enter, self._store, self._leave = enter, store, leave
        self._queue: Deque[Submission] = deque()
        # True only while a frame of the thread whose turn it is has yet to call leave.
        self._inside = False
        self.turn: Any = threading.RLock()

    def submit(self, submission: Submission) -> None:
        """The submission's changes are on disk.

        Raises:
            Exception: what kept the store from it (an OSError, LockTimeout, RunEndedError); nothing of the
                submission is on disk then.
        """
        self._queue.append(submission)
        try:
            self._take_turn(None, submission)
        except BaseException:
            # Whoever called is told that it did not happen, so it must not happen later.
            submission.withdrawn = True
            raise
        if submission.error is not None:
            # A copy: one exception raised in several threads would gather all their tracebacks.
            raise copy.copy(submission.error) from submission.error

    def run_alone(self, action: Callable[[], Any]) -> Any:
        """What ``action`` returns, called with the turn and the file lock held, after what waited was stored."""
        return self._take_turn(action, None)

    def is_nested(self) -> bool:
        """True in a signal handler (or the like) whose own thread leads below it."""
        return self._inside and bool(self.turn._is_owned())

    def _take_turn(self, action: Optional[Callable[[], Any]], submission: Optional[Submission]) -> Any:
        turn = self.turn
        outermost = not turn._is_owned()
        try:
            with turn:
                if submission is None or not submission.settled:
                    return self._lead(action, nested=not outermost and self._inside)
        finally:
            # Before Python 3.10 an interrupt can come after the end of a with block but before its lock is freed,
            # and every other thread would wait for ever.
            while outermost and turn._is_owned():
                turn.release()

    def _lead(self, action: Optional[Callable[[], Any]], nested: bool) -> Any:
        try:
            if not nested:
                self._inside = True
            try:
                self._enter(nested)
            except Exception as error:
                if action is not None:
                    raise
                self._refuse_all(error)
                return None
            self._store(self.waiting)
            return None if action is None else action()
        finally:
            if not nested:
                # In this order: a handler that comes in between sees nobody inside, and takes and frees the lock
                # itself. The other way round it would leave the freeing to a frame that has done so already.
                self._inside = False
                self._leave()

    def _refuse_all(self, error: Exception) -> None:
        # The others would each wait for the same timeout, one after another.
        for submission in self.waiting():
            submission.error = error
            submission.settled = True

    def waiting(self) -> List[Submission]:
        """What is queued and not settled, oldest first."""
        found = []
        for submission in self._list_queue():
            if submission.settled or submission.withdrawn:
                try:
                    self._queue.remove(submission)
                except ValueError:
                    # A handler that ran since the listing has removed it.
                    pass
            else:
                found.append(submission)
        return found

    def _list_queue(self) -> List[Submission]:
        while True:
            try:
                return list(self._queue)
            except RuntimeError:
                # Without a global interpreter lock, another thread may append during the copy.
                continue
