"""The command line's experiments: listed, made, renamed, tagged, deleted and restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.exit_codes import DONE, FAILED, USAGE


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with the experiments "vision" and "audio", and a run in the first."""
    monkeypatch.chdir(tmp_path)
    tracker = ExperimentTracker()
    for name in ("vision", "audio"):
        tracker.create_experiment(name)
    with tracker.start_run(run_id="r", experiment_id=1):
        pass
    return tmp_path / "mlruns"


def stages(*options: str) -> Dict[str, str]:
    return {one["name"]: one["lifecycle_stage"] for one in call("experiments", "--json", *options).objects}


def test_experiments_are_created_also_in_a_tree_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("experiments").code == FAILED
    done = call("experiments", "create", "a", "größe")
    assert (done.code, done.lines) == (DONE, ["created experiment 1: a", "created experiment 2: größe"])
    assert call("experiments", "create", "c", "--json").objects == [
        {"experiment_id": 3, "name": "c", "done": "created"}
    ]
    again = call("experiments", "create", "d", "a")
    assert (again.code, again.lines) == (FAILED, ["created experiment 4: d"])
    assert "exists already" in again.err


def test_experiment_is_renamed_by_its_id_or_its_name(tree: Path) -> None:
    assert call("experiments", "rename", "1", "vision-2").lines == ["renamed experiment 1: vision-2"]
    assert call("experiments", "rename", "vision-2", "vision-3").code == DONE
    assert list(stages()) == ["Default", "vision-3", "audio"]
    for words in (("1", "audio"), ("7", "x"), ("nobody", "x"), ("1", "")):
        assert call("experiments", "rename", *words).code == FAILED
    assert list(stages()) == ["Default", "vision-3", "audio"]


def test_experiments_are_deleted_listed_and_restored(tree: Path) -> None:
    done = call("experiments", "delete", "vision", "2")
    assert done.lines == ["deleted experiment 1: vision", "deleted experiment 2: audio"]
    assert stages() == {"Default": "active"}
    assert stages("--deleted") == {"vision": "deleted", "audio": "deleted"}
    assert stages("-a") == {"Default": "active", "vision": "deleted", "audio": "deleted"}
    table = [line.split() for line in call("experiments", "--all").lines]
    assert table[0][-1] == "stage"
    assert table[2][:4] + table[2][-1:] == ["1", "vision", "0", "1", "deleted"]
    assert call("ls", "--ids").lines == []
    assert call("ls", "--deleted", "--ids").lines == ["r"]
    refused = call("restore", "r")
    assert refused.code == FAILED
    assert "restore_experiment(1)" in refused.err
    assert call("experiments", "restore", "vision").lines == ["restored experiment 1: vision"]
    assert call("ls", "--ids").lines == ["r"]
    assert call("experiments", "restore", "vision").code == FAILED
    assert call("experiments", "delete", "0").code == FAILED


def test_nothing_is_deleted_if_one_of_them_is_not_there(tree: Path) -> None:
    assert call("experiments", "delete", "vision", "nobody").code == FAILED
    assert call("experiments", "delete", "vision", "9").code == FAILED
    assert stages() == {"Default": "active", "vision": "active", "audio": "active"}


def test_tags_are_set_and_removed(tree: Path) -> None:
    assert call("experiments", "tag", "audio", "team=a", "note=x=y", "empty=").lines == ["tagged experiment 2: audio"]
    assert ExperimentTracker().get_experiment(2).tags == {"team": "a", "note": "x=y", "empty": ""}
    assert call("experiments", "untag", "2", "note", "empty", "--json").objects == [
        {"experiment_id": 2, "name": "audio", "done": "untagged"}
    ]
    assert ExperimentTracker().get_experiment(2).tags == {"team": "a"}
    assert [one["name"] for one in call("experiments", "-f", "tags.team = 'a'", "--json").objects] == ["audio"]


WRONG: Any = [
    ["rename", "1"],
    ["rename", "1", "a", "b"],
    ["create"],
    ["delete"],
    ["tag", "1"],
    ["tag", "1", "team"],
    ["untag", "1"],
    ["copy", "1"],
    ["delete", "1", "--deleted"],
    ["rename", "1", "a", "-f", "x"],
    ["--all", "--deleted"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_command_lines_say_what_is_taken(words: Any, tree: Path) -> None:
    done = call("experiments", *words)
    assert (done.code, done.out) == (USAGE, "")
    assert stages() == {"Default": "active", "vision": "active", "audio": "active"}


def test_gc_tells_of_experiments(tree: Path) -> None:
    call("experiments", "delete", "1", "2")
    dry = call("gc", "--dry-run", "--json")
    assert [one["run_id"] for one in dry.objects] == ["r"]
    assert dry.err == "mini-mlflow: 1 run and 2 experiments would be removed for good\n"
    assert call("gc", "-e", "audio").err == "mini-mlflow: 0 runs and 1 experiment removed for good\n"
    assert call("gc", "--older-than", "12h").err == "mini-mlflow: 0 runs removed for good\n"
    assert call("gc").err == "mini-mlflow: 1 run and 1 experiment removed for good\n"
    assert stages("--all") == {"Default": "active"}
