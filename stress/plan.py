"""What each thread logs: an endless list of calls that follows from the seed alone.

The writer walks the list and acknowledges each call by its number; the judge walks the same list again and so
knows every acknowledged value, and the one call that may have been under way, without any of it being recorded.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from stress.artifacts import FILE, FOLDER, log_artifacts
from stress.points import decode, encode

METRIC = "metric"
METRICS = "metrics"
PARAM = "param"
#: The kinds of call that log points.
POINTS = (METRIC, METRICS)

#: Keys that all threads of a run log to, so that their points meet in one history.
SHARED_KEYS = 3
BATCH_KEYS = tuple(f"batch-{i}" for i in range(10))
_OWN = "own-"


class Call(NamedTuple):
    """One log call, the ``number``-th of its thread (from 0); ``values`` are its keys with the values that they get.

    Of a call that logs artifacts there is one value, from which all else follows.
    """

    number: int
    kind: str
    values: Tuple[Tuple[str, float], ...]


def calls(seed: int, run_id: str, writer: int, thread: int) -> Iterator[Call]:
    """The calls of one thread on one run, in order, without end."""
    # random() alone is the same on every Python; a str seed goes through SHA-512, which is too.
    draw = Random(f"{seed}/{run_id}/{writer}/{thread}").random
    sequence = 0
    for number in count():
        kind, keys = _choose(draw(), draw(), writer, thread)
        yield Call(number, kind, tuple((key, encode(writer, thread, sequence + i)) for i, key in enumerate(keys)))
        sequence += len(keys)


def _choose(dice: float, which: float, writer: int, thread: int) -> Tuple[str, Tuple[str, ...]]:
    if dice < 0.5:
        return METRIC, (own_key(writer, thread),)
    if dice < 0.85:
        return METRIC, (f"shared-{int(which * SHARED_KEYS)}",)
    if dice < 0.92:
        return METRICS, BATCH_KEYS
    if dice > 0.99:
        return FILE if dice > 0.995 else FOLDER, ("artifact",)
    return PARAM, ("shared" if which < 0.3 else own_key(writer, thread),)


def own_key(writer: int, thread: int) -> str:
    """The key that one thread has to itself."""
    return f"{_OWN}{writer}-{thread}"


def given_step(key: str, value: float) -> Optional[int]:
    """The step that the writer passes with a point; None where it leaves the step to the store."""
    if not key.startswith(_OWN):
        return None
    origin = decode(value)
    return origin.sequence if origin else None


def param_value(value: float) -> Dict[str, Any]:
    """What a param is set to: long enough at times that half of it would show."""
    return {"logged": value, "fill": "x" * (int(value) % 701)}


def make_call(call: Call, target: Any, sources: Path) -> None:
    """Make one planned call on a Run, or on the package itself (for the thread's active run).

    Args:
        sources: a folder for files that are to be copied into the tree.
    """
    key, value = call.values[0]
    if call.kind == METRIC:
        target.log_metric(key, value, step=given_step(key, value))
    elif call.kind == METRICS:
        target.log_metrics(dict(call.values))
    elif call.kind in (FILE, FOLDER):
        log_artifacts(call.kind, value, target, sources)
    else:
        target.log_param(key, param_value(value))
