"""What is asked of MLflow's server about logged models and its registry of models: see `rest_asking`."""

from __future__ import annotations

import json
from typing import Any, List

from rest_asking import NO_RUN, OLD_MS, Caller, make_experiment, make_run

NO_MODEL = "m-" + NO_RUN
FILTERS = """
name = 'one'
name LIKE 'o%'
name ILIKE 'O%'
name != 'one'
name IN ('one', 'two')
status = 'READY'
attributes.model_type = 'Agent'
model_id = 'x'
creation_timestamp > 5
last_updated_timestamp < 5
params.depth = '3'
params.depth LIKE '%'
tags.stage = 'dev'
tags.stage != 'dev'
metrics.acc > 0.4
metrics.acc <= 0.5 AND params.depth = '3'
metrics.nothing > 0
nothing
attributes.nothing = '1'
metrics.acc = 'x'
name > 'a'
params.depth = 3
name = 'one' OR name = 'two'
"""


def logged_models(caller: Caller) -> None:
    """Made, finished, tagged, measured, searched, deleted; tied to runs that used or made them."""
    experiment_id = make_experiment(caller, "models")
    run_id = make_run(caller, experiment_id, "makes models")
    model_ids = []
    for name, depth, kind in (("one", "3", "Agent"), ("two", "4", ""), ("three", "3", "LLM")):
        made = caller.post(
            "logged-models",
            experiment_id=experiment_id,
            name=name,
            model_type=kind,
            source_run_id=run_id,
            params=[{"key": "depth", "value": depth}],
            tags=[{"key": "stage", "value": "dev" if name == "one" else "live"}],
        )
        model_ids.append(str(made["model"]["info"]["model_id"]))
    one, two, three = model_ids
    _make_models_badly(caller, make_experiment(caller, "models that may not be"))
    for model_id in (one, NO_MODEL, "x", "m-" + "x" * 300):
        caller.get("logged-models/" + model_id)
    for status in ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_PENDING", "SLEEPING", 2, None):
        caller.patch("logged-models/" + two, model_id=two, status=status)
    caller.patch("logged-models/" + one, model_id=one, status="LOGGED_MODEL_READY")
    caller.patch("logged-models/" + one)
    caller.patch("logged-models/" + NO_MODEL, model_id=NO_MODEL, status="LOGGED_MODEL_READY")
    _change_models(caller, one)
    odd = caller.post("logged-models", experiment_id=make_experiment(caller, "odd models"), name="odd")
    _change_badly(caller, str(odd["model"]["info"]["model_id"]))
    _tie_models(caller, run_id, one, three)
    _search_models(caller, experiment_id)
    _files_of_models(caller, one)
    for model_id in (three, three, NO_MODEL):
        caller.delete("logged-models/" + model_id)
    caller.get("logged-models/" + three)
    caller.post("logged-models/search", experiment_ids=[experiment_id])
    caller.patch("logged-models/%s/tags" % three, model_id=three, tags=[{"key": "a", "value": "b"}])
    caller.get("runs/get", run_id=run_id)


def _make_models_badly(caller: Caller, experiment_id: str) -> None:
    for body in (
        {"name": "of the default experiment"},
        {"experiment_id": "999", "name": "a"},
        {"experiment_id": "abc", "name": "a"},
        {"experiment_id": experiment_id, "name": "a/b"},
        {"experiment_id": experiment_id, "name": "a:b"},
        {"experiment_id": experiment_id, "name": ""},
        {"experiment_id": experiment_id, "name": 5},
        {"experiment_id": experiment_id, "name": "a", "params": [{"key": "k" * 251, "value": "v"}]},
        {"experiment_id": experiment_id, "name": "a", "params": [{"key": "k", "value": "v" * 6001}]},
        {"experiment_id": experiment_id, "name": "a", "params": "x"},
        {"experiment_id": experiment_id, "name": "a", "tags": [{"key": "k" * 251, "value": "v"}]},
        {"experiment_id": experiment_id, "name": "a", "tags": "x"},
    ):
        caller.call("POST", "logged-models", body)


def _change_models(caller: Caller, model_id: str) -> None:
    place = "logged-models/%s/" % model_id
    for tags in (
        [{"key": "a", "value": "1"}, {"key": "a/b c", "value": ""}],
        [{"key": "a", "value": "2"}],
        [{"key": "no value"}],
        [],
        "x",
    ):
        caller.patch(place + "tags", model_id=model_id, tags=tags)
    for key in ("a", "a", "nothing"):
        caller.delete(place + "tags/" + key)
    for params in (
        [{"key": "late", "value": "1"}],
        [],
        "x",
    ):
        caller.post(place + "params", model_id=model_id, params=params)
    missing = "logged-models/%s/" % NO_MODEL
    caller.patch(missing + "tags", model_id=NO_MODEL, tags=[{"key": "a", "value": "1"}])
    caller.delete(missing + "tags/a")
    caller.post(missing + "params", model_id=NO_MODEL, params=[{"key": "a", "value": "1"}])
    caller.get("logged-models/" + model_id)


def _change_badly(caller: Caller, model_id: str) -> None:
    place = "logged-models/%s/" % model_id
    for key, value in (("k" * 251, "1"), ("", "1"), ("l", "v" * 6001), ("twice", "1"), ("twice", "1"), ("twice", "2")):
        caller.patch(place + "tags", model_id=model_id, tags=[{"key": key, "value": value}])
        caller.post(place + "params", model_id=model_id, params=[{"key": key, "value": value}])


def _tie_models(caller: Caller, run_id: str, one: str, three: str) -> None:
    for number, model_id in enumerate((one, three)):
        metric = {"run_id": run_id, "key": "acc", "timestamp": OLD_MS, "step": 1, "model_id": model_id}
        caller.post("runs/log-metric", value=0.5 + number, **metric)
    more = {"key": "acc", "value": 0.75, "timestamp": OLD_MS + 5, "step": 2, "model_id": one}
    caller.post("runs/log-batch", run_id=run_id, metrics=[{**more, "dataset_name": "d", "dataset_digest": "e"}])
    caller.post("runs/log-inputs", run_id=run_id, models=[{"model_id": one}])
    caller.post("runs/log-inputs", run_id=run_id, datasets=[], models=[{"model_id": one}])
    for body in (
        {"run_id": run_id, "models": [{"model_id": three, "step": 3}]},
        {"run_id": run_id, "models": [{"model_id": one}]},
        {"run_id": run_id, "models": []},
        {"run_id": run_id, "models": "x"},
        {"run_id": run_id},
        {"run_id": NO_RUN, "models": [{"model_id": three, "step": 3}]},
        {"models": [{"model_id": three, "step": 3}]},
    ):
        caller.call("POST", "runs/outputs", body)
    model = {"artifact_path": "m", "flavors": {}, "utc_time_created": "2024", "run_id": run_id, "model_uuid": "u"}
    for body in (
        {"run_id": run_id, "model_json": json.dumps(model)},
        {"run_id": run_id, "model_json": json.dumps({**model, "artifact_path": "n"})},
        {"run_id": run_id, "model_json": "{"},
        {"run_id": run_id, "model_json": json.dumps({"run_id": run_id, "flavors": {}, "utc_time_created": "2024"})},
        {"run_id": run_id},
        {"run_id": NO_RUN, "model_json": json.dumps(model)},
        {"model_json": json.dumps(model)},
    ):
        caller.call("POST", "runs/log-model", body)
    caller.get("runs/get", run_id=run_id)
    caller.get("logged-models/" + one)


def _search_models(caller: Caller, experiment_id: str) -> None:
    place: Any = {"experiment_ids": [experiment_id]}
    for text in FILTERS.strip("\n").split("\n"):
        caller.post("logged-models/search", filter=text, order_by=[{"field_name": "name"}], **place)
    orders: List[Any] = [
        [{"field_name": "name", "ascending": True}],
        [{"field_name": "name", "ascending": False}],
        [{"field_name": "creation_timestamp", "ascending": True}],
        [{"field_name": "last_updated_timestamp"}],
        [{"field_name": "metrics.acc", "ascending": True}],
        [{"field_name": "metrics.acc", "dataset_name": "d", "dataset_digest": "e"}],
        [{"field_name": "metrics.acc", "dataset_digest": "e"}],
        [{"field_name": "params.depth"}],
        [{"field_name": "nothing"}],
        [{"ascending": True}],
        "name",
    ]
    for order in orders:
        caller.post("logged-models/search", order_by=order, **place)
    for body in (
        place,
        {},
        {"experiment_ids": []},
        {"experiment_ids": ["999"]},
        {"experiment_ids": ["abc"]},
        {"experiment_ids": "x"},
        {**place, "max_results": 0},
        {**place, "max_results": -1},
        {**place, "max_results": 1000},
        {**place, "max_results": 10**6},
        {**place, "max_results": "x"},
        {**place, "page_token": "bad"},
        {**place, "datasets": [{"dataset_name": "d", "dataset_digest": "e"}], "filter": "metrics.acc > 0.6"},
        {**place, "datasets": [{"dataset_name": "d"}]},
        {**place, "datasets": [{"dataset_digest": "e"}]},
        {**place, "datasets": [{"dataset_name": "other"}], "filter": "metrics.acc > 0"},
    ):
        caller.call("POST", "logged-models/search", body)
    first = {**place, "max_results": 2, "order_by": [{"field_name": "name"}]}
    page = caller.call("POST", "logged-models/search", first)
    token = page["next_page_token"]
    caller.call("POST", "logged-models/search", {**first, "page_token": token})
    caller.call("POST", "logged-models/search", {**first, "page_token": token, "filter": "name = 'one'"})


def _files_of_models(caller: Caller, model_id: str) -> None:
    files = "/ajax-api/2.0/mlflow/logged-models/%s/artifacts/files"
    for told in (model_id, NO_MODEL):
        folder = "logged-models/%s/artifacts/directories" % told
        caller.get(folder)
        caller.get(folder, artifact_directory_path="nothing")
        caller.get(folder, artifact_directory_path="../..")
        caller.get(files % told, artifact_file_path="nothing.txt")
        caller.get(files % told, artifact_file_path="../../x")
        caller.get(files % told)


def registry(caller: Caller) -> None:
    """Registered models and their versions."""
    experiment_id = make_experiment(caller, "registry")
    run_id = make_run(caller, experiment_id, "registers")
    model, version = "registered-models/", "model-versions/"
    caller.post(model + "create", name="net", description="d", tags=[{"key": "a", "value": "1"}])
    for body in ({"name": "net"}, {"name": ""}, {"name": "a/b"}, {"name": 5}, {}, {"name": "other"}):
        caller.call("POST", model + "create", body)
    run = caller.get("runs/get", run_id=run_id)["run"]
    source = run["info"]["artifact_uri"]
    for body in (
        {"name": "net", "source": source + "/model", "run_id": run_id, "tags": [{"key": "v", "value": "1"}]},
        {"name": "net", "source": "runs:/%s/model" % run_id, "run_id": run_id},
        {"name": "net", "source": "s3://bucket/model"},
        {"name": "net", "source": "/etc"},
        {"name": "net", "source": source, "run_id": NO_RUN},
        {"name": "nobody", "source": "s3://bucket/model"},
        {"name": "net"},
        {"source": "s3://bucket/model"},
    ):
        caller.call("POST", version + "create", body)
    for name in ("net", "nobody", ""):
        caller.get(model + "get", name=name)
        caller.post(model + "get-latest-versions", name=name)
        caller.get(model + "get-latest-versions", name=name)
        for number in ("1", "9", "x"):
            caller.get(version + "get", name=name, version=number)
    caller.get(version + "get-download-uri", name="net", version="1")
    caller.get(version + "get-download-uri", name="net", version="9")
    caller.get("/model-versions/get-artifact", name="net", version="1", path="nothing")
    caller.get("/model-versions/get-artifact", name="net", version="1", path="../x")
    for name in ("net", "nobody"):
        caller.patch(model + "update", name=name, description="new")
        caller.patch(version + "update", name=name, version="1", description="new")
        caller.post(model + "set-tag", name=name, key="b", value="2")
        caller.post(version + "set-tag", name=name, version="1", key="b", value="2")
        caller.delete(model + "delete-tag", name=name, key="b")
        caller.delete(version + "delete-tag", name=name, version="1", key="b")
    caller.post(
        version + "transition-stage", name="net", version="1", stage="Production", archive_existing_versions=True
    )
    caller.post(version + "transition-stage", name="net", version="1", stage="Nowhere")
    for alias in ("best", "v1", ""):
        caller.post(model + "alias", name="net", alias=alias, version="1")
        caller.get(model + "alias", name="net", alias=alias)
    caller.delete(model + "alias", name="net", alias="best")
    caller.delete(model + "alias", name="nobody", alias="best")
    caller.get(model + "alias", name="net", alias="best")
    for text in ("name = 'net'", "run_id = '%s'" % run_id, "name LIKE 'n%'", "tags.a = '1'", "nothing"):
        caller.get(model + "search", filter=text)
        caller.get(version + "search", filter=text, max_results=5)
    caller.get(model + "search", max_results=1)
    caller.get(model + "search", max_results=0)
    caller.get(model + "search", page_token="bad")
    caller.post(model + "rename", name="net", new_name="nets")
    caller.post(model + "rename", name="nets", new_name="other")
    caller.delete(version + "delete", name="nets", version="2")
    caller.delete(version + "delete", name="nets", version="2")
    caller.delete(model + "delete", name="nets")
    caller.delete(model + "delete", name="nets")
