"""The processes of a scenario: started fresh (never forked), watched, and reaped whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Type

import mini_mlflow
import stress
from stress.place import Place


class CannotRun(Exception):
    """The program could not do its work, which says nothing about the store: exit status 2."""


class Child:
    """One process: its name, and whether this program killed it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], complaints: Path) -> None:
        self.name = name
        self.killed = False
        self.started = time.monotonic()
        self._process = process
        self._complaints = complaints

    def ended(self) -> bool:
        """True once the process is gone.

        Raises:
            CannotRun: it failed, and not by our hand.
        """
        status = self._process.poll()
        if status is None:
            return False
        if status != 0 and not self.killed:
            raise CannotRun(f"{self.name} died with status {status}:\n{self._complaints.read_text()[-2000:]}")
        return True

    def kill(self) -> None:
        """End the process with SIGKILL and reap it; one that has ended by itself does not count as killed."""
        if self._process.poll() is None:
            self.killed = True
            self._process.kill()
        self._process.wait()


class Children:
    """Every process that a scenario starts; leaving the ``with`` block leaves none behind."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._all: List[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for child in self._all:
            child.kill()

    def start(self, module: str, name: str, work: Dict[str, Any]) -> Child:
        """Start ``python -m stress.<module>`` on the work, which it gets as JSON."""
        complaints = self._place.reports / f"{name}.stderr"
        command = [sys.executable, "-m", f"stress.{module}", json.dumps(work)]
        with complaints.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr, env=child_environment())
        child = Child(name, process, complaints)
        self._all.append(child)
        return child

    def wait(self, children: List[Child], limit_s: float, tick: Callable[[], None]) -> List[Child]:
        """Wait at most ``limit_s`` seconds until they have ended; those that still run are killed and returned."""
        deadline = time.monotonic() + limit_s
        left = list(children)
        while left and time.monotonic() < deadline:
            left = [child for child in left if not child.ended()]
            tick()
            time.sleep(0.01)
        for child in left:
            child.kill()
        return left


def child_environment() -> Dict[str, str]:
    """This environment, in which a child finds the same stress and mini_mlflow from any folder."""
    homes = [str(Path(str(package.__file__)).resolve().parents[1]) for package in (stress, mini_mlflow)]
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(homes + ([inherited] if inherited else []))}
