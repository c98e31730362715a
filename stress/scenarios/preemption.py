"""Runs whose writer is killed, again and again, and goes on from a checkpoint behind what it had logged."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random
from typing import Dict, List, Tuple

from mini_mlflow import ExperimentTracker
from stress.acknowledgements import Acknowledged, read_acknowledged
from stress.children import Child, Children, wait_for
from stress.collecting import collect_recorded, read_history, read_writer, verify_tree
from stress.evidence import Evidence, RunRecord, ThreadRecord
from stress.plan import METRICS, Call
from stress.preempted import plan
from stress.scenarios.setting import GRACE_S, Setting

#: A life is cut short up to this long after it began. Most come early in that time, some before the first call.
LIFE_S = 0.25
#: A checkpoint lies so many steps at most behind the last step that every thread has logged.
LAG = 12
#: No life leaves by itself before its turn comes.
WAIT_S = 3600.0


def preemption(setting: Setting) -> Evidence:
    """Each run has one process at a time, killed at random; the next one rewinds to a checkpoint and goes on."""
    evidence = Evidence()
    begun = time.monotonic()
    jobs = [Job(setting, number, evidence) for number in range(setting.processes)]
    with Children(setting.place) as children:
        for job in jobs:
            job.start(children, WAIT_S)
        while time.monotonic() < begun + setting.seconds or not evidence.kills:
            for job in jobs:
                if job.due():
                    job.kill()
                    job.start(children, WAIT_S)
            setting.tick()
            time.sleep(0.002)
        for job in jobs:
            job.kill()
            job.start(children, 0.0)
        hung = wait_for([job.child for job in jobs], GRACE_S, setting.tick)
        for job in jobs:
            job.gather(hung=job.child in hung)
    evidence.seconds = time.monotonic() - begun
    evidence.notes.append(f"{sum(len(job.lives) for job in jobs):,} rewinds")
    tracker = ExperimentTracker(runs_dir=str(setting.place.tree))
    evidence.listed = tracker.list_runs()
    evidence.runs += [job.read(tracker) for job in jobs]
    evidence.findings += verify_tree(setting.place, leftovers=True)
    collect_recorded(setting.place, evidence)
    return evidence


class Job:
    """One run, and the lives of its writer so far: each a writer of its own, with the checkpoint that it began at."""

    def __init__(self, setting: Setting, number: int, evidence: Evidence) -> None:
        self.lives: List[Tuple[int, int]] = []
        self.child: Child
        self._run_id = f"job-{number}"
        self._setting, self._number, self._evidence = setting, number, evidence
        self._dice = Random(f"{setting.seed}/preemption/{number}")
        self._killed: List[int] = []
        self._end_at = 0.0

    def start(self, children: Children, seconds: float) -> None:
        """The next life begins."""
        life = self._number + len(self.lives) * self._setting.processes
        self.lives.append((life, self._choose_checkpoint()))
        work = replace(self._setting.work(life, self._run_id), seconds=seconds)
        request = dict(work.to_json(), checkpoint=self.lives[-1][1])
        self.child = children.start("preempted", f"writer-{life}", request, None)
        self._end_at = time.monotonic() + self._dice.random() ** 2 * LIFE_S

    def due(self) -> bool:
        return time.monotonic() >= self._end_at

    def kill(self) -> None:
        """The life is over, wherever it was."""
        self.child.kill()
        if self.child.killed:
            self._killed.append(self.lives[-1][0])
            self._evidence.kills += 1
        self.gather(hung=False)

    def gather(self, hung: bool) -> None:
        """What the life reports."""
        record = read_writer(self._setting.place, self.lives[-1][0], finished=not (hung or self.child.killed))
        record.errors += ["it hung after the others had been killed"] if hung else []
        self._evidence.writers.append(record)

    def _choose_checkpoint(self) -> int:
        if not self.lives:
            return -1
        life, checkpoint = self.lives[-1]
        reached = checkpoint + min((done.calls for done in self._acknowledged(life).values()), default=0)
        return max(-1, reached - int(self._dice.random() * LAG))

    def _acknowledged(self, life: int) -> Dict[int, Acknowledged]:
        """What each thread of a life made; nothing of a life that did not come so far as to begin."""
        folder = self._setting.place.acknowledgements / self._run_id
        paths = [folder / f"{life}-{thread}" for thread in range(self._setting.threads)]
        return dict(enumerate(map(read_acknowledged, paths))) if all(path.exists() for path in paths) else {}

    def read(self, tracker: ExperimentTracker) -> RunRecord:
        """The run, and what its lives acknowledged."""
        threads = []
        for life, checkpoint in self.lives:
            for thread, done in self._acknowledged(life).items():
                threads.append(self._replay(life, checkpoint, thread, done.calls))
                self._evidence.durations_ns.update(done.durations_ns)
        run = tracker.get_run(self._run_id)
        keys = sorted({*run["metrics"], *(key for thread in threads for key in thread.points)})
        return RunRecord(
            run_id=self._run_id,
            threads=threads,
            histories={key: read_history(tracker, self._run_id, key, hidden=True) for key in keys},
            last_values=dict(run["metrics"]),
            params={},
            status=run["metadata"]["status"],
            shown={key: read_history(tracker, self._run_id, key) for key in keys},
            rewinds=self.lives,
        )

    def _replay(self, life: int, checkpoint: int, thread: int, calls: int) -> ThreadRecord:
        record = ThreadRecord(life, thread)
        for number in range(calls + 1):
            points = plan(life, thread, checkpoint + 1 + number)
            if number < calls:
                for key, value in points.items():
                    record.points.setdefault(key, []).append(value)
            elif life in self._killed:
                record.under_way = Call(number, METRICS, tuple(points.items()))
        return record
