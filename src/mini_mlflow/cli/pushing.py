"""``push``: runs go to an MLflow server, once or again and again, and what it does not take is told."""

from __future__ import annotations

import argparse
import os
from typing import Any, Iterator

from mini_mlflow.cli.addressing import chosen_experiments, shorten_id
from mini_mlflow.cli.command import Command, Request, UsageError, add_experiments, positive
from mini_mlflow.cli.exit_codes import DONE, FAILED, NO
from mini_mlflow.cli.figures import count_of, show_value
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.searching import add_filter
from mini_mlflow.cli.tables import Column, Row, write_table

_COLOURS = {"created": "green", "updated": "green", "failed": "red", "unsent": "yellow", "left": "yellow"}
_SENT = ("params", "tags", "points", "artifacts", "inputs")
_COLUMNS = (
    Column("run"),
    Column("experiment", right=True),
    Column("name", may_be_cut=True),
    Column("", colour=lambda outcome: _COLOURS.get(outcome, "")),
    *(Column(name, right=True) for name in _SENT),
    Column("on the server"),
)
_NOTE_COLUMNS = (
    Column("run"),
    Column("of it"),
    Column("key", may_be_cut=True),
    Column("what is the matter", may_be_cut=True),
    Column("done", colour=lambda done: "red" if done.startswith(("skipped", "failed")) else ""),
)
#: A run is one thing of the bar, and what has been done of it a part of that.
_PARTS = 1000


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    where = "the server: http://host:5000, or any tracking URI that MLflow knows"
    parser.add_argument("--to", required=True, metavar="URL", help=where)
    parser.add_argument("words", nargs="?", metavar="FILTER", help="the same as --filter FILTER")
    add_filter(parser)
    add_experiments(parser)
    deleted = "runs in the trash too; they are deleted on the server as well"
    parser.add_argument("--deleted", action="store_true", help=deleted)
    crashed = "the status there of runs whose process has died (default: FAILED)"
    parser.add_argument("--crashed", choices=("FAILED", "RUNNING"), default="FAILED", help=crashed)
    parser.add_argument("-n", "--dry-run", action="store_true", help="tell what would be sent, and send nothing")
    parser.add_argument("--watch", action="store_true", help="go on pushing what is new until interrupted")
    waits = "with --watch: time between two pushes (default: 5)"
    parser.add_argument("--interval", type=positive(float), default=5.0, metavar="SECONDS", help=waits)
    ends = "with --watch: stop after this time (default: never)"
    parser.add_argument("--for", type=positive(float), dest="for_s", metavar="SECONDS", help=ends)


def _execute(request: Request) -> int:
    arguments = request.arguments
    if arguments.words and arguments.filter:
        raise UsageError("give the filter once, with --filter or without (see mini-mlflow push --help)")
    if arguments.for_s is not None and not arguments.watch:
        raise UsageError("--for goes with --watch (see mini-mlflow push --help)")
    if arguments.dry_run and arguments.watch:
        raise UsageError("--dry-run does not go with --watch (see mini-mlflow push --help)")
    # MLflow's client tells its makers how it is used, unless it is told not to. This program uses no network but --to.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    code = DONE
    for report in _iter_reports(request):
        _write(request, report)
        request.output.flush()
        code = _judge(report)
    return code


def _iter_reports(request: Request) -> Iterator[Any]:
    from mini_mlflow.entities import resolve_settings
    from mini_mlflow.exchange.mlflow_server import connect
    from mini_mlflow.exchange.pushing import Pusher, keep_pushing, read_options

    arguments = request.arguments
    filter_string = arguments.words or arguments.filter
    chosen = chosen_experiments(request)
    options = read_options(
        request.root,
        filter_string,
        chosen,
        deleted=arguments.deleted,
        crashed=arguments.crashed,
        dry_run=arguments.dry_run,
    )
    pusher = Pusher(connect(arguments.to), request.root, options, resolve_settings())
    with Progress(request.output, "pushing", "runs", show=_show_runs) as progress:

        def on_progress(done: float, total: int) -> None:
            progress.move(int(done * _PARTS), total * _PARTS)

        if arguments.watch:
            yield from keep_pushing(pusher, arguments.interval, arguments.for_s, on_progress)
        else:
            yield pusher.push(on_progress)


def _show_runs(parts: int) -> str:
    return "%g" % round(parts / _PARTS, 1)


def _write(request: Request, report: Any) -> None:
    runs = [run for run in report.runs if run.outcome != "unchanged" or not request.arguments.watch]
    if request.as_json:
        for run in runs:
            request.write_json(run.to_dict())
        for note in report.notes:
            request.write_json(note._asdict())
    else:
        _write_tables(request, report, runs)
    if report.error is not None:
        request.output.message(report.error)
    if runs or not request.arguments.watch:
        request.output.message(_sum_up(report))


def _write_tables(request: Request, report: Any, runs: Any) -> None:
    write_table(request.output, _COLUMNS, [_to_row(request, run) for run in runs if run.outcome != "unchanged"])
    notes = [(shorten_id(request, run.run_id), note) for run in runs for note in run.notes]
    notes += [("", note) for note in report.notes]
    if notes:
        request.output.line()
        rows = [
            (run, note.kind, note.key, note.problem, note.done + (": " + note.instead if note.instead else ""))
            for run, note in notes
        ]
        write_table(request.output, _NOTE_COLUMNS, rows)
    for run in runs:
        if run.error is not None:
            request.output.message("%s: %s" % (run.run_id, run.error))


def _to_row(request: Request, run: Any) -> Row:
    sent = [str(getattr(run, name) or "") for name in _SENT]
    there = shorten_id(request, run.server_run_id or "")
    row = [shorten_id(request, run.run_id), str(run.experiment_id), show_value(run.name), run.outcome]
    return row + sent + [there]


def _sum_up(report: Any) -> str:
    outcomes = dict.fromkeys(run.outcome for run in report.runs)
    told = ", ".join("%d %s" % (report.count(outcome), outcome) for outcome in outcomes)
    what = "%s to %s" % (count_of(len(report.runs), "run"), report.target)
    would = " would be (nothing was sent)" if report.dry_run else ""
    return "%s: %s%s" % (what, told, would) if told else what


def _judge(report: Any) -> int:
    if not report.is_complete:
        return FAILED
    return NO if report.left_out else DONE


PUSH = Command(
    "push",
    "bring runs to an MLflow server: all of them, each time only what is new there",
    "mini-mlflow push --to http://localhost:5000 \"status = 'FINISHED'\"",
    _add_arguments,
    _execute,
)
