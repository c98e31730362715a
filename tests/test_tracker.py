"""ExperimentTracker: starting runs in one tree and experiment, and reading them back while others write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, List

import pytest

from concurrency import run_together
from mini_mlflow import ExperimentTracker, Point, Run, RunNotFoundError, active_run, end_run, start_run

# -- starting ------------------------------------------------------------------------------------------------------


def test_tracker_makes_nothing_until_a_run_starts(tmp_path: Path) -> None:
    """Making a tracker and asking it touches no disk."""
    tracker = ExperimentTracker("baseline", 3, "mlruns")
    assert tracker.list_runs() == []
    assert tracker.get_latest_version("baseline") is None
    assert tracker.get_run_by_version("baseline", "v1.0") is None
    assert os.listdir(tmp_path) == []


def test_runs_take_the_trackers_name_and_experiment(runs_dir: str) -> None:
    """What start_run is not told, it takes from the tracker; what it is told, wins."""
    tracker = ExperimentTracker("baseline", 3, runs_dir)
    first = tracker.start_run()
    tracker.end_run()
    second = tracker.start_run("other", 4, "mine", "v2.0")
    tracker.end_run()
    assert (first.name, first.experiment_id, first.version) == ("baseline", 3, None)
    assert (second.name, second.experiment_id, second.run_id, second.version) == ("other", 4, "mine", "v2.0")


def test_block_starts_and_ends_a_run(runs_dir: str) -> None:
    """``with tracker as run`` gives the run, which is active within the block and finished after it."""
    with ExperimentTracker("baseline", 2, runs_dir) as run:
        assert isinstance(run, Run)
        assert active_run() is run
        assert (run.name, run.experiment_id, run.status) == ("baseline", 2, "RUNNING")
        run.log_param("lr", 0.1)
    assert active_run() is None
    assert run.status == "FINISHED"


def test_experiment_zero_is_an_experiment(runs_dir: str) -> None:
    """A tracker of experiment 5 can be asked for experiment 0, which is not "none given"."""
    tracker = ExperimentTracker("n", 5, runs_dir)
    run = tracker.start_run(experiment_id=0)
    tracker.end_run()
    assert run.experiment_id == 0
    assert tracker.list_runs() == []
    assert tracker.list_runs(0) == [run.run_id]
    assert tracker.get_run(run.run_id, 0)["metadata"]["experiment_id"] == 0


def test_tracker_is_reusable_in_sequence(runs_dir: str) -> None:
    """One tracker gives a new run in each with block."""
    tracker = ExperimentTracker("baseline", runs_dir=runs_dir)
    ids = []
    for n in range(3):
        with tracker as run:
            run.log_param("n", n)
            ids.append(run.run_id)
    assert tracker.list_runs() == ids[::-1]
    assert [tracker.get_run(run_id)["params"] for run_id in ids] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_tracker_is_reusable_from_many_threads_at_once(runs_dir: str) -> None:
    """In each thread, ``with tracker as run`` is that thread's own run, and ends that one."""
    tracker = ExperimentTracker("baseline", runs_dir=runs_dir)

    def work(n: int) -> str:
        with tracker as run:
            for value in range(5):
                assert tracker.active_run() is run
                run.log_metric("m", 100 * n + value)
            return run.run_id

    ids = run_together(*[lambda n=n: work(n) for n in range(8)])
    assert sorted(tracker.list_runs()) == sorted(ids)
    for n, run_id in enumerate(ids):
        assert [point.value for point in tracker.get_metric_history(run_id, "m")] == [100.0 * n + v for v in range(5)]
        assert tracker.get_run(run_id)["metadata"]["status"] == "FINISHED"


def test_exception_in_the_block_ends_the_run_failed(runs_dir: str) -> None:
    """An exception passes through the block, and its run is FAILED and active no more."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with pytest.raises(LookupError, match="mine"):
        with tracker as run:
            run.log_metric("m", 1)
            raise LookupError("mine")
    assert active_run() is None
    assert tracker.get_run(run.run_id)["metadata"]["status"] == "FAILED"
    with tracker as again:
        assert again.run_id != run.run_id


@pytest.mark.parametrize("way", ["run.end", "tracker.end_run", "end_run"])
def test_run_ended_inside_the_block_is_left_alone(runs_dir: str, way: str) -> None:
    """A run that was ended inside the block keeps the status it got there."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        {"run.end": run.end, "tracker.end_run": tracker.end_run, "end_run": end_run}[way]("KILLED")
        assert active_run() is None
    assert tracker.get_run(run.run_id)["metadata"]["status"] == "KILLED"


def test_other_run_started_inside_the_block_is_left_active(runs_dir: str) -> None:
    """A block ends its own run: one that was started after an early end stays active."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        run.end()
        other = start_run()
    assert active_run() is other
    assert other.status == "RUNNING"


def test_blocks_of_one_tracker_do_not_nest(runs_dir: str) -> None:
    """A with block within another is refused as any second run is, and the outer block goes on."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        with pytest.raises(RuntimeError, match="already an active run"):
            with tracker:
                pytest.fail("the inner block was entered")
        assert active_run() is run
    assert run.status == "FINISHED"


def test_tracker_keeps_its_place_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative runs_dir is settled when the tracker is made."""
    tracker = ExperimentTracker(runs_dir="here")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    with tracker as run:
        pass
    assert tracker.list_runs() == [run.run_id]
    assert (tmp_path / "here" / "0" / run.run_id).is_dir()


def test_tracker_and_module_share_the_active_run(runs_dir: str) -> None:
    """The tracker sees runs that the module started, and the other way round."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = start_run()
    assert tracker.active_run() is run
    tracker.end_run()
    assert active_run() is None
    run = tracker.start_run()
    assert active_run() is run
    end_run()
    assert tracker.active_run() is None
    with pytest.raises(RuntimeError, match="No active run"):
        tracker.end_run()


# -- resuming ------------------------------------------------------------------------------------------------------


def test_start_run_of_an_ended_run_resumes_it(runs_dir: str) -> None:
    """The run is RUNNING again with its name, version and start time; numbers go on and the history continues."""
    tracker = ExperimentTracker("baseline", runs_dir=runs_dir)
    first = tracker.start_run(run_id="r", version="v1")
    first.log_param("kept", 1)
    first.log_param("changed", 1)
    for value in (1, 2, 3):
        first.log_metric("m", value)
    tracker.end_run("FAILED")
    second = tracker.start_run("other", run_id="r", version="v2")
    assert (second.name, second.version, second.start_time) == ("baseline", "v1", first.start_time)
    assert (second.status, second.end_time) == ("RUNNING", None)
    metadata = tracker.get_run("r")["metadata"]
    assert (metadata["status"], metadata["end_time"]) == ("RUNNING", None)
    second.log_param("changed", 2)
    second.log_metric("m", 4)
    wanted = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]
    assert [(point.step, point.value) for point in tracker.get_metric_history("r", "m")] == wanted
    tracker.end_run()
    stored = tracker.get_run("r")
    assert stored["metadata"]["status"] == "FINISHED"
    assert stored["metadata"]["start_time"] == first.start_time
    assert stored["params"] == {"kept": 1, "changed": 2}
    assert [(point.step, point.value) for point in tracker.get_metric_history("r", "m")] == wanted


def test_commit_numbers_go_on_after_a_resume(runs_dir: str) -> None:
    """A resumed run's commits have higher numbers than any before; its documents would take a lower one for held."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for round_number in range(3):
        run = tracker.start_run(run_id="r")
        folder = os.path.join(runs_dir, "0", "r", "log")
        for n in range(2):
            run.log_metrics({"m": 10 * round_number + n, "other": 0})
        numbers = sorted(int(name.partition(".")[0]) for name in os.listdir(folder))
        assert numbers[-1] == 2 * round_number + 2
        tracker.end_run()
    values = [point.value for point in tracker.get_metric_history("r", "m")]
    assert values == [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]


def test_start_run_of_a_live_run_attaches(runs_dir: str) -> None:
    """start_run(run_id=X) of a run that another thread has open gives the same run, not a new one."""
    tracker = ExperimentTracker("baseline", runs_dir=runs_dir)
    (first,) = run_together(lambda: tracker.start_run(run_id="r"))
    first.log_metric("m", 1)
    second = tracker.start_run("other", run_id="r")
    assert (second.name, second.start_time) == ("baseline", first.start_time)
    second.log_metric("m", 2)
    first.log_metric("m", 3)
    assert [point.value for point in tracker.get_metric_history("r", "m")] == [1.0, 2.0, 3.0]
    assert tracker.list_runs() == ["r"]


def test_object_from_before_a_resume_loses_nothing(runs_dir: str) -> None:
    """A Run object that was ended, of a run that another has resumed, logs to it or says that it cannot."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    old = tracker.start_run(run_id="r")
    tracker.end_run()
    new = tracker.start_run(run_id="r")
    new.log_metric("m", 1)
    stored = [1.0]
    try:
        old.log_metric("m", 2)
        stored.append(2.0)
    except ValueError as error:
        assert "Cannot log" in str(error)
    assert [point.value for point in tracker.get_metric_history("r", "m")] == stored


# -- listing -------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(runs_dir: str) -> None:
    """list_runs has the newest start first, whatever the ids, the ends and the resumes."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    ids = ["m", "z", "a", "k"]
    runs = [Run(run_id, runs_dir=runs_dir) for run_id in ids]
    for run in (runs[2], runs[0], runs[1]):
        run.end()
    assert tracker.list_runs() == ids[::-1]
    tracker.start_run(run_id="m")
    assert tracker.list_runs() == ids[::-1]


def test_experiments_are_listed_apart(runs_dir: str) -> None:
    """list_runs() lists the tracker's experiment, list_runs(n) another; one that does not exist is empty."""
    for experiment_id in (0, 1, 12):
        Run("r%d" % experiment_id, experiment_id, runs_dir=runs_dir)
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    assert tracker.list_runs() == ["r1"]
    assert tracker.list_runs(12) == ["r12"]
    assert tracker.list_runs("12") == ["r12"]
    assert tracker.list_runs(0) == ["r0"]
    assert tracker.list_runs(99) == []


@pytest.mark.leaves("foreign-file", "empty-run")
def test_foreign_things_in_the_tree_are_not_runs(runs_dir: str) -> None:
    """Files and empty folders beside the runs are passed over in silence."""
    Run("r", runs_dir=runs_dir)
    experiment = Path(runs_dir) / "0"
    (experiment / "notes.txt").write_text("mine")
    (experiment / "empty").mkdir()
    (experiment / ".hidden").mkdir()
    (Path(runs_dir) / "README").write_text("mine")
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["r"]


# -- get_run -------------------------------------------------------------------------------------------------------


def test_get_run_has_four_parts(runs_dir: str) -> None:
    """get_run gives metadata, params, metrics and tags, while the run is live and after its end."""
    tracker = ExperimentTracker("baseline", runs_dir=runs_dir)
    with tracker as run:
        assert tracker.get_run(run.run_id)["params"] == {}
        run.log_param("lr", 0.1)
        run.log_metric("m", 1)
        run.log_metric("m", 2)
        run.set_tag("who", "me")
        live = tracker.get_run(run.run_id)
    ended = tracker.get_run(run.run_id)
    for stored in (live, ended):
        assert list(stored) == ["metadata", "params", "metrics", "tags"]
        assert all(type(part) is dict for part in stored.values())
        assert stored["params"] == {"lr": 0.1}
        assert stored["metrics"] == {"m": 2.0}
        assert type(stored["metrics"]["m"]) is float
        assert stored["tags"] == {"who": "me"}
    assert (live["metadata"]["status"], ended["metadata"]["status"]) == ("RUNNING", "FINISHED")
    assert set(live["metadata"]) <= set(ended["metadata"])


def test_get_run_gives_a_copy(runs_dir: str) -> None:
    """What a caller does to the returned dicts changes nothing for anybody else."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        run.log_param("p", [1])
        for _ in range(2):
            stored = tracker.get_run(run.run_id)
            stored["params"]["p"].append(2)
            stored["metadata"].clear()
            assert run.status == "RUNNING"
            assert tracker.get_run(run.run_id)["params"] == {"p": [1]}


@pytest.mark.parametrize("run_id", ["missing", "0", "mlruns"])
def test_unknown_run_is_not_found(runs_dir: str, run_id: str) -> None:
    """An id that does not exist is a FileNotFoundError and a LookupError, which name it; nothing is made."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for exists in (False, True):
        for error in (FileNotFoundError, LookupError, RunNotFoundError):
            with pytest.raises(error, match=run_id):
                tracker.get_run(run_id)
            with pytest.raises(error, match=run_id):
                tracker.get_metric_history(run_id, "m")
        if not exists:
            assert not os.path.exists(runs_dir)
            Run("r", runs_dir=runs_dir)
    assert tracker.list_runs() == ["r"]


def test_run_of_another_experiment_is_not_found(runs_dir: str) -> None:
    """A run is looked for in the tracker's experiment, or in the one that is named."""
    Run("r", 1, runs_dir=runs_dir).log_metric("m", 1)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with pytest.raises(RunNotFoundError):
        tracker.get_run("r")
    assert tracker.get_run("r", 1)["metrics"] == {"m": 1.0}
    assert len(tracker.get_metric_history("r", "m", experiment_id=1)) == 1


# -- versions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def versions(runs_dir: str) -> ExperimentTracker:
    """Four runs: a v1, a v2, a v1 again (the newest of that name), and b v9."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for run_id, name, version in (("1", "a", "v1"), ("2", "a", "v2"), ("3", "a", "v1"), ("4", "b", "v9")):
        tracker.start_run(name, run_id=run_id, version=version)
        tracker.end_run()
    return tracker


def test_run_by_version_is_the_newest_of_that_name_and_version(versions: ExperimentTracker) -> None:
    """get_run_by_version gives what get_run gives, for the newest match."""
    assert versions.get_run_by_version("a", "v1") == versions.get_run("3")
    assert versions.get_run_by_version("a", "v2") == versions.get_run("2")


def test_latest_version_is_the_newest_run_of_that_name(versions: ExperimentTracker) -> None:
    """The newest start counts, not the greatest version."""
    latest = versions.get_latest_version("a")
    assert latest is not None
    assert latest["metadata"]["run_id"] == "3"
    assert latest == versions.get_run("3")


@pytest.mark.parametrize(("name", "version"), [("a", "v9"), ("b", "v1"), ("c", "v1"), ("", ""), ("A", "v1")])
def test_versions_that_do_not_exist_are_none(versions: ExperimentTracker, name: str, version: str) -> None:
    """No match is None, not an error."""
    assert versions.get_run_by_version(name, version) is None
    assert versions.get_run_by_version(name, version, 7) is None
    assert versions.get_latest_version("c") is None
    assert versions.get_latest_version("a", 7) is None


def test_versions_are_found_in_other_experiments(versions: ExperimentTracker) -> None:
    """The experiment can be named."""
    versions.start_run("a", 7, "other", "v1")
    versions.end_run()
    found: List[Any] = [versions.get_run_by_version("a", "v1", 7), versions.get_latest_version("a", 7)]
    assert [run["metadata"]["run_id"] for run in found] == ["other", "other"]


def test_live_runs_have_versions_too(versions: ExperimentTracker) -> None:
    """A run that has not ended is found by its version."""
    versions.start_run("a", run_id="live", version="v1")
    found = versions.get_run_by_version("a", "v1")
    assert found is not None
    assert (found["metadata"]["run_id"], found["metadata"]["status"]) == ("live", "RUNNING")


# -- histories -----------------------------------------------------------------------------------------------------


def test_history_is_a_list_of_points(runs_dir: str) -> None:
    """Points have step, value and timestamp (ms), in the order in which they were logged."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        run.log_metric("m", 0.5, step=3, timestamp=1000)
        run.log_metric("m", 0.25, timestamp=999)
    wanted = [Point(step=3, value=0.5, timestamp=1000), Point(step=1, value=0.25, timestamp=999)]
    points = tracker.get_metric_history(run.run_id, "m")
    assert points == wanted
    assert [type(item) for item in points[0]] == [int, float, int]


def test_unknown_metric_has_no_points(runs_dir: str) -> None:
    """A metric that was never logged has an empty history; a run that does not exist is an error."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker as run:
        assert tracker.get_metric_history(run.run_id, "m") == []
        run.log_metric("other", 1)
        run.log_param("m", 1)
        assert tracker.get_metric_history(run.run_id, "m") == []
    assert tracker.get_metric_history(run.run_id, "m") == []
    with pytest.raises(RunNotFoundError):
        tracker.get_metric_history("missing", "m")


@pytest.mark.parametrize("key", [None, 1, b"m", ["m"]])
def test_history_of_what_is_no_key_is_refused(runs_dir: str, key: Any) -> None:
    """A key that is no str is a TypeError."""
    with ExperimentTracker(runs_dir=runs_dir) as run:
        pass
    with pytest.raises(TypeError, match="metric key must be a str"):
        ExperimentTracker(runs_dir=runs_dir).get_metric_history(run.run_id, key)


# -- readers never write -------------------------------------------------------------------------------------------


def test_reading_changes_nothing(runs_dir: str) -> None:
    """No reading call makes, changes or touches a file, of a live run and of an ended one."""

    def state() -> Any:
        found = {}
        for folder, names, files in os.walk(runs_dir):
            for name in names + files:
                status = os.stat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (status.st_mtime_ns, status.st_ino, status.st_size)
        return found

    tracker = ExperimentTracker("a", runs_dir=runs_dir)
    live = tracker.start_run(run_id="live", version="v1")
    for n in range(20):
        live.log_metric("m", n)
    Run("ended", name="a", runs_dir=runs_dir).end()
    before = state()
    for run_id in tracker.list_runs():
        tracker.get_run(run_id)
        tracker.get_metric_history(run_id, "m")
    tracker.get_run_by_version("a", "v1")
    tracker.get_latest_version("a")
    assert state() == before
