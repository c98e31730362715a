"""Experiments that are renamed, tagged, deleted and restored: whole at every moment, and exact among many processes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import pytest

import mini_mlflow
from concurrency import Children, in_child, run_together
from faults import MOST_STEPS, FaultyOs, call_before, fail, install, list_temporaries
from mini_mlflow import (
    DamagedFileError,
    Experiment,
    ExperimentDeletedError,
    ExperimentExistsError,
    ExperimentNotFoundError,
    ExperimentTracker,
    InvalidValueError,
    LockTimeout,
    Run,
    RunDeletedError,
    RunNotFoundError,
    TreeBusyError,
)
from mini_mlflow.disk.layout import GC_LOCK, TREE_LOCK
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import Settings
from mini_mlflow.upkeep import repair, verify
from mini_mlflow.writing import experiment_files, experiment_trash
from mini_mlflow.writing.experiments import create_unless_found, update_experiment
from tree_check import list_tree

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


def make_runs(tracker: ExperimentTracker, experiment_id: int, *run_ids: str) -> None:
    for run_id in run_ids:
        with tracker.start_run(run_id=run_id, experiment_id=experiment_id) as run:
            run.log_metric("loss", 1.0)


def deleted_runs(tracker: ExperimentTracker) -> Set[Any]:
    return {(one.experiment_id, one.run_id) for one in tracker.list_deleted_runs()}


def stages(tracker: ExperimentTracker) -> Dict[Any, str]:
    return {one.name: one.lifecycle_stage for one in tracker.search_experiments(lifecycle_stage="all")}


# -- names and tags ------------------------------------------------------------------------------------------------


def test_renamed_experiment_is_found_by_its_new_name_alone(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a", {"team": "x"})
    before = tracker.get_experiment(number)
    tracker.rename_experiment(str(number), "größe")
    after = tracker.get_experiment(number)
    assert after == before._replace(name="größe", last_update_time=after.last_update_time)
    assert (after.last_update_time or "") > (before.creation_time or "")
    assert tracker.get_experiment_by_name("a") is None
    assert tracker.get_experiment_by_name("größe") == after
    assert tracker.create_experiment("a") == 2
    tracker.rename_experiment(number, "größe")
    assert tracker.get_experiment(number) == after


def test_name_of_another_one_is_refused_also_of_a_deleted_one(tracker: ExperimentTracker) -> None:
    for name in ("a", "b", "gone"):
        tracker.create_experiment(name)
    tracker.delete_experiment(3)
    files = list_tree(tracker.runs_dir)
    for name in ("a", "Default", "gone"):
        with pytest.raises(ExperimentExistsError, match="restore_experiment" if name == "gone" else "exists already"):
            tracker.rename_experiment(2, name)
    with pytest.raises(ExperimentExistsError, match=r"is deleted: restore_experiment\(3\)"):
        tracker.create_experiment("gone")
    with pytest.raises(InvalidValueError):
        tracker.rename_experiment(2, "")
    with pytest.raises(ExperimentNotFoundError):
        tracker.rename_experiment(7, "c")
    assert list_tree(tracker.runs_dir) == files


def test_experiment_without_a_name_gets_one_and_default_may_have_another(tracker: ExperimentTracker) -> None:
    make_runs(tracker, 5, "r")
    tracker.set_experiment_tag(5, "team", "a")
    tagged = tracker.get_experiment(5)
    assert (tagged.name, tagged.tags, tagged.creation_time) == (None, {"team": "a"}, None)
    tracker.rename_experiment(5, "five")
    named = tracker.get_experiment(5)
    assert (named.name, named.tags) == ("five", {"team": "a"})
    assert named.creation_time is not None
    tracker.rename_experiment(0, "zero")
    assert tracker.get_experiment_by_name("Default") is None
    tracker.set_experiment_tags(0, {"deep": {"nan": [float("inf")]}})
    assert tracker.get_experiment(0)[:3] == (0, "zero", {"deep": {"nan": [float("inf")]}})
    assert verify(tracker.runs_dir) == []


def test_tags_are_added_replaced_and_deleted(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a", {"old": 1, "kept": 2})
    tracker.set_experiment_tags(number, {"old": "new", "more": None})
    tracker.delete_experiment_tag(number, "more")
    tracker.delete_experiment_tag(number, "never there")
    assert tracker.get_experiment(number).tags == {"old": "new", "kept": 2}
    for wrong in ({"a/b": 1}, {"a": object()}, ["a"]):
        with pytest.raises((ValueError, TypeError)):
            tracker.set_experiment_tags(number, wrong)  # type: ignore[arg-type]
    assert tracker.get_experiment(number).tags == {"old": "new", "kept": 2}


def test_module_functions_do_the_same(runs_dir: str) -> None:
    mini_mlflow.set_runs_dir(runs_dir)
    number = mini_mlflow.create_experiment("a")
    mini_mlflow.rename_experiment(number, "b")
    mini_mlflow.set_experiment_tag(number, "x", 1)
    mini_mlflow.set_experiment_tags(number, {"y": 2})
    mini_mlflow.delete_experiment_tag(number, "x")
    mini_mlflow.delete_experiment(number)
    (deleted,) = mini_mlflow.search_experiments(lifecycle_stage="deleted")
    assert (deleted.name, deleted.tags) == ("b", {"y": 2})
    mini_mlflow.restore_experiment(number)
    assert [one.name for one in mini_mlflow.search_experiments()] == ["Default", "b"]


def test_layers_above_may_change_anything_at_once(tracker: ExperimentTracker) -> None:
    """What the public API has no name for: an artifact location, keys with slashes."""
    made = create_unless_found(tracker.runs_dir, "a", {"x/y": "z"}, lambda: None, Settings(), "file:///elsewhere/1")
    assert tracker.get_experiment(1) == made
    assert made.artifact_location == "file:///elsewhere/1"

    def change(one: Experiment) -> Experiment:
        return one._replace(lifecycle_stage="deleted", tags={**one.tags, "a/b": "c"}, last_update_time="2026-01-01")

    changed = update_experiment(tracker.runs_dir, 1, change, Settings())
    assert tracker.get_experiment(1) == changed == change(made)
    with pytest.raises(ZeroDivisionError):
        update_experiment(tracker.runs_dir, 1, lambda one: one._replace(experiment_id=1 // 0), Settings())
    assert tracker.get_experiment(1) == changed


def test_file_of_an_earlier_tree_reads_as_before(tracker: ExperimentTracker) -> None:
    tracker.create_experiment("a", {"b": 1})
    path = Path(tracker.runs_dir, "1", "experiment.yaml")
    written = path.read_text()
    # What earlier versions wrote, and still is.
    assert [line.partition(":")[0] for line in written.splitlines()] == [
        "name", "experiment_id", "creation_time", "tags", "format",
    ]  # fmt: skip
    assert tracker.get_experiment(1)[4:] == (None, "active", None)


# -- deleting and restoring ----------------------------------------------------------------------------------------


def test_deleted_experiment_takes_its_runs_along_and_brings_them_back(tracker: ExperimentTracker) -> None:
    number = tracker.set_experiment("a").experiment_id
    make_runs(tracker, number, "r1", "r2", "r3")
    make_runs(tracker, 0, "other")
    tracker.delete_run("r3")
    run = tracker.get_run("r1")
    tracker.delete_experiment(number)
    assert stages(tracker) == {"Default": "active", "a": "deleted"}
    found = tracker.get_experiment_by_name("a")
    assert found is not None
    assert found.lifecycle_stage == "deleted"
    assert tracker.get_experiment(number) == found
    assert [one.name for one in tracker.search_experiments()] == ["Default"]
    assert tracker.list_runs() == []
    assert tracker.search_runs(search_all_experiments=True)[0].run_id == "other"
    assert deleted_runs(tracker) == {(1, "r1"), (1, "r2"), (1, "r3")}
    assert sorted(os.listdir(os.path.join(tracker.runs_dir, ".trash", "1"))) == ["r1", "r2", "r3"]
    with pytest.raises(RunNotFoundError, match=r"restore_experiment\(1\)"):
        tracker.get_run("r1")
    tracker.restore_experiment(number)
    assert sorted(tracker.list_runs()) == ["r1", "r2", "r3"]
    assert tracker.get_run("r1") == run
    assert deleted_runs(tracker) == set()
    assert tracker.get_experiment(number).lifecycle_stage == "active"


def test_what_is_deleted_takes_no_runs_and_no_changes(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    make_runs(tracker, number, "r")
    tracker.delete_experiment(number)
    files = list_tree(tracker.runs_dir)
    calls: List[Any] = [
        lambda: tracker.start_run(experiment_id=number),
        lambda: tracker.start_run(run_id="r", experiment_id=number),
        lambda: Run(run_id="new", experiment_id=number, runs_dir=tracker.runs_dir),
        lambda: tracker.restore_run("r", number),
        lambda: tracker.set_experiment("a"),
        lambda: tracker.set_experiment(experiment_id=number),
        lambda: tracker.rename_experiment(number, "b"),
        lambda: tracker.set_experiment_tag(number, "a", 1),
        lambda: tracker.delete_experiment_tag(number, "a"),
    ]
    for call in calls:
        with pytest.raises(ExperimentDeletedError, match=r"restore_experiment\(1\)"):
            call()
    assert tracker.experiment_id == 0
    assert tracker.active_run() is None
    after = {path: data for path, data in list_tree(tracker.runs_dir).items() if ".locks" not in path}
    assert after == {path: data for path, data in files.items() if ".locks" not in path}


def test_default_cannot_be_deleted_and_nothing_that_is_not_there(tracker: ExperimentTracker) -> None:
    with pytest.raises(ValueError, match="cannot be deleted"):
        tracker.delete_experiment(0)
    for call in (tracker.delete_experiment, tracker.restore_experiment):
        with pytest.raises(ExperimentNotFoundError):
            call(4)
    assert not os.path.lexists(tracker.runs_dir)
    number = tracker.create_experiment("a")
    with pytest.raises(ExperimentNotFoundError, match="it is active"):
        tracker.restore_experiment(number)
    with pytest.raises(InvalidValueError, match="lifecycle_stage"):
        tracker.search_experiments(lifecycle_stage="gone")


def test_live_run_of_a_deleted_experiment_refuses_and_goes_on_once_it_is_restored(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    run = Run(run_id="r", experiment_id=number, runs_dir=tracker.runs_dir)
    run.log_metric("loss", 1.0)
    tracker.delete_experiment(number)
    with pytest.raises(RunDeletedError, match=r"restore_experiment\(1\)"):
        run.log_metric("loss", 2.0)
    tracker.restore_experiment(number)
    run.log_metric("loss", 3.0)
    run.end()
    assert [point.value for point in tracker.get_metric_history("r", "loss", number)] == [1.0, 3.0]


def test_run_whose_lock_is_held_is_deleted_where_it_stands_and_the_same_call_moves_it(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    number = tracker.create_experiment("a")
    make_runs(tracker, number, "r1", "r2", "r3")
    lock = KeptLock(os.path.join(runs_dir, ".locks", "1", "r2.lock"))
    assert lock.try_acquire()
    tracker.delete_experiment(number)
    assert os.path.isdir(os.path.join(runs_dir, "1", "r2"))
    assert tracker.list_runs(number) == []
    assert tracker.search_runs(experiment_ids=[number]) == []
    assert deleted_runs(tracker) == {(1, "r1"), (1, "r2"), (1, "r3")}
    calls: List[Any] = [
        lambda: tracker.get_run("r2", number),
        lambda: tracker.get_metric_history("r2", "loss", number),
        lambda: tracker.list_artifacts("r2", experiment_id=number),
        lambda: tracker.compare(["r2", "r1"]),
    ]
    for call in calls:
        with pytest.raises(RunNotFoundError):
            call()
    lock.close()
    with pytest.raises(ExperimentDeletedError):
        tracker.start_run(run_id="r2", experiment_id=number)
    (finding,) = verify(runs_dir)
    assert (finding.rule, finding.severity) == ("experiment-half-deleted", "leftover")
    tracker.delete_experiment(number)
    assert verify(runs_dir) == []
    assert os.listdir(os.path.join(runs_dir, "1")) == ["experiment.yaml"]
    tracker.restore_experiment(number)
    assert sorted(tracker.list_runs(number)) == ["r1", "r2", "r3"]


def leave_half_deleted(tracker: ExperimentTracker) -> int:
    """An experiment that is marked, of whose runs one still stands."""
    number = tracker.create_experiment("half")
    make_runs(tracker, number, "gone", "stands")
    tracker.delete_run("gone", number)
    update_experiment(
        tracker.runs_dir,
        number,
        lambda one: one._replace(lifecycle_stage="deleted", last_update_time="2026-01-01T00:00:00Z"),
        Settings(),
    )
    return number


@pytest.mark.parametrize("by", ["repeat", "repair", "gc", "restore"])
def test_deletion_that_was_cut_short_is_finished(by: str, tracker: ExperimentTracker) -> None:
    number = leave_half_deleted(tracker)
    assert deleted_runs(tracker) == {(number, "gone"), (number, "stands")}
    assert tracker.list_deleted_runs(number)[-1].deleted_at == "2026-01-01T00:00:00Z"
    if by == "restore":
        tracker.restore_experiment(number)
        assert sorted(tracker.list_runs(number)) == ["gone", "stands"]
    elif by == "gc":
        assert sorted(tracker.gc(dry_run=True)) == sorted(tracker.gc()) == ["gone", "stands"]
        assert tracker.search_experiments(lifecycle_stage="deleted") == []
    else:
        if by == "repair":
            (made,) = repair(tracker.runs_dir)
            assert (made.finding.rule, made.done) == ("experiment-half-deleted", True)
        else:
            tracker.delete_experiment(number)
        assert sorted(os.listdir(os.path.join(tracker.runs_dir, ".trash", str(number)))) == ["gone", "stands"]
    assert verify(tracker.runs_dir) == []


@needs_fork
def test_run_that_is_started_while_its_experiment_is_deleted_is_taken_back(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes it at any step of the start: no run is left standing, and none is lost that was told."""
    runs: List[Run] = []

    def start(tracker: ExperimentTracker) -> None:
        runs.append(Run(run_id="r", experiment_id=1, runs_dir=tracker.runs_dir, lock_timeout_s=0.05))

    disk = install(monkeypatch)
    steps = []
    for tracker, struck, error in act_while_deleting(disk, folder, lambda tracker: None, start):
        assert (error is not None) == (struck is not None), struck
        assert error is None or not os.path.exists(os.path.join(tracker.runs_dir, "1", "r")), struck
        steps.append(struck)
    assert len(steps) > 4
    (run,) = runs
    run.end()


@needs_fork
def test_run_that_is_restored_while_its_experiment_is_deleted_is_put_back(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    def delete_run(tracker: ExperimentTracker) -> None:
        make_runs(tracker, 1, "r")
        tracker.delete_run("r", 1)

    disk = install(monkeypatch)
    refused = []
    for tracker, struck, error in act_while_deleting(
        disk, folder, delete_run, lambda tracker: tracker.restore_run("r", 1)
    ):
        if error is not None:
            refused.append(struck)
            assert os.path.isdir(os.path.join(tracker.runs_dir, ".trash", "1", "r")), struck
            assert verify(tracker.runs_dir) == []
        if struck is not None:
            assert deleted_runs(tracker) == {(1, "r")}
    # Also when the run had found its experiment active, and was about to be moved.
    assert "replace" in refused


def act_while_deleting(
    disk: FaultyOs,
    folder: str,
    prepare: Callable[[ExperimentTracker], Any],
    act: Callable[[ExperimentTracker], Any],
) -> Iterator[Tuple[ExperimentTracker, Optional[str], Optional[ExperimentDeletedError]]]:
    """For each step of ``act`` before which another process deletes experiment 1: tree, step, what was raised.

    The last one is of an ``act`` that nobody disturbed; its step is None.
    """
    for at in range(1, MOST_STEPS):
        tracker = ExperimentTracker(runs_dir=os.path.join(folder, str(at)), lock_timeout_s=0.05)
        assert tracker.create_experiment("a") == 1
        prepare(tracker)
        error = None
        with disk.armed(call_before(lambda tracker=tracker: in_child(lambda: tracker.delete_experiment(1))), at):
            try:
                act(tracker)
            except ExperimentDeletedError as raised:
                error = raised
        struck = disk.struck
        yield tracker, None if struck is None else struck.name, error
        if struck is None:
            break


# -- several at once -----------------------------------------------------------------------------------------------


def make_and_rename(runs_dir: str, number: int, barrier: Any, told: Any) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    barrier.wait(60)
    own = tracker.create_experiment("own-%d" % number)
    tracker.set_experiment_tag(0, "t%d" % number, number)
    try:
        tracker.rename_experiment(own, "the one")
        told.put((own, "the one"))
    except ExperimentExistsError:
        tracker.rename_experiment(own, "renamed-%d" % number)
        told.put((own, "renamed-%d" % number))


@needs_fork
def test_fifty_processes_that_make_tag_and_rename_at_once_lose_nothing(tracker: ExperimentTracker) -> None:
    number = 50
    with Children("fork") as children:
        barrier, told = children.context.Barrier(number), children.context.Queue()
        for one in range(number):
            children.start(make_and_rename, tracker.runs_dir, one, barrier, told)
        answers = dict(told.get(timeout=60) for _ in range(number))
    assert sorted(answers) == list(range(1, number + 1))
    assert list(answers.values()).count("the one") == 1
    found = {one.experiment_id: one.name for one in tracker.search_experiments()}
    assert found == {0: "Default", **answers}
    assert tracker.get_experiment(0).tags == {"t%d" % one: one for one in range(number)}


def delete_and_restore(runs_dir: str, number: int, barrier: Any) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    barrier.wait(60)

    def flip() -> None:
        for _ in range(5):
            tracker.delete_experiment(number)
            try:
                tracker.restore_experiment(number)
            except ExperimentNotFoundError:
                pass

    run_together(flip, flip)


@needs_fork
def test_deleting_and_restoring_at_once_come_one_after_the_other(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    make_runs(tracker, number, *"abcdef")
    with Children("fork") as children:
        barrier = children.context.Barrier(3)
        for _ in range(3):
            children.start(delete_and_restore, tracker.runs_dir, number, barrier)
    experiment = tracker.get_experiment(number)
    standing, trashed = len(tracker.list_runs(number)), len(tracker.list_deleted_runs(number))
    assert (standing, trashed) == ((6, 0) if experiment.lifecycle_stage == "active" else (0, 6))
    assert verify(tracker.runs_dir) == []


@pytest.mark.parametrize("name", [TREE_LOCK, GC_LOCK])
def test_lock_that_is_held_refuses_in_time_and_changes_nothing(name: str, runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    numbers = [tracker.create_experiment(text) for text in ("a", "gone")]
    tracker.delete_experiment(numbers[1])
    files = list_tree(runs_dir)
    lock = KeptLock(os.path.join(os.path.realpath(runs_dir), ".locks", name))
    assert lock.try_acquire()
    for call in (tracker.delete_experiment, tracker.restore_experiment):
        with pytest.raises(LockTimeout):
            call(numbers[call == tracker.restore_experiment])
    lock.close()
    assert list_tree(runs_dir) == files


def test_signal_handler_in_the_middle_is_told_to_come_later(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tracker.create_experiment("a")
    make_runs(tracker, number, "r")
    disk = install(monkeypatch)
    told: List[str] = []

    def handler() -> None:
        for call in (
            lambda: tracker.rename_experiment(number, "b"),
            lambda: tracker.delete_experiment(number),
            lambda: tracker.create_experiment("c"),
        ):
            try:
                call()
                told.append("done")
            except TreeBusyError:
                told.append("busy")

    with disk.armed(call_before(handler), 6):
        tracker.delete_experiment(number)
    assert told == ["busy"] * 3
    assert stages(tracker) == {"Default": "active", "a": "deleted"}


# -- gc ------------------------------------------------------------------------------------------------------------


def test_gc_removes_a_deleted_experiment_once_no_run_of_it_is_left(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mini_mlflow.reading import trash as reading_trash

    numbers = [tracker.create_experiment(name) for name in ("a", "empty", "active")]
    make_runs(tracker, numbers[0], "r")
    for number in numbers[:2]:
        tracker.delete_experiment(number)
    assert tracker.gc(older_than_s=3600.0) == []
    assert stages(tracker) == {"Default": "active", "a": "deleted", "empty": "deleted", "active": "active"}
    assert tracker.gc(dry_run=True) == ["r"]
    assert tracker.gc(experiment_id=numbers[1]) == []
    assert stages(tracker) == {"Default": "active", "a": "deleted", "active": "active"}
    import time

    late = time.time() + 3601.0
    monkeypatch.setattr(reading_trash.time, "time", lambda: late)
    assert tracker.gc(older_than_s=3600.0) == ["r"]
    assert stages(tracker) == {"Default": "active", "active": "active"}
    assert not os.path.lexists(os.path.join(tracker.runs_dir, "1"))
    assert list_temporaries(tracker.runs_dir) == []
    # The names are free, the numbers are not.
    assert tracker.create_experiment("a") == 4
    assert verify(tracker.runs_dir) == []


def test_number_of_a_removed_experiment_without_runs_is_not_given_out_again(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    tracker.delete_experiment(number)
    tracker.gc()
    assert tracker.create_experiment("a") == number + 1


def test_experiment_that_was_restored_since_it_was_found_due_is_left_alone(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    tracker.delete_experiment(number)
    due = tracker.search_experiments(lifecycle_stage="deleted")
    tracker.restore_experiment(number)
    assert experiment_trash.remove_experiments(tracker.runs_dir, due, Settings()) == []
    tracker.delete_experiment(number)
    assert experiment_trash.remove_experiments(tracker.runs_dir, due, Settings()) == []
    assert stages(tracker)["a"] == "deleted"


def test_gc_that_a_run_is_started_under_gives_the_experiment_back(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts it looked for the mark before it was there, and looks again later."""
    number = tracker.create_experiment("a")
    tracker.delete_experiment(number)
    real = experiment_trash._keep_number

    def start(*arguments: Any) -> None:
        real(*arguments)
        monkeypatch.setattr("mini_mlflow.writing.lifecycle.refuse_deleted", lambda *_: None)
        Run(run_id="r", experiment_id=number, runs_dir=tracker.runs_dir).end()

    monkeypatch.setattr(experiment_trash, "_keep_number", start)
    assert tracker.gc() == []
    assert stages(tracker)["a"] == "deleted"
    assert deleted_runs(tracker) == {(number, "r")}
    monkeypatch.setattr(experiment_trash, "_keep_number", real)
    assert tracker.gc() == ["r"]
    assert "a" not in stages(tracker)


# -- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.damaged_tree
def test_experiment_whose_file_is_torn_is_not_changed(tracker: ExperimentTracker) -> None:
    number = tracker.create_experiment("a")
    path = Path(tracker.runs_dir, "1", "experiment.yaml")
    path.write_bytes(path.read_bytes()[:20])
    for call in (
        lambda: tracker.rename_experiment(number, "b"),
        lambda: tracker.delete_experiment(number),
        lambda: tracker.restore_experiment(number),
    ):
        with pytest.raises(DamagedFileError):
            call()
    assert len(path.read_bytes()) == 20
    assert not experiment_files.is_deleted(tracker.runs_dir, number)


def test_restoring_that_fails_half_way_leaves_all_deleted_and_goes_on(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tracker.create_experiment("a")
    make_runs(tracker, number, *"abc")
    tracker.delete_experiment(number)
    disk = install(monkeypatch)
    moves: List[str] = []

    def refuse_second_move(step: Any) -> Any:
        if step.name == "replace" and os.path.isdir(str(step.arguments[0])):
            moves.append(step.arguments[0])
            if len(moves) == 2:
                return fail(errno.EIO)(step)
        return step.carry_out()

    with disk.armed(refuse_second_move, 1, lasting=True), pytest.raises(OSError, match=os.strerror(errno.EIO)):
        tracker.restore_experiment(number)
    assert tracker.list_runs(number) == []
    assert len(deleted_runs(tracker)) == 3
    tracker.restore_experiment(number)
    assert sorted(tracker.list_runs(number)) == list("abc")
