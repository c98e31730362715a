"""Lives of a run, each going another way through the engine: what is recorded and then cut short."""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, List

from stress.power.diary import Diary
from stress.power.processes import SimulatedProcess

#: What a workload makes of a diary and of dice that the seed throws.
Workload = Callable[[Diary, random.Random], None]


def several_lives(diary: Diary, dice: random.Random) -> None:
    """New and replaced documents, folds, seals, merges; an end, a resume, a killed run, a resume, an end."""
    diary.start()
    diary.params(lr=0.1, layers=[1, 2])
    diary.metrics("loss")
    diary.metrics("loss", "accuracy")
    diary.tag("stage", "first")
    diary.params(lr=0.2)
    for _ in range(10):
        diary.metrics("loss")
    diary.flush()
    diary.metrics("loss", "late")
    diary.end()
    diary.start()
    diary.params(lr=0.3, resumed=True)
    for _ in range(9):
        diary.metrics("loss")
    diary.metrics("late", "accuracy", "new")
    diary.tag("stage", "second")
    diary.end("KILLED")
    diary.start()
    diary.metrics("loss", "new")
    diary.end("FAILED")


def batches(diary: Diary, dice: random.Random) -> None:
    """Many keys a call, and a first seal: of a metric whose document was never synced."""
    keys = ["m%d" % number for number in range(4)]
    diary.start()
    diary.params(**{"p%d" % number: number for number in range(4)})
    diary.flush()
    for _ in range(5):
        diary.metrics(*keys)
    diary.flush()
    diary.params(p0="again", p9=[0.5])
    diary.tag("t", {"deep": [1]})
    for _ in range(4):
        diary.metrics(*keys)
    diary.metrics("single")
    diary.end()


def two_processes(diary: Diary, dice: random.Random) -> None:
    """Two processes log to one run in turn; the owner is killed, the other goes on, ends it, and a third resumes it."""
    first, second = diary.process, SimulatedProcess(pid=1002)
    diary.start()
    diary.params(lr=0.1)
    diary.switch_to(second)
    diary.start()
    for turn in range(4):
        diary.switch_to(first if turn % 2 else second)
        diary.metrics("loss")
        diary.metrics("loss", "shared")
    diary.flush()
    diary.switch_to(second)
    diary.params(lr=0.2, by="second")
    diary.metrics("shared")
    diary.switch_to(first)
    diary.killed_during(lambda: diary.metrics("loss", "last"), at=dice.randrange(1, 9))
    diary.switch_to(second)
    diary.metrics("loss")
    diary.start()
    diary.flush()
    diary.metrics("loss")
    diary.end()
    diary.switch_to(SimulatedProcess(pid=1003))
    diary.start()
    diary.metrics("loss", "shared")
    diary.end()


def kills(diary: Diary, dice: random.Random) -> None:
    """Each process is killed in another call: a log call, a flush, an end, a resume; the next one takes over."""
    diary.start()
    diary.params(lr=0.1)
    for number, most in enumerate((10, 40, 30, 30, 40), 1):
        for _ in range(3):
            diary.metrics("loss", "acc")
        calls: List[Callable[[], None]] = [lambda: diary.metrics("loss", "new"), diary.flush]
        calls += [diary.end, lambda: diary.end("FAILED")]
        diary.killed_during(calls[number % len(calls)], at=dice.randrange(1, most))
        diary.switch_to(SimulatedProcess(pid=2000 + number))
        diary.killed_during(diary.start, at=dice.randrange(1, 12))
        diary.start()
        diary.params(lr=number)
    diary.end()


def repairs(diary: Diary, dice: random.Random) -> None:
    """A process is killed in a call, another one while it repairs, a third repairs, and the run is resumed; twice."""
    for number in range(2):
        diary.start()
        diary.params(lr=number)
        for _ in range(5):
            diary.metrics("loss", "acc")
        diary.killed_during(diary.flush, at=dice.randrange(1, 40))
        diary.switch_to(SimulatedProcess(pid=3000 + number))
        diary.killed_during(diary.repair, at=dice.randrange(1, 60))
        diary.switch_to(SimulatedProcess(pid=4000 + number))
        diary.repair()
        diary.start()
        diary.metrics("loss", "new")
        diary.end()


def failing_disk(diary: Diary, dice: random.Random) -> None:
    """Ends that a failing disk takes back, flushes and log calls that it refuses; the run goes on each time."""
    diary.start()
    diary.params(lr=0.1)
    for _ in range(6):
        diary.metrics("loss")
    diary.failing(diary.end, "replace", "meta.yaml")
    diary.metrics("loss", "after")
    diary.failing(diary.flush, "fsync", "metrics")
    diary.failing(lambda: diary.metrics("loss"), "fsync", "log")
    diary.params(lr=0.2)
    diary.failing(diary.end, "fsync", "mlruns")
    diary.metrics("loss")
    diary.failing(lambda: diary.end("KILLED"), "fsync", "r")
    diary.metrics("loss", "after")
    diary.flush()
    diary.failing(diary.end, "replace", "meta.yaml")
    diary.end("FAILED")
    diary.failing(diary.start, "replace", "meta.yaml")
    diary.start()
    diary.params(lr=0.3)
    diary.end()


def rewinds(diary: Diary, dice: random.Random) -> None:
    """Rewinds of what is in documents, in sealed files and in the log; one that is killed, and one that is refused."""
    diary.start()
    for _ in range(3):
        diary.metrics("loss", "acc")
    diary.metrics("single")
    diary.rewind(1)
    for _ in range(3):
        diary.metrics("loss")
    diary.flush()
    diary.rewind(3)
    diary.metrics("loss", "acc")
    diary.end()
    diary.start()
    diary.rewind(0)
    diary.metrics("loss", "new")
    diary.failing(lambda: diary.rewind(-1), "fsync", "log")
    diary.metrics("loss")
    # It stands in the log, and its fold fails.
    diary.failing(lambda: diary.rewind(0), "fsync", "metrics")
    diary.metrics("acc")
    diary.killed_during(lambda: diary.rewind(-1), at=dice.randrange(1, 30))
    diary.switch_to(SimulatedProcess(pid=1002))
    diary.start()
    diary.metrics("loss", "late")
    diary.rewind(1)
    diary.end("KILLED")


def amendments(diary: Diary, dice: random.Random) -> None:
    """Tags deleted in the log, in documents, before an end; a run amended after its end, with a kill and a refusal."""
    diary.start()
    for key in ("kept", "early", "late", "end"):
        diary.tag(key, "old")
    diary.metrics("loss", "single")
    diary.delete_tag("early")
    diary.flush()
    diary.delete_tag("late")
    diary.metrics("loss")
    diary.tag("early", "again")
    diary.delete_tag("end")
    diary.end()
    diary.amend("loss", "new", kept="new")
    diary.amend(deleted=["kept", "early"], added=[1])
    diary.failing(lambda: diary.amend("loss", kept="refused", deleted=["added"]), "fsync", "r")
    diary.amend("single", late="back")
    diary.failing(lambda: diary.amend("loss", "first", late="refused"), "fsync", "metrics")
    diary.killed_during(lambda: diary.amend("loss", added=2, deleted=["late"]), at=dice.randrange(1, 60))
    diary.switch_to(SimulatedProcess(pid=1002))
    # Three points of a metric make it long, and a fold seals them (`thresholds.sealing_early`).
    diary.amend("loss", "first", last=1)
    diary.killed_during(lambda: diary.amend("loss", "single", last=2), at=dice.randrange(1, 60))
    diary.switch_to(SimulatedProcess(pid=1003))
    diary.amend(added=3)
    diary.failing(lambda: diary.amend("loss", kept="refused"), "fsync", "log")
    diary.start()
    diary.tag("last", 3)
    diary.metrics("loss", "new")
    diary.delete_tag("last")
    diary.end()


def artifacts(diary: Diary, dice: random.Random) -> None:
    """Files and folders, new, replaced and merged, of two processes; kills, an end, a resume, and one after the end."""
    first, second = diary.process, SimulatedProcess(pid=1002)
    diary.start()
    diary.text("note")
    diary.folder("model")
    diary.text("model/kept")
    diary.metrics("loss")
    diary.switch_to(second)
    diary.start()
    diary.folder("model")
    diary.killed_during(lambda: diary.folder("model"), at=dice.randrange(1, 90))
    diary.switch_to(first)
    diary.text("note")
    diary.folder("other")
    diary.killed_during(lambda: diary.text("note"), at=dice.randrange(1, 25))
    diary.switch_to(second)
    diary.start()
    diary.end()
    diary.folder("model")
    diary.start()
    diary.text("last")
    diary.end()


def births_and_deletions(diary: Diary, dice: random.Random) -> None:
    """A run is deleted and restored, open and ended, by its owner and others, also by one that is killed; at last it is
    removed for good. Experiments are made in between."""
    first, second = diary.process, SimulatedProcess(pid=1002)
    diary.start()
    diary.params(lr=0.1)
    diary.metrics("loss", "acc")
    diary.experiment(1, "before")
    diary.delete()
    diary.restore()
    diary.metrics("loss")
    diary.flush()
    diary.switch_to(second)
    diary.delete()
    diary.restore()
    diary.switch_to(first)
    diary.metrics("loss")
    diary.end()
    diary.killed_during(diary.delete, at=dice.randrange(1, 30))
    diary.switch_to(second)
    diary.bring_back()
    diary.start()
    diary.metrics("loss", "acc")
    diary.end("KILLED")
    diary.delete()
    diary.experiment(2, "after")
    third = SimulatedProcess(pid=1003)
    diary.switch_to(third)
    diary.killed_during(diary.restore, at=dice.randrange(1, 20))
    diary.switch_to(second)
    diary.bring_back()
    diary.failing(diary.delete, "fsync", "mlruns")
    diary.bring_back()
    diary.delete()
    diary.gc()


def experiments(diary: Diary, dice: random.Random) -> None:
    """Experiments with a run are renamed, deleted and restored, also by a process that is killed and on a failing disk;
    one is removed for good."""
    second = SimulatedProcess(pid=1002)
    diary.start()
    diary.end()
    diary.experiment(1, "a")
    diary.live_in(1)
    diary.rename(1, "b")
    diary.delete_experiment(1, "b")
    diary.restore_experiment(1, "b")
    diary.failing(lambda: diary.rename(1, "c"), "fsync", "1")
    diary.killed_during(lambda: diary.delete_experiment(1, "b"), at=dice.randrange(1, 40))
    diary.switch_to(second)
    diary.delete_experiment(1, "b")
    diary.experiment(2, "d")
    diary.delete_experiment(2, "d")
    diary.gc_experiment(2)
    diary.killed_during(lambda: diary.restore_experiment(1, "b"), at=dice.randrange(1, 30))
    diary.switch_to(SimulatedProcess(pid=1003))
    diary.delete_experiment(1, "b")
    diary.restore_experiment(1, "b")
    diary.start()
    diary.metrics("loss")
    diary.end()


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
