"""Calling the command line within the test's own process, with streams that may say that they are a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import Any, List, Mapping, NamedTuple, Optional

import pytest

from mini_mlflow.cli import main


class Stream(io.StringIO):
    """What was written, in the encoding and on the device that a test wants."""

    def __init__(self, terminal: bool, encoding: str) -> None:
        super().__init__()
        self._terminal = terminal
        self._encoding = encoding
        self.buffer = io.BytesIO()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal


class Done(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str
    binary: bytes = b""

    @property
    def lines(self) -> List[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> List[Any]:
        """The lines as JSON, which must be strict."""
        return [json.loads(line, parse_constant=_refuse) for line in self.lines]


def _refuse(name: str) -> Any:
    raise AssertionError("%s is no JSON" % name)


def call(
    *argv: str,
    terminal: bool = False,
    encoding: str = "utf-8",
    environ: Optional[Mapping[str, str]] = None,
) -> Done:
    """``mini-mlflow`` with these arguments; with ``terminal`` both streams are one, of 80 columns unless said."""
    out, err = Stream(terminal, encoding), Stream(terminal, encoding)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "TERM", "LINES"):
            patch.delenv(name, raising=False)
        for name, value in {"COLUMNS": "80", **(environ or {})}.items():
            patch.setitem(os.environ, name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(argv))
    return Done(code, out.getvalue(), err.getvalue(), out.buffer.getvalue())
