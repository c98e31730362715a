"""Processes times threads, all on one run id."""

from __future__ import annotations

import time

from stress.children import Children
from stress.evidence import Evidence
from stress.scenarios.setting import Setting

RUN_ID = "shared"


def one_run(setting: Setting) -> Evidence:
    """All threads of all processes log to one run, which is then ended and read back."""
    evidence = Evidence()
    begun = time.monotonic()
    with setting.owned_run(RUN_ID, evidence), Children(setting.place) as children:
        started = setting.start_writers(children, RUN_ID)
        setting.gather_writers(started, evidence)
    evidence.seconds = time.monotonic() - begun
    return setting.read_back(evidence)
