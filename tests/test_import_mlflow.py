"""Trees of MLflow's file stores come in whole, again and again, and what cannot be read of them is told."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from mini_mlflow import DamagedFileError, ExperimentTracker, ImportReport, InvalidValueError, Point, import_mlflow
from mini_mlflow.disk.layout import MODELS, RunPaths, small_root
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.exchange import filling, seen_points
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission
from mlflow_answers import Comparison
from mlflow_layout import (
    RUN_ID,
    T0,
    dump_yaml,
    log_param,
    log_points,
    make_experiment,
    make_run,
    points,
    set_tag,
    write,
)

DATA = Path(__file__).parent / "data"
VERSIONS = ("1_30", "2_9", "2_22", "3_17", "3_18")
#: Which counts of a report say that something was changed.
CHANGES = ("experiments", "runs", "updated_runs", "points", "params", "tags", "artifacts", "models", "traces")


def unpack(version: str, where: Path) -> Path:
    """A tree that this version has written, which stood in another place then."""
    with tarfile.open(str(DATA / ("mlflow_%s.tar.gz" % version))) as archive:
        options: Dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(str(where), **options)
    return where / "mlruns"


def changes(report: ImportReport) -> Dict[str, int]:
    return {name: getattr(report, name) for name in CHANGES if getattr(report, name)}


def reasons(report: ImportReport, tree: Path) -> Dict[str, str]:
    """What was told, by the path within the tree."""
    return {os.path.relpath(problem.path, str(tree)): problem.reason for problem in report.problems}


def history(run_id: str = RUN_ID, key: str = "loss", experiment_id: int = 0) -> List[Point]:
    return ExperimentTracker(runs_dir="runs").get_metric_history(run_id, key, experiment_id)


def get_run(run_id: str = RUN_ID, experiment_id: int = 0) -> Dict[str, Any]:
    return ExperimentTracker(runs_dir="runs").get_run(run_id, experiment_id)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An empty tree of MLflow's."""
    (tmp_path / "old").mkdir()
    return tmp_path / "old"


@pytest.fixture
def run(old: Path) -> Path:
    """The folder of a run with one of everything."""
    folder = make_run(make_experiment(old))
    log_param(folder, "lr", "0.01")
    set_tag(folder, "mlflow.runName", "named")
    log_points(folder, "loss", points(5))
    write(folder / "artifacts" / "deep" / "model.bin", "model")
    return folder


# -- whole trees of whole versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_tree_of_a_version_comes_in_as_that_version_reads_it(version: str, tmp_path: Path) -> None:
    """All that was asked of the MLflow that wrote it is the same here; a second import adds nothing."""
    tree = unpack(version, tmp_path)
    promised = import_mlflow(tree, "runs", dry_run=True)
    assert not os.path.exists("runs")
    report = import_mlflow(tree, "runs")
    assert report._replace(dry_run=True, problems=[]) == promised._replace(problems=[])
    comparison = Comparison(
        os.path.abspath("runs"), json.loads((DATA / ("mlflow_%s.json" % version)).read_text("utf-8"))
    )
    assert comparison.run() == []
    assert comparison.counts["point"] > 30
    # s3://… is left where it is, and nothing else.
    assert [problem.reason.partition(": ")[2][:5] for problem in report.problems] == ["s3://"]
    again = import_mlflow(tree, "runs")
    assert (changes(again), again.problems, again.unchanged_runs) == ({}, report.problems, report.runs)


def test_models_and_their_artifacts_stand_where_the_plugin_looks_for_them(tmp_path: Path) -> None:
    tree = unpack("3_17", tmp_path)
    report = import_mlflow(tree, "runs")
    assert (report.models, report.traces) == (4, 1)
    (weights,) = Path("runs").glob("*/models/*/artifacts/w.bin")
    number, _, model_id = weights.parts[1:4]
    view = ExperimentTracker(runs_dir=small_root("runs", MODELS)).get_run(model_id, int(number))
    location = view["tags"]["mini_mlflow:model"]["artifact_location"]
    assert location == weights.parent.resolve().as_uri()
    assert len(ExperimentTracker(runs_dir=small_root("runs", MODELS)).list_deleted_runs()) == 1
    spans = list(Path("runs").glob("*/traces/*/artifacts/traces.json"))
    assert len(spans) == 1


# -- what a run is -------------------------------------------------------------------------------------------------


def test_run_of_an_old_version_comes_in(old: Path) -> None:
    """Before 1.0: no run_id, no steps, ids of experiments as numbers, no name but the tag."""
    folder = old / "3" / RUN_ID
    write(old / "3" / "meta.yaml", "artifact_location: /elsewhere/3\nexperiment_id: 3\nname: old\n")
    meta = {"run_uuid": RUN_ID, "experiment_id": 3, "status": 3, "start_time": T0, "end_time": T0 + 1, "name": ""}
    write(folder / "meta.yaml", dump_yaml(meta))
    set_tag(folder, "mlflow.runName", "by tag")
    write(folder / "metrics" / "acc", "%d 0.5\n%d 0.75\n" % (T0, T0 + 1))
    report = import_mlflow(old, "runs")
    assert report.problems == []
    assert history(key="acc", experiment_id=3) == [Point(0, 0.5, T0), Point(0, 0.75, T0 + 1)]
    found = get_run(experiment_id=3)
    assert (found["metadata"]["name"], found["metadata"]["status"]) == ("by tag", "FINISHED")
    assert ExperimentTracker(runs_dir="runs").get_experiment(3).name == "old"


@pytest.mark.parametrize(
    ("status", "told"),
    [(1, "RUNNING"), (2, "RUNNING"), (3, "FINISHED"), (4, "FAILED"), (5, "KILLED"), (None, "RUNNING")],
)
def test_status_and_times_are_kept(status: Any, told: str, old: Path) -> None:
    """An open run is open here too, though nobody owns it; of a scheduled one, the metadata says so."""
    make_run(make_experiment(old), status=status, end_time=None if told == "RUNNING" else T0 + 5000)
    import_mlflow(old, "runs")
    metadata = get_run()["metadata"]
    assert (metadata["status"], metadata["user"], metadata["script"]) == (told, "someone", None)
    assert iso_to_ms(metadata["start_time"]) == T0
    assert iso_to_ms(metadata["end_time"]) == (None if told == "RUNNING" else T0 + 5000)
    assert metadata.get("mlflow_status") == ("SCHEDULED" if status == 2 else None)


def test_keys_and_values_are_kept_to_the_byte(run: Path, old: Path) -> None:
    """Keys with slashes, blanks and colons; values with line breaks and without any end."""
    values = {"a/b/c": "", "x y": " spaced \r\n", "t:u": "精度\n\n", "dot.ted": "é"}
    for key, value in values.items():
        log_param(run, key, value)
        set_tag(run, key, value)
    log_points(run, "val/ac:c 1", [(T0, float("nan"), -5), (T0, float("inf"), 0), (T0, -0.0, 0), (T0, 0.0, 0)])
    assert import_mlflow(old, "runs").problems == []
    found = get_run()
    assert {key: found["params"][key] for key in values} == values
    assert {key: found["tags"][key] for key in values} == values
    assert [(step, repr(value)) for step, value, _ in history(key="val/ac:c 1")] == [
        (-5, "nan"), (0, "inf"), (0, "-0.0"), (0, "0.0"),
    ]  # fmt: skip


def test_point_that_stands_twice_comes_once(run: Path, old: Path) -> None:
    """Exact repetitions, wherever in the file; points that differ in anything stay."""
    log_points(run, "loss", [*points(3), (T0, 0.0, 1), (T0, 9.0, 0), (T0 + 1, 0.0, 0)])
    report = import_mlflow(old, "runs")
    assert (report.points, report.duplicates) == (8, 3)
    assert len(set(history())) == len(history()) == 8


def test_points_of_datasets_have_the_step_that_stands_in_the_file(run: Path, old: Path) -> None:
    """Also where the name of the dataset has blanks, which MLflow itself cannot read."""
    write(run / "metrics" / "acc", "%d 0.5 7 data 9f8e\n%d 0.6 8 my data set 9f8e\n" % (T0, T0))
    assert import_mlflow(old, "runs").problems == []
    assert history(key="acc") == [Point(7, 0.5, T0), Point(8, 0.6, T0)]


def test_nested_runs_know_their_parents(run: Path, old: Path) -> None:
    child = make_run(run.parent, "c" * 32)
    set_tag(child, "mlflow.parentRunId", RUN_ID)
    import_mlflow(old, "runs")
    assert get_run("c" * 32)["metadata"]["parent_run_id"] == RUN_ID


# -- deleted things ------------------------------------------------------------------------------------------------


def test_deleted_run_lies_in_the_trash(run: Path, old: Path) -> None:
    make_run(run.parent, "d" * 32, lifecycle_stage="deleted", deleted_time=T0)
    report = import_mlflow(old, "runs")
    assert (report.runs, report.deleted_runs) == (2, 1)
    tracker = ExperimentTracker(runs_dir="runs")
    assert [one.run_id for one in tracker.list_deleted_runs()] == ["d" * 32]
    again = import_mlflow(old, "runs")
    assert (changes(again), again.problems, again.unchanged_runs) == ({}, [], 2)


def test_deleted_experiment_is_deleted_with_its_runs(old: Path) -> None:
    """MLflow 1.x moved its folder, and let the files in it say that it is active."""
    make_experiment(old)
    make_run(make_experiment(old / ".trash", "7", "gone"))
    import_mlflow(old, "runs")
    tracker = ExperimentTracker(runs_dir="runs")
    assert tracker.get_experiment(7).lifecycle_stage == "deleted"
    assert tracker.list_runs(7) == []
    assert changes(import_mlflow(old, "runs")) == {}
    tracker.restore_experiment(7)
    assert tracker.list_runs(7) == [RUN_ID]


def test_what_was_here_before_it_was_deleted_there_stays(run: Path, old: Path) -> None:
    """And an experiment that has our own runs is not deleted since another one of its name was."""
    make_run(make_experiment(old, "4", "both"), "4" * 32)
    import_mlflow(old, "runs")
    tracker = ExperimentTracker(runs_dir="runs")
    with tracker.start_run(run_id="ours", experiment_id=4):
        pass
    for folder in (old / "0" / RUN_ID, old / "4", old / "4" / ("4" * 32)):
        write(folder / "meta.yaml", (folder / "meta.yaml").read_text().replace('"active"', '"deleted"'))
    report = import_mlflow(old, "runs")
    assert changes(report) == {}
    assert {path: reason[:19] for path, reason in reasons(report, old).items()} == dict.fromkeys(
        ["0/%s" % RUN_ID, "4", "4/%s" % ("4" * 32)], "it is deleted there"
    )
    assert sorted(tracker.list_runs(4)) == ["4" * 32, "ours"]
    assert tracker.get_experiment(4).lifecycle_stage == "active"


def test_run_that_came_in_as_deleted_is_deleted_again(run: Path, old: Path) -> None:
    make_run(run.parent, "d" * 32, lifecycle_stage="deleted")
    import_mlflow(old, "runs")
    ExperimentTracker(runs_dir="runs").restore_run("d" * 32)
    assert import_mlflow(old, "runs").deleted_runs == 1
    assert ExperimentTracker(runs_dir="runs").list_runs() == [RUN_ID]


def test_what_was_deleted_here_stays_deleted(run: Path, old: Path) -> None:
    import_mlflow(old, "runs")
    ExperimentTracker(runs_dir="runs").delete_run(RUN_ID)
    report = import_mlflow(old, "runs")
    assert changes(report) == {}
    assert "trash" in reasons(report, old)["0/%s" % RUN_ID]
    assert len(ExperimentTracker(runs_dir="runs").list_deleted_runs()) == 1


def test_new_run_of_an_experiment_that_is_deleted_here_is_told(run: Path, old: Path) -> None:
    make_run(make_experiment(old, "4", "there"))
    import_mlflow(old, "runs")
    ExperimentTracker(runs_dir="runs").delete_experiment(4)
    make_run(old / "4", "e" * 32)
    report = import_mlflow(old, "runs")
    assert "deleted" in reasons(report, old)["4/%s" % ("e" * 32)]
    assert ExperimentTracker(runs_dir="runs").get_experiment(4).lifecycle_stage == "deleted"


# -- experiments ---------------------------------------------------------------------------------------------------


def test_numbers_are_kept_where_they_are_free_and_names_are_joined(run: Path, old: Path) -> None:
    """A number that is taken here is exchanged for another, and that is told; the same name is the same experiment."""
    tracker = ExperimentTracker(runs_dir="runs")
    assert [tracker.create_experiment(name) for name in ("ours", "both")] == [1, 2]
    make_run(make_experiment(old, "1", "theirs"), "1" * 32)
    make_run(make_experiment(old, "885632160458384413", "long"), "2" * 32)
    make_run(make_experiment(old, "9", "both"), "3" * 32)
    report = import_mlflow(old, "runs")
    found = {one.name: one.experiment_id for one in tracker.search_experiments()}
    long = 885632160458384413
    assert found == {"Default": 0, "ours": 1, "both": 2, "theirs": 3, "long": long}
    assert reasons(report, old) == {"1": "its number 1 is taken here: it is experiment 3"}
    assert [tracker.list_runs(number) for number in (3, long, 2)] == [["1" * 32], ["2" * 32], ["3" * 32]]
    assert changes(import_mlflow(old, "runs")) == {}


def test_experiment_that_was_renamed_here_is_known_by_its_runs(old: Path) -> None:
    make_run(make_experiment(old, "5", "before"))
    import_mlflow(old, "runs")
    ExperimentTracker(runs_dir="runs").rename_experiment(5, "after")
    make_run(old / "5", "f" * 32)
    report = import_mlflow(old, "runs")
    assert changes(report) == {"runs": 1}
    assert sorted(ExperimentTracker(runs_dir="runs").list_runs(5)) == sorted([RUN_ID, "f" * 32])


def test_experiment_has_its_times_and_tags_and_gets_new_ones(old: Path) -> None:
    folder = make_experiment(old, "5", "e")
    write(folder / "tags" / "a/b", "multi\nline")
    import_mlflow(old, "runs")
    found = ExperimentTracker(runs_dir="runs").get_experiment(5)
    assert (found.tags, iso_to_ms(found.creation_time)) == ({"a/b": "multi\nline"}, T0 - 1000)
    assert found.artifact_location is None
    write(folder / "tags" / "new", "1")
    import_mlflow(old, "runs")
    assert ExperimentTracker(runs_dir="runs").get_experiment(5).tags == {"a/b": "multi\nline", "new": "1"}


# -- again ---------------------------------------------------------------------------------------------------------


def test_run_that_went_on_goes_on_here(old: Path) -> None:
    """New points, params and tags, a tag that was changed, and the end come along; nothing comes twice."""
    run = make_run(make_experiment(old), status=1, end_time=None)
    log_points(run, "loss", points(5))
    set_tag(run, "mlflow.runName", "named")
    set_tag(run, "note", "first")
    import_mlflow(old, "runs")
    log_points(run, "loss", points(3, first=5))
    log_points(run, "acc", points(2))
    log_param(run, "late", "1")
    for key, text in (("note", "second"), ("mlflow.runName", "renamed")):
        touch_later(set_tag(run, key, text))
    write(
        run / "meta.yaml", (run / "meta.yaml").read_text().replace("named", "renamed").replace("status: 1", "status: 4")
    )
    report = import_mlflow(old, "runs")
    assert changes(report) == {"updated_runs": 1, "points": 5, "params": 1, "tags": 2}
    found = get_run()
    assert [point.step for point in history()] == list(range(8))
    assert (found["params"], found["tags"]["note"]) == ({"late": "1"}, "second")
    assert (found["metadata"]["status"], found["metadata"]["name"]) == ("FAILED", "renamed")
    assert changes(import_mlflow(old, "runs")) == {}


def test_run_that_was_resumed_after_its_import_ends_anew(run: Path, old: Path) -> None:
    import_mlflow(old, "runs")
    log_points(run, "loss", points(2, first=5))
    write(run / "meta.yaml", (run / "meta.yaml").read_text().replace(str(T0 + 5000), str(T0 + 9000)))
    assert changes(import_mlflow(old, "runs")) == {"updated_runs": 1, "points": 2}
    found = get_run()["metadata"]
    assert (found["status"], iso_to_ms(found["end_time"])) == ("FINISHED", T0 + 9000)
    assert len(history()) == 7


def test_what_was_changed_here_since_is_kept(run: Path, old: Path) -> None:
    """A tag that was set or deleted here, points that were logged or rewound here: an import takes none of it back."""
    set_tag(run, "gone", "x")
    import_mlflow(old, "runs")
    tracker = ExperimentTracker(runs_dir="runs")
    here = RunAddress(tracker.runs_dir, 0, RUN_ID)
    amend_at(here, Settings(), batch_submission(tags={"mlflow.runName": "ours"}, deleted_tags=["gone"]))
    with tracker.start_run(run_id=RUN_ID) as ours:
        ours.log_metric("loss", 9.0, step=100)
        ours.rewind(2)
    report = import_mlflow(old, "runs")
    assert changes(report) == {}
    assert "mlflow.runName" in reasons(report, old)["0/%s" % RUN_ID]
    found = get_run()
    assert (found["tags"]["mlflow.runName"], found["metadata"]["name"]) == ("ours", "named")
    assert "gone" not in found["tags"]
    assert [point.step for point in history()] == [0, 1, 2]


def test_live_run_of_ours_is_not_ended_by_an_import(run: Path, old: Path) -> None:
    import_mlflow(old, "runs")
    with ExperimentTracker(runs_dir="runs").start_run(run_id=RUN_ID) as here:
        log_points(run, "loss", points(2, first=5))
        assert import_mlflow(old, "runs").points == 2
        assert here.status == "RUNNING"
        here.log_metric("ours", 1.0)
    assert len(history()) == 7


def touch_later(path: Path) -> None:
    """The file was changed after anything that stands here by now."""
    os.utime(str(path), (time.time() + 60, time.time() + 60))


# -- long histories ------------------------------------------------------------------------------------------------


def test_history_that_fits_into_no_memory_comes_in_whole(run: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a batch and a memory of a few points: several commits, and known points told by a table on disk."""
    monkeypatch.setattr(filling, "_BATCH", 7)
    monkeypatch.setattr(seen_points, "_LIMIT_IN_MEMORY", 10)
    log_points(run, "loss", [*points(40, first=5), *points(10), *points(20, first=20)])
    report = import_mlflow(old, "runs")
    assert (report.points, report.duplicates) == (45, 30)
    assert [point.step for point in history()] == list(range(45))
    log_points(run, "loss", points(10, first=40))
    assert import_mlflow(old, "runs").points == 5
    assert [point.step for point in history()] == list(range(50))


# -- what cannot be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept", "told"),
    [
        ("%d 1.5 0\n%d 2.5 1" % (T0, T0), 1, "line 2 is torn"),
        ("%d 1.5 0\n%d" % (T0, T0), 1, "line 2 is torn"),
        ("", 0, "is empty"),
        (
            "nonsense\n%d 1.5 0\n%d x 0\n" % (T0, T0),
            1,
            "line 1 holds 1 fields, not a timestamp, a value and a step (and 1",
        ),
        ("%d 1.5 0\n%d 1.5 x\n" % (T0, T0), 1, "line 2 is not a timestamp"),
        ("%d 1.5 0\n-5 1.5 1\n" % T0, 1, "line 2 has a timestamp that is not"),
        ("%d 1.5 0\n%d 0.%d 0.75 3\n" % (T0, T0, T0), 1, "line 2 is not a timestamp"),
        ("%d 1.5 0\n%d 0.5 1%d 0.75 3\n" % (T0, T0, T0), 1, "line 2 is two lines"),
        ("%d 1.5 0\n%s\n%d 2.5 1\n" % (T0, "x" * 30000, T0), 2, "line 2 holds"),
        ("%d 1.5 0\n\0\0\0\0" % T0, 1, "line 2 is torn"),
    ],
)
def test_line_that_cannot_be_read_is_told_and_the_others_come_in(
    text: str, kept: int, told: str, run: Path, old: Path
) -> None:
    write(run / "metrics" / "acc", text)
    report = import_mlflow(old, "runs")
    assert reasons(report, old)["0/%s/metrics/acc" % RUN_ID].startswith(told)
    assert len(history(key="acc")) == kept
    assert len(history()) == 5
    assert changes(import_mlflow(old, "runs")) == {}


def test_torn_line_that_was_written_on_comes_in_then(run: Path, old: Path) -> None:
    """Of a writer that is in the middle of its line, no part of a number is taken for the number."""
    path = write(run / "metrics" / "acc", "%d 0.5 1" % T0)
    import_mlflow(old, "runs")
    assert history(key="acc") == []
    write(path, "%d 0.5 1000\n" % T0)
    import_mlflow(old, "runs")
    assert history(key="acc") == [Point(1000, 0.5, T0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "is empty"), ("\0" * 40, "is not"), ("run_id: 'a\n", "is not"), ("- 1\n", "holds no mapping")],
)
def test_run_whose_meta_is_damaged_is_told_and_the_others_come_in(text: str, told: str, run: Path, old: Path) -> None:
    write(make_run(run.parent, "b" * 32) / "meta.yaml", text)
    report = import_mlflow(old, "runs")
    assert reasons(report, old)["0/%s/meta.yaml" % ("b" * 32)].startswith(told)
    assert report.runs == 1


def test_folders_that_are_no_runs_are_told(run: Path, old: Path) -> None:
    """A run that MLflow was killed over before it wrote its meta.yaml, and whatever else somebody put there."""
    (run.parent / ("k" * 32)).mkdir()
    write(old / "models" / "registered" / "meta.yaml", "name: registered\n")
    write(old / "notes.txt", "mine")
    report = import_mlflow(old, "runs")
    assert list(reasons(report, old)) == ["0/%s/meta.yaml" % ("k" * 32)]
    assert (report.runs, report.experiments) == (1, 0)


def test_experiment_that_has_lost_its_meta_keeps_its_number(old: Path) -> None:
    make_run(make_experiment(old, "6", name=None))
    make_experiment(old, "0")
    report = import_mlflow(old, "runs")
    assert list(reasons(report, old)) == ["6/meta.yaml"]
    assert get_run(experiment_id=6)["metadata"]["status"] == "FINISHED"


def test_value_that_is_no_text_or_too_large_is_told(run: Path, old: Path) -> None:
    (run / "params" / "bytes").write_bytes(b"\xff\xfe")
    log_param(run, "large", "x" * 10_000_001)
    os.symlink("/etc/hostname", str(run / "tags" / "link"))
    told = reasons(import_mlflow(old, "runs"), old)
    here = "0/%s" % RUN_ID
    assert told[here + "/params/bytes"].startswith("is not UTF-8")
    assert "link" in told[here + "/tags/link"]
    assert "too large" in told[here]
    assert get_run()["params"] == {"lr": "0.01"}


def test_copy_of_a_run_in_another_experiment_is_told(run: Path, old: Path) -> None:
    """The one that says of itself that it is in its experiment is the run."""
    shutil.copytree(str(run), str(make_experiment(old, "00copy", "first by name") / RUN_ID))
    report = import_mlflow(old, "runs")
    assert "is a copy" in reasons(report, old)["00copy/%s" % RUN_ID]
    assert (report.runs, get_run()["params"]) == (1, {"lr": "0.01"})


def test_dataset_that_is_missing_is_told(run: Path, old: Path) -> None:
    fields = {"source_type": "DATASET", "source_id": "abc", "destination_type": "RUN", "tags": {}}
    write(run / "inputs" / "x" / "meta.yaml", dump_yaml(fields))
    assert list(reasons(import_mlflow(old, "runs"), old)) == ["0/datasets/abc/meta.yaml"]


def test_run_that_is_damaged_here_is_told_and_the_others_come_in(run: Path, old: Path) -> None:
    import_mlflow(old, "runs")
    folder = RunPaths.of(RunAddress(os.path.abspath("runs"), 0, RUN_ID)).folder
    os.remove(folder + "/snapshot.json")
    Path(folder, "meta.yaml").write_text("")
    make_run(run.parent, "b" * 32)
    report = import_mlflow(old, "runs")
    assert "brought up to date" in reasons(report, old)["0/%s" % RUN_ID]
    assert get_run("b" * 32)["metadata"]["status"] == "FINISHED"
    with pytest.raises(DamagedFileError):
        get_run()
    shutil.rmtree("runs")


# -- what is refused -----------------------------------------------------------------------------------------------


def test_paths_that_are_no_trees_are_refused_with_what_helps(run: Path, old: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ExperimentTracker(runs_dir=ours).start_run().end()
    (tmp_path / "above").mkdir()
    shutil.copytree(str(old), str(tmp_path / "above" / "mlruns"))
    write(tmp_path / "mlflow.db", "SQLite format 3")
    for path, told in (
        (tmp_path / "missing", "is not there"),
        (tmp_path / "mlflow.db", "is a file"),
        (ours, "import mini-mlflow"),
        (tmp_path / "above", "is it %s?" % (tmp_path / "above" / "mlruns")),
    ):
        with pytest.raises(InvalidValueError) as caught:
            import_mlflow(path, "runs")
        assert told in str(caught.value)
    with pytest.raises(InvalidValueError):
        import_mlflow(old, old)
    with pytest.raises(InvalidValueError):
        import_mlflow(old, "runs", artifacts="move")
    assert not os.path.exists("runs")


def test_uri_is_taken_too(run: Path, old: Path) -> None:
    assert import_mlflow(old.as_uri(), "runs").runs == 1


def test_progress_is_told_by_runs(run: Path, old: Path) -> None:
    make_run(run.parent, "b" * 32)
    told: List[Any] = []
    import_mlflow(old, "runs", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
