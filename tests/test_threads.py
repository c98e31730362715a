"""Many threads: on runs of their own, on one run, in pools, and while the run ends; and that nothing grows."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List

import pytest

from concurrency import run_python, run_together
from mini_mlflow import ExperimentTracker, Run, RunEndedError, active_run, end_run, log_metric, log_param, start_run

THREADS = 16
POINTS = 40


def values(runs_dir: str, run_id: str, key: str) -> List[float]:
    """The metric's values in stored order."""
    return [point.value for point in ExperimentTracker(runs_dir=runs_dir).get_metric_history(run_id, key)]


def assert_each_once_in_order(stored: List[float], acknowledged: Dict[int, List[float]]) -> None:
    """Every acknowledged value is stored exactly once, nothing else is, and each thread's are in its order.

    A value is 1000 times its thread's number, plus a count.
    """
    assert sorted(stored) == sorted(value for of_thread in acknowledged.values() for value in of_thread)
    for number, of_thread in acknowledged.items():
        assert [value for value in stored if int(value) // 1000 == number] == of_thread


def test_threads_with_a_run_each(runs_dir: str) -> None:
    """Each of 16 threads has its own active run, and its points are in that run alone."""
    tracker = ExperimentTracker("sweep", runs_dir=runs_dir)

    def work(number: int) -> str:
        run = tracker.start_run(version=str(number))
        log_param("number", number)
        for n in range(POINTS):
            log_metric("m", 1000 * number + n, step=n)
        end_run()
        return run.run_id

    ids = run_together(*[lambda number=number: work(number) for number in range(THREADS)])
    assert sorted(tracker.list_runs()) == sorted(ids)
    for number, run_id in enumerate(ids):
        stored = tracker.get_run(run_id)
        assert (stored["params"], stored["metadata"]["version"]) == ({"number": number}, str(number))
        assert values(runs_dir, run_id, "m") == [1000.0 * number + n for n in range(POINTS)]


@pytest.mark.parametrize("fsync", ["end", "always", "never"])
def test_threads_on_one_run(runs_dir: str, fsync: str) -> None:
    """Every point of 16 threads on one run is stored exactly once, in each thread's order, live and after the end."""
    run = Run("r", runs_dir=runs_dir, fsync=fsync)

    def work(number: int) -> List[float]:
        logged = []
        for n in range(POINTS):
            run.log_metrics({"m": 1000 * number + n, "m%d" % number: n})
            run.log_param("p%d" % number, n)
            logged.append(1000.0 * number + n)
        return logged

    logged = dict(enumerate(run_together(*[lambda number=number: work(number) for number in range(THREADS)])))
    for _ in range(2):
        assert_each_once_in_order(values(runs_dir, "r", "m"), logged)
        stored = ExperimentTracker(runs_dir=runs_dir).get_run("r")
        assert stored["params"] == {"p%d" % number: POINTS - 1 for number in range(THREADS)}
        for number in range(THREADS):
            assert values(runs_dir, "r", "m%d" % number) == [float(n) for n in range(POINTS)]
        if run.status == "RUNNING":
            run.end()


def test_steps_left_out_are_positions_for_all_threads_together(runs_dir: str) -> None:
    """Without steps, the points of all threads are numbered in the order in which they are stored, without a gap."""
    run = Run("r", runs_dir=runs_dir)
    run_together(*[lambda: [run.log_metric("m", n) for n in range(20)]] * 8)
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "m")
    assert [point.step for point in points] == list(range(160))


def test_threads_with_objects_of_their_own_on_one_run(runs_dir: str) -> None:
    """Threads that attach to one run id through objects of their own store every point exactly once."""

    def work(number: int) -> List[float]:
        run = Run("r", runs_dir=runs_dir)
        for n in range(POINTS):
            run.log_metric("m", 1000 * number + n)
        return [1000.0 * number + n for n in range(POINTS)]

    logged = dict(enumerate(run_together(*[lambda number=number: work(number) for number in range(8)])))
    assert_each_once_in_order(values(runs_dir, "r", "m"), logged)
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["r"]


def test_pool_that_reuses_its_threads(runs_dir: str) -> None:
    """A pool of few threads serves many runs in turn; each task's run is new and gets only its own points."""
    tracker = ExperimentTracker("sweep", runs_dir=runs_dir)

    def task(number: int) -> str:
        assert active_run() is None
        with tracker as run:
            for n in range(5):
                log_metric("m", 1000 * number + n)
        assert active_run() is None
        return run.run_id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(task, range(40)))
    assert len(set(ids)) == 40
    for number, run_id in enumerate(ids):
        assert values(runs_dir, run_id, "m") == [1000.0 * number + n for n in range(5)]


def test_one_bad_call_fails_nobody_elses(runs_dir: str) -> None:
    """A thread whose values are refused gets its errors; the others' points are stored."""
    run = Run("r", runs_dir=runs_dir)

    def good(number: int) -> List[float]:
        for n in range(POINTS):
            run.log_metric("m", 1000 * number + n)
        return [1000.0 * number + n for n in range(POINTS)]

    def bad() -> None:
        for n in range(POINTS):
            with pytest.raises((TypeError, ValueError)):
                run.log_metric("m" if n % 2 else "a/b", "no number" if n % 2 else 1)

    logged = run_together(lambda: good(0), bad, lambda: good(1), bad)
    assert_each_once_in_order(values(runs_dir, "r", "m"), {0: logged[0], 1: logged[2]})


def test_every_acknowledged_value_is_visible_at_once(runs_dir: str) -> None:
    """When a log call has returned, the next reader sees its value, while other threads log on."""
    run = Run("r", runs_dir=runs_dir)
    tracker = ExperimentTracker(runs_dir=runs_dir)

    def work(number: int) -> None:
        for n in range(10):
            run.log_metric("m%d" % number, n)
            run.log_param("p%d" % number, n)
            stored = tracker.get_run("r")
            assert stored["metrics"]["m%d" % number] == n
            assert stored["params"]["p%d" % number] == n
            assert len(tracker.get_metric_history("r", "m%d" % number)) == n + 1

    run_together(*[lambda number=number: work(number) for number in range(6)])


def test_readers_see_only_prefixes_while_threads_log(runs_dir: str) -> None:
    """A history that is read while others log is a beginning of the final one, and never gets shorter."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run.log_metric("m", -1)
    done = threading.Event()

    def work(number: int) -> None:
        try:
            for n in range(700):
                run.log_metric("m", 1000 * number + n)
        finally:
            if number == 0:
                done.set()

    def look() -> List[List[float]]:
        seen = []
        while not done.is_set():
            seen.append([point.value for point in tracker.get_metric_history("r", "m")])
        return seen

    seen = run_together(lambda: work(0), lambda: work(1), look)[2]
    final = values(runs_dir, "r", "m")
    lengths = [len(history) for history in seen]
    assert lengths == sorted(lengths)
    assert all(history == final[: len(history)] for history in seen)


def test_log_calls_while_another_thread_ends_the_run(runs_dir: str) -> None:
    """Each call is stored or raises RunEndedError: what was acknowledged is in the ended run, and nothing else."""
    run = Run("r", runs_dir=runs_dir)
    under_way = threading.Semaphore(0)

    def work(number: int) -> List[float]:
        logged: List[float] = []
        while True:
            value = 1000.0 * number + len(logged)
            try:
                run.log_metric("m", value)
            except RunEndedError as error:
                assert "Cannot log" in str(error)
                return logged
            logged.append(value)
            under_way.release()

    def end() -> None:
        for _ in range(100):
            assert under_way.acquire(timeout=60)
        run.end()

    *logged, _ = run_together(*[lambda number=number: work(number) for number in range(6)], end)
    assert_each_once_in_order(values(runs_dir, "r", "m"), dict(enumerate(logged)))
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["metadata"]["status"] == "FINISHED"


def test_of_many_ends_one_succeeds(runs_dir: str) -> None:
    """When several threads end one run at once, one does and the others are told that it is already ended."""
    for number in range(10):
        runs = [Run("r%d" % number, runs_dir=runs_dir, fsync="never") for _ in range(4)]

        def end(run: Run) -> str:
            try:
                run.end()
                return "ended"
            except ValueError as error:
                assert "already ended" in str(error)
                return "told"

        assert sorted(run_together(*[lambda run=run: end(run) for run in runs])) == ["ended", "told", "told", "told"]


def test_resume_while_threads_log_through_old_objects(runs_dir: str) -> None:
    """A run that is ended and resumed again and again keeps every acknowledged point, whoever logged it."""
    tracker = ExperimentTracker(runs_dir=runs_dir, fsync="never")
    done = threading.Event()
    tracker.start_run(run_id="r")
    end_run()

    def work(number: int) -> List[float]:
        logged: List[float] = []
        while not done.is_set():
            try:
                Run("r", runs_dir=runs_dir, fsync="never").log_metric("m", 1000.0 * number + len(logged))
            except RunEndedError:
                continue
            logged.append(1000.0 * number + len(logged))
        return logged

    def resume() -> List[float]:
        logged = []
        try:
            for _ in range(20):
                with tracker.start_run(run_id="r") as run:
                    for _ in range(5):
                        run.log_metric("m", 9000.0 + len(logged))
                        logged.append(9000.0 + len(logged))
        finally:
            done.set()
        return logged

    first, second, own = run_together(lambda: work(1), lambda: work(2), resume)
    assert len(own) == 100
    assert_each_once_in_order(values(runs_dir, "r", "m"), {1: first, 2: second, 9: own})


def test_threads_do_not_mix_their_active_runs(runs_dir: str) -> None:
    """Module functions in 16 threads at once log to each thread's own run, step by step in lockstep."""
    barrier = threading.Barrier(THREADS)

    def work(number: int) -> Any:
        barrier.wait(60)
        run = start_run(run_id=str(number))
        for n in range(5):
            barrier.wait(60)
            assert active_run() is run
            log_metric("m", 1000 * number + n)
        barrier.wait(60)
        end_run()
        assert active_run() is None
        return run.runs_dir

    (tree,) = set(run_together(*[lambda number=number: work(number) for number in range(THREADS)]))
    for number in range(THREADS):
        assert values(tree, str(number), "m") == [1000.0 * number + n for n in range(5)]


# -- growth --------------------------------------------------------------------------------------------------------

MEASURE = """
    import gc, os, sys, threading
    from mini_mlflow import ExperimentTracker, Run

    def measure():
        gc.collect()
        # Blocks of memory that Python has handed out: a leak of one object a call would be 10,000 of them.
        return len(os.listdir("/proc/self/fd")), threading.active_count(), sys.getallocatedblocks()
"""
HOT_LOOPS = (
    MEASURE
    + """
    run, counts = Run(runs_dir=sys.argv[1], fsync="never"), []
    for calls in (2_000, 10_000):
        for n in range(calls):
            run.log_metric("m", n)
        run.flush()
        counts += measure()
    print(*counts)
    run.end()
"""
)
MANY_RUNS = (
    MEASURE
    + """
    tracker, counts = ExperimentTracker(runs_dir=sys.argv[1], fsync="never"), []
    for runs in (20, 80):
        for n in range(runs):
            with tracker as run:
                run.log_metric("m", n)
            tracker.get_run(run.run_id)
        counts += measure()
    print(*counts)
"""
)
BLOCKS_OF_A_LEAK = 1_000


def assert_nothing_grows(code: str, runs_dir: str) -> None:
    """It prints its descriptors, its threads and its blocks of memory, before and after."""
    numbers = [int(text) for text in run_python(code, runs_dir).stdout.split()]
    before, after = numbers[:3], numbers[3:]
    assert after[:2] == before[:2]
    assert after[2] - before[2] < BLOCKS_OF_A_LEAK


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_nothing_grows_in_a_hot_loop(runs_dir: str) -> None:
    """10,000 log_metric calls, after some to warm up, leave no descriptor, no thread and no memory behind."""
    assert_nothing_grows(HOT_LOOPS, runs_dir)
    assert len(values(runs_dir, ExperimentTracker(runs_dir=runs_dir).list_runs()[0], "m")) == 12_000


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_nothing_grows_with_the_number_of_runs(runs_dir: str) -> None:
    """A process that starts, ends and reads run after run holds on to none of them."""
    assert_nothing_grows(MANY_RUNS, runs_dir)


def test_end_that_a_thread_learned_of_before_a_resume_is_passed_over(runs_dir: str) -> None:
    """Between being told that the run has ended and acting on it, another thread may have resumed the run."""
    run = Run("r", runs_dir=runs_dir)
    run._opened().note_end()
    assert run.is_open()
    run.log_metric("m", 1.0)
    assert run.status == "RUNNING"
    run.end()
