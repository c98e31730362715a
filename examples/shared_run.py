"""Several processes log to one run: a cross-validation whose folds train side by side.

    pip install -e ".[examples]"
    python examples/shared_run.py --workers 2 --folds 4 --epochs 12

Each candidate model is one run, started and ended by the parent; each of its folds is trained by another process, which
receives the run as an argument and logs to it. What to look at: a fold's accuracy goes to a key of its own
(``fold_0_accuracy``) and to one key that all folds share (``accuracy``), at the same steps. Both keep every point,
whichever process is quicker, and the parent reads the shared key back to judge the candidate.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from mini_mlflow import ExperimentTracker, Run

WIDTHS = (4, 16, 48)


def train_fold(run: Run, width: int, fold: int, folds: int, epochs: int) -> None:
    """One fold of the run's cross-validation; the run itself stays open for the other folds."""
    x, y = load_digits(return_X_y=True)
    splits = StratifiedKFold(n_splits=folds, shuffle=True, random_state=0).split(x, y)
    train_rows, test_rows = list(splits)[fold]
    model = MLPClassifier(hidden_layer_sizes=(width,), learning_rate_init=0.003, random_state=fold)
    with threadpool_limits(limits=1):
        for epoch in range(epochs):
            model.partial_fit(x[train_rows] / 16.0, y[train_rows], classes=range(10))
            accuracy = model.score(x[test_rows] / 16.0, y[test_rows])
            run.log_metrics({f"fold_{fold}_accuracy": accuracy, "accuracy": accuracy}, step=epoch)


def cross_validate(tracker: ExperimentTracker, pool: ProcessPoolExecutor, width: int, folds: int, epochs: int) -> None:
    """One candidate: a run that all its folds log to, and that then gets their mean."""
    with tracker.start_run(run_name=f"width={width}") as run:
        run.log_params({"width": width, "folds": folds, "epochs": epochs})
        for fold in [pool.submit(train_fold, run, width, fold, folds, epochs) for fold in range(folds)]:
            fold.result()
        points = tracker.get_metric_history(run.run_id, "accuracy")
        last = [point.value for point in points if point.step == epochs - 1]
        mean = sum(last) / len(last)
        run.log_metric("mean_accuracy", mean)
    print(f"{run.name}: {len(points)} points of {folds} folds, mean accuracy {mean:.4f}")


def print_best_run(tracker: ExperimentTracker) -> None:
    """The winner, from what stands on disk alone."""
    runs = [tracker.get_run(run_id) for run_id in tracker.list_runs()]
    finished = [run for run in runs if run["metadata"]["status"] == "FINISHED"]
    best = max(finished, key=lambda run: run["metrics"]["mean_accuracy"])
    print(f"runs: {len(runs)}")
    print(f"best run: {best['metadata']['run_id']}")
    print(f"accuracy: {best['metrics']['mean_accuracy']:.4f}")
    print(f"params: {best['params']}")


def main() -> None:
    parser = argparse.ArgumentParser(description="cross-validation on the digits data set, one run a candidate")
    parser.add_argument("--runs-dir", default="mlruns")
    parser.add_argument("--experiment-id", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    tracker = ExperimentTracker(experiment_id=args.experiment_id, runs_dir=args.runs_dir)
    with ProcessPoolExecutor(max_workers=args.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for width in WIDTHS:
            cross_validate(tracker, pool, width, args.folds, args.epochs)
    print_best_run(tracker)


# Every spawned process imports this file: without the guard each would start a cross-validation of its own.
if __name__ == "__main__":
    main()
