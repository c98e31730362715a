"""Runs that are started for another layer: with its own times and fields, and with no owner to end them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Dict

import pytest

from command_line import call
from concurrency import Children, run_python
from mini_mlflow import ExperimentTracker, InvalidKeyError, InvalidTypeError, Run, RunEndedError
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.upkeep import repair, verify
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.open_runs import OpenRun, owned_runs
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest

LONG_AGO = "2001-02-03T04:05:06.789000Z"


def start(runs_dir: str, **request: Any) -> OpenRun:
    return lifecycle.start(RunAddress(runs_dir, 0, "r"), StartRequest(**request), Settings())


def metadata(runs_dir: str) -> Dict[str, Any]:
    return dict(ExperimentTracker(runs_dir=runs_dir).get_run("r")["metadata"])


def start_and_die(runs_dir: str, take_ownership: bool) -> None:
    start(runs_dir, take_ownership=take_ownership).submit(batch_submission(tags={"a": "b"}))
    os.kill(os.getpid(), signal.SIGKILL)


def test_run_without_an_owner_is_open_until_somebody_ends_it(runs_dir: str) -> None:
    """Its process is killed; readers, searches and the command line see RUNNING, and any process ends it."""
    with Children() as children:
        children.start(start_and_die, runs_dir, False, exitcode=-signal.SIGKILL)
    assert metadata(runs_dir)["status"] == "RUNNING"
    assert metadata(runs_dir)["owned"] is False
    assert [run.status for run in ExperimentTracker(runs_dir=runs_dir).search_runs()] == ["RUNNING"]
    for command in (["watch", "--once", "--json"], ["ls", "--json"]):
        told = call(*command, "--runs-dir", runs_dir).objects
        assert [one["status"] for one in told] == ["RUNNING"]
    assert list(verify(runs_dir)) == []
    with Run("r", runs_dir=runs_dir) as run:
        run.log_metric("m", 1)
    assert metadata(runs_dir)["status"] == "FINISHED"


@pytest.mark.leaves("dead-owner")
def test_run_with_an_owner_that_is_killed_is_not(runs_dir: str) -> None:
    """The same with an owner reads CRASHED: what the tests above see is no blindness."""
    with Children() as children:
        children.start(start_and_die, runs_dir, True, exitcode=-signal.SIGKILL)
    assert metadata(runs_dir)["status"] == "CRASHED"


def test_who_attaches_to_a_run_without_an_owner_does_not_end_it_at_its_exit(runs_dir: str) -> None:
    start(runs_dir, take_ownership=False)
    script = "import sys, mini_mlflow; mini_mlflow.Run('r', runs_dir=sys.argv[1]).log_metric('m', 1)"
    run_python(script, runs_dir)
    assert metadata(runs_dir)["status"] == "RUNNING"
    assert owned_runs() == []


def test_who_resumes_a_run_without_an_owner_owns_it_unless_asked_not_to(runs_dir: str) -> None:
    lifecycle.end(start(runs_dir, take_ownership=False), "FINISHED")
    assert not start(runs_dir, take_ownership=False, resume=True).is_owner
    assert (metadata(runs_dir)["status"], metadata(runs_dir)["owned"]) == ("RUNNING", False)
    lifecycle.end(start(runs_dir), "KILLED")
    run = start(runs_dir, resume=True)
    assert run.is_owner
    assert "owned" not in metadata(runs_dir)
    lifecycle.end(run, "FINISHED")


def test_former_owner_leaves_a_run_open_that_was_resumed_without_an_owner(runs_dir: str) -> None:
    """At its exit the process that started the run finds it ended and resumed by another, which owns nothing."""
    code = """
    import subprocess, sys
    from mini_mlflow import Run
    run = Run("r", runs_dir=sys.argv[1])
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], check=True)
    """
    other = (
        "import sys\n"
        "from test_ownerless import start, lifecycle\n"
        "lifecycle.end(start(sys.argv[1]), 'FINISHED')\n"
        "start(sys.argv[1], resume=True, take_ownership=False)\n"
    )
    run_python(code, runs_dir, other)
    assert metadata(runs_dir)["status"] == "RUNNING"


@pytest.mark.leaves("dead-owner")
def test_run_that_is_not_to_end_with_its_process_is_left_open(runs_dir: str) -> None:
    code = "import sys; from test_ownerless import start; start(sys.argv[1], end_at_exit=False)"
    run_python(code, runs_dir)
    assert metadata(runs_dir)["status"] == "CRASHED"


def test_run_is_recorded_as_the_request_says(runs_dir: str) -> None:
    """Its times are those of the request, its fields override what is recorded unasked, and others are added."""
    run = start(runs_dir, start_time=LONG_AGO, meta={"user": "ada", "made_by": "mlflow"}, take_ownership=False)
    lifecycle.end(run, "FAILED", end_time="2001-02-03T05:00:00.000000Z")
    told = metadata(runs_dir)
    assert (told["start_time"], told["end_time"]) == (LONG_AGO, "2001-02-03T05:00:00.000000Z")
    assert (told["user"], told["made_by"], told["pid"]) == ("ada", "mlflow", os.getpid())


def test_run_without_an_owner_that_is_made_anew_gets_numbers_of_its_own(runs_dir: str) -> None:
    """Its owner lock has a file all the same: whoever still has the former run open stores nothing wrong."""
    former = start(runs_dir, take_ownership=False)
    former.submit(batch_submission([("m", 1.0, None, 1), ("n", 1.0, None, 1)]))
    tracker = ExperimentTracker(runs_dir=runs_dir)
    tracker.delete_run("r")
    tracker.gc()
    with Children() as children:
        children.start(start_anew, runs_dir)
    former.submit(batch_submission([("m", 3.0, None, 3)]))
    assert [point.value for point in tracker.get_metric_history("r", "m")] == [2.0, 3.0]


def start_anew(runs_dir: str) -> None:
    start(runs_dir, take_ownership=False).submit(batch_submission([("m", 2.0, None, 2), ("n", 2.0, None, 2)]))


@pytest.mark.damaged_tree
def test_repair_leaves_a_run_without_an_owner_open(runs_dir: str) -> None:
    """Its status cannot be read; it is RUNNING again, since nobody's death ends it."""
    start(runs_dir, take_ownership=False)
    path = Path(RunPaths.of(RunAddress(runs_dir, 0, "r")).meta)
    path.write_text(path.read_text().replace('status: "RUNNING"', 'status: "RUNN'))
    assert all(one.done for one in repair(runs_dir))
    assert metadata(runs_dir)["status"] == "RUNNING"


# -- what such a layer stores --------------------------------------------------------------------------------------


def test_batch_stores_points_params_and_tags_with_any_keys_in_one_commit(runs_dir: str) -> None:
    run = start(runs_dir, take_ownership=False)
    long = "k" * 300
    points = [("train/loss", 0.5, 3, 17), ("train/loss", float("nan"), None, 18), (long, 1, 0, 19)]
    run.submit(
        batch_submission(points, {"opt/lr": "0.1", "a": "b"}, {"mlflow.source:name": "x", " ": "y", "\ud800": "z"})
    )
    log = os.listdir(run.paths.log)
    assert len(log) == 1
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for _ in range(2):
        found = tracker.get_run("r")
        assert found["params"] == {"opt/lr": "0.1", "a": "b"}
        assert found["tags"] == {"mlflow.source:name": "x", " ": "y", "\ud800": "z"}
        assert repr(tracker.get_metric_history("r", "train/loss")[1]) == "Point(step=1, value=nan, timestamp=18)"
        assert tracker.get_metric_history("r", long) == [(0, 1.0, 19)]
        run.ended or lifecycle.end(run, "FINISHED")


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        ({"params": {"": 1}}, InvalidKeyError),
        ({"tags": {1: 1}}, InvalidTypeError),
        ({"tags": [("a", "b")]}, InvalidTypeError),
        ({"params": {"a/b": {1, 2}}}, InvalidTypeError),
        ({"points": [("a/b", "1", 0, 0)]}, InvalidTypeError),
        ({"points": [("a/b", 1, 0.5, 0)]}, InvalidTypeError),
        ({"points": [("a/b", 1, 0, None)]}, InvalidTypeError),
        ({"deleted_tags": [""]}, InvalidKeyError),
    ],
    ids=repr,
)
def test_batch_refuses_what_cannot_be_stored(batch: Dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        batch_submission(**batch)


def test_batch_to_a_run_that_has_ended_is_refused(runs_dir: str) -> None:
    run = start(runs_dir, take_ownership=False)
    lifecycle.end(run, "FINISHED")
    with pytest.raises(RunEndedError, match="Cannot log"):
        run.submit(batch_submission(tags={"a": "b"}))
