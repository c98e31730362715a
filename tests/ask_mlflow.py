"""What the MLflow of this Python reads of a tree of its file store, as JSON; see `mlflow_answers`.

``python ask_mlflow.py TREE ANSWERS.json``: any MLflow from 1.30 on, mlflow-skinny too.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

import mlflow
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

VERSION: Tuple[int, ...] = tuple(map(int, mlflow.__version__.split(".")[:2]))
Json = Dict[str, Any]


def to_json(value: float) -> Any:
    return value if value - value == 0 else str(value)


def ask_run(client: MlflowClient, run: Any, is_local: bool) -> Json:
    info, run_id = run.info, run.info.run_id
    told: Json = {
        "id": run_id,
        "experiment": info.experiment_id,
        "name": getattr(info, "run_name", None),
        "user": info.user_id,
        "status": info.status,
        "start": info.start_time,
        "end": info.end_time,
        "stage": info.lifecycle_stage,
        "params": run.data.params,
        "tags": run.data.tags,
        "last": {key: to_json(value) for key, value in run.data.metrics.items()},
        "history": {
            key: [[one.step, to_json(one.value), one.timestamp] for one in client.get_metric_history(run_id, key)]
            for key in run.data.metrics
        },
    }
    if VERSION >= (2, 4) and run.inputs:
        told["inputs"] = [ask_dataset(one) for one in run.inputs.dataset_inputs]
    if VERSION >= (3, 0):
        told["model_inputs"] = [one.model_id for one in getattr(run.inputs, "model_inputs", None) or []]
        told["outputs"] = [[one.model_id, one.step] for one in (run.outputs.model_outputs if run.outputs else [])]
    if is_local and info.lifecycle_stage == "active":
        told["artifacts"] = sorted(walk(client, run_id, None))
    return told


def ask_dataset(one: Any) -> Json:
    fields = ("name", "digest", "source_type", "source", "schema", "profile")
    told: Json = {field: getattr(one.dataset, field) for field in fields}
    return {**told, "tags": {tag.key: tag.value for tag in one.tags}}


def walk(client: MlflowClient, run_id: str, path: Any) -> Iterator[List[Any]]:
    for file in client.list_artifacts(run_id, path):
        if file.is_dir:
            yield from walk(client, run_id, file.path)
        else:
            yield [file.path, file.file_size]


def ask_model(one: Any) -> Json:
    names = ("key", "value", "timestamp", "step", "run_id", "dataset_name", "dataset_digest")
    metrics = [[getattr(point, name) for name in names] for point in one.metrics or []]
    return {
        "id": one.model_id,
        "name": one.name,
        "type": one.model_type,
        "run": one.source_run_id,
        "status": str(one.status),
        "tags": one.tags,
        "params": one.params,
        "created": one.creation_timestamp,
        "updated": one.last_updated_timestamp,
        "metrics": sorted(metrics, key=str),
    }


def ask_trace(trace: Any) -> Json:
    info = trace.info
    is_new = hasattr(info, "trace_id") and hasattr(info, "trace_metadata")
    return {
        "id": info.trace_id if is_new else info.request_id,
        "tags": info.tags,
        "meta": info.trace_metadata if is_new else info.request_metadata,
        "state": str(info.state if is_new else info.status),
        "time": info.request_time if is_new else info.timestamp_ms,
        "duration": info.execution_duration if is_new else info.execution_time_ms,
        "assessments": sorted(
            (
                [one.assessment_id, one.name, one.value, one.rationale]
                for one in getattr(info, "assessments", None) or []
            ),
            key=str,
        ),
    }


def ask(tree: str) -> Json:
    mlflow.set_tracking_uri(Path(tree).absolute().as_uri())
    client = MlflowClient()
    told: Json = {"version": mlflow.__version__, "experiments": [], "runs": [], "models": [], "traces": []}
    for one in client.search_experiments(view_type=ViewType.ALL):
        number, is_active = one.experiment_id, one.lifecycle_stage == "active"
        told["experiments"].append(
            {
                "id": number,
                "name": one.name,
                "tags": one.tags,
                "stage": one.lifecycle_stage,
                "creation": one.creation_time,
            }
        )
        is_local = one.artifact_location.startswith("file:")
        runs = client.search_runs([number], run_view_type=ViewType.ALL, max_results=5000)
        told["runs"] += [ask_run(client, run, is_local) for run in runs]
        if VERSION >= (3, 0) and is_active:
            told["models"] += map(ask_model, client.search_logged_models([number]))
        if VERSION >= (2, 14) and is_active:
            where: Json = {"locations": [number]} if VERSION >= (3, 7) else {"experiment_ids": [number]}
            told["traces"] += map(ask_trace, client.search_traces(**where))
    return told


if __name__ == "__main__":
    found = ask(sys.argv[1])
    Path(sys.argv[2]).write_text(json.dumps(found, ensure_ascii=False, indent=0, sort_keys=True), encoding="utf-8")
    print(found["version"], {name: len(part) for name, part in found.items() if isinstance(part, list)})
