"""A sweep of threads: each trial is a run of its own, all in one tree.

    pip install -e ".[examples]"
    python examples/threaded_sweep.py --workers 4 --epochs 15

Trains a small neural network on scikit-learn's handwritten digits for every pair of a learning rate and a width, with
loss and accuracy logged per epoch. What to look at: the active run belongs to its thread, so a pool that uses a thread
again starts each trial afresh, and no trial ever sees the run of another.
"""

from __future__ import annotations

import argparse
import itertools
from concurrent.futures import ThreadPoolExecutor

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from mini_mlflow import ExperimentTracker

LEARNING_RATES = (0.0003, 0.001, 0.003, 0.01)
WIDTHS = (16, 48)


def train(tracker: ExperimentTracker, data: list, learning_rate: float, width: int, epochs: int) -> None:
    """One trial: a run that records its params, and a loss and an accuracy per epoch."""
    train_x, test_x, train_y, test_y = data
    with tracker.start_run(run_name=f"lr={learning_rate:g} width={width}") as run:
        run.log_params({"learning_rate": learning_rate, "width": width, "epochs": epochs})
        model = MLPClassifier(hidden_layer_sizes=(width,), learning_rate_init=learning_rate, random_state=0)
        for epoch in range(epochs):
            model.partial_fit(train_x, train_y, classes=range(10))
            run.log_metrics({"loss": model.loss_, "accuracy": model.score(test_x, test_y)}, step=epoch)


def sweep(tracker: ExperimentTracker, workers: int, epochs: int) -> None:
    """Every combination, ``workers`` of them at a time."""
    x, y = load_digits(return_X_y=True)
    data = train_test_split(x / 16.0, y, test_size=0.25, stratify=y, random_state=0)
    # The pool's threads fill the cores already: more threads inside each matrix product would only get in the way.
    with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=workers) as pool:
        trials = [
            pool.submit(train, tracker, data, learning_rate, width, epochs)
            for learning_rate, width in itertools.product(LEARNING_RATES, WIDTHS)
        ]
        for trial in trials:
            trial.result()


def print_best_run(tracker: ExperimentTracker) -> None:
    """The winner, from what stands on disk alone: runs of earlier sweeps take part too."""
    runs = [tracker.get_run(run_id) for run_id in tracker.list_runs()]
    finished = [run for run in runs if run["metadata"]["status"] == "FINISHED"]
    best = max(finished, key=lambda run: run["metrics"]["accuracy"])
    run_id = best["metadata"]["run_id"]
    losses = tracker.get_metric_history(run_id, "loss")
    print(f"runs: {len(runs)}")
    print(f"best run: {run_id}")
    print(f"accuracy: {best['metrics']['accuracy']:.4f}")
    print(f"params: {best['params']}")
    print("loss by epoch:", " ".join(f"{point.value:.2f}" for point in losses))


def main() -> None:
    parser = argparse.ArgumentParser(description="a sweep of threads over the digits data set")
    parser.add_argument("--runs-dir", default="mlruns")
    parser.add_argument("--experiment-id", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=15)
    args = parser.parse_args()
    tracker = ExperimentTracker(experiment_id=args.experiment_id, runs_dir=args.runs_dir)
    sweep(tracker, args.workers, args.epochs)
    print_best_run(tracker)


if __name__ == "__main__":
    main()
