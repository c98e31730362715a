"""What is asked of MLflow's server about files, and by the UI through GraphQL: see `rest_asking`."""

from __future__ import annotations

import json
from typing import Any, List

from rest_asking import NO_RUN, OLD_MS, Caller, make_experiment, make_run

UPLOAD = "/ajax-api/2.0/mlflow/upload-artifact"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"

RUN_QUERY = """
query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    apiError { code message }
    run {
      info {
        runName runUuid runId experimentId userId status startTime endTime artifactUri lifecycleStage
      }
      experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
      modelVersions { status version name source }
      data {
        metrics { key value step timestamp }
        params { key value }
        tags { key value }
      }
      inputs {
        datasetInputs {
          dataset { digest name profile schema source sourceType }
          tags { key value }
        }
        modelInputs { modelId }
      }
      outputs { modelOutputs { modelId step } }
    }
  }
}
"""
EXPERIMENT_QUERY = """
query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetExperiment(input: $input) {
    apiError { code message }
    experiment {
      artifactLocation creationTime experimentId lastUpdateTime lifecycleStage name tags { key value }
    }
  }
}
"""
RUNS_QUERY = """
query SearchRuns($data: MlflowSearchRunsInput!) {
  mlflowSearchRuns(input: $data) {
    apiError { message }
    runs { info { runId runName lifecycleStage } data { metrics { key value } params { key value } } }
  }
}
"""
CHART_QUERY = """
query GetMetricHistoryBulkInterval($data: MlflowGetMetricHistoryBulkIntervalInput!)
@component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetMetricHistoryBulkInterval(input: $data) {
    __typename
    metrics { timestamp step runId key value }
    apiError { code message }
  }
}
"""
FILES_QUERY = """
query Files($data: MlflowListArtifactsInput!) {
  mlflowListArtifacts(input: $data) { rootUri files { path isDir fileSize } apiError { message } }
}
"""
DATASETS_QUERY = """
mutation Datasets($data: MlflowSearchDatasetsInput!) {
  mlflowSearchDatasets(input: $data) {
    datasetSummaries { experimentId name digest context } apiError { message }
  }
}
"""


def artifacts(caller: Caller) -> None:
    """Uploaded, listed and fetched, of runs and through the server's own store of files."""
    experiment_id = make_experiment(caller, "artifacts")
    run_id = make_run(caller, experiment_id, "has files")
    caller.get("artifacts/list", run_id=run_id)
    for pairs in (
        {"run_uuid": run_id, "path": "a.txt"},
        {"run_uuid": run_id, "path": "folder/b é.txt"},
        {"run_uuid": run_id, "path": "../up.txt"},
        {"run_uuid": run_id, "path": "/abs.txt"},
        {"run_uuid": run_id, "path": ""},
        {"run_uuid": run_id},
        {"run_uuid": NO_RUN, "path": "a.txt"},
        {"path": "a.txt"},
    ):
        caller.call("POST", UPLOAD, b"some text", pairs.items())
    caller.call("POST", UPLOAD, b"", [("run_uuid", run_id), ("path", "empty.txt")])
    caller.call("POST", UPLOAD, b"{}", [("run_uuid", run_id), ("path", "folder/deep/c.json")])
    for path in ("", "folder", "folder/deep", "a.txt", "nothing", "../", "/", "folder/../folder", "%2e%2e"):
        caller.get("artifacts/list", run_id=run_id, path=path)
        caller.get("/get-artifact", run_id=run_id, path=path)
    for path in ("folder/deep/c.json", "folder/b é.txt", "empty.txt"):
        caller.get("/get-artifact", run_uuid=run_id, path=path)
    caller.get("artifacts/list", run_uuid=run_id)
    caller.get("artifacts/list", run_id=run_id, page_token="x")
    for told in (NO_RUN, "", "../x"):
        caller.get("artifacts/list", run_id=told)
        caller.get("/get-artifact", run_id=told, path="a.txt")
    caller.get("artifacts/list")
    caller.get("/get-artifact", run_id=run_id)
    caller.post("runs/delete", run_id=run_id)
    caller.get("artifacts/list", run_id=run_id)
    caller.get("/get-artifact", run_id=run_id, path="a.txt")
    caller.post("runs/restore", run_id=run_id)
    for path in ("artifacts/presigned-upload-url", "artifacts/presigned-download-url"):
        caller.post(path, run_id=run_id, path="a.txt")
        caller.post(path, run_id=NO_RUN, path="a.txt")
    _files_of_the_server(caller)


def _files_of_the_server(caller: Caller) -> None:
    for prefix in (PROXY, PROXY.replace("/api/", "/ajax-api/")):
        caller.call("PUT", prefix + "/free/a.txt", b"free")
        caller.call("PUT", prefix + "/free/deep/b.txt", b"")
        caller.get(prefix, path="free")
        caller.get(prefix)
        caller.get(prefix, path="nothing")
        caller.get(prefix, path="../")
        caller.get(prefix + "/free/a.txt")
        caller.get(prefix + "/free/nothing.txt")
        caller.get(prefix + "/free/..%2f..%2fup.txt")
        caller.delete(prefix + "/free/a.txt")
        caller.delete(prefix + "/free/a.txt")
        beside = prefix.rpartition("/")[0]
        caller.post(beside + "/mpu/create/free/c.bin", path="free/c.bin", num_parts=2)
        caller.post(beside + "/mpu/complete/free/c.bin", path="free/c.bin", upload_id="u", parts=[])
        caller.post(beside + "/mpu/abort/free/c.bin", path="free/c.bin", upload_id="u")
        caller.get(beside + "/presigned/free/deep/b.txt")


def graphql(caller: Caller) -> None:
    """The queries that the UI sends, and some that nobody should."""
    experiment_id = make_experiment(caller, "graphql")
    run_id = make_run(caller, experiment_id, "seen")
    points: List[Any] = [{"key": "m", "value": n / 2, "timestamp": OLD_MS + n, "step": n} for n in range(12)]
    caller.post("runs/log-batch", run_id=run_id, metrics=points, params=[{"key": "p", "value": "1"}])
    dataset = {"name": "d", "digest": "e", "source_type": "local", "source": "s"}
    caller.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": []}])
    caller.call("POST", UPLOAD, b"text", [("run_uuid", run_id), ("path", "a/b.txt")])
    many = {"runIds": [run_id, NO_RUN], "metricKey": "m"}
    for operation, query, told in (
        ("GetRun", RUN_QUERY, {"runId": run_id}),
        ("GetRun", RUN_QUERY, {"runId": NO_RUN}),
        ("GetRun", RUN_QUERY, {}),
        ("GetRun", RUN_QUERY, {"runId": 5}),
        ("MlflowGetExperimentQuery", EXPERIMENT_QUERY, {"experimentId": experiment_id}),
        ("MlflowGetExperimentQuery", EXPERIMENT_QUERY, {"experimentId": "999"}),
        ("MlflowGetExperimentQuery", EXPERIMENT_QUERY, {"experimentId": "abc"}),
        ("SearchRuns", RUNS_QUERY, {"experimentIds": [experiment_id]}),
        ("SearchRuns", RUNS_QUERY, {"experimentIds": [experiment_id], "filter": "params.p = '1'", "maxResults": 1}),
        ("SearchRuns", RUNS_QUERY, {"experimentIds": [experiment_id], "filter": "nothing"}),
        ("SearchRuns", RUNS_QUERY, {"experimentIds": [experiment_id], "runViewType": "DELETED_ONLY"}),
        ("GetMetricHistoryBulkInterval", CHART_QUERY, {**many, "maxResults": 5}),
        ("GetMetricHistoryBulkInterval", CHART_QUERY, {**many, "startStep": 2, "endStep": 4}),
        ("GetMetricHistoryBulkInterval", CHART_QUERY, {"runIds": [], "metricKey": "m"}),
        ("Files", FILES_QUERY, {"runId": run_id}),
        ("Files", FILES_QUERY, {"runId": run_id, "path": "a"}),
        ("Files", FILES_QUERY, {"runId": NO_RUN}),
        ("Datasets", DATASETS_QUERY, {"experimentIds": [experiment_id]}),
        ("Datasets", DATASETS_QUERY, {"experimentIds": []}),
    ):
        variables = {"input" if operation.endswith("Query") else "data": told}
        caller.call("POST", "/graphql", {"operationName": operation, "query": query, "variables": variables})
    query = 'query a { test(inputString: "abc") { output } }'
    caller.call("POST", "/graphql", {"operationName": "a", "query": query})
    caller.call("POST", "/graphql", {"operationName": "a", "query": "query a { nothing }"})
    caller.call("POST", "/graphql", {"query": "{"})
    caller.call("POST", "/graphql", {})
    caller.call("GET", "/graphql", pairs=[("query", json.dumps(query))])
    for path in ("/", "/health", "/version"):
        caller.get(path)
    caller.get("/static-files/nothing.js")
    for _ in ("of a client", "of the UI"):
        for path in ("3.0/server-info", "unified-traces", "get-online-trace-details"):
            caller.get(path)
    caller.get("3.0/users/current")
    caller.get("users/current")
