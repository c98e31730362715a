"""Many threads and processes at once: points and runs a second."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from random import Random
from typing import Callable, Dict, List, Optional

from mini_mlflow import Run
from stress.bench.bare_loops import AppendLoop, NewNameLoop, ReplacingLoop
from stress.bench.crowd_process import log_points, make_runs
from stress.bench.interleaving import Loop, time_calls
from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median, ratio
from stress.children import CannotRun, child_environment
from stress.progress import Progress

BARE = "bare: replacing rename, 1 thread"
BARE_NEW_NAME = "bare: rename to a new name, 1 thread"
BARE_APPEND = "bare: append, 1 thread"
ONE_THREAD = "1 thread on one run"
ONE_MAKER = "1 thread, own runs"
#: 10 params and 20 metrics: what a run is compared with the bare loops by.
CALLS_A_RUN = 30
FIGURES = {
    BARE: "crowd.bare",
    BARE_NEW_NAME: "crowd.bare_new_name",
    BARE_APPEND: "crowd.bare_append",
    ONE_THREAD: "crowd.one_thread",
    "16 threads on one run": "crowd.16_threads",
    "4 processes x 4 threads on one run": "crowd.shared",
    ONE_MAKER: "crowd.one_maker",
    "8 threads, own runs": "crowd.threads",
    "4 processes, own runs": "crowd.processes",
}


class Crowd:
    """The workloads, each on a tree and run of its own at each repeat."""

    def __init__(self, scratch: Path, options: BenchOptions) -> None:
        self._scratch = scratch
        self._points = options.crowd_points
        self._runs = options.crowd_runs
        self._numbers = count()

    def points_by_threads(self, threads: int) -> float:
        """Points a second on one run."""
        run = Run(run_id="crowd", runs_dir=self._fresh())
        begun = time.monotonic()
        log_points(run, threads, self._points)
        seconds = time.monotonic() - begun
        run.end()
        return self._points / seconds

    def runs_by_threads(self, threads: int) -> float:
        """Runs a second."""
        runs_dir = self._fresh()
        begun = time.monotonic()
        make_runs(runs_dir, threads, self._runs)
        return self._runs / (time.monotonic() - begun)

    def runs_by_processes(self, processes: int) -> float:
        """Runs a second."""
        return self._runs / self._time(self._fresh(), processes, 1, None, self._runs // processes)

    def points_by_processes(self, processes: int, threads: int) -> float:
        """Points a second on one run."""
        runs_dir = self._fresh()
        run = Run(run_id="crowd", runs_dir=runs_dir)
        seconds = self._time(runs_dir, processes, threads, run.run_id, self._points // processes)
        run.end()
        return self._points / seconds

    def bare(self, kind: Callable[[Path], Loop]) -> float:
        """Calls a second of a bare loop."""
        loop = kind(self._scratch / f"bare-{next(self._numbers)}")
        return self._points / (sum(time_calls(loop, self._points)) / 1e9)

    def _fresh(self) -> str:
        return str(self._scratch / f"mlruns-{next(self._numbers)}")

    def _time(self, runs_dir: str, processes: int, threads: int, run_id: Optional[str], amount: int) -> float:
        work = json.dumps({"runs_dir": runs_dir, "threads": threads, "run_id": run_id, "amount": amount})
        command = [sys.executable, "-m", "stress.bench.crowd_process", work]
        pipe = subprocess.PIPE
        crowd: List[subprocess.Popen[str]] = []
        try:
            for _ in range(processes):
                crowd.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=child_environment()))
            for process in crowd:
                _read_line(process)
            for process in crowd:
                _write_line(process)
            spans = [json.loads(_read_line(process)) for process in crowd]
            for process in crowd:
                process.wait()
        finally:
            for process in crowd:
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()
        return float(max(end for _, end in spans) - min(begun for begun, _ in spans))


def _read_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise CannotRun("a process of the crowd died: its complaint stands above")
    return line


def _write_line(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.write("go\n")
        process.stdin.flush()


def measure_crowds(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of workloads, with medians over interleaved repeats."""
    crowd = Crowd(scratch, options)
    workloads: Dict[str, Callable[[], float]] = {
        BARE: lambda: crowd.bare(ReplacingLoop),
        BARE_NEW_NAME: lambda: crowd.bare(NewNameLoop),
        BARE_APPEND: lambda: crowd.bare(AppendLoop),
        ONE_THREAD: lambda: crowd.points_by_threads(1),
        "16 threads on one run": lambda: crowd.points_by_threads(16),
        "4 processes x 4 threads on one run": lambda: crowd.points_by_processes(4, 4),
        ONE_MAKER: lambda: crowd.runs_by_threads(1),
        "8 threads, own runs": lambda: crowd.runs_by_threads(8),
        "4 processes, own runs": lambda: crowd.runs_by_processes(4),
    }
    rates: Dict[str, List[float]] = {name: [] for name in workloads}
    order = list(workloads)
    shuffle = Random(options.seed).shuffle
    for number in range(options.repeats):
        shuffle(order)
        for name in order:
            progress.show(f"repeat {number + 1} of {options.repeats}: {name}")
            rates[name].append(workloads[name]())
    heads = "workload", "unit", "median", "lowest", "highest", "to 1 thread", "time of a call to bare"
    table = Table("Crowds", heads)
    for name, taken in rates.items():
        unit, alone, calls = ("runs/s", ONE_MAKER, CALLS_A_RUN) if "own runs" in name else ("points/s", ONE_THREAD, 1)
        cells = f"{median(taken):,.0f}", f"{min(taken):,.0f}", f"{max(taken):,.0f}"
        beside = ratio(median(taken), median(rates[alone])), ratio(median(rates[BARE]), median(taken) * calls)
        table.rows.append((name, unit) + cells + beside)
        table.figures[FIGURES[name]] = median(taken)
    table.notes.append("own runs: 10 params and 20 metrics each, one call each, started and ended")
    table.notes.append(
        f"{options.crowd_points:,} points or {options.crowd_runs:,} runs in each of {options.repeats} repeats"
    )
    return table
