"""Whether a call costs more when the history behind it is long, and how long a long history takes to read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict

from mini_mlflow import ExperimentTracker, Run
from stress.bench.bare_loops import ReplacingLoop
from stress.bench.call_times import BARE
from stress.bench.interleaving import Loop, interleave
from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median, percentile, ratio, us
from stress.progress import Progress
from stress.writer import together

KEY = "loss"
#: The short history starts here, and grows by the calls that are measured.
SHORT = 1_000


def measure_history(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of calls on a short and a long history, interleaved."""
    runs_dir = str(scratch / "mlruns")
    short, long = (Run(run_id=name, runs_dir=runs_dir) for name in ("short", "long"))
    progress.show(f"logging {options.points:,} points to one metric")
    _fill(short, SHORT, threads=1)
    _fill(long, options.points, threads=16)
    at_short, at_long = f"call {SHORT:,}", f"call {options.points:,}"
    loops: Dict[str, Loop] = {
        BARE: ReplacingLoop(scratch / "replacing"),
        at_short: _logging(short),
        at_long: _logging(long),
    }
    # Few rounds: the short history must stay short beside the long one.
    times = interleave(loops, options.block, min(options.rounds, 20), options.seed, progress.show)
    for run in (short, long):
        run.end()
    table = Table(
        "One metric, a long history",
        ("what", "p50 us", "p99 us", "mean us", "p50 to short", "mean to short", "p50 to bare"),
    )
    for name, taken in times.items():
        p50, mean = median(taken), sum(taken) / len(taken)
        mean_short = sum(times[at_short]) / len(times[at_short])
        beside = ratio(p50, median(times[at_short])), ratio(mean, mean_short), ratio(p50, median(times[BARE]))
        table.rows.append((name, us(p50), us(percentile(taken, 0.99)), us(mean)) + beside)
        figure = {BARE: "history.bare", at_short: "history.short", at_long: "history.long"}[name]
        table.figures[figure + ".p50"] = p50
        table.figures[figure + ".mean"] = mean
    table.figures["history.points"] = float(options.points)
    table.notes.append(_read_note(runs_dir, options.repeats))
    files = sum(1 for path in (Path(runs_dir) / "0" / "long" / "metrics").rglob("*") if path.is_file())
    table.notes.append(f"files of the long metric: {files}")
    return table


def _fill(run: Run, points: int, threads: int) -> None:
    def fill() -> None:
        for _ in range(points // threads):
            run.log_metric(KEY, 0.123456)

    together([fill] * threads)


def _logging(run: Run) -> Loop:
    return lambda: run.log_metric(KEY, 0.123456)


def _read_note(runs_dir: str, repeats: int) -> str:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    seconds = []
    points = 0
    for _ in range(min(repeats, 3)):
        begun = time.perf_counter()
        points = len(tracker.get_metric_history("long", KEY))
        seconds.append(time.perf_counter() - begun)
    taken = median(seconds)
    return f"reading all {points:,} points: {taken:.2f} s, {taken / points * 1e6:.2f} us a point"
