"""Many processes: on one run, on one id at once, forked while others log, and after their owner was killed."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import platform
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List

import pytest

from concurrency import Children, run_python, run_together
from mini_mlflow import ExperimentTracker, Run, start_run
from mini_mlflow.disk.locks import is_held

PROCESSES = 8
THREADS = 4
POINTS = 15

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
METHODS = [method for method in ("spawn", "fork") if method in multiprocessing.get_all_start_methods()]


def metadata(runs_dir: str, run_id: str = "r") -> Dict[str, Any]:
    found = ExperimentTracker(runs_dir=runs_dir).get_run(run_id)["metadata"]
    return dict(found)


def values(runs_dir: str, key: str = "m", run_id: str = "r") -> List[float]:
    return [point.value for point in ExperimentTracker(runs_dir=runs_dir).get_metric_history(run_id, key)]


def assert_each_once_in_order(stored: List[float], writers: int, points: int) -> None:
    """Each of ``points`` values of each writer is stored exactly once, in its order: 1000 times its number, plus n."""
    assert len(stored) == writers * points
    for number in range(writers):
        of_writer = [value for value in stored if int(value) // 1000 == number]
        assert of_writer == [1000.0 * number + n for n in range(points)]


# -- many processes on one run -------------------------------------------------------------------------------------


def log_from_threads(run: Run, process: int, barrier: Any = None) -> None:
    """What each process does: all its threads log to the run, their own key and a common one."""

    def work(number: int) -> None:
        for n in range(POINTS):
            run.log_metrics({"m": 1000 * number + n, "own%d" % number: n})
        run.log_param("p%d" % number, number)

    if barrier is not None:
        barrier.wait(60)
    first = process * THREADS
    run_together(*[lambda number=number: work(number) for number in range(first, first + THREADS)])


def assert_all_is_there(runs_dir: str) -> None:
    writers = PROCESSES * THREADS
    assert_each_once_in_order(values(runs_dir), writers, POINTS)
    for number in range(writers):
        assert values(runs_dir, "own%d" % number) == [float(n) for n in range(POINTS)]
    stored = ExperimentTracker(runs_dir=runs_dir).get_run("r")
    assert stored["params"] == {"p%d" % number: number for number in range(writers)}


@pytest.mark.parametrize("method", METHODS)
def test_processes_and_threads_on_one_run(runs_dir: str, method: str) -> None:
    """Every point of 8 processes with 4 threads each on one run is stored exactly once, in each thread's order."""
    run = Run("r", runs_dir=runs_dir)
    with Children(method) as children:
        barrier = children.context.Barrier(PROCESSES)
        for process in range(PROCESSES):
            children.start(log_from_threads, run, process, barrier)
    assert_all_is_there(runs_dir)
    assert metadata(runs_dir)["status"] == "RUNNING"
    run.end()
    assert_all_is_there(runs_dir)


LOKY = """
import sys
from joblib import Parallel, delayed
from mini_mlflow import ExperimentTracker
from test_processes import PROCESSES, log_from_threads

def work(run, process):
    log_from_threads(run, process)

if __name__ == "__main__":
    with ExperimentTracker(runs_dir=sys.argv[1]).start_run(run_id="r") as run:
        Parallel(n_jobs=PROCESSES, backend="loky", batch_size=1)(delayed(work)(run, n) for n in range(PROCESSES))
"""


@pytest.mark.long
def test_loky_processes_and_threads_on_one_run(tmp_path: Path, runs_dir: str) -> None:
    """The same with the workers of joblib's loky, which get the run through cloudpickle."""
    if importlib.util.find_spec("joblib") is None:
        pytest.skip("joblib is not installed")
    script = tmp_path / "script.py"
    script.write_text(LOKY)
    run_python(script, runs_dir)
    assert_all_is_there(runs_dir)
    assert metadata(runs_dir)["status"] == "FINISHED"


def attach_to_each(runs_dir: str, number: int, count: int, barrier: Any) -> None:
    for n in range(count):
        barrier.wait(60)
        run = Run("r%d" % n, name="by %d" % number, runs_dir=runs_dir, fsync="never")
        run.log_param("seen by %d" % number, [run.name, run.start_time])
        run.log_metric("m", number)
        # Nobody exits, and so ends what it owns, before everybody has logged.
        barrier.wait(60)


def test_processes_that_create_one_id_at_once_share_one_run(runs_dir: str) -> None:
    """Of processes that create one id at once, one creates and the others attach: all see the same metadata."""
    count = 15
    with Children("spawn") as children:
        barrier = children.context.Barrier(3)
        for number in range(3):
            children.start(attach_to_each, runs_dir, number, count, barrier)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert sorted(tracker.list_runs()) == sorted("r%d" % n for n in range(count))
    for run_id in tracker.list_runs():
        run = tracker.get_run(run_id)
        created = [run["metadata"]["name"], run["metadata"]["start_time"]]
        assert run["params"] == {"seen by %d" % number: created for number in range(3)}
        assert sorted(values(runs_dir, "m", run_id)) == [0.0, 1.0, 2.0]
        assert run["metadata"]["status"] == "FINISHED"


def test_any_process_may_end_a_run(runs_dir: str) -> None:
    """A process that attached ends the run; the owner learns of it at its next call."""
    run = Run("r", runs_dir=runs_dir)
    run_python("import sys, mini_mlflow as m; m.Run('r', runs_dir=sys.argv[1]).end('FAILED')", runs_dir)
    assert metadata(runs_dir)["status"] == "FAILED"
    with pytest.raises(ValueError, match="Cannot log"):
        run.log_metric("m", 1)
    assert run.status == "FAILED"


def test_process_that_resumes_is_the_owner(runs_dir: str) -> None:
    """A run that another process resumes belongs to that one: its pid is recorded, and its exit ends the run."""
    with Run("r", runs_dir=runs_dir):
        pass
    code = """
    import os, sys
    from mini_mlflow import ExperimentTracker
    ExperimentTracker(runs_dir=sys.argv[1]).start_run(run_id="r").log_metric("m", 1)
    metadata = ExperimentTracker(runs_dir=sys.argv[1]).get_run("r")["metadata"]
    assert (metadata["status"], metadata["pid"]) == ("RUNNING", os.getpid()), metadata
    """
    run_python(code, runs_dir)
    assert metadata(runs_dir)["status"] == "FINISHED"
    assert values(runs_dir) == [1.0]


ENDS_IT = "import sys, mini_mlflow as m; m.Run('r', runs_dir=sys.argv[1]).end()"


@pytest.mark.parametrize("way", ["end", "end after another's", "attaching after another's", "log call after another's"])
def test_ended_run_is_let_go_of_before_the_next_process_comes_in(runs_dir: str, way: str, monkeypatch: Any) -> None:
    """Who resumes the run needs its lock first, and must find the owner lock free: else nobody would own the run."""
    run = Run("r", runs_dir=runs_dir)
    opened = run._opened()
    close, release = opened.owner.close, opened.lock.release
    events: List[str] = []

    def note_close() -> None:
        events.append("give up under the lock" if is_held(opened.paths.run_lock) else "give up")
        close()

    def note_release() -> None:
        events.append("release")
        release()

    monkeypatch.setattr(opened.owner, "close", note_close)
    monkeypatch.setattr(opened.lock, "release", note_release)
    if way != "end":
        run_python(ENDS_IT, runs_dir)
    if way == "attaching after another's":
        Run("r", runs_dir=runs_dir)
    elif way != "log call after another's":
        with ExitStack() as stack:
            if way != "end":
                stack.enter_context(pytest.raises(ValueError, match="already ended"))
            run.end()
    else:
        with pytest.raises(ValueError, match="Cannot log"):
            run.log_metric("m", 1)
        # What refuses a commit knows nothing of owners: it takes a second hold, and a second look.
        events.remove("release")
    assert events[0] == "give up under the lock"
    assert "give up" not in events
    assert is_held(opened.paths.owner_lock) is False


# -- owners that die -----------------------------------------------------------------------------------------------


def start_and_die(runs_dir: str, run_id: str) -> None:
    run = ExperimentTracker(runs_dir=runs_dir).start_run("mine", run_id=run_id, version="v1")
    run.log_param("p", 1)
    run.log_metric("m", 1)
    assert metadata(runs_dir, run_id)["status"] == "RUNNING"
    os.kill(os.getpid(), signal.SIGKILL)


def leave_dead(runs_dir: str, run_id: str = "r") -> None:
    """A run whose owner was killed."""
    with Children("spawn") as children:
        children.start(start_and_die, runs_dir, run_id, exitcode=-signal.SIGKILL)


@pytest.mark.leaves("dead-owner")
def test_run_whose_owner_was_killed_shows_as_crashed(runs_dir: str) -> None:
    """Readers say CRASHED at once, in each way of reading, and have everything that was logged."""
    leave_dead(runs_dir)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert tracker.get_run("r")["metadata"]["status"] == "CRASHED"
    for found in (tracker.get_run_by_version("mine", "v1"), tracker.get_latest_version("mine")):
        assert found is not None
        assert found["metadata"]["status"] == "CRASHED"
        assert (found["params"], found["metrics"]) == ({"p": 1}, {"m": 1.0})
    assert tracker.list_runs() == ["r"]
    # CRASHED is what readers make of it; the file still says what the owner wrote.
    assert b"CRASHED" not in (Path(runs_dir) / "0" / "r" / "meta.yaml").read_bytes()


@pytest.mark.parametrize("way", ["Run", "start_run"])
def test_who_attaches_to_a_dead_owners_run_becomes_its_owner(runs_dir: str, way: str) -> None:
    """The run is RUNNING again, under the new owner's pid, and goes on where it was."""
    leave_dead(runs_dir)
    before = metadata(runs_dir)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = Run("r", runs_dir=runs_dir) if way == "Run" else tracker.start_run(run_id="r")
    assert run.status == "RUNNING"
    after = metadata(runs_dir)
    assert (after["status"], after["pid"]) == ("RUNNING", os.getpid())
    assert {name for name in before if before[name] != after[name]} <= {"status", "pid"}
    run.log_metric("m", 2)
    run.end()
    assert values(runs_dir) == [1.0, 2.0]
    assert metadata(runs_dir)["status"] == "FINISHED"


def attach_and_exit(runs_dir: str) -> None:
    Run("r", runs_dir=runs_dir).log_metric("m", 2)


def test_new_owner_ends_the_run_at_its_exit(runs_dir: str) -> None:
    """A process that took over a dead owner's run ends it when it exits."""
    leave_dead(runs_dir)
    with Children("spawn") as children:
        children.start(attach_and_exit, runs_dir)
    assert metadata(runs_dir)["status"] == "FINISHED"
    assert values(runs_dir) == [1.0, 2.0]


@pytest.mark.leaves("dead-owner")
def test_guest_does_not_keep_a_dead_owners_run_alive(runs_dir: str) -> None:
    """Other processes that log to the run do not make it RUNNING once its owner is dead; they can still log."""
    with Children("spawn") as children:
        attached, killed = children.context.Event(), children.context.Event()
        children.start(own_until, runs_dir, attached, exitcode=-signal.SIGKILL)
        children.start(visit, runs_dir, attached, killed)
        children._started[0][0].join(60)
        assert metadata(runs_dir)["status"] == "CRASHED"
        killed.set()
    assert values(runs_dir) == [1.0, 2.0]


def own_until(runs_dir: str, attached: Any) -> None:
    Run("r", runs_dir=runs_dir)
    assert attached.wait(60)
    os.kill(os.getpid(), signal.SIGKILL)


def visit(runs_dir: str, attached: Any, killed: Any) -> None:
    while not os.path.exists(os.path.join(runs_dir, "0", "r", "meta.yaml")):
        pass
    run = Run("r", runs_dir=runs_dir)
    run.log_metric("m", 1)
    attached.set()
    assert killed.wait(60)
    run.log_metric("m", 2)


@pytest.mark.leaves("dead-owner")
def test_dead_owner_on_another_host_is_unknown(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another host a free owner lock proves nothing, and the status says so; a held one does."""
    leave_dead(runs_dir, "dead")
    Run("alive", runs_dir=runs_dir)
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    assert metadata(runs_dir, "dead")["status"] == "UNKNOWN"
    assert metadata(runs_dir, "alive")["status"] == "RUNNING"


@pytest.mark.leaves("dead-owner")
def test_many_readers_do_not_take_each_other_for_the_owner(runs_dir: str) -> None:
    """However many ask at once whether the owner of a dead run lives, all say CRASHED."""
    leave_dead(runs_dir)
    looks = run_together(*[lambda: {metadata(runs_dir)["status"] for _ in range(50)}] * 4)
    assert looks == [{"CRASHED"}] * 4


# -- forks ---------------------------------------------------------------------------------------------------------


@needs_fork
def test_forked_child_starts_with_no_active_run(tmp_path: Path) -> None:
    """A child has none of its parent's active runs, can start its own, and logs to the parent's Run object."""
    code = """
    import os
    from mini_mlflow import ExperimentTracker, NoActiveRunError, active_run, end_run, log_metric, start_run

    outer = start_run(run_id="outer")
    run = start_run(run_id="r", nested=True)
    log_metric("m", 1)
    pid = os.fork()
    if pid == 0:
        try:
            assert active_run() is None
            for call in (end_run, lambda: log_metric("m", 0)):
                try:
                    call()
                except NoActiveRunError:
                    continue
                os._exit(1)
            child = start_run(run_id="child")
            assert child.parent_run_id is None
            log_metric("m", 10)
            end_run()
            run.log_metric("m", 2)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert active_run() is run
    log_metric("m", 3)
    end_run()
    assert active_run() is outer
    """
    run_python(code, cwd=tmp_path)
    runs_dir = str(tmp_path / "mlruns")
    assert values(runs_dir) == [1.0, 2.0, 3.0]
    assert values(runs_dir, run_id="child") == [10.0]
    assert {metadata(runs_dir, run_id)["status"] for run_id in ("outer", "r", "child")} == {"FINISHED"}


@needs_fork
def test_parent_and_forked_children_log_to_one_run_object(runs_dir: str) -> None:
    """Children of multiprocessing that inherit a Run by fork log to it at once with their parent."""
    run = start_run(run_id="r", experiment_id=0)
    mine = Run("r", runs_dir=runs_dir)
    with Children("fork") as children:
        for number in range(1, 4):
            children.start(log_from, mine, number)
        log_from(mine, 0)
    assert_each_once_in_order(values(runs_dir), 4, 50)
    assert metadata(runs_dir)["status"] == "RUNNING"
    assert run.status == "RUNNING"


def log_from(run: Run, number: int) -> None:
    for n in range(50):
        run.log_metric("m", 1000 * number + n)


@needs_fork
def test_forked_child_does_not_keep_a_dead_owner_alive(runs_dir: str) -> None:
    """A child that lives on after its parent was killed has not inherited the ownership of the parent's run."""
    code = """
    import os, signal, sys
    from mini_mlflow import ExperimentTracker, Run

    stop_read, stop_write = os.pipe()
    up_read, up_write = os.pipe()
    owner = os.fork()
    if owner == 0:
        os.close(stop_write)
        run = Run("r", runs_dir=sys.argv[1])
        run.log_metric("m", 1)
        if os.fork() == 0:
            os.write(up_write, b"x")
            os.read(stop_read, 1)
            os._exit(0)
        os.read(up_read, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(owner, 0)[1] == signal.SIGKILL
    # The grandchild is alive now: it waits for the pipe to be closed.
    print(ExperimentTracker(runs_dir=sys.argv[1]).get_run("r")["metadata"]["status"])
    run = Run("r", runs_dir=sys.argv[1])
    run.log_metric("m", 2)
    print(ExperimentTracker(runs_dir=sys.argv[1]).get_run("r")["metadata"]["status"])
    os.close(stop_write)
    """
    assert run_python(code, runs_dir).stdout.split() == ["CRASHED", "RUNNING"]
    assert values(runs_dir) == [1.0, 2.0]


@needs_fork
def test_forked_child_that_dies_in_a_call_does_not_block_the_parent(runs_dir: str) -> None:
    """A child that is killed while it holds the run's lock frees it; the parent's own lock is not touched by it."""
    code = """
    import os, signal, sys
    from mini_mlflow import Run
    from mini_mlflow.disk import atomic

    run = Run("r", runs_dir=sys.argv[1], lock_timeout_s=30.0)
    run.log_metric("m", 1)
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            atomic.write_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
            run.log_metric("m", 0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        run.log_metric("m", 2)
    """
    run_python(code, runs_dir)
    assert values(runs_dir) == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]


FORKS = """
    import os, signal, sys, threading
    from concurrency import run_together
    from mini_mlflow import Run, active_run

    run = Run("r", runs_dir=sys.argv[1], fsync="never")
    done = threading.Event()

    def log(number):
        logged = 0
        while not done.wait(0.0005):
            run.log_metric("m", 1_000_000 * number + logged)
            logged += 1
        return logged

    def fork():
        try:
            for n in range(1_000):
                pid = os.fork()
                if pid == 0:
                    # A child that hangs is killed, and counts as failed.
                    signal.alarm(60)
                    failed = 1
                    try:
                        if n % 10 == 0:
                            run.log_metric("child", n)
                        failed = active_run() is not None
                    finally:
                        os._exit(failed)
                assert os.waitpid(pid, 0)[1] == 0, n
        finally:
            done.set()

    print(*run_together(lambda: log(0), lambda: log(1), lambda: log(2), fork, deadline_s=90)[:3])
"""


@pytest.mark.long
@needs_fork
def test_thousand_forks_while_threads_log(runs_dir: str) -> None:
    """Forking 1,000 times while threads log hangs nobody; parent and children store every point exactly once."""
    logged = [int(text) for text in run_python(FORKS, runs_dir, timeout=100).stdout.split()]
    assert len(logged) == 3
    stored = values(runs_dir)
    assert len(stored) == sum(logged) > 0
    for number, count in enumerate(logged):
        of_thread = [value for value in stored if int(value) // 1_000_000 == number]
        assert of_thread == [1_000_000.0 * number + n for n in range(count)]
    assert values(runs_dir, "child") == [float(n) for n in range(0, 1_000, 10)]
    assert metadata(runs_dir)["status"] == "FINISHED"
