"""The guarantees about what stands in runs: points, params and artifacts."""

from __future__ import annotations

from collections import Counter
from typing import Dict, Iterator, List, Set, Tuple

from stress.artifacts import FILE, FOLDER, plan_artifacts
from stress.evidence import Evidence, History, RunRecord, ThreadRecord
from stress.plan import PARAM, POINTS, given_step, param_value
from stress.points import decode
from stress.reader_guarantees import describe_loss


def acknowledged_exactly_once(evidence: Evidence) -> Iterator[str]:
    """Every acknowledged point is in the history of its key exactly once."""
    for run in evidence.runs:
        found = {key: Counter(value for _, value in history) for key, history in run.histories.items()}
        for thread in run.threads:
            for key, values in thread.points.items():
                times = found.get(key, Counter())
                for value in values:
                    if times[value] != 1:
                        yield f"run {run.run_id}: {key} holds {_name(value)} {times[value]} times"


def nothing_invented(evidence: Evidence) -> Iterator[str]:
    """Nothing is there that nobody logged; of a killed thread's last call, all or nothing, once."""
    for run in evidence.runs:
        promised: Dict[str, Set[float]] = {}
        for thread in run.threads:
            for key, values in thread.points.items():
                promised.setdefault(key, set()).update(values)
        more: Counter[Tuple[str, float]] = Counter()
        for key, history in run.histories.items():
            known = promised.get(key, set())
            more.update((key, value) for _, value in history if value not in known)
        for thread in run.threads:
            yield from _judge_under_way(run, thread, more)
        for (key, value), times in more.items():
            yield f"run {run.run_id}: {key} holds {_name(value)} {times} times, which nobody logged there"


def _judge_under_way(run: RunRecord, thread: ThreadRecord, more: Counter[Tuple[str, float]]) -> Iterator[str]:
    if thread.under_way is None or thread.under_way.kind not in POINTS:
        return
    times = [more.pop(point, 0) for point in thread.under_way.values]
    if set(times) not in ({0}, {1}):
        yield (
            f"run {run.run_id}: the call under way when thread {thread.writer}-{thread.thread} was killed "
            f"left its points {times} times"
        )


def order_kept(evidence: Evidence) -> Iterator[str]:
    """In the history of each key, the points of each thread stand in the order in which it logged them."""
    for run in evidence.runs:
        for key, history in run.histories.items():
            newest: Dict[Tuple[int, int], int] = {}
            for _, value in history:
                origin = decode(value)
                if origin is None:
                    continue
                before = newest.get(origin[:2], -1)
                if origin.sequence < before:
                    yield f"run {run.run_id}: {key} has {_name(value)} after number {before}"
                newest[origin[:2]] = origin.sequence


def steps_kept(evidence: Evidence) -> Iterator[str]:
    """Every point has the step it was logged with, or else its position in the history."""
    for run in evidence.runs:
        for key, history in run.histories.items():
            for position, (step, value) in enumerate(history):
                given = given_step(key, value)
                expected = position if given is None else given
                if step != expected:
                    yield f"run {run.run_id}: {key} has {_name(value)} at step {step} instead of {expected}"
                    break


def params_whole(evidence: Evidence) -> Iterator[str]:
    """Every param is whole, and is what some thread set it to last (or was setting it to when killed)."""
    for run in evidence.runs:
        expected: Dict[str, List[float]] = {}
        for thread in run.threads:
            for key, value in thread.params.items():
                expected.setdefault(key, []).append(value)
        missing = [key for key in expected if key not in run.params]
        yield from (f"run {run.run_id}: param {key} is missing" for key in missing)
        for thread in run.threads:
            if thread.under_way is not None and thread.under_way.kind == PARAM:
                key, value = thread.under_way.values[0]
                expected.setdefault(key, []).append(value)
        for key, stored in run.params.items():
            if stored not in [param_value(value) for value in expected.get(key, [])]:
                yield f"run {run.run_id}: param {key} is {str(stored)[:80]}, no thread's last value"


def artifacts_whole(evidence: Evidence) -> Iterator[str]:
    """Every artifact that was logged is there, whole; of a killed thread's last call, all or nothing; no other is."""
    for run in evidence.runs:
        more = dict(run.artifacts)
        for thread in run.threads:
            for path, digest in thread.artifacts.items():
                if more.pop(path, None) != digest:
                    yield f"run {run.run_id}: artifact {path} is missing or not what was logged"
        for thread in run.threads:
            if thread.under_way is not None and thread.under_way.kind in (FILE, FOLDER):
                call = thread.under_way
                expected = plan_artifacts(call.kind, call.values[0][1]).hashes()
                found = {path: more.pop(path) for path in expected if path in more}
                if found not in ({}, expected):
                    yield f"run {run.run_id}: of the artifacts under way at a kill there are {sorted(found)}"
        yield from (f"run {run.run_id}: artifact {path} was logged by nobody" for path in more)


def last_values_agree(evidence: Evidence) -> Iterator[str]:
    """The value that a run shows for a metric is the last point of its history."""
    for run in evidence.runs:
        shown = run.histories if run.shown is None else run.shown
        last = {key: history[-1][1] for key, history in shown.items() if history}
        for key in sorted(set(last) | set(run.last_values)):
            if last.get(key) != run.last_values.get(key):
                yield f"run {run.run_id}: {key} shows {run.last_values.get(key)}, its history ends with {last.get(key)}"


def rewinds_kept(evidence: Evidence) -> Iterator[str]:
    """Visible are the points that no rewind after them went back behind, in their order, and no others."""
    for run in evidence.runs:
        for key, history in run.histories.items() if run.shown is not None else ():
            expected: History = []
            for writer, step in run.rewinds:
                expected = [point for point in expected if point[0] <= step]
                expected += [point for point in history if (decode(point[1]) or (None,))[0] == writer]
            if run.shown is not None and run.shown[key] != expected:
                differs = describe_loss(expected, run.shown[key]) or f"{len(run.shown[key]) - len(expected)} more"
                yield f"run {run.run_id}: {key} shows what rewinds hide, or hides more: {differs}"


def _name(value: float) -> str:
    origin = decode(value)
    return f"{value!r} (writer {origin[0]}, thread {origin[1]}, number {origin[2]})" if origin else repr(value)
