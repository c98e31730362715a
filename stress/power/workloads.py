"""Lives of a run, each going another way through the engine: what is recorded and then cut short."""

from __future__ import annotations

import random
from typing import Any, Callable, Dict

from stress.power.diary import Diary
from stress.power.processes import SimulatedProcess
from stress.power.run_workloads import (
    amendments,
    batches,
    failing_disk,
    kills,
    repairs,
    rewinds,
    several_lives,
    two_processes,
)
from stress.power.tree_workloads import artifacts, births_and_deletions, experiments

#: What a workload makes of a diary and of dice that the seed throws.
Workload = Callable[[Diary, random.Random], None]


def anything(diary: Diary, dice: random.Random) -> None:
    """Thirty calls at random, by two processes, with an end and a resume now and then."""
    processes = [diary.process, SimulatedProcess(pid=1002)]
    diary.start()
    open_in = {diary.process}
    ended = False
    for number in range(30):
        diary.switch_to(dice.choice(processes))
        if ended or diary.process not in open_in or dice.random() < 0.03:
            diary.start()
            open_in, ended = (open_in if not ended else set()) | {diary.process}, False
        kind = dice.choice(("metrics", "metrics", "metrics", "metrics", "params", "tag", "flush", "end"))
        if kind == "metrics":
            diary.metrics(*dice.sample(("loss", "acc", "late"), dice.randrange(1, 4)))
        elif kind == "params":
            diary.params(**{dice.choice("pq"): number, "r": [number]})
        elif kind == "tag":
            diary.tag(dice.choice("tu"), "tag %d" % number)
        elif kind == "flush":
            diary.flush()
        else:
            diary.end(dice.choice(("FINISHED", "FAILED", "KILLED")))
            ended = True


def go_on(diary: Diary) -> None:
    """What a writer does after a power cut: it restores what was deleted, resumes, replaces, adds, flushes, ends."""
    diary.bring_back()
    diary.start()
    diary.params(lr="after the cut", after_cut=1)
    for _ in range(6):
        diary.metrics("loss", "after cut")
    diary.text("note")
    diary.folder("model")
    diary.flush()
    diary.metrics("loss", "late")
    diary.end()


WORKLOADS: Dict[str, Workload] = {
    workload.__name__: workload
    for workload in (
        several_lives,
        batches,
        two_processes,
        kills,
        repairs,
        failing_disk,
        artifacts,
        births_and_deletions,
        experiments,
        anything,
        rewinds,
        amendments,
    )
}

#: How documents are kept up to date: rewritten at each call, left to flush and end, or folded at each fifth commit.
RATIONS: Dict[str, Dict[str, Any]] = {
    "current": {"refresh": True, "fold_at": 10**6},
    "behind": {"refresh": False, "fold_at": 10**6},
    "folding": {"refresh": False, "fold_at": 5},
}
