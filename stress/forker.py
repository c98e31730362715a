"""One forking process: ``python -m stress.forker '<work as JSON>'``.

Its threads log to the run that it owns, start and end others, and read, while its main thread forks again and
again. Each child finds out whether it started clean, logs to a run of its own and to its parent's run, and leaves
by ``os._exit``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Dict

import mini_mlflow
from mini_mlflow import ExperimentTracker, Run
from stress.place import Place
from stress.writer import Descriptors, Work, Writer, count_descriptors, set_up, together

#: A child has a handful of calls to make: one that needs longer hangs.
CHILD_LIMIT_S = 60
#: A thread that waits for the interpreter asks for it after so long.
SWITCH_S = 0.0005
#: The number of the first forked child; below it are the forking processes themselves.
FIRST_CHILD = 100


class Forker:
    """A writer whose process forks while its threads log."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._place = Place(Path(work.folder))
        self._tracker = ExperimentTracker(runs_dir=str(self._place.tree))
        self._random = Random(f"{work.seed}/forks/{work.writer}")
        self._troubles: Dict[int, str] = {}
        self._done = threading.Event()

    def work(self) -> None:
        """Write and fork until the time is up, then end the run and report."""
        together([lambda: None])  # As in Writer.write: what a first thread opens for a moment is no leak.
        writer = Writer(self._work)
        descriptors: Descriptors = (None, None)
        with writer.noting_errors("main"):
            descriptors = self._work_with(writer)
        writer.report(descriptors)
        self._place.report(f"forks-{self._work.writer}", {"troubles": self._troubles})

    def _work_with(self, writer: Writer) -> Descriptors:
        run = self._tracker.start_run(run_id=self._work.run_id)
        writer.attempt(self._work.threads, run, last_call=1)
        before = count_descriptors()
        threads = [threading.Thread(target=writer.attempt, args=(n, run, None)) for n in range(self._work.threads)]
        # Runs that start and end, and a reader, hold other locks than a thread that logs.
        threads.append(threading.Thread(target=writer.attempt, args=(self._work.threads + 1, None, None)))
        threads.append(threading.Thread(target=self._read_on, args=(writer, run.run_id)))
        for thread in threads:
            thread.start()
        self._fork_on(run)
        self._done.set()
        for thread in threads:
            thread.join()
        after = count_descriptors()
        self._tracker.end_run()
        return before, after

    def _read_on(self, writer: Writer, run_id: str) -> None:
        with writer.noting_errors("reading"):
            while not self._done.is_set():
                self._tracker.get_run(run_id)
                self._done.wait(0.01)

    def _fork_on(self, run: Run) -> None:
        deadline = time.monotonic() + self._work.seconds
        # The main thread competes with all others for the interpreter, and is to fork often.
        sys.setswitchinterval(SWITCH_S)
        for number in count(step=2):
            if number and time.monotonic() > deadline:
                return
            # Two in a row: the second one meets what the first one's hooks have left.
            processes = {child: self._fork(child, run) for child in (self._name(number), self._name(number + 1))}
            for child, process in processes.items():
                self._troubles[child] = self._await(process, child)

    def _name(self, number: int) -> int:
        return FIRST_CHILD + number * FIRST_CHILD + self._work.writer

    def _fork(self, child: int, run: Run) -> int:
        time.sleep(self._random.random() * 0.002)
        process = os.fork()
        if process == 0:
            self._live(child, run)
        return process

    def _live(self, child: int, run: Run) -> None:
        """The whole life of a forked child; never returns."""
        trouble = ""
        signal.alarm(CHILD_LIMIT_S)
        try:
            if mini_mlflow.active_run() is not None or self._tracker.active_run() is not None:
                trouble = "it started with an active run"
            writer = Writer(replace(self._work, writer=child, pause_s=0.0))
            # In turn, since a run of its own costs more than all else a child does.
            if child // FIRST_CHILD % 2:
                done = writer.acknowledgements(f"own-{child}-0-0", 0)
                own = self._tracker.start_run(run_id=done.run_id)
                writer.log(own, done, last_call=4, end=self._tracker.end_run)
            writer.log(run, writer.acknowledgements(run.run_id, 0), last_call=2)
        except BaseException:  # noqa: BLE001  (a child must not get back into its parent's frames)
            trouble = traceback.format_exc(limit=-4)
        try:
            if trouble:
                self._place.report(f"fork-{child}", {"trouble": trouble})
        finally:
            # A child that ran on would come back as a second forker.
            os._exit(1 if trouble else 0)

    def _await(self, process: int, child: int) -> str:
        """Reap the child; says what was wrong with it, or nothing."""
        # Not in a loop with a deadline: each look would cost a turn among all threads. The child has an alarm set; one
        # that hangs before it gets so far keeps this process too, which the program then kills and reports.
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            return "it hung"
        report = self._place.read_report(f"fork-{child}") if status else None
        return str(report["trouble"]) if report else f"it left with status {status}" if status else ""


def main(work: Dict[str, Any]) -> None:
    # Python 3.12 warns of every fork beside threads: that it goes well is what is tried here.
    warnings.simplefilter("ignore", DeprecationWarning)
    set_up(work["folder"])
    Forker(Work(**work)).work()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
