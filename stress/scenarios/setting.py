"""What a scenario is given: one round's folder, seed, size and time."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, List, Optional

from mini_mlflow import Run
from stress.children import Child, Children, wait_for
from stress.collecting import collect_recorded, collect_runs, read_writer
from stress.evidence import Evidence, WriterRecord
from stress.place import Place
from stress.writer import Work

#: How much longer than its time a process may take until it counts as hung: the lock's timeout, and as much again.
GRACE_S = 120.0


#: Of so many processes that a scenario starts, the last runs in a fresh interpreter; the others are forked, for speed.
FRESH_EVERY = 4


@dataclass(frozen=True)
class Setting:
    """One round of one scenario.

    Attributes:
        environments: the folder where other Pythons have their environments.
        install: make environments that are not there.
    """

    place: Place
    seed: int
    threads: int
    processes: int
    seconds: float
    tick: Callable[[], None]
    environments: str
    install: bool

    def work(self, writer: int, run_id: Optional[str] = None) -> Work:
        """The work of one writer of this round."""
        return Work(str(self.place.folder), self.seed, writer, self.threads, self.seconds, run_id)

    def python(self, number: int) -> Optional[str]:
        """How the ``number``-th process is started: its interpreter; None: it is forked."""
        return sys.executable if number % FRESH_EVERY == FRESH_EVERY - 1 else None

    def start_writer(self, children: Children, work: Work) -> Child:
        """One writing process."""
        return children.start("writer", f"writer-{work.writer}", work.to_json(), self.python(work.writer))

    def start_writers(self, children: Children, run_id: Optional[str]) -> List[Child]:
        """One writer a process, on one run or with runs of their own."""
        return [self.start_writer(children, self.work(n, run_id)) for n in range(self.processes)]

    def gather_writers(self, started: List[Child], evidence: Evidence) -> None:
        """Wait for writers that end by themselves, and take their reports."""
        hung = wait_for(started, self.seconds + GRACE_S, self.tick)
        for child in started:
            record = read_writer(self.place, int(child.name.rpartition("-")[2]), finished=child not in hung)
            record.errors += [f"it hung: killed {GRACE_S:g} s after its time"] if child in hung else []
            evidence.writers.append(record)

    @contextmanager
    def owned_run(self, run_id: str, evidence: Evidence) -> Iterator[None]:
        """A run that this process owns and ends.

        A run ends when its owner leaves, and no writer may be cut short by the end of another one.
        """
        owner = WriterRecord("the owner of the run")
        evidence.writers.append(owner)
        run: Optional[Run] = None
        try:
            run = Run(run_id=run_id, runs_dir=str(self.place.tree))
        except Exception:  # noqa: BLE001  (whatever a call raises is what is looked for)
            owner.errors.append(traceback.format_exc(limit=-4))
        yield
        try:
            if run is not None:
                run.end()
        except Exception:  # noqa: BLE001
            owner.errors.append(traceback.format_exc(limit=-4))

    def read_back(self, evidence: Evidence) -> Evidence:
        """The evidence with all runs read back, what was recorded below the calls, and the litter."""
        collect_runs(self.place, self.seed, evidence)
        collect_recorded(self.place, evidence)
        evidence.litter = self.place.litter()
        return evidence
