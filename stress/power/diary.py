"""The calls of a workload, each with the steps of the disk between which it ran and what became of it."""

from __future__ import annotations

import errno
import os
import tempfile
import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run, run_stack
from mini_mlflow.disk import atomic, copying
from mini_mlflow.entities import RunAddress
from mini_mlflow.upkeep import repair
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission
from stress.power.processes import Killed, SimulatedProcess, kill_at
from stress.power.recorded_disk import RecordedDisk
from stress.power.replacing import Setting, replaced

RUN_ID, RUN_NAME = "r", "power"
RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"

ARTIFACT = "artifact"
#: The files of a folder that is logged; all of them hold the same text.
NAMES = ("one", "deep/two", "three")
#: A file that such a folder may hold beside them.
KEPT = "kept"

#: The value of a tag that is deleted.
ABSENT = "no such tag"

#: Where a run may be.
PLACES = STANDS, IN_TRASH, GONE = "stands", "in the trash", "gone"
DONE, CUT_SHORT, REFUSED = "done", "cut short", "refused"


class Call(NamedTuple):
    """One thing that was asked for.

    Attributes:
        begun, done: the steps of the disk between which it ran.
        kind: "params", "tags", "metric", "rewind", "artifact", "flush", "turn" for a start and an end, "place" for a
            deletion, a restoration or a removal, "experiment" for what is made or changed of one; "hide" is said of a
            point that is hidden already before the first call.
        key: of a param, tag or metric; the name of a file or a folder; the number of an experiment.
        value: what was logged; of a turn, the status; of a rewind, the step; of a place, one of `PLACES`; of an
            experiment, its name and its stage, or None once it is removed for good.
        outcome: DONE; CUT_SHORT by a kill, which may have stored it or not; REFUSED with an OSError, and not stored.
    """

    begun: int
    done: int
    kind: str
    key: str = ""
    value: Any = None
    outcome: str = DONE


class Diary:
    """Makes calls in one of several processes, and writes them down.

    Args:
        disk: counts the steps.
        root: the tree.
        fsync: the level of all processes.
        first_value: of the points logged here; each has its own.
    """

    def __init__(self, disk: RecordedDisk, root: str, fsync: str, first_value: float = 0.0) -> None:
        self.disk = disk
        self.tracker = ExperimentTracker(runs_dir=root, fsync=fsync)
        self.calls: List[Call] = []
        self._next_value = first_value
        self._runs: Dict[SimulatedProcess, Optional[Run]] = {}
        self.process = SimulatedProcess(pid=1001)
        self._runs[self.process] = None

    def switch_to(self, process: SimulatedProcess) -> None:
        """The calls from now on are that process's."""
        self.process = process
        self._runs.setdefault(process, None)

    def close(self) -> None:
        """No process holds anything any more."""
        for process in self._runs:
            process.die()

    @property
    def run(self) -> Run:
        """The run as this process has it open."""
        run = self._runs[self.process]
        assert run is not None, "this process has not started the run"
        return run

    def _make(self, action: Callable[[], Any], *calls: Call) -> None:
        begun, outcome = self.disk.step, CUT_SHORT
        try:
            with self.process.running():
                action()
            outcome = DONE
        except OSError:
            if self.disk.strike is None:
                raise
            outcome = REFUSED
        finally:
            self.calls += [call._replace(begun=begun, done=self.disk.step, outcome=outcome) for call in calls]

    # -- the calls ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The run is created, attached to or resumed."""

        def action() -> None:
            run = self.tracker.start_run(RUN_NAME, run_id=RUN_ID, nested=True)
            run_stack.discard(run)
            self._runs[self.process] = run

        self._make(action, Call(0, 0, "turn", value=RUNNING))

    def params(self, **params: Any) -> None:
        self._make(lambda: self.run.log_params(params), *(Call(0, 0, "params", *pair) for pair in params.items()))

    def tag(self, key: str, value: Any) -> None:
        self._make(lambda: self.run.set_tag(key, value), Call(0, 0, "tags", key, value))

    def delete_tag(self, key: str) -> None:
        self._make(lambda: self.run.delete_tag(key), Call(0, 0, "tags", key, ABSENT))

    def amend(self, *keys: str, deleted: Sequence[str] = (), **tags: Any) -> None:
        """The run, which has ended FINISHED, has a point more for each key and these tags, in one commit."""
        points = dict.fromkeys(keys, self._next_value)
        self._next_value += 1.0
        submission = batch_submission([(*pair, None, 1) for pair in points.items()], None, tags, deleted)
        address = RunAddress(self.tracker.runs_dir, 0, RUN_ID)
        calls = [Call(0, 0, "metric", *pair) for pair in points.items()]
        calls += [Call(0, 0, "tags", *pair) for pair in (*tags.items(), *((key, ABSENT) for key in deleted))]
        # As an end, it keeps what was logged before and itself.
        calls.append(Call(0, 0, "turn", value=FINISHED))
        self._make(lambda: amend_at(address, self.tracker._settings, submission), *calls)

    def metrics(self, *keys: str) -> None:
        """A point for each key, with a value that no other call's point has."""
        points = dict.fromkeys(keys, self._next_value)
        self._next_value += 1.0
        self._make(lambda: self.run.log_metrics(points), *(Call(0, 0, "metric", *pair) for pair in points.items()))

    def rewind(self, step: int) -> None:
        self._make(lambda: self.run.rewind(step), Call(0, 0, "rewind", value=step))

    def text(self, name: str) -> None:
        """An artifact that is a file, with a text that no other call logs."""
        text = self._next_text()
        self._make(lambda: self.run.log_text(text, name), Call(0, 0, ARTIFACT, name, text))

    def folder(self, name: str) -> None:
        """An artifact that is a folder of three files, which replace those of the last call of that name."""
        text = self._next_text()
        with tempfile.TemporaryDirectory() as source:
            os.mkdir(os.path.join(source, "deep"))
            for file_name in NAMES:
                with open(os.path.join(source, file_name), "w") as file:
                    file.write(text)
            self._make(lambda: self.run.log_artifacts(source, name), Call(0, 0, ARTIFACT, name, text))

    def _next_text(self) -> str:
        self._next_value += 1.0
        return "text %r, which is too long to be a number" % self._next_value

    def flush(self) -> None:
        self._make(self.run.flush, Call(0, 0, "flush"))

    def end(self, status: str = FINISHED) -> None:
        self._make(lambda: self.run.end(status), Call(0, 0, "turn", value=status))

    def repair(self) -> None:
        """The tree is repaired, and the run whose owner was killed has ended."""

        def action() -> None:
            refused = [one for one in repair(self.tracker.runs_dir) if not one.done]
            if refused:
                raise OSError(errno.EIO, str(refused), self.tracker.runs_dir)

        self._make(action, Call(0, 0, "turn", value=FAILED))

    def delete(self) -> None:
        self._make(lambda: self.tracker.delete_run(RUN_ID), Call(0, 0, "place", value=IN_TRASH))

    def restore(self) -> None:
        self._make(lambda: self.tracker.restore_run(RUN_ID), Call(0, 0, "place", value=STANDS))

    def bring_back(self) -> None:
        """The run is restored if it lies in the trash."""
        if self.tracker.list_deleted_runs(0):
            self.restore()

    def gc(self) -> None:
        self._make(self.tracker.gc, Call(0, 0, "place", value=GONE))

    def experiment(self, number: int, name: str) -> None:
        """An experiment of that name is made, and gets the number."""

        def action() -> None:
            assert self.tracker.create_experiment(name) == number

        self._change(action, number, (name, "active"))

    def live_in(self, number: int) -> None:
        """A run of that experiment begins and ends."""
        with self.process.running():
            self.tracker.start_run(run_id=RUN_ID, experiment_id=number, nested=True).end()

    def rename(self, number: int, name: str) -> None:
        self._change(lambda: self.tracker.rename_experiment(number, name), number, (name, "active"))

    def delete_experiment(self, number: int, name: str) -> None:
        self._change(lambda: self.tracker.delete_experiment(number), number, (name, "deleted"))

    def restore_experiment(self, number: int, name: str) -> None:
        self._change(lambda: self.tracker.restore_experiment(number), number, (name, "active"))

    def gc_experiment(self, number: int) -> None:
        self._change(lambda: self.tracker.gc(experiment_id=number), number, None)

    def _change(self, action: Callable[[], Any], number: int, value: Any) -> None:
        self._make(action, Call(0, 0, "experiment", str(number), value))

    # -- with a fault ------------------------------------------------------------------------------------------

    def killed_during(self, call: Callable[[], None], at: int) -> None:
        """The process is killed before the ``at``-th step of the call, or at its end if it has fewer."""
        self.disk.strike = kill_at(at)
        try:
            call()
        except Killed:
            pass
        finally:
            self.disk.strike = None
            self._runs[self.process] = None
            self.process.die()

    def failing(self, call: Callable[[], None], step: str, name: str) -> None:
        """Each ``step`` at a file or folder of that name fails with EIO for the length of the call.

        What is ended all the same (at a level that does without the step) is resumed.
        """

        def strike(found: str, path: str) -> None:
            if found == step and os.path.basename(path) == name:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)

        self.disk.strike = strike
        try:
            call()
        finally:
            self.disk.strike = None
        last = self.calls[-1]
        if last.kind == "turn" and last.value != RUNNING and last.outcome == DONE:
            self.start()


class Recording(NamedTuple):
    """What a workload did."""

    disk: RecordedDisk
    calls: List[Call]
    level: str


def seams(disk: RecordedDisk) -> List[Setting]:
    """Where the disk must stand in for the system."""
    return [(atomic, "os", disk), (copying, "os", disk), (copying, "linux", disk)]


def record(base: str, level: str, live: Callable[[Diary], None], first_value: float = 0.0) -> Recording:
    """What ``live`` does in a tree in the folder ``base``, step by step. What was there is on the medium."""
    disk = RecordedDisk(base)
    diary = Diary(disk, os.path.join(base, "mlruns"), level, first_value)
    try:
        with warnings.catch_warnings(), replaced(seams(disk)):
            warnings.simplefilter("ignore", DamagedFileWarning)
            live(diary)
    finally:
        diary.close()
    return Recording(disk, diary.calls, level)
