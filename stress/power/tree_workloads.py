"""Lives of what stands beside a run's values: its artifacts, its place in the tree and in the trash, experiments."""

from __future__ import annotations

import random

from stress.power.diary import Diary
from stress.power.processes import SimulatedProcess


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
