"""Several processes in one: each with its own memory of the runs it has open, its own locks, and a death of its own.

What two processes share is the disk, and what a process that is killed leaves is what it had done to the disk. So a
process is simulated by taking its registry of open runs out of the engine's way while another one's calls are made:
its committers know nothing of the other's, and flock(2) tells their descriptors apart as it tells processes apart.
A real kill is in the tests of kills, forks and signals; this one is exact, costs nothing, and records.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator
from weakref import WeakValueDictionary

from mini_mlflow.writing import lifecycle, open_runs, origin, start_request
from stress.power.replacing import replaced


class Killed(BaseException):
    """The process is dead: no step of it comes through any more, also none that would clean up."""


class SimulatedProcess:
    """What one process knows; its calls are made within `running`.

    Args:
        pid: what its runs' ``meta.yaml`` says of their owner.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._open: WeakValueDictionary[str, open_runs.OpenRun] = WeakValueDictionary()
        self._owned: Dict[str, open_runs.OpenRun] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block, the engine is this process's."""
        collect: Any = origin.collect_origin

        def collect_here() -> Dict[str, Any]:
            return dict(collect(), pid=self.pid)

        settings = [
            (open_runs, "_open", self._open),
            (open_runs, "_owned", self._owned),
            (lifecycle, "collect_origin", collect_here),
            (start_request, "collect_origin", collect_here),
            # Its runs are not this interpreter's to end.
            (lifecycle, "call_at_exit", lambda function: None),
        ]
        with replaced(settings):
            yield

    def die(self) -> None:
        """What the kernel does for a killed process: its descriptors are closed, and so its locks are free."""
        for run in {id(run): run for run in [*self._open.values(), *self._owned.values()]}.values():
            run.lock.forget()
            run.owner.forget()
        self._open.clear()
        self._owned.clear()


def kill_at(number: int) -> Callable[[str, str], None]:
    """For `RecordedDisk.strike`: `Killed` from the ``number``-th step (from 1) on."""
    count = 0

    def strike(name: str, path: str) -> None:
        nonlocal count
        count += 1
        if count >= number:
            raise Killed

    return strike
