"""The command line's delete, restore, gc and experiments, called in this process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import List

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.exit_codes import DONE, FAILED, USAGE
from mini_mlflow.reading import trash


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Runs a1, a2 and b in experiment 0, and a3 in a named one."""
    tracker = ExperimentTracker(run_name="名前")
    named = tracker.create_experiment("vision\u202e", {"team": "x"})
    for run_id in ("a1", "a2", "b"):
        with tracker.start_run(run_id=run_id) as run:
            run.log_metric("loss", 1.0)
    with tracker.start_run(run_id="a3", experiment_id=named):
        pass
    return tmp_path / "mlruns"


def ids(*argv: str) -> List[str]:
    return sorted(call("ls", "--ids", *argv).lines)


def test_delete_and_restore(tree: Path) -> None:
    """Runs go to the trash and come back, by their ids or the beginnings of these."""
    done = call("delete", "b", "a2", "b")
    assert (done.code, done.err) == (DONE, "")
    assert done.lines == ["deleted b in experiment 0", "deleted a2 in experiment 0"]
    assert (ids(), ids("--deleted")) == (["a1", "a3"], ["a2", "b"])
    assert call("show", "b").code == FAILED
    done = call("restore", "a", "--json")
    assert (done.code, done.objects) == (DONE, [{"run_id": "a2", "experiment_id": 0, "done": "restored"}])
    assert (ids(), ids("--deleted")) == (["a1", "a2", "a3"], ["b"])
    assert call("show", "a2", "--json").objects[0]["metrics"] == {"loss": 1.0}


def test_nothing_is_deleted_if_one_of_the_runs_is_not_there(tree: Path) -> None:
    for wrong in ("missing", "a"):
        done = call("delete", "b", wrong)
        assert (done.code, done.out) == (FAILED, "")
    assert ids("--deleted") == []
    call("delete", "a1", "a2")
    for wrong in ("missing", "a", ""):
        done = call("restore", "a1", wrong)
        assert (done.code, done.out) == (FAILED, "")
    assert ids("--deleted") == ["a1", "a2"]
    assert call("delete", "a3", "-e", "0").code == FAILED
    assert call("delete", "a3", "-e", "vision\u202e").code == DONE
    assert call("restore", "a3", "-e", "0").code == FAILED


def test_trash_is_listed(tree: Path) -> None:
    call("delete", "a1")
    call("delete", "a3")
    words = [line.split() for line in call("ls", "--deleted").lines]
    assert words[0] == ["run", "experiment", "name", "deleted", "(UTC)"]
    assert [row[:3] for row in words[1:]] == [["a3", "1", "名前"], ["a1", "0", "名前"]]
    found = call("ls", "--deleted", "--json", "-n", "1").objects
    assert [(run["run_id"], run["status"]) for run in found] == [("a3", "FINISHED")]
    assert call("ls", "--deleted", "--ids", "-e", "0").lines == ["a1"]
    assert call("ls", "--deleted", "-f", "name = 'x'").code == USAGE


def test_gc_removes_what_is_old_enough(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing younger than it is told, nothing at all in a dry run."""
    call("delete", "a1", "b", "a3")
    young = call("gc", "--older-than", "12h")
    assert (young.code, young.out, young.err) == (DONE, "", "mini-mlflow: 0 runs removed for good\n")
    dry = call("gc", "--dry-run")
    assert sorted(line.split()[0] for line in dry.lines) == ["a1", "a3", "b", "run"]
    assert dry.err == "mini-mlflow: 3 runs would be removed for good\n"
    assert ids("--deleted") == ["a1", "a3", "b"]
    assert [run["run_id"] for run in call("gc", "-e", "1", "--json").objects] == ["a3"]
    monkeypatch.setattr(trash, "time", SimpleNamespace(time=lambda: time.time() + 13 * 3600))
    assert call("gc", "--older-than", "12h").err == "mini-mlflow: 2 runs removed for good\n"
    assert ids("--deleted") == []
    assert ids() == ["a2"]
    assert os.listdir(tree / ".trash" / "0") == []


@pytest.mark.parametrize("age", ["12", "h", "-1h", "1y", "", "1h30m", "nan d"])
def test_age_has_a_unit(tree: Path, age: str) -> None:
    done = call("gc", "--older-than", age)
    assert (done.code, done.out) == (USAGE, "")


def test_experiments_are_listed_with_their_runs(tree: Path) -> None:
    call("delete", "b")
    lines = call("experiments").lines
    assert [line.split()[:4] for line in lines] == [
        ["experiment", "name", "runs", "deleted"],
        ["0", "Default", "2", "1"],
        ["1", "vision\\u202e", "1", "0"],
    ]
    found = call("experiments", "--json", "-f", "name LIKE 'vis%'").objects
    assert [(one["experiment_id"], one["tags"], one["runs"]) for one in found] == [(1, {"team": "x"}, 1)]
    assert found[0]["creation_time"].endswith("Z")
    assert call("experiments", "-f", "nonsense").code != DONE
