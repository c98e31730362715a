"""Threads and processes on one tree, each with runs of its own."""

from __future__ import annotations

import time

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.setting import Setting


def many_runs(setting: Setting) -> Evidence:
    """Each thread starts, fills and ends one run after another; all are listed and read back whole."""
    evidence = Evidence()
    begun = time.monotonic()
    with Children(setting.place) as children:
        started = setting.start_writers(children, run_id=None)
        setting.gather_writers(started, evidence)
    evidence.seconds = time.monotonic() - begun
    return setting.read_back(evidence)
