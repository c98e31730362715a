"""One writing process: ``python -m stress.writer '<work as JSON>'``.

Its threads walk their plans and acknowledge each call after it returned. It may be killed at any moment. A call
that raises ends its thread and stands in the report; the process itself still leaves with status 0, since a
broken guarantee is a result, and only a process that cannot work at all is a failure of the program.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import mini_mlflow
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run
from stress.acknowledgements import ENDED, AcknowledgementFile
from stress.place import Place
from stress.plan import calls, make_call

#: How many descriptors were open before and after the work; None where that cannot be told.
Descriptors = Tuple[Optional[int], Optional[int]]


@dataclass(frozen=True)
class Work:
    """What one writer is to do.

    Attributes:
        run_id: the run that all of its threads share; None: each thread has runs of its own, one after another.
        seconds: how long to write.
        calls: how many calls a thread makes at least.
        end: end the shared run at the end.
    """

    folder: str
    seed: int
    writer: int
    threads: int
    seconds: float
    run_id: Optional[str] = None
    calls: int = 5
    end: bool = False

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


class Writer:
    """The threads of one process at work."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._place = Place(Path(work.folder))
        self._deadline = time.monotonic() + work.seconds

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
        run = Run(run_id=work.run_id, runs_dir=str(self._place.tree)) if work.run_id else None
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
            run = tracker.start_run(run_id=run_id, run_name=f"own-{work.writer}")
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
        try:
            for call in islice(calls(work.seed, done.run_id, work.writer, done.thread), last_call):
                if last_call is None and call.number >= work.calls and time.monotonic() > self._deadline:
                    break
                begun = time.perf_counter_ns()
                make_call(call, target)
                done.acknowledge(call.number, time.perf_counter_ns() - begun)
            if end is not None:
                end()
                done.acknowledge(ENDED, 0)
        finally:
            done.close()


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


if __name__ == "__main__":
    # Nobody damages files here: a writer that skips one with a warning has found a torn one.
    warnings.simplefilter("error", DamagedFileWarning)
    Writer(Work(**json.loads(sys.argv[1]))).write()
