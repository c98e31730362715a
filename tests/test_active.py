"""Each thread's active run: nesting, lending to a block, and runs that end behind the thread's back."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict

import pytest

from concurrency import run_python, run_together
from mini_mlflow import (
    ExperimentTracker,
    Run,
    active_run,
    end_run,
    log_metric,
    log_param,
    start_run,
)


def metadata(run: Run) -> Dict[str, Any]:
    """The run's metadata as a reader sees it."""
    found = ExperimentTracker(experiment_id=run.experiment_id, runs_dir=run.runs_dir).get_run(run.run_id)["metadata"]
    return dict(found)


# -- nesting -------------------------------------------------------------------------------------------------------


def test_nested_run_records_its_parent() -> None:
    """nested=True starts a run within the active one, which is active again afterwards; the parent is on disk."""
    parent = start_run("parent")
    child = start_run("child", nested=True)
    assert active_run() is child
    log_param("whose", "child")
    grandchild = start_run("grandchild", nested=True)
    end_run()
    assert active_run() is child
    end_run()
    assert active_run() is parent
    log_param("whose", "parent")
    end_run()
    assert active_run() is None
    assert [metadata(run)["parent_run_id"] for run in (parent, child, grandchild)] == [
        None,
        parent.run_id,
        child.run_id,
    ]
    assert (child.parent_run_id, parent.parent_run_id) == (parent.run_id, None)
    assert ExperimentTracker().get_run(child.run_id)["params"] == {"whose": "child"}
    assert ExperimentTracker().get_run(parent.run_id)["params"] == {"whose": "parent"}


def test_nested_without_a_parent_is_an_ordinary_run() -> None:
    """nested=True with no active run records no parent."""
    run = start_run(nested=True)
    assert (run.parent_run_id, metadata(run)["parent_run_id"]) == (None, None)


def test_trackers_nest_with_each_other_and_the_module(runs_dir: str) -> None:
    """The stack is one for trackers and module: a tracker's nested run has the module's run as its parent."""
    parent = start_run()
    tracker = ExperimentTracker(runs_dir=runs_dir)
    child = tracker.start_run(nested=True)
    assert child.parent_run_id == parent.run_id
    tracker.end_run()
    assert active_run() is parent


def test_nested_blocks_end_inside_out() -> None:
    """``with start_run(nested=True)`` ends the inner run and leaves the outer active."""
    with start_run() as parent:
        with start_run(nested=True) as child:
            assert active_run() is child
        assert active_run() is parent
        assert child.status == "FINISHED"
        assert parent.status == "RUNNING"
    assert active_run() is None


def test_parent_may_end_before_its_child() -> None:
    """Ending an outer run takes it out of the stack; the inner one stays active."""
    parent = start_run()
    child = start_run(nested=True)
    parent.end()
    assert active_run() is child
    end_run()
    assert active_run() is None


def test_refused_start_leaves_the_stack_as_it_was() -> None:
    """A start_run that fails for any reason leaves the active run active."""
    run = start_run()
    for arguments in ({"run_id": "a/b"}, {"experiment_id": -1}, {"run_name": 1}, {"version": 1}):
        with pytest.raises((ValueError, TypeError)):
            start_run(nested=True, **arguments)  # type: ignore[arg-type]
    assert active_run() is run
    assert ExperimentTracker().list_runs() == [run.run_id]


# -- runs that end otherwise ---------------------------------------------------------------------------------------


def test_end_of_the_active_run_clears_it() -> None:
    """run.end() on the active run makes it active no more; the next start_run is not blocked."""
    run = start_run()
    run.end()
    assert active_run() is None
    with pytest.raises(RuntimeError, match="No active run"):
        log_metric("m", 1)
    assert start_run().run_id != run.run_id


def end_in_thread(run: Run) -> None:
    run_together(run.end)


def end_through_another_object(run: Run) -> None:
    Run(run.run_id, runs_dir=run.runs_dir).end()


def end_in_process(run: Run) -> None:
    run_python("import sys, mini_mlflow as m; m.Run(sys.argv[2], runs_dir=sys.argv[1]).end()", run.runs_dir, run.run_id)


def delete(run: Run) -> None:
    shutil.rmtree(os.path.join(run.runs_dir, "0", run.run_id))


def delete_tree(run: Run) -> None:
    shutil.rmtree(run.runs_dir)


@pytest.mark.parametrize("otherwise", [end_in_thread, end_through_another_object, end_in_process, delete, delete_tree])
def test_run_ended_by_somebody_else_does_not_block_the_next(otherwise: Callable[[Run], None]) -> None:
    """An active run that was ended elsewhere, or whose folder is gone, does not block start_run."""
    gone = start_run()
    log_metric("m", 1)
    otherwise(gone)
    run = start_run()
    assert active_run() is run
    assert run.parent_run_id is None
    log_metric("m", 2)
    end_run()
    assert active_run() is None
    assert ExperimentTracker().get_run(run.run_id)["metrics"] == {"m": 2.0}


def test_run_ended_by_another_process_is_no_parent() -> None:
    """A nested run is not the child of a run that has ended meanwhile."""
    end_in_process(start_run())
    assert start_run(nested=True).parent_run_id is None


def test_end_run_of_a_run_ended_by_another_process() -> None:
    """end_run() says that the run is already ended, once; then there is no active run."""
    end_in_process(start_run())
    with pytest.raises(ValueError, match="already ended"):
        end_run()
    assert active_run() is None
    with pytest.raises(RuntimeError, match="No active run"):
        end_run()


@pytest.mark.parametrize("remove", [delete, delete_tree])
def test_end_run_of_a_deleted_run_says_so(remove: Callable[[Run], None]) -> None:
    """end_run() with the folder deleted is an OSError that names the path; the next start_run works."""
    gone = start_run()
    remove(gone)
    with pytest.raises(FileNotFoundError) as raised:
        end_run()
    assert str(raised.value.filename).startswith(gone.runs_dir)
    run = start_run()
    assert active_run() is run
    end_run()


# -- threads -------------------------------------------------------------------------------------------------------


def test_active_runs_of_threads_are_their_own() -> None:
    """A thread starts with no active run, and what it starts or ends is active in no other."""
    mine = start_run()

    def work() -> Run:
        assert active_run() is None
        with pytest.raises(RuntimeError, match="No active run"):
            log_metric("m", 1)
        with pytest.raises(RuntimeError, match="No active run"):
            end_run()
        run = start_run()
        log_metric("m", 2)
        assert active_run() is run
        end_run()
        assert active_run() is None
        return run

    others = run_together(*[work] * 4)
    assert active_run() is mine
    assert len({run.run_id for run in others}) == 4
    log_metric("m", 1)
    assert ExperimentTracker().get_run(mine.run_id)["metrics"] == {"m": 1.0}


def test_threads_of_a_pool_are_reused() -> None:
    """In a pool whose threads serve many tasks, each task finds no active run and leaves none."""

    def task(n: int) -> str:
        assert active_run() is None
        with start_run() as run:
            log_param("n", n)
        return run.run_id

    with ThreadPoolExecutor(3) as pool:
        ids = list(pool.map(task, range(30)))
    assert [ExperimentTracker().get_run(run_id)["params"]["n"] for run_id in ids] == list(range(30))


def test_run_ended_by_another_thread_is_active_no_more() -> None:
    """When a second thread ends this thread's run, active_run() here is None."""
    run = start_run()
    end_in_thread(run)
    assert active_run() is None
    assert metadata(run)["status"] == "FINISHED"


# -- activate ------------------------------------------------------------------------------------------------------


def test_activate_lends_a_run_to_a_thread() -> None:
    """Within ``run.activate()`` the module functions of a worker thread log to the run; leaving does not end it."""
    run = start_run()

    def work() -> None:
        with run.activate() as activated:
            assert activated is run
            assert active_run() is run
            log_metric("m", 1)
        assert active_run() is None

    run_together(*[work] * 4)
    assert active_run() is run
    assert run.status == "RUNNING"
    assert len(ExperimentTracker().get_metric_history(run.run_id, "m")) == 4


def test_activate_covers_what_was_active() -> None:
    """A run that was active before is active again after the block, also after an exception."""
    outer, inner = start_run(), Run()
    with pytest.raises(LookupError):
        with inner.activate():
            assert active_run() is inner
            with outer.activate():
                assert active_run() is outer
            assert active_run() is inner
            raise LookupError
    assert active_run() is outer
    assert inner.status == "RUNNING"


def test_activate_twice_is_undone_twice() -> None:
    """The same run can be activated within itself; each block takes back its own."""
    run = Run()
    with run.activate():
        with run.activate():
            assert active_run() is run
        assert active_run() is run
    assert active_run() is None


def test_run_ended_within_activate_is_active_no_more() -> None:
    """Ending the run within its block clears it there, and leaving the block is no error."""
    run = Run()
    with run.activate():
        run.end()
        assert active_run() is None
        other = start_run()
    assert active_run() is other


def test_activated_run_can_be_a_parent() -> None:
    """A nested run started within ``run.activate()`` records the activated run as its parent."""
    run = Run()
    with run.activate():
        with pytest.raises(RuntimeError, match="already an active run"):
            start_run()
        assert start_run(nested=True).parent_run_id == run.run_id
        end_run()


def test_stacks_do_not_keep_threads_waiting() -> None:
    """A thread may hold a run active for as long as it likes without standing in another's way."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with start_run():
            entered.set()
            assert leave.wait(60)

    def work() -> None:
        assert entered.wait(60)
        with start_run():
            log_metric("m", 1)
        leave.set()

    run_together(hold, work)
