"""Artifacts come in by copies or by hard links, once, whole, and without what cannot be a file here."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from mini_mlflow import ExperimentTracker, ImportReport, import_mlflow
from mini_mlflow.disk import copying
from mlflow_layout import RUN_ID, make_experiment, make_run, write

HERE = Path("runs", "0", RUN_ID, "artifacts")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with two artifacts, in a tree that says that it stands elsewhere."""
    folder = make_run(make_experiment(tmp_path / "old"))
    write(folder / "artifacts" / "a.txt", "first")
    write(folder / "artifacts" / "deep" / "é" / "model.bin", "x" * 1000)
    return folder


def take_in(**options: Any) -> ImportReport:
    return import_mlflow("old", "runs", **options)


def texts() -> Dict[str, str]:
    return {path.relative_to(HERE).as_posix(): path.read_text() for path in HERE.rglob("*") if path.is_file()}


def later(path: Path) -> None:
    """The file was changed after everything else."""
    os.utime(str(path), (time.time() + 60, time.time() + 60))


def test_artifacts_are_copied(run: Path) -> None:
    report = take_in()
    assert (report.artifacts, report.artifact_bytes, report.linked_artifacts) == (2, 1005, 0)
    assert texts() == {"a.txt": "first", "deep/é/model.bin": "x" * 1000}
    assert not (HERE / "a.txt").samefile(run / "artifacts" / "a.txt")
    assert len(ExperimentTracker(runs_dir="runs").list_artifacts(RUN_ID)) == 2
    assert take_in().artifacts == 0


def test_artifacts_are_linked_on_request(run: Path) -> None:
    """A link among them is linked as what it leads to."""
    os.symlink("a.txt", str(run / "artifacts" / "alias.txt"))
    report = take_in(artifacts="link")
    assert (report.artifacts, report.linked_artifacts) == (3, 3)
    for name in ("a.txt", "alias.txt", "deep/é/model.bin"):
        assert (HERE / name).samefile(run / "artifacts" / name)
        assert not (HERE / name).is_symlink()
    assert take_in(artifacts="link").artifacts == 0
    assert take_in(artifacts="copy").artifacts == 0


def test_copies_stand_in_for_links_where_files_cannot_be_linked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLinks:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def link(self, path: str, target: str, **_: Any) -> None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)

    monkeypatch.setattr(copying, "os", NoLinks())
    report = take_in(artifacts="link")
    assert (report.artifacts, report.linked_artifacts) == (2, 0)
    assert texts()["a.txt"] == "first"


def test_artifacts_are_left_on_request(run: Path) -> None:
    assert take_in(artifacts="none").artifacts == 0
    assert not HERE.exists()
    assert take_in().artifacts == 2


def test_new_and_changed_files_come_along_and_ours_are_kept(run: Path) -> None:
    """A file that was changed there replaces the one here; one that was changed here since is told, and stays."""
    take_in()
    write(run / "artifacts" / "new.txt", "new")
    later(write(run / "artifacts" / "a.txt", "second, and longer"))
    write(HERE / "deep" / "é" / "model.bin", "ours")
    report = take_in()
    assert report.artifacts == 2
    assert texts() == {"a.txt": "second, and longer", "new.txt": "new", "deep/é/model.bin": "ours"}
    assert [problem.reason.partition(";")[2] for problem in report.problems] == [" it is kept"]


def test_what_cannot_be_an_artifact_is_told_and_the_rest_comes_in(run: Path) -> None:
    artifacts = run / "artifacts"
    os.symlink("..", str(artifacts / "deep" / "loop"))
    os.symlink("nowhere", str(artifacts / "dangling"))
    os.mkfifo(str(artifacts / "fifo"))
    write(artifacts / "back\\slash", "x")
    report = take_in()
    assert {os.path.basename(problem.path) for problem in report.problems} == {
        "loop",
        "dangling",
        "fifo",
        "back\\slash",
    }
    assert sorted(texts()) == ["a.txt", "deep/é/model.bin"]


def test_artifacts_that_stand_outside_of_the_tree_are_found_by_their_uri(run: Path, tmp_path: Path) -> None:
    """Where the tree itself has none; a plain path is one, and what leads nowhere is nothing."""
    other = make_run(run.parent, "b" * 32, artifact_uri=(tmp_path / "store é").as_uri())
    write(tmp_path / "store é" / "far.txt", "far")
    plain = make_run(run.parent, "c" * 32, artifact_uri=str(tmp_path / "store é"))
    make_run(run.parent, "d" * 32, artifact_uri="file:///C:/Users/x/mlruns/0/d/artifacts")
    report = take_in()
    assert report.problems == []
    for folder in (other, plain):
        assert Path("runs", "0", folder.name, "artifacts", "far.txt").read_text() == "far"
    assert not Path("runs", "0", "d" * 32, "artifacts").exists()


@pytest.mark.parametrize("uri", ["s3://bucket/1", "gs://b/x", "mlflow-artifacts:/0/x", "dbfs:/x", "http://host/x"])
def test_artifacts_of_a_service_are_left_and_told(uri: str, run: Path) -> None:
    make_run(run.parent, "b" * 32, artifact_uri=uri)
    (problem,) = take_in().problems
    assert problem.reason == "its artifacts are left where they are: %s" % uri


def test_experiment_whose_artifacts_are_elsewhere_says_so_here(run: Path, tmp_path: Path) -> None:
    make_experiment(tmp_path / "old", "5", "far", artifact_location="s3://bucket/5")
    take_in()
    tracker = ExperimentTracker(runs_dir="runs")
    assert [tracker.get_experiment(number).artifact_location for number in (0, 5)] == [None, "s3://bucket/5"]
