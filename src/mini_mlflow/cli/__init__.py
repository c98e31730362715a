"""The command ``mini-mlflow``: everything that the library tells of a tree, at a terminal and in scripts.

Results go to standard output, everything else to standard error. On a terminal there are colours, and tables are cut
to its width; in a pipe or a file there are neither. ``--json`` prints one JSON object a line. The exit codes are in
`cli.exit_codes`. Reading commands take no lock and write nothing.

The modules of the commands declare their arguments at once and import what does the work when they are called:
``--help``, and a shell that completes, must not wait for it.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, List, Optional

from mini_mlflow.cli.command import CommandError, Request, UsageError
from mini_mlflow.cli.commands import COMMANDS
from mini_mlflow.cli.exit_codes import DONE, FAILED, INTERRUPTED, PIPE_CLOSED, USAGE
from mini_mlflow.cli.parser import build_parser, chosen_tree
from mini_mlflow.cli.terminal import Output, OutputError, ReaderGone
from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.errors import DamagedFileWarning, InvalidFilterError, MiniMlflowError


def main(argv: Optional[List[str]] = None) -> int:
    """One command line done; the exit code. ``argv`` None takes the process's own."""
    output = Output(sys.stdout, sys.stderr, os.environ)
    try:
        with warnings.catch_warnings():
            _show_warnings(output)
            code = _run(sys.argv[1:] if argv is None else argv, output)
            output.flush()
            return code
    except (ReaderGone, BrokenPipeError):
        output.give_up()
        return PIPE_CLOSED
    except OutputError as error:
        output.message(str(error))
        output.give_up()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (UsageError, InvalidFilterError) as error:
        output.message(str(error))
        return USAGE
    except (MiniMlflowError, OSError, ImportError) as error:
        output.message(_describe(error))
        return FAILED


def _run(argv: List[str], output: Output) -> int:
    parser = build_parser(COMMANDS)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        # --help has been printed.
        return error.code if isinstance(error.code, int) else DONE
    if arguments.version:
        from mini_mlflow import __version__

        output.line("mini-mlflow %s" % __version__)
        return DONE
    if arguments.command is None:
        raise UsageError("say which command (see mini-mlflow --help)")
    root = resolve_root(chosen_tree(arguments))
    if arguments.command.needs_tree and not os.path.isdir(root):
        raise CommandError("there is no tree at %s: name one with --runs-dir" % root)
    return int(arguments.command.execute(Request(arguments, root, output)))


def _show_warnings(output: Output) -> None:
    # What a reader had to pass over is told once, in one line, and without the line of code that passed over it.
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", DamagedFileWarning)

    def show(message: Any, *_: Any, **__: Any) -> None:
        output.warn(str(message))

    warnings.showwarning = show


def _describe(error: BaseException) -> str:
    """What went wrong, in one line where that is possible."""
    if isinstance(error, OSError) and error.strerror:
        return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
    return str(error) or type(error).__name__
