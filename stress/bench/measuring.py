"""``python -m stress bench``: how fast, as ratios to bare file system loops measured in the same run.

What is compared is interleaved in small blocks in shuffled order, so that a slow minute of the machine is a slow
minute for all. Nothing is asserted: the numbers are printed, each table with the file system that it stands on.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Callable, Dict, List

from stress.bench.call_times import measure_calls
from stress.bench.crowds import measure_crowds
from stress.bench.history_growth import measure_history
from stress.bench.imports import measure_imports
from stress.bench.options import BenchOptions, parse_bench_options
from stress.bench.places import file_system_of
from stress.bench.reading import measure_reading
from stress.bench.tables import Table
from stress.progress import Progress

Measurement = Callable[[Path, BenchOptions, Progress], Table]

MEASUREMENTS: Dict[str, Measurement] = {
    "calls": measure_calls,
    "crowds": measure_crowds,
    "history": measure_history,
    "reading": measure_reading,
    "imports": measure_imports,
}
#: Those that do not touch the folder under test.
ANYWHERE = ("imports",)


def main(arguments: List[str]) -> int:
    """Measure what is asked for, print a table as soon as it is there; the exit status."""
    options = parse_bench_options(arguments, list(MEASUREMENTS))
    progress = Progress()
    for name in options.only:
        for place in options.places[:1] if name in ANYWHERE else options.places:
            print(_measure_in(place, name, options, progress).to_markdown(), flush=True)
    return 0


def _measure_in(place: str, name: str, options: BenchOptions, progress: Progress) -> Table:
    scratch = Path(tempfile.mkdtemp(prefix="mini-mlflow-bench-", dir=place))
    try:
        progress.show(f"{name} on {place}")
        table = MEASUREMENTS[name](scratch, options, progress)
    finally:
        shutil.rmtree(str(scratch))
    progress.show("")
    if name not in ANYWHERE:
        table.title += f", {file_system_of(place)} ({place})"
    return table
