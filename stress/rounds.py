"""One scenario from start to verdict: its rounds, each in a folder of its own, each judged by itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import List

from stress.acknowledgements import acknowledgement_files, read_acknowledged
from stress.evidence import Evidence
from stress.guarantees import Broken, judge
from stress.options import Options
from stress.place import Place
from stress.progress import Progress
from stress.scenarios import SCENARIOS
from stress.scenarios.setting import Setting


@dataclass
class Outcome:
    """What became of one scenario.

    Attributes:
        command: repeats it; the broken round, if one broke.
        kept: where trees and acknowledgements still stand; empty where they were removed.
    """

    scenario: str
    command: str
    seconds: float = 0.0
    durations_ns: List[int] = field(default_factory=list)
    kills: int = 0
    forks: int = 0
    reads: int = 0
    broken: List[Broken] = field(default_factory=list)
    kept: List[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.broken


def run_scenario(scenario: str, options: Options, progress: Progress) -> Outcome:
    """Every round of the scenario, up to the first that breaks a guarantee.

    A round is seeded with the seed plus its number, so that a broken one repeats alone.

    Raises:
        CannotRun: a process died of itself; nothing is known about the guarantees.
    """
    rounds = options.rounds()
    outcome = Outcome(scenario, options.command(scenario, options.seed, sum(rounds)))
    for number, seconds in enumerate(rounds):
        folder = tempfile.mkdtemp(prefix=f"stress-{scenario}-{options.seed + number}-", dir=options.runs_dir)
        place = Place(Path(folder))
        _run_round(outcome, options, place, progress, options.seed + number, seconds)
        if outcome.held and not options.keep:
            place.remove()
        else:
            outcome.kept.append(folder)
        if not outcome.held:
            outcome.command = options.command(scenario, options.seed + number, seconds)
            break
    return outcome


def _run_round(outcome: Outcome, options: Options, place: Place, progress: Progress, seed: int, seconds: float) -> None:
    tick = progress.watch(outcome.scenario, place, seconds)
    setting = Setting(place, seed, options.threads, options.processes, seconds, tick)
    try:
        evidence = SCENARIOS[outcome.scenario](setting)
    except BaseException:
        progress.say(f"{outcome.scenario}: what stands so far is kept in {place.folder}")
        raise
    progress.show(f"{outcome.scenario}: judging")
    outcome.broken = judge(evidence)
    _add(outcome, evidence, place)
    progress.show("")


def _add(outcome: Outcome, evidence: Evidence, place: Place) -> None:
    outcome.seconds += evidence.seconds
    outcome.kills += evidence.kills
    outcome.forks += len(evidence.forks)
    outcome.reads += sum(reader.reads for reader in evidence.readers)
    for path in acknowledgement_files(place.acknowledgements):
        outcome.durations_ns += read_acknowledged(path).durations_ns
