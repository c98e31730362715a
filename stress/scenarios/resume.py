"""Runs that are ended and resumed while others log to them and read."""

from __future__ import annotations

import time
from collections import Counter
from typing import Counter as CounterType

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.reading import gather_readers, start_readers
from stress.scenarios.setting import Setting


def resume(setting: Setting) -> Evidence:
    """Threads of several processes end and resume a few runs over and over, log to them, and lose races to ends."""
    evidence = Evidence()
    begun = time.monotonic()
    with Children(setting.place) as children:
        reading = start_readers(setting, children, number=1)
        started = [
            children.start("resumer", f"writer-{n}", setting.work(n).to_json(), setting.python(n))
            for n in range(setting.processes)
        ]
        setting.gather_writers(started, evidence)
        evidence.seconds = time.monotonic() - begun
        gather_readers(setting, reading, evidence)
    counts: CounterType[str] = Counter()
    for report in setting.place.read_reports("resumes-*"):
        counts.update(report)
    evidence.notes.append(", ".join(f"{counts[name]:,} {name}" for name in ("ends", "resumes")))
    evidence.notes.append(f"{counts['lost']:,} calls lost the race to an end")
    setting.read_back(evidence)
    for run in evidence.runs:
        # The last process to leave ends it, or one of its threads had.
        run.statuses_told = ("FINISHED", "KILLED")
    return evidence
