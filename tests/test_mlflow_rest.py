"""MLflow's server over a tree answers each REST request as it does over a database: status and JSON.

The requests are sent to the application in this process; with ``--mlflow-long`` also to two live servers, and then
none of the endpoints that MLflow's server has may be left out without a reason. What is asked stands in `rest_*.py`.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("flask")

with warnings.catch_warnings():
    # Of MLflow, about what it uses of others.
    warnings.simplefilter("ignore")
    import mlflow
    from mlflow.entities import Metric, RunStatus
    from mlflow.server import app, handlers
    from mlflow.server import constants as server_constants
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as SqlRegistry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

import rest_artifacts
import rest_experiments
import rest_models
import rest_runs
import rest_searches
import rest_traces
from concurrency import run_python
from mini_mlflow.mlflow_plugin import build_registry_store, build_tracking_store
from mini_mlflow.upkeep import verify
from mlflow_pairs import make_tables
from mlflow_processes import started_server
from rest_asking import Caller, over_http
from rest_beyond import call_beyond, crashes, fastapi_endpoints, flask_endpoints, not_called
from rest_differences import ACCEPTED, compare

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

# Which endpoints there are, and the words of an answer, change from one version to the next.
OF_317 = pytest.mark.skipif(not mlflow.__version__.startswith("3.17."), reason="MLflow 3.17 is what is compared with")

SCRIPTS: List[Callable[[Caller], None]] = [
    rest_experiments.experiments,
    rest_runs.runs,
    rest_runs.outside,
    rest_searches.searches,
    rest_artifacts.artifacts,
    rest_artifacts.graphql,
    rest_models.logged_models,
    rest_models.registry,
    rest_traces.traces,
    rest_traces.assessments,
    rest_experiments.default_experiment,
]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a server is told through its environment; what its handlers keep is as it was when the test is over."""
    for name in ("_tracking_store", "_model_registry_store", "_artifact_repo", "_job_store"):
        monkeypatch.setattr(handlers, name, None)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv(server_constants.SERVE_ARTIFACTS_ENV_VAR, "true")
    logger = logging.getLogger("mlflow")
    level = logger.level
    # Each 500 is logged, and half a hundred are asked for.
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
    mlflow.set_tracking_uri(None)


def send_here(method: str, path: str, body: Optional[bytes], headers: Dict[str, str]) -> Tuple[int, str, bytes]:
    with app.test_client().open(path, method=method, data=body, headers=headers) as answer:
        return answer.status_code, answer.mimetype, answer.data


def places_of(folder: Path, url: str = "http://localhost") -> List[Tuple[str, str]]:
    """Where a server keeps its artifacts; those of deleted runs lie in the trash of a tree."""
    roots = [str(folder / "tree" / ".trash"), str(folder / "tree"), str(folder / "artifacts")]
    files = [("file://" + root, "<artifacts>") for root in roots] + [(root, "<artifacts>") for root in roots]
    return [*files, (str(folder), "<folder>"), (url, "<url>")]


def make_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    make_tables(str(folder / "mlflow.db"))
    return folder


def open_here(folder: Path, is_ours: bool, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """The handlers work on our stores, or on MLflow's own."""
    uri = "mini-mlflow:%s" % (folder / "tree") if is_ours else "sqlite:///%s" % (folder / "mlflow.db")
    stores: Tuple[Any, Any]
    if is_ours:
        stores = build_tracking_store(uri, "mlflow-artifacts:/"), build_registry_store(uri)
    else:
        stores = SqlAlchemyStore(uri, "file://%s" % (folder / "artifacts")), SqlRegistry(uri)
    monkeypatch.setattr(handlers, "_tracking_store", stores[0])
    monkeypatch.setattr(handlers, "_model_registry_store", stores[1])
    monkeypatch.setattr(handlers, "_artifact_repo", None)
    monkeypatch.setenv(server_constants.BACKEND_STORE_URI_ENV_VAR, uri)
    monkeypatch.setenv(server_constants.ARTIFACTS_DESTINATION_ENV_VAR, str(folder / "mlartifacts"))
    monkeypatch.chdir(folder)
    mlflow.set_tracking_uri(uri)
    return Caller(send_here, places_of(folder))


def check_answers(ours: Caller, theirs: Caller) -> None:
    found, used = compare(ours.notes, theirs.notes)
    assert not found, "%d of %d requests:\n%s" % (len(found), len(ours.notes), "\n".join(found))
    assert sorted(set(ACCEPTED) - used) == [], "these are no differences any more"


@OF_317
def test_handlers_answer_over_a_tree_as_over_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callers = []
    for name in ("ours", "theirs"):
        caller = open_here(make_folder(tmp_path, name), name == "ours", monkeypatch)
        for script in SCRIPTS:
            script(caller)
        callers.append(caller)
    check_answers(*callers)
    missing = not_called(flask_endpoints(), callers[0].called)
    assert missing == [], "\n".join(map(str, missing))
    assert verify(str(tmp_path / "ours" / "tree")) == []


@OF_317
def test_what_a_tree_does_not_have_is_refused_in_an_orderly_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = open_here(make_folder(tmp_path, "ours"), True, monkeypatch)
    call_beyond(caller, flask_endpoints())
    assert crashes(caller.notes) == []


END_IT = """
import sys
from mlflow.entities import RunStatus
from mini_mlflow.mlflow_plugin import build_tracking_store
store = build_tracking_store("mini-mlflow:" + sys.argv[1], "mlflow-artifacts:/")
store.update_run_info(sys.argv[2], RunStatus.FINISHED, 5, None)
"""


def test_run_that_another_worker_has_ended_goes_on(tmp_path: Path) -> None:
    root = str(tmp_path / "tree")
    store = build_tracking_store("mini-mlflow:" + root, "mlflow-artifacts:/")
    run_id = store.create_run("0", "ann", 1, [], "one").info.run_id
    store.log_metric(run_id, Metric("loss", 1.0, 1, 1))
    run_python(END_IT, root, run_id)
    assert store.update_run_info(run_id, RunStatus.RUNNING, None, None).status == "RUNNING"
    store.log_metric(run_id, Metric("loss", 2.0, 2, 2))
    assert store.get_run(run_id).info.status == "RUNNING"
    assert [one.value for one in store.get_metric_history(run_id, "loss")] == [1.0, 2.0]


@OF_317
@pytest.mark.mlflow_long
@pytest.mark.timeout(400)
def test_live_server_answers_over_a_tree_as_over_a_database(tmp_path: Path) -> None:
    callers, endpoints = [], sorted({*flask_endpoints(), *fastapi_endpoints()})
    for name, uri in (("ours", "mini-mlflow:./tree"), ("theirs", "sqlite:///mlflow.db")):
        folder = make_folder(tmp_path, name)
        # For MLflow's own store: ours keeps its artifacts in the tree in any case.
        options = [] if name == "ours" else ["--default-artifact-root", "file://%s" % (folder / "artifacts")]
        with started_server(uri, folder, *options) as server:
            caller = Caller(over_http(server.url), places_of(folder, server.url))
            for script in SCRIPTS:
                script(caller)
            callers.append(caller)
            if name == "ours":
                beyond = Caller(over_http(server.url), places_of(folder, server.url))
                call_beyond(beyond, endpoints)
                assert not crashes(beyond.notes), "\n".join(crashes(beyond.notes))
    check_answers(*callers)
    assert not_called(endpoints, callers[0].called) == []
    assert verify(str(tmp_path / "ours" / "tree")) == []
