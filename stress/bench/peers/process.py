"""One process that works for the bench: ``python -m stress.bench.peers.process ADAPTER FOLDER``.

It reads a command a line, as JSON, and answers each with a line: ``{"ok": ...}`` or ``{"error": ...}``. What the peer
prints goes to stderr. It runs in the peer's environment, and imports nothing of this package but adapters.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Optional

from stress.bench.peers import load
from stress.bench.peers.contract import ONE, TEN, Peer

#: What a finished run for reading holds, and what a run of a crowd does.
READ_PARAMS, READ_METRICS, READ_POINTS = 20, 10, 20
CROWD_PARAMS, CROWD_METRICS = 10, 20
SHARED_KEY, KILL_KEY = "metric-shared", "metric-kill"
#: A value is ``number * SLOTS + slot``: exact in the single precision that some peers store.
SLOTS = 16
#: A thread whose calls raise that often has shown enough.
MOST_REFUSED = 1000


class Work:
    """The commands, one method each."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._run: Any = None
        self._shared: Any = None
        self._step = 0

    def open(self) -> str:
        """A run for ``calls``, or to share, with the params of a crowd's."""
        self._run = self._peer.start({f"param-{number}": float(number) for number in range(CROWD_PARAMS)})
        return self._peer.name(self._run)

    def calls(self, kind: str, calls: int, seconds: float) -> List[int]:
        """The nanoseconds of each call to the open run: so many, or as many as fit into the time, and at least one."""
        ten = {f"metric-{number}": 0.123456 for number in range(10)}
        log: Dict[str, Callable[[int], None]] = {
            ONE: lambda step: self._peer.log_metric(self._run, "metric-one", 0.123456, step),
            TEN: lambda step: self._peer.log_metrics(self._run, ten, step),
        }
        call, clock, taken = log[kind], time.perf_counter_ns, []
        limit = clock() + int(seconds * 1e9)
        for _ in range(calls):
            self._step += 1
            begun = clock()
            call(self._step)
            now = clock()
            taken.append(now - begun)
            if now > limit:
                break
        return taken

    def close(self) -> None:
        """The open run is ended."""
        self._peer.end(self._run)

    def make_runs(self, threads: int, seconds: float, at: float) -> Dict[str, Any]:
        """Threads start, fill and end runs of their own, from a moment on until the time is up; at least one each."""
        made: List[int] = []
        errors: List[str] = []

        def make() -> None:
            try:
                while True:
                    self._make_run()
                    made.append(1)
                    if time.monotonic() > at + seconds:
                        return
            except Exception:  # noqa: BLE001  (a peer that fails at this is a result)
                errors.append(traceback.format_exc(limit=-2))

        begun, ended = together([make] * threads, at)
        return {"made": len(made), "begun": begun, "ended": ended, "errors": errors[:1], "failed": len(errors)}

    def _make_run(self) -> None:
        run = self._peer.start({f"param-{number}": float(number) for number in range(CROWD_PARAMS)})
        for number in range(CROWD_METRICS):
            self._peer.log_metric(run, f"metric-{number}", number / 7, 0)
        self._peer.end(run)

    def attach(self, name: str) -> None:
        """Join the run of another process, for ``log_shared``; who opened the run goes on with what it has."""
        own = self._run is not None and self._peer.name(self._run) == name
        self._shared = self._run if own else self._peer.attach(name)

    def log_shared(self, first_slot: int, threads: int, seconds: float, at: float) -> Dict[str, Any]:
        """Threads log to the shared run until the time is up, each value with its slot; what was acknowledged."""
        run = self._shared
        logged = [0] * threads
        errors: List[str] = []
        refused: List[float] = []

        def log(thread: int) -> None:
            number = 0
            while number == 0 or time.monotonic() < at + seconds:
                value = float(number * SLOTS + first_slot + thread)
                try:
                    self._peer.log_metric(run, SHARED_KEY, value, number)
                    logged[thread] += 1
                except Exception:  # noqa: BLE001  (a call that raises has promised nothing)
                    refused.append(value)
                    errors.append(traceback.format_exc(limit=-2))
                    if len(refused) > MOST_REFUSED:
                        return
                number += 1

        begun, ended = together([lambda thread=thread: log(thread) for thread in range(threads)], at)  # type: ignore[misc]
        if run is not self._run:
            self._peer.leave(run)
        return {"made": sum(logged), "refused": refused, "errors": errors[:1], "begun": begun, "ended": ended}

    def count_shared(self, name: str, refused: List[float]) -> Dict[str, int]:
        """How many different points of ``log_shared`` can be read back, but for those whose calls raised.

        And how many params of the run are gone.
        """
        self._peer.prepare_reading()
        points = len(set(self._peer.points(name, SHARED_KEY)) - set(refused))
        return {"points": points, "params_lost": CROWD_PARAMS - len(self._peer.read(name)["params"])}

    def fill(self, runs: int, seconds: float) -> int:
        """Finished runs to read, so many or as many as fit into the time."""
        limit = time.monotonic() + seconds
        for made in range(1, runs + 1):
            run = self._peer.start({f"param-{number}": float(number) for number in range(READ_PARAMS)})
            for step in range(READ_POINTS):
                self._peer.log_metrics(run, {f"metric-{number}": step / 7 for number in range(READ_METRICS)}, step)
            self._peer.end(run)
            if time.monotonic() > limit:
                runs = made
                break
        self._peer.prepare_reading()
        return runs

    def read_all(self, seconds: float) -> Dict[str, Any]:
        """List all runs, and read as many as fit into the time; what both take a run, and how many were whole."""
        begun = time.perf_counter()
        names = self._peer.names()
        listed = time.perf_counter()
        runs = []
        for name in names:
            runs.append(self._peer.read(name))
            if time.perf_counter() - listed > seconds:
                break
        read_s = time.perf_counter() - listed
        whole = sum(len(run["params"]) == READ_PARAMS and len(run["metrics"]) == READ_METRICS for run in runs)
        a_run_s = (listed - begun) / len(names) + read_s / len(runs) if runs else 0.0
        return {"runs": len(runs), "whole": whole, "a_run_s": a_run_s}

    def log_until_killed(self, path: str) -> None:
        """Log points to a new run and note each in the file after its call returned; the first line is the run."""
        run = self._peer.start({})
        notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(notes, f"{self._peer.name(run)}\n".encode())
        number = 0
        while True:
            self._peer.log_metric(run, KILL_KEY, float(number), number)
            os.write(notes, f"{number}\n".encode())
            number += 1

    def read_killed(self, name: str) -> List[float]:
        """The points of ``log_until_killed`` that can be read back."""
        self._peer.prepare_reading()
        return self._peer.points(name, KILL_KEY)


def together(workers: List[Callable[[], None]], at: float) -> List[float]:
    """Run each in a thread of its own from the moment ``at`` of the monotonic clock; when they began and had ended."""
    barrier = threading.Barrier(len(workers) + 1)

    def let_go(worker: Callable[[], None]) -> None:
        barrier.wait()
        worker()

    threads = [threading.Thread(target=let_go, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, at - time.monotonic()))
    barrier.wait()
    begun = time.monotonic()
    for thread in threads:
        thread.join()
    return [begun, time.monotonic()]


def answer(work: Optional[Work], line: str) -> Dict[str, Any]:
    """What one command comes to."""
    command = json.loads(line)
    try:
        return {"ok": getattr(work, command.pop("do"))(**command)}
    except Exception:  # noqa: BLE001  (whatever a peer raises is its result)
        return {"error": traceback.format_exc(limit=-3)}


def main(name: str, folder: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    # Some peers print.
    os.dup2(2, 1)
    work: Optional[Work] = None
    try:
        work = Work(load(name)(folder))
        first: Dict[str, Any] = {"ok": "ready"}
    except Exception:  # noqa: BLE001  (the bench says what is wrong with the environment)
        first = {"error": traceback.format_exc(limit=-3)}
    print(json.dumps(first), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(work, line)), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
