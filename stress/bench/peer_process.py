"""The bench's end of a peer's process: it is started in the peer's environment, asked, and reaped."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

import stress
from stress.bench.peers import load
from stress.children import child_environment

#: An answer that takes longer is a result too.
PATIENCE_S = 120.0


class PeerFailed(Exception):
    """A peer could not do what it was asked; the message is what it said last."""


class PeerProcess:
    """One process that works for one peer on one store; leaving the ``with`` block ends it and its helpers."""

    def __init__(self, name: str, python: str, base: Path) -> None:
        """Start it, and do not wait for it: that is ``ready``.

        Args:
            base: its folder; the store is ``base / "store"``, HOME and the working folder are beside it.
        """
        self.name = name
        for part in ("store", "home"):
            (base / part).mkdir(parents=True, exist_ok=True)
        self._complaints = base / "complaints"
        command = [python, "-m", "stress.bench.peers.process", name, str(base / "store")]
        with self._complaints.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=str(base),
                env=environment_of(name, str(base / "home")),
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._rest = b""

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.end(patience_s=15.0 if error is None else 0.0)

    def ready(self) -> PeerProcess:
        """Wait until the peer is imported and its store open.

        Raises:
            PeerFailed: it cannot be imported.
        """
        self.receive()
        return self

    def ask(self, do: str, **arguments: Any) -> Any:
        """What one command returned.

        Raises:
            PeerFailed: it raised there, or died, or did not answer in time.
        """
        self.send(do, **arguments)
        return self.receive()

    def send(self, do: str, **arguments: Any) -> None:
        """A command whose answer is fetched later."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(dict(arguments, do=do)).encode() + b"\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(f"died: {self._last_complaint()}") from None

    def receive(self) -> Any:
        """The answer to the last command."""
        answer: Dict[str, Any] = json.loads(self._read_line())
        if "error" in answer:
            raise PeerFailed(last_line(answer["error"]))
        return answer["ok"]

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self._rest:
            readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise PeerFailed(f"no answer in {PATIENCE_S:.0f} s")
            chunk = os.read(descriptor, 1 << 20)
            if not chunk:
                raise PeerFailed(f"died: {self._last_complaint()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _last_complaint(self) -> str:
        return last_line(self._complaints.read_text(errors="replace")[-4000:])

    def kill_alone(self) -> None:
        """SIGKILL to the process itself, as the kernel does when memory is short; its helpers go on."""
        self._process.kill()
        self._process.wait()

    def end(self, patience_s: float) -> None:
        """Let it exit, and end whatever is left of its session."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
        # A peer may have threads that never end.
        self._process.kill()
        for pid in session_of(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()


class PeerPlace:
    """Fresh stores of one peer on one file system."""

    def __init__(self, name: str, python: str, scratch: Path) -> None:
        self.name = name
        self.peer = load(name)
        self.python = python
        self._scratch = scratch
        self._number = 0

    def fresh(self) -> Path:
        """A folder for a store of its own."""
        self._number += 1
        base = self._scratch / f"{self.name.rpartition('.')[2]}-{self._number}"
        base.mkdir(parents=True)
        return base

    def start(self, base: Path) -> PeerProcess:
        return PeerProcess(self.name, self.python, base)

    def start_many(self, base: Path, processes: int) -> List[PeerProcess]:
        """Processes on one store. The first one is ready before the others start: stores are made by one.

        Raises:
            PeerFailed: one of them cannot work; none is left.
        """
        started = [self.start(base)]
        try:
            started[0].ready()
            started += [self.start(base) for _ in range(processes - 1)]
            for process in started[1:]:
                process.ready()
        except BaseException:
            for process in started:
                process.end(0.0)
            raise
        return started

    def remove(self, base: Path) -> None:
        # A helper that a peer left behind may still write there.
        shutil.rmtree(str(base), ignore_errors=True)


def environment_of(name: str, home: str) -> Dict[str, str]:
    """The variables for a process of the peer: offline, its telemetry off, its own HOME, and not our package."""
    peer = load(name)
    environment = child_environment()
    if peer.environment:
        environment["PYTHONPATH"] = str(Path(str(stress.__file__)).resolve().parents[1])
    # Nobody listens there: what would go out in spite of the settings fails at once.
    environment.update(dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"))
    environment.update({"HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}, **peer.settings)
    return environment


def session_of(leader: int) -> List[int]:
    """The processes of the session that the leader began, dead or alive."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and int(entry) != leader:
                found.append(int(entry))
    return found


def last_line(text: str) -> str:
    """What an error comes to, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Folders of this machine say nothing in a table.
    return re.sub(r"/\S*/store\b", "store", lines[-1])[:120] if lines else "no word"
