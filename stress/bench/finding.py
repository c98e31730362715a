"""Listing, searching and choosing among many finished runs, in a process that has read nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

from mini_mlflow import ExperimentTracker
from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median
from stress.children import child_environment
from stress.progress import Progress

PARAMS, METRICS, POINTS = 20, 10, 20
LS = "ls: all, newest first, with what a table shows"
SEARCH = "search: 2 conditions, ordered, the first 100"
BEST = "best of one metric"
FIGURES = {LS: "find.ls", SEARCH: "find.search", BEST: "find.best"}

_BEGIN = """
import sys, time
from mini_mlflow import ExperimentTracker
def memory_kb(field):
    try:
        with open("/proc/self/status") as file:
            return int(next(line.split()[1] for line in file if line.startswith(field)))
    except OSError:
        return 0
before_kb = memory_kb("VmRSS")
begun = time.perf_counter()
tracker = ExperimentTracker(runs_dir=sys.argv[1])
"""
_END = """
print(time.perf_counter() - begun, memory_kb("VmHWM") - before_kb)
"""
_PROGRAMS = {
    LS: """
for run in tracker.search_runs(max_results=None):
    run.run_id, run.name, run.status, run.start_time, run.metrics
    run.forget_parts()
""",
    SEARCH: """
tracker.search_runs("metrics.metric-1 < 0.5 AND params.param-0 >= 10", ["metrics.metric-2 DESC", "start_time"], 100)
""",
    BEST: """
assert tracker.best_run("metric-1", "min") is not None
""",
}


def measure_finding(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of questions to trees of several sizes, each in a fresh process, interleaved."""
    table = Table("Finding among finished runs", ("what", "runs", "us a run", "more memory, MB", "kB a run"))
    for runs in (*options.runs, *((100_000,) if options.many else ())):
        runs_dir = str(scratch / f"mlruns-{runs}")
        progress.show(f"making {runs:,} runs")
        make_runs(runs_dir, runs)
        _measure_size(runs_dir, runs, options, progress, table)
    table.notes.append(f"{PARAMS} params and {METRICS} metrics of {POINTS} points a run; the questions read snapshots")
    table.notes.append("a fresh process each time, with what it reads in the page cache; memory is what it grew by")
    return table


def _measure_size(runs_dir: str, runs: int, options: BenchOptions, progress: Progress, table: Table) -> None:
    found: Dict[str, List[Tuple[float, int]]] = {name: [] for name in _PROGRAMS}
    for number in range(options.repeats):
        progress.show(f"searching {runs:,} runs, repeat {number + 1} of {options.repeats}")
        for name, program in _PROGRAMS.items():
            found[name].append(_run(_BEGIN + program + _END, runs_dir))
    for name, taken in found.items():
        a_run = median([seconds for seconds, _ in taken]) / runs * 1e6
        memory_kb = median([grown_kb for _, grown_kb in taken])
        table.rows.append(
            (name, f"{runs:,}", f"{a_run:,.1f}", f"{memory_kb / 1024:,.1f}", f"{memory_kb / runs:,.2f}"),
        )
        table.figures[f"{FIGURES[name]}.{runs}.us"] = a_run
        table.figures[f"{FIGURES[name]}.{runs}.kb"] = float(memory_kb)
        # The largest is what the targets are about: what does not scale shows there.
        table.figures[f"{FIGURES[name]}.us"] = a_run


def make_runs(runs_dir: str, runs: int) -> None:
    """Finished runs of the usual size, told apart by their times, a param and their metrics.

    One is logged; the others are its two files that a reader of finished runs looks for, with other figures in them. A
    hundred thousand real ones would be three million files, none of which is opened here.
    """
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = tracker.start_run(run_name="finished", run_id="0" * 32)
    run.log_params({f"param-{number}": number for number in range(PARAMS)})
    for step in range(POINTS):
        run.log_metrics({f"metric-{number}": step / 7 for number in range(METRICS)}, step=step)
    tracker.end_run()
    folder = Path(runs_dir, "0", run.run_id)
    snapshot, meta = ((folder / name).read_bytes() for name in ("snapshot.json", "meta.yaml"))
    start = str(run.start_time).encode("ascii")
    for number in range(1, runs):
        # Scattered over the time, so that no listing happens to be in order.
        place = number * 7919 % 86_400_000
        time = b"2026-11-%02dT%02d:%02d:%02d.%06dZ" % (
            1 + place % 28, place % 24, place % 60, place % 59, number % 1_000_000,
        )  # fmt: skip
        name = b"%032x" % (number * 0x9E3779B97F4A7C15 % 2**128)
        other = Path(runs_dir, "0", name.decode("ascii"))
        os.mkdir(str(other))
        for file, data in (("meta.yaml", meta), ("snapshot.json", snapshot)):
            data = (
                data.replace(b"0" * 32, name).replace(start, time).replace(b'"param-0": 0', b'"param-0": %d' % number)
            )
            value = b'{"value": %r' % (place / 86_400_000)
            (other / file).write_bytes(data.replace(b'{"value": %r' % (19 / 7), value))


def _run(program: str, runs_dir: str) -> Tuple[float, int]:
    command = [sys.executable, "-c", program, runs_dir]
    seconds, grown_kb = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env=child_environment()
    ).stdout.split()
    return float(seconds), int(grown_kb)
