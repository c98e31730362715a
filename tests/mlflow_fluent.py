"""A user's script on MLflow's fluent API, run in a process of its own: ``python mlflow_fluent.py TRACKING_URI``.

Prints as JSON what it saw, with names in the place of ids and without the times of now.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any, Dict, List

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

SEEN: List[Any] = []
NAMES: Dict[str, str] = {}


def see(name: str, value: Any) -> None:
    SEEN.append([name, value])


def plain(run: Any) -> Any:
    """A run without what differs from one tree, process or second to the next."""
    elsewhere = ("mlflow.user", "mlflow.source.git.commit")
    tags = {key: NAMES.get(value, value) for key, value in run.data.tags.items() if key not in elsewhere}
    tags["mlflow.source.name"] = os.path.basename(tags.get("mlflow.source.name", ""))
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "times": [run.info.start_time > 0, run.info.end_time is not None and run.info.end_time >= run.info.start_time],
        "experiment": NAMES.get(run.info.experiment_id),
        "uri ends": run.info.artifact_uri.replace(run.info.run_id, "<id>").rpartition("/")[0][-5:],
        "metrics": {key: repr(value) for key, value in sorted(run.data.metrics.items())},
        "params": dict(sorted(run.data.params.items())),
        "tags": dict(sorted(tags.items())),
        "inputs": sorted([one.dataset.name, one.dataset.digest] for one in run.inputs.dataset_inputs),
    }


def log_runs() -> Any:
    mlflow.set_experiment("first")
    with mlflow.start_run(run_name="parent", description="a note", tags={"a": "b"}) as parent:
        NAMES[parent.info.run_id] = "parent"
        mlflow.log_param("lr", 0.01)
        mlflow.log_params({"depth": 3, "words": ["a", "b"], "deep/key": None})
        for step in range(5):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metrics({"val/acc": 0.5, "val/f1": float("nan")}, step=7)
        mlflow.set_tag("stage", "try-out")
        mlflow.set_tags({"x/y": 1, "gone": "soon"})
        mlflow.delete_tag("gone")
        for index in range(2):
            with mlflow.start_run(run_name="child %d" % index, nested=True) as child:
                NAMES[child.info.run_id] = "child %d" % index
                mlflow.log_metric("loss", float(index))
        see("active", mlflow.active_run().info.run_name)
        log_things(parent)
    try:
        with mlflow.start_run(run_name="broken") as broken:
            NAMES[broken.info.run_id] = "broken"
            raise RuntimeError("as it happens")
    except RuntimeError:
        pass
    return parent.info.run_id


def log_things(parent: Any) -> None:
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": [1, 2]}, "config.yaml")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one", "two"):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(name * 100)
        mlflow.log_artifact(os.path.join(folder, "one"), "files")
        mlflow.log_artifacts(folder, "all")
    if "matplotlib" in sys.argv:
        import matplotlib.figure

        figure = matplotlib.figure.Figure()
        figure.add_subplot().plot([1, 2, 3])
        mlflow.log_figure(figure, "figures/curve.png")
    if "pandas" in sys.argv:
        import pandas

        frame = pandas.DataFrame({"x": [1, 2], "y": [3, 4]})
        mlflow.log_input(mlflow.data.from_pandas(frame, source="s3://bucket/cats.csv", name="cats"), context="train")
        mlflow.log_table(data=frame, artifact_file="table.json")
    client = MlflowClient()
    see("artifacts", sorted([one.path, one.is_dir, one.file_size] for one in client.list_artifacts(parent.info.run_id)))
    below = mlflow.artifacts.list_artifacts(artifact_uri=parent.info.artifact_uri + "/all")
    see("files", sorted([one.path, one.file_size] for one in below))
    see("text", mlflow.artifacts.load_text(parent.info.artifact_uri + "/notes/hello.txt"))


def use_client(parent_id: str) -> None:
    client = MlflowClient()
    see("history", [[one.step, one.value] for one in client.get_metric_history(parent_id, "loss")])
    run = client.create_run(client.get_experiment_by_name("first").experiment_id, run_name="by client", start_time=1000)
    NAMES[run.info.run_id] = "by client"
    run_id = run.info.run_id
    many = [Metric("m%d" % (n % 3), n, n, n) for n in range(1500)]
    client.log_batch(run_id, many, [Param("p%d" % n, "x") for n in range(120)], [RunTag("t", "y")])
    client.log_metric(run_id, "late", 3, timestamp=5, step=-1)
    client.update_run(run_id, name="renamed")
    client.set_terminated(run_id, "KILLED", end_time=2000)
    see("by client", plain(client.get_run(run_id)))
    see("ended at", client.get_run(run_id).info.end_time)
    for name, call in {
        "param": lambda: client.log_param(parent_id, "lr", 0.02),
        "key": lambda: client.log_metric(parent_id, "a//b", 1.0),
        "run": lambda: client.get_run("0" * 32),
        "experiment": lambda: client.create_experiment("first"),
    }.items():
        try:
            call()
            see(name, "passed")
        except MlflowException as error:
            see(name, error.error_code)
    with mlflow.start_run(run_id=parent_id):
        mlflow.log_metric("again", 1.0)
    see("gone on with", plain(client.get_run(parent_id)))
    future = mlflow.log_metric("slow", 2.0, synchronous=False, run_id=parent_id)
    future.wait()
    see("in time", client.get_run(parent_id).data.metrics["slow"])


def use_experiments() -> None:
    client = MlflowClient()
    second = client.create_experiment("second", tags={"team": "a"})
    NAMES[second] = "second"
    client.set_experiment_tag(second, "more", "b")
    client.rename_experiment(second, "2nd")
    mlflow.set_experiment(experiment_id=second)
    with mlflow.start_run(run_name="elsewhere") as run:
        NAMES[run.info.run_id] = "elsewhere"
    see("experiments", sorted([one.name, dict(one.tags)] for one in client.search_experiments()))
    client.delete_experiment(second)
    run_id = run.info.run_id
    see("deleted", [client.get_experiment(second).lifecycle_stage, client.get_run(run_id).info.lifecycle_stage])
    try:
        mlflow.set_experiment("2nd")
    except MlflowException as error:
        see("not to be set", error.error_code)
    client.restore_experiment(second)
    see("restored", [client.get_experiment(second).lifecycle_stage, client.get_run(run_id).info.lifecycle_stage])


def search() -> None:
    client = MlflowClient()
    everywhere = [one.experiment_id for one in client.search_experiments()]
    for text, order in (
        ("", ["attributes.run_name"]),
        ("metrics.loss < 0.5", ["metrics.loss DESC"]),
        ("params.lr = '0.01' AND tags.stage LIKE 'try%'", None),
        ("attributes.status = 'FAILED'", None),
        ("tags.mlflow.parentRunId != ''", ["attributes.run_name DESC"]),
    ):
        found = mlflow.search_runs(everywhere, text, order_by=order, output_format="list")
        see("search " + text, [plain(run) for run in found])
    run_id = next(run_id for run_id, name in NAMES.items() if name == "broken")
    mlflow.delete_run(run_id)
    see("without", sorted(run.info.run_name for run in mlflow.search_runs(everywhere, output_format="list")))
    client.restore_run(run_id)
    see("with", sorted(run.info.run_name for run in mlflow.search_runs(everywhere, output_format="list")))
    if "pandas" in sys.argv:
        frame = mlflow.search_runs(everywhere)
        see("columns", sorted(frame.columns))


def main() -> None:
    mlflow.set_tracking_uri(sys.argv[1])
    first = mlflow.set_experiment("first").experiment_id
    NAMES[first] = "first"
    parent_id = log_runs()
    see("parent", plain(mlflow.get_run(parent_id)))
    use_client(parent_id)
    use_experiments()
    search()
    print("SEEN " + json.dumps(SEEN))


if __name__ == "__main__":
    main()
