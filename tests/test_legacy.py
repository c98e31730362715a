"""Trees of mini-mlflow 0.1.0: they read and go on here, and 0.1.0 reads ours.

``data/tree_0_1_0`` was made with mini-mlflow 0.1.0 from the package index. Its code is not stored here. What it does
when it reads is spelled out by `read_as_0_1_0`; the real one runs too when LEGACY_MINI_MLFLOW names a folder with it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
import yaml

from mini_mlflow import ExperimentTracker, Run

TREE = Path(__file__).resolve().parent / "data" / "tree_0_1_0"
FINISHED = "0f6d2a4e91b84c07a3d5c1e2f3a4b5c6"
FAILED = "1a7e3b5fa2c95d18b4e6d2f3a4b5c6d7"
RUNNING = "2b8f4c60b3da6e29c5f7e3a4b5c6d7e8"
REAL = os.environ.get("LEGACY_MINI_MLFLOW")

# 0.1.0 writes NaN into its JSON, which is not strict.
pytestmark = pytest.mark.damaged_tree


@pytest.fixture
def tracker(tmp_path: Path) -> ExperimentTracker:
    """A tracker on a copy of the tree."""
    shutil.copytree(str(TREE), str(tmp_path / "tree"))
    return ExperimentTracker(runs_dir=tmp_path / "tree")


def values(tracker: ExperimentTracker, run_id: str, key: str) -> List[float]:
    return [point.value for point in tracker.get_metric_history(run_id, key)]


def test_finished_run_reads_whole(tracker: ExperimentTracker) -> None:
    """Metadata, params of every type and last metric values come as 0.1.0 logged them."""
    run = tracker.get_run(FINISHED)
    assert run["metadata"] == {
        "name": "digits",
        "version": "v1.0",
        "status": "FINISHED",
        "start_time": "2026-11-23T17:30:04.499152Z",
        "end_time": "2026-11-23T17:30:04.501687Z",
        "run_id": FINISHED,
        "experiment_id": 0,
    }
    assert run["params"] == {
        "learning_rate": 0.01,
        "layers": [64, 32],
        "options": {"shuffle": True, "seed": None, "name": "größe"},
        "note": "50 % of «all»: yes\nno",
        "größe": 3,
    }
    assert run["metrics"] == {"loss": 0.5, "accuracy": 0.875, "epochs": 12.0}
    assert isinstance(run["metrics"]["epochs"], float)
    assert run["tags"] == {}


def test_nonfinite_metrics_are_floats(tracker: ExperimentTracker) -> None:
    """The bare NaN and -Infinity in its JSON are read as the floats they were."""
    metrics = tracker.get_run(FAILED)["metrics"]
    assert math.isnan(metrics["loss"])
    assert metrics["gain"] == -math.inf


def test_metric_has_a_history_of_its_one_point(tracker: ExperimentTracker) -> None:
    """0.1.0 keeps the last value alone: it is the point at step 0, at its timestamp."""
    (point,) = tracker.get_metric_history(FINISHED, "loss")
    assert point == (0, 0.5, 1795455004500)


def test_runs_are_listed_newest_start_first(tracker: ExperimentTracker) -> None:
    """The order follows the start times, which survive a copy, not the files' times, which 0.1.0 went by."""
    assert tracker.list_runs() == [RUNNING, FAILED, FINISHED]
    assert tracker.list_runs(1) == ["3c9a5d71c4eb7f3ad6a8f4b5c6d7e8f9", "my run no"]


def test_versions_are_found(tracker: ExperimentTracker) -> None:
    """Names and versions that look like other YAML types are the strings that were given."""
    assert tracker.get_latest_version("digits")["metadata"]["version"] == "v1.1"  # type: ignore[index]
    assert tracker.get_run_by_version("digits", "v1.0")["metadata"]["run_id"] == FINISHED  # type: ignore[index]
    assert tracker.get_run_by_version("2026-01-01", "007", 1) is not None
    assert tracker.get_run_by_version("null", "1.0", 1)["metrics"] == {"精度": 0.5}  # type: ignore[index]


def test_running_run_is_not_called_crashed(tracker: ExperimentTracker) -> None:
    """0.1.0 holds no lock while a run is open, so nobody can tell whether its owner is alive."""
    assert tracker.get_run(RUNNING)["metadata"]["status"] == "RUNNING"


def test_reading_changes_nothing(tracker: ExperimentTracker) -> None:
    """After every kind of reading, the tree holds the same files with the same bytes."""
    for experiment_id in (0, 1):
        for run_id in tracker.list_runs(experiment_id):
            for key in tracker.get_run(run_id, experiment_id)["metrics"]:
                tracker.get_metric_history(run_id, key, experiment_id)
    assert content_of(Path(tracker.runs_dir)) == content_of(TREE)


def content_of(folder: Path) -> Dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("run_id", [FINISHED, RUNNING])
def test_run_is_resumed_and_goes_on(tracker: ExperimentTracker, run_id: str) -> None:
    """The old value is the first point of the history, new points follow it, and everything else is kept."""
    before = tracker.get_run(run_id)
    with tracker.start_run(run_id=run_id) as run:
        assert (run.status, run.start_time) == ("RUNNING", before["metadata"]["start_time"])
        run.log_metric("loss", 0.25)
        run.log_metric("loss", 0.125, step=7)
        run.log_param("resumed", True)
        old = before["metrics"]["loss"]
        assert tracker.get_run(run_id)["metrics"] == dict(before["metrics"], loss=0.125)
        assert values(tracker, run_id, "loss") == [old, 0.25, 0.125]
    after = tracker.get_run(run_id)
    assert after["metadata"]["status"] == "FINISHED"
    assert after["metadata"]["name"] == before["metadata"]["name"]
    assert after["params"] == dict(before["params"], resumed=True)
    assert values(tracker, run_id, "loss") == [old, 0.25, 0.125]
    assert [point.step for point in tracker.get_metric_history(run_id, "loss")] == [0, 1, 7]


def test_run_that_has_ended_takes_nothing_without_a_resume(tracker: ExperimentTracker) -> None:
    """Attaching to it by its id leaves it ended."""
    with pytest.raises(ValueError, match="Cannot log"):
        Run(run_id=FINISHED, runs_dir=tracker.runs_dir).log_metric("loss", 1.0)


def test_metric_with_a_percent_sign_in_its_key_goes_on(tracker: ExperimentTracker) -> None:
    """0.1.0 puts such a key into its file name as it is; its point is found there and stays the first one."""
    assert values(tracker, FAILED, "a%20b") == [1.5]
    with tracker.start_run(run_id=FAILED) as run:
        run.log_metric("a%20b", 2.5)
    assert values(tracker, FAILED, "a%20b") == [1.5, 2.5]
    assert tracker.get_run(FAILED)["metrics"]["a%20b"] == 2.5


@pytest.mark.parametrize("key", ["a%20b", "a%b", "%", "50%"])
def test_what_replaces_a_value_of_0_1_0_stays_through_end_and_resume(tracker: ExperimentTracker, key: str) -> None:
    """Two files of the key stand then, ours and that of 0.1.0: the snapshot says what ours does, whichever is last."""
    folder = Path(tracker.runs_dir) / "0" / FINISHED
    for kind in ("params", "metrics"):
        (folder / kind / (key + ".json")).write_text('{"value": 1.0, "timestamp": "2026-11-23T17:30:04.500645Z"}')
    with tracker.start_run(run_id=FINISHED) as run:
        run.log_metric(key, 2.0)
        run.log_param(key, 2.0)
    for _ in range(2):
        found = tracker.get_run(FINISHED)
        assert (found["metrics"][key], found["params"][key]) == (2.0, 2.0)
        with tracker.start_run(run_id=FINISHED):
            found = tracker.get_run(FINISHED)
            assert (found["metrics"][key], found["params"][key]) == (2.0, 2.0)
    assert values(tracker, FINISHED, key) == [1.0, 2.0]


def test_int_too_large_for_a_float_is_no_reason_to_fail(tracker: ExperimentTracker) -> None:
    """0.1.0 stores any int as a metric; one that no float can hold is left out, with a warning that names the file."""
    path = Path(tracker.runs_dir) / "0" / FINISHED / "metrics" / "huge.json"
    path.write_text('{"value": 1%s, "timestamp": "2026-11-23T17:30:04.500645Z"}' % ("0" * 400))
    with pytest.warns(UserWarning, match=r"huge\.json"):
        assert tracker.get_run(FINISHED)["metrics"]["loss"] == 0.5
    with pytest.warns(UserWarning, match=r"huge\.json"):
        assert tracker.get_metric_history(FINISHED, "huge") == []


# -- 0.1.0 reads ours ----------------------------------------------------------------------------------------------

PARAMS = {"learning rate": 0.01, "layers": [64, 32], "größe": {"a": [None, True]}, "a.b-c": "x"}
METRICS = {"loss": 0.25, "精度": 3.0}


def make_tree(runs_dir: str) -> Dict[str, str]:
    """A tree of ours with an ended and a running run of each kind of document; their names to their ids."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    ended = tracker.start_run("digits", version="v1.0", run_id="ended")
    fill(ended)
    tracker.end_run("FAILED")
    running = Run(run_id="running", name="digits: 2", version="2", runs_dir=runs_dir)
    fill(running)
    running.flush()
    return {"ended": "FAILED", "running": "RUNNING"}


def fill(run: Run) -> None:
    run.log_params(PARAMS)
    run.set_tag("stage", "test")
    # So that the latest point is another than the last, and the document has a field for it.
    for value, step in ((2.0, 9), (1.0, 3)):
        run.log_metric("loss", value, step=step)
    run.log_metrics(METRICS)


def read_as_0_1_0(folder: Path) -> Dict[str, Any]:
    """What 0.1.0 finds in a run's folder: meta.yaml, and "value" in each params/<key>.json and metrics/<key>.json."""
    found: Dict[str, Any] = {"metadata": yaml.safe_load((folder / "meta.yaml").read_text("utf-8"))}
    for kind in ("params", "metrics"):
        paths = (folder / kind).glob("*.json")
        found[kind] = {path.stem: json.loads(path.read_text("utf-8"))["value"] for path in paths}
    return found


def test_documents_say_what_0_1_0_looks_for(runs_dir: str) -> None:
    """Read as 0.1.0 reads, a tree of ours holds every param, every last value and the metadata it knows."""
    for run_id, status in make_tree(runs_dir).items():
        found = read_as_0_1_0(Path(runs_dir) / "0" / run_id)
        assert found["params"] == PARAMS
        assert found["metrics"] == METRICS
        known = {"run_id": run_id, "experiment_id": 0, "status": status}
        assert known.items() <= found["metadata"].items()
        assert {"name", "version", "start_time", "end_time"} <= set(found["metadata"])
        for path in (Path(runs_dir) / "0" / run_id).glob("[pm]*/*.json"):
            assert json.loads(path.read_text("utf-8"))["timestamp"].endswith("Z")


READ_WITH_THE_REAL_ONE = """
import json, sys
from mini_mlflow.storage import list_runs, load_run
runs_dir = sys.argv[1]
print(json.dumps({run_id: load_run(run_id, 0, runs_dir) for run_id in list_runs(0, runs_dir)}))
"""


@pytest.mark.skipif(REAL is None, reason="LEGACY_MINI_MLFLOW names no folder with mini-mlflow 0.1.0")
def test_real_0_1_0_reads_ours(runs_dir: str) -> None:
    """The package itself lists our runs, newest first, and loads each."""
    statuses = make_tree(runs_dir)
    environment = dict(os.environ, PYTHONPATH=str(REAL))
    command = [sys.executable, "-W", "ignore", "-c", READ_WITH_THE_REAL_ONE, runs_dir]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    runs = json.loads(output.decode("utf-8"))
    assert list(runs) == ["running", "ended"]
    for run_id, status in statuses.items():
        assert runs[run_id]["metadata"]["status"] == status
        assert (runs[run_id]["params"], runs[run_id]["metrics"]) == (PARAMS, METRICS)
