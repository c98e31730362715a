"""MLflow's fluent API for models and traces, over the plugin and over MLflow's SQL store: both tell the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("sklearn")

import mlflow
from mlflow.entities import AssessmentSource, LoggedModelStatus
from mlflow.exceptions import MlflowTraceDataException
from mlflow.tracking._tracking_service.utils import _tracking_store_registry

from mini_mlflow import ExperimentTracker
from mini_mlflow.mlflow_plugin import build_tracking_store
from mini_mlflow.upkeep import verify
from mlflow_pairs import Ids, make_tables, show_model, show_trace
from mlflow_processes import started_server

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")
HUMAN = AssessmentSource(source_type="HUMAN", source_id="somebody")


@pytest.fixture
def uris(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Tuple[str, str]]:
    """Our tracking URI, and that of MLflow's SQL store; each is set in turn by the test."""
    # As the entry point does where the package is installed.
    _tracking_store_registry.register("mini-mlflow", build_tracking_store)
    # Spans are stored by the call that ends them, and the requirements of a model need not be found out.
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    monkeypatch.setattr("mlflow.models.infer_pip_requirements", lambda *_, **told: told["fallback"])
    monkeypatch.setattr("mlflow.sklearn.infer_pip_requirements", lambda *_, **told: told["fallback"], raising=False)
    make_tables(os.path.join(str(tmp_path), "mlflow.db"))
    # Artifacts of the SQL store would stand in the working folder's mlruns.
    monkeypatch.chdir(tmp_path)
    yield "mini-mlflow:" + os.path.join(str(tmp_path), "tree"), "sqlite:///mlflow.db"
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(None)
    mlflow.tracing.reset()


def use(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("e")


# -- autolog --------------------------------------------------------------------------------------------------------


def train() -> None:
    """A model, a search over three more, and what is measured afterwards."""
    from sklearn.datasets import make_regression
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    # No classifier: of those, autolog draws figures for seconds.
    features, labels = make_regression(40, 5, random_state=0)
    mlflow.sklearn.autolog(max_tuning_runs=2, silent=True)
    with mlflow.start_run(run_name="one"):
        model = Ridge(alpha=0.5).fit(features, labels)
        model.score(features, labels)
    with mlflow.start_run(run_name="search"):
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=2).fit(features, labels)


def show_run(run: Any, ids: Ids) -> Dict[str, Any]:
    tags = {
        key: ids.tame("run", value) if key == "mlflow.parentRunId" else value
        for key, value in run.data.tags.items()
        # MLflow draws the names of the children, and its history of models has their ids and times.
        if key not in ("mlflow.runName", "mlflow.log-model.history")
    }
    return {
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "has_ended": run.info.end_time >= run.info.start_time > 0,
        "user": run.info.user_id,
        "params": run.data.params,
        "metrics": {key: None if key.endswith("_time") else value for key, value in run.data.metrics.items()},
        "tags": tags,
        "inputs": [
            (one.dataset.name, one.dataset.digest, one.dataset.source_type, one.dataset.schema, one.tags)
            for one in run.inputs.dataset_inputs
        ],
        "model_inputs": len(run.inputs.model_inputs),
        "outputs": [one.step for one in run.outputs.model_outputs],
    }


def list_artifacts(client: Any, run_id: str, path: str = "") -> List[str]:
    found = []
    for one in client.list_artifacts(run_id, path):
        found += list_artifacts(client, run_id, one.path) if one.is_dir else [one.path]
    return sorted(found)


def show_training(uri: str) -> List[Any]:
    use(uri)
    train()
    client = mlflow.MlflowClient()
    experiment_id = client.get_experiment_by_name("e").experiment_id
    runs = client.search_runs([experiment_id], order_by=["params.alpha ASC", "attributes.start_time ASC"])
    runs.sort(key=lambda run: ("mlflow.parentRunId" in run.data.tags, sorted(run.data.params.items())))
    ids = Ids()
    for run in runs:
        ids.tame("run", run.info.run_id)
    seen: List[Any] = [show_run(run, ids) for run in runs]
    seen.append([list_artifacts(client, run.info.run_id) for run in runs])
    models = client.search_logged_models([experiment_id])
    models.sort(key=lambda model: sorted(model.params.items()))
    assert {model.status for model in models} == {LoggedModelStatus.READY}
    for model in models:
        shown = show_model(model, ids)
        # Sizes, times and ids of the files.
        shown.pop("tags")
        for metric in shown["metrics"]:
            metric.pop("timestamp")
            metric["value"] = None if metric["key"].endswith("_time") else metric["value"]
        shown["metrics"].sort(key=repr)
        seen.append(shown)
        seen.append(type(mlflow.sklearn.load_model(model.model_uri)).__name__)
    made = {one.model_id for run in runs for one in run.outputs.model_outputs}
    assert made == {model.model_id for model in models}
    return seen


def test_autolog_of_scikit_learn_tells_the_same_through_both(uris: Tuple[str, str]) -> None:
    ours, theirs = (show_training(uri) for uri in uris)
    assert ours == theirs
    root = uris[0].partition(":")[2]
    assert verify(root) == []
    native = ExperimentTracker(runs_dir=root, experiment_id=1).search_runs("params.alpha = '0.5'")
    assert [run.status for run in native] == ["FINISHED"]


# -- tracing --------------------------------------------------------------------------------------------------------


def ask(question: str) -> str:
    @mlflow.trace(name="look up", span_type="RETRIEVER", attributes={"depth": 2})
    def look_up(text: str) -> List[str]:
        return [text.upper()]

    @mlflow.trace
    def answer(text: str) -> str:
        with mlflow.start_span("think") as span:
            span.set_inputs({"found": look_up(text)})
            span.set_attribute("tokens", 3)
        mlflow.update_current_trace(tags={"topic": text}, metadata={"mlflow.trace.session": "s1"})
        if text == "bad":
            raise ValueError("no answer")
        return text * 2

    try:
        answer(question)
    except ValueError:
        pass
    return str(mlflow.get_last_active_trace_id())


def show_spans(trace: Any) -> List[Any]:
    names = {span.span_id: span.name for span in trace.data.spans}
    shown = []
    for span in trace.data.spans:
        attributes = {key: value for key, value in span.attributes.items() if key != "mlflow.traceRequestId"}
        told = (span.name, names.get(span.parent_id), span.status.status_code.value, span.inputs, span.outputs)
        shown.append([*told, span.span_type, attributes, len(span.events)])
    return sorted(shown, key=repr)


def show_tracing(uri: str) -> List[Any]:
    use(uri)
    with mlflow.start_run() as run:
        traced = [ask("hello"), ask("bad")]
    outside = ask("later")
    made = mlflow.log_feedback(trace_id=outside, name="quality", value=0.5, rationale="why", source=HUMAN)
    mlflow.log_expectation(trace_id=outside, name="wanted", value={"a": 1}, source=HUMAN)
    mlflow.override_feedback(trace_id=outside, assessment_id=made.assessment_id, value=1.0, source=HUMAN)
    mlflow.set_trace_tag(outside, "mine", "1")
    mlflow.set_trace_tag(outside, "topic", "other")
    mlflow.delete_trace_tag(outside, "mine")
    seen: List[Any] = []
    for trace_id in (*traced, outside):
        trace = mlflow.get_trace(trace_id)
        info = show_trace(trace.info)
        metadata = info.pop("trace_metadata")
        assert info.pop("trace_id") == trace_id
        assert info.pop("request_time") > 0
        assert info.pop("execution_duration") >= 0
        assert (metadata.get("mlflow.sourceRun") == run.info.run_id) == (trace_id != outside)
        # Where the spans are kept, each store decides.
        info["tags"].pop("mlflow.trace.spansLocation", None)
        assessments = sorted((one["name"], one["value"], one["valid"], one["rationale"]) for one in info["assessments"])
        info.update(assessments=[repr(one) for one in assessments])
        seen += [info, show_spans(trace), metadata["mlflow.trace.session"]]
    found = {
        text: [trace.info.tags["topic"] for trace in mlflow.search_traces(filter_string=text, return_type="list")]
        for text in ("", "tags.topic = 'hello'", "status = 'ERROR'", "name = 'answer'", "timestamp_ms > 0")
    }
    of_run = mlflow.search_traces(run_id=run.info.run_id, return_type="list")
    seen += [found, sorted(trace.info.tags["topic"] for trace in of_run), [len(trace.data.spans) for trace in of_run]]
    client = mlflow.MlflowClient()
    experiment_id = client.get_experiment_by_name("e").experiment_id
    seen.append(client.delete_traces(experiment_id, trace_ids=traced))
    seen.append(len(mlflow.search_traces(return_type="list")))
    return seen


def test_traces_of_the_fluent_api_tell_the_same_through_both(uris: Tuple[str, str]) -> None:
    ours, theirs = (show_tracing(uri) for uri in uris)
    assert ours == theirs
    assert verify(uris[0].partition(":")[2]) == []


def test_store_gives_traces_with_their_spans_from_their_artifacts(uris: Tuple[str, str]) -> None:
    use(uris[0])
    trace_id = ask("hello")
    store = mlflow.MlflowClient()._tracking_client.store
    bare = store.get_trace_info(trace_id)
    bare.trace_id = "tr-bare"
    store.start_trace(bare)
    (found,) = store.batch_get_traces(["tr-bare", "tr-none", trace_id])
    assert show_spans(found) == show_spans(store.get_trace(trace_id)) == show_spans(mlflow.get_trace(trace_id))
    assert store.get_trace("tr-bare", allow_partial=True).data.spans == []
    with pytest.raises(MlflowTraceDataException):
        store.get_trace("tr-bare")


# -- servers --------------------------------------------------------------------------------------------------------


@pytest.mark.mlflow_long
@pytest.mark.timeout(400)
def test_servers_over_both_tell_the_same_of_models_and_traces(uris: Tuple[str, str], tmp_path: Path) -> None:
    seen = []
    for name, uri in (("ours", "mini-mlflow:./tree"), ("theirs", "sqlite:///mlflow.db")):
        (tmp_path / name).mkdir()
        make_tables(str(tmp_path / name / "mlflow.db"))
        with started_server(uri, tmp_path / name) as server:
            seen.append([show_training(server.url), show_tracing(server.url)])
        mlflow.tracing.reset()
    assert seen[0] == seen[1]
    assert verify(str(tmp_path / "ours" / "tree")) == []
