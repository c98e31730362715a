"""A forked child holds none of its parent's locks and frees none; it logs to its parent's run as any process may."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from contextlib import ExitStack
from typing import Any, Callable, List

import pytest

from concurrency import fork, reap, run_together
from faults import (
    OPERATIONS,
    FaultyOs,
    Operation,
    call_after,
    call_before,
    list_litter,
    read_stored,
    set_up,
)
from mini_mlflow import ExperimentTracker, Run, active_run
from mini_mlflow.disk.locks import is_held
from steps import follow

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# What a longer search raises.
FORKS_BESIDE_THREADS = 40


class Pause:
    """A process that says when it runs, and goes on when the test's process says so, or is gone."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._told, self._telling = os.pipe()

    def wait(self) -> None:
        """In the process that waits."""
        os.close(self._writing)
        os.write(self._telling, b"x")
        os.read(self._reading, 1)

    def until_it_runs(self) -> None:
        """In its parent, which may be killed after that."""
        os.close(self._writing)
        assert os.read(self._told, 1) == b"x"

    def over(self) -> None:
        """In the test's process."""
        for descriptor in (self._reading, self._writing, self._told, self._telling):
            os.close(descriptor)


def lock_path(root: str, suffix: str) -> str:
    return os.path.join(root, ".locks", "0", "r" + suffix)


def status_of(root: str) -> str:
    return str(ExperimentTracker(runs_dir=root).get_run("r")["metadata"]["status"])


@pytest.mark.leaves("dead-owner")
def test_child_of_a_killed_owner_does_not_keep_it_alive(runs_dir: str) -> None:
    """The owner forks, as a data loader does, and is killed; its child lives on, and readers see CRASHED at once."""
    pause = Pause()

    def own_fork_and_die() -> None:
        Run(run_id="r", runs_dir=runs_dir).log_metric("loss", 0.5)
        fork(pause.wait)
        # The child closes its copies of the locks before it does anything else.
        pause.until_it_runs()
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(reap(fork(own_fork_and_die))) == signal.SIGKILL
    try:
        assert is_held(lock_path(runs_dir, ".owner")) is False
        assert is_held(lock_path(runs_dir, ".lock")) is False
        assert status_of(runs_dir) == "CRASHED"
    finally:
        pause.over()


def test_child_does_not_free_its_parent_s_locks(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)

    def use_and_collect() -> None:
        run.log_metric("loss", 1.0)
        opened = weakref.ref(run._opened())
        run._open_run = None
        gc.collect()
        assert opened() is None

    assert reap(fork(use_and_collect)) == 0
    assert is_held(lock_path(runs_dir, ".owner")) is True
    assert status_of(runs_dir) == "RUNNING"
    run.end()
    assert is_held(lock_path(runs_dir, ".owner")) is False


def test_child_of_a_holder_cannot_enter_before_the_parent_leaves(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork in the middle of a commit (by a handler): the child waits for the lock like any other process."""
    disk = set_up(OPERATIONS[0], monkeypatch)
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_metric("loss", 0.0)
    children: List[int] = []

    def fork_a_writer() -> None:
        children.append(fork(lambda: run.log_metric("loss", 2.0)))

    with disk.armed(call_before(fork_a_writer), 4):
        run.log_metric("loss", 1.0)
    assert [reap(child) for child in children] == [0]
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert sorted(value for _, value in stored.histories["loss"]) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("moment", [call_before, call_after], ids=["before", "after"])
@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.name in ("existing metric", "log call that folds", "flush that merges")],
    ids=lambda operation: operation.name.replace(" ", "-"),
)
def test_fork_at_any_step_gives_a_child_that_logs_and_a_parent_that_goes_on(
    operation: Operation, moment: Any, runs_dir: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    """Of the steps that are taken from the same lines of the engine at the first and the last, as `steps` says."""
    disk: FaultyOs = set_up(operation, monkeypatch)
    for at in follow(operation, os.path.join(runs_dir, "whole"), disk, every_step).telling():
        root = os.path.join(runs_dir, str(at))
        children: List[int] = []
        with ExitStack() as stack:
            os.makedirs(root)
            run = operation.prepare(root, stack)
            assert run is not None

            def fork_a_writer(run: Run = run, children: List[int] = children) -> None:
                children.append(fork(lambda: run.log_metric("child", 1.0)))

            with disk.armed(moment(fork_a_writer), at):
                operation.act(root, run)
            assert [reap(child) for child in children] == [0] * len(children)
            before = read_stored(root)
            run.log_metric("parent", 1.0)
            run.end()
        if disk.struck is None:
            break
        stored = read_stored(root)
        assert stored is not None
        assert before is not None
        assert stored.histories == dict(before.histories, parent=[(0, 1.0)])
        assert stored.histories["child"] == [(0, 1.0)]
        assert list_litter(root) == []


def test_child_starts_with_no_active_run_and_may_start_its_own(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = tracker.start_run(run_id="r")

    def start_own() -> None:
        assert active_run() is None
        with tracker.start_run(run_id="own") as own:
            own.log_metric("loss", 1.0)
        run.log_metric("from child", 1.0)

    assert reap(fork(start_own)) == 0
    assert tracker.active_run() is run
    run.end()
    stored, own = read_stored(runs_dir), read_stored(runs_dir, "own")
    assert stored is not None
    assert own is not None
    assert stored.histories == {"from child": [(0, 1.0)]}
    assert (own.status, own.histories) == ("FINISHED", {"loss": [(0, 1.0)]})


def test_child_may_end_its_parent_s_run(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_metric("loss", 0.0)
    assert reap(fork(run.end)) == 0
    assert status_of(runs_dir) == "FINISHED"
    with pytest.raises(RuntimeError, match="Cannot log"):
        run.log_metric("loss", 1.0)
    assert not run.is_open()


@pytest.mark.long
def test_forks_while_threads_log_lose_nothing_and_no_child_hangs(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir, fsync="never")
    over = threading.Event()

    def log(name: str) -> int:
        count = 0
        while not over.is_set():
            run.log_metric(name, float(count))
            count += 1
        return count

    def fork_many() -> int:
        try:
            for number in range(FORKS_BESIDE_THREADS):
                assert reap(fork(lambda number=number: run.log_metric("children", float(number)))) == 0
        finally:
            over.set()
        return FORKS_BESIDE_THREADS

    forks, *counts = run_together(fork_many, lambda: log("x"), lambda: log("y"), lambda: log("z"))
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["children"] == [(number, float(number)) for number in range(forks)]
    for name, count in zip("xyz", counts):
        assert stored.histories.get(name, []) == [(step, float(step)) for step in range(count)]


# A hook cannot be taken back, so one is there for good. It runs before those that were there when it came.
_just_before_fork: List[Callable[[], Any]] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lambda: [call() for call in _just_before_fork] and None)


def test_fork_waits_for_a_commit_that_is_half_way(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread stands in the middle of its commit when the fork begins; the child is made after it."""
    disk = set_up(OPERATIONS[0], monkeypatch)
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_metric("loss", 0.0)
    half_way, forking = threading.Event(), threading.Event()

    def stand_half_way() -> None:
        half_way.set()
        assert forking.wait(60)

    def commit() -> None:
        with disk.armed(call_before(stand_half_way), 2):
            run.log_metric("loss", 1.0)

    def look_around_and_log() -> None:
        assert "replace" in disk.steps
        run.log_metric("child", 1.0)

    def fork_meanwhile() -> None:
        assert half_way.wait(60)
        _just_before_fork.append(forking.set)
        try:
            assert reap(fork(look_around_and_log)) == 0
        finally:
            _just_before_fork.clear()

    run_together(commit, fork_meanwhile)
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories == {"loss": [(0, 0.0), (1, 1.0)], "child": [(0, 1.0)]}


def test_child_of_a_child_logs_too(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)

    def fork_on() -> None:
        run.log_metric("loss", 1.0)
        assert reap(fork(lambda: run.log_metric("loss", 2.0))) == 0
        run.log_metric("loss", 3.0)

    run.log_metric("loss", 0.0)
    assert reap(fork(fork_on)) == 0
    run.log_metric("loss", 4.0)
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["loss"] == [(number, float(number)) for number in range(5)]
