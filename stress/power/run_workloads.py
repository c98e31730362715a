"""Lives of a run: logged to, ended, resumed, rewound, amended; of processes that die, and on a disk that fails."""

from __future__ import annotations

import random
from typing import Callable, List

from stress.power.diary import Diary
from stress.power.processes import SimulatedProcess


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
