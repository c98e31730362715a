"""Runs and trackers travel: by pickle and cloudpickle, to spawned processes, and open lazily where they arrive."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from pathlib import Path
from typing import Any, Dict

import pytest

import mini_mlflow
from concurrency import Children, run_together
from mini_mlflow import ExperimentTracker, Run, RunEndedError, RunNotFoundError, errors, start_run


def by_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def by_first_protocol(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing, protocol=0))


def by_cloudpickle(thing: Any) -> Any:
    cloudpickle = pytest.importorskip("cloudpickle")
    return pickle.loads(cloudpickle.dumps(thing))


WAYS = [by_pickle, by_first_protocol, by_cloudpickle, copy.copy, copy.deepcopy]


def listing(root: Path) -> Dict[str, Any]:
    """Every file and folder below, with what tells whether it was touched."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*")}


def stored_values(runs_dir: str, run_id: str) -> Any:
    return [point.value for point in ExperimentTracker(runs_dir=runs_dir).get_metric_history(run_id, "m")]


@pytest.mark.parametrize("way", WAYS)
def test_run_that_travelled_logs_to_the_same_run(runs_dir: str, way: Any) -> None:
    """A run that went through pickle is the same run: its metadata, its points, its end."""
    run = Run("r", 3, "baseline", "v1", runs_dir)
    run.log_metric("m", 1)
    other = way(run)
    other.log_metric("m", 2)
    run.log_metric("m", 3)
    assert (other.run_id, other.experiment_id, other.name, other.version) == ("r", 3, "baseline", "v1")
    assert (other.status, other.start_time, other.runs_dir) == ("RUNNING", run.start_time, runs_dir)
    tracker = ExperimentTracker(experiment_id=3, runs_dir=runs_dir)
    assert [point.value for point in tracker.get_metric_history("r", "m")] == [1.0, 2.0, 3.0]
    other.end("KILLED")
    assert tracker.get_run("r")["metadata"]["status"] == "KILLED"
    with pytest.raises(RunEndedError, match="Cannot log"):
        run.log_metric("m", 4)


@pytest.mark.parametrize("way", WAYS)
def test_tracker_that_travelled_is_the_same_tracker(runs_dir: str, way: Any) -> None:
    """A tracker that went through pickle starts and reads the same runs."""
    tracker = ExperimentTracker("baseline", 3, runs_dir, fsync="always", lock_timeout_s=7.0)
    other = way(tracker)
    assert (other.run_name, other.experiment_id, other.runs_dir) == ("baseline", 3, runs_dir)
    assert other._settings == tracker._settings
    with other as run:
        run.log_metric("m", 1)
    assert tracker.list_runs() == [run.run_id]
    assert tracker.get_run(run.run_id)["metadata"]["name"] == "baseline"


@pytest.mark.parametrize("way", [by_pickle, by_cloudpickle])
def test_unpickling_touches_no_disk(runs_dir: str, way: Any) -> None:
    """What arrives opens its files at its first use, not before."""
    run, tracker = Run("r", runs_dir=runs_dir), ExperimentTracker(runs_dir=runs_dir)
    data = [pickle.dumps(thing) for thing in (run, tracker)]
    run.end()
    shutil.rmtree(runs_dir)
    other, other_tracker = [pickle.loads(text) for text in data]
    other_again = way(other)
    assert not os.path.exists(runs_dir)
    assert (other.run_id, other.experiment_id, other.runs_dir) == ("r", 0, runs_dir)
    assert "run_id='r'" in repr(other)
    assert other_tracker.list_runs() == []
    for use in (lambda: other.log_metric("m", 1), lambda: other_again.name, other.end, other_again.flush):
        with pytest.raises(RunNotFoundError, match="'r'"):
            use()
    assert not os.path.exists(runs_dir)


def test_run_that_was_removed_is_not_found_at_first_use(runs_dir: str) -> None:
    """A run whose folder is gone is a RunNotFoundError, which names it; unpickling does not make it again."""
    run = Run("r", runs_dir=runs_dir)
    Run("other", runs_dir=runs_dir)
    data = pickle.dumps(run)
    run.end()
    shutil.rmtree(os.path.join(runs_dir, "0", "r"))
    other = pickle.loads(data)
    for error in (RunNotFoundError, FileNotFoundError, LookupError):
        with pytest.raises(error, match="'r'"):
            other.log_metric("m", 1)
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["other"]


def test_ended_run_arrives_ended(runs_dir: str) -> None:
    """A run that has ended, before or after it was pickled, says so where it arrives, and is not resumed."""
    run = Run("r", runs_dir=runs_dir)
    data = pickle.dumps(run)
    run.end("FAILED")
    for other in (pickle.loads(data), by_pickle(run)):
        assert other.status == "FAILED"
        with pytest.raises(RunEndedError, match="Cannot log"):
            other.log_metric("m", 1)
        with pytest.raises(ValueError, match="already ended"):
            other.end()


def test_settings_travel(runs_dir: str) -> None:
    """The fsync level and the lock timeout of a run go with it."""
    run = Run("r", runs_dir=runs_dir, fsync="never", lock_timeout_s=3.0)
    assert by_pickle(run)._settings == run._settings


def test_pickle_is_small_and_travels_far(runs_dir: str) -> None:
    """A pickled run is its ids and settings, however much was logged to it."""
    run = Run("r", runs_dir=runs_dir)
    before = len(pickle.dumps(run))
    for n in range(100):
        run.log_metric("m", n)
    assert len(pickle.dumps(run)) == before < 1000


def test_unpickled_in_many_threads_at_once(runs_dir: str) -> None:
    """One unpickled run whose first use is in many threads at once opens once, and loses nothing."""
    other = by_pickle(Run("r", runs_dir=runs_dir))
    run_together(*[lambda n=n: other.log_metric("m", n) for n in range(8)])
    assert sorted(stored_values(runs_dir, "r")) == [float(n) for n in range(8)]


def log_to(run: Run, first: int) -> None:
    for n in range(first, first + 10):
        run.log_metric("m", n)


def start_one(tracker: ExperimentTracker, run_id: str) -> None:
    with tracker.start_run(run_id=run_id) as run:
        run.log_metric("m", 1)


def expect_lost(run: Run) -> None:
    try:
        run.log_metric("m", 1)
    except RunNotFoundError:
        raise SystemExit(7) from None


def test_runs_and_trackers_as_arguments_of_spawned_processes(runs_dir: str) -> None:
    """A run and a tracker can be handed to spawned processes, which log to the parent's run and start their own."""
    run, tracker = Run("r", runs_dir=runs_dir), ExperimentTracker("child", runs_dir=runs_dir)
    lost = Run("lost", runs_dir=runs_dir)
    lost.end()
    shutil.rmtree(os.path.join(runs_dir, "0", "lost"))
    with Children("spawn") as children:
        children.start(log_to, run, 100)
        children.start(start_one, tracker, "own")
        children.start(expect_lost, lost, exitcode=7)
        log_to(run, 0)
    assert sorted(stored_values(runs_dir, "r")) == [float(n) for n in [*range(10), *range(100, 110)]]
    assert run.status == "RUNNING"
    assert tracker.get_run("r")["metadata"]["status"] == "RUNNING"
    assert tracker.get_run("own")["metadata"]["name"] == "child"


def test_closure_over_an_active_run_travels(runs_dir: str) -> None:
    """cloudpickle takes a function that refers to a run and a tracker."""
    cloudpickle = pytest.importorskip("cloudpickle")
    mini_mlflow.set_runs_dir(runs_dir)
    run, tracker = start_run(run_id="r"), ExperimentTracker(runs_dir=runs_dir)

    def work(value: float) -> Any:
        run.log_metric("m", value)
        return tracker.get_run(run.run_id)["metrics"]

    assert pickle.loads(cloudpickle.dumps(work))(0.5) == {"m": 0.5}


ERRORS = [
    errors.NoActiveRunError("No active run"),
    errors.ActiveRunError("already an active run"),
    errors.RunEndedError("Cannot log"),
    errors.InvalidKeyError("cannot be empty"),
    errors.InvalidPathError("cannot be empty"),
    errors.InvalidValueError("too large"),
    errors.InvalidTypeError("must be a str"),
    errors.RunNotFoundError(2, "Run 'r' not found", "/tree/0/r"),
    errors.ArtifactNotFoundError(2, "Run 'r' has no artifact 'a'", "/tree/0/r/artifacts/a"),
    errors.LockTimeout(110, "held", "/tree/.locks/0/r.lock"),
    errors.OutsideTreeError(20, "is a symbolic link", "/tree/0/r"),
    errors.ServerError("http://host:5000: nothing answers"),
    errors.AmbiguousRunError("2 runs fit 'a'"),
    errors.InvalidFilterError("metrics.loss <", 14, "expected a number, found the end"),
    errors.MissingExtraError.of("to_pandas()", "pandas", "pandas", "pandas"),
    errors.RunDeletedError("Cannot log"),
    errors.RunExistsError(17, "A run 'r' stands there", "/tree/0/r"),
    errors.ExperimentExistsError(17, "taken", "/tree"),
    errors.ExperimentDeletedError("restore it"),
    errors.ExperimentNotFoundError(2, "not found", "/tree/7"),
    errors.TreeBusyError("in the middle"),
    errors.TagNotFoundError("there is no tag 'stage'"),
    errors.DamagedFileError("/tree/0/r/meta.yaml", "is empty"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_travel(error: Exception) -> None:
    """A worker's error arrives with its type, its message and its path."""
    other = by_pickle(error)
    assert type(other) is type(error)
    assert (str(other), other.args) == (str(error), error.args)
    assert getattr(other, "filename", None) == getattr(error, "filename", None)
    assert getattr(other, "path", None) == getattr(error, "path", None)


def test_every_error_is_tested_here() -> None:
    """Each error that the package defines is a built-in error too, and one of those that travel above."""
    defined = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)]
    own = [
        error for error in defined if issubclass(error, errors.MiniMlflowError) and error is not errors.MiniMlflowError
    ]
    assert {type(error) for error in ERRORS} == set(own)
    for error in own:
        assert issubclass(error, (ValueError, TypeError, RuntimeError, LookupError, OSError, ImportError))
