"""``verify``: what is wrong with a tree."""

from __future__ import annotations

import argparse
import collections
from typing import Any, Iterator

from mini_mlflow.cli.command import Command, Request
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import write_verdict

COLOURS = {"damage": "red", "leftover": "yellow", "notice": "dim"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="exit with 3 for leftovers and notices too")


def _execute(request: Request) -> int:
    from mini_mlflow.upkeep import DAMAGE

    findings = sorted(_find(request))
    for finding in findings:
        if request.as_json:
            request.write_json(finding._asdict())
        else:
            text = "%s  %s: %s" % (finding.rule, finding.path, finding.message)
            write_verdict(request.output, finding.severity, COLOURS, text)
    counts = collections.Counter(finding.severity for finding in findings)
    told = ", ".join("%d of severity %s" % (counts[severity], severity) for severity in COLOURS if counts[severity])
    request.output.message("%s: %s" % (request.root, told or "nothing is wrong"))
    return NO if counts[DAMAGE] or (findings and request.arguments.strict) else DONE


def _find(request: Request) -> Iterator[Any]:
    from mini_mlflow.upkeep.verify import find_in_run, walk_all

    with Progress(request.output, "verifying", "runs") as progress:

        def find(paths: Any, entry: Any) -> Iterator[Any]:
            yield from find_in_run(paths, entry)
            progress.step()

        yield from walk_all(request.root, find)


VERIFY = Command(
    "verify",
    "tell everything that is wrong with a tree, and change nothing",
    "mini-mlflow verify --json",
    _add_arguments,
    _execute,
)
