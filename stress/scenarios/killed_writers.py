"""Writers killed with SIGKILL at random moments, while others go on."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Dict, List, Optional, Set

from mini_mlflow import ExperimentTracker
from stress.acknowledgements import LINE_BYTES
from stress.children import Child, Children, wait_for
from stress.collecting import collect_recorded, collect_runs, read_writer
from stress.evidence import Evidence
from stress.guarantees import ENTRY_LIMIT_S
from stress.scenarios.setting import GRACE_S, Setting

#: Kills that one shared run sees before it is judged: few enough that runs of every age are hit.
KILLS_A_RUN = 24
#: A kill comes up to this long after the writer's first acknowledged call; of every fourth, after its start. Most come
#: early in that time: what a writer does over and over it does then too.
LIFE_S = 0.12
#: A writer that has logged nothing by then is looked at.
LATE_S = 2.0
#: One writer in so many is a fresh interpreter: that one is slow to start, and more than mini_mlflow is cold in it.
FRESH_EVERY = 16
#: Long enough that no writer leaves by itself before its turn comes.
WAIT_S = 3600.0


def killed_writers(setting: Setting) -> Evidence:
    """Writers on a shared run and on runs of their own are killed; a last one finds everything usable."""
    killing = Killing(setting)
    evidence = killing.evidence
    begun = time.monotonic()
    with Children(setting.place) as children:
        while not evidence.kills or time.monotonic() < begun + setting.seconds:
            killing.kill_on_one_run(children, begun + setting.seconds)
        killing.gather_last()
    evidence.seconds = time.monotonic() - begun
    collect_runs(setting.place, setting.seed, evidence, killing.killed)
    collect_recorded(setting.place, evidence)
    for run in evidence.runs:
        run.status_when_killed = killing.statuses.get(run.run_id)
    evidence.entry_ns += [report["ns"] for report in setting.place.read_reports("entered-*")]
    # Litter is not gathered: a killed writer may leave some, and only the next one on its run takes it away.
    return evidence


@dataclass
class Victim:
    """A writer that waits for its end."""

    number: int
    child: Child
    first_acknowledgement: Path
    life_s: float
    end_at: Optional[float]

    def due(self) -> bool:
        """True when its moment has come, which may be set only now that it has logged something."""
        if self.end_at is None and self._has_acknowledged():
            self.end_at = time.monotonic() + self.life_s
        if self.end_at is None and time.monotonic() > self.child.started + LATE_S:
            # Either it has failed, which this raises, or it was kept out.
            return self.child.ended() or self.kept_out()
        return self.end_at is not None and time.monotonic() >= self.end_at

    def kept_out(self) -> bool:
        """True if it has waited for its first call for longer than any writer should."""
        return self.end_at is None and time.monotonic() > self.child.started + ENTRY_LIMIT_S + LATE_S

    def _has_acknowledged(self) -> bool:
        try:
            return self.first_acknowledgement.stat().st_size >= LINE_BYTES
        except FileNotFoundError:
            return False


class Killing:
    """Kill after kill, run after run."""

    def __init__(self, setting: Setting) -> None:
        self.evidence = Evidence()
        self.killed: Set[int] = set()
        self.statuses: Dict[str, str] = {}
        self._setting = setting
        self._random = Random(f"{setting.seed}/kills")
        self._tracker = ExperimentTracker(runs_dir=str(setting.place.tree))
        self._writers = 0
        self._runs = 0
        self._last: Optional[Child] = None

    def kill_on_one_run(self, children: Children, deadline: float) -> None:
        """A new shared run: its writers are killed one after the other, then a last one writes and ends it."""
        run_id = f"killed-{self._runs}"
        self._runs += 1
        enough = self.evidence.kills + KILLS_A_RUN
        live: List[Victim] = []
        while self.evidence.kills < enough and (time.monotonic() < deadline or not self.evidence.kills):
            while len(live) < self._setting.processes:
                live.append(self._start(children, run_id))
            for victim in [victim for victim in live if victim.due()]:
                self._kill(victim)
                live.remove(victim)
            self._setting.tick()
            time.sleep(0.001)
        for victim in live:
            self._kill(victim)
        self._note_status(run_id)
        self.gather_last()
        self._last = self._start_last(children, run_id)

    def _start(self, children: Children, run_id: str) -> Victim:
        setting, number = self._setting, self._writers
        self._writers += 1
        shared = number % 2 == 0
        work = replace(setting.work(number, run_id if shared else None), seconds=WAIT_S)
        python = sys.executable if number % FRESH_EVERY == FRESH_EVERY - 1 else None
        child = children.start("writer", f"writer-{number}", work.to_json(), python)
        # The main thread of a writer logs first, as one thread more than it has.
        first_run = run_id if shared else f"own-{number}-{setting.threads}-0"
        first = setting.place.acknowledgements / first_run / f"{number}-{setting.threads}"
        at_start, life_s = self._random.random() < 0.25, self._random.random() ** 3 * LIFE_S
        if at_start:
            return Victim(number, child, first, life_s, child.started + life_s * (2 if python else 1))
        return Victim(number, child, first, life_s, None)

    def _kill(self, victim: Victim) -> None:
        if victim.kept_out():
            self.evidence.entry_ns.append(int((time.monotonic() - victim.child.started) * 1e9))
        victim.child.kill()
        if victim.child.killed:
            self.killed.add(victim.number)
            self.evidence.kills += 1
        record = read_writer(self._setting.place, victim.number, finished=not victim.child.killed)
        self.evidence.writers.append(record)

    def _note_status(self, run_id: str) -> None:
        """How the run reads now that everyone is dead; it need not exist if all died while they started it."""
        if run_id in self._tracker.list_runs():
            self.statuses[run_id] = str(self._tracker.get_run(run_id)["metadata"]["status"])

    def _start_last(self, children: Children, run_id: str) -> Child:
        """The last writer of a run, which ends it; the next run's victims live and die meanwhile."""
        number = self._writers
        self._writers += 1
        work = replace(self._setting.work(number, run_id), seconds=0.0, end=True)
        return children.start("writer", f"writer-{number}", work.to_json(), python=None)

    def gather_last(self) -> None:
        """The last writer that was started has ended, or is told to have hung."""
        child, self._last = self._last, None
        if child is not None:
            left = max(0.0, child.started + GRACE_S - time.monotonic())
            hung = wait_for([child], left, self._setting.tick)
            record = read_writer(self._setting.place, int(child.name.rpartition("-")[2]), finished=not hung)
            record.errors += ["it hung after the others had been killed"] if hung else []
            self.evidence.writers.append(record)
