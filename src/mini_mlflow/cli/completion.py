"""``completion``: a script that teaches a shell the command line, made from the parser."""

from __future__ import annotations

import argparse
from typing import Any, List, NamedTuple, Tuple

from mini_mlflow.cli.command import DELETED_RUN, RUN, Command, Request
from mini_mlflow.cli.exit_codes import DONE

SHELLS = ("bash", "zsh", "fish")


class Option(NamedTuple):
    """An option as a shell needs to know it.

    Attributes:
        names: its spellings.
        summary: its help.
        takes_value: whether the next word belongs to it.
        choices: the words that may be its value; none if it may be anything.
    """

    names: Tuple[str, ...]
    summary: str
    takes_value: bool
    choices: Tuple[str, ...]


class Described(NamedTuple):
    """A command as a shell needs to know it; the name of the command line itself is "".

    Attributes:
        words: what its argument may be, where that is one of a few.
        ids: how the ids that its arguments may be are listed: the arguments of another command line; "" for none.
    """

    name: str
    summary: str
    options: Tuple[Option, ...]
    words: Tuple[str, ...]
    ids: str


def describe(parser: argparse.ArgumentParser, name: str = "", summary: str = "") -> List[Described]:
    """The command line, then each of its commands."""
    options: List[Option] = []
    words: List[str] = []
    ids = ""
    below: List[Described] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words += action.choices
            for command, command_parser in action.choices.items():
                below += describe(command_parser, command, command_parser.description or "")
        elif action.option_strings:
            options.append(_describe_option(action))
        else:
            words += [str(choice) for choice in action.choices or ()]
            ids = {RUN: "ls --ids", DELETED_RUN: "ls --deleted --ids"}.get(str(action.metavar), ids)
    return [Described(name, summary, tuple(options), tuple(words), ids), *below]


def _describe_option(action: argparse.Action) -> Option:
    choices = tuple(str(choice) for choice in action.choices or ())
    return Option(tuple(action.option_strings), action.help or "", action.nargs != 0, choices)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def _execute(request: Request) -> int:
    from mini_mlflow.cli import completion_scripts
    from mini_mlflow.cli.commands import COMMANDS
    from mini_mlflow.cli.parser import build_parser

    described = describe(build_parser(COMMANDS))
    dump: Any = getattr(completion_scripts, "dump_" + request.arguments.shell)
    request.output.write(dump(described))
    return DONE


COMPLETION = Command(
    "completion",
    "print a script that completes commands, options and run ids in a shell",
    'eval "$(mini-mlflow completion bash)"',
    _add_arguments,
    _execute,
    needs_tree=False,
)
