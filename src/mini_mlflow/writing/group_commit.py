"""One lock acquisition for the work of many threads; knows no files.

Threads of a process meet here. Each puts what it wants stored into a queue. Whoever finds the turn free leads: it
takes the file lock, stores *everything* that waits by then, its own and the others', lets go those whose work is done
and points the next one to the turn. Looking at the queue only after the file lock is held is what makes batches:
while one process waits for another, work gathers. (bbolt's DB.Batch does the same with a timer; here there is none,
and no background thread.)

Signal handlers may log and end runs, also while the frame that they interrupted leads. The turn is an RLock, which
knows its owner from the instant it is taken, so such a nested call is let through instead of waiting for itself. It
works under the outer frame's file lock and leaves that lock to it.

Interrupts (KeyboardInterrupt, SystemExit from a handler) may come between any two bytecodes. So nothing leaves the
queue before it is settled, what an interrupted leader left is there for the next one, and a wake-up is only a hint:
who waits looks again by itself after `_LOOK_AGAIN_S`, should the one who was to wake it have been interrupted, or the
frame that was pointed to the turn stand still below a signal handler.

The store promises: `enter` and `leave` may be called again at any time, and after `leave` nothing is half way.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from typing import Any, Callable, Deque, List, Optional

from mini_mlflow.writing.operations import Submission

# Only after an interrupt or below a signal handler does anybody wait this long.
_LOOK_AGAIN_S = 0.05

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
        # True until leave has come through.
        self._entered = False
        self.turn: Any = threading.RLock()

    def submit(self, submission: Submission) -> None:
        """The submission's changes are on disk.

        Raises:
            Exception: what kept the store from it (an OSError, LockTimeout, RunEndedError); nothing of the
                submission is on disk then.
        """
        turn = self.turn
        outermost = not turn._is_owned()
        try:
            self._queue.append(submission)
            while not submission.done:
                if turn.acquire(False):
                    if not submission.done:
                        self._lead(None, nested=not outermost and self._inside)
                    turn.release()
                    self._point_to_turn()
                else:
                    self._wait(submission)
        except BaseException:
            # Whoever called is told that it did not happen, so it must not happen later.
            submission.withdrawn = True
            raise
        finally:
            self._free(outermost)
        if submission.error is not None:
            # A copy: one exception raised in several threads would gather all their tracebacks.
            raise copy.copy(submission.error) from None

    def _wait(self, submission: Submission) -> None:
        if submission.gate is None:
            gate = threading.Lock()
            gate.acquire()
            # From here on a leader sees the gate; what it did before, the caller's next look sees.
            submission.gate = gate
        else:
            submission.gate.acquire(timeout=_LOOK_AGAIN_S)

    def _point_to_turn(self) -> None:
        # After the turn is free: who was queued before that but found it taken would otherwise not be told.
        for submission in self._list_queue():
            if not submission.settled and not submission.withdrawn:
                _open_gate(submission)
                return

    def run_alone(self, action: Callable[[], Any]) -> Any:
        """What ``action`` returns, called with the turn and the file lock held, after what waited was stored."""
        turn = self.turn
        outermost = not turn._is_owned()
        try:
            # Not in a with block: it would free the turn before what an interrupt left could be cleared up under it.
            turn.acquire()
            result = self._lead(action, nested=not outermost and self._inside)
            turn.release()
            return result
        finally:
            self._free(outermost)
            self._point_to_turn()

    def _free(self, outermost: bool) -> None:
        # Only after an interrupt is the turn still taken here; wherever it struck, the locks must not stay.
        if outermost and self.turn._is_owned():
            if self._entered:
                self._inside = False
                self._leave()
                self._entered = False
            while self.turn._is_owned():
                self.turn.release()
            self._point_to_turn()

    def _lead(self, action: Optional[Callable[[], Any]], nested: bool) -> Any:
        try:
            if not nested:
                self._inside = self._entered = True
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
            self._let_go()
            if not nested:
                # In this order: a handler that comes in between sees nobody inside, and takes and frees the lock
                # itself. The other way round it would leave the freeing to a frame that has done so already.
                self._inside = False
                self._leave()
                self._entered = False

    def _refuse_all(self, error: Exception) -> None:
        # The others would each wait for the same timeout, one after another.
        for submission in self.waiting():
            submission.error = error
            submission.settled = True

    def waiting(self) -> List[Submission]:
        """What is queued and not settled, oldest first."""
        self._let_go()
        return [one for one in self._list_queue() if not one.settled and not one.withdrawn]

    def _let_go(self) -> None:
        # Twice does no harm: a handler may do it in the middle of its own thread's doing it.
        for submission in self._list_queue():
            if submission.settled or submission.withdrawn:
                # Told first and taken out last: of one that is in the queue no more, nobody would tell its caller
                # what an interrupt in between has kept from it.
                submission.done = True
                _open_gate(submission)
                try:
                    self._queue.remove(submission)
                except ValueError:
                    pass

    def _list_queue(self) -> List[Submission]:
        while True:
            try:
                return list(self._queue)
            except RuntimeError:
                # Without a global interpreter lock, another thread may append during the copy.
                continue


def _open_gate(submission: Submission) -> None:
    gate = submission.gate
    if gate is not None:
        try:
            gate.release()
        except RuntimeError:
            # It is open already.
            pass
