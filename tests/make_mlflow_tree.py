"""A tree with all that the MLflow of this Python can put into its file store; see `mlflow_answers`.

``python make_mlflow_tree.py OUT [small|big]``: any MLflow from 1.30 on, mlflow-skinny too; what a version does not have
is left out, and what a package that is not there is needed for. "big" has 200 runs and long histories besides.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Tuple

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

VERSION: Tuple[int, ...] = tuple(map(int, mlflow.__version__.split(".")[:2]))
T0 = 1700000000000


def attempt(part: Callable[..., Any], *args: Any) -> Any:
    """What ``part`` returns; None, and told, if this installation cannot do it."""
    try:
        return part(*args)
    except Exception as error:
        print("%s is left out: %.200r" % (part.__name__, error))
        return None


def fill_parent(client: MlflowClient, run_id: str, steps: int, folder: Path) -> None:
    mlflow.log_params({"lr": 0.01, "a/b c": "x", "empty": "", "multi": "two\nlines\n", "uni": "精度 é"})
    mlflow.set_tags({"stage": "try", "t/x/y": "deep", "mlflow.note.content": "# title\n\ntext\n"})
    for step in range(steps):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
    for value, step in ((float("nan"), 1), (float("inf"), -3), (float("-inf"), 2)):
        mlflow.log_metric("weird", value, step=step)
    mlflow.log_metric("val/acc at 1.5", 1e-300, step=0)
    for value in (1.5, 1.5, 2.5):
        client.log_metric(run_id, "same", value, T0, 3)
    client.log_batch(run_id, metrics=[Metric("back", 1.0, T0 + 5, 9), Metric("back", 2.0, T0 - 10**11, 5)])
    (folder / "note.txt").write_text("artifact é", encoding="utf-8")
    mlflow.log_artifact(str(folder / "note.txt"))
    mlflow.log_artifact(str(folder / "note.txt"), "sub/dir")
    mlflow.log_dict({"a": [1, 2]}, "config.json")


def log_figure() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    figure = pyplot.figure()
    pyplot.plot([1, 2])
    mlflow.log_figure(figure, "plots/figure.png")


def log_datasets() -> Any:
    import pandas

    frame = pandas.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]})
    mlflow.log_input(mlflow.data.from_pandas(frame, source="/data/a.csv", name="data set"), context="training")
    dataset = mlflow.data.from_pandas(frame * 2, source="/data/a.csv", name="other")
    mlflow.log_input(dataset, context="validation")
    return dataset


def log_models(client: MlflowClient, dataset: Any, folder: Path) -> None:
    model = mlflow.initialize_logged_model(name="net", params={"depth": "3"}, tags={"k": "v"}, model_type="agent")
    mlflow.log_metrics({"acc": 0.9, "loss": 0.0123}, step=4, model_id=model.model_id)
    (folder / "w.bin").write_bytes(bytes(1000))
    client.log_model_artifact(model.model_id, str(folder / "w.bin"))
    mlflow.finalize_logged_model(model.model_id, "READY")
    dropped = mlflow.initialize_logged_model(name="dropped")
    mlflow.finalize_logged_model(dropped.model_id, "FAILED")
    client.delete_logged_model(dropped.model_id)
    if dataset is not None:
        mlflow.log_metric("acc2", 0.7, step=5, dataset=dataset, model_id=model.model_id)
    mlflow.create_external_model(name="ext", model_type="x")
    mlflow.log_outputs([mlflow.entities.LoggedModelOutput(model.model_id, 7)])


def log_pyfunc() -> None:
    """log_model() logs the run's metrics again, to tie them to the model: lines that stand twice."""
    import mlflow.pyfunc

    class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input

    with mlflow.start_run(run_name="pyfunc"):
        mlflow.log_metric("rmse", 1.25, step=0)
        mlflow.pyfunc.log_model(name="pm", python_model=Model(), pip_requirements=[])


def log_traces() -> None:
    with mlflow.start_span("outer") as span:
        span.set_inputs({"q": "é"})
        span.set_outputs({"a": 1})
    attempt(mlflow.flush_trace_async_logging)
    if VERSION >= (3, 2):
        trace_id = mlflow.get_last_active_trace_id()
        mlflow.log_feedback(trace_id=trace_id, name="good", value=True, rationale="ü")
        mlflow.log_expectation(trace_id=trace_id, name="exp", value={"a": 1})
        mlflow.set_trace_tag(trace_id, "kk", "vv")


def make_others(client: MlflowClient, vision: str, remote: str, gone: str) -> None:
    """Runs of every status, deleted ones, an experiment that is deleted, and artifacts elsewhere."""
    failed = client.create_run(vision, start_time=1500000000123, tags={"mlflow.user": "someone"}).info.run_id
    client.set_terminated(failed, "FAILED", end_time=1500000100456)
    client.set_terminated(client.create_run("0").info.run_id, "KILLED")
    client.update_run(client.create_run("0").info.run_id, status="SCHEDULED")
    client.log_metric(client.create_run("0").info.run_id, "x", 1.0)
    deleted = client.create_run(vision).info.run_id
    client.log_param(deleted, "p", "q")
    client.set_terminated(deleted)
    client.delete_run(deleted)
    for experiment in (remote, gone):
        run_id = client.create_run(experiment).info.run_id
        client.log_metric(run_id, "z", 3.0)
        client.set_terminated(run_id)
    client.delete_experiment(gone)


def make_many(client: MlflowClient) -> None:
    for number in range(200):
        run_id = client.create_run("0").info.run_id
        metrics = [Metric("m%d" % key, key * 0.1, T0 + number, key) for key in range(30)]
        client.log_batch(run_id, metrics=metrics, params=[Param("p%d" % key, str(key)) for key in range(10)])
        client.set_terminated(run_id)
    run_id = client.create_run("0").info.run_id
    for first in range(0, 60000, 1000):
        points = [Metric("long", step * 0.001, T0 + step, step) for step in range(first, first + 1000)]
        client.log_batch(run_id, metrics=points)
    client.set_terminated(run_id)


def main(out: str, size: str = "small") -> None:
    shutil.rmtree(out, ignore_errors=True)
    mlflow.set_tracking_uri(Path(out).absolute().as_uri())
    client, folder = MlflowClient(), Path(tempfile.mkdtemp())
    vision = client.create_experiment("vision é精", tags={"team": "b", "note/x": "multi\nline"})
    remote = client.create_experiment("remote", artifact_location="s3://bucket/x")
    gone = client.create_experiment("gone")
    client.create_experiment("empty one")
    mlflow.set_experiment(experiment_id=vision)
    with mlflow.start_run(run_name="parent ü") as parent:
        fill_parent(client, parent.info.run_id, 3000 if size == "big" else 20, folder)
        attempt(log_figure)
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_param("depth", 1)
            with mlflow.start_run(nested=True):
                mlflow.log_metric("m", 2.0)
        dataset = attempt(log_datasets) if VERSION >= (2, 4) else None
        if VERSION >= (3, 0):
            attempt(log_models, client, dataset, folder)
        if VERSION >= (2, 14):
            attempt(log_traces)
    if VERSION >= (3, 0):
        attempt(log_pyfunc)
    make_others(client, vision, remote, gone)
    if size == "big":
        make_many(client)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:3])
