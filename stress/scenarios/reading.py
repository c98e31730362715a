"""What scenarios with readers share: starting them before the writers, and gathering what they saw."""

from __future__ import annotations

from typing import List

from stress.children import Child, Children, wait_for
from stress.evidence import Evidence, Histories, ReaderRecord
from stress.place import Place
from stress.reader import Work
from stress.scenarios.setting import GRACE_S, Setting

THREADS = 2


def start_readers(setting: Setting, children: Children, number: int, runs_vanish: bool = False) -> List[Child]:
    """So many reading processes; started first, they read a tree too in which hardly anything stands."""
    limit_s = setting.seconds + GRACE_S
    tasks = [
        # A deleted run whose owner leaves is nobody's once it is restored.
        Work(str(setting.place.folder), setting.seed, n, THREADS, limit_s, not runs_vanish, runs_vanish)
        for n in range(number)
    ]
    return [children.start("reader", f"reader-{task.reader}", task.to_json(), setting.python(0)) for task in tasks]


def gather_readers(setting: Setting, reading: List[Child], evidence: Evidence) -> None:
    """The writers have finished: the readers leave, and what they saw joins the evidence."""
    setting.place.stop_file.touch()
    hung = wait_for(reading, GRACE_S, setting.tick)
    evidence.reading_errors += [f"{child.name} hung" for child in hung]
    for child in reading:
        evidence.readers += _read_reports(setting.place, child.name)


def _read_reports(place: Place, reader: str) -> List[ReaderRecord]:
    report = place.read_report(reader) or {"threads": []}
    records = [ReaderRecord(**thread) for thread in report["threads"]]
    for record in records:
        record.sights = {run_id: _restore(sight) for run_id, sight in record.sights.items()}
    return records


def _restore(sight: Histories) -> Histories:
    """JSON knows no tuples: points came back as lists."""
    return {key: [(step, value) for step, value in points] for key, points in sight.items()}
