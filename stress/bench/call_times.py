"""One thread, one run: the time of one call beside the bare loops."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

from mini_mlflow import Run
from stress.bench.bare_loops import AppendLoop, NewNameLoop, ReplacingLoop
from stress.bench.interleaving import Loop, interleave
from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median, percentile, ratio, us
from stress.progress import Progress

BARE = "bare: temporary + rename over one old file"
ONE = "log_metric"
TEN = "log_metrics of ten keys"
NEW_NAME = "bare: temporary + rename to a new name, unlink later"
APPEND = "bare: append"
PARAM = "log_param (one key, again and again)"
FIGURES = {
    BARE: "call.bare",
    NEW_NAME: "call.bare_new_name",
    APPEND: "call.bare_append",
    ONE: "call.one",
    TEN: "call.ten",
    PARAM: "call.param",
}


def measure_calls(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of call times."""
    runs_dir = str(scratch / "mlruns")
    append = AppendLoop(scratch / "append")
    one, ten, params = (Run(run_id=name, runs_dir=runs_dir) for name in ("one", "ten", "params"))
    values = {f"metric-{i}": 0.123456 for i in range(10)}
    loops: Dict[str, Loop] = {
        BARE: ReplacingLoop(scratch / "replacing"),
        NEW_NAME: NewNameLoop(scratch / "new-names"),
        APPEND: append,
        ONE: lambda: one.log_metric("loss", 0.123456),
        TEN: lambda: ten.log_metrics(values),
        PARAM: lambda: params.log_param("lr", 0.01),
    }
    times = interleave(loops, options.block, options.rounds, options.seed, progress.show)
    append.close()
    for run in (one, ten, params):
        run.end()
    table = Table("One thread: time of a call", ("call", "p50 us", "p99 us", "mean us", "p50 to bare", "mean to bare"))
    bare_p50, bare_mean = median(times[BARE]), sum(times[BARE]) / len(times[BARE])
    for name, taken in times.items():
        p50, mean = median(taken), sum(taken) / len(taken)
        cells = us(p50), us(percentile(taken, 0.99)), us(mean), ratio(p50, bare_p50), ratio(mean, bare_mean)
        table.rows.append((name,) + cells)
        table.figures[FIGURES[name] + ".p50"] = p50
        table.figures[FIGURES[name] + ".mean"] = mean
    table.notes.append(f"ten keys to one: {ratio(median(times[TEN]), median(times[ONE]))}")
    table.notes.append(f"{options.rounds} rounds of {options.block} calls each, in shuffled order")
    return table
