"""What must hold of a damaged tree: readers and `verify` name the file or read on, and a repair loses nothing more."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from mini_mlflow import DamagedFileWarning, ExperimentTracker
from mini_mlflow.disk.layout import inner_trees
from mini_mlflow.upkeep import Repair, repair, verify
from stress.flips.damaging import INNER_IDS, KEYS, RUN_IDS, Damage

#: What a reader may raise about a run that is damaged.
DOCUMENTED = (OSError, ValueError)
#: What a repair may leave, each with its reason: what another host, or a newer version, must tell.
MAY_STAY = frozenset(("owner-elsewhere", "unknown-format"))
#: The statuses that a repair may make of one that was never stored.
_ENDED_BY_REPAIR = {"CRASHED": "FAILED", "UNKNOWN": "FAILED", "RUNNING": "FAILED"}


class Readable(NamedTuple):
    """What readers make of a run: None if they refuse it. Histories are (repr of the value, timestamp)."""

    run: Optional[Dict[str, Any]]
    histories: Dict[str, List[Any]]


def read_all(root: Path) -> Dict[str, Readable]:
    """What can be read of the tree. Nothing undocumented may be raised, and warnings name files."""
    tracker = ExperimentTracker(experiment_id=3, runs_dir=root)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tracker.list_runs()
        tracker.get_latest_version("digits")
        tracker.search_experiments(lifecycle_stage="all")
        tracker.list_deleted_runs()
        found = {run_id: _read_run(tracker, run_id) for run_id in RUN_IDS}
        for tree, run_id in zip(inner_trees(str(root)), INNER_IDS):
            found[run_id] = _read_run(ExperimentTracker(experiment_id=3, runs_dir=tree), run_id)
    for warning in caught:
        assert warning.category is DamagedFileWarning, f"a reader warned of {warning.message!r}"
        assert str(root) in str(warning.message), f"a warning names no file: {warning.message}"
    return found


def _read_run(tracker: ExperimentTracker, run_id: str) -> Readable:
    try:
        run = tracker.get_run(run_id)
    except DOCUMENTED:
        return Readable(None, {})
    histories = {}
    for key in run["metrics"]:
        try:
            points = tracker.get_metric_history(run_id, key)
        except DOCUMENTED:
            continue
        histories[key] = [(repr(point.value), point.timestamp) for point in points]
    return Readable(run, histories)


def judge(root: Path, damage: Damage) -> List[Repair]:
    """Verifies, reads, repairs, verifies and reads the damaged tree; returns the repairs. Asserts that all holds."""
    found = verify(root)
    before = read_all(root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repairs = repair(root)
        left = [finding for finding in verify(root) if finding.rule not in MAY_STAY]
    assert not left, f"after the repair: {left}; done: {repairs}"
    assert found or not repairs, f"repaired without a finding: {repairs}"
    reasons = [one for one in repairs if not one.done and one.finding.rule not in MAY_STAY]
    assert not reasons, f"not repaired: {reasons}"
    with warnings.catch_warnings():
        warnings.simplefilter("error", DamagedFileWarning)
        after = read_all(root)
    for run_id, readable in before.items():
        problems = list(compare(readable, after[run_id], damage.may_invent))
        assert not problems, f"{run_id}: {problems}; done: {repairs}"
    return repairs


def compare(before: Readable, after: Readable, may_invent: bool = False) -> Iterator[str]:
    """What could be read before and cannot now; with ``may_invent``, other values are as good."""
    if before.run is None:
        return
    if after.run is None:
        yield "the run is gone"
        return
    yield from _compare_values(before.run, after.run, may_invent)
    for key, points in before.histories.items():
        if may_invent and key not in KEYS:
            continue
        rest = iter(after.histories.get(key, []))
        if not all(point in rest for point in points):
            yield f"{key} had {points} and has {after.histories.get(key)}"
    yield from _compare_metadata(before.run["metadata"], after.run["metadata"], may_invent)


def _compare_values(before: Dict[str, Any], after: Dict[str, Any], may_invent: bool) -> Iterator[str]:
    for kind in ("params", "tags", "metrics"):
        for key, value in before[kind].items():
            if key not in after[kind]:
                # A flip makes one key of another too, which then is nobody's.
                if key in KEYS or not may_invent:
                    yield f"{kind}: {key} is gone"
            elif not may_invent and repr(after[kind][key]) != repr(value):
                yield f"{kind}: {key} was {value!r} and is {after[kind][key]!r}"


def _compare_metadata(before: Dict[str, Any], after: Dict[str, Any], may_invent: bool) -> Iterator[str]:
    for name in ("name", "version", "start_time", "status"):
        told = before.get(name)
        allowed = (told, _ENDED_BY_REPAIR.get(str(told)) if name == "status" else None)
        if told is not None and not may_invent and after.get(name) not in allowed:
            yield f"{name} was {told!r} and is {after.get(name)!r}"
