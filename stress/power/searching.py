"""The search: record each workload at each level, build one state after another, read it, go on from it, cut again."""

from __future__ import annotations

import os
import random
import shutil
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow import DamagedFileError, DamagedFileWarning
from stress.power.diary import Call, Recording, record
from stress.power.enumerating import Enumeration, Seen
from stress.power.finding import read
from stress.power.judging import ask, judge, rewrite
from stress.power.states import State, write_tree
from stress.power.thresholds import lowered
from stress.power.workloads import RATIONS, WORKLOADS, go_on

LEVELS = ("end", "always", "never")
#: Of the states that are read, one in so many is gone on from; of these, one in so many is cut again.
CONTINUED_ONE_IN = 4
CUT_AGAIN_ONE_IN = 8
SECOND_CUTS = 25
#: In the points of a second life, whose values must not be those of the first.
SECOND_LIFE = 1000.0


class Variant(NamedTuple):
    """What is recorded."""

    workload: str
    level: str
    ration: str
    seed: int


class Finding(NamedTuple):
    """A state that breaks a promise: the first cut, or the first and the second."""

    variant: Variant
    states: Tuple[State, ...]
    error: str
    told: List[str]
    kept: str

    def command(self) -> str:
        """What repeats it."""
        words = ["python -m stress power", f"--workload {self.variant.workload}", f"--fsync {self.variant.level}"]
        words += [f"--ration {self.variant.ration}", f"--seed {self.variant.seed}"]
        return " ".join(words + [f"--state {state}" for state in self.states])


@dataclass
class Tally:
    """What was tried of one variant."""

    variant: Variant
    steps: int = 0
    built: int = 0
    distinct: int = 0
    continued: int = 0
    cut_again: int = 0
    findings: List[Finding] = field(default_factory=list)


class Search:
    """The search in one variant.

    Args:
        scratch: an empty folder; what is made in it is removed, but for failing states.
        keep: no tree is removed.
    """

    def __init__(self, variant: Variant, scratch: Path, keep: bool = False) -> None:
        self.tally = Tally(variant)
        self._variant = variant
        self._scratch = scratch
        self._keep = keep
        self._seen = Seen()
        base = scratch / "recorded"
        base.mkdir(parents=True)
        # The same throws whatever else is searched, or the command that repeats a state would record something else.
        dice = random.Random(repr((variant.workload, variant.seed)))
        workload = WORKLOADS[variant.workload]
        with lowered(**RATIONS[variant.ration]):
            self.recording = record(str(base), variant.level, lambda diary: workload(diary, dice))
        self.tally.steps = self.recording.disk.step
        self.enumeration = Enumeration(self.recording.disk, variant.seed)
        self._states = iter(self.enumeration)

    def advance(self, number: int) -> bool:
        """Some ``number`` more states have been tried; False once there was a finding, which ends the search here."""
        for _ in range(number):
            state = next(self._states)
            if self.is_new(state):
                continued = self.tally.distinct % CONTINUED_ONE_IN == 0
                cut_again = self.tally.distinct % (CONTINUED_ONE_IN * CUT_AGAIN_ONE_IN) == 0
                self.try_state(state, continued, SECOND_CUTS if cut_again else 0)
            if self.tally.findings:
                return False
        return True

    def is_new(self, state: State) -> bool:
        """False if a state of the same content, of which the same is asked, was met before."""
        self.tally.built += 1
        tree = self.enumeration.moment(state.cut).build(state)
        asked = ask(self.recording.calls, self._variant.level, state.cut)
        if not self._seen.is_new(tree, asked.identity):
            return False
        self.tally.distinct += 1
        return True

    def try_state(
        self, state: State, continued: bool = True, second_cuts: int = 0, second: Optional[State] = None
    ) -> None:
        """The state has been read and judged, and if so ``continued`` and cut again, so often or as said."""
        place = self._scratch / f"state-{self.tally.distinct}-{state.cut}"
        moment = self.enumeration.moment(state.cut)
        write_tree(moment.build(state), str(place))
        try:
            found = read(str(place / "mlruns"))
            judge(found, ask(self.recording.calls, self._variant.level, state.cut), self._variant.level)
            if continued:
                self._continue(place, state, second_cuts, second)
        except Exception as error:  # noqa: BLE001  (whatever a reader or a writer trips over is a finding)
            self._note(error, (state,), moment.tell(state), place)
            return
        if not self._keep:
            shutil.rmtree(str(place))

    def _continue(self, place: Path, state: State, second_cuts: int, chosen: Optional[State]) -> None:
        # The tree as the cut left it is what a finding must keep.
        again = place.with_name(place.name + "-continued")
        shutil.copytree(str(place), str(again))
        level = self._variant.level
        found = read(str(again / "mlruns"))
        past = rewrite(found, ask(self.recording.calls, level, state.cut), level)
        self.tally.continued += 1
        second = self._record_second_life(again, found is None)
        if second is not None:
            calls = past + second.calls
            # Not the level's promise: there was no second cut yet.
            judge(read(str(again / "mlruns")), ask(calls, "always", second.disk.step, len(past)), level)
            enumeration = Enumeration(second.disk, self._variant.seed)
            states = [chosen] if chosen is not None else _first(iter(enumeration), second_cuts)
            for other in states:
                if self.tally.findings:
                    break
                self._cut_again(place, (state, other), enumeration, calls, len(past))
        shutil.rmtree(str(again))

    def _record_second_life(self, place: Path, may_be_damaged: bool) -> Optional[Recording]:
        try:
            with lowered(**RATIONS["folding"]):
                return record(str(place), self._variant.level, go_on, SECOND_LIFE)
        except DamagedFileError as error:
            # Of a run that nobody has promised to keep, meta.yaml may be torn; repairing it is not the writer's.
            if may_be_damaged and error.path.endswith("meta.yaml"):
                return None
            raise

    def _cut_again(
        self, first: Path, states: Tuple[State, State], enumeration: Enumeration, calls: List[Call], past: int
    ) -> None:
        place = first.with_name(first.name + "-again")
        self.tally.cut_again += 1
        moment = enumeration.moment(states[1].cut)
        write_tree(moment.build(states[1]), str(place))
        try:
            asked = ask(calls, self._variant.level, states[1].cut, past)
            judge(read(str(place / "mlruns")), asked, self._variant.level)
        except Exception as error:  # noqa: BLE001  (as above)
            self._note(error, states, moment.tell(states[1]), place)
            return
        shutil.rmtree(str(place))

    def _note(self, error: Exception, states: Tuple[State, ...], told: List[str], place: Path) -> None:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.tally.findings.append(Finding(self._variant, states, text, told, str(place)))


def _first(states: Iterator[State], number: int) -> List[State]:
    return [next(states) for _ in range(number)]


def make_variants(levels: Sequence[str], workloads: Sequence[str], rations: Sequence[str], seed: int) -> List[Variant]:
    """All combinations."""
    return [Variant(workload, level, ration, seed) for workload in workloads for level in levels for ration in rations]


def without_warnings() -> None:
    """Damaged files are what a power cut leaves; that they are warned of is not news here."""
    warnings.simplefilter("ignore", DamagedFileWarning)


def remove_if_empty(folder: Path) -> None:
    """The folder is gone, unless something is kept in it."""
    try:
        os.rmdir(str(folder))
    except OSError:
        pass
