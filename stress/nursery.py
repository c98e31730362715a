"""The process that starts, kills and reaps every other one: ``python -m stress.nursery``.

It has imported what they need and opened nothing, so a writer that is forked from it costs milliseconds where a fresh
interpreter costs a fifth of a second. And it is the only parent, so it alone says when a process number is free again:
nobody is ever killed who took over the number of one that was gone.

One JSON object a line goes in and one comes out. At the end of its input, for whatever reason (the program may have
been killed itself), it kills all that are left and leaves. Each child leads a process group of its own: what it forked
dies with it, and a Ctrl-C at the terminal reaches none of them before the program has said what is to become of them.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, Optional

from mini_mlflow.writing.origin import collect_origin

#: What forked children run; imported before the first fork.
MODULES = (
    "stress.writer",
    "stress.reader",
    "stress.forker",
    "stress.resumer",
    "stress.trasher",
    "stress.midwife",
    "stress.mender",
)


class Forked:
    """A child that was forked, as far as it is like a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: Optional[int] = None

    def poll(self) -> Optional[int]:
        """The exit status; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> Optional[int]:
        """The exit status, once it is gone."""
        return self._reap(0)

    def _reap(self, options: int) -> Optional[int]:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        return self._status


class Nursery:
    """The children, by process number."""

    def __init__(self) -> None:
        self._children: Dict[int, Any] = {}

    def serve(self) -> Optional[Dict[str, Any]]:
        """Answer until the input ends; in a forked child, return what it was forked for."""
        try:
            while True:
                line = sys.stdin.readline()
                if not line:
                    return None
                request = json.loads(line)
                if request["do"] == "fork":
                    pid = self._fork()
                    if pid == 0:
                        return dict(request)
                    answer: Dict[str, Any] = {"pid": pid}
                elif request["do"] == "spawn":
                    answer = {"pid": self._spawn(request)}
                else:
                    answer = self._poll_or_kill(request)
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
        finally:
            for pid in list(self._children):
                self._poll_or_kill({"do": "kill", "pid": pid})

    def _fork(self) -> int:
        pid = os.fork()
        if pid == 0:
            self._children.clear()
            os.setpgid(0, 0)
            return 0
        # Here too: whoever is first. A kill of the group must not come before there is one.
        os.setpgid(pid, pid)
        self._children[pid] = Forked(pid)
        return pid

    def _spawn(self, request: Dict[str, Any]) -> int:
        command = [request["python"], "-m", request["module"], json.dumps(request["work"])]
        with open(request["complaints"], "wb") as complaints:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env=request["environment"],
                start_new_session=True,
            )
        self._children[process.pid] = process
        return process.pid

    def _poll_or_kill(self, request: Dict[str, Any]) -> Dict[str, Any]:
        child = self._children[request["pid"]]
        status, killed = child.poll(), False
        if status is None and request["do"] == "kill":
            os.killpg(child.pid, signal.SIGKILL)
            status, killed = child.wait(), True
        if status is not None:
            del self._children[request["pid"]]
        return {"status": status, "killed": killed}


def _live(request: Dict[str, Any]) -> None:
    """The life of a forked child, from here to the end of its interpreter."""
    complaints = os.open(request["complaints"], os.O_CREAT | os.O_WRONLY, 0o644)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number, descriptor in enumerate((nowhere, nowhere, complaints)):
        os.dup2(descriptor, number)
    os.close(complaints)
    os.close(nowhere)
    os.environ.update(request["environment"])
    importlib.import_module(request["module"]).main(request["work"])


def main() -> None:
    for module in MODULES:
        importlib.import_module(module)
    # Asks git, once; else each child would.
    collect_origin()
    request = Nursery().serve()
    if request is not None:
        _live(request)


if __name__ == "__main__":
    main()
