"""The examples run as a user runs them, and what they print as the best run is what the tree holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mini_mlflow import ExperimentTracker

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# Each sweep imports scikit-learn in five processes, which on a busy machine takes longer than all the training.
HANGS_AFTER_S = 240
pytestmark = pytest.mark.timeout(HANGS_AFTER_S + 30)


def run_example(name: str, *arguments: str, cwd: Path, **environment: str) -> str:
    """What ``python examples/<name>`` prints, started in ``cwd`` with every setting of the library at its default."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MINI_MLFLOW_")}
    settings.update(environment)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=str(cwd),
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed(label: str, output: str) -> str:
    """What the output says after ``label:``, which must stand there once."""
    found = re.findall(rf"^\s*{label}: (.*)$", output, re.MULTILINE)
    assert len(found) == 1, output
    return found[0]


def read_finished_runs(runs_dir: Path, experiment_id: int) -> dict:
    """Every run of the experiment by its id; each of them must have ended well."""
    tracker = ExperimentTracker(experiment_id=experiment_id, runs_dir=str(runs_dir))
    runs = {run_id: tracker.get_run(run_id) for run_id in tracker.list_runs()}
    assert {run["metadata"]["status"] for run in runs.values()} <= {"FINISHED"}
    return runs


def assert_best_run_is_true(output: str, runs: dict, metric: str) -> None:
    """The printed run is one of the best in the tree, and the printed accuracy is its own."""
    assert int(printed("runs", output)) == len(runs)
    best = runs[printed("best run", output)]
    assert best["metrics"][metric] == max(run["metrics"][metric] for run in runs.values())
    assert printed("accuracy", output) == f"{best['metrics'][metric]:.4f}"


def assert_steps_are_whole(runs_dir: Path, experiment_id: int, runs: dict, metric: str, steps: list) -> None:
    """Each run's history of the metric has exactly these steps, in this order."""
    tracker = ExperimentTracker(experiment_id=experiment_id, runs_dir=str(runs_dir))
    for run_id in runs:
        assert [point.step for point in tracker.get_metric_history(run_id, metric)] == steps


def test_basic_usage_writes_to_mlruns_in_the_working_directory(tmp_path: Path) -> None:
    output = run_example("basic_usage.py", cwd=tmp_path)
    runs = read_finished_runs(tmp_path / "mlruns", 1)
    assert int(printed("total runs", output)) == len(runs) == 3
    assert runs[printed("best run", output)]["params"] == {"learning_rate": 0.01}
    assert printed("v1.0 accuracy", output) == "0.9"
    assert printed("latest", output) == "v2.0, accuracy: 0.96"
    names = [run["metadata"]["name"] for run in read_finished_runs(tmp_path / "mlruns", 0).values()]
    assert names == ["context_manager", "mlflow_like"]


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_basic_usage_follows_its_runs_dir(tmp_path: Path, way: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    if way == "argument":
        run_example("basic_usage.py", "--runs-dir", str(elsewhere), cwd=tmp_path)
    else:
        run_example("basic_usage.py", cwd=tmp_path, MINI_MLFLOW_RUNS_DIR=str(elsewhere))
    assert [len(read_finished_runs(elsewhere, experiment_id)) for experiment_id in (0, 1, 2)] == [2, 3, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["elsewhere"]


def test_threaded_sweep_prints_the_best_of_its_runs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    output = run_example("threaded_sweep.py", "--workers", "4", "--epochs", "4", cwd=tmp_path)
    runs = read_finished_runs(tmp_path / "mlruns", 10)
    assert_best_run_is_true(output, runs, "accuracy")
    assert_steps_are_whole(tmp_path / "mlruns", 10, runs, "loss", [0, 1, 2, 3])
    tried = {(run["params"]["learning_rate"], run["params"]["width"]) for run in runs.values()}
    assert len(tried) == len(runs) == 8


def test_process_pool_prints_the_best_of_both_pools(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("joblib")
    output = run_example("process_pool.py", "--workers", "2", "--epochs", "4", cwd=tmp_path)
    runs = read_finished_runs(tmp_path / "mlruns", 11)
    assert_best_run_is_true(output, runs, "accuracy")
    assert_steps_are_whole(tmp_path / "mlruns", 11, runs, "accuracy", [0, 1, 2, 3])
    assert sorted(run["tags"]["backend"] for run in runs.values()) == ["loky"] * 4 + ["spawn"] * 6
    assert len({run["params"]["alpha"] for run in runs.values()}) == 10


def test_shared_run_keeps_every_point_of_every_process(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    output = run_example("shared_run.py", "--workers", "2", "--folds", "3", "--epochs", "4", cwd=tmp_path)
    runs = read_finished_runs(tmp_path / "mlruns", 12)
    assert_best_run_is_true(output, runs, "mean_accuracy")
    tracker = ExperimentTracker(experiment_id=12, runs_dir=str(tmp_path / "mlruns"))
    for run_id in runs:
        points = []
        for fold in range(3):
            history = tracker.get_metric_history(run_id, f"fold_{fold}_accuracy")
            assert [point.step for point in history] == [0, 1, 2, 3]
            points += [(point.step, point.value) for point in history]
        shared = tracker.get_metric_history(run_id, "accuracy")
        assert sorted((point.step, point.value) for point in shared) == sorted(points)


def test_mlflow_autolog_finds_its_runs_with_both_libraries(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if not request.config.getoption("--mlflow-long"):
        pytest.skip("takes a dozen seconds: --mlflow-long")
    pytest.importorskip("mlflow")
    pytest.importorskip("sklearn")
    try:
        from importlib.metadata import entry_points

        entry_points(group="mlflow.tracking_store")["mini-mlflow"]
    except (ImportError, KeyError, TypeError):
        pytest.skip("MLflow finds the tree by an entry point, which only an installed mini_mlflow has")
    output = run_example("mlflow_autolog.py", str(tmp_path / "runs"), cwd=tmp_path)
    runs = read_finished_runs(tmp_path / "runs", 1)
    assert_best_run_is_true(output, runs, "test_accuracy")
    good = [run["params"]["C"] for run in runs.values() if run["metrics"]["test_accuracy"] > 0.5]
    assert int(printed("good runs", output)) == len(good)
    assert printed("strengths", output) == ", ".join(sorted(good))
    assert printed("loaded", output) == "LogisticRegression(C=1.0)"
