"""A sweep of processes, coarse then fine: first a ProcessPoolExecutor, then joblib.

    pip install -e ".[examples]"
    python examples/process_pool.py --workers 2 --epochs 15

Searches the regularisation of a linear classifier on scikit-learn's handwritten digits. A pool of spawned processes
tries the decades; the best of them is read back from the tree, and joblib's processes (loky) try its surroundings.
What to look at: the tracker is an ordinary argument. It pickles as its settings; each process opens the tree itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from mini_mlflow import ExperimentTracker

DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SURROUNDINGS = (0.2, 0.4, 2.0, 4.0)


def train(tracker: ExperimentTracker, backend: str, alpha: float, epochs: int) -> str:
    """One trial, in whatever process it is called: a run with an accuracy per epoch. Returns the run's id."""
    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x / 16.0, y, test_size=0.25, stratify=y, random_state=0)
    model = SGDClassifier(alpha=alpha, random_state=0)
    with tracker.start_run(run_name=f"alpha={alpha:.1e}") as run, threadpool_limits(limits=1):
        run.set_tag("backend", backend)
        run.log_params({"alpha": alpha, "epochs": epochs})
        for epoch in range(epochs):
            model.partial_fit(train_x, train_y, classes=range(10))
            run.log_metric("accuracy", model.score(test_x, test_y), step=epoch)
    return run.run_id


def sweep_with_executor(tracker: ExperimentTracker, workers: int, epochs: int) -> None:
    """The decades, in processes that start from nothing (spawn), as on macOS and Windows."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        trials = [pool.submit(train, tracker, "spawn", alpha, epochs) for alpha in DECADES]
        for trial in trials:
            print(f"spawn: finished {trial.result()}")


def sweep_with_joblib(tracker: ExperimentTracker, around: float, workers: int, epochs: int) -> None:
    """Values near ``around``, in joblib's processes."""
    trials = (delayed(train)(tracker, "loky", around * factor, epochs) for factor in SURROUNDINGS)
    for run_id in Parallel(n_jobs=workers, backend="loky")(trials):
        print(f"loky: finished {run_id}")


def read_best_run(tracker: ExperimentTracker) -> dict:
    """The finished run with the highest last accuracy, from what stands on disk alone."""
    runs = [tracker.get_run(run_id) for run_id in tracker.list_runs()]
    finished = [run for run in runs if run["metadata"]["status"] == "FINISHED"]
    return max(finished, key=lambda run: run["metrics"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description="a coarse-to-fine sweep of processes over the digits data set")
    parser.add_argument("--runs-dir", default="mlruns")
    parser.add_argument("--experiment-id", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=15)
    args = parser.parse_args()
    tracker = ExperimentTracker(experiment_id=args.experiment_id, runs_dir=args.runs_dir)

    sweep_with_executor(tracker, args.workers, args.epochs)
    sweep_with_joblib(tracker, read_best_run(tracker)["params"]["alpha"], args.workers, args.epochs)

    best = read_best_run(tracker)
    print(f"runs: {len(tracker.list_runs())}")
    print(f"best run: {best['metadata']['run_id']}")
    print(f"accuracy: {best['metrics']['accuracy']:.4f}")
    print(f"params: {best['params']}, tags: {best['tags']}")


# Every spawned process imports this file: without the guard each would start a sweep of its own.
if __name__ == "__main__":
    main()
