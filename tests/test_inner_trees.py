"""What MLflow keeps in a tree beside runs: trees within the tree are looked after with it, and nobody lists them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, List, Tuple

import pytest

from command_line import call
from concurrency import in_child
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.disk.layout import REGISTRY, inner_trees
from mini_mlflow.upkeep import repair, verify
from tree_check import list_tree

INNER = (".mlflow/models", ".mlflow/traces")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a run, and a model and a trace of the same experiment."""
    root = tmp_path / "mlruns"
    tracker = ExperimentTracker(runs_dir=root)
    number = tracker.create_experiment("a")
    for place, run_id in zip(("", *INNER), ("r", "m-1", "tr-1")):
        with ExperimentTracker(runs_dir=root / place).start_run(run_id=run_id, experiment_id=number) as run:
            run.log_metric("loss", 1.0)
            run.set_tag("kind", place)
    return root


def told(root: Path) -> List[Tuple[str, str]]:
    return [(finding.path, finding.rule) for finding in verify(root)]


def test_layout_names_the_two_trees(tree: Path) -> None:
    assert inner_trees(str(tree)) == tuple(str(tree / place) for place in INNER)


def test_whole_trees_within_a_tree_and_what_mlflow_keeps_beside_runs_are_no_findings(tree: Path) -> None:
    for name in REGISTRY:
        (tree / name).write_bytes(b"SQLite format 3")
    for folder in ("1/models/m-1/artifacts", "1/traces/tr-1/artifacts", "0/models"):
        (tree / folder).mkdir(parents=True)
    (tree / "1" / "models" / "m-1" / "artifacts" / "model.pkl").write_bytes(b"weights")
    files = list_tree(str(tree))
    assert told(tree) == []
    assert repair(tree) == []
    assert list_tree(str(tree)) == files


@pytest.mark.leaves("not-regular", "meta-missing")
def test_other_things_of_those_names_are_findings(tree: Path) -> None:
    (tree / "1" / "models" / "params").mkdir(parents=True)
    (tree / "0").mkdir()
    (tree / "0" / "traces").symlink_to(tree)
    assert told(tree) == [("0/traces", "not-regular"), ("1/models/meta.yaml", "meta-missing")]


def test_native_listings_never_show_them(tree: Path) -> None:
    (tree / "1" / "models" / "m-1").mkdir(parents=True)
    (tree / "1" / "traces").mkdir()
    tracker = ExperimentTracker(runs_dir=tree)
    assert tracker.list_runs(1) == ["r"]
    assert [run.run_id for run in tracker.search_runs(search_all_experiments=True)] == ["r"]
    assert [one.experiment_id for one in tracker.search_experiments()] == [0, 1]
    ExperimentTracker(runs_dir=tree / INNER[0]).delete_run("m-1", 1)
    assert tracker.list_deleted_runs() == []
    assert tracker.gc(dry_run=True) == []
    assert [one["runs"] for one in call("--runs-dir", str(tree), "experiments", "--json").objects] == [0, 1]


def test_run_may_have_the_id_of_such_a_folder(tmp_path: Path) -> None:
    with Run(run_id="models", runs_dir=tmp_path) as run:
        run.log_param("lr", 1)
    assert ExperimentTracker(runs_dir=tmp_path).list_runs() == ["models"]
    (tmp_path / "0" / "models" / "meta.yaml").unlink()
    assert told(tmp_path) == [("0/models/meta.yaml", "meta-missing")]
    assert all(one.done for one in repair(tmp_path))
    assert told(tmp_path) == []


@pytest.mark.parametrize("place", INNER)
def test_damage_in_them_is_found_and_repaired_under_its_path_in_the_tree(place: str, tree: Path) -> None:
    (run,) = (tree / place / "1").iterdir()
    (run / "metrics" / "loss.json").write_bytes(b"{")
    (run / "notes").write_bytes(b"mine")
    (tree / place / ".trash").mkdir()
    (tree / place / ".trash" / "notes").write_bytes(b"mine too")
    relative = os.path.relpath(str(run), str(tree))
    found = told(tree)
    assert (os.path.join(relative, "metrics", "loss.json"), "torn-document") in found
    assert (os.path.join(place, ".trash", "notes"), "foreign-file") in found
    assert all(path.startswith(place) for path, _ in found)
    checked = call("--runs-dir", str(tree), "verify", "--json")
    assert checked.code == NO
    assert sorted((one["path"], one["rule"]) for one in checked.objects) == sorted(found)
    dry = repair(tree, dry_run=True)
    assert {(one.finding.path, one.finding.rule) for one in dry} == set(found)
    repaired = call("--runs-dir", str(tree), "repair", "--json")
    assert repaired.code == DONE
    assert {(one["path"], one["rule"]) for one in repaired.objects} >= set(found)
    assert told(tree) == []
    kept = sorted((tree / ".quarantine").rglob("notes"))
    assert [path.read_bytes() for path in kept] == [b"mine too", b"mine"]
    assert not (tree / place / ".quarantine").exists()
    assert ExperimentTracker(runs_dir=tree / place).get_run(run.name, 1)["metrics"] == {"loss": 1.0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_dead_owner_in_one_of_them_is_ended_by_a_repair_alone_or_with_all(tree: Path) -> None:
    inner = tree / INNER[1]
    in_child(lambda: Run(run_id="open", experiment_id=1, runs_dir=inner).log_metric("loss", 2.0))
    assert told(tree) == [(INNER[1] + "/1/open", "dead-owner")] or told(tree)[0][1] == "dead-owner"
    steps: List[Any] = []
    (made,) = repair(tree, run_ids=["open"], progress=lambda *step: steps.append(step))
    assert (made.finding.rule, made.done) == ("dead-owner", True)
    assert steps == [(0, 1), (1, 1)]
    assert ExperimentTracker(runs_dir=inner).get_run("open", 1)["metadata"]["status"] == "FAILED"


@pytest.mark.leaves("foreign-file", "not-regular")
def test_strangers_beside_them_are_found_and_links_are_not_followed(tree: Path, tmp_path: Path) -> None:
    (tree / ".mlflow" / "more").mkdir()
    shutil.move(str(tree / INNER[0]), str(tmp_path / "away"))
    (tree / INNER[0]).symlink_to(tmp_path / "away")
    (tmp_path / "away" / "notes").write_bytes(b"")
    assert told(tree) == [(".mlflow/models", "not-regular"), (".mlflow/more", "foreign-file")]
    (tmp_path / "away" / "notes").unlink()


def test_gc_removes_what_is_deleted_in_them_and_all_of_an_experiment_that_goes(tree: Path) -> None:
    tracker = ExperimentTracker(runs_dir=tree)
    models, traces = (ExperimentTracker(runs_dir=tree / place) for place in INNER)
    with models.start_run(run_id="m-2", experiment_id=1):
        pass
    models.delete_run("m-2", 1)
    assert tracker.gc(older_than_s=3600) == []
    assert len(models.list_deleted_runs()) == 1
    assert tracker.gc() == []
    assert models.list_deleted_runs() == []
    assert models.list_runs(1) == ["m-1"]
    (tree / "1" / "models" / "m-1").mkdir(parents=True)
    tracker.delete_experiment(1)
    assert (models.list_runs(1), traces.list_runs(1)) == (["m-1"], ["tr-1"])
    done = call("--runs-dir", str(tree), "gc")
    assert done.err == "mini-mlflow: 1 run and 1 experiment removed for good\n"
    assert (models.list_runs(1), traces.list_runs(1)) == ([], [])
    assert not any((tree / place / "1").exists() for place in ("", *INNER))
    assert told(tree) == []
