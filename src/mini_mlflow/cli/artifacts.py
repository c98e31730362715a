"""``artifacts`` and ``log-artifact``: the files of a run, and one more of them."""

from __future__ import annotations

import argparse
from typing import Any, Iterator, Optional

from mini_mlflow.cli.addressing import find_run
from mini_mlflow.cli.command import Command, Request, add_experiments, add_run
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import show_size
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import Column, Row
from mini_mlflow.cli.text import printable

COLUMNS = (Column("artifact", may_be_cut=True), Column("size", right=True))


def iter_artifacts(paths: Any, folder: Optional[str] = None) -> Iterator[Any]:
    """The files among a run's artifacts, at any depth, folder by folder."""
    from mini_mlflow.reading.artifacts import list_artifacts

    for found in list_artifacts(paths, folder):
        if found.is_dir:
            yield from iter_artifacts(paths, found.path)
        else:
            yield found


def to_row(artifact: Any) -> Row:
    return artifact.path, show_size(artifact.file_size)


def _add_listing(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="what is in this folder only")
    add_experiments(parser)


def _list(request: Request) -> int:
    paths = find_run(request, request.arguments.run)
    request.answer(iter_artifacts(paths, request.arguments.folder), COLUMNS, to_row)
    return DONE


ARTIFACTS = Command(
    "artifacts",
    "list the files among the artifacts of a run",
    "mini-mlflow artifacts 3f2a",
    _add_listing,
    _list,
)


def _add_logging(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("path", metavar="PATH", help="a file, or a folder with all that is in it")
    parser.add_argument("--to", metavar="FOLDER", help="the folder among the artifacts (default: their top)")
    add_experiments(parser)


def _log(request: Request) -> int:
    from mini_mlflow.entities import resolve_settings
    from mini_mlflow.writing.artifacts import log_path
    from mini_mlflow.writing.open_runs import get_open_run

    arguments = request.arguments
    address = find_run(request, arguments.run).address
    # Not attached to, which would make this process the owner of a run whose own has died, and end it at the exit.
    run = get_open_run(address, resolve_settings())
    with Progress(request.output, "copying", "", show=show_size) as progress:
        log_path(run, arguments.path, arguments.to, progress.move)
    if request.as_json:
        request.write_json({"run_id": address.run_id, "experiment_id": address.experiment_id, "done": "logged"})
    else:
        text = "logged %s to %s in experiment %d" % (arguments.path, address.run_id, address.experiment_id)
        request.output.line(printable(text))
    return DONE


LOG_ARTIFACT = Command(
    "log-artifact",
    "copy a file or a folder to the artifacts of a run, also of one that has ended",
    "mini-mlflow log-artifact 3f2a model.bin --to models",
    _add_logging,
    _log,
)
