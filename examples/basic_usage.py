"""The whole library in five short parts; needs no package but mini_mlflow itself.

    python examples/basic_usage.py
    python examples/basic_usage.py --runs-dir /tmp/elsewhere

Everything lands as plain files below ``./mlruns`` (or where ``MINI_MLFLOW_RUNS_DIR`` says): look at them with
``find mlruns`` and ``cat`` when the script is done. The training is pretended; the other examples train real models.
"""

from __future__ import annotations

import argparse
import os

from mini_mlflow import ExperimentTracker, end_run, log_metric, log_param, set_runs_dir, start_run


def pretend_to_train(learning_rate: float, epoch: int) -> float:
    """An accuracy that grows with the epochs, fastest for a learning rate near 0.01."""
    speed = min(learning_rate / 0.01, 0.01 / learning_rate)
    return 1.0 - 0.5 * (1.0 - 0.4 * speed) ** epoch


def mlflow_like_api() -> None:
    """Functions that log to the run which is active in this thread."""
    print("1. MLflow-like API")
    run = start_run(run_name="mlflow_like")
    log_param("learning_rate", 0.01)
    log_param("batch_size", 32)
    for epoch in range(5):
        log_metric("accuracy", pretend_to_train(0.01, epoch), step=epoch)
    end_run()
    print(f"   run {run.run_id} is {run.status}")


def context_manager(runs_dir: str) -> None:
    """The block ends the run: FINISHED, or FAILED when an exception leaves it."""
    print("2. Context manager")
    with ExperimentTracker(run_name="context_manager", runs_dir=runs_dir) as run:
        run.log_params({"learning_rate": 0.01, "layers": [64, 32], "augment": True})
        run.log_metrics({"accuracy": 0.95, "loss": 0.05})
    print(f"   run {run.run_id} is {run.status}")


def several_runs(runs_dir: str) -> None:
    """One tracker starts as many runs of its experiment as it is asked for."""
    print("3. Several runs in one experiment")
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    for learning_rate in (0.001, 0.01, 0.1):
        with tracker.start_run(run_name=f"lr={learning_rate:g}") as run:
            run.log_param("learning_rate", learning_rate)
            for epoch in range(5):
                run.log_metric("accuracy", pretend_to_train(learning_rate, epoch), step=epoch)
        print(f"   {run.name} is {run.status}")


def retrieving_past_runs(runs_dir: str) -> None:
    """Reading takes no lock and starts no run: any process may do it at any time."""
    print("4. Retrieving past runs")
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    run_ids = tracker.list_runs()
    print(f"   total runs: {len(run_ids)}")
    best = max((tracker.get_run(run_id) for run_id in run_ids), key=lambda data: data["metrics"].get("accuracy", 0.0))
    print(f"   best run: {best['metadata']['run_id']}")
    print(f"   params {best['params']}, metrics {best['metrics']}")
    history = tracker.get_metric_history(best["metadata"]["run_id"], "accuracy")
    print("   accuracy by epoch:", " ".join(f"{point.step}:{point.value:.3f}" for point in history))


def versions(runs_dir: str) -> None:
    """A run may carry a version, and be found again by its name and that."""
    print("5. Versions")
    tracker = ExperimentTracker(experiment_id=2, runs_dir=runs_dir)
    for version, accuracy in (("v1.0", 0.90), ("v1.1", 0.93), ("v2.0", 0.96)):
        with tracker.start_run(run_name="my_model", version=version) as run:
            run.log_metric("accuracy", accuracy)
    first = tracker.get_run_by_version("my_model", "v1.0")
    latest = tracker.get_latest_version("my_model")
    if first is not None and latest is not None:
        print(f"   v1.0 accuracy: {first['metrics']['accuracy']}")
        print(f"   latest: {latest['metadata']['version']}, accuracy: {latest['metrics']['accuracy']}")


def main() -> None:
    parser = argparse.ArgumentParser(description="mini_mlflow in five short parts")
    parser.add_argument("--runs-dir", default=os.environ.get("MINI_MLFLOW_RUNS_DIR", "mlruns"))
    runs_dir = parser.parse_args().runs_dir
    # The functions of part 1 follow this setting; a tracker is told its tree when it is made.
    set_runs_dir(runs_dir)
    mlflow_like_api()
    context_manager(runs_dir)
    several_runs(runs_dir)
    retrieving_past_runs(runs_dir)
    versions(runs_dir)


if __name__ == "__main__":
    main()
