"""What the command line says of itself: help, README and completion name the same commands, options and codes."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Dict, List

import pytest

from command_line import call
from mini_mlflow import __version__
from mini_mlflow.cli import exit_codes
from mini_mlflow.cli.command import Command
from mini_mlflow.cli.commands import COMMANDS
from mini_mlflow.cli.completion import SHELLS, describe
from mini_mlflow.cli.exit_codes import DONE, MEANINGS
from mini_mlflow.cli.parser import build_parser

README = (Path(__file__).resolve().parent.parent / "README.md").read_text("utf-8")
NAMED = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
DESCRIBED = describe(build_parser(COMMANDS))


def table_in_readme(title: str) -> Dict[str, List[str]]:
    """The first cell of each row to the others, of the table whose first title is this."""
    _, _, rest = README.partition("| %s " % title)
    rows = [line for line in rest.partition("\n\n")[0].splitlines()[2:] if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return {first.strip("`"): others for first, *others in cells}


def test_help_names_every_command() -> None:
    done = call("--help", environ={"COLUMNS": "200"})
    assert (done.code, done.err) == (DONE, "")
    for command in COMMANDS:
        assert re.search(r"^ +%s +%s$" % (command.name, re.escape(command.summary)), done.out, re.MULTILINE)


@NAMED
def test_help_of_a_command_has_its_example(command: Command) -> None:
    """And a line of help for each option."""
    done = call(command.name, "--help", environ={"COLUMNS": "200"})
    assert (done.code, done.err) == (DONE, "")
    assert "example: " + command.example in " ".join(done.out.split())
    (described,) = [one for one in DESCRIBED if one.name == command.name]
    assert all(option.summary for option in described.options)


@NAMED
def test_example_of_a_command_is_understood(command: Command) -> None:
    """As it stands in the help, it is a command line of that command."""
    line = re.sub(r" > [\w.]+$", "", command.example)
    inner = re.match(r'eval "\$\((.*)\)"$', line)
    program, *argv = shlex.split(inner.group(1) if inner else line)
    assert program == "mini-mlflow"
    assert build_parser(COMMANDS).parse_args(argv).command is command


def test_readme_has_exactly_the_commands_and_their_examples() -> None:
    table = table_in_readme("command")
    assert {name: cells[-1].strip("`") for name, cells in table.items()} == {
        command.name: command.example for command in COMMANDS
    }
    assert list(table) == [command.name for command in COMMANDS]


def test_readme_has_exactly_the_exit_codes() -> None:
    assert {int(code): meaning for code, (meaning,) in table_in_readme("exit code").items()} == MEANINGS
    assert set(MEANINGS) == {value for name, value in vars(exit_codes).items() if name.isupper() and name != "MEANINGS"}


def test_version_is_printed() -> None:
    assert call("--version")[:3] == (DONE, "mini-mlflow %s\n" % __version__, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_has_every_command_and_option(shell: str) -> None:
    script = call("completion", shell).out
    words = set(re.findall(r"[\w-]+", script))
    for command in DESCRIBED:
        for name in [command.name, *command.words, *(name for option in command.options for name in option.names)]:
            assert not name or (name.lstrip("-") if shell == "fish" else name) in words


def test_every_command_has_the_common_options() -> None:
    for command in DESCRIBED:
        names = {name for option in command.options for name in option.names}
        assert {"--json", "--runs-dir", "--help"} <= names


def test_description_is_made_from_the_parser() -> None:
    """What is added to a parser is in its description, and nothing need be repeated."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--how", choices=("a", "b"), help="how")
    parser.add_argument("--flag", action="store_true", help="whether")
    parser.add_argument("run", metavar="RUN")
    assert describe(parser, "x", "does x") == [
        ("x", "does x", ((("--how",), "how", True, ("a", "b")), (("--flag",), "whether", False, ())), (), "ls --ids")
    ]
