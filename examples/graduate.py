"""Growing out of one machine: log to plain files, push them to an MLflow server, and read them back from there.

    pip install -e ".[mlflow]"
    python examples/graduate.py --to http://localhost:5000

Without ``--to`` it starts a server of its own on 127.0.0.1, over a SQLite file in a temporary folder, and stops it at
the end; that needs all of MLflow (``pip install mlflow``). The training is pretended.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from typing import Iterator

from mini_mlflow import ExperimentTracker, push

EXPERIMENT = "graduate"
EPOCHS = 20
STARTS_WITHIN_S = 180


def train(tracker: ExperimentTracker, experiment_id: int) -> None:
    """A sweep with a parent, three children, and a file a child."""
    with tracker.start_run("sweep", experiment_id) as sweep:
        for learning_rate in (0.001, 0.01, 0.1):
            with tracker.start_run(f"lr={learning_rate:g}", experiment_id, nested=True) as run:
                run.log_params({"learning_rate": learning_rate, "layers": [64, 32]})
                for epoch in range(EPOCHS):
                    run.log_metric("loss", 1.0 / (1.0 + epoch * learning_rate), step=epoch)
                run.log_text(f"weights of {learning_rate:g}\n", "model/weights.txt")
        sweep.set_tag("stage", "done")


@contextmanager
def server(to: str | None) -> Iterator[str]:
    """The address of a server: the one that is given, or one that lives as long as the block."""
    if to is not None:
        yield to
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        command += [
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            f"{folder}/files",
        ]
        environment = dict(os.environ, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        with open(os.path.join(folder, "server.log"), "wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start; is all of MLflow installed (pip install mlflow)?")


def read_back(to: str, run_ids: dict[str, str]) -> None:
    """What MLflow's own client finds on the server."""
    from mlflow import MlflowClient

    client = MlflowClient(to)
    runs = [client.get_run(run_id) for run_id in run_ids.values()]
    points = sum(len(client.get_metric_history(run.info.run_id, key)) for run in runs for key in run.data.metrics)
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") in run_ids.values()]
    best = min(children, key=lambda run: run.data.metrics["loss"])
    print(f"runs there: {len(runs)}, of which {len(children)} have their parent there")
    print(f"points there: {points}")
    print(f"best there: {best.info.run_name}, loss {best.data.metrics['loss']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="log locally, push, and read back from the server")
    parser.add_argument("--runs-dir", default=os.environ.get("MINI_MLFLOW_RUNS_DIR", "mlruns"))
    parser.add_argument(
        "--to", metavar="URL", help="an MLflow server (default: one of its own, for as long as this runs)"
    )
    arguments = parser.parse_args()
    # Neither library need tell anybody how it is used.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

    tracker = ExperimentTracker(runs_dir=arguments.runs_dir)
    found = tracker.get_experiment_by_name(EXPERIMENT)
    train(tracker, found.experiment_id if found is not None else tracker.create_experiment(EXPERIMENT))
    with server(arguments.to) as to:
        report = push(to, arguments.runs_dir, experiment_names=EXPERIMENT)
        if report.error is not None:
            raise SystemExit(report.error)
        print(f"pushed: {report.count('created')} runs, {sum(run.points for run in report.runs)} points")
        for note in (note for run in report.runs for note in run.notes):
            print(f"  {note.kind} {note.key}: {note.problem} ({note.done}: {note.instead})")
        # Any number of times: what is there is not sent again.
        again = push(to, arguments.runs_dir, experiment_names=EXPERIMENT)
        print(f"pushed again: {again.count('unchanged')} unchanged")
        read_back(to, report.server_run_ids())


if __name__ == "__main__":
    main()
