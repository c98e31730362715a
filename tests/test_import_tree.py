"""Two trees of mini-mlflow become one: ids are kept, names join, and what is new of a run comes along."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from concurrency import run_python, run_together
from mini_mlflow import ExperimentTracker, ImportReport, InvalidValueError, Run, import_tree
from mini_mlflow.disk.layout import MODELS, TRACES, RunPaths, small_root
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.formats.mlflow_records import MODEL, ModelRecord, dump_model
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest
from mlflow_layout import make_experiment, make_run


@pytest.fixture
def other() -> ExperimentTracker:
    """The tree that comes in."""
    return ExperimentTracker(runs_dir="other")


@pytest.fixture
def ours() -> ExperimentTracker:
    """The tree that it comes into."""
    return ExperimentTracker(runs_dir="ours")


def take_in(**options: Any) -> ImportReport:
    return import_tree("other", "ours", **options)


def fill(tracker: ExperimentTracker, run_id: str, steps: int = 3, **options: Any) -> None:
    with tracker.start_run(run_id=run_id, **options) as run:
        run.log_params({"lr": 0.01, "layers": [64, None, float("inf")], "on": True})
        run.set_tag("stage", "x")
        for step in range(steps):
            run.log_metric("loss", 1.0 / (step + 1), step=step * 10, timestamp=1000 + step)
        run.log_text("text", "notes/a.txt")


def describe(tracker: ExperimentTracker, run_id: str, experiment_id: int = 0) -> Any:
    """All that is to be the same in both trees."""
    found = tracker.get_run(run_id, experiment_id)
    own = ("commit", "experiment_id", "owned")
    metadata = {name: value for name, value in found["metadata"].items() if name not in own and value is not None}
    histories = {key: tracker.get_metric_history(run_id, key, experiment_id) for key in found["metrics"]}
    artifacts = [one.path for one in tracker.list_artifacts(run_id, experiment_id=experiment_id)]
    return metadata, found["params"], found["tags"], histories, artifacts


def test_runs_keep_all_that_they_have(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """Ids that are no hex digits, versions, parents, types of params, times and origin."""
    with other.start_run("outer", run_id="job-17", version="v2"):
        fill(other, "inner", nested=True)
    promised = take_in(dry_run=True)
    assert not os.path.exists("ours")
    report = take_in()
    assert promised == report._replace(dry_run=True)
    assert (report.runs, report.points, report.artifacts, report.problems) == (2, 3, 1, [])
    for run_id in ("job-17", "inner"):
        assert describe(ours, run_id) == describe(other, run_id)
    assert ours.get_run("inner")["metadata"]["parent_run_id"] == "job-17"
    again = take_in()
    assert (again.unchanged_runs, again.points + again.params + again.tags + again.artifacts) == (2, 0)


def test_experiment_of_the_same_name_is_joined(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """Numbers differ; one that is free is kept, and runs under a number alone stay so."""
    ours.create_experiment("first")
    ours.create_experiment("both", tags={"a": 1})
    other.create_experiment("both", tags={"a": 2, "b": 3})
    fill(other, "one", experiment_id=1)
    fill(other, "two", experiment_id=7)
    report = take_in()
    assert report.experiments == 0
    assert ours.list_runs(2) == ["one"]
    assert ours.list_runs(7) == ["two"]
    assert (ours.get_experiment(2).tags, ours.get_experiment(7).name) == ({"a": 1, "b": 3}, None)


def test_deleted_runs_and_experiments_are_deleted_here(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    fill(other, "gone")
    other.delete_run("gone")
    number = other.create_experiment("dropped")
    fill(other, "with it", experiment_id=number)
    other.delete_experiment(number)
    assert take_in().deleted_runs == 2
    assert sorted(one.run_id for one in ours.list_deleted_runs()) == ["gone", "with it"]
    assert ours.get_experiment(number).lifecycle_stage == "deleted"
    assert take_in().unchanged_runs == 2
    ours.restore_run("gone")
    assert describe(ours, "gone")[1:4] == describe_deleted(other, "gone")


def describe_deleted(tracker: ExperimentTracker, run_id: str) -> Any:
    tracker.restore_run(run_id)
    return describe(tracker, run_id)[1:4]


def test_origin_that_a_run_does_not_tell_is_not_taken_for_that_of_the_import(
    other: ExperimentTracker, ours: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a run that was logged at a prompt, which is of no script."""
    code = """
        from mini_mlflow import Run
        Run("r", runs_dir="other").end()
    """
    run_python(code, cwd=os.getcwd())
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/import.py", raising=False)
    take_in()
    assert other.get_run("r")["metadata"].get("script") is None
    assert ours.get_run("r")["metadata"]["script"] is None


def test_run_that_is_in_both_gets_what_is_new(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """The points of both, a value that was set later there, and none that was set later here."""
    fill(other, "r")
    shutil.copytree("other", "ours")
    with ours.start_run(run_id="r") as run:
        run.log_metric("loss", 5.0, step=99, timestamp=5)
    set_tag(other, "stage", "later there")
    with other.start_run(run_id="r") as run:
        run.log_metrics({"loss": 7.0, "new": 8.0}, step=7, timestamp=7)
        run.log_param("extra", "x")
    set_tag(ours, "mine", "kept")
    set_tag(other, "mine", "never")
    set_tag(ours, "mine", "kept")
    report = take_in()
    assert (report.updated_runs, report.points, report.params, report.tags) == (1, 2, 1, 1)
    found = ours.get_run("r")
    assert (found["tags"], found["params"]["extra"]) == ({"stage": "later there", "mine": "kept"}, "x")
    assert [point.step for point in ours.get_metric_history("r", "loss")] == [0, 10, 20, 99, 7]
    assert "kept" in report.problems[0].reason
    assert take_in().points == 0


def set_tag(tracker: ExperimentTracker, key: str, value: str) -> None:
    amend_at(RunAddress(tracker.runs_dir, 0, "r"), Settings(), batch_submission(tags={key: value}))


def test_point_that_was_logged_twice_comes_twice(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """Two processes may well log the same; a second import still adds nothing."""
    with other.start_run(run_id="r") as run:
        for _ in range(3):
            run.log_metric("loss", 0.5, step=1, timestamp=1)
    assert take_in().points == 3
    assert take_in().points == 0
    assert len(ours.get_metric_history("r", "loss")) == 3


def test_points_that_are_hidden_there_do_not_come(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    with other.start_run(run_id="r") as run:
        for step in range(5):
            run.log_metric("loss", float(step), step=step)
        run.rewind(1)
    take_in()
    paths = RunPaths.of(RunAddress(ours.runs_dir, 0, "r"))
    assert [point.step for point in read_history(paths, "loss").stored] == [0, 1]


def test_open_run_is_open_here_and_ends_when_it_has_ended_there(
    other: ExperimentTracker, ours: ExperimentTracker
) -> None:
    run = other.start_run(run_id="r")
    run.log_metric("loss", 1.0)
    take_in()
    assert ours.get_run("r")["metadata"]["status"] == "RUNNING"
    run.log_metric("loss", 2.0)
    run.end("KILLED")
    assert take_in().points == 1
    assert describe(ours, "r") == describe(other, "r")


@pytest.mark.leaves("dead-owner")
def test_crashed_run_is_crashed_here(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """Whether it comes in after its crash, or was running when it came in first."""
    for first in (False, True):
        run_id = "first" if first else "later"
        run = Run(run_id=run_id, runs_dir="other")
        run.log_metric("loss", 1.0)
        if first:
            take_in()
        run._opened().give_up_ownership()
    take_in()
    assert [ours.get_run(run_id)["metadata"]["status"] for run_id in ("first", "later")] == ["CRASHED", "CRASHED"]


def test_what_mlflow_keeps_beside_runs_comes_along(other: ExperimentTracker, ours: ExperimentTracker) -> None:
    """A logged model with its artifacts, whose place is another one here; the registry stays where it is."""
    ours.create_experiment("in the way")
    number = other.create_experiment("vision")
    place = Path(other.runs_dir, str(number), "models", "m-1", "artifacts")
    place.mkdir(parents=True)
    (place / "w.bin").write_bytes(b"weights")
    make_small(small_root(other.runs_dir, MODELS), number, "m-1", dump_model(ModelRecord(place.as_uri(), 1, 2)))
    make_small(small_root(other.runs_dir, TRACES), number, "tr-1", ("mlflow.artifactLocation", "s3://far"))
    Path(other.runs_dir, "registry.db").write_bytes(b"")
    report = take_in()
    assert (report.models, report.traces, report.artifacts, report.runs) == (1, 1, 1, 0)
    assert ["registry.db" in problem.path for problem in report.problems] == [False, True]
    here = Path(ours.runs_dir, "2", "models", "m-1", "artifacts")
    assert (here / "w.bin").read_bytes() == b"weights"
    tags = ExperimentTracker(runs_dir=small_root(ours.runs_dir, MODELS)).get_run("m-1", 2)["tags"]
    assert tags[MODEL]["artifact_location"] == here.as_uri()
    again = take_in()
    assert (again.models, again.traces, again.artifacts) == (0, 0, 0)


def make_small(root: str, number: int, item_id: str, tag: Any) -> None:
    settings = Settings()
    request = StartRequest(take_ownership=False, end_at_exit=False)
    run = lifecycle.start(RunAddress(root, number, item_id), request, settings)
    run.submit(batch_submission(tags=dict([tag])))
    lifecycle.end(run, "FINISHED")


def test_paths_that_are_no_trees_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make_run(make_experiment(tmp_path / "mlflow"))
    for path, told in (("missing", "no folder"), ("empty", "no experiment"), ("mlflow", "import mlflow")):
        with pytest.raises(InvalidValueError) as caught:
            import_tree(path, "ours")
        assert told in str(caught.value)
    assert not os.path.exists("ours")


def test_tree_whose_runs_are_logged_to_meanwhile_comes_in_whole(
    other: ExperimentTracker, ours: ExperimentTracker
) -> None:
    """What another process logs during the imports is here after the last one, once."""
    code = """
        from mini_mlflow import ExperimentTracker
        with ExperimentTracker(runs_dir="other").start_run(run_id="r") as run:
            for step in range(300):
                run.log_metric("loss", float(step), step=step)
            print("done")
    """
    fill(other, "r0")

    def import_again() -> List[int]:
        return [take_in().points for _ in range(5)]

    run_together(lambda: run_python(code, cwd=os.getcwd()), import_again)
    take_in()
    assert describe(ours, "r") == describe(other, "r")


def test_report_says_what_it_counts() -> None:
    told: Dict[str, Any] = ImportReport("a", "b").to_dict()
    assert (told["source"], told["problems"], told["runs"]) == ("a", [], 0)
