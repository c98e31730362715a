"""``python -m stress bench``: how fast, as ratios to bare file system loops measured in the same run.

What is compared is interleaved in small blocks in shuffled order, so that a slow minute of the machine is a slow
minute for all. Nothing is asserted: the numbers are printed, each table with the file system that it stands on, and at
the end which targets they meet.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional

from stress.bench.call_times import measure_calls
from stress.bench.crowds import measure_crowds
from stress.bench.document import Document
from stress.bench.ext4_image import mounted_ext4
from stress.bench.finding import measure_finding
from stress.bench.history_growth import measure_history
from stress.bench.imports import measure_imports
from stress.bench.mlflow_table import measure_mlflow
from stress.bench.options import MLFLOW, PEERS, BenchOptions, parse_bench_options
from stress.bench.peer_table import Installed, measure_peers
from stress.bench.places import Ground, ground_at
from stress.bench.reading import measure_reading
from stress.bench.steps import StepBar
from stress.bench.tables import Table
from stress.children import CannotRun
from stress.progress import Progress

Measurement = Callable[[Path, BenchOptions, Progress], Table]

MEASUREMENTS: Dict[str, Measurement] = {
    "calls": measure_calls,
    "crowds": measure_crowds,
    "history": measure_history,
    "reading": measure_reading,
    "finding": measure_finding,
    "imports": measure_imports,
    MLFLOW: measure_mlflow,
}
#: Those that do not touch the folder under test.
ANYWHERE = ("imports",)
COULD_NOT_RUN = 2


def main(arguments: List[str]) -> int:
    """Measure what is asked for, print a table as soon as it is there; the exit status."""
    options = parse_bench_options(arguments, [*MEASUREMENTS, PEERS])
    # A mount and the processes of peers go in the ends of blocks, which a default SIGTERM would skip.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        draw = _drawing(options)
        with ExitStack() as stack:
            document = _measure(options, _grounds(options, stack))
        document.write(options, draw)
    except CannotRun as reason:
        Progress().say(f"the bench could not run: {reason}")
        return COULD_NOT_RUN
    return 0


def _drawing(options: BenchOptions) -> Optional[Callable[[Document, str], None]]:
    """What draws the chart, found out before the measuring."""
    if options.chart is None:
        return None
    from stress.bench.chart import draw, load_matplotlib

    load_matplotlib()
    return draw


def _grounds(options: BenchOptions, stack: ExitStack) -> List[Ground]:
    grounds = [ground_at(place) for place in options.places]
    if options.ext4:
        try:
            grounds.append(stack.enter_context(mounted_ext4()))
        except CannotRun as reason:
            Progress().say(f"no ext4 image: {reason}")
    return grounds


def _measure(options: BenchOptions, grounds: List[Ground]) -> Document:
    jobs = [(name, ground) for name in options.only for ground in (grounds[:1] if name in ANYWHERE else grounds)]
    progress = StepBar(len(jobs))
    document = Document()
    measurements: Dict[str, Measurement] = dict(MEASUREMENTS)
    if PEERS in options.only:
        installed = Installed(options, progress.show)
        measurements[PEERS] = partial(measure_peers, installed=installed)
    for name, ground in jobs:
        table = _measure_in(ground, name, measurements[name], options, progress)
        progress.step()
        document.add(ground, table)
        print(table.to_markdown(), flush=True)
    targets = document.judge()
    print(targets.to_markdown(), flush=True)
    return document


def _measure_in(
    ground: Ground, name: str, measurement: Measurement, options: BenchOptions, progress: Progress
) -> Table:
    scratch = Path(tempfile.mkdtemp(prefix="mini-mlflow-bench-", dir=ground.path))
    try:
        progress.show(f"{name} on {ground.label}")
        table = measurement(scratch, options, progress)
    finally:
        # What a peer has left behind may still write there.
        shutil.rmtree(str(scratch), ignore_errors=name == PEERS)
    progress.show("")
    if name not in ANYWHERE:
        table.title += f", {ground.label}"
    return table
