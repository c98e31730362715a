"""Logged models through the plugin: as in MLflow's SQL store, whole after a kill, and none of two changes lost."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any, Callable, Dict, List, Tuple

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

from mlflow.entities import (
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    TraceInfo,
)
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_state import TraceState
from mlflow.exceptions import MlflowException

from concurrency import Children, in_child, run_together
from faults import MOST_STEPS, install, kill
from mini_mlflow.disk.layout import inner_trees
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.mlflow_plugin import open_store
from mini_mlflow.upkeep import verify
from mlflow_pairs import Ids, Stores, code_of, full, open_stores, show_model

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def stores(tmp_path: os.PathLike[str]) -> Stores:
    return open_stores(tmp_path)


def make_run(store: Any) -> str:
    return str(store.create_run("0", "somebody", 0, [], "a run").info.run_id)


def tags(**texts: Any) -> List[LoggedModelTag]:
    return [LoggedModelTag(key, value) for key, value in texts.items()]


def params(**texts: Any) -> List[LoggedModelParameter]:
    return [LoggedModelParameter(key, value) for key, value in texts.items()]


def metric(key: str, value: float, model_id: str, step: int = 0, timestamp: int = 1, **dataset: str) -> Metric:
    return Metric(key, value, timestamp, step, model_id=model_id, **dataset)


#: What is done to a store, and what it shows then.
Script = Callable[[Any, Ids], List[Any]]


def live(store: Any, ids: Ids) -> List[Any]:
    run_id = make_run(store)
    made = store.create_logged_model("0", "net", run_id, tags(a="1"), params(depth="3"), "classifier")
    seen = [show_model(made, ids)]
    model_id = made.model_id
    store.log_logged_model_params(model_id, params(width="8"))
    store.set_logged_model_tags(model_id, tags(a="2", b="x") + [LoggedModelTag("c/d", "y")])
    store.delete_logged_model_tag(model_id, "b")
    seen.append(show_model(store.get_logged_model(model_id), ids))
    seen.append(show_model(store.finalize_logged_model(model_id, LoggedModelStatus.READY), ids))
    seen.append(show_model(store.finalize_logged_model(model_id, LoggedModelStatus.FAILED), ids))
    nameless = store.create_logged_model("0")
    assert nameless.name
    seen.append([nameless.tags, nameless.params, nameless.status, nameless.source_run_id, nameless.model_type])
    return seen


def refuse(store: Any, ids: Ids) -> List[Any]:
    model_id = store.create_logged_model("0", "net", None, tags(a="1"), params(depth="3")).model_id
    experiment_id = store.create_experiment("deleted")
    store.delete_experiment(experiment_id)
    return [
        code_of(lambda: store.create_logged_model("0", "no/slash")),
        code_of(lambda: store.create_logged_model("0", "")),
        code_of(lambda: store.create_logged_model("987654", "net")),
        code_of(lambda: store.create_logged_model(experiment_id, "net")),
        code_of(lambda: store.get_logged_model("m-none")),
        code_of(lambda: store.get_logged_model("no/model")),
        code_of(lambda: store.finalize_logged_model("m-none", LoggedModelStatus.READY)),
        code_of(lambda: store.set_logged_model_tags("m-none", tags(a="1"))),
        code_of(lambda: store.log_logged_model_params("m-none", params(a="1"))),
        code_of(lambda: store.delete_logged_model("m-none")),
        code_of(lambda: store._hard_delete_logged_model("m-none")),
        code_of(lambda: store.delete_logged_model_tag("m-none", "a")),
        code_of(lambda: store.delete_logged_model_tag(model_id, "none")),
        show_model(store.get_logged_model(model_id), ids),
    ]


def measure(store: Any, ids: Ids) -> List[Any]:
    run_id = make_run(store)
    one, other = (store.create_logged_model("0", name, run_id).model_id for name in ("one", "other"))
    points = [
        metric("acc", 0.5, one, dataset_name="d", dataset_digest="1"),
        metric("acc", 0.75, one, step=1, timestamp=2, dataset_name="d", dataset_digest="2"),
        metric("val/acc", 0.25, other),
        Metric("loss", 2.0, 3, 4),
    ]
    store.log_batch(run_id, points, [], [])
    # log_model() logs the run's metrics again, to tie them to the model.
    store.log_batch(run_id, points[:1], [], [])
    store.log_metric(run_id, metric("acc", 1.0, other, step=2, timestamp=5))
    run = store.get_run(run_id)
    return [
        [show_model(store.get_logged_model(model_id), ids) for model_id in (one, other)],
        sorted(run.data.metrics.items()),
        sorted((point.step, point.value) for point in store.get_metric_history(run_id, "acc")),
    ]


def relate(store: Any, ids: Ids) -> List[Any]:
    run_id = make_run(store)
    made, used = (store.create_logged_model("0", name, run_id).model_id for name in ("made", "used"))
    store.log_outputs(run_id, [LoggedModelOutput(made, 7)])
    store.log_inputs(run_id, models=[LoggedModelInput(used)])
    run = store.get_run(run_id)
    assert [one.model_id for one in run.inputs.model_inputs] == [used]
    assert [one.model_id for one in run.outputs.model_outputs] == [made]
    store.delete_run(run_id)
    return [
        [one.step for one in run.outputs.model_outputs],
        run.inputs.dataset_inputs,
        dict(run.data.tags),
        code_of(lambda: store.log_outputs(run_id, [LoggedModelOutput(made, 7)])),
        code_of(lambda: store.log_outputs("0" * 32, [LoggedModelOutput(made, 7)])),
        code_of(lambda: store.log_batch(run_id, [metric("acc", 1.0, made)], [], [])),
    ]


def delete(store: Any, ids: Ids) -> List[Any]:
    kept, gone = (store.create_logged_model("0", name, None, tags(a=name)).model_id for name in ("kept", "gone"))
    store.delete_logged_model(gone)
    deleted = store.get_logged_model(gone, allow_deleted=True)
    seen = [
        code_of(lambda: store.get_logged_model(gone)),
        show_model(deleted, ids),
        [model.name for model in store.search_logged_models(["0"])],
        store._get_deleted_logged_models() == [gone],
        store._get_deleted_logged_models(older_than=3_600_000),
    ]
    store._hard_delete_logged_model(gone)
    seen += [
        code_of(lambda: store.get_logged_model(gone, allow_deleted=True)),
        store._get_deleted_logged_models(),
        show_model(store.get_logged_model(kept), ids),
    ]
    return seen


@pytest.mark.parametrize("script", [live, refuse, measure, relate, delete], ids=lambda script: script.__name__)
def test_what_is_done_to_logged_models_shows_as_in_the_sql_store(stores: Stores, script: Script) -> None:
    assert script(stores.ours, Ids()) == script(stores.sql, Ids())
    assert verify(stores.ours.root) == []


# -- search ---------------------------------------------------------------------------------------------------------


def fill(store: Any) -> str:
    """Six models; returns the id of the experiment of the last."""
    run_id = make_run(store)
    other = store.create_experiment("other")
    for number in range(6):
        model = store.create_logged_model(
            other if number == 5 else "0",
            "model_%d" % number,
            run_id if number % 2 else None,
            tags(parity=str(number % 2), number=str(number)),
            params(depth=str(number)),
            "tree" if number < 3 else None,
        )
        if number % 3 == 0:
            store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        if number:
            datasets: Dict[str, str] = {"dataset_name": "d%d" % (number % 2), "dataset_digest": str(number)}
            store.log_batch(run_id, [metric("acc", number / 10, model.model_id, **datasets)], [], [])
            store.log_batch(run_id, [metric("acc", -number, model.model_id, step=1, timestamp=2)], [], [])
    return str(other)


FILTERS = [
    "",
    "name = 'model_1'",
    "name != 'model_1'",
    "name LIKE 'model%'",
    "name ILIKE 'MODEL_2'",
    "model_type = 'tree'",
    "model_type != 'tree'",
    "creation_timestamp > 0",
    "creation_time < 0",
    "last_updated_timestamp >= 1",
    "tags.parity = '1'",
    "tags.`parity` != '1'",
    "tags.number LIKE '%3%'",
    "tags.none = '1'",
    "params.depth = '2'",
    "params.depth != '2'",
    "metrics.acc > 0.25",
    "metrics.acc < -2",
    "metrics.acc = 0.1 AND tags.parity = '1'",
    "metrics.none > 0",
    "name = 'model_1' AND name LIKE 'm%'",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Stores, str]:
    stores = open_stores(tmp_path_factory.mktemp("filled"))
    other = fill(stores.sql)
    return stores, str(fill(stores.ours) and other)


def names(found: Any) -> List[str]:
    return [model.name for model in found]


def test_filters_of_logged_models_find_what_they_find_in_the_sql_store(filled: Tuple[Stores, str]) -> None:
    stores, _ = filled
    for text in FILTERS:
        ours, theirs = (sorted(names(store.search_logged_models(["0"], text))) for store in stores)
        assert ours == theirs, text


def test_status_of_logged_models_is_searched_by_its_name(filled: Tuple[Stores, str]) -> None:
    # The SQL store compares the name with the number that it keeps, and finds nothing.
    (ours, _), _ = filled
    assert sorted(names(ours.search_logged_models(["0"], "status = 'READY'"))) == ["model_0", "model_3"]
    assert sorted(names(ours.search_logged_models(["0"], "status != 'READY'"))) == ["model_1", "model_2", "model_4"]


@pytest.mark.parametrize(
    "datasets",
    [
        [{"dataset_name": "d1"}],
        [{"dataset_name": "d0", "dataset_digest": "2"}],
        [{"dataset_name": "d0", "dataset_digest": "3"}],
        [{"dataset_name": "d0"}, {"dataset_name": "d1", "dataset_digest": "3"}],
    ],
)
def test_datasets_narrow_a_search_as_in_the_sql_store(filled: Tuple[Stores, str], datasets: Any) -> None:
    stores, _ = filled
    for text in ("", "metrics.acc > 0.15"):
        ours, theirs = (sorted(names(store.search_logged_models(["0"], text, datasets))) for store in stores)
        assert ours == theirs


ORDERS = [
    None,
    [{"field_name": "name"}],
    [{"field_name": "name", "ascending": False}],
    [{"field_name": "model_type"}, {"field_name": "name"}],
    [{"field_name": "model_type", "ascending": False}, {"field_name": "name"}],
    [{"field_name": "source_run_id"}, {"field_name": "name", "ascending": False}],
    [{"field_name": "last_updated_timestamp"}, {"field_name": "name"}],
    [{"field_name": "metrics.acc"}],
    [{"field_name": "metrics.acc", "ascending": False}],
    [{"field_name": "metrics.acc", "dataset_name": "d1", "ascending": False}, {"field_name": "name"}],
    [{"field_name": "metrics.acc", "dataset_name": "d0", "dataset_digest": "2"}, {"field_name": "name"}],
]


def test_orders_of_logged_models_are_those_of_the_sql_store(filled: Tuple[Stores, str]) -> None:
    stores, _ = filled
    for order in ORDERS[1:]:
        ours, theirs = (names(store.search_logged_models(["0"], order_by=order)) for store in stores)
        assert ours == theirs, order


def test_pages_of_logged_models_follow_one_another_and_belong_to_one_search(filled: Tuple[Stores, str]) -> None:
    (ours, _), other = filled
    first = ours.search_logged_models(["0", other, "987654"], max_results=4, order_by=[{"field_name": "name"}])
    again = {"max_results": 4, "order_by": [{"field_name": "name"}], "page_token": first.token}
    second = ours.search_logged_models(["0", other, "987654"], **again)
    assert names(first) + names(second) == ["model_%d" % number for number in range(6)]
    assert second.token is None
    with pytest.raises(MlflowException, match="token"):
        ours.search_logged_models(["0"], **again)


def test_searches_that_mean_nothing_are_refused_as_in_the_sql_store(filled: Tuple[Stores, str]) -> None:
    stores, _ = filled
    for store in stores:
        for arguments in (
            {"filter_string": "nonsense"},
            {"filter_string": "metrics.acc LIKE 'x'"},
            {"order_by": [{"field_name": "params.depth"}]},
            {"order_by": [{"field_name": "nonsense"}]},
            {"datasets": [{"dataset_digest": "1"}]},
        ):
            assert code_of(lambda: store.search_logged_models(["0"], **arguments)) == "INVALID_PARAMETER_VALUE"  # noqa: B023


# -- our own rules --------------------------------------------------------------------------------------------------


def test_param_of_a_model_keeps_its_value_and_may_be_logged_again(stores: Stores) -> None:
    ours = stores.ours
    model_id = ours.create_logged_model("0", "net", params=params(depth="3")).model_id
    ours.log_logged_model_params(model_id, params(depth="3", width="8"))
    with pytest.raises(MlflowException, match="Changing param values is not allowed") as caught:
        ours.log_logged_model_params(model_id, params(height="1", depth="4"))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert ours.get_logged_model(model_id).params == {"depth": "3", "width": "8"}


def test_tags_that_look_like_our_records_are_refused_and_ours_never_shown(stores: Stores) -> None:
    ours = stores.ours
    model_id = ours.create_logged_model("0", "net").model_id
    assert ours.get_logged_model(model_id).tags == {}
    record = [LoggedModelTag("mini_mlflow:model", "x")]
    assert code_of(lambda: ours.set_logged_model_tags(model_id, record)) == "INVALID_PARAMETER_VALUE"
    assert code_of(lambda: ours.create_logged_model("0", "net", tags=record)) == "INVALID_PARAMETER_VALUE"
    assert code_of(lambda: ours.delete_logged_model_tag(model_id, "mini_mlflow:model")) == "RESOURCE_DOES_NOT_EXIST"


def test_numbers_that_no_json_has_come_back_from_a_model(stores: Stores) -> None:
    ours = stores.ours
    run_id, model_id = make_run(ours), ours.create_logged_model("0", "net").model_id
    for key, value in (("a", float("inf")), ("b", float("-inf")), ("c", float("nan"))):
        ours.log_metric(run_id, metric(key, value, model_id))
        ours.log_metric(run_id, metric(key, value, model_id))
    assert [str(one.value) for one in ours.get_logged_model(model_id).metrics] == ["inf", "-inf", "nan"]


def test_metric_of_a_model_that_does_not_exist_is_refused(stores: Stores) -> None:
    ours = stores.ours
    with pytest.raises(MlflowException, match="Logged model with ID 'm-none' not found"):
        ours.log_metric(make_run(ours), metric("acc", 1.0, "m-none"))


def test_models_are_gone_for_good_from_wherever_they_stand(stores: Stores) -> None:
    ours = stores.ours
    model_id = ours.create_logged_model("0", "net").model_id
    ours._hard_delete_logged_model(model_id)
    assert code_of(lambda: ours.get_logged_model(model_id, allow_deleted=True)) == "RESOURCE_DOES_NOT_EXIST"
    assert list_folder(os.path.join(inner_trees(ours.root)[0], ".trash", "0")) == []


def test_experiment_that_is_gone_for_good_takes_its_models_and_traces_along(stores: Stores) -> None:
    ours = stores.ours
    experiment_id = ours.create_experiment("gone")
    kept = ours.create_logged_model("0", "kept").model_id
    gone = [ours.create_logged_model(experiment_id, "gone").model_id for _ in range(2)]
    ours.delete_logged_model(gone[0])
    location = TraceLocation.from_experiment_id(experiment_id)
    ours.start_trace(TraceInfo("tr-1", location, request_time=1, state=TraceState.OK))
    assert code_of(lambda: ours._hard_delete_experiment(experiment_id)) == "RESOURCE_DOES_NOT_EXIST"
    ours.delete_experiment(experiment_id)
    assert ours.get_logged_model(gone[1]).name == "gone"
    ours._hard_delete_experiment(experiment_id)
    for model_id in gone:
        assert code_of(lambda: ours.get_logged_model(model_id, allow_deleted=True)) == "RESOURCE_DOES_NOT_EXIST"  # noqa: B023
    assert ours.batch_get_trace_infos(["tr-1"]) == []
    assert ours.get_logged_model(kept).name == "kept"


def test_native_search_is_not_disturbed_by_models(stores: Stores) -> None:
    from mini_mlflow import ExperimentTracker

    run_id = make_run(stores.ours)
    stores.ours.create_logged_model("0", "net", run_id)
    assert ExperimentTracker(runs_dir=stores.ours.root).list_runs() == [run_id]


# -- at once, and cut short -----------------------------------------------------------------------------------------

WRITERS, TAGS_EACH = 3, 4


def set_tags(root: str, model_id: str, writer: int) -> None:
    """One tag at a time, and a metric each, so that every change meets those of the others."""
    store = open_store(root)
    for number in range(TAGS_EACH):
        store.set_logged_model_tags(model_id, [LoggedModelTag("t%d.%d" % (writer, number), "x")])
        store._log_model_metrics("r%d" % writer, [metric("m%d" % number, number, model_id)])


def assert_nothing_is_lost(store: Any, model_id: str) -> None:
    model = store.get_logged_model(model_id)
    assert model.status == LoggedModelStatus.READY
    assert model.tags == {"t%d.%d" % (w, n): "x" for w in range(WRITERS) for n in range(TAGS_EACH)}
    assert {(one.run_id, one.key) for one in model.metrics} == {
        ("r%d" % w, "m%d" % n) for w in range(WRITERS) for n in range(TAGS_EACH)
    }


def test_threads_that_change_one_model_at_once_lose_nothing(tmp_path: os.PathLike[str]) -> None:
    store = open_store(os.path.join(str(tmp_path), "mlruns"))
    model_id = store.create_logged_model("0", "net").model_id
    # Its run has ended then, and goes on with the first metric.
    store.finalize_logged_model(model_id, LoggedModelStatus.READY)
    run_together(*(lambda writer=writer: set_tags(store.root, model_id, writer) for writer in range(WRITERS)))
    assert_nothing_is_lost(store, model_id)


def test_processes_that_change_one_model_at_once_lose_nothing(tmp_path: os.PathLike[str]) -> None:
    store = open_store(os.path.join(str(tmp_path), "mlruns"))
    model_id = store.create_logged_model("0", "net").model_id
    # Its run has ended then, and goes on with the first metric.
    store.finalize_logged_model(model_id, LoggedModelStatus.READY)
    # Forked: a spawned process takes seconds to import MLflow.
    with Children("fork") as children:
        for writer in range(WRITERS):
            children.start(set_tags, store.root, model_id, writer)
    assert_nothing_is_lost(store, model_id)


def finalize(store: Any, model_id: str) -> None:
    store.finalize_logged_model(model_id, LoggedModelStatus.READY)


def change_tags(store: Any, model_id: str) -> None:
    store.set_logged_model_tags(model_id, tags(a="2", b="3"))


def create(store: Any, model_id: str) -> None:
    store.create_logged_model("0", "new", None, tags(a="1"), params(depth="3"))


def remove(store: Any, model_id: str) -> None:
    store.delete_logged_model(model_id)


def see(root: str) -> List[Any]:
    """What a store shows that is opened anew, without what changes from one call to the next."""
    store = open_store(root)
    found = store.search_logged_models(["0"], order_by=[{"field_name": "name"}])
    return [(one.name, one.status, one.tags, one.params) for one in found] + [len(store._get_deleted_logged_models())]


@pytest.fixture
def stride(request: pytest.FixtureRequest) -> int:
    """Of the steps at which a process may be killed, every so many are tried; all of them with --mlflow-long."""
    return 1 if request.config.getoption("--mlflow-long") else 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("change", [create, finalize, change_tags, remove], ids=lambda change: change.__name__)
def test_killed_at_any_step_a_change_of_models_is_whole_or_not_there(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    disk = install(monkeypatch)
    prepared, whole = (os.path.join(folder, name) for name in ("prepared", "whole"))
    model_id = open_store(prepared).create_logged_model("0", "old", None, tags(a="1")).model_id
    before = see(shutil.copytree(prepared, whole))
    change(open_store(whole), model_id)
    after = see(whole)
    assert before != after
    seen = []
    for at in range(1, MOST_STEPS, stride):
        root = shutil.copytree(prepared, os.path.join(folder, str(at)))

        def act_and_die(root: str = root, at: int = at) -> None:
            with disk.armed(kill, at):
                change(open_store(root), model_id)

        status = in_child(act_and_die)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        shown = see(root)
        assert shown in ((before, after) if status else (after,)), "killed at step %d" % at
        seen.append(shown)
        # Whoever comes next is not held up.
        change_tags(open_store(root), open_store(root).create_logged_model("0", "next").model_id)
        if status == 0:
            break
    assert before in seen
    assert status == 0


@pytest.mark.parametrize("change", [create, finalize, change_tags, remove], ids=lambda change: change.__name__)
def test_full_disk_at_any_step_of_a_change_of_models_is_told_or_does_not_matter(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    disk = install(monkeypatch)
    prepared, whole = (os.path.join(folder, name) for name in ("prepared", "whole"))
    model_id = open_store(prepared).create_logged_model("0", "old", None, tags(a="1")).model_id
    before = see(shutil.copytree(prepared, whole))
    change(open_store(whole), model_id)
    after = see(whole)
    refused = 0
    for at in range(1, MOST_STEPS, stride):
        root = shutil.copytree(prepared, os.path.join(folder, str(at)))
        store = open_store(root)
        with disk.armed(full, at, lasting=True):
            code = code_of(lambda: change(store, model_id))  # noqa: B023
        assert code in (None, "INTERNAL_ERROR")
        assert see(root) == (after if code is None else before), "full at step %d" % at
        refused += code is not None
        if disk.struck is None:
            break
        # With space again, all goes on.
        change_tags(open_store(root), open_store(root).create_logged_model("0", "next").model_id)
    assert refused
