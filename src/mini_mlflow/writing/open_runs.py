"""The runs that are open in this process: one committer a run, whoever holds how many `Run` objects; renewed by fork.

Before a fork, every committer's turn is taken, so that no commit is half way and no descriptor is open but
unrecorded. The child then starts afresh: it closes its copies of the lock descriptors without unlocking (flock(2): a
lock belongs to the open file description, which parent and child share; an owner killed later would otherwise live
on in its child), forgets what it knew of the disk, and owns none of its parent's runs.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Dict, List
from weakref import WeakValueDictionary

from mini_mlflow.disk import atomic, turnstile
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.entities import RUNNING, UNKNOWN, RunAddress, Settings
from mini_mlflow.errors import RunDeletedError, RunEndedError, TreeBusyError
from mini_mlflow.writing import origin
from mini_mlflow.writing.group_commit import GroupCommit
from mini_mlflow.writing.operations import Submission
from mini_mlflow.writing.run_files import RunFiles
from mini_mlflow.writing.run_state import cannot_log, read_state

_FORK_WAIT_S = 60.0
_READERS_MET = 1000
_READER_S = 0.0005


class OpenRun:
    """One run, open for writing in this process.

    Attributes:
        meta: what ``meta.yaml`` said when this process last read or wrote it.
        is_owner: this process holds the owner lock: while it lives, readers see RUNNING.
        end_at_exit: as the owner, this process ends the run when it exits.
        ended: this process knows that the run has ended; nothing is asked of the disk any more.
    """

    def __init__(self, address: RunAddress, settings: Settings) -> None:
        self.paths = RunPaths.of(address)
        self.settings = settings
        self.meta: Dict[str, Any] = {}
        self.is_owner = False
        self.end_at_exit = True
        self.ended = False
        self.lock = KeptLock(self.paths.run_lock)
        self.owner = KeptLock(self.paths.owner_lock)
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.files = RunFiles(self.paths, self.settings)
        self.group = GroupCommit(self._enter, self.files.commit, self._leave)

    def _enter(self, nested: bool) -> None:
        if not nested:
            turnstile.enter()
        self.lock.acquire(self.settings.lock_timeout_s)
        self.files.begin(nested)

    def _leave(self) -> None:
        try:
            self.files.settle()
        finally:
            self.lock.release()
            turnstile.leave()

    def submit(self, submission: Submission) -> None:
        """The submission is on disk. Raises RunEndedError, LockTimeout or OSError; nothing is stored then."""
        if self.ended:
            raise cannot_log(self.paths, self.meta.get("status"))
        if not submission.changes:
            return
        try:
            self.group.submit(submission)
        except RunEndedError:
            self.note_end()
            raise
        finally:
            if self.ended:
                # A signal handler ended the run below this frame, and left it the lock.
                self.close_lock()

    def take_ownership(self) -> bool:
        """True if this process owns the run now; False if another living process does."""
        for _ in range(_READERS_MET):
            # Asked of the lock also by an owner: whoever resumed the run meanwhile took it over.
            if self.owner.try_acquire():
                self.is_owner = True
                _owned[self.paths.folder] = self
                return True
            if is_held(self.paths.owner_lock) is not False:
                return False
            # A reader was just asking, which takes it microseconds.
            time.sleep(_READER_S)
        return False

    def claim_ownership(self) -> None:
        """This process owns the run, which it resumes, also if a former owner has not learned of its end.

        Raises:
            OSError: nobody owns it who did not before.
        """
        if not self.take_ownership():
            self.owner.take_over(self.paths.folder)
            self.is_owner = True
            _owned[self.paths.folder] = self

    def give_up_ownership(self) -> None:
        """Another process may own the run."""
        self.is_owner = False
        self.owner.close()
        if _owned.get(self.paths.folder) is self:
            del _owned[self.paths.folder]

    def note_end(self) -> None:
        """If the run has ended on disk, this object lets go of all it held.

        Looked up again, under the lock: since the caller learned of the end, another thread may have resumed the run
        through this very object. And a process that resumes while this one still has the owner lock cannot take it;
        given up after that, the run would read as CRASHED under its living writer.
        """
        try:
            self.group.run_alone(self._let_go_if_ended)
        except OSError:
            # The tree is gone, or somebody keeps the lock: the caller is told of the end, not of this.
            with self.group.turn:
                self._let_go_if_ended()
        self.let_go()

    def _let_go_if_ended(self) -> None:
        try:
            meta = read_state(self.paths, self.files.seen)
        except RunDeletedError:
            # That is no end: once it is restored, this object logs again.
            return
        except (OSError, ValueError):
            meta = dict(self.meta, status=UNKNOWN)
        if meta.get("status", RUNNING) != RUNNING:
            self.end_with(meta)

    def end_with(self, meta: Dict[str, Any]) -> None:
        """The run has ended, and ``meta`` is its last word. For the holder of the run's lock."""
        self.meta = meta
        self.ended = True
        self.give_up_ownership()

    def let_go(self) -> None:
        """Of a run that has ended, no descriptor stays open; nothing happens if it was resumed meanwhile."""
        if self.ended:
            self.close_lock()
            with _registry_lock:
                if _open.get(self.paths.folder) is self:
                    del _open[self.paths.folder]

    def close_lock(self) -> None:
        """The descriptor of the run's lock is closed, until the next call opens a new one."""
        # Not below a frame of this thread that has the lock still to release (this is a signal handler then): once it
        # is closed, its number may be another file's. That frame closes it.
        if not self.group.turn._is_owned():
            with self.group.turn:
                self.lock.close()

    def renew_after_fork(self) -> None:
        """In a forked child: nothing is held, nothing is known, nothing is owned."""
        self.lock.forget()
        self.owner.forget()
        self.is_owner = False
        self._start_afresh()


_open: WeakValueDictionary[str, OpenRun] = WeakValueDictionary()
# The registry is weak so that a handle which is dropped lets go of its descriptors; a run that this process owns
# stays open, dropped or not, until it is ended.
_owned: Dict[str, OpenRun] = {}
_registry_lock = threading.RLock()


def get_open_run(address: RunAddress, settings: Settings, ended_too: bool = False) -> OpenRun:
    """This process's committer of the run; made if there is none. Of two fsync levels the stricter holds.

    Args:
        ended_too: one that knows the run as ended will do. (It never learns that the run was resumed elsewhere.)

    Raises:
        TreeBusyError: this is a signal handler, and what the interrupted frame holds would never come free.
    """
    folder = RunPaths.of(address).folder
    with _registry_lock:
        run = _open.get(folder)
        if run is not None and run.ended and not ended_too and run.group.turn._is_owned():
            text = "this thread is in the middle of changing run %r; do it after the signal handler"
            raise TreeBusyError(text % address.run_id)
        if run is None or (run.ended and not ended_too):
            run = _open[folder] = OpenRun(address, settings)
        elif _strictness(settings) > _strictness(run.settings):
            run.settings = settings
            run.files.set_fsync(settings)
        return run


def _strictness(settings: Settings) -> int:
    return ("never", "end", "always").index(settings.fsync)


def owned_runs() -> List[OpenRun]:
    """The runs that this process owns and has not ended."""
    return list(_owned.values())


_held_turns: List[Any] = []


def _before_fork() -> None:
    _registry_lock.acquire()
    for run in list(_open.values()):
        turn = run.group.turn
        # A thread that holds one turn and waits for another (a signal handler may) must not stop the fork for ever;
        # the child renews everything in any case.
        if turn.acquire(timeout=_FORK_WAIT_S):
            _held_turns.append(turn)


def _after_fork_in_parent() -> None:
    while _held_turns:
        _held_turns.pop().release()
    _registry_lock.release()


def _after_fork_in_child() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()
    _held_turns.clear()
    _owned.clear()
    atomic.renew_after_fork()
    turnstile.renew_after_fork()
    origin.renew_after_fork()
    for run in list(_open.values()):
        run.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
