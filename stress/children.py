"""The processes of a scenario: started by a nursery, watched, and reaped whatever happens."""

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

#: A nursery kills what is left and leaves within milliseconds.
_LEAVE_S = 30.0


class CannotRun(Exception):
    """The program could not do its work, which says nothing about the store: exit status 2."""


class CannotTake(Exception):
    """This machine lacks what a scenario needs, and this says what: the scenario is skipped, which says nothing."""


class Child:
    """One process: its name, and whether this program killed it."""

    def __init__(self, name: str, pid: int, ask: Callable[..., Dict[str, Any]], complaints: Path) -> None:
        self.name = name
        self.killed = False
        self.started = time.monotonic()
        self._pid = pid
        self._ask = ask
        self._status: Optional[int] = None
        self._complaints = complaints

    def ended(self) -> bool:
        """True once the process is gone.

        Raises:
            CannotRun: it failed, and not by our hand.
        """
        if self._status is None:
            self._status = self._ask(do="poll", pid=self._pid)["status"]
        if self._status not in (None, 0) and not self.killed:
            raise CannotRun(f"{self.name} died with status {self._status}:\n{self._complaints.read_text()[-2000:]}")
        return self._status is not None

    def kill(self) -> None:
        """End the process with SIGKILL and reap it; one that has ended by itself does not count as killed.

        Raises:
            CannotRun: it had failed, and not by our hand.
        """
        if self._status is None:
            answer = self._ask(do="kill", pid=self._pid)
            self._status, self.killed = answer["status"], answer["killed"]
        self.ended()


class Children:
    """Every process that a scenario starts; leaving the ``with`` block leaves none behind."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> Children:
        # A session of its own: a Ctrl-C is for this program, which lets go of the nursery and so ends them all.
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "stress.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        nursery = self._nursery
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        try:
            nursery.stdin.close()
        except BrokenPipeError:
            pass
        try:
            nursery.wait(_LEAVE_S)
        finally:
            nursery.kill()
            nursery.wait()
            nursery.stdout.close()

    def start(self, module: str, name: str, work: Dict[str, Any], python: Optional[str] = sys.executable) -> Child:
        """Start ``stress.<module>`` on the work.

        Args:
            module: has a function ``main(work)``, and calls it with its argument when it is run.
            name: of the process, in reports.
            work: goes through JSON.
            python: the interpreter; None: no fresh one, but a fork of one that has only imported.
        """
        complaints = self._place.reports / f"{name}.stderr"
        request = {"module": f"stress.{module}", "work": work, "complaints": str(complaints)}
        if python is None:
            pid = self._ask(do="fork", environment={}, **request)["pid"]
        else:
            homes = None if python == sys.executable else self._place.home_of_packages(_packages())
            pid = self._ask(do="spawn", python=python, environment=child_environment(homes), **request)["pid"]
        return Child(name, pid, self._ask, complaints)

    def _ask(self, **request: Any) -> Dict[str, Any]:
        nursery = self._nursery
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        try:
            nursery.stdin.write(json.dumps(request).encode() + b"\n")
            nursery.stdin.flush()
            answer = nursery.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise CannotRun(f"the nursery left with status {nursery.wait(_LEAVE_S)}")
        return dict(json.loads(answer))


def wait_for(children: List[Child], limit_s: float, tick: Callable[[], None]) -> List[Child]:
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


def _packages() -> List[Path]:
    return [Path(str(package.__file__)).resolve().parent for package in (stress, mini_mlflow)]


def child_environment(home: Optional[Path] = None) -> Dict[str, str]:
    """This environment, in which a child finds the same stress and mini_mlflow from any folder.

    Args:
        home: a folder that holds these two alone, for an interpreter that has packages of its own; None for this one.
    """
    if home is not None:
        return {**os.environ, "PYTHONPATH": str(home)}
    inherited = os.environ.get("PYTHONPATH")
    homes = [str(package.parent) for package in _packages()]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(homes + ([inherited] if inherited else []))}
