"""One writing process: ``python -m stress.writer '<work as JSON>'``, or a fork.

Its threads walk their plans and acknowledge each call after it returned. It may be killed at any moment. A call
that raises ends its thread and stands in the report; the process itself still leaves with status 0, since a
broken guarantee is a result, and only a process that cannot work at all is a failure of the program.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar

import mini_mlflow
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run
from stress.acknowledgements import ENDED, AcknowledgementFile
from stress.place import Place
from stress.plan import calls, make_call
from stress.recording import Recording

#: How many descriptors were open before and after the work; None where that cannot be told.
Descriptors = Tuple[Optional[int], Optional[int]]
Result = TypeVar("Result")

#: The disk is full for moments only: a writer that is refused for so long after its time has found a handle stuck.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Work:
    """What one writer is to do.

    Attributes:
        run_id: the run that all of its threads share; None: each thread has runs of its own, one after another.
        seconds: how long to write.
        calls: how many calls a thread makes at least.
        end: end the shared run at the end.
        pause_s: how long a thread rests between two calls, on average; 0: never.
        flush_every: a thread flushes its run about once in so many calls; 0: never.
        full_disk: the disk is full at times: a call that is refused for that is made again until it is not.
    """

    folder: str
    seed: int
    writer: int
    threads: int
    seconds: float
    run_id: Optional[str] = None
    calls: int = 5
    end: bool = False
    pause_s: float = 0.0
    flush_every: int = 0
    full_disk: bool = False

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


class Writer:
    """The threads of one process at work."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._place = Place(Path(work.folder))
        self._deadline = time.monotonic() + work.seconds
        self._refusals = Refusals(self._place, work) if work.full_disk else None

    def write(self) -> None:
        """Do the work, and report."""
        # The first thread to exit has glibc open and load libgcc, at times after join() returned: not a leak.
        together([lambda: None])
        descriptors: Descriptors = (None, None)
        with self.noting_errors("main"):
            descriptors = self._write()
        self.report(descriptors)

    def _write(self) -> Descriptors:
        work = self._work
        begun = time.monotonic_ns()
        run = self._persist(self._attach) if work.run_id else None
        # The main thread works first, alone, as one thread more: what a process opens once is open when
        # descriptors are counted, and the time of this first call is the time in which a writer gets in.
        self.attempt(work.threads, run, last_call=1)
        self._place.report(f"entered-{work.writer}", {"ns": time.monotonic_ns() - begun})
        before = count_descriptors()
        together([self._worker(number, run) for number in range(work.threads)])
        after = count_descriptors()
        if run is not None and work.end:
            run.end()
        return before, after

    def _attach(self) -> Run:
        return Run(run_id=self._work.run_id, runs_dir=str(self._place.tree))

    def _persist(self, action: Callable[[], Result]) -> Result:
        """What the action returns; where the disk may be full, once it has let the action through."""
        return action() if self._refusals is None else self._refusals.persist(action)

    def _worker(self, thread: int, run: Optional[Run]) -> Callable[[], None]:
        return lambda: self.attempt(thread, run, last_call=None)

    def attempt(self, thread: int, run: Optional[Run], last_call: Optional[int]) -> None:
        """One thread's work; what goes wrong in it is reported."""
        with self.noting_errors(str(thread)):
            if run is not None:
                self.log(run, self.acknowledgements(run.run_id, thread), last_call)
            else:
                self._log_own_runs(thread, 1 if last_call else None)

    @contextmanager
    def noting_errors(self, where: str) -> Iterator[None]:
        """Report what is raised inside, and go on; at once, since the process may be killed before it ends."""
        try:
            yield
        except Exception:  # noqa: BLE001  (whatever a call raises is what is looked for)
            self._place.report(f"error-{self._work.writer}-{where}", {"error": traceback.format_exc(limit=-4)})

    def report(self, descriptors: Descriptors) -> None:
        """The process got to its end."""
        self._place.report(f"writer-{self._work.writer}", {"before": descriptors[0], "after": descriptors[1]})

    def acknowledgements(self, run_id: str, thread: int) -> AcknowledgementFile:
        """To be made before the run is: a run that nobody announced counts as invented."""
        return AcknowledgementFile(self._place.acknowledgements, run_id, self._work.writer, thread)

    def _log_own_runs(self, thread: int, limit: Optional[int]) -> None:
        work = self._work
        tracker = ExperimentTracker(runs_dir=str(self._place.tree))
        for number in count() if limit is None else range(limit):
            if number and time.monotonic() > self._deadline:
                return
            run_id = f"own-{work.writer}-{thread}-{number}"
            length = 5 + int(Random(f"{work.seed}/{run_id}").random() * 60)
            done = self.acknowledgements(run_id, thread)
            start = partial(tracker.start_run, run_id=run_id, run_name=f"own-{work.writer}")
            run = self._persist(start)
            # In turn through the Run, and through the functions of the package for the thread's active run.
            self.log(run if number % 2 else mini_mlflow, done, length, end=tracker.end_run)

    def log(
        self,
        target: Any,
        done: AcknowledgementFile,
        last_call: Optional[int],
        end: Optional[Callable[[], None]] = None,
    ) -> None:
        """Make the planned calls, ``last_call`` of them or until the time is up, and acknowledge each."""
        work = self._work
        dice = Random(f"{work.seed}/{done.run_id}/{work.writer}/{done.thread}/rests")
        try:
            for call in islice(calls(work.seed, done.run_id, work.writer, done.thread), last_call):
                if last_call is None and call.number >= work.calls and time.monotonic() > self._deadline:
                    break
                begun = time.perf_counter_ns()
                self._persist(partial(make_call, call, target, self._place.sources))
                done.acknowledge(call.number, time.perf_counter_ns() - begun)
                if work.flush_every and dice.random() * work.flush_every < 1:
                    self._persist(target.flush)
                if work.pause_s:
                    time.sleep(dice.random() * 2 * work.pause_s)
            if end is not None:
                self._persist(end)
                done.acknowledge(ENDED, 0)
        finally:
            done.close()


class Refusals:
    """The calls of one process that a full disk refused.

    Each leaves one byte in a file, so that the program sees from its size that the disk was full for somebody.
    """

    def __init__(self, place: Place, work: Work) -> None:
        self._tree = str(place.tree)
        self._deadline = time.monotonic() + work.seconds + PATIENCE_S
        self._descriptor = os.open(str(place.refusals(work.writer)), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def persist(self, action: Callable[[], Result]) -> Result:
        """What the action returns once there is room.

        Raises:
            OSError: another one than that there is no space left, or one that names no path in the tree; or the disk
                stayed full.
        """
        while True:
            try:
                return action()
            except OSError as error:
                names_path = str(error.filename or "").startswith(self._tree)
                if error.errno != errno.ENOSPC or not names_path or time.monotonic() > self._deadline:
                    raise
                os.write(self._descriptor, b".")
            time.sleep(0.002)


def together(workers: List[Callable[[], None]]) -> None:
    """Run each in a thread of its own, and return when all have ended."""
    threads = [threading.Thread(target=worker) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count_descriptors() -> Optional[int]:
    """How many descriptors this process has open; None where that cannot be told."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


def set_up(folder: str) -> None:
    """This process is one of a scenario: damage is an error, and what it does below the calls is recorded."""
    # Nobody damages files here: a writer that skips one with a warning has found a torn one.
    warnings.simplefilter("error", DamagedFileWarning)
    Recording(Place(Path(folder)).holds).install()


def main(work: Dict[str, Any]) -> None:
    set_up(work["folder"])
    Writer(Work(**work)).write()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
