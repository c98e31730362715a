"""The command line's grammar: options common to all commands, and a parser for each."""

from __future__ import annotations

import argparse
import os
from typing import Any, Iterable, NoReturn, Optional

from mini_mlflow.cli.command import Command, UsageError

PROGRAM = "mini-mlflow"
VARIABLE = "MINI_MLFLOW_RUNS_DIR"
_DESCRIPTION = "Look at a tree of runs, take its data elsewhere, check it, and clean it up."


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose complaint is a UsageError of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("%s (see %s --help)" % (message, self.prog))


def build_parser(commands: Iterable[Command]) -> Parser:
    """The parser of the whole command line; the command it found is in ``command``."""
    parser = Parser(prog=PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.set_defaults(command=None, runs_dir=None, json=False)
    _add_common(parser)
    added = parser.add_subparsers(metavar="COMMAND", title="commands")
    for command in commands:
        below = added.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog="example: %s" % command.example,
            allow_abbrev=False,
        )
        command.add_arguments(below)
        _add_common(below)
        below.set_defaults(command=command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    # They may stand before the command and after it: what is not given must not undo what was given before.
    common = parser.add_argument_group("common options")
    common.add_argument(
        "--runs-dir",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="the tree (default: $%s, else mlruns)" % VARIABLE,
    )
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object a line instead of text"
    )


def chosen_tree(arguments: Any) -> str:
    """The tree that a command line is about, as it is spelled there."""
    given: Optional[str] = arguments.runs_dir
    return given if given is not None else os.environ.get(VARIABLE) or "mlruns"
