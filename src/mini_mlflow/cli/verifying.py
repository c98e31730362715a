"""``verify``: what is wrong with a tree."""

from __future__ import annotations

import argparse
import collections
from typing import Any, Iterator

from mini_mlflow.cli.command import Command, Request
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import Column, Row

COLOURS = {"damage": "red", "leftover": "yellow", "notice": "dim"}
_COLUMNS = (
    Column("severity", colour=lambda text: COLOURS.get(text, "")),
    Column("rule"),
    Column("path", may_be_cut=True),
    Column("message", may_be_cut=True),
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="exit with 3 for leftovers and notices too")


def _execute(request: Request) -> int:
    from mini_mlflow.upkeep import DAMAGE

    findings = sorted(_find(request))
    request.answer(findings, _COLUMNS, _row_of)
    counts = collections.Counter(finding.severity for finding in findings)
    told = ", ".join("%d of severity %s" % (counts[severity], severity) for severity in COLOURS if counts[severity])
    request.output.message("%s: %s" % (request.root, told or "nothing is wrong"))
    return NO if counts[DAMAGE] or (findings and request.arguments.strict) else DONE


def _find(request: Request) -> Iterator[Any]:
    from mini_mlflow.upkeep import iter_findings

    with Progress(request.output, "verifying", "findings") as progress:
        yield from progress.count(iter_findings(request.root))


def _row_of(finding: Any) -> Row:
    return finding.severity, finding.rule, finding.path, finding.message


VERIFY = Command(
    "verify",
    "tell everything that is wrong with a tree, and change nothing",
    "mini-mlflow verify --json",
    _add_arguments,
    _execute,
)
