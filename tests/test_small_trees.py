"""The small trees inside a tree are verified and mended with it, each by itself, and told with their paths in it."""

from __future__ import annotations

import os

import pytest

from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.disk.layout import MODELS, TRACES, small_root
from mini_mlflow.upkeep import repair, verify


def make_trees(runs_dir: str) -> None:
    """A run in the tree and one in each of its small trees, all ended."""
    for root in (runs_dir, small_root(runs_dir, MODELS), small_root(runs_dir, TRACES)):
        with Run("r", runs_dir=root) as run:
            run.log_params({"lr": 0.1})


def tear(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"{")


def test_tree_with_small_trees_is_sound_and_shows_only_its_own_runs(runs_dir: str) -> None:
    make_trees(runs_dir)
    assert verify(runs_dir) == []
    assert [run.run_id for run in ExperimentTracker(runs_dir=runs_dir).search_runs()] == ["r"]
    assert ExperimentTracker(runs_dir=small_root(runs_dir, MODELS)).list_runs() == ["r"]


@pytest.mark.damaged_tree
@pytest.mark.parametrize("kind", [MODELS, TRACES])
def test_damage_in_a_small_tree_is_told_and_mended_where_it_stands(runs_dir: str, kind: str) -> None:
    make_trees(runs_dir)
    tear(os.path.join(small_root(runs_dir, kind), "0", "r", "params", "lr.json"))
    path = ".mlflow/%s/0/r/params/lr.json" % kind
    assert [(finding.path, finding.rule) for finding in verify(runs_dir)] == [(path, "torn-document")]
    assert [(made.finding.path, made.done) for made in repair(runs_dir)] == [(path, True)]
    assert verify(runs_dir) == []
    assert ExperimentTracker(runs_dir=small_root(runs_dir, kind)).get_run("r")["params"] == {"lr": 0.1}
    assert os.path.isdir(os.path.join(runs_dir, ".quarantine"))


@pytest.mark.damaged_tree
def test_folder_of_small_trees_holds_nothing_else(runs_dir: str) -> None:
    make_trees(runs_dir)
    with open(os.path.join(runs_dir, ".mlflow", "notes"), "w"):
        pass
    assert [(finding.path, finding.rule) for finding in verify(runs_dir)] == [(".mlflow/notes", "foreign-file")]


@pytest.mark.damaged_tree
def test_small_tree_behind_a_link_is_told_and_not_followed(runs_dir: str, tmp_path: os.PathLike[str]) -> None:
    make_trees(runs_dir)
    elsewhere = os.path.join(str(tmp_path), "elsewhere")
    os.rename(small_root(runs_dir, MODELS), elsewhere)
    os.symlink(elsewhere, small_root(runs_dir, MODELS))
    tear(os.path.join(elsewhere, "0", "r", "params", "lr.json"))
    assert [(finding.path, finding.rule) for finding in verify(runs_dir)] == [(".mlflow/models", "not-regular")]


@pytest.mark.parametrize("name", [MODELS, TRACES])
def test_artifacts_of_models_and_traces_beside_the_runs_are_in_their_place(runs_dir: str, name: str) -> None:
    make_trees(runs_dir)
    os.makedirs(os.path.join(runs_dir, "0", name, "m-1", "artifacts"))
    assert verify(runs_dir) == []
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["r"]
