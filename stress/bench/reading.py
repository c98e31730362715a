"""Reading many finished runs in a process that has read nothing yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from mini_mlflow import ExperimentTracker
from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median, ratio
from stress.children import child_environment
from stress.progress import Progress

_READ_RUNS = """
import sys, time
from mini_mlflow import ExperimentTracker
begun = time.perf_counter()
tracker = ExperimentTracker(runs_dir=sys.argv[1])
for run_id in tracker.list_runs():
    tracker.get_run(run_id)
print(time.perf_counter() - begun)
"""
_LIST_RUNS = """
import sys, time
from mini_mlflow import ExperimentTracker
begun = time.perf_counter()
ExperimentTracker(runs_dir=sys.argv[1]).list_runs()
print(time.perf_counter() - begun)
"""
_READ_FILES = """
import json, os, sys, time
begun = time.perf_counter()
for name in os.listdir(sys.argv[1]):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        json.loads(file.read())
print(time.perf_counter() - begun)
"""
PARAMS, METRICS, POINTS = 20, 10, 20
BARE = "bare: one JSON file a run, read and parsed"
LIST = "list_runs"
READ = "list_runs, then get_run of each"
FIGURES = {BARE: "read.bare", LIST: "read.list", READ: "read.all"}


def measure_reading(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of cold reads, each in a fresh process, interleaved."""
    table = Table("Cold read of finished runs", ("what", "runs", "us a run", "to bare"))
    for runs in options.runs:
        _measure_size(scratch, runs, options, progress, table)
    table.notes.append(f"{PARAMS} params and {METRICS} metrics of {POINTS} points a run")
    table.notes.append("a fresh process each time, with what it reads in the page cache")
    return table


def _measure_size(scratch: Path, runs: int, options: BenchOptions, progress: Progress, table: Table) -> None:
    runs_dir, files = str(scratch / f"mlruns-{runs}"), str(scratch / f"files-{runs}")
    progress.show(f"making {runs:,} runs")
    _make_runs(runs_dir, runs)
    _make_files(files, runs)
    jobs = {BARE: (_READ_FILES, files), LIST: (_LIST_RUNS, runs_dir), READ: (_READ_RUNS, runs_dir)}
    seconds: Dict[str, List[float]] = {name: [] for name in jobs}
    for number in range(options.repeats):
        progress.show(f"reading {runs:,} runs, repeat {number + 1} of {options.repeats}")
        for name, (program, folder) in jobs.items():
            seconds[name].append(_run(program, folder))
    for name, taken in seconds.items():
        a_run = median(taken) / runs * 1e6
        table.rows.append((name, f"{runs:,}", f"{a_run:,.1f}", ratio(median(taken), median(seconds[BARE]))))
        table.figures[f"{FIGURES[name]}.{runs}.us"] = a_run
    # The largest is what the target is about: a list that does not scale shows there.
    table.figures["read.us"] = median(seconds[READ]) / runs * 1e6


def _make_runs(runs_dir: str, runs: int) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for _ in range(runs):
        run = tracker.start_run(run_name="finished")
        run.log_params({f"param-{number}": number for number in range(PARAMS)})
        for step in range(POINTS):
            run.log_metrics({f"metric-{number}": step / 7 for number in range(METRICS)}, step=step)
        tracker.end_run()


def _make_files(folder: str, runs: int) -> None:
    """What the least that any store could read looks like: the last values of a run in one JSON file."""
    os.mkdir(folder)
    content = {
        "metadata": {"status": "FINISHED", "start_time": "2026-11-23T07:15:10.123456Z", "name": "finished"},
        "params": {f"param-{number}": number for number in range(PARAMS)},
        "metrics": {f"metric-{number}": [19 / 7, 19, 1763882110123] for number in range(METRICS)},
    }
    for number in range(runs):
        (Path(folder) / f"{number}.json").write_text(json.dumps(content))


def _run(program: str, folder: str) -> float:
    command = [sys.executable, "-c", program, folder]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=child_environment()).stdout)
