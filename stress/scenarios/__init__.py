"""The scenarios: each starts processes on one tree, waits for them, and returns the evidence."""

from __future__ import annotations

from typing import Callable, Dict

from stress.evidence import Evidence
from stress.scenarios.forks import forks
from stress.scenarios.killed_writers import killed_writers
from stress.scenarios.many_runs import many_runs
from stress.scenarios.one_run import one_run
from stress.scenarios.readers import readers
from stress.scenarios.setting import Setting

Scenario = Callable[[Setting], Evidence]

SCENARIOS: Dict[str, Scenario] = {
    "one_run": one_run,
    "many_runs": many_runs,
    "readers": readers,
    "killed_writers": killed_writers,
    "forks": forks,
}
