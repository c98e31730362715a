"""Deleting and restoring: a run is in one place, whoever has it open is told and stores nothing, nowhere."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import mini_mlflow
from concurrency import Children, run_python, run_together
from faults import log_later_value, read_stored, with_later_value
from mini_mlflow import (
    ExperimentTracker,
    LockTimeout,
    OutsideTreeError,
    Run,
    RunDeletedError,
    RunEndedError,
    RunExistsError,
    RunNotFoundError,
)
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import RunAddress
from mini_mlflow.upkeep import verify
from tree_check import list_tree

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


@pytest.fixture
def run(runs_dir: str) -> Run:
    """Open, with a commit that no document holds."""
    run = Run(run_id="r", name="mine", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    run.log_metrics({"loss": 0.5, "acc": 0.25})
    run.log_metric("loss", 0.125)
    return run


def trashed(runs_dir: str, run_id: str = "r") -> str:
    return os.path.join(runs_dir, ".trash", "0", run_id)


# -- what a deletion is --------------------------------------------------------------------------------------------


def test_deleted_run_is_out_of_sight_and_comes_back_as_it_was(tracker: ExperimentTracker, run: Run) -> None:
    before, files = read_stored(tracker.runs_dir), list_tree(os.path.join(tracker.runs_dir, "0", "r"))
    tracker.delete_run("r")
    assert tracker.list_runs() == []
    assert os.listdir(os.path.join(tracker.runs_dir, "0")) == []
    assert tracker.get_latest_version("mine") is None
    for read in (lambda: tracker.get_run("r"), lambda: tracker.get_metric_history("r", "loss")):
        with pytest.raises(RunNotFoundError):
            read()
    (deleted,) = tracker.list_deleted_runs()
    assert deleted[:2] + deleted[3:5] == ("r", 0, "mine", "RUNNING")
    assert verify(tracker.runs_dir) == []
    tracker.restore_run("r")
    assert tracker.list_deleted_runs() == []
    assert read_stored(tracker.runs_dir) == before
    assert list_tree(os.path.join(tracker.runs_dir, "0", "r")) == files


def test_module_functions_delete_and_restore_in_their_experiment(runs_dir: str) -> None:
    mini_mlflow.set_runs_dir(runs_dir)
    mini_mlflow.set_experiment("named")
    with mini_mlflow.start_run(run_id="r"):
        pass
    mini_mlflow.delete_run("r")
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    assert tracker.list_runs() == []
    mini_mlflow.restore_run("r")
    assert tracker.list_runs() == ["r"]
    mini_mlflow.delete_run("r", experiment_id="1")
    assert [one.run_id for one in tracker.list_deleted_runs()] == ["r"]


def test_parent_goes_alone(tracker: ExperimentTracker) -> None:
    with tracker.start_run(run_id="parent"), tracker.start_run(run_id="child", nested=True):
        pass
    tracker.delete_run("parent")
    assert tracker.list_runs() == ["child"]
    assert tracker.get_run("child")["metadata"]["parent_run_id"] == "parent"


def test_last_deletion_is_listed_first_and_experiments_apart(tracker: ExperimentTracker) -> None:
    for number, run_id in ((0, "a"), (0, "b"), (7, "c")):
        with tracker.start_run(run_id=run_id, experiment_id=number):
            pass
        tracker.delete_run(run_id, number)
    assert [one.run_id for one in tracker.list_deleted_runs()] == ["c", "b", "a"]
    assert [one.run_id for one in tracker.list_deleted_runs(0)] == ["b", "a"]
    assert [one.run_id for one in tracker.list_deleted_runs("7")] == ["c"]
    assert tracker.list_deleted_runs(8) == []


def test_deletion_is_refused_twice_and_restoring_what_is_not_deleted(tracker: ExperimentTracker, run: Run) -> None:
    before = list_tree(tracker.runs_dir)
    for call in (lambda: tracker.restore_run("r"), lambda: tracker.restore_run("x"), lambda: tracker.delete_run("x")):
        with pytest.raises(RunNotFoundError):
            call()
    assert list_tree(tracker.runs_dir) == before
    tracker.delete_run("r")
    with pytest.raises(RunNotFoundError, match="restore_run"):
        tracker.delete_run("r")
    with pytest.raises(RunNotFoundError, match="list_deleted_runs"):
        tracker.restore_run("s")
    with pytest.raises(mini_mlflow.InvalidKeyError):
        tracker.delete_run("../r")


def test_nothing_is_made_where_there_is_no_tree(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert tracker.list_deleted_runs() == []
    assert tracker.gc() == []
    for call in (tracker.delete_run, tracker.restore_run):
        with pytest.raises(RunNotFoundError):
            call("r")
    assert not os.path.lexists(runs_dir)


def test_damaged_run_can_be_deleted_and_an_empty_folder_cannot(tracker: ExperimentTracker, run: Run) -> None:
    run.end()
    folder = Path(tracker.runs_dir, "0")
    (folder / "empty").mkdir()
    with pytest.raises(RunNotFoundError):
        tracker.delete_run("empty")
    (folder / "r" / "snapshot.json").unlink()
    (folder / "r" / "meta.yaml").write_text("{")
    tracker.delete_run("r")
    (deleted,) = tracker.list_deleted_runs()
    assert (deleted.run_id, deleted.name) == ("r", None)
    assert tracker.gc() == ["r"]
    (folder / "empty").rmdir()


@pytest.mark.damaged_tree
def test_link_in_the_way_is_not_followed(tracker: ExperimentTracker, run: Run, tmp_path: Path) -> None:
    run.end()
    away = tmp_path / "away"
    away.mkdir()
    os.symlink(str(away), os.path.join(tracker.runs_dir, ".trash"))
    with pytest.raises(OutsideTreeError):
        tracker.delete_run("r")
    assert list(away.iterdir()) == []
    assert tracker.list_runs() == ["r"]
    os.unlink(os.path.join(tracker.runs_dir, ".trash"))
    os.rename(os.path.join(tracker.runs_dir, "0", "r"), str(away / "r"))
    os.symlink(str(away / "r"), os.path.join(tracker.runs_dir, "0", "r"))
    with pytest.raises(OutsideTreeError):
        tracker.delete_run("r")
    assert sorted(path.name for path in (away / "r").iterdir()) == ["meta.yaml", "metrics", "params", "snapshot.json"]


# -- who has it open -----------------------------------------------------------------------------------------------

CALLS: Dict[str, Callable[[Run], Any]] = {
    "old param": lambda run: run.log_param("lr", 1),
    "new param": lambda run: run.log_param("new", 1),
    "several params": lambda run: run.log_params({"lr": 3, "other": 4}),
    "old metric": lambda run: run.log_metric("loss", 1.0),
    "new metric": lambda run: run.log_metric("new", 1.0),
    "first tag": lambda run: run.set_tag("t", "u"),
    "flush": lambda run: run.flush(),
    "end": lambda run: run.end(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("known", [True, False], ids=["logged", "fresh"])
def test_open_run_that_is_deleted_refuses_each_call_stores_nothing_and_goes_on_once_restored(
    known: bool, call: str, tracker: ExperimentTracker, runs_dir: str
) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    if known:
        run.log_params({"lr": 0.1})
        run.log_metric("loss", 0.5)
    before = read_stored(runs_dir)
    assert before is not None
    # Deleted by another object, as another process would.
    tracker.delete_run("r")
    for _ in range(2):
        files = list_tree(runs_dir)
        with pytest.raises(RunDeletedError, match=r"has been deleted; restore_run\('r'\)") as caught:
            CALLS[call](run)
        assert isinstance(caught.value, (RunEndedError, LookupError))
        assert list_tree(runs_dir) == files
    tracker.restore_run("r")
    assert read_stored(runs_dir) == before
    log_later_value(run)
    run.end()
    assert read_stored(runs_dir) == with_later_value(before)


@pytest.mark.parametrize("call", ["several params", "old metric"])
def test_call_after_a_deletion_and_a_restoration_in_between_is_stored(
    call: str, tracker: ExperimentTracker, run: Run
) -> None:
    tracker.delete_run("r")
    tracker.restore_run("r")
    CALLS[call](run)
    stored = read_stored(tracker.runs_dir)
    assert stored is not None
    assert stored.params.get("other", 4) == 4
    assert len(stored.histories["loss"]) == (3 if call == "old metric" else 2)
    run.end()


def delete_and_restore(runs_dir: str, log: bool) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    tracker.delete_run("r")
    tracker.restore_run("r")
    if log:
        other = Run(run_id="r", runs_dir=runs_dir)
        for value in range(10):
            other.log_metric("loss", float(value))
        other.flush()
        tracker.delete_run("r")
        tracker.restore_run("r")


@needs_fork
@pytest.mark.parametrize("log", [False, True], ids=["as-it-was", "grown"])
def test_other_process_may_delete_restore_and_log_between_two_calls(
    log: bool, tracker: ExperimentTracker, run: Run
) -> None:
    with Children("fork") as children:
        children.start(delete_and_restore, tracker.runs_dir, log)
    run.log_metric("loss", 0.0625)
    points = [point.value for point in tracker.get_metric_history("r", "loss")]
    assert points == [0.5, 0.125, *(float(value) for value in range(10 if log else 0)), 0.0625]
    run.end()


def test_deleted_run_is_not_active_for_the_next_start(tracker: ExperimentTracker) -> None:
    first = tracker.start_run(run_id="first")
    tracker.delete_run("first")
    with pytest.raises(RunDeletedError):
        mini_mlflow.log_metric("loss", 1.0)
    second = tracker.start_run(run_id="second")
    assert tracker.active_run() is second
    assert second.parent_run_id is None
    tracker.end_run()
    assert tracker.active_run() is None
    tracker.restore_run("first")
    first.log_metric("loss", 1.0)
    first.end()


def test_block_whose_run_is_deleted_inside_is_left_in_peace(tracker: ExperimentTracker) -> None:
    with tracker as run:
        tracker.delete_run(run.run_id)
    assert [one.status for one in tracker.list_deleted_runs()] == ["RUNNING"]
    with pytest.raises(KeyError, match="mine"), tracker as run:
        tracker.delete_run(run.run_id)
        raise KeyError("mine")


def test_id_that_lies_in_the_trash_is_not_started_anew(tracker: ExperimentTracker, run: Run) -> None:
    packed = pickle.dumps(run)
    run.end()
    tracker.delete_run("r")
    files = list_tree(tracker.runs_dir)
    starts: List[Callable[[], Any]] = [
        lambda: tracker.start_run(run_id="r"),
        lambda: Run(run_id="r", runs_dir=tracker.runs_dir),
        lambda: pickle.loads(packed).log_param("lr", 1),
    ]
    for start in starts:
        with pytest.raises(RunDeletedError, match=r"restore_run.*gc\(\)"):
            start()
    assert tracker.active_run() is None
    assert list_tree(tracker.runs_dir) == files
    assert tracker.gc() == ["r"]
    with tracker.start_run(run_id="r") as anew:
        anew.log_metric("loss", 7.0)
    assert tracker.get_run("r")["metrics"] == {"loss": 7.0}
    assert tracker.get_run("r")["params"] == {}


def test_run_of_that_id_in_the_way_is_kept_and_so_is_the_one_that_was_to_move(
    tracker: ExperimentTracker, run: Run, runs_dir: str
) -> None:
    """Two runs of one id: somebody copied a folder; no call of ours makes them."""
    run.end()
    tracker.delete_run("r")
    os.rename(trashed(runs_dir), trashed(runs_dir, "s"))
    with tracker.start_run(run_id="r"):
        pass
    os.rename(trashed(runs_dir, "s"), trashed(runs_dir))
    files = list_tree(runs_dir)
    for call in (tracker.restore_run, tracker.delete_run):
        with pytest.raises(RunExistsError) as caught:
            call("r")
        assert isinstance(caught.value, FileExistsError)
    assert list_tree(runs_dir) == files
    assert {finding.rule for finding in verify(runs_dir)} == {"deleted-twice"}
    assert tracker.gc() == ["r"]


def test_lock_that_is_held_refuses_in_time(runs_dir: str, run: Run) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    lock = KeptLock(RunPaths.of(RunAddress(runs_dir, 0, "r")).run_lock)
    run.end()
    assert lock.try_acquire()
    with pytest.raises(LockTimeout):
        tracker.delete_run("r")
    lock.close()
    assert tracker.list_runs() == ["r"]
    tracker.delete_run("r")


# -- the end of the process ----------------------------------------------------------------------------------------

LEAVE = """
import sys
from mini_mlflow import ExperimentTracker
tracker = ExperimentTracker(runs_dir=sys.argv[1])
run = tracker.start_run(run_id="r")
run.log_metric("loss", 0.5)
tracker.delete_run("r")
if sys.argv[2] == "gc":
    assert tracker.gc() == ["r"]
elif sys.argv[2] == "restore":
    tracker.restore_run("r")
"""


@pytest.mark.parametrize("then", ["leave", "gc", "restore"])
def test_owner_of_a_deleted_run_leaves_in_silence(then: str, tracker: ExperimentTracker, tmp_path: Path) -> None:
    script = tmp_path / "leave.py"
    script.write_text(LEAVE)
    done = run_python(script, tracker.runs_dir, then)
    assert (done.stdout, done.stderr) == ("", "")
    stored = read_stored(tracker.runs_dir)
    told = {"leave": "DELETED", "restore": "FINISHED", "gc": None}[then]
    assert (stored and stored.status) == told
    if then == "leave":
        tracker.restore_run("r")
        assert tracker.get_run("r")["metadata"]["status"] == "CRASHED"
        tracker.delete_run("r")


# -- threads and processes -----------------------------------------------------------------------------------------


def test_threads_that_log_to_a_run_that_is_deleted_and_restored_lose_and_double_nothing(
    tracker: ExperimentTracker, runs_dir: str
) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    stored: Dict[int, List[float]] = {0: [], 1: []}
    over = threading.Event()

    def log(number: int) -> None:
        value = 0
        while not over.is_set() or value < 20:
            try:
                run.log_metric("loss-%d" % number, float(value))
                stored[number].append(float(value))
            except RunDeletedError:
                pass
            value += 1

    def trash() -> None:
        try:
            for _ in range(25):
                tracker.delete_run("r")
                tracker.restore_run("r")
        finally:
            over.set()

    run_together(lambda: log(0), lambda: log(1), trash)
    run.end()
    for number, values in stored.items():
        assert [point.value for point in tracker.get_metric_history("r", "loss-%d" % number)] == values


def delete_once(runs_dir: str, barrier: Any, told: Any) -> None:
    barrier.wait(30)
    try:
        ExperimentTracker(runs_dir=runs_dir).delete_run("r")
        told.put("deleted")
    except RunNotFoundError:
        told.put("not found")


@needs_fork
def test_of_processes_that_delete_one_run_at_once_one_does(tracker: ExperimentTracker, run: Run) -> None:
    run.end()
    with Children("fork") as children:
        barrier, told = children.context.Barrier(3), children.context.Queue()
        for _ in range(3):
            children.start(delete_once, tracker.runs_dir, barrier, told)
        answers = sorted(told.get(timeout=30) for _ in range(3))
    assert answers == ["deleted", "not found", "not found"]
    assert len(tracker.list_deleted_runs()) == 1
