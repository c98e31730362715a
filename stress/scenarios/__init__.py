"""The scenarios: each starts processes on one tree, waits for them, and returns the evidence."""

from __future__ import annotations

from typing import Callable, Dict

from stress.evidence import Evidence
from stress.options import Size
from stress.scenarios.births_and_deletions import births_and_deletions
from stress.scenarios.forks import forks
from stress.scenarios.full_disk import full_disk
from stress.scenarios.killed_writers import killed_writers
from stress.scenarios.many_runs import many_runs
from stress.scenarios.mixed_versions import mixed_versions
from stress.scenarios.one_run import one_run
from stress.scenarios.preemption import preemption
from stress.scenarios.readers import readers
from stress.scenarios.resume import resume
from stress.scenarios.setting import Setting

Scenario = Callable[[Setting], Evidence]


SCENARIOS: Dict[str, Scenario] = {
    "one_run": one_run,
    "many_runs": many_runs,
    "readers": readers,
    "killed_writers": killed_writers,
    "forks": forks,
    "resume": resume,
    "births_and_deletions": births_and_deletions,
    "preemption": preemption,
    "mixed_versions": mixed_versions,
    "full_disk": full_disk,
}

#: All of them together, judged, stay below three minutes on two cores.
SIZES: Dict[str, Size] = {
    # One history of a million points is part of what is to be shown, so its rounds are long.
    "one_run": Size(10.0, processes=8, round_seconds=240.0),
    "many_runs": Size(6.0),
    "readers": Size(12.0),
    "killed_writers": Size(32.0),
    "forks": Size(22.0),
    "resume": Size(10.0),
    "births_and_deletions": Size(8.0),
    "preemption": Size(6.0),
    "mixed_versions": Size(8.0),
    "full_disk": Size(8.0, round_seconds=30.0),
}
