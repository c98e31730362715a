"""A second process for the doctor: it does what it is told, a word a line, and answers with a line.

It is an interpreter of the same version with the same modules. Whoever has started it ends it, by its number; should
the starter die, its end of the pipe closes, and it ends by itself.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Any, List, Optional

from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.disk.regular import read_file

#: Longer than a healthy network file system takes for anything that is asked here.
_ANSWER_S = 30.0
_START = "import sys; sys.path[:] = %r; from mini_mlflow.upkeep.second_process import obey; obey()"


class NoAnswer(Exception):
    """The second process cannot be started, has died, or takes too long."""


class SecondProcess:
    """The second process, started; a context manager that ends it."""

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START % [os.path.abspath(path) for path in sys.path]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            raise NoAnswer("it cannot be started: %s" % error) from None

    def __enter__(self) -> SecondProcess:
        return self

    def __exit__(self, *error: Any) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def kill(self) -> None:
        """It has been killed, as kill -9 does, and is gone."""
        self._process.kill()
        self._process.wait()

    def tell(self, word: str, path: str = "") -> None:
        """It is told something, with no wait for the answer. Raises NoAnswer."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(("%s %s\n" % (word, os.fsencode(path).hex())).encode("ascii"))
        except OSError as error:
            raise NoAnswer("it has died: %s" % error) from None

    def hear(self) -> str:
        """What it answers. Raises NoAnswer."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise NoAnswer("it has not answered in %g s" % _ANSWER_S if not ready else "it has died")
        return line.decode("ascii").strip()

    def ask(self, word: str, path: str = "") -> str:
        """`tell`, then `hear`."""
        self.tell(word, path)
        return self.hear()


def obey() -> None:
    """What the second process does until its input ends."""
    lock: Optional[KeptLock] = None
    for line in iter(sys.stdin.readline, ""):
        word, _, raw = line.strip().partition(" ")
        path = os.fsdecode(bytes.fromhex(raw))
        if word == "lock":
            if lock is None or lock.path != path:
                lock = KeptLock(path)
            answer = "held" if lock.try_acquire() else "busy"
        elif word == "free":
            if lock is not None:
                lock.close()
            answer = "free"
        elif word == "look":
            answer = str(is_held(path))
        elif word == "watch":
            answer = _watch(path)
        elif word == "fork":
            answer = _fork(lock)
        else:
            answer = "what?"
        _answer(answer)


def _answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _watch(path: str) -> str:
    """Reads the file again and again until the next line comes; tells what was wrong with it, if anything was."""
    _answer("watching")
    seen: List[str] = []
    looks = 0
    while not looks or not select.select([sys.stdin], [], [], 0)[0]:
        looks += 1
        try:
            data = read_file(path)
            if len(data) < 2 or data != data[:1] * len(data):
                seen.append("torn")
        except FileNotFoundError:
            seen.append("missing")
        except OSError as error:
            seen.append(error.strerror or "unreadable")
    sys.stdin.readline()
    return " ".join(sorted(set(seen))) or "whole"


def _fork(lock: Optional[KeptLock]) -> str:
    """A forked child closes its copy of the lock's descriptor, as those of the library do, and lives on."""
    if not hasattr(os, "fork"):
        return "cannot"
    child = os.fork()
    if child == 0:
        # Whatever happens, nobody has to look for it.
        signal.alarm(int(2 * _ANSWER_S))
        if lock is not None:
            lock.forget()
        _answer("forked")
        os.read(0, 1)
        os._exit(0)
    return "parent"
