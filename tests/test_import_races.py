"""Imports that are killed, that meet a full disk, or that meet each other: each run stands once, whole, in the end."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from concurrency import Children, in_child, run_together
from faults import fail, install, kill
from mini_mlflow import ExperimentTracker, import_mlflow
from mini_mlflow.exchange import filling
from mini_mlflow.reading.experiments import list_experiments
from mlflow_layout import RUN_ID, log_param, log_points, make_experiment, make_run, points, set_tag, write
from whole_tree import check_whole_tree

MOST_STEPS = 2000
# Every so manieth step is tried, others on every Python. With 1, which takes a minute, all of them pass.
STRIDE = 17
FIRST = 1 + sys.version_info[1] % STRIDE


def make_tree(tree: Path, runs: int = 1, count: int = 6) -> Path:
    """Each run has values, points that need several commits, and an artifact; one lies in the trash."""
    folder = make_experiment(tree, "3", "named")
    for number in range(runs):
        run = make_run(folder, "%032x" % number)
        log_param(run, "lr", "0.1")
        set_tag(run, "stage", "x")
        log_points(run, "loss", points(count))
        write(run / "artifacts" / "a" / "b.txt", "artifact")
    make_run(folder, RUN_ID, lifecycle_stage="deleted")
    return tree


def read_tree(root: str) -> Any:
    """All that an import brings."""
    tracker = ExperimentTracker(runs_dir=root, experiment_id=3)
    runs: Dict[str, Any] = {}
    for run_id in tracker.list_runs():
        found = tracker.get_run(run_id)
        history = tracker.get_metric_history(run_id, "loss")
        artifact = Path(tracker.artifact_path(run_id, "a/b.txt")).read_text()
        status = {name: found["metadata"][name] for name in ("status", "start_time", "end_time")}
        runs[run_id] = (status, found["params"], found["tags"], history, artifact)
    deleted = [one.run_id for one in tracker.list_deleted_runs()]
    return runs, deleted, [(one.experiment_id, one.name, one.creation_time) for one in list_experiments(root)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_import_that_is_killed_at_any_step_is_completed_by_the_next(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "_BATCH", 4)
    tree = make_tree(tmp_path / "old")
    whole = os.path.join(folder, "whole")
    import_mlflow(tree, whole)
    disk = install(monkeypatch)
    for at in range(FIRST, MOST_STEPS, STRIDE):
        root = os.path.join(folder, str(at))

        def work(root: str = root, at: int = at) -> None:
            with disk.armed(kill, at):
                import_mlflow(tree, root)

        status = in_child(work)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        report = import_mlflow(tree, root)
        assert report.problems == [], "killed at step %d" % at
        assert read_tree(root) == read_tree(whole), "killed at step %d" % at
        check_whole_tree(root, leftovers=True)
        if status == 0:
            assert at > 100
            return
    raise AssertionError("%d steps were not enough" % MOST_STEPS)


def test_import_that_meets_a_full_disk_raises_and_is_completed_by_the_next(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "old")
    whole = os.path.join(folder, "whole")
    import_mlflow(tree, whole)
    disk = install(monkeypatch)
    for at in range(FIRST, MOST_STEPS, STRIDE):
        root = os.path.join(folder, str(at))
        with disk.armed(fail(errno.ENOSPC), at):
            try:
                import_mlflow(tree, root)
            except OSError as error:
                assert error.errno == errno.ENOSPC
        import_mlflow(tree, root)
        assert read_tree(root) == read_tree(whole), "failed at step %d" % at
        check_whole_tree(root, leftovers=True)
        if disk.struck is None:
            return
    raise AssertionError("%d steps were not enough" % MOST_STEPS)


def test_imports_that_meet_in_one_tree_bring_each_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process, whose commits come between each other's comparing and storing if nothing keeps them."""
    monkeypatch.setattr(filling, "_BATCH", 10)
    tree = make_tree(tmp_path / "old", runs=4, count=200)
    import_mlflow(tree, tmp_path / "alone")
    reports = run_together(*[lambda: import_mlflow(tree, tmp_path / "runs")] * 3)
    assert read_tree(str(tmp_path / "runs")) == read_tree(str(tmp_path / "alone"))
    assert [report.problems for report in reports if any("trash" not in one.reason for one in report.problems)] == []
    assert sum(report.runs for report in reports) == 5
    assert sum(report.points for report in reports) == 800


def _import(tree: str, root: str) -> None:
    import_mlflow(tree, root)


def test_imports_of_several_processes_bring_each_run_once(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "old", runs=3, count=300)
    import_mlflow(tree, tmp_path / "alone")
    with Children("spawn") as children:
        for _ in range(2):
            children.start(_import, str(tree), str(tmp_path / "runs"))
    assert read_tree(str(tmp_path / "runs")) == read_tree(str(tmp_path / "alone"))


def test_point_that_comes_in_while_the_source_is_read_stands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer of MLflow's goes on all the time: what its file holds in the end is here in the end."""
    monkeypatch.setattr(filling, "_BATCH", 3)
    run = make_run(make_experiment(tmp_path / "old", "3", "live"), status=1, end_time=None)
    log_points(run, "loss", points(4))
    flush, grown = filling.Filler.flush, [4]

    def log_and_flush(self: Any) -> None:
        if grown[0] < 6:
            log_points(run, "loss", points(1, first=grown[0]))
            grown[0] += 1
        flush(self)

    monkeypatch.setattr(filling.Filler, "flush", log_and_flush)
    import_mlflow(tmp_path / "old", "runs")
    import_mlflow(tmp_path / "old", "runs")
    steps: List[int] = [one.step for one in ExperimentTracker(runs_dir="runs").get_metric_history(RUN_ID, "loss", 3)]
    assert steps == list(range(grown[0]))
