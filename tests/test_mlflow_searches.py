"""What MLflow's SQL store refuses, leaves open or puts last, ours does too: filters, orders, ids, times and limits."""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, List

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelParameter,
    Metric,
    Param,
    RunStatus,
    ViewType,
)

from mini_mlflow.mlflow_plugin import open_store
from mini_mlflow.upkeep import verify
from mlflow_pairs import Stores, code_of, open_stores

# In some of it older versions of MLflow's SQL store did otherwise, and what they did was mended since.
if int(mlflow.__version__.split(".")[1]) < 17:
    pytest.skip("compared with MLflow 3.17 and later", allow_module_level=True)

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def stores(tmp_path: os.PathLike[str]) -> Stores:
    opened = open_stores(tmp_path)
    for store in opened:
        store.create_experiment("another")
    return opened


def make_run(store: Any, name: str = "one", start_time: int = 5) -> str:
    return str(store.create_run("0", "somebody", start_time, [], name).info.run_id)


def names(found: Any) -> List[str]:
    return [getattr(one, "name", None) or one.info.run_name for one in found]


def refuse_comparators(store: Any) -> List[Any]:
    """Also where there is nothing to compare."""
    filters = (
        "metrics.loss LIKE 1", "metrics.loss <> 1", "params.lr > '1'", "tags.kind < '1'", "status > 'A'",
        "start_time LIKE 4", "run_name RLIKE 'n.*'", "dataset.name > 'x'", "metrics.loss > 1", "tags.kind IS NULL",
    )  # fmt: skip
    seen = [code_of(lambda text=text: names(store.search_runs(["0"], text, ViewType.ALL))) for text in filters]
    return [*seen, code_of(lambda: names(store.search_runs(["0"], "", ViewType.ALL, order_by=["dataset.name"])))]


def refuse_ids(store: Any) -> List[Any]:
    """Nothing is the default experiment where one is asked for, and none of several."""
    calls: List[Callable[[Any], Any]] = [
        lambda number: names(store.search_runs([number], "", ViewType.ALL)),
        lambda number: names(store.search_logged_models([number])),
        lambda number: store._search_datasets([number]),
        lambda number: store._delete_traces(number, 1),
    ]
    seen = [code_of(lambda call=call, one=one: call(one)) for call in calls for one in ("", "cats", "7x", "7", 7)]
    return [*seen, store.get_experiment(None).name, store.get_experiment("").name, store.DEFAULT_EXPERIMENT_ID]


def end_untold(store: Any) -> List[Any]:
    """A run that is ended without an end time has none, until one is told."""
    run_id, other = make_run(store), make_run(store, "other", 4)
    store.update_run_info(other, RunStatus.FINISHED, 9, None)
    seen: List[Any] = []

    def update(status: Any, end_time: Any = None) -> None:
        info = store.update_run_info(run_id, status, end_time, None)
        assert info.end_time == store.get_run(run_id).info.end_time
        found = [
            names(store.search_runs(["0"], "", ViewType.ALL, order_by=["end_time %s" % way])) for way in ("asc", "desc")
        ]
        seen.append([info.status, info.end_time, found])

    update(RunStatus.FINISHED)
    update(RunStatus.KILLED)
    seen.append(names(store.search_runs(["0"], "attributes.end_time > 0", ViewType.ALL)))
    update(RunStatus.RUNNING)
    update(RunStatus.FAILED)
    update(None, 7)
    update(RunStatus.RUNNING)
    update(RunStatus.FINISHED)
    return seen


def tell_old_times(store: Any) -> List[Any]:
    """Times before 1970 are times."""
    run_id = make_run(store, start_time=-1)
    store.update_run_info(run_id, RunStatus.FINISHED, -86_400_123, None)
    make_run(store, "other", 0)
    run = store.get_run(run_id).info
    order = ["start_time ASC"]
    return [run.start_time, run.end_time, names(store.search_runs(["0"], "", ViewType.ALL, order_by=order))]


def refuse_none(store: Any) -> List[Any]:
    """A param, and what a logged model has, must have a value; nothing of the batch is stored then."""
    run_id = make_run(store)
    return [
        code_of(lambda: store.log_param(run_id, Param("lr", None))),
        code_of(lambda: store.log_batch(run_id, [Metric("loss", 1.0, 1, 0)], [Param("a", "b"), Param("lr", None)], [])),
        code_of(lambda: store.create_logged_model("0", "net", params=[LoggedModelParameter("depth", None)])),
        store.get_run(run_id).data.params,
        store.get_run(run_id).data.metrics,
        names(store.search_logged_models(["0"])),
    ]


def refuse_model_filters(store: Any) -> List[Any]:
    """Whether there are models or not."""
    filters = (
        "cats", "name = 'a' OR name = 'b'", "cats.name = 'a'", "name > 'a'", "metrics.loss LIKE 1", "name <> 'a'",
        "creation_timestamp LIKE 1", "tags.kind < '1'", "name = 'net'", "metrics.loss > 1", "name",
    )  # fmt: skip

    def search() -> List[Any]:
        return [code_of(lambda text=text: names(store.search_logged_models(["0"], text))) for text in filters]

    without = search()
    store.create_logged_model("0", "net")
    return [without, search()]


def order_models(store: Any) -> List[Any]:
    """By the latest point, of those on a dataset if one is told, which may be by its digest alone."""
    run_id = make_run(store)
    one, other, bare = (store.create_logged_model("0", name, run_id) for name in ("one", "other", "bare"))
    points = [
        (one, 1.0, 10, 0, "a"), (one, 9.0, 10, 1, "a"), (one, 2.0, 5, 7, "b"), (other, 5.0, 10, 0, "a"),
        (other, 1.0, 9, 0, "b"),
    ]  # fmt: skip
    metrics = [
        Metric("loss", value, time_ms, step, model_id=model.model_id, dataset_name="cats", dataset_digest=digest)
        for model, value, time_ms, step, digest in points
    ]
    store.log_batch(run_id, metrics, [], [])
    seen: List[Any] = [bare.metrics, store.get_logged_model(bare.model_id).metrics]
    seen += [len(model.metrics or ()) for model in store.search_logged_models(["0"], order_by=[{"field_name": "name"}])]
    for dataset in ({}, {"dataset_digest": "a"}, {"dataset_digest": "b"}, {"dataset_name": "cats"}):
        for ascending in (True, False):
            order = {"field_name": "metrics.loss", "ascending": ascending, **dataset}
            seen.append(names(store.search_logged_models(["0"], order_by=[order])))
    order = [{"field_name": "metrics.loss", "ascending": False}]
    for dataset in ({"dataset_name": "cats", "dataset_digest": "a"}, {"dataset_name": "cats", "dataset_digest": "b"}):
        seen.append(names(store.search_logged_models(["0"], datasets=[dataset], order_by=order)))
    return seen


SCRIPTS = [
    refuse_comparators, refuse_ids, end_untold, tell_old_times, refuse_none, refuse_model_filters, order_models,
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.__name__ for script in SCRIPTS])
def test_store_answers_as_mlflows_sql_store(script: Callable[[Any], List[Any]], stores: Stores) -> None:
    """Each script documents what it is about."""
    assert script(stores.ours) == script(stores.sql)
    assert verify(stores.ours.root) == []


@pytest.mark.parametrize(
    ("text", "filter_string"),
    [
        ("Invalid filter string", "cats"),
        ("Invalid entity type", "cats.name = 'a'"),
        ("Invalid comparison operator", "name > 'a'"),
    ],
)
def test_model_filter_that_is_refused_is_told_in_mlflows_words(text: str, filter_string: str, stores: Stores) -> None:
    for store in stores:
        with pytest.raises(mlflow.exceptions.MlflowException, match=text):
            store.search_logged_models(["0"], filter_string)


def test_run_that_mlflow_ended_without_a_time_has_ours(tmp_path: Any) -> None:
    """Outside of MLflow no run has ended at no time."""
    from mini_mlflow import ExperimentTracker

    store = open_store(tmp_path)
    run_id = make_run(store)
    store.update_run_info(run_id, RunStatus.FINISHED, None, None)
    assert store.get_run(run_id).info.end_time is None
    found = ExperimentTracker(runs_dir=str(tmp_path)).get_run(run_id)["metadata"]
    assert found["status"] == "FINISHED"
    assert found["end_time"]


def test_profile_of_a_dataset_may_be_as_long_as_mlflow_lets_it(tmp_path: Any) -> None:
    """One tag holds 10 MB. The first dataset of a name and digest counts, with its own profile."""
    from mlflow.utils.validation import MAX_DATASET_PROFILE_SIZE

    store = open_store(tmp_path)
    profiles = ["ab" * (MAX_DATASET_PROFILE_SIZE // 2), "\x01" * 2_000_000, "short"]
    runs = [make_run(store) for _ in profiles]
    for run_id, profile in zip(runs, profiles):
        for told in (profile, profile, "c" * 3_000_000):
            dataset = Dataset("cats", "d", "local", "here", profile=told)
            store.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    for run_id, profile in zip(runs, profiles):
        (found,) = store.get_run(run_id).inputs.dataset_inputs
        assert found.dataset.profile == profile
        assert set(store.get_run(run_id).data.tags) == {"mlflow.runName"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store._search_datasets(["0"])) == 1
    assert verify(str(tmp_path)) == []
