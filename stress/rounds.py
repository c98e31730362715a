"""One scenario from start to verdict: its rounds, each in a folder of its own, each judged by itself."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Counter as CounterType
from typing import List, Optional

from stress.children import CannotTake
from stress.evidence import Evidence
from stress.guarantees import Broken, judge
from stress.options import Options
from stress.place import Place
from stress.progress import Progress
from stress.scenarios import SCENARIOS, SIZES
from stress.scenarios.setting import Setting


@dataclass
class Outcome:
    """What became of one scenario.

    Attributes:
        command: repeats it; the broken round, if one broke.
        kept: where trees and acknowledgements still stand; empty where they were removed.
        durations_ns: how many calls took so many nanoseconds.
        notes: what else a round had to say, one entry a round.
        skipped: what this machine lacks for it; None if it ran.
    """

    scenario: str
    command: str
    seconds: float = 0.0
    durations_ns: CounterType[int] = field(default_factory=Counter)
    points: int = 0
    commits: int = 0
    changes: int = 0
    kills: int = 0
    forks: int = 0
    reads: int = 0
    broken: List[Broken] = field(default_factory=list)
    kept: List[str] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    skipped: Optional[str] = None

    @property
    def verdict(self) -> str:
        return "SKIPPED" if self.skipped is not None else "PASS" if self.held else "FAIL"

    @property
    def held(self) -> bool:
        return not self.broken


def run_scenario(scenario: str, options: Options, environments: str, progress: Progress) -> Outcome:
    """Every round of the scenario, up to the first that breaks a guarantee.

    A round is seeded with the seed plus its number, so that a broken one repeats alone.

    Args:
        environments: the folder where other Pythons have their environments.

    Raises:
        CannotRun: a process died of itself; nothing is known about the guarantees.
    """
    size = options.size(SIZES[scenario])
    rounds = options.rounds(size)
    outcome = Outcome(scenario, options.command(scenario, size, options.seed, sum(rounds)))
    for number, seconds in enumerate(rounds):
        seed = options.seed + number
        folder = tempfile.mkdtemp(prefix=f"stress-{scenario}-{seed}-", dir=options.runs_dir)
        place = Place(Path(folder))
        tick = progress.watch(f"{scenario} {number + 1}/{len(rounds)}", place, seconds)
        setting = Setting(place, seed, size.threads, size.processes, seconds, tick, environments, options.install)
        _run_round(outcome, setting, progress)
        if outcome.held and not options.keep:
            place.remove()
        else:
            outcome.kept.append(folder)
        if not outcome.held:
            outcome.command = options.command(scenario, size, seed, seconds)
        if outcome.verdict != "PASS":
            break
    return outcome


def _run_round(outcome: Outcome, setting: Setting, progress: Progress) -> None:
    try:
        evidence = SCENARIOS[outcome.scenario](setting)
    except CannotTake as error:
        outcome.skipped = str(error)
        return
    except BaseException:
        progress.say(f"{outcome.scenario}: what stands so far is kept in {setting.place.folder}")
        raise
    progress.show(f"{outcome.scenario}: judging")
    outcome.broken = judge(evidence)
    _add(outcome, evidence)
    progress.show("")


def _add(outcome: Outcome, evidence: Evidence) -> None:
    outcome.seconds += evidence.seconds
    outcome.durations_ns.update(evidence.durations_ns)
    outcome.points += sum(len(values) for run in evidence.runs for one in run.threads for values in one.points.values())
    outcome.commits += evidence.commits
    outcome.changes += evidence.changes
    outcome.kills += evidence.kills
    outcome.forks += len(evidence.forks)
    outcome.reads += sum(reader.reads for reader in evidence.readers)
    outcome.notes += evidence.notes
