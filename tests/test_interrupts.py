"""Ctrl-C at any moment of a call: no hang, no loss for the other threads, nothing twice, and the handle goes on."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import Any, Callable, List

import pytest

from concurrency import run_python, run_together
from faults import (
    MOST_STEPS,
    OPERATIONS,
    Fault,
    Operation,
    at_line,
    interrupt_after,
    interrupt_before,
    list_litter,
    log_later_value,
    name_operation,
    read_stored,
    set_up,
    with_later_value,
)
from mini_mlflow import ExperimentTracker, Run, RunEndedError
from mini_mlflow.disk import turnstile
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import RunAddress
from mini_mlflow.writing import run_files
from steps import expect, follow, lines_of
from whole_tree import check_whole_tree

INTERRUPTED = [operation for operation in OPERATIONS if operation.writes_to_live_run]
# A log call, with all that it may come to, and the end: where every line is tried, and where other threads log beside.
BUSIEST = [one for one in INTERRUPTED if one.name in ("log call that folds", "end")]

# What a longer search raises.
SIGNALS = 300
THREADED_STEPS = 20


def is_free(root: str) -> bool:
    """Whether another process would get the run's lock. A descriptor of its own is as good as a process of its own."""
    lock = KeptLock(RunPaths.of(RunAddress(root, 0, "r")).run_lock)
    try:
        return lock.try_acquire()
    finally:
        lock.close()


def judge(root: str, run: Run, before: Any, after: Any) -> None:
    """Before or after; other processes and threads get in; the handle goes on, and its end sweeps up.

    An end that came through, but whose sweeping was interrupted, may leave its log and temporaries: nothing reads them.
    A fold that was interrupted may leave a sealed file that no document lists.
    """
    seen = read_stored(root)
    assert seen in (before, after)
    assert seen is not None
    assert is_free(root), "the run's lock stays taken"
    assert not turnstile.leave(), "the thread stays inside"
    swept = seen.status == "RUNNING"
    if swept:
        run_together(lambda: log_later_value(run), deadline_s=10.0)
        assert is_free(root), "the run's lock stays taken"
        seen = with_later_value(seen, "RUNNING")
        assert read_stored(root) == seen
        run.end()
    else:
        with pytest.raises(RunEndedError):
            run.end()
    stored = read_stored(root)
    assert stored is not None
    assert stored[1:] == seen[1:]
    if swept:
        assert list_litter(root) == []
    check_whole_tree(root, leftovers=True)


@pytest.mark.parametrize("moment", [interrupt_before, interrupt_after], ids=["before", "after"])
@pytest.mark.parametrize("operation", INTERRUPTED, ids=name_operation)
def test_interrupt_at_any_step_stores_all_or_nothing_and_the_handle_goes_on(
    operation: Operation, moment: Fault, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    """Of the steps that are taken from the same lines of the engine at the first and the last, as `steps` says."""
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    for at in course.telling():
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            with disk.armed(moment, at):
                interrupted = was_interrupted(operation, root, run)
            assert interrupted == (disk.struck is not None) == (at < course.over)
            if disk.struck is None:
                run.is_open() and run.end()
                break
            try:
                judge(root, run, course.before, course.after)
            except AssertionError as error:
                raise AssertionError("step %d: %s%r: %s" % (at, disk.struck[0], disk.struck[1][:2], error)) from error


def was_interrupted(operation: Operation, root: str, run: Run) -> bool:
    try:
        operation.act(root, run)
    except KeyboardInterrupt:
        return True
    return False


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("operation", BUSIEST, ids=name_operation)
def test_interrupt_at_any_line_stores_all_or_nothing_and_lets_others_in(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(operation, monkeypatch)
    after = expect(operation, os.path.join(folder, "whole"))
    problems: List[str] = []
    for number in lines_of(operation, os.path.join(folder, "traced")):
        root = os.path.join(folder, str(number))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            before = read_stored(root)
            with at_line(number, interrupt) as moment:
                interrupted = was_interrupted(operation, root, run)
            try:
                assert interrupted
                judge(root, run, before, after)
            except Exception as error:
                problems.append("line %d: %s: %s" % (number, moment.where, error))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("moment", [interrupt_before, interrupt_after], ids=["before", "after"])
@pytest.mark.parametrize("operation", BUSIEST, ids=name_operation)
def test_interrupt_in_one_thread_loses_nothing_of_the_others(
    operation: Operation, moment: Fault, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = set_up(operation, monkeypatch)
    with disk.armed(lambda step: step.carry_out(), MOST_STEPS):
        expect(operation, os.path.join(folder, "whole"))
        steps = len(disk.steps)
    for at in range(1, steps, 1 + steps // THREADED_STEPS):
        root = os.path.join(folder, str(at))
        run = operation.prepare(root, ExitStack())
        assert run is not None
        before = read_stored(root)
        assert before is not None

        def act_interrupted(root: str = root, run: Run = run, at: int = at) -> None:
            # A call that others lead for takes fewer steps of its own, and may be over before the interrupt.
            with disk.armed(moment, at):
                was_interrupted(operation, root, run)

        acknowledged = run_together(act_interrupted, *(log_until_ended(run, name) for name in "wxyz"))[1:]
        seen = read_stored(root)
        assert seen is not None
        for name, count in zip("wxyz", acknowledged):
            assert seen.histories.get(name, []) == [(step, float(step)) for step in range(count)]
        for key, points in before.histories.items():
            assert seen.histories[key][: len(points)] == points
            assert len(seen.histories[key]) <= len(points) + 1
        assert is_free(root)
        if seen.status == "RUNNING":
            log_later_value(run)
            run.end()
            assert read_stored(root) == with_later_value(seen)
            assert list_litter(root) == []
        check_whole_tree(root, leftovers=True)


def log_until_ended(run: Run, name: str) -> Callable[[], int]:
    def log() -> int:
        for value in range(4):
            try:
                run.log_metric(name, float(value))
            except RunEndedError:
                return value
        return 4

    return log


REAL_INTERRUPTS = """
    import os, random, signal, sys, threading
    from mini_mlflow import Run

    root, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    run = Run(run_id="r", runs_dir=root, fsync="never")
    stop = threading.Event()
    acknowledged = {"main": []}

    def log(name):
        value = 0
        while not stop.is_set():
            run.log_metric(name, float(value))
            acknowledged[name].append(value)
            value += 1

    workers = []
    for name in "xyz":
        acknowledged[name] = []
        workers.append(threading.Thread(target=log, args=(name,)))
        workers[-1].start()

    def on_alarm(signum, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, on_alarm)
    seen, value = 0, 0
    while seen < count:
        try:
            # Armed within the try: an interrupt that comes at once must not come out of the program.
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.004))
            while True:
                value += 1
                run.log_metric("main", float(value))
                acknowledged["main"].append(value)
        except KeyboardInterrupt:
            seen += 1
    stop.set()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    run.end()
    for name in sorted(acknowledged):
        print(name, *acknowledged[name])
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_hundreds_of_interrupts_lose_no_acknowledged_point(folder: str) -> None:
    done = run_python(REAL_INTERRUPTS, folder, str(SIGNALS), "1")
    acknowledged = {line.split()[0]: [float(text) for text in line.split()[1:]] for line in done.stdout.splitlines()}
    stored = read_stored(folder)
    assert stored is not None
    assert stored.status == "FINISHED"
    for name in "xyz":
        assert [value for _, value in stored.histories[name]] == acknowledged[name]
    main = [value for _, value in stored.histories["main"]]
    # An interrupted call may have come through: its point is there once, in its place, or not at all.
    assert main == sorted(set(main))
    assert set(acknowledged["main"]) <= set(main)
    assert list_litter(folder) == []
    check_whole_tree(folder)


def test_call_in_the_batch_of_an_interrupted_leader_is_stored_once(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt comes when the batch stands and nobody has been told: the other call must not be made again."""
    run = Run("r", runs_dir=folder)
    group, lock = run._opened().group, run._opened().lock
    acquire, publish = lock.acquire, run_files.publish

    def acquire_once_both_wait(timeout_s: float) -> None:
        acquire(timeout_s)
        deadline = time.monotonic() + 30.0
        while len(group._list_queue()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        monkeypatch.setattr(lock, "acquire", acquire)

    def publish_and_be_interrupted(*args: Any) -> None:
        monkeypatch.setattr(run_files, "publish", publish)
        publish(*args)
        raise KeyboardInterrupt

    def log_to(key: str) -> str:
        try:
            run.log_metric(key, 1.0)
        except KeyboardInterrupt:
            return "interrupted"
        return "stored"

    monkeypatch.setattr(lock, "acquire", acquire_once_both_wait)
    monkeypatch.setattr(run_files, "publish", publish_and_be_interrupted)
    told = run_together(lambda: log_to("a"), lambda: log_to("b"))
    assert sorted(told) == ["interrupted", "stored"]
    tracker = ExperimentTracker(runs_dir=folder)
    assert [len(tracker.get_metric_history("r", key)) for key in "ab"] == [1, 1]
