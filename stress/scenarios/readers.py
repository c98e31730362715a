"""Readers beside writers: what is read while it is written."""

from __future__ import annotations

import time
from dataclasses import replace

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.reading import gather_readers, start_readers
from stress.scenarios.setting import Setting

RUN_ID = "shared"
#: Writers that rest leave readers the processors. They fold often: what a reader may trip over are files that change
#: under it, and in a hot loop each look would rather be spent on the hundreds of commits that wait there.
PAUSE_S = 0.008
CALLS_A_FLUSH = 40


def readers(setting: Setting) -> Evidence:
    """Half of the processes write, to one run and to runs of their own, and as many read all the while."""
    evidence = Evidence()
    number = max(1, setting.processes // 2)
    begun = time.monotonic()
    with setting.owned_run(RUN_ID, evidence), Children(setting.place) as children:
        reading = start_readers(setting, children, number)
        tasks = [setting.work(n, RUN_ID) for n in range(number)] + [setting.work(number)]
        tasks = [replace(task, pause_s=PAUSE_S, flush_every=CALLS_A_FLUSH) for task in tasks]
        writing = [setting.start_writer(children, task) for task in tasks]
        setting.gather_writers(writing, evidence)
        evidence.seconds = time.monotonic() - begun
        gather_readers(setting, reading, evidence)
    return setting.read_back(evidence)
