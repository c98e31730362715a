"""Where a command writes: results to standard output, messages to standard error, and what each of the two can show.

On a terminal there are colours (unless ``NO_COLOR`` is set to anything, see no-color.org, or ``TERM`` is "dumb") and
tables are cut to its width. Anywhere else there are neither, and whatever a program reads is complete.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Set

from mini_mlflow.cli.text import printable

_WIDTH = 80
_HEIGHT = 24
_CLEAR = "\r\x1b[K"
COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class ReaderGone(Exception):
    """Whoever read the standard output has closed it: nothing is wrong, and nobody is left to tell."""


class OutputError(Exception):
    """The standard output takes no more (a full disk, a closed descriptor)."""


class Output:
    """The two streams of a command.

    Attributes:
        is_terminal: whether results go to a terminal.
        can_redraw: whether that terminal knows escape sequences.
        has_colours: whether results may be coloured.
        shows_progress: whether messages go to a terminal, where a line may be drawn over.
        can_draw: whether results may hold block characters; else ASCII has to do.
    """

    def __init__(self, stdout: Any, stderr: Any, environ: Mapping[str, str]) -> None:
        self._stdout, self._stderr, self._environ = stdout, stderr, environ
        self._told: Set[str] = set()
        self._is_drawn = False
        is_smart = environ.get("TERM") != "dumb"
        self.is_terminal = _is_terminal(stdout)
        self.can_redraw = self.is_terminal and is_smart
        self.has_colours = self.can_redraw and not environ.get("NO_COLOR")
        self.shows_progress = _is_terminal(stderr) and is_smart
        self.can_draw = _can_encode(stdout, "▁█│•…")
        for stream in (stdout, stderr):
            # Where the encoding of a stream lacks a character, its escape is better than no result.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    @property
    def width(self) -> Optional[int]:
        """The columns of the terminal at this moment; None where results do not go to one."""
        return self._size("COLUMNS", 0, _WIDTH) if self.is_terminal else None

    @property
    def height(self) -> Optional[int]:
        """The lines of the terminal at this moment; None where results do not go to one."""
        return self._size("LINES", 1, _HEIGHT) if self.is_terminal else None

    def _size(self, variable: str, index: int, default: int) -> int:
        wanted = self._environ.get(variable, "")
        if wanted.isdecimal() and int(wanted) > 0:
            return int(wanted)
        try:
            return os.get_terminal_size(self._stdout.fileno())[index] or default
        except (OSError, ValueError, AttributeError):
            return default

    def paint(self, text: str, colour: str) -> str:
        """``text`` in a colour of `COLOURS`, where there are colours; "" is none."""
        if not colour or not self.has_colours:
            return text
        return "\x1b[%sm%s\x1b[0m" % (COLOURS[colour], text)

    def line(self, text: str = "") -> None:
        """A line of the result. Raises ReaderGone and OutputError."""
        self.write(text + "\n")

    def write(self, text: str) -> int:
        """Text of the result, as it is; the csv module calls this too. Raises ReaderGone and OutputError."""
        if self._is_drawn:
            self.draw_over("")
        try:
            return int(self._stdout.write(text))
        except (OSError, ValueError, AttributeError) as error:
            raise self._judge(error) from None

    @property
    def binary(self) -> Any:
        """The stream of bytes below the result, for formats that are no text."""
        return self._stdout.buffer

    def flush(self) -> None:
        """What was written is with the reader. Raises ReaderGone and OutputError."""
        try:
            if self._stdout is not None:
                self._stdout.flush()
        except (OSError, ValueError) as error:
            raise self._judge(error) from None

    def _judge(self, error: Exception) -> Exception:
        if isinstance(error, BrokenPipeError):
            return ReaderGone()
        # A stream that Python did not open at all is None: AttributeError. A closed one is a ValueError.
        reason = error.strerror if isinstance(error, OSError) else "it is closed"
        return OutputError("standard output: %s" % reason)

    def give_up(self) -> None:
        """Nothing more is written, nor at the interpreter's exit, which would complain of what is still buffered."""
        try:
            self._stdout.close()
        except (OSError, ValueError, AttributeError):
            pass

    def message(self, text: str) -> None:
        """A line about the work, on standard error."""
        self.draw_over("")
        self._tell("mini-mlflow: %s\n" % "\n".join(map(printable, text.splitlines())))

    def warn(self, text: str) -> None:
        """The same, once for each text: `watch` meets a damaged file at every look."""
        if text not in self._told:
            self._told.add(text)
            self.message(text)

    def draw_over(self, text: str) -> None:
        """A line on a terminal's standard error that stands until the next one; "" clears it."""
        if self.shows_progress and (text or self._is_drawn):
            self._tell(_CLEAR + text)
            self._is_drawn = bool(text)

    def _tell(self, text: str) -> None:
        # That nobody takes a message is no error: the result matters.
        try:
            self._stderr.write(text)
            self._stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _can_encode(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
