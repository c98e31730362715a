"""One process that ends and resumes: ``python -m stress.resumer '<work as JSON>'``, or a fork.

Each of its threads logs to one of a few runs, ends it now and then, and resumes it when it finds it ended. Others do
the same to the same runs, so a call may lose the race to an end. It is told so by a RunEndedError and has stored
nothing: it is made again, as the same call, and acknowledged once it has returned. Had it been stored after all, its
points would stand there twice.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, Dict, Optional, Type

from mini_mlflow import ActiveRunError, ExperimentTracker, Run, RunEndedError
from stress.acknowledgements import AcknowledgementFile
from stress.place import Place
from stress.plan import Call, calls, make_call
from stress.writer import Work, Writer, set_up, together

#: Few, so that many threads of many processes meet on each.
RUNS = 3
#: A thread ends its run before about one call in so many.
CALLS_AN_END = 25


class Resumer:
    """The threads of one process; ``thread`` is their class."""

    def __init__(self, work: Work, thread: Optional[Type[ResumingThread]] = None) -> None:
        self._work = work
        self._thread = thread or ResumingThread
        self._place = Place(Path(work.folder))
        self._deadline = time.monotonic() + work.seconds
        self._tracker = ExperimentTracker(runs_dir=str(self._place.tree))
        self._writer = Writer(work)

    def work(self) -> None:
        """End and resume until the time is up, and report."""
        counts: Dict[str, int] = {"ends": 0, "resumes": 0, "lost": 0}
        threads = [self._thread(self, number) for number in range(self._work.threads)]
        together([thread.run for thread in threads])
        for thread in threads:
            for name, count in thread.counts.items():
                counts[name] = counts.get(name, 0) + count
        self._place.report(f"resumes-{self._work.writer}", counts)
        self._writer.report((None, None))

    def log(self, thread: ResumingThread) -> None:
        """One thread's work; what goes wrong in it is reported."""
        work = self._work
        run_id = f"resumed-{(work.writer + thread.number) % RUNS}"
        with self._writer.noting_errors(str(thread.number)):
            done = self._writer.acknowledgements(run_id, thread.number)
            for call in calls(work.seed, run_id, work.writer, thread.number):
                if call.number >= work.calls and time.monotonic() > self._deadline:
                    break
                thread.make(call, done, self._tracker)
            done.close()


class ResumingThread:
    """One thread, and the handle that it has on its run."""

    def __init__(self, resumer: Resumer, number: int) -> None:
        self.number = number
        self.counts: Dict[str, int] = {"ends": 0, "resumes": 0, "lost": 0}
        self._resumer = resumer
        self._run: Any = None
        self._dice = Random(f"{resumer._work.seed}/ends/{resumer._work.writer}/{number}")

    def run(self) -> None:
        self._resumer.log(self)

    def make(self, call: Call, done: AcknowledgementFile, tracker: ExperimentTracker) -> None:
        """The call has returned and is acknowledged, whatever ends and resumes it met on its way."""
        if self._run is not None and self._dice.random() * CALLS_AN_END < 1:
            self._end(self._run)
        while True:
            # A handle that knows of the end is of no more use, also when the run goes on; one that does not is.
            if self._run is None or not self._run.is_open():
                self._resume(done.run_id, tracker)
            begun = time.perf_counter_ns()
            try:
                make_call(call, self._run, self._resumer._place.sources)
            except RunEndedError as error:
                self._lose(error, done.run_id, tracker)
                continue
            done.acknowledge(call.number, time.perf_counter_ns() - begun)
            return

    def _lose(self, error: RunEndedError, run_id: str, tracker: ExperimentTracker) -> None:
        self.counts["lost"] += 1

    def _resume(self, run_id: str, tracker: ExperimentTracker) -> None:
        try:
            self._run = tracker.start_run(run_id=run_id)
            self.counts["resumes"] += 1
        except ActiveRunError:
            # Another thread of this process has just resumed it, through the very handle that this one has.
            self._run = tracker.active_run()

    def _end(self, run: Run) -> None:
        try:
            run.end(self._dice.choice(("FINISHED", "KILLED")))
            self.counts["ends"] += 1
        except RunEndedError:
            # Another one was first.
            self.counts["lost"] += 1


def main(work: Dict[str, Any]) -> None:
    set_up(work["folder"])
    Resumer(Work(**work)).work()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
