"""Readers beside writers: what is read while it is written."""

from __future__ import annotations

import time
from typing import List

from stress.children import Children
from stress.evidence import Evidence, Histories, ReaderRecord
from stress.place import Place
from stress.reader import Work
from stress.scenarios.setting import GRACE_S, Setting

RUN_ID = "shared"


def readers(setting: Setting) -> Evidence:
    """Half of the processes write, to one run and to runs of their own, and as many read all the while."""
    evidence = Evidence()
    number = max(1, setting.processes // 2)
    limit_s = setting.seconds + GRACE_S
    begun = time.monotonic()
    with setting.owned_run(RUN_ID, evidence), Children(setting.place) as children:
        # The readers first: a tree in which hardly anything stands is read too.
        tasks = [Work(str(setting.place.folder), setting.seed, n, 2, limit_s) for n in range(number)]
        reading = [children.start("reader", f"reader-{task.reader}", task.to_json()) for task in tasks]
        writing = [children.start("writer", f"writer-{n}", setting.work(n, RUN_ID).to_json()) for n in range(number)]
        writing.append(children.start("writer", f"writer-{number}", setting.work(number).to_json()))
        setting.gather_writers(children, writing, evidence)
        evidence.seconds = time.monotonic() - begun
        setting.place.stop_file.touch()
        hung = children.wait(reading, GRACE_S, setting.tick)
    evidence.reading_errors += [f"{child.name} hung" for child in hung]
    for n in range(number):
        evidence.readers += _read_reports(setting.place, n)
    return setting.read_back(evidence)


def _read_reports(place: Place, reader: int) -> List[ReaderRecord]:
    report = place.read_report(f"reader-{reader}") or {"threads": []}
    records = [ReaderRecord(**thread) for thread in report["threads"]]
    for record in records:
        record.sights = {run_id: _restore(sight) for run_id, sight in record.sights.items()}
    return records


def _restore(sight: Histories) -> Histories:
    """JSON knows no tuples: points came back as lists."""
    return {key: [(step, value) for step, value in points] for key, points in sight.items()}
