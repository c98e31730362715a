"""gc: what has lain in the trash for long enough is gone for good, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, List

import pytest

from concurrency import run_together
from faults import call_before, fail, install, list_temporaries
from mini_mlflow import ExperimentTracker, LockTimeout, Run, RunNotFoundError, TreeBusyError
from mini_mlflow.disk.layout import GC_LOCK
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import Settings
from mini_mlflow.reading import trash as reading_trash
from mini_mlflow.upkeep import verify
from mini_mlflow.writing import trash as writing_trash
from mini_mlflow.writing import tree_lock
from tree_check import list_tree


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


def make_deleted(tracker: ExperimentTracker, *run_ids: str) -> None:
    for run_id in run_ids:
        with tracker.start_run(run_id=run_id) as run:
            run.log_metrics({"loss": 1.0, "acc": 2.0})
        tracker.delete_run(run_id)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The time now, in a list of one: what gc takes it for."""
    import time

    now = [time.time()]
    monkeypatch.setattr(reading_trash.time, "time", lambda: now[0])
    return now


def trash_of(tracker: ExperimentTracker) -> List[str]:
    return sorted(one.run_id for one in tracker.list_deleted_runs())


def test_all_of_the_trash_goes_oldest_deletion_first_and_lock_files_stay(tracker: ExperimentTracker) -> None:
    make_deleted(tracker, "b", "a", "c")
    with tracker.start_run(run_id="kept"):
        pass
    locks = sorted(os.listdir(os.path.join(tracker.runs_dir, ".locks", "0")))
    assert tracker.gc() == ["b", "a", "c"]
    assert os.listdir(os.path.join(tracker.runs_dir, ".trash", "0")) == []
    assert tracker.list_runs() == ["kept"]
    assert sorted(os.listdir(os.path.join(tracker.runs_dir, ".locks", "0"))) == locks
    assert tracker.gc() == []
    assert verify(tracker.runs_dir) == []
    with pytest.raises(RunNotFoundError):
        tracker.restore_run("b")


def test_age_counts_from_the_deletion(tracker: ExperimentTracker, clock: List[float]) -> None:
    make_deleted(tracker, "old")
    clock[0] += 60.0
    assert tracker.gc(older_than_s=61.0) == []
    assert tracker.gc(older_than_s=59.0, dry_run=True) == ["old"]
    # Deleted once more: the time counts from then.
    tracker.restore_run("old")
    tracker.delete_run("old")
    clock[0] -= 60.0
    assert tracker.gc(older_than_s=59) == []
    # The clock has gone back: what was deleted in the future has lain there for no time.
    clock[0] -= 3600.0
    assert tracker.gc(older_than_s=1.0) == []
    assert tracker.gc() == ["old"]


def test_dry_run_tells_the_same_and_changes_nothing(tracker: ExperimentTracker) -> None:
    make_deleted(tracker, "a", "b")
    files = list_tree(tracker.runs_dir)
    assert tracker.gc(dry_run=True) == ["a", "b"]
    assert list_tree(tracker.runs_dir) == files
    assert tracker.gc() == ["a", "b"]


def test_one_experiment_alone(tracker: ExperimentTracker) -> None:
    make_deleted(tracker, "a")
    with tracker.start_run(run_id="b", experiment_id=3):
        pass
    tracker.delete_run("b", 3)
    assert tracker.gc(experiment_id=3) == ["b"]
    assert trash_of(tracker) == ["a"]


@pytest.mark.parametrize(
    ("seconds", "error"), [("1", TypeError), (True, TypeError), (-1, ValueError), (float("nan"), ValueError)]
)
def test_bad_age_is_refused(seconds: Any, error: Any, tracker: ExperimentTracker) -> None:
    make_deleted(tracker, "a")
    with pytest.raises(error, match="older_than_s"):
        tracker.gc(older_than_s=seconds)
    assert trash_of(tracker) == ["a"]


@pytest.mark.leaves("deletion-time")
@pytest.mark.parametrize("left", [None, b"", b'{"deleted_at": 7}'])
def test_without_a_readable_time_the_folders_own_stands_in(
    left: Any, tracker: ExperimentTracker, clock: List[float]
) -> None:
    make_deleted(tracker, "a")
    mark = Path(tracker.runs_dir, ".trash", "0", "a", "deleted.json")
    mark.unlink()
    if left is not None:
        mark.write_bytes(left)
    (deleted,) = tracker.list_deleted_runs()
    assert (deleted.run_id, deleted.deleted_at) == ("a", None)
    clock[0] += 100.0
    assert tracker.gc(older_than_s=1000.0) == []
    assert tracker.gc(older_than_s=50.0) == ["a"]


def test_run_that_was_restored_since_it_was_listed_is_left_alone_also_if_deleted_anew(
    tracker: ExperimentTracker,
) -> None:
    make_deleted(tracker, "a", "b", "c")
    due = list(reversed(tracker.list_deleted_runs()))
    tracker.restore_run("a")
    tracker.restore_run("b")
    tracker.delete_run("b")
    assert writing_trash.gc(tracker.runs_dir, due, Settings()) == ["c"]
    assert (tracker.list_runs(), trash_of(tracker)) == (["a"], ["b"])


def test_links_are_removed_and_not_followed(tracker: ExperimentTracker, tmp_path: Path) -> None:
    make_deleted(tracker, "a")
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text("mine")
    folder = Path(tracker.runs_dir, ".trash", "0", "a")
    os.symlink(str(outside), str(folder / "folder"))
    os.symlink(str(outside / "deep" / "file"), str(folder / "params"))
    os.symlink(str(outside), str(folder.parent / "b"))
    assert tracker.gc() == ["a"]
    assert (outside / "deep" / "file").read_text() == "mine"
    assert not folder.exists()
    os.unlink(str(folder.parent / "b"))


def test_what_a_killed_or_hindered_gc_left_is_removed_by_the_next(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deleted(tracker, "a")
    disk = install(monkeypatch)
    # From its first unlink on, nothing of the run can be removed.
    with disk.armed(refuse_removal, 1, lasting=True):
        assert tracker.gc() == ["a"]
    assert trash_of(tracker) == []
    assert len(list_temporaries(tracker.runs_dir)) == 1
    assert {(finding.rule, finding.severity) for finding in verify(tracker.runs_dir)} == {("remains", "leftover")}
    assert tracker.gc() == []
    assert list_temporaries(tracker.runs_dir) == []


def refuse_removal(step: Any) -> Any:
    return fail(errno.EACCES)(step) if step.name in ("unlink", "rmdir") else step.carry_out()


def test_gc_that_meets_a_held_lock_has_removed_what_came_before_and_leaves_the_rest(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    make_deleted(tracker, "a", "b", "c")
    lock = KeptLock(os.path.join(runs_dir, ".locks", "0", "b.lock"))
    assert lock.try_acquire()
    with pytest.raises(LockTimeout):
        tracker.gc()
    assert trash_of(tracker) == ["b", "c"]
    lock.close()
    assert tracker.gc() == ["b", "c"]


def test_two_gcs_at_once_remove_each_run_once(tracker: ExperimentTracker) -> None:
    make_deleted(tracker, *"abcdef")
    removed = run_together(tracker.gc, tracker.gc)
    assert sorted(removed[0] + removed[1]) == list("abcdef")


def test_gc_waits_for_another_process_and_gives_up_in_time(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    make_deleted(tracker, "a")
    lock = KeptLock(os.path.join(os.path.realpath(runs_dir), ".locks", GC_LOCK))
    assert lock.try_acquire()
    with pytest.raises(LockTimeout, match=r"gc\.lock"):
        tracker.gc()
    lock.close()
    assert tracker.gc() == ["a"]


def test_signal_handler_in_the_middle_of_a_gc_is_told_to_come_later(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deleted(tracker, "a", "b")
    disk = install(monkeypatch)
    told: List[BaseException] = []

    def handler() -> None:
        try:
            tracker.gc()
        except TreeBusyError as error:
            told.append(error)

    # Its first steps open the lock; by the twelfth it holds it.
    with disk.armed(call_before(handler), 12):
        assert tracker.gc() == ["a", "b"]
    assert len(told) == 1
    assert trash_of(tracker) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_forked_beside_a_gc_does_not_keep_its_lock(tracker: ExperimentTracker) -> None:
    make_deleted(tracker, "a")
    with tree_lock.held(tracker.runs_dir, GC_LOCK, 1.0):
        # This very thread forks here, as a signal handler might: the child has a turn of its own.
        child = os.fork()
        if child == 0:
            os._exit(0 if not tree_lock._turn._is_owned() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tracker.gc() == ["a"]


def test_owner_that_logs_after_a_gc_is_refused_and_makes_nothing(tracker: ExperimentTracker, runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_metric("loss", 1.0)
    tracker.delete_run("r")
    assert tracker.gc() == ["r"]
    files = list_tree(runs_dir)
    for call in (lambda: run.log_metric("loss", 2.0), lambda: run.log_param("lr", 1), run.flush, run.end):
        with pytest.raises(FileNotFoundError):
            call()
    assert list_tree(runs_dir) == files
    assert stat.S_ISDIR(os.lstat(os.path.join(runs_dir, "0")).st_mode)
