"""The snapshot of an ended run: small, derived from the documents, and able to give back what it holds whole."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import Any, Dict

import pytest

from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run
from tree_check import read_strict_json

PARAMS: Dict[str, Any] = {"lr": 0.1, "layers": [1, math.inf], "größe": {"a": None}, "text": "NaN"}
TAGS = {"stage": "test", "score": -math.inf}


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    """A tracker on a tree with the ended run "r"."""
    with Run(run_id="r", name="digits", runs_dir=runs_dir) as run:
        run.log_params(PARAMS)
        run.set_tags(TAGS)
        run.log_metric("once", math.nan, step=7, timestamp=1763882110123)
        for n in range(5):
            run.log_metric("loss", 1.0 - n, step=10 * n)
    return ExperimentTracker(runs_dir=runs_dir)


def folder_of(tracker: ExperimentTracker) -> Path:
    return Path(tracker.runs_dir, "0", "r")


def everything(tracker: ExperimentTracker) -> str:
    histories = [tracker.get_metric_history("r", key) for key in ("loss", "once")]
    return repr((tracker.get_run("r"), histories, tracker.list_runs()))


def test_snapshot_holds_the_run(tracker: ExperimentTracker) -> None:
    """Metadata, params, tags, and of each metric the last point, the count and the range."""
    snapshot = read_strict_json(str(folder_of(tracker) / "snapshot.json"))
    assert snapshot["metadata"]["status"] == "FINISHED"
    assert snapshot["params"] == {"lr": 0.1, "layers": [1, "Infinity"], "größe": {"a": None}, "text": "NaN"}
    assert snapshot["tags"] == {"stage": "test", "score": "-Infinity"}
    loss = dict(snapshot["metrics"]["loss"])
    assert loss.pop("timestamp") > 1763882110123
    assert loss == {"value": -3.0, "step": 40, "count": 5, "min": -3.0, "max": 1.0}
    assert snapshot["metrics"]["once"]["value"] == "NaN"


def test_run_reads_the_same_without_its_snapshot(tracker: ExperimentTracker) -> None:
    """It is derived: without it, or with a torn one, the documents say the same; a torn one is warned of."""
    before = everything(tracker)
    path = folder_of(tracker) / "snapshot.json"
    data = path.read_bytes()
    path.write_bytes(data[:100])
    with pytest.warns(DamagedFileWarning, match=r"snapshot\.json"):
        assert everything(tracker) == before
    path.unlink()
    read = everything(tracker)
    path.write_bytes(data)
    # The folders' order is not the order of logging.
    assert tracker.get_run("r")["params"] == PARAMS
    assert sorted(read) == sorted(before)


def test_snapshot_does_not_grow_with_the_history(runs_dir: str) -> None:
    """Hundreds of points cost it no more than their last one."""
    sizes = []
    for count in (2, 300):
        with Run(run_id=str(count), runs_dir=runs_dir) as run:
            for _ in range(count):
                run.log_metric("loss", 0.5, step=1, timestamp=1763882110123)
        sizes.append(os.path.getsize(os.path.join(runs_dir, "0", str(count), "snapshot.json")))
    assert sizes[1] - sizes[0] < 50


def test_ended_run_has_no_log(tracker: ExperimentTracker) -> None:
    """All of it is in the documents."""
    assert sorted(os.listdir(str(folder_of(tracker)))) == ["meta.yaml", "metrics", "params", "snapshot.json", "tags"]


@pytest.mark.parametrize("loss", ["torn", "gone"])
def test_resume_gives_back_documents_that_a_power_cut_took(tracker: ExperimentTracker, loss: str) -> None:
    """Params, tags and metrics of one point were synced in the snapshot alone: before it goes, they are made again."""
    before = tracker.get_run("r")
    once = tracker.get_metric_history("r", "once")
    for path in [*folder_of(tracker).glob("params/*"), *folder_of(tracker).glob("tags/*"),
                 folder_of(tracker) / "metrics" / "once.json"]:  # fmt: skip
        if loss == "torn":
            path.write_bytes(b"\0" * 50)
        else:
            path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        assert repr(tracker.get_metric_history("r", "once")) == repr(once)
    with tracker.start_run(run_id="r") as run:
        assert not (folder_of(tracker) / "snapshot.json").exists()
        during = tracker.get_run("r")
        for kind in ("params", "tags"):
            assert repr(sorted(during[kind].items())) == repr(sorted(before[kind].items()))
        run.log_metric("once", 1.0)
    after = tracker.get_run("r")
    assert after["params"] == before["params"]
    assert [point.step for point in tracker.get_metric_history("r", "once")] == [7, 1]
    assert repr(tracker.get_metric_history("r", "once")[0]) == repr(once[0])


def test_resume_goes_by_the_snapshot_where_a_document_is_older(runs_dir: str) -> None:
    """A power cut may bring back a whole document from before the last write; the ended run's value wins."""
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    run.set_tag("stage", "first")
    run.flush()
    paths = [Path(runs_dir, "0", "r", name) for name in ("params/lr.json", "tags/stage.json")]
    older = [path.read_bytes() for path in paths]
    run.log_param("lr", math.inf)
    run.set_tag("stage", "second")
    run.end()
    for path, data in zip(paths, older):
        path.write_bytes(data)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="r"):
        during = tracker.get_run("r")
        assert (during["params"], during["tags"]) == ({"lr": math.inf}, {"stage": "second"})
    after = tracker.get_run("r")
    assert (after["params"], after["tags"]) == ({"lr": math.inf}, {"stage": "second"})


def test_resume_keeps_a_history_that_is_longer_than_the_snapshot_says(runs_dir: str) -> None:
    """A digit of the count was flipped: that must not cost the points that are there."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="r") as run:
        for number in range(9):
            run.log_metric("loss", float(number))
    path = folder_of(tracker) / "snapshot.json"
    path.write_text(path.read_text("utf-8").replace('"count": 9', '"count": 1'), encoding="utf-8")
    with tracker.start_run(run_id="r"):
        pass
    assert [point.value for point in tracker.get_metric_history("r", "loss")] == [float(number) for number in range(9)]


def test_resume_with_a_damaged_snapshot_goes_by_the_documents(tracker: ExperimentTracker) -> None:
    """The run goes on with all that its documents hold."""
    (folder_of(tracker) / "snapshot.json").write_bytes(b"{")
    with tracker.start_run(run_id="r") as run:
        assert tracker.get_run("r")["params"] == PARAMS
        run.log_metric("loss", 9.0)
    assert [point.value for point in tracker.get_metric_history("r", "loss")] == [1.0, 0.0, -1.0, -2.0, -3.0, 9.0]


@pytest.mark.damaged_tree
def test_damaged_document_is_left_out(runs_dir: str) -> None:
    """The run ends all the same, with a warning that names the file; everything else is in the snapshot."""
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_params({"a": 1, "b": 2})
    run.flush()
    Path(runs_dir, "0", "r", "params", "a.json").write_bytes(b"")
    with pytest.warns(DamagedFileWarning, match=r"a\.json"):
        run.end()
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["params"] == {"b": 2}


def test_listing_reads_ended_runs_from_their_snapshot(tracker: ExperimentTracker) -> None:
    """Without meta.yaml at hand, as when only snapshots were copied for a query, the run is still there."""
    meta = folder_of(tracker) / "meta.yaml"
    data = meta.read_bytes()
    meta.unlink()
    try:
        assert tracker.list_runs() == ["r"]
        assert tracker.get_run("r")["params"] == PARAMS
    finally:
        meta.write_bytes(data)
