"""``watch``: the runs that are open, look after look: running ones, and those whose owner died.

On a terminal the table is drawn over; elsewhere each look adds its lines, with the time before them. A run that ends
while it is watched stays, with the status that it ended with. A look reads the files of open runs only: an ended run
is known by its snapshot's being there, which costs one call.
"""

from __future__ import annotations

import argparse
from time import sleep
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from mini_mlflow.cli.addressing import chosen_experiments, shorten_id
from mini_mlflow.cli.command import Command, Request, add_experiments, positive
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import colour_of_status, count_of, show_duration, show_number, show_time, show_value
from mini_mlflow.cli.tables import Column, write_table

_OPEN = ("RUNNING", "CRASHED", "UNKNOWN")
_METRICS_SHOWN = 4
_COLUMNS = (
    Column("run", may_be_cut=True),
    Column("experiment", right=True),
    Column("name", may_be_cut=True),
    Column("status", colour=colour_of_status),
    Column("for", right=True),
    Column("metrics", may_be_cut=True),
)
_TIME = Column("time (UTC)")
#: Erases the terminal from the cursor on.
_CLEAR_BELOW = "\x1b[J"


class Watched(NamedTuple):
    """An open run as a look found it."""

    address: Any
    metadata: Dict[str, Any]
    metrics: Dict[str, Any]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiments(parser)
    shown = "show this metric; may be given several times (default: the first four)"
    parser.add_argument("-m", "--metric", action="append", dest="metrics", metavar="KEY", help=shown)
    waits = "time between two looks (default: 2)"
    parser.add_argument("--interval", type=positive(float), default=2.0, metavar="SECONDS", help=waits)
    looks = parser.add_mutually_exclusive_group()
    looks.add_argument("--once", action="store_true", help="look once")
    looks.add_argument("--count", type=positive(int), metavar="N", help="look N times (default: until interrupted)")


def _execute(request: Request) -> int:
    count: Optional[int] = 1 if request.arguments.once else request.arguments.count
    seen: Set[Any] = set()
    drawn = 0
    looked = 0
    while True:
        runs = sorted(_look(request, seen), key=lambda run: str(run.metadata.get("start_time")), reverse=True)
        drawn = _draw(request, runs, drawn)
        request.output.flush()
        looked += 1
        if looked == count:
            return DONE
        sleep(request.arguments.interval)


def _look(request: Request, seen: Set[Any]) -> Iterator[Watched]:
    """The open runs, and those in ``seen``, which were open at an earlier look; ``seen`` holds the new ones too."""
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.disk.regular import exists
    from mini_mlflow.errors import DamagedFileError
    from mini_mlflow.reading.addresses import iter_addresses, list_experiment_ids
    from mini_mlflow.reading.run_view import read_run

    chosen = chosen_experiments(request)
    for experiment_id in list_experiment_ids(request.root) if chosen is None else chosen:
        for address in iter_addresses(request.root, experiment_id):
            paths = RunPaths.of(address)
            if address not in seen and exists(paths.snapshot):
                continue
            try:
                run = read_run(paths)
            except (FileNotFoundError, NotADirectoryError):
                # No run, or deleted since the listing.
                continue
            except (DamagedFileError, OSError) as error:
                request.output.warn("skipped a run: %s" % error)
                continue
            if address in seen or run.metadata.get("status") in _OPEN:
                seen.add(address)
                yield Watched(address, run.metadata, run.metrics)


def _draw(request: Request, runs: List[Watched], drawn: int) -> int:
    """The runs are the result; on a terminal they stand in the place of the ``drawn`` lines of the last look.

    Returns:
        How many lines they took.
    """
    from mini_mlflow.formats.times import ms_to_iso, now_ms

    now = now_ms()
    output = request.output
    if request.as_json:
        for run in runs:
            request.write_json({"time": ms_to_iso(now), **_to_dict(request, run)})
        return 0
    if not output.can_redraw:
        rows = [(show_time(ms_to_iso(now)), *_row(request, run, now)) for run in runs]
        return drawn + write_table(output, (_TIME, *_COLUMNS), rows, header=drawn == 0)
    if drawn:
        output.write("\x1b[%dF%s" % (drawn, _CLEAR_BELOW))
    # What scrolls off the top cannot be drawn over: two lines are for the titles and the count.
    shown = runs[: max(1, (output.height or 0) - 3)]
    write_table(output, _COLUMNS, [_row(request, run, now) for run in shown])
    hidden = ", %d more than fit" % (len(runs) - len(shown)) if len(runs) > len(shown) else ""
    output.line(output.paint("%s at %s UTC%s" % (count_of(len(runs), "run"), show_time(ms_to_iso(now)), hidden), "dim"))
    return len(shown) + 1 + (1 if shown else 0)


def _row(request: Request, run: Watched, now_ms: int) -> Tuple[str, ...]:
    metadata = run.metadata
    return (
        shorten_id(request, run.address.run_id),
        str(run.address.experiment_id),
        show_value(metadata.get("name")),
        show_value(metadata.get("status")),
        show_duration(metadata, now_ms),
        "  ".join("%s %s" % (key, show_number(value)) for key, value in _chosen_metrics(request, run).items()),
    )


def _chosen_metrics(request: Request, run: Watched) -> Dict[str, Any]:
    wanted = request.arguments.metrics
    keys = sorted(run.metrics)[:_METRICS_SHOWN] if wanted is None else [key for key in wanted if key in run.metrics]
    return {key: run.metrics[key] for key in keys}


def _to_dict(request: Request, run: Watched) -> Dict[str, Any]:
    chosen = run.metrics if request.arguments.metrics is None else _chosen_metrics(request, run)
    fields = {field: run.metadata.get(field) for field in ("name", "status", "start_time", "end_time")}
    return {"run_id": run.address.run_id, "experiment_id": run.address.experiment_id, **fields, "metrics": chosen}


WATCH = Command(
    "watch",
    "watch the open runs: those that run, and those whose process has died",
    "mini-mlflow watch --interval 5 --metric loss",
    _add_arguments,
    _execute,
)
