"""Processes that fork while their threads log."""

from __future__ import annotations

import time

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.setting import Setting


def forks(setting: Setting) -> Evidence:
    """Each process forks again and again under its logging threads; each forked child logs and leaves."""
    evidence = Evidence()
    begun = time.monotonic()
    with Children(setting.place) as children:
        started = [
            children.start("forker", f"writer-{n}", setting.work(n, f"forking-{n}").to_json(), setting.python(n))
            for n in range(setting.processes)
        ]
        setting.gather_writers(started, evidence)
    evidence.seconds = time.monotonic() - begun
    for report in setting.place.read_reports("forks-*"):
        evidence.forks.update({int(child): trouble for child, trouble in report["troubles"].items()})
    return setting.read_back(evidence)
