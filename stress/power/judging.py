"""What an fsync level promises of a tree after a power cut, asserted of what a reader finds there.

- "always": every call that was acknowledged by then is there.
- "end": so is every call up to the last flush or end that was acknowledged; of the later ones, any may be. (A flush
  keeps what was logged: where nothing was, since a start, it keeps nothing. A resumed run may read as ended.)
- "end" and "always": every artifact that was acknowledged is there, whole; of the others, all of a folder or nothing.
- "never": nothing need be there.

Always: no reader and no writer trips over what is left, no value is there that nobody logged, no point twice, none
out of order, and what is visible of each history is numbered without a gap, and is what the rewinds leave of it.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from stress.power.diary import ABSENT, ARTIFACT, CUT_SHORT, DONE, GONE, REFUSED, RUN_NAME, RUNNING, STANDS, Call
from stress.power.finding import Found, History


class Asked(NamedTuple):
    """The calls whose effect must be there, and those whose effect may be; and where the run may be."""

    safe: List[Call]
    possible: List[Call]
    places: FrozenSet[str] = frozenset((STANDS,))
    experiments: FrozenSet[Tuple[str, FrozenSet[Any]]] = frozenset()

    @property
    def identity(self) -> Tuple[int, ...]:
        """Equal, at two cuts of one recording, if the same is asked."""
        return (len(self.safe), len(self.possible), hash(self.places), hash(self.experiments))


def ask(calls: List[Call], level: str, cut: int, past: int = 0) -> Asked:
    """What the level promises at the cut; the first ``past`` calls are on the medium whatever it says."""
    count = 0
    if level != "never":
        count = max([past, *_keeping(calls, level, cut)])
    # Nothing is logged by these; they are kept on their own, whatever was logged before.
    apart = ("place", "experiment")
    later = [call for call in calls[count:] if call.begun <= cut and call.kind not in apart]
    safe = [call for call in later if level != "never" and _is_kept_by_itself(call, cut)]
    logged = [call for call in calls[:count] if call.kind not in apart]
    experiments = frozenset(_experiments(calls, cut, past).items() if level != "never" else ())
    possible = [call for call in later if call not in safe]
    return Asked(logged + safe, possible, _places(calls, level, cut, past), experiments)


def _is_kept_by_itself(call: Call, cut: int) -> bool:
    return call.kind == ARTIFACT and call.outcome == DONE and call.done <= cut


def _places(calls: List[Call], level: str, cut: int, past: int) -> FrozenSet[str]:
    places = {STANDS}
    for number, call in enumerate(calls):
        if call.begun > cut or call.outcome == REFUSED:
            continue
        if call.kind == "place":
            if number < past or (call.outcome == DONE and call.done <= cut and level != "never"):
                places = set()
            places.add(call.value)
        elif call.kind == "turn" and call.value == RUNNING:
            # One that is gone is begun anew.
            places = (places - {GONE} if level == "always" and call.done <= cut else places) | {STANDS}
    return frozenset(places)


def _experiments(calls: List[Call], cut: int, past: int) -> Dict[str, FrozenSet[Any]]:
    """Of each experiment's number, what it may be; None: not there. A cut may bring back what was refused."""
    found: Dict[str, Set[Any]] = {}
    for number, call in enumerate(calls):
        if call.kind == "experiment" and call.begun <= cut:
            values = found.setdefault(call.key, {None})
            if number < past or (call.outcome == DONE and call.done <= cut):
                values.clear()
            values.add(call.value)
    return {number: frozenset(values) for number, values in found.items()}


def _keeping(calls: List[Call], level: str, cut: int) -> Iterator[int]:
    """The numbers, from 1, of the calls that keep themselves and all before them."""
    logged = False
    for number, call in enumerate(calls, 1):
        if call.outcome != DONE or call.done > cut:
            continue
        if level == "always" or (call.kind == "flush" and logged) or (call.kind == "turn" and call.value != RUNNING):
            yield number
        if call.kind not in ("flush", "place", "experiment"):
            logged = call.kind != "turn"


def judge(found: Optional[Found], asked: Asked, level: str) -> None:
    """Asserts all of the above."""
    if found is None:
        if GONE in asked.places:
            return
        assert all(call.outcome != DONE for call in asked.safe), "the run is gone"
        return
    run = found.run
    for number, wanted in asked.experiments:
        stands = found.experiments.get(number)
        assert stands in wanted, f"experiment {number} is {stands}, not one of {wanted}"
    assert found.place in asked.places, f"the run is {found.place}, not one of {sorted(asked.places)}"
    for kind in ("params", "tags"):
        _judge_values(kind, run[kind], asked)
    _judge_histories(found.logged, asked)
    if level != "never":
        # Bytes of an artifact are anybody's: what a power cut has made of them cannot be told.
        _judge_values(ARTIFACT, found.artifacts, asked)
    # With "never", a sealed file may be lost that the document counts on.
    for key, logged in found.logged.items() if level != "never" else ():
        points = found.histories.get(key, [])
        assert [step for step, _ in points] == list(range(len(points))), f"{key} is misnumbered: {points}"
        _judge_rewinds(key, logged, points, asked)
        assert run["metrics"].get(key) == (points[-1][1] if points else None), f"{key} shows another value"
    assert run["metadata"]["name"] == RUN_NAME, "the name is wrong"
    # Without its lock file, nobody can tell that the owner is dead.
    status = RUNNING if run["metadata"]["status"] == "CRASHED" else run["metadata"]["status"]
    turns = [call for call in asked.safe if call.kind == "turn"]
    if level != "always":
        # That it goes on is nothing that was logged.
        turns = [call._replace(outcome=CUT_SHORT) if call.value == RUNNING else call for call in turns]
    allowed = _allowed(turns, asked.possible, "turn", "")
    assert status in allowed, f"the status is {status}, not one of {sorted(allowed)}"


def _allowed(safe: List[Call], possible: List[Call], kind: str, key: str) -> Set[Any]:
    """The last value that is sure, and whatever may have come after it."""
    values: Set[Any] = set()
    for call in safe:
        if call.outcome == DONE:
            values = set()
        if call.outcome != REFUSED:
            values.add(_hashable(call.value))
    return values | {_hashable(call.value) for call in possible if (call.kind, call.key) == (kind, key)}


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, float)) else repr(value)


def _judge_values(kind: str, found: Dict[str, Any], asked: Asked) -> None:
    sure = {call.key for call in asked.safe if call.kind == kind and call.outcome == DONE}
    for key in sure | set(found):
        safe = [call for call in asked.safe if (call.kind, call.key) == (kind, key)]
        allowed = _allowed(safe, asked.possible, kind, key)
        value = found.get(key, ABSENT)
        assert _hashable(value) in allowed, f"{kind}: {key} is {value!r}, not one of {allowed}"


def _judge_histories(histories: Dict[str, History], asked: Asked) -> None:
    logged = [call for call in [*asked.safe, *asked.possible] if call.kind == "metric"]
    sure = [call for call in asked.safe if call.kind == "metric" and call.outcome == DONE]
    refused = [call.value for call in asked.safe if call.kind == "metric" and call.outcome == REFUSED]
    assert {call.key for call in sure} <= set(histories), "a metric is gone"
    for key, points in histories.items():
        values = [value for _, value in points]
        lost = [call.value for call in sure if call.key == key and call.value not in values]
        assert not lost, f"{key} has lost {lost}: {values}"
        assert not set(refused) & set(values), f"{key} has what was refused: {values}"
        assert len(set(values)) == len(values), f"{key} has a point twice: {values}"
        rest = iter([call.value for call in logged if call.key == key])
        assert all(value in rest for value in values), f"{key} has a point twice, out of order or invented: {values}"


def _judge_rewinds(key: str, logged: History, shown: History, asked: Asked) -> None:
    """What is visible is what all sure rewinds leave, and some of those that may have happened."""
    rewinds = [call for call in asked.safe if call.kind == "rewind" and call.outcome != REFUSED]
    rewinds += [call for call in asked.possible if call.kind == "rewind"]
    sure = {id(call) for call in asked.safe if call.outcome == DONE}
    choices = [(True,) if id(call) in sure else (True, False) for call in rewinds]
    values = [value for _, value in logged]
    for chosen in product(*choices):
        happened = {id(call) for call, yes in zip(rewinds, chosen) if yes}
        if _replay(key, values, [*asked.safe, *asked.possible], happened) == shown:
            return
    raise AssertionError(f"{key} shows {shown}, of {logged}, which no choice of rewinds leaves: {rewinds}")


def _replay(key: str, values: Sequence[float], calls: Sequence[Call], rewinds: Set[int]) -> History:
    shown: History = []
    for call in calls:
        if call.kind == "rewind":
            shown = [point for point in shown if point[0] <= call.value or id(call) not in rewinds]
        elif call.kind == "hide" and call.key == key:
            shown = [point for point in shown if point[1] != call.value]
        elif call.kind == "metric" and call.key == key and call.value in values:
            shown.append((len(shown), call.value))
    return shown


def rewrite(found: Optional[Found], asked: Asked, level: str) -> List[Call]:
    """The calls that would have made the run as it was found, all on the medium before the first step.

    Of a run that could not be read, what was asked for may come back with whoever makes it anew. With "never", it may
    in any case: a power cut may bring back the snapshot of an end before the last resume, which hides the commits that
    came after it, until the next resume removes it.
    """
    before = [call._replace(begun=0, done=0, outcome=CUT_SHORT) for call in [*asked.safe, *asked.possible]]
    if found is None:
        places = [Call(0, 0, "place", value=place, outcome=CUT_SHORT) for place in asked.places]
        return [call for call in before if call.kind != "turn"] + places
    if level == "never":
        return [*before, Call(0, 0, "place", value=found.place)]
    calls = []
    for key, points in found.logged.items():
        shown = {value for _, value in found.histories.get(key, [])}
        for _, value in points:
            calls.append(Call(0, 0, "metric", key, value))
            calls += [Call(0, 0, "hide", key, value)] if value not in shown else []
    calls += [Call(0, 0, kind, key, value) for kind in ("params", "tags") for key, value in found.run[kind].items()]
    calls += [Call(0, 0, ARTIFACT, name, text) for name, text in found.artifacts.items()]
    calls += [Call(0, 0, "experiment", *pair) for pair in sorted(found.experiments.items())]
    status = found.run["metadata"]["status"]
    calls.append(Call(0, 0, "place", value=found.place))
    return [*calls, Call(0, 0, "turn", value=RUNNING if status == "CRASHED" else status)]
