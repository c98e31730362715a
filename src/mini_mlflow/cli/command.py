"""What a command is, and what it is asked."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Iterable, NamedTuple, Sequence

from mini_mlflow.cli.strict_json import dump_line
from mini_mlflow.cli.tables import Column, Row, write_table
from mini_mlflow.cli.terminal import Output
from mini_mlflow.cli.text import printable
from mini_mlflow.errors import MiniMlflowError

#: The metavars of arguments that name a run; a shell completes them.
RUN = "RUN"
DELETED_RUN = "DELETED_RUN"


class CommandError(MiniMlflowError):
    """A command cannot be done; the message says why, in one line."""


class UsageError(CommandError):
    """The command line asks for what cannot be asked for."""


class Request(NamedTuple):
    """A command line, understood.

    Attributes:
        arguments: what argparse made of it.
        root: the absolute path of the tree.
        output: where the answer goes.
    """

    arguments: Any
    root: str
    output: Output

    @property
    def as_json(self) -> bool:
        return bool(self.arguments.json)

    def answer(self, items: Iterable[Any], columns: Sequence[Column], row_of: Callable[[Any], Row]) -> int:
        """A list of named tuples is the result: a JSON object a line, or a table. How many there were."""
        if not self.as_json:
            return write_table(self.output, columns, map(row_of, items))
        count = 0
        for item in items:
            self.write_json(item._asdict())
            count += 1
        return count

    def write_json(self, value: Any) -> None:
        """A JSON object is a line of the result."""
        self.output.line(dump_line(value))

    def write_id(self, run_id: str) -> None:
        """A run id alone is a line of the result: as it is for a program, printable for a person."""
        self.output.line(printable(run_id) if self.output.is_terminal else run_id)


class Command(NamedTuple):
    """A command of ``mini-mlflow``.

    Attributes:
        name: what one types.
        summary: one line for the list of commands.
        example: a command line that shows it, below its help.
        add_arguments: declares its options and arguments. Imports nothing heavy: the help needs all of them.
        execute: does it, writes the result, and returns the exit code.
        needs_tree: it cannot be done without a tree.
    """

    name: str
    summary: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[Request], int]
    needs_tree: bool = True


def add_experiments(parser: argparse.ArgumentParser) -> None:
    """The option that keeps to some experiments; without it a command looks into all of them."""
    parser.add_argument(
        "-e",
        "--experiment",
        action="append",
        dest="experiments",
        metavar="EXPERIMENT",
        help="keep to this experiment, by its id; may be given several times (default: all experiments)",
    )


def add_run(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The argument that names a run, or several."""
    summary = "a run id, or its beginning where no other run's id begins so"
    if several:
        parser.add_argument("runs", metavar=RUN, nargs="+", help=summary)
    else:
        parser.add_argument("run", metavar=RUN, help=summary)


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type: a number above zero."""

    def parse(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number < 1e9:
            raise argparse.ArgumentTypeError("must be a number above 0, not %r" % text)
        return number

    return parse
