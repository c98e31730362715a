"""Folding: documents hold what the log holds, whole and once, however often and wherever it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, List

import pytest

import faults
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run
from mini_mlflow.disk.layout import sealed_name
from mini_mlflow.formats import tiers
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.formats.history import MetricDocument
from mini_mlflow.writing import folding, ration
from mini_mlflow.writing.operations import Submission
from tree_check import read_strict_json


@pytest.fixture
def seal_early(monkeypatch: Any) -> None:
    """Four points are sealed, two files of a size are merged, and documents wait for a flush."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)


def folder_of(run: Run) -> Path:
    return Path(run.runs_dir, str(run.experiment_id), run.run_id)


def document(run: Run, kind: str, key: str) -> Any:
    return read_strict_json(str(folder_of(run) / kind / (key + ".json")))


def values(run: Run, key: str) -> List[float]:
    points = ExperimentTracker(runs_dir=run.runs_dir).get_metric_history(run.run_id, key, run.experiment_id)
    return [point.value for point in points]


def log(run: Run) -> List[str]:
    return sorted(os.listdir(str(folder_of(run) / "log")))


def test_new_documents_stand_at_once(runs_dir: str) -> None:
    """When the call returns, a param, a tag and a metric that are new have their documents, however many there are."""
    run = Run(runs_dir=runs_dir)
    for n in range(40):
        run.log_param("p%d" % n, n)
        run.log_metric("m%d" % n, float(n))
        assert document(run, "params", "p%d" % n)["value"] == n
        assert document(run, "metrics", "m%d" % n)["value"] == n
    run.set_tags({"a": 1, "b": [2]})
    assert document(run, "tags", "b")["value"] == [2]


@pytest.mark.usefixtures("seal_early")
def test_flush_makes_documents_whole(runs_dir: str) -> None:
    """Afterwards every document holds everything, and one commit is left in the log."""
    run = Run(runs_dir=runs_dir)
    for n in range(6):
        run.log_metric("loss", float(n))
        run.log_param("lr", n)
        run.set_tag("stage", "s%d" % n)
    assert document(run, "params", "lr")["value"] == 0
    run.flush()
    assert document(run, "params", "lr")["value"] == 5
    assert document(run, "tags", "stage")["value"] == "s5"
    loss = document(run, "metrics", "loss")
    assert (loss["value"], loss["count"], loss["sealed"], loss["points"]) == (5.0, 6, ["0-5"], [])
    # The first value of each key is its document; only the others are commits.
    assert log(run) == ["15.json"]


@pytest.mark.usefixtures("seal_early")
def test_folding_again_changes_nothing(runs_dir: str) -> None:
    """Commits that a dying writer has folded but not removed are not folded a second time."""
    run = Run(runs_dir=runs_dir)
    for n in range(3):
        run.log_metrics({"loss": float(n), "accuracy": -float(n)})
        run.log_param("lr", n)
    kept = folder_of(run).parent.parent / "kept"
    shutil.copytree(str(folder_of(run) / "log"), str(kept))
    run.flush()
    before = {kind: document(run, *kind) for kind in [("metrics", "loss"), ("metrics", "accuracy"), ("params", "lr")]}
    for name in os.listdir(str(kept)):
        shutil.copy(str(kept / name), str(folder_of(run) / "log" / name))
    shutil.rmtree(str(kept))
    assert values(run, "loss") == [0.0, 1.0, 2.0]
    run.flush()
    assert {kind: document(run, *kind) for kind in before} == before
    run.log_metric("loss", 3.0)
    assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.usefixtures("seal_early")
def test_merging_keeps_every_point_in_order(runs_dir: str) -> None:
    """Through many seals and merges, the history is what was logged, and only listed files stand in its folder."""
    run = Run(runs_dir=runs_dir)
    for n in range(90):
        run.log_metric("loss", float(n))
        if n % 5 == 4:
            run.flush()
            assert values(run, "loss") == [float(k) for k in range(n + 1)]
            sealed = document(run, "metrics", "loss")["sealed"]
            standing = os.listdir(str(folder_of(run) / "metrics" / "loss.history"))
            assert sorted(standing) == sorted(name + ".jsonl" for name in sealed)
            assert len(sealed) <= 90 // 16 + 3


def submit(run: Run, count: int, batch: int) -> None:
    """``count`` points in commits of ``batch``, as threads that log together would make them."""
    for start in range(0, count, batch):
        changes = [MetricChange("loss", float(n), None, 1763882110123 + n) for n in range(start, start + batch)]
        run._opened().submit(Submission(list(changes), [change.dump() for change in changes]))
        run.flush()


def test_long_history_has_few_files(runs_dir: str, monkeypatch: Any) -> None:
    """After a thousand seals, which is what 1,000,000 points come to at full size, at most 64 files hold all of it."""
    for module in (tiers, folding):
        monkeypatch.setattr(module, "SEAL_AT", 32)
    monkeypatch.setattr(tiers, "LARGEST", 32 * tiers.FAN * tiers.FAN)
    run = Run(runs_dir=runs_dir, fsync="never")
    submit(run, 32 * 1000, 32)
    run.end()
    files = [name for _, _, names in os.walk(str(folder_of(run) / "metrics")) for name in names]
    assert len(files) <= 64
    assert values(run, "loss") == [float(n) for n in range(32 * 1000)]


@pytest.mark.long
def test_million_points_read_back_in_one_call(runs_dir: str) -> None:
    """A metric of 1,000,000 points, sealed as folding seals them, goes on and is read whole and in order."""
    run = Run(runs_dir=runs_dir, fsync="never")
    run.log_metric("loss", 0.0, timestamp=1763882110123)
    run.flush()
    sealed: Any = ()
    for count in range(tiers.SEAL_AT, 1_000_001, tiers.SEAL_AT):
        sealed = tiers.plan_sealing(sealed, count).sealed
    history = folder_of(run) / "metrics" / "loss.history"
    history.mkdir()
    for first, last in sealed:
        lines = b"".join([b"[%d, %d.0, 1763882110123]\n" % (n, n) for n in range(first, last + 1)])
        (history / sealed_name(first, last)).write_bytes(lines)
    count = sealed[-1][1] + 1
    document = MetricDocument("loss", count, 1, count - 1.0, count - 1, sealed=sealed).dump()
    (folder_of(run) / "metrics" / "loss.json").write_bytes(document)
    rest = {"loss": 0.0}
    for n in range(count, 1_000_000):
        rest["loss"] = float(n)
        run.log_metrics(rest)
    run.end()
    assert len(os.listdir(str(history))) < 64
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history(run.run_id, "loss")
    assert len(points) == 1_000_000
    assert all(point[0] == n and point[1] == n for n, point in enumerate(points))
    # What checks every tree at the end of a test would take longer than this test.
    shutil.rmtree(str(folder_of(run)))


def test_fields_of_other_writers_survive(runs_dir: str) -> None:
    """What another program adds to a metric's document or to meta.yaml is there after the run has gone on and ended."""
    run = Run(runs_dir=runs_dir, run_id="r")
    run.log_metric("loss", 1.0)
    run.end()
    path = folder_of(run) / "metrics" / "loss.json"
    path.write_text(json.dumps(dict(read_strict_json(str(path)), unit="nat")))
    meta = folder_of(run) / "meta.yaml"
    meta.write_text(meta.read_text("utf-8") + "note: 'of mine'\nnested: {a: [1, null]}\n", "utf-8")
    (folder_of(run) / "snapshot.json").unlink()
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="r") as run:
        run.log_metric("loss", 2.0)
        run.flush()
        assert document(run, "metrics", "loss")["unit"] == "nat"
    metadata = tracker.get_run("r")["metadata"]
    assert (metadata["note"], metadata["nested"]) == ("of mine", {"a": [1, None]})
    assert document(run, "metrics", "loss")["unit"] == "nat"
    assert values(run, "loss") == [1.0, 2.0]


def test_numbers_go_on_after_a_resume(runs_dir: str) -> None:
    """A document that holds commits up to a number never meets another commit of that number."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    numbers = []
    for _ in range(3):
        with tracker.start_run(run_id="r") as run:
            run.log_metrics({"loss": 1.0, "accuracy": 0.5})
            run.log_params({"lr": 1, "depth": 2})
            numbers += [int(name[: -len(".json")]) for name in log(run)]
    assert numbers == sorted(set(numbers))
    assert values(run, "loss") == [1.0, 1.0, 1.0]


def test_numbers_go_on_when_the_log_is_lost(runs_dir: str) -> None:
    """The next number is above those that the documents name, or a new point would pass for one they hold."""
    run = Run(runs_dir=runs_dir, run_id="r")
    for n in range(5):
        run.log_metric("loss", float(n))
    run.flush()
    for name in log(run):
        (folder_of(run) / "log" / name).unlink()
    run.log_metric("loss", 5.0)
    assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.usefixtures("seal_early")
def test_torn_document_is_rebuilt(runs_dir: str) -> None:
    """From its sealed files and the log; nothing is lost and nothing stands twice, for readers and writers alike."""
    run = Run(runs_dir=runs_dir)
    for n in range(11):
        run.log_metric("loss", float(n), timestamp=1763882110123 + n)
        if n == 7:
            run.flush()
    assert document(run, "metrics", "loss")["sealed"] == ["0-7"]
    path = folder_of(run) / "metrics" / "loss.json"
    path.write_bytes(b"")
    with pytest.warns(DamagedFileWarning, match=r"loss\.json"):
        assert values(run, "loss") == [float(n) for n in range(11)]
    with pytest.warns(DamagedFileWarning, match=r"loss\.json"):
        run.flush()
    assert values(run, "loss") == [float(n) for n in range(11)]
    assert document(run, "metrics", "loss")["count"] == 11


@pytest.mark.usefixtures("seal_early")
def test_points_that_are_sealed_and_logged_count_once(runs_dir: str) -> None:
    """A document is torn, its points are sealed, and the log still holds some of them: each is there once."""
    run = Run(runs_dir=runs_dir)
    for n in range(5):
        run.log_metric("loss", float(n), timestamp=1763882110123 + n)
    kept = folder_of(run).parent.parent / "kept"
    shutil.copytree(str(folder_of(run) / "log"), str(kept))
    run.flush()
    for name in ("2.json", "3.json"):
        shutil.copy(str(kept / name), str(folder_of(run) / "log" / name))
    shutil.rmtree(str(kept))
    (folder_of(run) / "metrics" / "loss.json").write_bytes(b"\0" * 200)
    with pytest.warns(DamagedFileWarning, match=r"loss\.json"):
        assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.warns(DamagedFileWarning, match=r"loss\.json"):
        run.log_metric("loss", 5.0)
        run.flush()
    assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.damaged_tree
@pytest.mark.usefixtures("seal_early")
def test_damaged_sealed_file_is_not_merged_away(runs_dir: str) -> None:
    """Merging passes over it: it stays for whoever can mend it, and costs no other file."""
    run = Run(runs_dir=runs_dir)
    for n in range(4):
        run.log_metric("loss", float(n))
    run.flush()
    path = folder_of(run) / "metrics" / "loss.history" / "0-3.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    with pytest.warns(DamagedFileWarning, match="0-3"):
        for n in range(4, 30):
            run.log_metric("loss", float(n))
            run.flush()
    assert path.read_bytes() == whole[:20]
    with pytest.warns(DamagedFileWarning, match="0-3"):
        assert values(run, "loss")[-26:] == [float(n) for n in range(4, 30)]
    path.write_bytes(whole)
    assert values(run, "loss") == [float(n) for n in range(30)]


def test_log_stays_short_in_a_hot_loop(runs_dir: str, monkeypatch: Any) -> None:
    """Commits are folded while logging goes on, so that no reader has to open thousands of them."""
    monkeypatch.setattr(ration, "_FOLD_SHARE", 0.0)
    run = Run(runs_dir=runs_dir, fsync="never")
    longest = 0
    for n in range(2000):
        run.log_metric("loss", float(n))
        if n % 50 == 1:
            longest = max(longest, len(log(run)))
    assert longest <= 1000
    assert values(run, "loss") == [float(n) for n in range(2000)]


@pytest.mark.usefixtures("seal_early")
def test_sealed_files_without_their_document_stay_part_of_the_history(runs_dir: str) -> None:
    """What a power cut may leave with "never": who logs next rebuilds the document, and loses nothing readers saw."""
    run = Run(runs_dir=runs_dir, fsync="never")
    for n in range(4):
        run.log_metric("loss", float(n))
    run.flush()
    os.unlink(str(folder_of(run) / "metrics" / "loss.json"))
    run.log_metric("loss", 4.0)
    with pytest.warns(DamagedFileWarning, match=r"rebuilt.*loss\.json"):
        run.flush()
    assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.usefixtures("seal_early")
def test_metric_is_sealed_where_the_folder_of_all_metrics_is_gone(runs_dir: str) -> None:
    """Likewise: the commits are there, the documents and their folder are not."""
    run = Run(runs_dir=runs_dir, fsync="never")
    for n in range(4):
        run.log_metrics({"loss": float(n), "accuracy": 0.5})
    shutil.rmtree(str(folder_of(run) / "metrics"))
    run.flush()
    assert values(run, "loss") == [0.0, 1.0, 2.0, 3.0]
    assert document(run, "metrics", "loss")["sealed"] == ["0-3"]
