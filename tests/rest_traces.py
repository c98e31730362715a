"""What is asked of MLflow's server about traces and assessments: see `rest_asking`."""

from __future__ import annotations

from typing import Any, Dict

from rest_asking import NO_RUN, OLD_MS, Caller, make_experiment, make_run

NO_TRACE = "tr-" + NO_RUN
FILTERS = """
status = 'OK'
trace.status != 'OK'
attributes.status = 'ERROR'
tags.topic = 'a'
tags.topic != 'a'
tags.topic LIKE 'a%'
tag.`topic` = 'b'
metadata.`mlflow.sourceRun` = 'x'
request_metadata.user = 'ann'
metadata.user LIKE 'a%'
timestamp_ms > 0
timestamp_ms <= 1600000000000
timestamp > 1600000000000 AND status = 'OK'
execution_time_ms > 10
execution_time < 10
name = 'answer'
name LIKE '%ans%'
trace.client_request_id = 'c-1'
client_request_id LIKE 'c-%'
request_id = 'x'
trace.request_id IN ('x', 'y')
run_id = 'x'
feedback.quality = 'good'
expectation.wanted = 'yes'
nothing
nothing.at = 'all'
status > 'OK'
tags.topic = a
status = 'OK' OR status = 'ERROR'
timestamp_ms > 'x'
"""


def info(trace_id: str, experiment_id: str, number: int = 0, **more: Any) -> Dict[str, Any]:
    """What a client sends of a trace."""
    told = {
        "trace_id": trace_id,
        "client_request_id": "c-%d" % number,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}},
        "request_preview": "q%d" % number,
        "response_preview": "r%d" % number,
        "request_time": "2020-09-13T12:26:%02d.500Z" % (40 + number),
        "execution_duration": "%d.250s" % number,
        "state": "OK",
        "trace_metadata": {"user": "ann", "mlflow.trace_schema.version": "3"},
        "tags": {"topic": "ab"[number % 2], "mlflow.traceName": "answer"},
    }
    told.update(more)
    return {"trace": {"trace_info": told}}


def traces(caller: Caller) -> None:
    """Stored in the new way and in the old one, read, tagged, searched, linked, deleted."""
    experiment_id = make_experiment(caller, "traces")
    run_id = make_run(caller, experiment_id, "asks")
    trace_ids = ["tr-" + "%032x" % (0xA0 + number) for number in range(3)]
    for number, trace_id in enumerate(trace_ids):
        caller.call("POST", "3.0/traces", info(trace_id, experiment_id, number))
    first, _, third = trace_ids
    caller.call("POST", "3.0/traces", info(third, experiment_id, 2, state="ERROR", tags={"more": "1"}))
    _store_badly(caller, experiment_id)
    old = _old_way(caller, experiment_id)
    for trace_id in (first, third, old, NO_TRACE, "x", "../x"):
        caller.get("3.0/traces/" + trace_id)
        caller.get("traces/%s/info" % trace_id)
    _spans(caller, first)
    _tags(caller, first)
    _search(caller, experiment_id, trace_ids)
    _links(caller, experiment_id, run_id, trace_ids)
    _delete(caller, experiment_id, trace_ids)


def _store_badly(caller: Caller, experiment_id: str) -> None:
    bad = "tr-" + "b" * 32
    for body in (
        info(bad, "999"),
        info(bad, "abc"),
        info(bad, ""),
        info(bad, experiment_id, state="SLEEPING"),
        info(bad, experiment_id, request_time="then"),
        info(bad, experiment_id, tags="x"),
        info(bad, experiment_id, trace_location={"type": "NOWHERE"}),
        {"trace": {}},
        {},
    ):
        caller.call("POST", "3.0/traces", body)


def _old_way(caller: Caller, experiment_id: str) -> str:
    pairs = [{"key": "a", "value": "1"}]
    body: Dict[str, Any] = {"experiment_id": experiment_id, "timestamp_ms": OLD_MS}
    made = caller.post("traces", request_metadata=pairs, tags=pairs, **body)
    trace_id = str(made["trace_info"]["request_id"])
    caller.post("traces", **{**body, "experiment_id": "999"})
    caller.post("traces", experiment_id=experiment_id)
    caller.post("traces", timestamp_ms=OLD_MS)
    end = {"timestamp_ms": OLD_MS + 50, "status": "OK", "request_metadata": pairs, "tags": []}
    caller.patch("traces/" + trace_id, request_id=trace_id, **end)
    caller.patch("traces/" + trace_id, request_id=trace_id, status="SLEEPING", timestamp_ms=OLD_MS)
    caller.patch("traces/" + NO_TRACE, request_id=NO_TRACE, **end)
    for pairs_of_query in (
        [("experiment_ids", experiment_id), ("max_results", 5)],
        [("experiment_ids", experiment_id), ("filter", "status = 'OK'")],
        [("experiment_ids", experiment_id), ("order_by", "timestamp_ms ASC"), ("max_results", 2)],
        [("experiment_ids", experiment_id), ("max_results", 0)],
        [("experiment_ids", "abc")],
        [],
    ):
        caller.call("GET", "traces", pairs=pairs_of_query)
    return trace_id


def _spans(caller: Caller, trace_id: str) -> None:
    for told in (trace_id, NO_TRACE):
        caller.get("3.0/traces/get", trace_id=told)
        caller.get("3.0/traces/get", trace_id=told, allow_partial="true")
        caller.get("3.0/traces/batchGet", ("trace_ids", told), ("trace_ids", NO_TRACE))
        caller.post("3.0/traces/batchGetInfos", trace_ids=[told, NO_TRACE])
        for version in ("2.0", "3.0"):
            caller.get("/ajax-api/%s/mlflow/get-trace-artifact" % version, request_id=told)
            caller.get("/ajax-api/%s/mlflow/get-trace-artifact" % version, request_id=told, path="../x")
    caller.get("3.0/traces/get")
    caller.get("3.0/traces/batchGet")
    caller.post("3.0/traces/batchGetInfos")
    caller.get("/ajax-api/2.0/mlflow/get-trace-artifact")


def _tags(caller: Caller, trace_id: str) -> None:
    for version, name in (("", "request_id"), ("3.0/", "trace_id")):
        for told in (trace_id, NO_TRACE):
            place = "%straces/%s/tags" % (version, told)
            for body in (
                {"key": "mine", "value": "1"},
                {"key": "mine", "value": "2"},
                {"key": "a/b c", "value": ""},
                {"key": "long", "value": "v" * 8001},
                {"key": "mine"},
                {"value": "1"},
                {"key": 5, "value": "1"},
            ):
                caller.call("PATCH", place, {name: told, **body})
            for key in ("mine", "mine", "nothing"):
                caller.call("DELETE", place, {"key": key})
            caller.call("DELETE", place, {})
    caller.get("3.0/traces/" + trace_id)


def _search(caller: Caller, experiment_id: str, trace_ids: Any) -> None:
    location = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}]
    for text in FILTERS.strip("\n").split("\n"):
        caller.post("3.0/traces/search", locations=location, filter=text)
    for order in (
        ["timestamp_ms ASC"],
        ["timestamp DESC"],
        ["execution_time_ms ASC"],
        ["name ASC", "timestamp_ms ASC"],
        ["tag.topic DESC", "timestamp_ms ASC"],
        ["status DESC", "timestamp_ms"],
        ["nothing"],
        ["timestamp SIDEWAYS"],
        "timestamp",
    ):
        caller.post("3.0/traces/search", locations=location, order_by=order)
    for body in (
        {"locations": location},
        {"locations": []},
        {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "999"}}]},
        {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "abc"}}]},
        {"locations": [{"type": "NOWHERE"}]},
        {"locations": location, "max_results": 0},
        {"locations": location, "max_results": -1},
        {"locations": location, "max_results": 501},
        {"locations": location, "max_results": 50001},
        {"locations": location, "max_results": "x"},
        {"locations": location, "page_token": "bad"},
        {"locations": location, "filter": "request_id = '%s'" % trace_ids[0]},
        {},
    ):
        caller.call("POST", "3.0/traces/search", body)
    page = caller.post("3.0/traces/search", locations=location, max_results=2, order_by=["timestamp_ms ASC"])
    token = page["next_page_token"]
    caller.post("3.0/traces/search", locations=location, max_results=2, order_by=["timestamp_ms ASC"], page_token=token)


def _links(caller: Caller, experiment_id: str, run_id: str, trace_ids: Any) -> None:
    location = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}]
    for body in (
        {"trace_ids": trace_ids[:2], "run_id": run_id},
        {"trace_ids": trace_ids[:2], "run_id": run_id},
        {"trace_ids": ["tr-%d" % number for number in range(101)], "run_id": run_id},
        {"trace_ids": [], "run_id": run_id},
        {"trace_ids": trace_ids[:1]},
        {"run_id": run_id},
    ):
        caller.call("POST", "traces/link-to-run", body)
    for told in (run_id, NO_RUN):
        text = "metadata.`mlflow.sourceRun` = '%s'" % told
        caller.post("3.0/traces/search", locations=location, filter=text, order_by=["timestamp_ms ASC"])
        caller.post("3.0/traces/search", locations=location, filter="run_id = '%s'" % told, order_by=["timestamp_ms"])
    versions = [{"name": "p", "version": "1"}]
    caller.post("traces/link-prompts", trace_id=trace_ids[0], prompt_versions=versions)
    caller.post("traces/link-prompts", trace_id=trace_ids[0], prompt_versions=[])
    caller.post("traces/link-prompts", prompt_versions=versions)


def _delete(caller: Caller, experiment_id: str, trace_ids: Any) -> None:
    for path in ("traces/delete-traces", "3.0/traces/delete-traces"):
        for body in (
            {"request_ids": [trace_ids[0], NO_TRACE]},
            {"request_ids": [trace_ids[0]]},
            {"max_timestamp_millis": 5},
            {"max_timestamp_millis": OLD_MS + 1501, "max_traces": 1},
            {"max_timestamp_millis": OLD_MS, "max_traces": 0},
            {"max_timestamp_millis": OLD_MS, "max_traces": -1},
            {"max_timestamp_millis": 5, "request_ids": [trace_ids[0]]},
            {"max_timestamp_millis": "x"},
            {"request_ids": []},
            {},
        ):
            caller.call("POST", path, {"experiment_id": experiment_id, **body})
        caller.post(path, experiment_id="999", max_timestamp_millis=5)
        caller.post(path, experiment_id="abc", max_timestamp_millis=5)
        caller.post(path, max_timestamp_millis=5)
    location = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}]
    caller.post("3.0/traces/search", locations=location)


def assessments(caller: Caller) -> None:
    """Made, read, changed, deleted."""
    experiment_id = make_experiment(caller, "assessments")
    trace_id = "tr-" + "c" * 32
    caller.call("POST", "3.0/traces", info(trace_id, experiment_id))
    place = "3.0/traces/%s/assessments" % trace_id
    source = {"source_type": "HUMAN", "source_id": "ann"}
    time_of = {"create_time": "2020-09-13T12:26:40Z", "last_update_time": "2020-09-13T12:26:40Z"}
    fixed = {"trace_id": trace_id, "source": source, **time_of}
    made = []
    for body in (
        {"assessment_name": "quality", "feedback": {"value": 0.5}, "rationale": "why", "metadata": {"a": "1"}},
        {"assessment_name": "good", "feedback": {"value": True}, "span_id": "s-1"},
        {"assessment_name": "wanted", "expectation": {"value": "yes"}},
        {"assessment_name": "wanted too", "expectation": {"value": [1, 2]}},
        {"assessment_name": "failed", "feedback": {"error": {"error_code": "E", "error_message": "m"}}},
    ):
        answer = caller.post(place, assessment={**fixed, **body})
        made.append(str(answer["assessment"]["assessment_id"]))
    for told in (
        {**fixed, "assessment_name": "nothing"},
        {**fixed, "feedback": {"value": 1}},
        {"trace_id": trace_id, "assessment_name": "no source", "feedback": {"value": 1}},
        {**fixed, "assessment_name": "new", "feedback": {"value": 1}, "overrides": made[0]},
        {**fixed, "assessment_name": "new", "feedback": {"value": 1}, "overrides": "a-" + NO_RUN},
        {**fixed, "assessment_name": "bad", "source": {"source_type": "STONE", "source_id": "x"}, "feedback": {}},
        {},
    ):
        caller.post(place, assessment=told)
    caller.post(place)
    caller.post("3.0/traces/%s/assessments" % NO_TRACE, assessment={**fixed, "assessment_name": "q", "feedback": {}})
    for assessment_id in (made[0], made[3], made[4], "a-" + NO_RUN, "x"):
        caller.get(place + "/" + assessment_id)
    caller.get("3.0/traces/%s/assessments/%s" % (NO_TRACE, made[0]))
    for assessment_id, change, mask in (
        (made[0], {"assessment_name": "renamed"}, "assessmentName"),
        (made[0], {"feedback": {"value": "fine"}, "rationale": "new"}, "feedback,rationale"),
        (made[0], {"metadata": {"b": "2"}}, "metadata"),
        (made[0], {"expectation": {"value": 1}}, "expectation"),
        (made[2], {"expectation": {"value": "no"}}, "expectation"),
        (made[0], {}, "nothing"),
        ("a-" + NO_RUN, {"rationale": "r"}, "rationale"),
    ):
        told = {"assessment_id": assessment_id, "trace_id": trace_id, **change}
        caller.patch(place + "/" + assessment_id, assessment=told, update_mask=mask)
    caller.patch(place + "/" + made[0])
    caller.get("3.0/traces/" + trace_id)
    location = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}]
    for text in (
        "feedback.renamed = 'fine'",
        "feedback.good = 'true'",
        "expectation.wanted = 'no'",
        "feedback.x = 'y'",
    ):
        caller.post("3.0/traces/search", locations=location, filter=text)
    for assessment_id in (made[1], made[1], "a-" + NO_RUN):
        caller.delete(place + "/" + assessment_id)
    caller.get("3.0/traces/" + trace_id)
