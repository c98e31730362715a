"""What is asked of MLflow's server about experiments: see `rest_asking`."""

from __future__ import annotations

from rest_asking import OLD_MS, Caller, make_experiment, make_run

LONG = "x" * 300


def experiments(caller: Caller) -> None:
    """Made, found, renamed, tagged, deleted, restored; and what may not be."""
    first = make_experiment(caller, "first")
    tags = [{"key": "team", "value": "a"}, {"key": "empty", "value": ""}]
    second = caller.post("experiments/create", name="second", artifact_location="s3://a/b", tags=tags)["experiment_id"]
    for body in (
        {},
        {"name": ""},
        {"name": None},
        {"name": 5},
        {"name": "first"},
        {"name": "x" * 501},
        {"name": "y", "tags": "z"},
        {"name": "y", "tags": [{"key": "k" * 251, "value": "v"}]},
        {"name": "y", "tags": [{"key": "k", "value": "v" * 6000}]},
        {"name": "y", "tags": [{"key": "", "value": "v"}]},
        {"name": "y", "artifact_location": 9.0},
        {"name": "y", "artifact_location": "s3://a/#b"},
        {"name": "y", "artifact_location": "s3://a/?b=../c"},
        {"name": "y", "unknown": 1},
        {"name": "not\nnice/é☃ %2e"},
    ):
        caller.call("POST", "experiments/create", body)
    caller.call("POST", "experiments/create", b"{")
    caller.call("POST", "experiments/create", [])
    for experiment_id in ("0", first, second, "999", "-1", "1.5", "abc", "", LONG, "../0"):
        caller.get("experiments/get", experiment_id=experiment_id)
    caller.get("experiments/get")
    for name in ("first", "Default", "nobody", "", LONG):
        caller.get("experiments/get-by-name", experiment_name=name)
    caller.get("experiments/get-by-name")
    _search_experiments(caller)
    _change_experiments(caller, first, second)


def _search_experiments(caller: Caller) -> None:
    caller.get("experiments/search", max_results=10)
    caller.get("experiments/search", max_results=10)
    for body in (
        {"max_results": 100},
        {"max_results": 100, "view_type": "ALL"},
        {"max_results": 100, "view_type": "DELETED_ONLY"},
        {"max_results": 100, "view_type": "NONE"},
        {"max_results": 100, "filter": "name LIKE 's%'"},
        {"max_results": 100, "filter": "name ILIKE 'FIR%'"},
        {"max_results": 100, "filter": "tags.team = 'a'"},
        {"max_results": 100, "filter": "tags.team != 'b'"},
        {"max_results": 100, "filter": "creation_time > 0 AND name != 'Default'", "order_by": ["name ASC"]},
        {"max_results": 100, "filter": "last_update_time < 5 AND name != 'Default'"},
        {"max_results": 100, "order_by": ["experiment_id DESC"]},
        {"max_results": 100, "order_by": ["name DESC", "experiment_id"]},
        {"max_results": 100, "order_by": ["nothing"]},
        {"max_results": 100, "order_by": ["name SIDEWAYS"]},
        {"max_results": 100, "filter": "nothing = 1"},
        {"max_results": 100, "filter": "name = first"},
        {"max_results": 100, "filter": "name > 'a'"},
        {"max_results": 100, "filter": "name = 'a' OR name = 'b'"},
        {"max_results": 100, "page_token": "bad"},
        {"max_results": 0},
        {"max_results": -1},
        {"max_results": 50001},
        {"max_results": "many"},
        {},
    ):
        caller.call("POST", "experiments/search", body)
    token = caller.post("experiments/search", max_results=2, order_by=["name ASC"]).get("next_page_token")
    caller.post("experiments/search", max_results=2, order_by=["name ASC"], page_token=token)
    caller.get("experiments/search", ("order_by", "name DESC"), ("order_by", "experiment_id ASC"), max_results=5)
    caller.get("experiments/search", max_results="x")


def _change_experiments(caller: Caller, first: str, second: str) -> None:
    caller.post("experiments/update", experiment_id=first, new_name="renamed")
    caller.post("experiments/update", experiment_id=first, new_name="second")
    caller.post("experiments/update", experiment_id=first, new_name="renamed")
    caller.post("experiments/update", experiment_id=first, new_name="")
    caller.post("experiments/update", experiment_id=first, new_name="x" * 501)
    caller.post("experiments/update", experiment_id=first)
    caller.post("experiments/update", experiment_id="999", new_name="a")
    caller.post("experiments/update", new_name="a")
    for body in (
        {"experiment_id": first, "key": "a", "value": "b"},
        {"experiment_id": first, "key": "a/b c", "value": ""},
        {"experiment_id": first, "key": "big", "value": "b" * 5001},
        {"experiment_id": first, "key": "k" * 251, "value": "b"},
        {"experiment_id": first, "key": "..", "value": "b"},
        {"experiment_id": first, "key": "mini_mlflow:input/1", "value": "b"},
        {"experiment_id": first, "key": "a"},
        {"experiment_id": first, "value": "b"},
        {"experiment_id": first, "key": 5, "value": "b"},
        {"experiment_id": "999", "key": "a", "value": "b"},
        {"key": "a", "value": "b"},
    ):
        caller.call("POST", "experiments/set-experiment-tag", body)
    for body in (
        {"experiment_id": first, "key": "a"},
        {"experiment_id": first, "key": "a"},
        {"experiment_id": first, "key": ""},
        {"experiment_id": first},
        {"experiment_id": "999", "key": "a"},
    ):
        caller.call("POST", "experiments/delete-experiment-tag", body)
    caller.get("experiments/get", experiment_id=first)
    run_id = make_run(caller, second, "goes with it")
    for experiment_id in (second, second, "999", "abc"):
        caller.post("experiments/delete", experiment_id=experiment_id)
    caller.post("experiments/delete")
    caller.get("experiments/get", experiment_id=second)
    caller.get("experiments/get-by-name", experiment_name="second")
    caller.post("experiments/search", max_results=9, view_type="DELETED_ONLY")
    caller.get("runs/get", run_id=run_id)
    caller.post("runs/set-tag", run_id=run_id, key="a", value="b")
    caller.post("runs/search", experiment_ids=[second], run_view_type="ALL")
    caller.post("runs/search", experiment_ids=[second])
    caller.post("experiments/create", name="second")
    caller.post("experiments/update", experiment_id=second, new_name="third")
    caller.post("experiments/set-experiment-tag", experiment_id=second, key="a", value="b")
    caller.post("experiments/delete-experiment-tag", experiment_id=second, key="team")
    caller.post("runs/create", experiment_id=second, start_time=OLD_MS, run_name="no")
    for experiment_id in (second, second, "999", "abc"):
        caller.post("experiments/restore", experiment_id=experiment_id)
    caller.post("experiments/restore")
    caller.get("runs/get", run_id=run_id)


def default_experiment(caller: Caller) -> None:
    """The last that is asked: MLflow's store lets go of it."""
    caller.post("experiments/delete", experiment_id="0")
