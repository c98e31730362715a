"""The command line's artifacts and log-artifact, and the artifacts that show shows, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.cli.exit_codes import DONE, FAILED


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An ended run with a file at the top of its artifacts and one in a folder."""
    with ExperimentTracker().start_run(run_id="ended") as run:
        run.log_text("hello", "note.txt")
        run.log_text("x" * 1500, "more/\u202e精度.txt")
    return tmp_path / "mlruns"


def test_artifacts_are_listed_with_their_sizes(tree: Path) -> None:
    done = call("artifacts", "ended")
    assert (done.code, done.err) == (DONE, "")
    assert [line.split() for line in done.lines] == [
        ["artifact", "size"],
        ["more/\\u202e精度.txt", "1.5", "kB"],
        ["note.txt", "5", "B"],
    ]
    assert call("artifacts", "ended", "--json").objects[1] == {"path": "note.txt", "is_dir": False, "file_size": 5}
    assert len(call("artifacts", "ended", "more").lines) == 2
    assert call("artifacts", "ended", "missing").out == ""
    assert call("artifacts", "ended", "../x").code == FAILED


def test_show_has_the_artifacts(tree: Path) -> None:
    assert call("show", "ended").lines[-1].split() == ["note.txt", "5", "B"]
    (shown,) = call("show", "ended", "--json").objects
    assert [artifact["path"] for artifact in shown["artifacts"]] == ["more/\u202e精度.txt", "note.txt"]


def test_file_and_folder_are_copied_to_an_ended_run(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"model")
    done = call("log-artifact", "end", str(folder / "model.bin"), "--to", "models")
    assert (done.code, done.err) == (DONE, "")
    assert done.out == "logged %s to ended in experiment 0\n" % (folder / "model.bin")
    logged = call("log-artifact", "ended", str(folder), "--json").objects
    assert logged == [{"run_id": "ended", "experiment_id": 0, "done": "logged"}]
    names = [line.split()[0] for line in call("artifacts", "ended").lines]
    assert names[1:] == ["folder/model.bin", "models/model.bin", "more/\\u202e精度.txt", "note.txt"]
    missing = call("log-artifact", "ended", str(tmp_path / "missing"))
    assert (missing.code, missing.out) == (FAILED, "")
    assert "missing" in missing.err


@pytest.mark.leaves("dead-owner")
def test_crashed_run_stays_crashed(tree: Path, tmp_path: Path) -> None:
    """Who logs an artifact to a run whose owner has died does not become its owner."""
    Run(run_id="crashed")._opened().give_up_ownership()
    (tmp_path / "core").write_text("dump")
    assert call("log-artifact", "crashed", str(tmp_path / "core")).code == DONE
    (shown,) = call("show", "crashed", "--json").objects
    assert (shown["status"], [artifact["path"] for artifact in shown["artifacts"]]) == ("CRASHED", ["core"])


def test_copying_shows_how_far_it_is(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("mini_mlflow.cli.progress.monotonic", lambda: float(next(clock)))
    (tmp_path / "large").write_bytes(b"x" * 2000)
    shown = call("log-artifact", "ended", str(tmp_path / "large"), terminal=True).err.split("\r\x1b[K")
    assert shown[-2:] == ["copying [########################] 2.0 kB of 2.0 kB", ""]
