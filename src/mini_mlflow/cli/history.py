"""``history``: all points of one metric, as a table, a plot in characters, CSV or JSON."""

from __future__ import annotations

import argparse
from typing import Any, List, Sequence

from mini_mlflow.cli.addressing import find_run
from mini_mlflow.cli.command import Command, CommandError, Request, add_experiments, add_run, positive
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import show_time
from mini_mlflow.cli.plots import draw_plot, show_step
from mini_mlflow.cli.tables import Column, Row

_COLUMNS = (Column("step", right=True), Column("value", right=True), Column("time (UTC)"))
_PLOT_WIDTH = 80
_PLOT_LINES = 12
_KEYS_NAMED = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("key", metavar="KEY", help="the metric")
    add_experiments(parser)
    parser.add_argument("--last", type=positive(int), metavar="N", help="the last N points only")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--plot", action="store_true", help="draw a curve in characters")
    how.add_argument("--csv", action="store_true", help="print step,value,timestamp (milliseconds since the epoch)")


def _execute(request: Request) -> int:
    from mini_mlflow.reading.metric_history import read_history

    arguments = request.arguments
    paths = find_run(request, arguments.run)
    points = read_history(paths, arguments.key).shown
    if not points:
        raise CommandError(_no_such_metric(paths, arguments.key))
    points = points[-arguments.last :] if arguments.last else points
    if arguments.plot:
        _plot(request, points)
    elif arguments.csv:
        _write_csv(request, points)
    else:
        request.answer(points, _COLUMNS, _row_of)
    return DONE


def _row_of(point: Any) -> Row:
    from mini_mlflow.formats.times import ms_to_iso

    return show_step(point.step), repr(point.value), show_time(ms_to_iso(point.timestamp))


def _no_such_metric(paths: Any, key: str) -> str:
    from mini_mlflow.reading.run_view import read_run

    known = sorted(read_run(paths).metrics)
    named = ", ".join(known[:_KEYS_NAMED]) + (", …" if len(known) > _KEYS_NAMED else "")
    has = "it has %s" % named if known else "it has none"
    return "run %s has no metric %r; %s" % (paths.address.run_id, key, has)


def _plot(request: Request, points: Sequence[Any]) -> None:
    output = request.output
    lines: List[str] = draw_plot(
        [point.step for point in points],
        [point.value for point in points],
        output.width or _PLOT_WIDTH,
        _PLOT_LINES,
        output.can_draw,
    )
    if not lines:
        raise CommandError("none of the %d values is finite: there is nothing to draw" % len(points))
    for line in lines:
        output.line(line)


def _write_csv(request: Request, points: Sequence[Any]) -> None:
    import csv

    writer = csv.writer(request.output, lineterminator="\n")
    writer.writerow(("step", "value", "timestamp"))
    writer.writerows(points)


HISTORY = Command(
    "history",
    "print all points of a metric: a table, a plot, CSV or JSON",
    "mini-mlflow history 3f2a loss --plot",
    _add_arguments,
    _execute,
)
