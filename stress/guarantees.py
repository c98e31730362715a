"""The guarantees: each a function over the evidence, its docstring the sentence that reports show.

A guarantee yields one line for each way in which it was broken, and nothing when it held. It looks at the
evidence alone, never at the disk, so a test can hand it doctored evidence and see that it notices.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from stress.artifacts import FILE, FOLDER, plan_artifacts
from stress.evidence import Evidence, History, RunRecord, ThreadRecord
from stress.plan import PARAM, POINTS, given_step, param_value
from stress.points import decode
from stress.recording import Hold

#: A dead writer's lock is free at once; a lock that outlives it shows as a wait for the timeout (60 s).
ENTRY_LIMIT_S = 10.0


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


def statuses_told(evidence: Evidence) -> Iterator[str]:
    """A run reads with the status it was ended with, and as CRASHED as soon as its last owner is dead, never before."""
    for run in evidence.runs:
        if run.status not in run.statuses_told:
            yield f"run {run.run_id} reads {run.status} instead of {' or '.join(run.statuses_told)}"
        if run.status_when_killed not in (None, "CRASHED"):
            yield f"run {run.run_id} read {run.status_when_killed} after all of its writers were killed"
    for reader in evidence.readers:
        yield from reader.declared_dead


def every_run_listed(evidence: Evidence) -> Iterator[str]:
    """Every run is listed, once, and no other."""
    listed = Counter(evidence.listed)
    for run in evidence.runs:
        if listed.pop(run.run_id, 0) != 1:
            yield f"run {run.run_id} is not listed exactly once"
    yield from (f"run {run_id} is listed, and nobody started it" for run_id in listed)


def every_call_returns(evidence: Evidence) -> Iterator[str]:
    """No call raises, and none hangs."""
    for writer in evidence.writers:
        yield from (f"{writer.name}: {error}" for error in writer.errors)


def readers_see_no_error(evidence: Evidence) -> Iterator[str]:
    """No reader sees an error or a damaged file."""
    yield from evidence.reading_errors
    for reader in evidence.readers:
        yield from reader.errors


def history_never_shrinks(evidence: Evidence) -> Iterator[str]:
    """Whatever a reader has seen of a history or of a listing stays there, in place."""
    final = {run.run_id: run.histories for run in evidence.runs}
    for reader in evidence.readers:
        yield from reader.shrunk
        for run_id, sight in reader.sights.items():
            for key, before in sight.items():
                lost = describe_loss(before, final.get(run_id, {}).get(key, []))
                if lost:
                    yield f"run {run_id}: {key} at the end: {lost}"


def describe_loss(before: History, after: History) -> Optional[str]:
    """How a later look at a history differs from an earlier one in what both should hold; None if it does not."""
    if after[: len(before)] == before:
        return None
    if len(after) < len(before):
        return f"{len(before)} points seen, then {len(after)}"
    place = next(i for i, (old, new) in enumerate(zip(before, after)) if old != new)
    return f"point {place} was {before[place]}, then {after[place]}"


def acknowledged_is_visible(evidence: Evidence) -> Iterator[str]:
    """A reader that starts after a call was acknowledged sees its point."""
    for reader in evidence.readers:
        yield from reader.unseen


def readers_see_whole_values(evidence: Evidence) -> Iterator[str]:
    """No reader sees half a value, or one that nobody logged."""
    for reader in evidence.readers:
        yield from reader.torn


def one_experiment_a_name(evidence: Evidence) -> Iterator[str]:
    """Processes that ask for one name at once are given one experiment, and no two names are given the same."""
    given = {name: sorted(set(ids)) for name, ids in evidence.experiments.items()}
    yield from (f"experiment {name} is {ids}" for name, ids in given.items() if len(ids) != 1)
    if len({tuple(ids) for ids in given.values()}) != len(given):
        yield f"two names share an experiment: {given}"


def no_two_holders(evidence: Evidence) -> Iterator[str]:
    """No two holders of a run's lock overlap."""
    for lock, holds in evidence.holds.items():
        if lock.endswith(".owner"):
            # It excludes nobody: who resumes a run takes it over from a former owner that has not learned of the end.
            continue
        latest: Optional[Hold] = None
        for hold in sorted(holds):
            if latest is not None and hold.acquired < latest.released:
                shared_us = (min(hold.released, latest.released) - hold.acquired) / 1000
                who = " and ".join(f"process {one.process} thread {one.thread}" for one in (latest, hold))
                yield f"{lock}: held for {shared_us:.1f} us by both {who}"
            if latest is None or hold.released > latest.released:
                latest = hold


def next_writer_enters(evidence: Evidence) -> Iterator[str]:
    """After a kill, the next writer gets in at once."""
    for entry_ns in evidence.entry_ns:
        if entry_ns > ENTRY_LIMIT_S * 1e9:
            yield f"a writer's first call took {entry_ns / 1e9:.1f} s"


def forked_children_start_clean(evidence: Evidence) -> Iterator[str]:
    """A forked child starts with no active run, can log to its own and to its parent's run, and leaves."""
    for child, trouble in evidence.forks.items():
        if trouble:
            yield f"forked child {child}: {trouble}"


def no_litter(evidence: Evidence) -> Iterator[str]:
    """No temporary file is left, but of killed writers."""
    yield from (f"left over: {path}" for path in evidence.litter)


def tree_verifies_clean(evidence: Evidence) -> Iterator[str]:
    """The tree verifies clean, but for what killed writers leave."""
    yield from evidence.findings


def no_descriptor_leaks(evidence: Evidence) -> Iterator[str]:
    """A writer ends its work with no more open descriptors than it began with."""
    for writer in evidence.writers:
        before, after = writer.descriptors_before, writer.descriptors_after
        if before is not None and after is not None and after > before:
            yield f"{writer.name} went from {before} open descriptors to {after}"


def _name(value: float) -> str:
    origin = decode(value)
    return f"{value!r} (writer {origin[0]}, thread {origin[1]}, number {origin[2]})" if origin else repr(value)


Guarantee = Callable[[Evidence], Iterator[str]]

GUARANTEES: Tuple[Guarantee, ...] = (
    acknowledged_exactly_once,
    nothing_invented,
    order_kept,
    steps_kept,
    params_whole,
    artifacts_whole,
    last_values_agree,
    rewinds_kept,
    statuses_told,
    every_run_listed,
    every_call_returns,
    readers_see_no_error,
    history_never_shrinks,
    acknowledged_is_visible,
    readers_see_whole_values,
    one_experiment_a_name,
    no_two_holders,
    next_writer_enters,
    forked_children_start_clean,
    no_litter,
    tree_verifies_clean,
    no_descriptor_leaks,
)


class Broken(NamedTuple):
    """A guarantee that did not hold: its name, its sentence, and the first ways in which it did not."""

    guarantee: str
    sentence: str
    details: List[str]


def sentence(guarantee: Guarantee) -> str:
    return (guarantee.__doc__ or guarantee.__name__).split("\n")[0]


def judge(evidence: Evidence, limit: int = 5) -> List[Broken]:
    """Every guarantee that the evidence breaks; empty when all held."""
    broken = []
    for guarantee in GUARANTEES:
        details = list(islice(guarantee(evidence), limit))
        if details:
            broken.append(Broken(guarantee.__name__, sentence(guarantee), details))
    return broken
