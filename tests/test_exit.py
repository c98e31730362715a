"""Runs that are still open when their interpreter exits."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any, Dict

import pytest

from concurrency import Children, run_python
from mini_mlflow import ExperimentTracker, Run, start_run


def status(runs_dir: str, run_id: str = "r") -> Any:
    return ExperimentTracker(runs_dir=runs_dir).get_run(run_id)["metadata"]["status"]


START = """
    import gc, os, sys, threading
    import mini_mlflow
    from mini_mlflow import ExperimentTracker, Run, end_run, start_run
    mini_mlflow.set_runs_dir(sys.argv[1])
"""

WAYS_OUT: Dict[str, Any] = {
    "the end of the script": ("", 0, "FINISHED"),
    "sys.exit()": ("sys.exit()", 0, "FINISHED"),
    "sys.exit(0)": ("sys.exit(0)", 0, "FINISHED"),
    "sys.exit in a function": ("(lambda: sys.exit(0))()", 0, "FINISHED"),
    "an uncaught exception": ("raise LookupError('mine')", 1, "FAILED"),
    "an uncaught exception within another": (
        "\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        raise LookupError('mine')",
        1,
        "FAILED",
    ),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", None, "FAILED"),
    "after an exception that an interactive session has shown": (
        "sys.ps1 = '>>> '; sys.last_value = LookupError('mine')",
        0,
        "FINISHED",
    ),
    "after a caught exception": (
        "\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        pass",
        0,
        "FINISHED",
    ),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_open_runs_end_with_the_interpreter(runs_dir: str, way: str) -> None:
    """Runs left open end FAILED if an uncaught exception ends the process, else FINISHED; with all that was logged."""
    code, exit_code, wanted = WAYS_OUT[way]
    script = """
    run = start_run(run_id="r")
    run.log_metric("m", 1)
    other = Run("other", runs_dir=sys.argv[1])
    other.log_param("p", 2)
    """
    done = run_python(START + script + code, runs_dir, check=False)
    assert exit_code is None or done.returncode == exit_code, done.stderr
    assert "Warning" not in done.stderr
    assert (status(runs_dir), status(runs_dir, "other")) == (wanted, wanted)
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["metrics"] == {"m": 1.0}
    assert ExperimentTracker(runs_dir=runs_dir).get_run("other")["params"] == {"p": 2}


@pytest.mark.leaves("dead-owner")
def test_interpreter_that_does_not_exit_properly_leaves_its_runs_crashed(runs_dir: str) -> None:
    """os._exit() ends nothing: the run says RUNNING on disk and shows as CRASHED, with all that was logged."""
    code = """
    start_run(run_id="r").log_metric("m", 1)
    os._exit(0)
    """
    run_python(START + code, runs_dir)
    assert status(runs_dir) == "CRASHED"
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["metrics"] == {"m": 1.0}


def test_run_that_was_ended_keeps_its_status(runs_dir: str) -> None:
    """A run that the script has ended itself is left alone at the exit."""
    run_python(START + "    start_run(run_id='r'); end_run('KILLED'); raise SystemExit(0)", runs_dir)
    assert status(runs_dir) == "KILLED"


def test_block_that_fails_ends_its_run_before_the_exit(runs_dir: str) -> None:
    """An exception leaves the block's run FAILED and a second open run FAILED too."""
    code = """
    Run("other", runs_dir=sys.argv[1])
    with ExperimentTracker(runs_dir=sys.argv[1]).start_run(run_id="r"):
        raise LookupError("mine")
    """
    assert run_python(START + code, runs_dir, check=False).returncode == 1
    assert (status(runs_dir), status(runs_dir, "other")) == ("FAILED", "FAILED")


def test_dropped_run_stays_open_until_the_exit(runs_dir: str) -> None:
    """A Run object that is dropped without end() does not end its run; the exit does."""
    code = """
    Run("r", runs_dir=sys.argv[1]).log_metric("m", 1)
    gc.collect()
    read = lambda: ExperimentTracker(runs_dir=sys.argv[1]).get_run("r")
    assert read()["metadata"]["status"] == "RUNNING", read()
    assert read()["metrics"] == {"m": 1.0}
    Run("r", runs_dir=sys.argv[1]).log_metric("m", 2)
    gc.collect()
    assert read()["metadata"]["status"] == "RUNNING", read()
    """
    run_python(START + code, runs_dir)
    assert status(runs_dir) == "FINISHED"
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "m")
    assert [point.value for point in points] == [1.0, 2.0]


def test_run_of_a_finished_thread_is_ended_at_the_exit(runs_dir: str) -> None:
    """A run that a thread started and left open ends with the process, not with the thread."""
    code = """
    thread = threading.Thread(target=start_run, kwargs={"run_id": "r"})
    thread.start()
    thread.join()
    gc.collect()
    assert ExperimentTracker(runs_dir=sys.argv[1]).get_run("r")["metadata"]["status"] == "RUNNING"
    """
    run_python(START + code, runs_dir)
    assert status(runs_dir) == "FINISHED"


def test_daemon_thread_that_logs_on_does_not_hold_up_the_exit(runs_dir: str) -> None:
    """The exit ends a run to which a daemon thread is still logging; what the thread saw stored is there."""
    code = """
    run, logged = start_run(run_id="r"), threading.Event()
    def work():
        while True:
            run.log_metric("m", 1)
            logged.set()
    threading.Thread(target=work, daemon=True).start()
    assert logged.wait(60)
    """
    run_python(START + code, runs_dir)
    assert status(runs_dir) == "FINISHED"


def test_exit_leaves_the_runs_of_others_alone(runs_dir: str) -> None:
    """A process that attached to a run of a living owner does not end it when it exits, even by an exception."""
    run = Run("r", runs_dir=runs_dir)
    code = """
    Run("r", runs_dir=sys.argv[1]).log_metric("m", 1)
    start_run(run_id="own")
    raise LookupError("mine")
    """
    assert run_python(START + code, runs_dir, check=False).returncode == 1
    assert (status(runs_dir), status(runs_dir, "own")) == ("RUNNING", "FAILED")
    run.log_metric("m", 2)


def test_run_that_cannot_be_ended_is_told_and_the_others_are_ended(runs_dir: str) -> None:
    """At the exit, a run whose folder is gone gets a warning; the others end all the same."""
    code = """
    import shutil
    start_run(run_id="gone")
    shutil.rmtree(os.path.join(sys.argv[1], "0", "gone"))
    Run("r", runs_dir=sys.argv[1])
    """
    done = run_python(START + code, runs_dir)
    assert "UnfinishedRunWarning" in done.stderr
    assert "gone" in done.stderr
    assert status(runs_dir) == "FINISHED"


# -- forked children -----------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@needs_fork
@pytest.mark.parametrize("way_out", ["", "sys.exit(3)", "raise LookupError('mine')", "os._exit(3)"])
def test_forked_child_does_not_end_its_parents_runs(runs_dir: str, way_out: str) -> None:
    """However a forked child exits, its parent's runs go on, and end with the parent."""
    code = """
    run = start_run(run_id="r")
    other = Run("other", runs_dir=sys.argv[1])
    pid = os.fork()
    if pid == 0:
        run.log_metric("child", 1)
        %s
    else:
        os.waitpid(pid, 0)
        for started in (run, other):
            stored = ExperimentTracker(runs_dir=sys.argv[1]).get_run(started.run_id)
            assert stored["metadata"]["status"] == "RUNNING", stored
            started.log_metric("parent", 1)
    """
    run_python(START + code % (way_out or "pass"), runs_dir)
    assert (status(runs_dir), status(runs_dir, "other")) == ("FINISHED", "FINISHED")
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["metrics"] == {"child": 1.0, "parent": 1.0}


@needs_fork
@pytest.mark.parametrize(("way_out", "wanted"), [("pass", "FINISHED"), ("raise LookupError('mine')", "FAILED")])
def test_forked_child_ends_its_own_runs(runs_dir: str, way_out: str, wanted: str) -> None:
    """What a forked child has started itself ends with it, and the parent's runs do not."""
    code = """
    run = start_run(run_id="r")
    pid = os.fork()
    if pid == 0:
        start_run(run_id="child")
        %s
    else:
        os.waitpid(pid, 0)
        print(*[ExperimentTracker(runs_dir=sys.argv[1]).get_run(i)["metadata"]["status"] for i in ("r", "child")])
    """
    done = run_python(START + code % way_out, runs_dir)
    assert done.stdout.split() == ["RUNNING", wanted]


# -- children of multiprocessing -----------------------------------------------------------------------------------


def leave_open(runs_dir: str, run_id: str, way_out: str) -> None:
    """What a worker does: starts a run and leaves it open."""
    run = ExperimentTracker(runs_dir=runs_dir).start_run(run_id=run_id)
    run.log_metric("m", 1)
    if way_out == "raise":
        raise LookupError("mine")
    if way_out == "exit":
        raise SystemExit(0)


METHODS = multiprocessing.get_all_start_methods()


@pytest.mark.parametrize("method", METHODS)
def test_runs_left_open_by_multiprocessing_children(
    runs_dir: str, method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A target that leaves its run open ends it FINISHED, one that raises FAILED; never the parent's."""
    parent = Run("parent", runs_dir=runs_dir)
    with Children(method) as children:
        children.start(leave_open, runs_dir, "returns", "")
        children.start(leave_open, runs_dir, "exits", "exit")
        children.start(leave_open, runs_dir, "raises", "raise", exitcode=1)
    assert status(runs_dir, "returns") == "FINISHED"
    assert status(runs_dir, "exits") == "FINISHED"
    assert status(runs_dir, "raises") == "FAILED"
    assert status(runs_dir, "parent") == parent.status == "RUNNING"
    assert "LookupError: mine" in capfd.readouterr().err
    for run_id in ("returns", "exits", "raises"):
        assert ExperimentTracker(runs_dir=runs_dir).get_run(run_id)["metrics"] == {"m": 1.0}


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from mini_mlflow import Run

def work(run_id):
    Run(run_id, runs_dir=sys.argv[1]).log_metric("m", 1)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, **({"mp_context": multiprocessing.get_context(sys.argv[2])})) as pool:
        list(pool.map(work, ["a", "b"]))
"""


@pytest.mark.parametrize("method", METHODS)
def test_runs_left_open_by_the_workers_of_a_pool(tmp_path: Path, runs_dir: str, method: str) -> None:
    """Runs that the tasks of a process pool leave open end FINISHED with the worker."""
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    run_python(script, runs_dir, method)
    assert (status(runs_dir, "a"), status(runs_dir, "b")) == ("FINISHED", "FINISHED")


def test_run_started_in_this_process_is_not_ended_by_others(runs_dir: str) -> None:
    """Starting and exiting another interpreter on the same tree changes nothing here."""
    run = start_run(run_id="r")
    run_python("import mini_mlflow; mini_mlflow.ExperimentTracker().list_runs()")
    assert run.status == "RUNNING"
    run.log_metric("m", 1)


END_AND_RESUME = """
import sys
from mini_mlflow import ExperimentTracker, Run
tracker = ExperimentTracker(runs_dir=sys.argv[1])
Run(run_id="r", runs_dir=sys.argv[1]).end()
tracker.start_run(run_id="r").log_metric("loss", 2.0)
"""


def start_and_wait(runs_dir: str, pipe: Any) -> None:
    ExperimentTracker(runs_dir=runs_dir).start_run(run_id="r").log_metric("loss", 1.0)
    pipe.send("started")
    assert pipe.poll(60)


def test_run_that_another_process_has_ended_and_resumed_is_not_ended_at_the_exit_of_its_first_owner(
    runs_dir: str,
) -> None:
    """The first owner, which never learned of the end, leaves the run to the second, which owns it from then on."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with Children() as children:
        here, there = children.context.Pipe()
        children.start(start_and_wait, runs_dir, there)
        assert here.poll(60)
        Run(run_id="r", runs_dir=runs_dir).end()
        run = tracker.start_run(run_id="r")
        run.log_metric("loss", 2.0)
        here.send("leave")
    run.log_metric("loss", 3.0)
    assert status(runs_dir) == "RUNNING"
    tracker.end_run()
    assert [point.value for point in tracker.get_metric_history("r", "loss")] == [1.0, 2.0, 3.0]


def test_resumed_run_of_a_living_former_owner_is_ended_by_who_resumed_it(runs_dir: str) -> None:
    """At its exit, though it could never take the owner lock."""
    code = START + "    import subprocess\n    start_run(run_id='r').log_metric('loss', 1.0)\n"
    code += "    subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]], check=True)\n"
    code += "    print(ExperimentTracker(runs_dir=sys.argv[1]).get_run('r')['metadata']['status'])\n"
    assert run_python(code, runs_dir, END_AND_RESUME).stdout == "FINISHED\n"
    assert status(runs_dir) == "FINISHED"
