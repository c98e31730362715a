"""A run that is deleted, removed and started anew under its id: nothing known of the former one harms the new one."""

from __future__ import annotations

import os
from typing import List

import pytest

from concurrency import Children
from faults import ration_documents, read_stored
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.upkeep import verify

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def begin_anew(runs_dir: str, points: int) -> None:
    """In another process: the run goes for good, and one of its id is begun, with so many commits in its log."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    tracker.delete_run("r")
    tracker.gc()
    run = Run(run_id="r", runs_dir=runs_dir)
    for value in range(points):
        run.log_metrics({"loss": 100.0 + value, "other": 1.0})
    assert verify(runs_dir) == []
    # Not ended: who leaves so is not asked to.
    os._exit(0)


def values(runs_dir: str, key: str = "loss") -> List[float]:
    return [point.value for point in ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", key)]


@needs_fork
@pytest.mark.leaves("dead-owner")
@pytest.mark.parametrize("points", [0, 1, 5, 20, 40])
@pytest.mark.parametrize("known", [0, 20])
def test_handle_of_the_former_run_loses_nothing_of_the_new_one(
    known: int, points: int, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its knowledge of the log and of the documents is that of another run with other numbers, or with the same."""
    ration_documents(monkeypatch, refresh=False, fold_at=30)
    run = Run(run_id="r", runs_dir=runs_dir)
    for value in range(known):
        run.log_metrics({"loss": float(value), "gone": 1.0})
    run.flush()
    with Children("fork") as children:
        children.start(begin_anew, runs_dir, points)
    run.log_metric("mine", 0.5)
    for value in range(40):
        run.log_metrics({"loss": 200.0 + value})
    run.flush()
    run.end()
    assert values(runs_dir) == [100.0 + value for value in range(points)] + [200.0 + value for value in range(40)]
    assert values(runs_dir, "mine") == [0.5]
    stored = read_stored(runs_dir)
    assert stored is not None
    assert set(stored.metrics) == {"loss", "mine"} | ({"other"} if points else set())


@needs_fork
def test_process_that_begins_it_anew_through_a_handle_of_the_former_one(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = Run(run_id="r", runs_dir=runs_dir)
    for value in range(20):
        run.log_metrics({"loss": float(value)})
    with Children("fork") as children:
        children.start(remove, runs_dir)
    anew = tracker.start_run(run_id="r")
    for value in range(5):
        anew.log_metrics({"loss": 100.0 + value})
    run.log_metric("loss", 200.0)
    anew.end()
    assert values(runs_dir) == [100.0, 101.0, 102.0, 103.0, 104.0, 200.0]


def remove(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    tracker.delete_run("r")
    assert tracker.gc() == ["r"]


@needs_fork
@pytest.mark.leaves("dead-owner")
def test_owner_of_the_former_run_does_not_stand_for_a_dead_one_of_the_new(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_metric("loss", 1.0)
    with Children("fork") as children:
        children.start(begin_anew, runs_dir, 1)
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["metadata"]["status"] == "CRASHED"
