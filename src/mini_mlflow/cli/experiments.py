"""``experiments``: which there are, and how many runs are in each."""

from __future__ import annotations

import argparse
import collections
from typing import Any, Dict, NamedTuple, Optional

from mini_mlflow.cli.command import Command, Request
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import show_time
from mini_mlflow.cli.tables import Column, Row

_COLUMNS = (
    Column("experiment", right=True),
    Column("name", may_be_cut=True),
    Column("runs", right=True),
    Column("deleted", right=True),
    Column("created (UTC)"),
)


class Counted(NamedTuple):
    """An experiment, with the numbers of its runs and of its runs in the trash."""

    experiment_id: int
    name: Optional[str]
    tags: Dict[str, Any]
    creation_time: Optional[str]
    runs: int
    deleted_runs: int


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filter",
        default="",
        metavar="FILTER",
        help="only experiments that it lets pass, such as \"name LIKE 'vision%%'\"",
    )


def _execute(request: Request) -> int:
    from mini_mlflow.reading.trash import list_deleted
    from mini_mlflow.tracker import ExperimentTracker

    found = ExperimentTracker(runs_dir=request.root).search_experiments(request.arguments.filter)
    deleted = collections.Counter(run.experiment_id for run in list_deleted(request.root))
    counted = (
        Counted(*one, runs=_count_runs(request.root, one.experiment_id), deleted_runs=deleted[one.experiment_id])
        for one in found
    )
    request.answer(counted, _COLUMNS, _row_of)
    return DONE


def _count_runs(root: str, experiment_id: int) -> int:
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.disk.regular import exists
    from mini_mlflow.reading.addresses import iter_addresses

    found = map(RunPaths.of, iter_addresses(root, experiment_id))
    return sum(exists(paths.meta) or exists(paths.snapshot) for paths in found)


def _row_of(one: Counted) -> Row:
    return str(one.experiment_id), one.name or "", str(one.runs), str(one.deleted_runs), show_time(one.creation_time)


EXPERIMENTS = Command(
    "experiments",
    "list experiments: names, numbers of runs, and when they were made",
    "mini-mlflow experiments",
    _add_arguments,
    _execute,
)
