"""The oldest Python and the newest, with their own filelock each, on one tree."""

from __future__ import annotations

import time
from pathlib import Path

from stress.children import Children
from stress.evidence import Evidence
from stress.interpreters import oldest_and_newest
from stress.scenarios.setting import Setting

RUN_ID = "shared"


def mixed_versions(setting: Setting) -> Evidence:
    """Processes of two Pythons log to one run at once, all of one Python to it and some to runs of their own."""
    environments = oldest_and_newest(Path(setting.environments), setting.install)
    evidence = Evidence(notes=[" beside ".join(environment.description for environment in environments)])
    begun = time.monotonic()
    with setting.owned_run(RUN_ID, evidence), Children(setting.place) as children:
        started = []
        # At least two of each: one pair on the shared run, and one with runs of its own beside it.
        for n in range(max(4, setting.processes)):
            work = setting.work(n, RUN_ID if n % 4 < 2 or n >= 4 else None)
            python = environments[n % len(environments)].python
            started.append(children.start("writer", f"writer-{n}", work.to_json(), python))
        setting.gather_writers(started, evidence)
    evidence.seconds = time.monotonic() - begun
    return setting.read_back(evidence)
