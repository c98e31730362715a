"""The run's lock and the owner's: exclusion between processes, timeouts, forks, and lock files that are deleted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from concurrency import Children, run_together
from faults import at_line
from mini_mlflow import ExperimentTracker, LockTimeout, Run
from mini_mlflow.disk import locks
from mini_mlflow.disk.locks import KeptLock, is_held

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / ".locks" / "0" / "r.lock")


class Clock:
    """Stands in for the module ``time``: nobody sleeps, and each sleep moves the clock on by its length."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: List[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(locks, "time", clock)
    return clock


def count_in_file(lock_path: str, counter: str, times: int) -> None:
    """Adds to a number in a file by reading and writing it, which loses counts unless the lock excludes."""
    lock = KeptLock(lock_path)
    for _ in range(times):
        lock.acquire(60.0)
        with open(counter) as file:
            number = int(file.read())
        with open(counter, "w") as file:
            file.write(str(number + 1))
        lock.release()


@pytest.mark.leaves("foreign-file")
@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=needs_fork)])
def test_lock_excludes_other_processes(method: str, path: str, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    with Children(method) as children:
        for _ in range(3):
            children.start(count_in_file, path, str(counter), 200)
    assert counter.read_text() == "600"


def test_two_locks_of_one_process_exclude_each_other(path: str) -> None:
    one, other = KeptLock(path), KeptLock(path)
    one.acquire(1.0)
    assert other.try_acquire() is False
    one.acquire(1.0)
    one.release()
    assert other.try_acquire() is True
    one.release()
    other.release()
    one.close()
    other.close()


def test_timeout_names_the_file_and_the_remedy(path: str, clock: Clock) -> None:
    holder, waiter = KeptLock(path), KeptLock(path)
    holder.acquire(1.0)
    with pytest.raises(LockTimeout, match="lock_timeout_s") as caught:
        waiter.acquire(0.5)
    assert caught.value.filename == path
    assert isinstance(caught.value, TimeoutError)
    # It came back often at first, and never slept much longer than its limit.
    assert clock.slept[0] < 0.001
    assert max(clock.slept) < 0.01
    assert sum(clock.slept) >= 0.5
    holder.release()
    waiter.acquire(0.5)
    waiter.close()
    holder.close()


def test_lock_that_is_released_during_the_wait_is_taken(
    path: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiter = KeptLock(path), KeptLock(path)
    holder.acquire(1.0)
    monkeypatch.setattr(clock, "sleep", lambda seconds: holder.release())
    waiter.acquire(1.0)
    assert holder.try_acquire() is False
    waiter.close()
    holder.close()


def test_lock_file_that_was_deleted_is_made_anew_and_excludes_again(path: str) -> None:
    one, other = KeptLock(path), KeptLock(path)
    one.acquire(1.0)
    one.release()
    os.unlink(path)
    one.acquire(1.0)
    assert os.path.exists(path)
    assert other.try_acquire() is False
    one.release()
    os.unlink(path)
    other.acquire(1.0)
    assert one.try_acquire() is False
    other.close()
    assert one.try_acquire() is True
    one.close()


def test_lock_folders_that_were_deleted_are_made_anew(path: str) -> None:
    lock = KeptLock(path)
    lock.acquire(1.0)
    lock.close()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    os.rmdir(os.path.dirname(os.path.dirname(path)))
    lock.acquire(1.0)
    assert os.path.exists(path)
    lock.close()


def test_lock_without_a_tree_names_the_folder(tmp_path: Path) -> None:
    lock = KeptLock(str(tmp_path / "missing" / ".locks" / "0" / "r.lock"))
    with pytest.raises(FileNotFoundError) as caught:
        lock.acquire(1.0)
    assert str(caught.value.filename).startswith(str(tmp_path / "missing"))


def test_closing_and_releasing_twice_is_harmless(path: str) -> None:
    lock = KeptLock(path)
    lock.release()
    lock.close()
    lock.acquire(1.0)
    lock.release()
    lock.release()
    lock.close()
    lock.close()
    assert is_held(path) is False


def test_lock_that_is_dropped_is_free(path: str) -> None:
    lock = KeptLock(path)
    lock.acquire(1.0)
    assert is_held(path) is True
    del lock
    assert is_held(path) is False


def test_is_held_tells_and_makes_nothing(path: str, tmp_path: Path) -> None:
    assert is_held(path) is None
    assert list(tmp_path.iterdir()) == []
    lock = KeptLock(path)
    lock.acquire(1.0)
    assert is_held(path) is True
    assert is_held(path) is True
    lock.release()
    assert is_held(path) is False
    lock.close()
    assert is_held(os.path.dirname(path)) in (None, False)


def test_asking_readers_are_not_taken_for_holders(path: str) -> None:
    """A reader asks with a shared lock: another reader that asks meanwhile sees nobody hold it."""
    fcntl = pytest.importorskip("fcntl")
    KeptLock(path).acquire(1.0)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert is_held(path) is False
    finally:
        os.close(descriptor)


def hold_and_wait(path: str, ready: Any, done: Any) -> None:
    lock = KeptLock(path)
    lock.acquire(10.0)
    ready.set()
    done.wait(60)


def test_killed_holder_gives_its_lock_up(path: str) -> None:
    with Children("spawn") as children:
        ready, done = children.context.Event(), children.context.Event()
        holder = children.start(hold_and_wait, path, ready, done, exitcode=-signal.SIGKILL)
        assert ready.wait(60)
        assert is_held(path) is True
        holder.kill()
        holder.join()
        assert is_held(path) is False
        KeptLock(path).acquire(1.0)


# -- the lock timeout of a run -------------------------------------------------------------------------------------


@pytest.fixture
def blocked(runs_dir: str, clock: Clock) -> Iterator[Run]:
    """A run whose lock somebody else holds, and that waits for half a second of a clock that sleeping moves."""
    run = Run(run_id="r", runs_dir=runs_dir, lock_timeout_s=0.5)
    run.log_metric("loss", 0.0)
    other = KeptLock(os.path.join(runs_dir, ".locks", "0", "r.lock"))
    other.acquire(1.0)
    yield run
    other.close()
    run.log_metric("loss", 1.0)
    run.end()
    values = [point.value for point in ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "loss")]
    assert values == [0.0, 1.0]


CALLS: List[Callable[[Run], None]] = [
    lambda run: run.log_metric("loss", 5.0),
    lambda run: run.log_param("lr", 0.1),
    lambda run: run.flush(),
    lambda run: run.end(),
]


@pytest.mark.parametrize("call", CALLS)
def test_call_on_a_blocked_run_times_out_and_stores_nothing(call: Callable[[Run], None], blocked: Run) -> None:
    with pytest.raises(LockTimeout) as caught:
        call(blocked)
    assert str(caught.value.filename).endswith("r.lock")
    assert blocked.status == "RUNNING"


def test_all_waiting_threads_time_out_together(blocked: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wait for the file lock refuses all who wait by then, not one wait for each."""
    queue = blocked._opened().group._queue
    waits: List[float] = []
    acquire = KeptLock.acquire

    def acquire_once_all_wait(self: KeptLock, timeout_s: float) -> None:
        waits.append(timeout_s)
        deadline = time.monotonic() + 30.0
        while len(queue) < 8 and time.monotonic() < deadline:
            time.sleep(0.001)
        acquire(self, timeout_s)

    monkeypatch.setattr(KeptLock, "acquire", acquire_once_all_wait)

    def log() -> str:
        try:
            blocked.log_metric("loss", 5.0)
        except LockTimeout as error:
            return str(error.filename)
        return "stored"

    told = run_together(*[log] * 8)
    monkeypatch.undo()
    assert set(told) == {told[0]}
    assert told[0].endswith("r.lock")
    assert waits == [0.5]


def test_blocked_start_times_out_and_makes_no_run(runs_dir: str, clock: Clock) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.5)
    os.makedirs(os.path.join(runs_dir, ".locks", "0"))
    other = KeptLock(os.path.join(runs_dir, ".locks", "0", "r.lock"))
    other.acquire(1.0)
    with pytest.raises(LockTimeout):
        tracker.start_run(run_id="r")
    assert tracker.active_run() is None
    assert tracker.list_runs() == []
    other.close()
    tracker.start_run(run_id="r")
    tracker.end_run()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_interrupt_at_any_line_of_a_first_acquire_leaves_a_lock_that_works(path: str) -> None:
    """It is free once it is closed, whether or not it had been taken, and can be taken again."""
    for number in range(1, 100):
        lock = KeptLock(path)
        with at_line(number, interrupt) as moment:
            try:
                lock.try_acquire()
            except KeyboardInterrupt:
                pass
        lock.close()
        assert not is_held(path), moment.where
        assert lock.try_acquire()
        assert is_held(path)
        lock.close()
        if moment.where is None:
            break
    assert 5 < number < 99
