"""The guarantees: each a function over the evidence, its docstring the sentence that reports show.

A guarantee yields one line for each way in which it was broken, and nothing when it held. It looks at the
evidence alone, never at the disk, so a test can hand it doctored evidence and see that it notices. Those about what
runs hold and about what readers see stand in modules of their own; here are the others, and the list of all.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

from stress.evidence import Evidence
from stress.reader_guarantees import (
    acknowledged_is_visible,
    history_never_shrinks,
    readers_see_no_error,
    readers_see_whole_values,
)
from stress.recording import Hold
from stress.value_guarantees import (
    acknowledged_exactly_once,
    artifacts_whole,
    last_values_agree,
    nothing_invented,
    order_kept,
    params_whole,
    rewinds_kept,
    steps_kept,
)

#: A dead writer's lock is free at once; a lock that outlives it shows as a wait for the timeout (60 s).
ENTRY_LIMIT_S = 10.0


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
