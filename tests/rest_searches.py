"""What is asked of MLflow's server about many runs at once, by scripts and by the UI: see `rest_asking`."""

from __future__ import annotations

from typing import Any, Dict, List

from rest_asking import NO_RUN, OLD_MS, Caller, make_experiment, make_run

FILTERS = """
metrics.loss < 3
metrics.loss >= 1 AND params.lr = '0.1'
metrics.`up/and down` > 0
metrics.nothing > 0
metric.loss != 2
params.lr LIKE '0.%'
params.lr ILIKE '0.%'
params.lr != '0.1'
params.lr IS NULL
params.lr IS NOT NULL
params.lr IN ('0.1', '0.3')
param.nothing = 'x'
tags.kind = 'two'
tags.kind != 'two'
tags.`mlflow.runName` LIKE 't%'
tags.kind IS NULL
attributes.run_name = 'one'
attributes.run_name ILIKE '%O%'
attributes.status = 'FINISHED'
attributes.status != 'RUNNING'
attributes.start_time > 1600000000001
attributes.end_time > 0
attributes.user_id = 'ann'
attributes.artifact_uri LIKE '%artifacts'
run_id = 'x'
run_id IN ('x', 'y')
run_id NOT IN ('x')
attributes.created > 5
start_time >= 1600000000000 and start_time < 1600000000002
datasets.name = 'd1'
datasets.digest LIKE 'e%'
dataset.context = 'train'
dataset.context IN ('train', 'test')
nothing
metrics.loss < 'x'
metrics.loss LIKE 'x'
metrics.loss
params.lr = 0.1
params.lr > '0.1'
params.lr = '0.1' OR params.lr = '0.3'
wrong.lr = '1'
attributes.nothing = '1'
attributes.status > 'RUNNING'
tags.kind IN ()
metrics.a = 1 AND
'
"""

ORDERS: List[Any] = [
    ["metrics.loss ASC"],
    ["metrics.loss DESC"],
    ["metrics.loss"],
    ["params.lr DESC", "metrics.loss ASC"],
    ["tags.kind ASC"],
    ["attributes.start_time ASC"],
    ["start_time DESC"],
    ["attributes.run_name DESC"],
    ["attribute.end_time ASC"],
    ["Created DESC"],
    ["dataset.name ASC"],
    ["metrics.loss SIDEWAYS"],
    ["nothing"],
    ["wrong.key ASC"],
    ["metrics.loss ASC", "metrics.loss DESC"],
    ["metrics.`up/and down` DESC"],
    "metrics.loss ASC",
    [5],
]


def searches(caller: Caller) -> None:
    """Searches for runs with each option; histories of metrics; datasets."""
    experiment_id = make_experiment(caller, "searches")
    run_ids = _fill(caller, experiment_id)
    empty = make_experiment(caller, "nothing here")
    search: Dict[str, Any] = {"experiment_ids": [experiment_id]}
    for text in FILTERS.strip("\n").split("\n"):
        caller.post("runs/search", filter=text, **search)
    for order in ORDERS:
        caller.post("runs/search", order_by=order, **search)
    for body in (
        search,
        {},
        {"experiment_ids": []},
        {"experiment_ids": [empty]},
        {"experiment_ids": ["999", experiment_id]},
        {"experiment_ids": ["abc"]},
        {"experiment_ids": [int(experiment_id)]},
        {"experiment_ids": experiment_id},
        {**search, "run_view_type": "ALL"},
        {**search, "run_view_type": "DELETED_ONLY"},
        {**search, "run_view_type": "SOME"},
        {**search, "max_results": 0},
        {**search, "max_results": -1},
        {**search, "max_results": 50000},
        {**search, "max_results": 50001},
        {**search, "max_results": "many"},
        {**search, "page_token": "bad"},
        {**search, "page_token": ""},
        {**search, "page_token": "eyJvZmZzZXQiOiAtNX0="},
        {**search, "page_token": "eyJvZmZzZXQiOiA5OTl9"},
        {**search, "unknown": 1},
        {**search, "filter": 5},
        {**search, "filter": ""},
    ):
        caller.call("POST", "runs/search", body)
    page = caller.post("runs/search", max_results=2, **search)
    page = caller.post("runs/search", max_results=2, page_token=page["next_page_token"], **search)
    assert "next_page_token" not in page
    for run_id in run_ids:
        caller.post("runs/search", filter="run_id = '%s'" % run_id, **search)
    _histories(caller, run_ids)
    _datasets(caller, experiment_id, run_ids[0])


def _fill(caller: Caller, experiment_id: str) -> List[str]:
    run_ids = [make_run(caller, experiment_id, name, OLD_MS + n) for n, name in enumerate(["one", "two", "three"])]
    for number, run_id in enumerate(run_ids):
        metrics = [
            {"key": "loss", "value": step * 0.5 + number, "timestamp": OLD_MS + step, "step": step}
            for step in range(20)
        ]
        metrics.append({"key": "loss", "value": 9.5, "timestamp": OLD_MS, "step": 3})
        metrics.append({"key": "up/and down", "value": "NaN" if number else 1.0, "timestamp": OLD_MS, "step": 0})
        params = [{"key": "lr", "value": "0.%d" % (number + 1)}] if number < 2 else []
        caller.post("runs/log-batch", run_id=run_id, metrics=metrics, params=params)
    caller.post("runs/update", run_id=run_ids[1], status="FINISHED", end_time=OLD_MS + 50)
    deleted = make_run(caller, experiment_id, "deleted", OLD_MS + 9)
    caller.post("runs/delete", run_id=deleted)
    return run_ids


def _histories(caller: Caller, run_ids: List[str]) -> None:
    history = "metrics/get-history"
    for query in (
        {"metric_key": "loss"},
        {"metric_key": "up/and down"},
        {"metric_key": "nothing"},
        {"metric_key": ""},
        {},
        {"metric_key": "loss", "max_results": 5},
        {"metric_key": "loss", "max_results": 0},
        {"metric_key": "loss", "max_results": -3},
        {"metric_key": "loss", "max_results": "x"},
        {"metric_key": "loss", "max_results": 25001},
        {"metric_key": "loss", "max_results": 5, "page_token": "bad"},
        {"metric_key": "loss", "page_token": ""},
    ):
        caller.call("GET", history, pairs=[("run_id", run_ids[0]), *query.items()])
    page = caller.get(history, run_id=run_ids[0], metric_key="loss", max_results=15)
    caller.get(history, run_id=run_ids[0], metric_key="loss", max_results=15, page_token=page["next_page_token"])
    caller.get(history, run_id=NO_RUN, metric_key="loss")
    caller.get(history, run_uuid=run_ids[0], metric_key="loss", max_results=1)
    caller.get(history, metric_key="loss")
    _bulk_histories(caller, run_ids)


def _bulk_histories(caller: Caller, run_ids: List[str]) -> None:
    bulk, interval = "/ajax-api/2.0/mlflow/metrics/get-history-bulk", "metrics/get-history-bulk-interval"
    # The answer goes by run id, which each store draws: of one run at a time.
    one = [("run_id", run_ids[0]), ("run_id", NO_RUN)]
    for pairs in (
        [*one, ("metric_key", "loss")],
        [*one, ("metric_key", "loss"), ("max_results", 3)],
        [*one, ("metric_key", "loss"), ("max_results", 0)],
        [*one, ("metric_key", "loss"), ("max_results", "x")],
        [*one, ("metric_key", "nothing")],
        [("run_id", run_ids[1]), ("metric_key", "up/and down")],
        [("run_id", "../x"), ("metric_key", "loss")],
        [*one],
        [("metric_key", "loss")],
        [*[("run_id", "id%d" % number) for number in range(101)], ("metric_key", "loss")],
    ):
        caller.get(bulk, *pairs)
    each = [("run_ids", run_id) for run_id in run_ids]
    for more in (
        [("metric_key", "loss")],
        [("metric_key", "loss"), ("max_results", 5)],
        [("metric_key", "loss"), ("max_results", 1)],
        [("metric_key", "loss"), ("max_results", 0)],
        [("metric_key", "loss"), ("max_results", 2501)],
        [("metric_key", "loss"), ("max_results", "x")],
        [("metric_key", "loss"), ("start_step", 3), ("end_step", 9), ("max_results", 4)],
        [("metric_key", "loss"), ("start_step", 3), ("end_step", 3)],
        [("metric_key", "loss"), ("start_step", 9), ("end_step", 3)],
        [("metric_key", "loss"), ("start_step", 3)],
        [("metric_key", "loss"), ("end_step", 3)],
        [("metric_key", "loss"), ("start_step", "x"), ("end_step", 3)],
        [("metric_key", "loss"), ("run_ids", NO_RUN)],
        [("metric_key", "nothing")],
        [("metric_key", "")],
        [],
    ):
        caller.get(interval, *each, *more)
        caller.get("/ajax-api/2.0/mlflow/" + interval, *each, *more)
    caller.get(interval, metric_key="loss")
    caller.get(interval, *[("run_ids", "id%d" % number) for number in range(101)], ("metric_key", "loss"))
    caller.get(interval, run_ids="../x", metric_key="loss")


def _datasets(caller: Caller, experiment_id: str, run_id: str) -> None:
    context = [{"key": "mlflow.data.context", "value": "train"}]
    first = {"name": "d1", "digest": "e1", "source_type": "local", "source": "s", "schema": "{}", "profile": "{}"}
    for body in (
        {"datasets": [{"tags": context, "dataset": first}, {"dataset": {**first, "name": "d2"}}]},
        {"datasets": [{"tags": context, "dataset": first}]},
        {"datasets": [{"dataset": {**first, "digest": "e9", "schema": "s" * 5000}}]},
        {"datasets": [{"dataset": {**first, "name": "n" * 501}}]},
        {"datasets": [{"dataset": {**first, "digest": "d" * 37}}]},
        {"datasets": [{"dataset": {**first, "source": "d" * 70000}}]},
        {"datasets": [{"dataset": {**first, "profile": "d" * 17000000}}]},
        {"datasets": [{"dataset": {"name": "d3"}}]},
        {"datasets": [{"dataset": {"digest": "d3"}}]},
        {"datasets": [{"tags": [{"key": "k" * 300, "value": "v"}], "dataset": {**first, "name": "d5"}}]},
        {"datasets": [{"tags": [{"key": "k", "value": "v" * 600}], "dataset": {**first, "name": "d6"}}]},
        {"datasets": [{}]},
        {"datasets": []},
        {"datasets": "x"},
        {"models": [{"model_id": "m-" + NO_RUN}]},
        {"models": [{}]},
        {},
    ):
        caller.call("POST", "runs/log-inputs", {"run_id": run_id, **body})
    caller.post("runs/log-inputs", run_id=NO_RUN, datasets=[{"dataset": first}])
    caller.post("runs/log-inputs", datasets=[{"dataset": first}])
    caller.get("runs/get", run_id=run_id)
    for text in ("datasets.name = 'd1'", "datasets.digest LIKE 'e%'", "dataset.context = 'train'"):
        caller.post("runs/search", experiment_ids=[experiment_id], filter=text)
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    for body in (
        {"experiment_ids": [experiment_id]},
        {"experiment_ids": [experiment_id, "999"]},
        {"experiment_ids": ["abc"]},
        {"experiment_ids": []},
        {"experiment_ids": ["id%d" % number for number in range(30)]},
        {},
    ):
        caller.call("POST", path, body)
    caller.call("POST", "/api/2.0mlflow/experiments/search-datasets", {"experiment_ids": [experiment_id]})
    caller.call("POST", "/ajax-api/2.0mlflow/experiments/search-datasets", {"experiment_ids": [experiment_id]})
