"""``ls`` and ``best``: the runs of a tree, filtered and in order, and the best of them."""

from __future__ import annotations

import argparse
from typing import Any, Callable, List, Mapping, Tuple

from mini_mlflow.cli.addressing import chosen_experiments, search, shorten_id
from mini_mlflow.cli.command import Command, Request, UsageError, add_experiments, positive
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.cli.figures import colour_of_status, show_duration, show_number, show_time, show_value
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import Column, write_table

_STANDARD = ("run_id", "experiment_id", "name", "status", "start_time", "duration")
_TITLES = {"run_id": "run", "experiment_id": "experiment", "start_time": "started (UTC)", "end_time": "ended (UTC)"}
_NUMBERS = ("experiment_id", "duration")
_DURATION = "duration"

#: Makes a cell of a run and its metadata, which each of them would ask the run for.
TextOf = Callable[[Any, Mapping[str, Any]], str]


def add_filter(parser: argparse.ArgumentParser) -> None:
    """The option that lets only some runs pass."""
    parser.add_argument(
        "-f",
        "--filter",
        default="",
        metavar="FILTER",
        help="only runs that it lets pass, such as \"metrics.loss < 0.1 AND params.optimizer = 'adam'\"",
    )


def _add_listing(parser: argparse.ArgumentParser) -> None:
    add_filter(parser)
    parser.add_argument(
        "-o",
        "--order-by",
        action="append",
        metavar="KEY",
        help='such as "metrics.loss DESC"; may be given several times, the first counts most (default: newest first)',
    )
    parser.add_argument("-n", "--limit", type=positive(int), metavar="N", help="the first N runs only")
    parser.add_argument(
        "-c",
        "--column",
        action="append",
        dest="columns",
        metavar="COLUMN",
        help="print exactly the columns named so: metrics.loss, params.lr, tags.stage, an attribute such as name or "
        "version, or duration; --json always has all",
    )
    parser.add_argument("--deleted", action="store_true", help="the runs in the trash instead, the last deleted first")
    parser.add_argument("--ids", action="store_true", help="print the run ids and nothing else")
    add_experiments(parser)


def _list(request: Request) -> int:
    from mini_mlflow.reading.search import parse_query

    arguments = request.arguments
    if arguments.deleted:
        return _list_deleted(request)
    chosen = [_column(request, name) for name in arguments.columns or _STANDARD]
    query = parse_query(arguments.filter, arguments.order_by, arguments.limit)
    runs = search(request, query)
    if arguments.ids:
        write_ids(request, (run.run_id for run in runs))
    elif request.as_json:
        for run in runs:
            request.write_json(run.to_dict())
            run.forget_parts()
    else:
        _write_runs(request, runs, chosen)
    return DONE


def _list_deleted(request: Request) -> int:
    from mini_mlflow.cli.trash import find_deleted, write_deleted

    arguments = request.arguments
    if arguments.filter or arguments.order_by or arguments.columns:
        raise UsageError("ls --deleted takes no filter, order or columns (see mini-mlflow ls --help)")
    runs = find_deleted(request)[: arguments.limit]
    if arguments.ids:
        write_ids(request, (run.run_id for run in runs))
    else:
        write_deleted(request, runs)
    return DONE


def _write_runs(request: Request, runs: Any, chosen: List[Tuple[Column, TextOf]]) -> None:
    readers = [read for _, read in chosen]

    def to_row(run: Any) -> List[str]:
        metadata = run.metadata
        row = [read(run, metadata) for read in readers]
        run.forget_parts()
        return row

    write_table(request.output, [column for column, _ in chosen], map(to_row, runs))


def write_ids(request: Request, run_ids: Any) -> None:
    """Run ids are the result, one a line, for scripts and shells; with ``--json`` each in an object."""
    for run_id in run_ids:
        if request.as_json:
            request.write_json({"run_id": run_id})
        else:
            request.write_id(run_id)


def _column(request: Request, name: str) -> Tuple[Column, TextOf]:
    """The column of that name, and what a run has in it."""
    from mini_mlflow.formats.times import now_ms
    from mini_mlflow.reading.query_fields import METRICS, find_field

    if name == _DURATION:
        now = now_ms()
        return Column(name, right=True), lambda _, metadata: show_duration(metadata, now)
    kind, _, key = name.partition(".")
    field, problem = find_field(kind, key) if key else find_field("", name)
    if field is None:
        raise UsageError("column %s: %s" % (name, problem))
    key = field.key
    if field.kind == METRICS:
        return Column(name, right=True), lambda run, _: show_number(run.last_value(key))
    if field.kind != "attributes":
        values = field.kind
        return Column(name, may_be_cut=True), lambda run, _: show_value(getattr(run, values).get(key))
    colour = colour_of_status if key == "status" else None
    column = Column(_TITLES.get(key, name), key in _NUMBERS, key not in ("status", "run_id"), colour)
    return column, _attribute(request, key)


def _attribute(request: Request, key: str) -> TextOf:
    if key == "run_id":
        return lambda run, _: shorten_id(request, run.run_id)
    if key == "experiment_id":
        return lambda run, _: str(run.experiment_id)
    if key in ("start_time", "end_time"):
        return lambda _, metadata: show_time(metadata.get(key))
    return lambda _, metadata: show_value(metadata.get(key))


LS = Command(
    "ls",
    "list runs: filtered, in any order, with the columns of your choice",
    'mini-mlflow ls -f "params.lr > 0.01" -o metrics.loss -c run_id -c metrics.loss -n 10',
    _add_listing,
    _list,
)


def _add_best(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("metric", metavar="KEY", help="the metric; its last value counts, and NaN never wins")
    parser.add_argument("--min", action="store_true", help="the smallest value is the best (default: the largest)")
    add_filter(parser)
    add_experiments(parser)


def _find_best(request: Request) -> int:
    from mini_mlflow.cli.showing import write_run
    from mini_mlflow.reading.search import best_run, parse_query

    arguments = request.arguments
    matches = parse_query(arguments.filter).matches
    chosen = chosen_experiments(request)
    with Progress(request.output, "searching", "runs") as progress:
        on_run = progress.step_if_shown
        run = best_run(request.root, arguments.metric, not arguments.min, matches, chosen, on_run)
    if run is None:
        request.output.message("no run has a number as its last value of %r" % arguments.metric)
        return NO
    write_run(request, run)
    return DONE


BEST = Command(
    "best",
    "show the run with the largest (or smallest) last value of a metric",
    "mini-mlflow best accuracy -f \"status = 'FINISHED'\"",
    _add_best,
    _find_best,
)
