"""Commit and fold for one run's folder. Every method is for the holder of the run's lock.

A commit goes: take what waits, find the next number, publish one file, settle the submissions, create documents that
do not exist yet, and bring the others up to date if the ration allows. After the publishing, nothing can fail the
caller any more: the log holds the values, and documents are derived from it.

Interrupts and signal handlers. A frame may stop between any two bytecodes, for ever (an exception) or while a handler
calls back in here (`begin` with nested=True). So the commit in the making stands in ``_in_flight``, whole, before its
file is made: whoever comes next, a nested call or `settle`, can tell what became of it and finish it. Publishing it
twice gives the same file twice. And since a frame that a handler interrupted may, when it goes on, write documents
from what it knew before, a nested call never removes a commit: the log stays, and the outermost frame clears up.
"""

from __future__ import annotations

import time
from typing import Any, Callable, List, NamedTuple, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import SNAPSHOT, RunPaths
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import RUNNING, Settings
from mini_mlflow.errors import DamagedFileError, RunEndedError
from mini_mlflow.formats.commits import Change, dump_commit
from mini_mlflow.writing.commit_log import CommitLog
from mini_mlflow.writing.folding import Folding
from mini_mlflow.writing.operations import Submission
from mini_mlflow.writing.ration import Ration
from mini_mlflow.writing.run_state import cannot_log, highest_in_documents, read_state
from mini_mlflow.writing.snapshots import gather_snapshot
from mini_mlflow.writing.sweeping import sweep


class _InFlight(NamedTuple):
    number: int
    data: bytes
    batch: List[Submission]
    changes: List[Change]


class RunFiles:
    """One run's folder, as its writer in this process knows it."""

    def __init__(self, paths: RunPaths, settings: Settings) -> None:
        self.paths = paths
        self.settings = settings
        self.log = CommitLog(paths, settings.fsync == "always")
        self.folding = Folding(paths, settings.fsync != "never")
        self._ration = Ration()
        self._in_flight: Optional[_InFlight] = None
        #: Counts the calls of `commit`; who finds it changed has been overtaken by a nested call.
        self.generation = 0
        self.reentered = False
        #: An end was taken back, and its snapshot may come back in a power cut: nothing may be promised before
        #: `confirm_taking_back`.
        self.taken_back = False

    def set_fsync(self, settings: Settings) -> None:
        """From now on, this level holds."""
        self.settings = settings
        self.log.sync = settings.fsync == "always"
        self.folding.sync = settings.fsync != "never"

    def begin(self, nested: bool) -> None:
        """The lock was taken, or a nested call came in under it."""
        if nested:
            self.reentered = True
            self.forget()

    def settle(self) -> None:
        """Nothing is half way: what an interrupted or overtaken frame left is told apart and cleared up."""
        left = self._in_flight
        if left is not None:
            if self.log.holds(left.number, left.data):
                _settle(left.batch, self.log.try_to_make_durable())
            self._in_flight = None
            self.forget()
        if self.reentered:
            self.reentered = False
            self.forget()
            try:
                self._clear_up_after_nested()
            except (OSError, DamagedFileError, RunEndedError):
                # The log still holds everything; the next fold does the same.
                self.forget()

    def forget(self) -> None:
        """Nothing read from the disk is relied on any more."""
        self.log.forget()
        self.folding.forget()

    # -- commit ------------------------------------------------------------------------------------------------

    def commit(self, waiting: Callable[[], List[Submission]]) -> None:
        """What ``waiting`` returns is on disk as one commit, or each has its error. Settles all of it."""
        self.generation += 1
        self._finish_in_flight()
        while True:
            generation = self.generation
            batch = waiting()
            if not batch:
                return
            try:
                number = self.next_number()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what each waiting call must be told
                self.forget()
                _settle(batch, error)
                return
            lines = [line for submission in batch for line in submission.lines]
            changes = [change for submission in batch for change in submission.changes]
            commit = self._in_flight = _InFlight(number, dump_commit(number, lines), batch, changes)
            if generation == self.generation:
                break
        self._publish(commit)
        self._tend_documents(changes)

    def _finish_in_flight(self) -> None:
        left = self._in_flight
        if left is None:
            return
        path_taken = exists(self.paths.commit(left.number))
        if all(submission.settled for submission in left.batch) or (
            path_taken and not self.log.holds(left.number, left.data)
        ):
            # A stale plan: the frame that made it was overtaken before it could notice.
            self._in_flight = None
        elif path_taken:
            _settle(left.batch, None)
            self._in_flight = None
        else:
            self._publish(left)

    def _publish(self, commit: _InFlight) -> None:
        try:
            self.log.write(commit.number, commit.data)
        except Exception as error:  # noqa: BLE001 - as above
            self.forget()
            _settle(commit.batch, error)
        else:
            _settle(commit.batch, None)
            self.log.note(commit.number, commit.changes)
        self._in_flight = None

    def next_number(self) -> int:
        """The next free number.

        Raises:
            RunEndedError: the run has ended, here or elsewhere.
            FileNotFoundError: its folder or its ``meta.yaml`` is gone; ``filename`` is set.
            OutsideTreeError, DamagedFileError, OSError: the folder cannot be read.
        """
        self.confirm_taking_back()
        known = None if exists(self.paths.snapshot) else self.log.next_if_known()
        return known if known is not None else self._look() + 1

    def _look(self) -> int:
        meta = read_state(self.paths)
        if meta.get("status", RUNNING) != RUNNING:
            raise cannot_log(self.paths, meta.get("status"))
        first_time = self.log.last is None
        numbers = self.log.look(sweep=not self.reentered)
        highest = numbers[-1] if numbers else 0
        if first_time or not numbers:
            highest = max(highest, highest_in_documents(self.paths, meta))
        self.log.last = max(highest, self.log.last or 0)
        return self.log.last

    # -- documents ---------------------------------------------------------------------------------------------

    def _tend_documents(self, changes: List[Change]) -> None:
        since_s = time.monotonic()
        try:
            if self.log.last is None:
                # Overtaken by a nested call, or not published: the next commit sees to it.
                return
            if self._ration.demands_fold(self.log.unfolded()):
                try:
                    self.fold()
                finally:
                    self._ration.folded(since_s)
                return
            missing = self.folding.missing(changes)
            if missing:
                self.folding.refresh(self._unfolded_commits(), missing)
            elif self._ration.allows_refresh():
                try:
                    self.folding.refresh(self._unfolded_commits())
                finally:
                    self._ration.refreshed(since_s)
        except (OSError, DamagedFileError):
            # The values are committed; telling the caller otherwise would make them log twice. Documents that could
            # not be written now are written by the next fold, and flush() and end() report what keeps them from it.
            self.forget()
        except BaseException:
            self.forget()
            raise

    def _unfolded_commits(self) -> Any:
        return self.log.changes(range(self.log.floor + 1, (self.log.last or 0) + 1))

    def fold(self) -> None:
        """Every document holds every commit, and the log is short.

        Raises:
            OSError: with ``filename`` set; documents are old or new, each whole, and no commit is lost.
        """
        try:
            numbers = self.log.look(sweep=not self.reentered)
            merged = self.folding.fold(self.log.changes([n for n in numbers if n > self.log.floor]))
            if numbers and not self.reentered:
                self.log.remove(numbers, numbers[-1])
                for path in merged:
                    atomic.remove_file(path)
        except BaseException:
            self.forget()
            raise

    def flush(self) -> None:
        """As `fold`, of a run that has not ended, with its folders in place. Raises as `next_number` and `fold`."""
        self.confirm_taking_back()
        self._look()
        self.fold()

    def confirm_taking_back(self) -> None:
        """No end that was taken back can return. Raises OSError (with ``filename``) if the disk cannot promise it."""
        if self.taken_back:
            atomic.sync_folder(self.paths.folder)
            self.taken_back = False

    def refresh_all(self) -> None:
        """Every document holds every commit; the log is as it was. Raises OSError; nothing is lost then."""
        try:
            numbers = self.log.look(sweep=not self.reentered)
            self.folding.refresh(self.log.changes([n for n in numbers if n > self.log.floor]))
        except BaseException:
            self.forget()
            raise

    def remove_log(self) -> None:
        """The log is gone, and leftover temporaries with it. Only once the snapshot stands."""
        for number in self.log.look(sweep=True):
            atomic.remove_file(self.paths.commit(number))
        atomic.remove_folder(self.log.folder)
        sweep(self.paths)
        self.forget()

    def _clear_up_after_nested(self) -> None:
        state = read_state(self.paths)
        if state.get("status", RUNNING) == RUNNING:
            self.flush()
            return
        self.fold()
        if not exists(self.paths.snapshot):
            data, _ = gather_snapshot(self.paths, state)
            atomic.write_file(self.paths.folder, SNAPSHOT, data, self.settings.fsync != "never")
        self.remove_log()


def _settle(batch: List[Submission], error: Optional[Exception]) -> None:
    for submission in batch:
        if not submission.settled:
            submission.error = error
            submission.settled = True
