"""Commit and fold for one run's folder. Every method is for the holder of the run's lock.

A commit goes: take what waits, find the next number, publish one file, settle the submissions, create documents that
do not exist yet, and bring the others up to date if the ration allows. After the publishing, nothing can fail the
caller any more: the log holds the values, and documents are derived from it. The first value of a key that is logged
alone is its document at once (`new_files` says why that is right).

Interrupts and signal handlers. A frame may stop between any two bytecodes, for ever (an exception) or while a handler
calls back in here (`begin` with nested=True). So the file in the making stands in ``_in_flight``, whole, before it is
made: whoever comes next, a nested call or `settle`, can tell what became of it and finish it. Publishing it twice
gives the same file twice. And since a frame that a handler interrupted may, when it goes on, write documents from
what it knew before, a nested call never removes a commit: the log stays, and the outermost frame clears up.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import SNAPSHOT, RunPaths, document_name
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import RUNNING, Settings
from mini_mlflow.errors import DamagedFileError, RunEndedError
from mini_mlflow.formats.commits import Change, dump_commit
from mini_mlflow.writing.commit_log import CommitLog
from mini_mlflow.writing.folding import Folding
from mini_mlflow.writing.new_files import NewFile, publish, try_to_make_durable
from mini_mlflow.writing.operations import Submission, settle
from mini_mlflow.writing.pending import REWOUND, dump_first, place_of
from mini_mlflow.writing.ration import Ration
from mini_mlflow.writing.run_state import explain, highest_in_documents, last_commit, read_live_state, read_state
from mini_mlflow.writing.seen import Seen
from mini_mlflow.writing.snapshots import gather_documents
from mini_mlflow.writing.sweeping import sweep


class RunFiles:
    """One run's folder, as its writer in this process knows it."""

    def __init__(self, paths: RunPaths, settings: Settings) -> None:
        self.paths = paths
        self.settings = settings
        self.log = CommitLog(paths)
        self.seen = Seen()
        self.folding = Folding(paths, settings.fsync != "never", self.seen)
        self._ration = Ration()
        self._in_flight: Optional[NewFile] = None
        #: Counts the calls of `commit`; who finds it changed has been overtaken by a nested call.
        self.generation = 0
        self.reentered = False
        #: An end was taken back, and a power cut may undo that: before `confirm_taking_back`, nothing may be promised.
        self.taken_back = False

    def set_fsync(self, settings: Settings) -> None:
        """From now on, this level holds."""
        self.settings = settings
        self.folding.durability.sync = settings.fsync != "never"

    def begin(self, nested: bool) -> None:
        """The lock was taken, or a nested call came in under it."""
        if nested:
            self.reentered = True
            self.forget()

    def note_creation(self, meta: bytes, meaning: Dict[str, Any]) -> None:
        """The run was made a moment ago, under this hold of the lock: nothing was logged yet."""
        self.forget()
        self.seen.note(self.paths.meta, meta, meaning)
        self.log.begin_at(meaning, last_commit(meaning))

    def settle(self) -> None:
        """Nothing is half way: what an interrupted or overtaken frame left is told apart and cleared up."""
        left = self._in_flight
        if left is not None:
            if left.stands():
                settle(left.batch, try_to_make_durable(left) if self.settings.fsync == "always" else None)
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
                file = self._in_flight = self._plan(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what each waiting call must be told
                self.forget()
                settle(batch, explain(self.paths, error))
                return
            if generation == self.generation:
                break
        self._publish(file)
        if file.number is not None:
            self._tend_documents(file.changes)

    def _plan(self, batch: List[Submission]) -> NewFile:
        changes = [change for submission in batch for change in submission.changes]
        if len(changes) == 1 and self._is_first(changes[0]):
            kind, key = place_of(changes[0])
            data, meaning = dump_first(changes[0], self.log.last or 0)
            return NewFile(self.paths.kind_folder(kind), document_name(key), data, batch, changes, None, meaning)
        number = self.next_number()
        lines = [line for submission in batch for line in submission.lines]
        return NewFile(self.log.folder, "%d.json" % number, dump_commit(number, lines), batch, changes, number)

    def _is_first(self, change: Change) -> bool:
        """Whether the run lives and nothing was ever logged for the key, neither in a document nor in the log.

        Raises: as `next_number`.
        """
        place = place_of(change)
        if self.log.lists_always or self.folding.exists(place) or not self.folding.may_be_new(place):
            return False
        self.confirm_taking_back()
        if self.log.last is None:
            self._look()
        if exists(self.log.folder):
            self.log.last = self.next_number() - 1
            return not self.log.may_hold(lambda waiting: place_of(waiting) == place)
        # Nobody else can have committed then: once it is there, the folder stays until the run ends.
        if exists(self.paths.snapshot):
            self._look()
        try:
            self.folding.check_folder(place[0])
        except FileNotFoundError:
            pass
        return True

    def _finish_in_flight(self) -> None:
        left = self._in_flight
        if left is None:
            return
        path_taken = exists(left.path)
        if all(submission.settled for submission in left.batch) or (path_taken and not left.stands()):
            # A stale plan: the frame that made it was overtaken before it could notice.
            self._in_flight = None
        elif path_taken:
            settle(left.batch, None)
            self._in_flight = None
        else:
            self._publish(left)

    def _publish(self, file: NewFile) -> None:
        try:
            named = self.folding.durability.named if self.settings.fsync == "always" else None
            made = publish(file.folder, file.name, file.data, named)
        except Exception as error:  # noqa: BLE001 - as above
            self.forget()
            settle(file.batch, explain(self.paths, error))
        else:
            settle(file.batch, None)
            if file.number is not None:
                self.log.note(file.number, file.changes)
            else:
                self.folding.note_created(place_of(file.changes[0]), made)
                self.seen.note(file.path, file.data, file.meaning)
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
        meta = read_live_state(self.paths, self.seen)
        if self.log.is_of_another_run(meta):
            self.forget()
        first_time = self.log.last is None
        self.folding.durability.named.clear()
        numbers = self.log.look(sweep=not self.reentered)
        highest = numbers[-1] if numbers else 0
        if first_time or not numbers:
            highest = max(highest, highest_in_documents(self.paths, meta))
        return self.log.note_highest(highest, is_empty=not numbers)

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
            if missing and REWOUND not in missing:
                self.folding.create(self._unfolded_commits(), missing)
            elif missing:
                # What is visible after a rewind is found out here and now, not by each reader from whole histories.
                self.fold()
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
        """As `fold`, of a run that has not ended, with its folders in place, and all documents are on the medium.

        Raises as `next_number` and `fold`.
        """
        self.confirm_taking_back()
        self._look()
        self.fold()
        self.folding.durability.sync_all()

    def confirm_taking_back(self) -> None:
        """No end that was taken back can return. Raises OSError (with ``filename``) if the disk cannot promise it."""
        if self.taken_back:
            atomic.sync_folder(self.paths.folder)
            self.taken_back = False

    def refresh_all(self) -> int:
        """Every document holds every commit; the log is as it was. The highest number that is known. Raises OSError."""
        try:
            numbers = self.log.look(sweep=not self.reentered)
            self.folding.refresh(self.log.changes([n for n in numbers if n > self.log.floor]))
            return max(numbers[-1] if numbers else 0, self.log.last or 0)
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
        state = read_state(self.paths, self.seen)
        if state.get("status", RUNNING) == RUNNING:
            self.flush()
            return
        self.fold()
        if not exists(self.paths.snapshot):
            data = gather_documents(self.paths, self.seen).dump(state)
            atomic.write_file(self.paths.folder, SNAPSHOT, data, self.settings.fsync != "never")
        self.remove_log()
