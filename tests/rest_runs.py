"""What is asked of MLflow's server about single runs and what is logged to them: see `rest_asking`."""

from __future__ import annotations

from typing import Any, List

from rest_asking import NO_RUN, OLD_MS, Caller, make_experiment, make_run

LONG = "x" * 300


def runs(caller: Caller) -> None:
    """Made, logged to, ended, renamed, deleted, restored; and what may not be."""
    experiment_id = make_experiment(caller, "runs")
    run_id = make_run(caller, experiment_id, "one")
    _make_runs_badly(caller, experiment_id)
    _log_values(caller, run_id)
    _log_batches(caller, run_id)
    _live(caller, experiment_id, run_id)
    _promptlab(caller, experiment_id)


def outside(caller: Caller) -> None:
    """What a database takes and no tree: times before 1970, and tags without a name."""
    experiment_id = make_experiment(caller, "outside")
    run_id = make_run(caller, experiment_id, "one")
    caller.post("runs/create", experiment_id=experiment_id, start_time=-5, run_name="a")
    caller.post("runs/create", experiment_id=experiment_id, start_time=5, run_name="a", tags=[{"value": "a"}])
    caller.post("runs/update", run_id=run_id, end_time=-1)


def _make_runs_badly(caller: Caller, experiment_id: str) -> None:
    for body in (
        {"experiment_id": "999", "start_time": OLD_MS, "run_name": "a"},
        {"experiment_id": "abc", "start_time": OLD_MS, "run_name": "a"},
        {"experiment_id": experiment_id, "start_time": "then", "run_name": "a"},
        {"experiment_id": experiment_id, "run_name": 5, "start_time": OLD_MS},
        {"experiment_id": experiment_id, "run_name": "a", "start_time": OLD_MS, "tags": [{"key": "a"}]},
        {"experiment_id": experiment_id, "run_name": "a", "start_time": OLD_MS, "tags": {"a": "b"}},
        {"experiment_id": experiment_id, "run_name": "a", "start_time": OLD_MS, "tags": [{"key": "k" * 251}]},
        {"experiment_id": experiment_id, "run_name": "a", "start_time": 1, "tags": [{"key": "k", "value": "v" * 9000}]},
        {"experiment_id": experiment_id, "run_name": "n" * 300, "start_time": OLD_MS},
        {
            "experiment_id": experiment_id,
            "run_name": "a",
            "start_time": OLD_MS,
            "tags": [{"key": "mlflow.runName", "value": "b"}],
        },
        {"run_name": "of the default experiment", "start_time": OLD_MS},
        {"experiment_id": experiment_id, "run_name": "without a time"},
        {"experiment_id": experiment_id, "run_name": "old way", "user_id": "", "start_time": 0},
    ):
        caller.call("POST", "runs/create", body)
    for pairs in ({"run_id": NO_RUN}, {"run_id": "../x"}, {"run_id": ""}, {"run_id": LONG}, {"run_uuid": NO_RUN}, {}):
        caller.call("GET", "runs/get", pairs=pairs.items())


def _log_values(caller: Caller, run_id: str) -> None:
    for body in (
        {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": OLD_MS, "step": 1},
        {"run_id": run_id, "key": "loss", "value": 0.25, "timestamp": OLD_MS + 5, "step": 2},
        {"run_id": run_id, "key": "loss", "value": 0.25, "timestamp": OLD_MS + 5, "step": 2},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": OLD_MS + 9},
        {"run_id": run_id, "key": "nan", "value": "NaN", "timestamp": OLD_MS},
        {"run_id": run_id, "key": "up/and down", "value": "Infinity", "timestamp": OLD_MS},
        {"run_id": run_id, "key": "less", "value": "-Infinity", "timestamp": OLD_MS},
        {"run_id": run_id, "key": "neg", "value": -1, "timestamp": OLD_MS, "step": -3},
        {"run_id": run_id, "key": "texts", "value": "1.5", "timestamp": str(OLD_MS), "step": "7"},
        {"run_id": run_id, "key": "huge", "value": 1e308, "timestamp": OLD_MS, "step": 2**62},
        {"run_uuid": run_id, "key": "by the old name", "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "loss", "value": "much", "timestamp": OLD_MS},
        {"run_id": run_id, "key": "loss", "value": None, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "loss", "value": True, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "loss", "value": 1},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": -1},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": 1.5},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": "foo"},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": OLD_MS, "step": "foo"},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": OLD_MS, "step": 1.5},
        {"run_id": run_id, "key": "loss", "value": 1, "timestamp": OLD_MS, "step": 2**63},
        {"run_id": run_id, "key": "loss", "timestamp": OLD_MS},
        {"run_id": run_id, "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "k" * 251, "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "../up", "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "a#b", "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "", "value": 1, "timestamp": OLD_MS},
        {"run_id": NO_RUN, "key": "loss", "value": 1, "timestamp": OLD_MS},
        {"run_id": "../x", "key": "loss", "value": 1, "timestamp": OLD_MS},
        {"key": "loss", "value": 1, "timestamp": OLD_MS},
        {"run_id": run_id, "key": "m", "value": 1, "timestamp": OLD_MS, "model_id": "m-" + NO_RUN},
        {"run_id": run_id, "key": "m", "value": 1, "timestamp": OLD_MS, "dataset_name": "d", "dataset_digest": "e"},
    ):
        caller.call("POST", "runs/log-metric", body)
    for key, value in (
        ("lr", "0.1"),
        ("lr", "0.1"),
        ("lr", "0.2"),
        ("empty", ""),
        ("a/b: c", "é☃"),
        ("long", "v" * 6000),
        ("longer", "v" * 6001),
        ("k" * 251, "v"),
        ("..", "v"),
        ("a#b", "v"),
        ("", "v"),
        ("number", 5),
        ("none", None),
    ):
        caller.post("runs/log-parameter", run_id=run_id, key=key, value=value)
        caller.post("runs/set-tag", run_id=run_id, key=key, value=value)
    for path in ("runs/log-parameter", "runs/set-tag"):
        caller.post(path, run_id=run_id, key="k")
        caller.post(path, run_id=run_id, value="k")
        caller.post(path, key="k", value="v")
        caller.post(path, run_uuid=run_id, key="old name", value="v")
        caller.post(path, run_id=NO_RUN, key="k", value="v")
    caller.post("runs/set-tag", run_id=run_id, key="mlflow.runName", value="renamed by its tag")
    caller.post("runs/set-tag", run_id=run_id, key="mlflow.user", value="bob")
    caller.post("runs/set-tag", run_id=run_id, key="gone", value="soon")
    for body in (
        {"run_id": run_id, "key": "gone"},
        {"run_id": run_id, "key": "gone"},
        {"run_id": run_id, "key": ""},
        {"run_id": run_id},
        {"run_id": NO_RUN, "key": "a"},
        {"key": "a"},
    ):
        caller.call("POST", "runs/delete-tag", body)
    caller.get("runs/get", run_id=run_id)


def _log_batches(caller: Caller, run_id: str) -> None:
    metric = {"key": "b", "value": 1.5, "timestamp": OLD_MS, "step": 1}
    many: List[Any] = [{"key": "p%d" % number, "value": "1"} for number in range(101)]
    for body in (
        {"metrics": [metric], "params": [{"key": "bp", "value": "1"}], "tags": [{"key": "bt", "value": "2"}]},
        {"metrics": [metric, metric, {**metric, "value": "NaN"}]},
        {"metrics": [{"key": "b", "value": 2.5}]},
        {"metrics": [{"key": "b", "value": 2.5, "timestamp": OLD_MS}]},
        {"metrics": [{"value": 2.5, "timestamp": OLD_MS}]},
        {"metrics": [{"key": "b", "timestamp": OLD_MS}]},
        {"metrics": [{**metric, "value": "much"}]},
        {"metrics": "foo"},
        {"params": "foo"},
        {"tags": "foo"},
        {"params": [{"key": "bp", "value": "2"}], "tags": [{"key": "not kept", "value": "1"}]},
        {"params": [{"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}]},
        {"params": [{"key": "twice", "value": "1"}, {"key": "twice", "value": "1"}]},
        {"params": [{"key": "bp"}], "tags": [{"key": "bt"}]},
        {"params": many},
        {"tags": many},
        {"metrics": [{**metric, "key": "k%d" % number} for number in range(1001)]},
        {"params": [{"key": "k" * 251, "value": "1"}], "metrics": [metric]},
        {"params": [{"key": "l", "value": "v" * 6001}]},
        {"tags": [{"key": "l", "value": "v" * 8001}]},
        {"tags": [{"key": "mlflow.runName", "value": ""}]},
        {},
    ):
        caller.call("POST", "runs/log-batch", {"run_id": run_id, **body})
    caller.post("runs/log-batch", run_id=NO_RUN, metrics=[metric])
    caller.post("runs/log-batch", run_id=NO_RUN)
    caller.post("runs/log-batch", metrics=[metric])
    caller.get("runs/get", run_id=run_id)


def _promptlab(caller: Caller, experiment_id: str) -> None:
    told = {
        "experiment_id": experiment_id,
        "prompt_template": "t",
        "prompt_parameters": [{"key": "k", "value": "v"}],
        "model_route": "r",
        "model_input": "i",
        "mlflow_version": "1.0.0",
        "run_name": "prompted",
        "model_parameters": [{"key": "temperature", "value": "0.1"}],
        "model_output": "o",
        "model_output_parameters": [{"key": "latency", "value": "100"}],
        "user_id": "ann",
        "start_time": OLD_MS,
    }
    path = "/ajax-api/2.0/mlflow/runs/create-promptlab-run"
    for missing in ("", "experiment_id", "prompt_template", "prompt_parameters", "model_route", "model_input"):
        caller.call("POST", path, {key: value for key, value in told.items() if key != missing})
    caller.call("POST", path, {**told, "experiment_id": "999"})


def _live(caller: Caller, experiment_id: str, run_id: str) -> None:
    for body in (
        {"run_name": "renamed"},
        {"run_name": ""},
        {"status": "SCHEDULED"},
        {"status": "FINISHED", "end_time": OLD_MS + 1000},
        {"status": "RUNNING"},
        {"status": "KILLED", "end_time": OLD_MS + 2000, "run_name": "killed"},
        {"end_time": OLD_MS + 3000},
        {"status": "FAILED"},
        {"status": "SLEEPING"},
        {"status": 77},
        {"end_time": "late"},
        {"run_name": 5},
        {},
    ):
        caller.call("POST", "runs/update", {"run_id": run_id, **body})
    caller.post("runs/update", status="FINISHED")
    caller.post("runs/update", run_id=NO_RUN, status="FINISHED")
    caller.post("runs/update", run_uuid=run_id, status="FINISHED")
    caller.post("runs/log-metric", run_id=run_id, key="after", value=1, timestamp=OLD_MS)
    caller.post("runs/log-parameter", run_id=run_id, key="after", value="1")
    for path in ("runs/delete", "runs/restore"):
        for told in (run_id, run_id, NO_RUN, "", "../x"):
            caller.post(path, run_id=told)
        caller.post(path)
        caller.get("runs/get", run_id=run_id)
    caller.post("runs/delete", run_id=run_id)
    caller.post("runs/update", run_id=run_id, status="RUNNING")
    caller.post("runs/log-metric", run_id=run_id, key="dead", value=1, timestamp=OLD_MS)
    caller.post("runs/log-parameter", run_id=run_id, key="dead", value="1")
    caller.post("runs/set-tag", run_id=run_id, key="dead", value="1")
    caller.post("runs/delete-tag", run_id=run_id, key="kind")
    caller.post("runs/log-batch", run_id=run_id, params=[{"key": "dead", "value": "1"}])
    caller.post("runs/log-batch", run_id=run_id)
    caller.post("runs/log-inputs", run_id=run_id, datasets=[])
    caller.get("metrics/get-history", run_id=run_id, metric_key="loss")
    caller.post("runs/search", experiment_ids=[experiment_id], run_view_type="DELETED_ONLY")
