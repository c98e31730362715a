"""Experiments that many processes make at once, and runs that are deleted and restored while others log and read."""

from __future__ import annotations

import time
from collections import Counter
from typing import Counter as CounterType
from typing import List

from mini_mlflow import ExperimentTracker, Run
from stress.children import Child, Children, wait_for
from stress.evidence import Evidence
from stress.midwife import COVETED, NAMES
from stress.scenarios.reading import gather_readers, start_readers
from stress.scenarios.setting import GRACE_S, Setting
from stress.trasher import SHORT_LIVED

#: Processes that ask for one name at once.
MIDWIVES = 50


def births_and_deletions(setting: Setting) -> Evidence:
    """Fifty processes ask for the same experiments at once, and for the same name for one of their own; then threads of
    several end, resume, delete and restore a few runs, log to them, and have short-lived runs and experiments renamed,
    deleted, restored and removed for good, while others read, and one repairs."""
    evidence = Evidence()
    begun = time.monotonic()
    with Children(setting.place) as children:
        reading = start_readers(setting, children, number=1, runs_vanish=True)
        births = [
            children.start("midwife", f"midwife-{n}", {"folder": str(setting.place.folder), "number": n}, None)
            for n in range(MIDWIVES)
        ]
        setting.place.start_file.touch()
        _gather_births(setting, births, evidence)
        mending = {"folder": str(setting.place.folder), "limit_s": setting.seconds + GRACE_S}
        reading.append(children.start("mender", "mender", mending, setting.python(0)))
        started = [
            children.start("trasher", f"writer-{n}", setting.work(n).to_json(), setting.python(n))
            for n in range(setting.processes)
        ]
        setting.gather_writers(started, evidence)
        evidence.seconds = time.monotonic() - begun
        gather_readers(setting, reading, evidence)
    counts: CounterType[str] = Counter()
    for report in setting.place.read_reports("resumes-*"):
        counts.update(report)
    told = ("ends", "resumes", "deletions", "restorations", "removed", "experiments")
    evidence.notes.append(", ".join(f"{counts[name]:,} {name}" for name in told))
    _gather_mends(setting, evidence)
    _put_back(setting)
    setting.read_back(evidence)
    for run in evidence.runs:
        # The last process to leave ends it, one of its threads had, it was put back here, or a repair found its owner
        # gone.
        run.statuses_told = ("FINISHED", "KILLED", "FAILED")
    return evidence


def _gather_births(setting: Setting, births: List[Child], evidence: Evidence) -> None:
    hung = wait_for(births, GRACE_S, setting.tick)
    evidence.reading_errors += [f"{child.name} hung" for child in hung]
    for report in setting.place.read_reports("births-*"):
        evidence.reading_errors += report["errors"]
        for name, number in zip(NAMES, report["ids"]):
            evidence.experiments.setdefault(name, []).append(number)
        evidence.experiments.setdefault(COVETED, []).extend(report["renamed"])
    found = ExperimentTracker(runs_dir=str(setting.place.tree)).get_experiment_by_name(COVETED)
    evidence.experiments.setdefault(COVETED, []).append(-1 if found is None else found.experiment_id)


def _gather_mends(setting: Setting, evidence: Evidence) -> None:
    for report in setting.place.read_reports("mends"):
        evidence.reading_errors += report["errors"]
        mends = ", ".join(f"{rule} {count}" for rule, count in sorted(report["mends"].items()))
        evidence.notes.append(f"{report['passes']:,} repairs of the whole tree, which mended: {mends or 'nothing'}")


def _put_back(setting: Setting) -> None:
    """What the last process left in the trash, or without an owner, stands in its experiment and has ended."""
    tracker = ExperimentTracker(runs_dir=str(setting.place.tree))
    for one in tracker.list_deleted_runs(0):
        tracker.restore_run(one.run_id)
    for run_id in tracker.list_runs():
        run = Run(run_id=run_id, runs_dir=tracker.runs_dir)
        if run.is_open():
            run.end()
    tracker.set_experiment(SHORT_LIVED)
    tracker.gc(experiment_id=tracker.experiment_id)
