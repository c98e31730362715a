"""One process of a crowd: ``python -m stress.bench.crowd_process '<work as JSON>'``.

It says that it is ready, waits for a line, works, and says when it began and ended on the system's monotonic
clock, so that the start of the interpreter is not measured.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Dict

from mini_mlflow import ExperimentTracker, Run
from stress.writer import together


def log_points(run: Run, threads: int, points: int) -> None:
    """So many points in all, by so many threads, each to a key of its own."""

    def log(thread: int) -> None:
        key = f"metric-{thread}"
        for number in range(points // threads):
            run.log_metric(key, float(number))

    together([lambda thread=thread: log(thread) for thread in range(threads)])  # type: ignore[misc]


def make_runs(runs_dir: str, threads: int, runs: int) -> None:
    """So many runs in all, by so many threads: 10 params and 20 metrics each, a call each."""

    def make() -> None:
        tracker = ExperimentTracker(runs_dir=runs_dir)
        for _ in range(runs // threads):
            run = tracker.start_run(run_name="crowd")
            for number in range(10):
                run.log_param(f"param-{number}", number)
            for number in range(20):
                run.log_metric(f"metric-{number}", number / 7)
            tracker.end_run()

    together([make] * threads)


def main(work: Dict[str, Any]) -> None:
    run = Run(run_id=work["run_id"], runs_dir=work["runs_dir"]) if work["run_id"] else None
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    if run is not None:
        log_points(run, work["threads"], work["amount"])
    else:
        make_runs(work["runs_dir"], work["threads"], work["amount"])
    print(json.dumps([begun, time.monotonic()]), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
