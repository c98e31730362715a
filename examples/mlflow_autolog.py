"""scikit-learn's autolog through MLflow, into a tree of plain files; then the same runs found with both libraries.

    pip install -e . mlflow scikit-learn
    python examples/mlflow_autolog.py [runs_dir]

MLflow finds the tree by its URI, and nothing else in the training code knows of it. No server, no database: `mlflow ui
--backend-store-uri mini-mlflow:mlruns` shows the same runs and models in a browser, also while they are trained.
"""

import os
import sys

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import mini_mlflow

EXPERIMENT = "iris"


def train(strength: float) -> None:
    features, labels = load_iris(return_X_y=True)
    parts = train_test_split(features, labels, random_state=0)
    with mlflow.start_run(run_name=f"C={strength}"):
        # Parameters, metrics, the data and the model itself: autolog sees to all of it.
        model = LogisticRegression(C=strength, max_iter=500).fit(parts[0], parts[2])
        mlflow.log_metric("test_accuracy", model.score(parts[1], parts[3]))


def main() -> None:
    runs_dir = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "mlruns")
    mlflow.set_tracking_uri(f"mini-mlflow:{runs_dir}")
    mlflow.set_experiment(EXPERIMENT)
    mlflow.sklearn.autolog(silent=True)
    for strength in (0.01, 1.0, 100.0):
        train(strength)

    found = mlflow.search_runs(
        experiment_names=[EXPERIMENT], order_by=["metrics.test_accuracy DESC"], output_format="list"
    )
    print(f"runs: {len(found)}")
    print(f"best run: {found[0].info.run_id}")
    print(f"accuracy: {found[0].data.metrics['test_accuracy']:.4f}")

    tracker = mini_mlflow.ExperimentTracker(runs_dir=runs_dir)
    ours = tracker.search_runs("metrics.test_accuracy > 0.5", experiment_names=[EXPERIMENT])
    print(f"good runs: {len(ours)}")
    print(f"strengths: {', '.join(sorted(run.params['C'] for run in ours))}")

    models = mlflow.search_logged_models(
        experiment_ids=[found[0].info.experiment_id], output_format="list", filter_string="params.C = '1.0'"
    )
    model = mlflow.sklearn.load_model(models[0].model_uri)
    print(f"loaded: {type(model).__name__}(C={model.C})")


if __name__ == "__main__":
    main()
