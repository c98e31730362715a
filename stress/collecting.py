"""From a round's folder to evidence: what was acknowledged, beside what the tree says when it is read back."""

from __future__ import annotations

import os
import traceback
from itertools import islice
from pathlib import Path
from typing import Collection, List

from mini_mlflow import ExperimentTracker
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.upkeep import LEFTOVER, verify
from stress.acknowledgements import Acknowledged, read_acknowledged
from stress.artifacts import FILE, FOLDER, plan_artifacts, read_artifacts
from stress.evidence import Evidence, History, RunRecord, ThreadRecord, WriterRecord
from stress.place import Place
from stress.plan import PARAM, calls
from stress.recording import name_lock, read_recorded

EVERYONE_LIVED: Collection[int] = ()


def collect_runs(place: Place, seed: int, evidence: Evidence, killed: Collection[int] = EVERYONE_LIVED) -> None:
    """Read every run back and verify the tree, into the evidence.

    Args:
        place: the round's folder; nobody writes there any more.
        seed: the seed that the writers had.
        evidence: what to add to.
        killed: the writers that were killed.
    """
    tracker = ExperimentTracker(runs_dir=str(place.tree))
    try:
        evidence.listed = tracker.list_runs()
    except Exception:  # noqa: BLE001  (whatever a read raises is what is looked for)
        evidence.reading_errors.append(f"list_runs: {traceback.format_exc(limit=-4)}")
    for folder in sorted(place.acknowledgements.iterdir()):
        done = [read_acknowledged(path) for path in sorted(folder.iterdir())]
        for thread in done:
            evidence.durations_ns.update(map(_to_three_digits, thread.durations_ns))
        if folder.name not in evidence.listed and not any(thread.calls for thread in done):
            continue  # Its only writer was killed while it started the run.
        try:
            evidence.runs.append(_read_run(tracker, folder, done, seed, killed))
        except Exception:  # noqa: BLE001  (whatever a read raises is what is looked for)
            evidence.reading_errors.append(f"run {folder.name}: {traceback.format_exc(limit=-4)}")
    evidence.findings += verify_tree(place, leftovers=bool(killed))


def verify_tree(place: Place, leftovers: bool) -> List[str]:
    """What is wrong with the tree, a line for each finding; ``leftovers``: less what killed writers may leave."""
    return [
        f"{finding.path}: {finding.rule}: {finding.message}"
        for finding in verify(place.tree)
        if not (leftovers and finding.severity == LEFTOVER)
    ]


def _to_three_digits(duration_ns: int) -> int:
    # A scenario of an hour has millions of calls; of these there are a few thousand.
    unit: int = 10 ** max(0, len(str(duration_ns)) - 3)
    return duration_ns // unit * unit


def collect_recorded(place: Place, evidence: Evidence) -> None:
    """Take what the writing processes recorded below their calls, into the evidence."""
    names = {}
    for run in place.acknowledgements.iterdir():
        paths = RunPaths.of(RunAddress(str(place.tree), 0, run.name))
        names.update({name_lock(lock): os.path.basename(lock) for lock in (paths.run_lock, paths.owner_lock)})
    for path in sorted(place.holds.iterdir()):
        recorded = read_recorded(path)
        evidence.commits += recorded.commits
        evidence.changes += recorded.changes
        for lock, holds in recorded.holds.items():
            evidence.holds.setdefault(names.get(lock, f"lock {lock:x}"), []).extend(holds)


def _read_run(
    tracker: ExperimentTracker, folder: Path, done: List[Acknowledged], seed: int, killed: Collection[int]
) -> RunRecord:
    run_id = folder.name
    run = tracker.get_run(run_id)
    record = RunRecord(
        run_id=run_id,
        threads=[_replay(seed, run_id, thread, thread.writer in killed) for thread in done],
        histories={key: read_history(tracker, run_id, key) for key in run["metrics"]},
        last_values=dict(run["metrics"]),
        params=dict(run["params"]),
        status=run["metadata"]["status"],
        artifacts=read_artifacts(tracker, run_id),
    )
    if run_id.startswith("own-") and not any(thread.ended for thread in done):
        # Killed before its end was acknowledged: it may have been ended or not.
        record.statuses_told = ("FINISHED", "CRASHED")
    return record


def read_history(tracker: ExperimentTracker, run_id: str, key: str, hidden: bool = False) -> History:
    """The history of one metric as steps and values; with ``hidden``, also what a rewind hides."""
    return [(point.step, point.value) for point in tracker.get_metric_history(run_id, key, hidden=hidden)]


def _replay(seed: int, run_id: str, done: Acknowledged, killed: bool) -> ThreadRecord:
    record = ThreadRecord(done.writer, done.thread)
    for call in islice(calls(seed, run_id, done.writer, done.thread), done.calls + 1):
        if call.number == done.calls:
            record.under_way = call if killed and not done.ended else None
        elif call.kind == PARAM:
            record.params.update(call.values)
        elif call.kind in (FILE, FOLDER):
            record.artifacts.update(plan_artifacts(call.kind, call.values[0][1]).hashes())
        else:
            for key, value in call.values:
                record.points.setdefault(key, []).append(value)
    return record


def read_writer(place: Place, writer: int, finished: bool = True) -> WriterRecord:
    """What a writer reports: the errors that it noted as they came, and what it wrote at its end if it got there."""
    record = WriterRecord(f"writer-{writer}", [report["error"] for report in place.read_reports(f"error-{writer}-*")])
    end = place.read_report(f"writer-{writer}")
    if end is not None:
        record.descriptors_before, record.descriptors_after = end["before"], end["after"]
    elif finished:
        record.errors.append("it left no report")
    return record
