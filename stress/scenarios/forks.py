"""Processes that fork while their threads log."""

from __future__ import annotations

import time
from dataclasses import replace

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.setting import Setting

#: Threads that rest for a moment let the one that forks have its turn; some of them are always in the middle of a call.
PAUSE_S = 0.0005


def forks(setting: Setting) -> Evidence:
    """Each process forks again and again under its logging threads; each forked child logs and leaves."""
    evidence = Evidence()
    begun = time.monotonic()
    with Children(setting.place) as children:
        tasks = [replace(setting.work(n, f"forking-{n}"), pause_s=PAUSE_S) for n in range(setting.processes)]
        started = [
            children.start("forker", f"writer-{n}", task.to_json(), setting.python(n)) for n, task in enumerate(tasks)
        ]
        setting.gather_writers(started, evidence)
    evidence.seconds = time.monotonic() - begun
    for report in setting.place.read_reports("forks-*"):
        evidence.forks.update({int(child): trouble for child, trouble in report["troubles"].items()})
    return setting.read_back(evidence)
