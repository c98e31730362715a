"""``delete``, ``restore`` and ``gc``: runs go to the trash, come back from it, or leave it for good."""

from __future__ import annotations

import argparse
import re
from typing import Any, List, Sized

from mini_mlflow.cli.addressing import chosen_experiments, find_run, shorten_id
from mini_mlflow.cli.command import DELETED_RUN, Command, CommandError, Request, add_experiments, add_run
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import count_of, show_time, show_value
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import Column, Row
from mini_mlflow.cli.text import printable

_DURATION = re.compile(r"(\d+(?:\.\d+)?) *([smhdw])\Z", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_COLUMNS = (
    Column("run"),
    Column("experiment", right=True),
    Column("name", may_be_cut=True),
    Column("deleted (UTC)"),
)


def find_deleted(request: Request) -> List[Any]:
    """The runs in the trash, of the experiments that the command line keeps to, the one deleted last first."""
    from mini_mlflow.reading.trash import list_deleted

    chosen = chosen_experiments(request)
    return [run for run in list_deleted(request.root) if chosen is None or run.experiment_id in chosen]


def write_deleted(request: Request, runs: List[Any]) -> None:
    """Deleted runs are the result."""

    def to_row(run: Any) -> Row:
        times = show_time(run.deleted_at)
        return shorten_id(request, run.run_id), str(run.experiment_id), show_value(run.name), times

    request.answer(runs, _COLUMNS, to_row)


def _add_delete(parser: argparse.ArgumentParser) -> None:
    add_run(parser, several=True)
    add_experiments(parser)


def _delete(request: Request) -> int:
    from mini_mlflow.tracker import ExperimentTracker

    # All are looked up before the first is touched: of a misspelt id one learns while nothing is done yet.
    addresses = [find_run(request, run).address for run in request.arguments.runs]
    tracker = ExperimentTracker(runs_dir=request.root)
    for address in dict.fromkeys(addresses):
        tracker.delete_run(address.run_id, address.experiment_id)
        _tell(request, address, "deleted")
    return DONE


def _tell(request: Request, run: Any, done: str) -> None:
    """At once, run by run: should the next one fail, it is known which were dealt with."""
    if request.as_json:
        request.write_json({"run_id": run.run_id, "experiment_id": run.experiment_id, "done": done})
    else:
        request.output.line(printable("%s %s in experiment %d" % (done, run.run_id, run.experiment_id)))


DELETE = Command(
    "delete",
    "move runs to the trash, from where restore brings them back",
    "mini-mlflow delete 3f2a 77b0",
    _add_delete,
    _delete,
)


def _add_restore(parser: argparse.ArgumentParser) -> None:
    summary = "the id of a deleted run, or its beginning where no other's begins so; ls --deleted lists them"
    parser.add_argument("runs", metavar=DELETED_RUN, nargs="+", help=summary)
    add_experiments(parser)


def _restore(request: Request) -> int:
    from mini_mlflow.tracker import ExperimentTracker

    deleted = find_deleted(request)
    chosen = [_choose(request, deleted, prefix) for prefix in request.arguments.runs]
    tracker = ExperimentTracker(runs_dir=request.root)
    for run in dict.fromkeys(chosen):
        tracker.restore_run(run.run_id, run.experiment_id)
        _tell(request, run, "restored")
    return DONE


def _choose(request: Request, deleted: List[Any], prefix: str) -> Any:
    fitting = [run for run in deleted if run.run_id == prefix] or [
        run for run in deleted if prefix and run.run_id.startswith(prefix)
    ]
    if not fitting:
        raise CommandError("no run in the trash of %s has the id %r, or one that begins so" % (request.root, prefix))
    if len(fitting) > 1:
        names = ", ".join("%d/%s" % (run.experiment_id, run.run_id) for run in fitting)
        raise CommandError("%d deleted runs fit %r: %s" % (len(fitting), prefix, names))
    return fitting[0]


RESTORE = Command(
    "restore",
    "bring runs back from the trash",
    "mini-mlflow restore 3f2a",
    _add_restore,
    _restore,
)


def _seconds(text: str) -> float:
    """An argparse type: ``90s``, ``15m``, ``12h``, ``30d`` or ``2w``."""
    match = _DURATION.match(text)
    if match is None:
        raise argparse.ArgumentTypeError("must be such as 90s, 15m, 12h, 30d or 2w, not %r" % text)
    return float(match.group(1)) * _SECONDS[match.group(2)]


def _add_gc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        type=_seconds,
        default=0.0,
        metavar="AGE",
        help="only what was deleted so long ago: 90s, 15m, 12h, 30d or 2w (default: all that are in the trash)",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="tell what would be removed, and remove nothing")
    add_experiments(parser)


def _gc(request: Request) -> int:
    from mini_mlflow.collecting import collect, find_due
    from mini_mlflow.entities import resolve_settings

    chosen, older_than = chosen_experiments(request), request.arguments.older_than
    due = find_due(request.root, older_than, chosen)
    if request.arguments.dry_run:
        write_deleted(request, due.runs)
        request.output.message("%s would be removed for good" % _count(due.runs, due.experiments))
        return DONE
    with Progress(request.output, "removing", "runs", len(due.runs)) as progress:
        done = collect(request.root, older_than, resolve_settings(), chosen, progress.count)
    removed = set(done.runs)
    write_deleted(request, [run for run in due.runs if run.run_id in removed])
    request.output.message("%s removed for good" % _count(done.runs, done.experiments))
    return DONE


def _count(runs: Sized, experiments: Sized) -> str:
    told = count_of(len(runs), "run")
    return "%s and %s" % (told, count_of(len(experiments), "experiment")) if experiments else told


GC = Command(
    "gc",
    "remove deleted runs and experiments for good",
    "mini-mlflow gc --older-than 30d --dry-run",
    _add_gc,
    _gc,
)
