"""Traces and assessments through the plugin: as in MLflow's SQL store, whole after a kill, and none of two lost."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Tuple

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

from mlflow.entities import AssessmentError, Expectation
from mlflow.entities.assessment import ExpectationValue, FeedbackValue
from mlflow.entities.trace_state import TraceState
from mlflow.entities.trace_status import TraceStatus

from concurrency import DEADLINE_S, Children, run_together
from faults import install
from mini_mlflow.disk.layout import inner_trees
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.mlflow_plugin import open_store
from mini_mlflow.upkeep import verify
from mlflow_cuts import Change, fill_at_each_step, kill_at_each_step
from mlflow_pairs import (
    SINCE_317,
    Ids,
    Stores,
    code_of,
    make_feedback,
    make_trace,
    open_stores,
    show_assessment,
    show_trace,
    told_by,
)

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def stores(tmp_path: os.PathLike[str]) -> Stores:
    return open_stores(tmp_path)


Script = Callable[[Any], List[Any]]


def live(store: Any) -> List[Any]:
    store.start_trace(make_trace())
    seen = [show_trace(store.get_trace_info("tr-0"))]
    store.set_trace_tag("tr-0", "parity", "even")
    store.set_trace_tag("tr-0", "new/key", "x" * 300)
    store.set_trace_tag("tr-0", "mlflow.traceName", "other")
    store.delete_trace_tag("tr-0", "parity")
    seen.append(show_trace(store.get_trace_info("tr-0")))
    bare = make_trace(
        1, request_preview=None, response_preview=None, client_request_id=None, tags={}, trace_metadata={}
    )
    seen.append(show_trace(store.start_trace(bare)))
    return seen


def start_again(store: Any) -> List[Any]:
    store.start_trace(make_trace(state=TraceState.IN_PROGRESS, execution_duration=None))
    store.set_trace_tag("tr-0", "mine", "kept")
    again = make_trace(
        request_preview=None, trace_metadata={"more": "1"}, tags={"parity": "none"}, execution_duration=7
    )
    return [show_trace(store.start_trace(again)), show_trace(store.get_trace_info("tr-0"))]


def refuse(store: Any) -> List[Any]:
    store.start_trace(make_trace())
    deleted = store.create_experiment("deleted")
    store.delete_experiment(deleted)
    return [
        code_of(lambda: store.start_trace(make_trace(1, deleted))),
        code_of(lambda: store.start_trace(make_trace(1, "987654"))),
        code_of(lambda: store.get_trace_info("tr-none")),
        told_by(lambda: store.delete_trace_tag("tr-0", "none")),
        told_by(lambda: store.delete_trace_tag("tr-0", "../not!allowed")),
        code_of(lambda: store.delete_trace_tag("tr-none", "none")),
        told_by(lambda: store.set_trace_tag("tr-0", "not!allowed", "x")),
        told_by(lambda: store.get_trace("tr-none")),
        code_of(lambda: store.get_assessment("tr-none", "a-none")),
        code_of(lambda: store.get_assessment("tr-0", "a-none")),
        code_of(lambda: store.update_assessment("tr-none", "a-none", rationale="x")),
        code_of(lambda: store.update_assessment("tr-0", "a-none", rationale="x")),
        code_of(lambda: store.create_assessment(make_feedback(overrides="a-none"))),
        code_of(lambda: store.delete_assessment("tr-none", "a-none")),
        code_of(lambda: store.search_traces(["0"], max_results=0)),
        code_of(lambda: store.search_traces(["0"], max_results=1_000_000)),
        code_of(lambda: store.search_traces(["0"], "nonsense")),
        code_of(lambda: store.search_traces(["1.5"])),
        code_of(lambda: store.search_traces(["0"], order_by=["nonsense"])),
        code_of(lambda: store.delete_traces("0")),
        store.delete_traces("0", trace_ids=["tr-none"]),
        show_trace(store.get_trace_info("tr-0")),
    ]


def delete(store: Any) -> List[Any]:
    other = store.create_experiment("other")
    for number in range(6):
        store.start_trace(make_trace(number, other if number == 5 else "0"))
    first = 1_700_000_000_000
    counts = [
        store.delete_traces("0", max_timestamp_millis=first + 3, max_traces=2),
        store.delete_traces("0", trace_ids=["tr-3", "tr-5", "tr-none"]),
        store.delete_traces("0", max_timestamp_millis=first + 2),
    ]
    left = [info.trace_id for info in store.search_traces(["0", other])[0]]
    # What was deleted may be stored anew.
    return [counts, left, show_trace(store.start_trace(make_trace(3)))]


def outlive(store: Any) -> List[Any]:
    """An experiment that is deleted keeps its traces, as they are, and they may be changed."""
    experiment_id = store.create_experiment("short-lived")
    for number in range(2):
        store.start_trace(make_trace(number, experiment_id))
    store.delete_traces(experiment_id, trace_ids=["tr-1"])
    seen: List[Any] = []
    for turn in (store.delete_experiment, store.restore_experiment):
        turn(experiment_id)
        store.set_trace_tag("tr-0", "after", turn.__name__)
        store.create_assessment(make_feedback(name=turn.__name__, create_time_ms=1 + len(seen)))
        seen.append(show_trace(store.get_trace_info("tr-0")))
        seen.append([info.trace_id for info in store.search_traces([experiment_id])[0]])
        seen.append([info.trace_id for info in store.batch_get_trace_infos(["tr-0", "tr-1"])])
        seen.append(code_of(lambda: store.get_trace_info("tr-1")))
    return seen


def assess(store: Any) -> List[Any]:
    ids = Ids()
    store.start_trace(make_trace())
    made = [
        make_feedback(True, rationale="why", metadata={"a": "1"}, span_id="s"),
        make_feedback({"score": 3, "parts": [1, "b", 0.5]}, name="deep"),
        make_feedback(None, name="failed", error=AssessmentError("CODE", "text", "trace")),
        make_feedback(5, name="number"),
        Expectation(name="expected", value={"a": [1, 2]}, trace_id="tr-0", create_time_ms=6, last_update_time_ms=6),
    ]
    made[3].run_id = "r0"
    known = [store.create_assessment(one) for one in made]
    seen = [show_assessment(one, ids) for one in known]
    seen += [show_assessment(store.get_assessment("tr-0", one.assessment_id), ids) for one in known]
    shown = store.get_trace_info("tr-0").assessments
    seen.append(sorted((show_assessment(one, ids) for one in shown), key=repr))
    return seen


def change_assessments(store: Any) -> List[Any]:
    ids = Ids()
    store.start_trace(make_trace())
    first = store.create_assessment(make_feedback("bad", metadata={"keep": "1", "change": "old"})).assessment_id
    wanted = Expectation(name="wanted", value="a", trace_id="tr-0", create_time_ms=6)
    second = store.create_assessment(wanted).assessment_id
    seen = [
        store.update_assessment("tr-0", first, metadata={"change": "new", "more": "2"}),
        store.update_assessment("tr-0", first, name="better", feedback=FeedbackValue(value=7), rationale="why"),
        store.update_assessment("tr-0", first, feedback=FeedbackValue(value=None, error=AssessmentError("CODE"))),
        store.update_assessment("tr-0", second, expectation=ExpectationValue(value="b"), rationale="is not kept"),
    ]
    both: Dict[str, Any] = {"expectation": ExpectationValue(value=1), "feedback": FeedbackValue(value=1)}
    refused = [
        code_of(lambda: store.update_assessment("tr-0", first, **both)),
        code_of(lambda: store.update_assessment("tr-0", first, expectation=ExpectationValue(value=1))),
        code_of(lambda: store.update_assessment("tr-0", second, feedback=FeedbackValue(value=1))),
    ]
    over = store.create_assessment(make_feedback("good", overrides=first)).assessment_id
    seen += [store.get_assessment("tr-0", one) for one in (first, over)]
    store.delete_assessment("tr-0", over)
    store.delete_assessment("tr-0", over)
    store.delete_assessment("tr-0", "a-none")
    seen.append(store.get_assessment("tr-0", first))
    gone = code_of(lambda: store.get_assessment("tr-0", over))
    return [[show_assessment(one, ids) for one in seen], refused, gone]


def start_with_assessments(store: Any) -> List[Any]:
    info = store.start_trace(
        make_trace(assessments=[make_feedback("x", trace_id=None), make_feedback("y", name="other")])
    )
    return [sorted((show_assessment(one) for one in info.assessments), key=repr)]


def speak_v2(store: Any) -> List[Any]:
    ids = Ids()
    started = store.deprecated_start_trace_v2("0", 1000, {"a": "1"}, {"t": "1"})
    request_id = started.request_id
    ended = store.deprecated_end_trace_v2(request_id, 1250, TraceStatus.ERROR, {"b": "2"}, {"t": "2"})
    seen = []
    for one in (started, ended):
        assert one.tags.pop("mlflow.artifactLocation").endswith("/traces/%s/artifacts" % request_id)
        told = (one.experiment_id, one.timestamp_ms, one.execution_time_ms, one.status, one.request_metadata, one.tags)
        seen.append([ids.tame("tr", one.request_id), *told])
    return [seen, code_of(lambda: store.deprecated_end_trace_v2("none", 1, TraceStatus.OK, {}, {}))]


SCRIPTS = [
    live,
    pytest.param(start_again, marks=SINCE_317),
    refuse,
    delete,
    outlive,
    assess,
    change_assessments,
    start_with_assessments,
    speak_v2,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_what_is_done_to_traces_shows_as_in_the_sql_store(stores: Stores, script: Script) -> None:
    assert script(stores.ours) == script(stores.sql)
    assert verify(stores.ours.root) == []


# -- our own rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace_id", ["a/b", "a%2Fb", "tr:1", "ü", "x" * 200])
def test_trace_has_any_id_that_a_client_draws(stores: Stores, trace_id: str) -> None:
    ours = stores.ours
    ours.start_trace(make_trace(trace_id=trace_id))
    assert ours.get_trace_info(trace_id).trace_id == trace_id
    assert [info.trace_id for info in ours.search_traces(["0"])[0]] == [trace_id]
    assert ours.delete_traces("0", trace_ids=[trace_id]) == 1


def test_deleted_trace_is_gone_from_the_disk_with_its_spans_and_leaves_those_of_others(stores: Stores) -> None:
    ours = stores.ours
    for number in range(2):
        info = ours.start_trace(make_trace(number))
        folder = info.tags["mlflow.artifactLocation"][len("file://") :]
        os.makedirs(folder)
        with open(os.path.join(folder, "traces.json"), "w") as file:
            file.write("{}")
    ours.delete_traces("0", trace_ids=["tr-0"])
    assert list_folder(os.path.join(inner_trees(ours.root)[1], ".trash", "0")) == []
    assert list_folder(os.path.join(ours.root, "0", "traces")) == ["tr-1"]


def test_records_cannot_be_forged_and_are_never_shown(stores: Stores) -> None:
    ours = stores.ours
    info = ours.start_trace(make_trace(tags={"mini_mlflow:trace": "x"}))
    ours.create_assessment(make_feedback())
    assert list(info.tags) == list(ours.get_trace_info("tr-0").tags) == ["mlflow.artifactLocation"]
    assert code_of(lambda: ours.set_trace_tag("tr-0", "mini_mlflow:trace", "x")) == "INVALID_PARAMETER_VALUE"
    assert code_of(lambda: ours.delete_trace_tag("tr-0", "mini_mlflow:trace")) == "RESOURCE_DOES_NOT_EXIST"


def test_assessment_of_a_trace_that_does_not_exist_is_refused(stores: Stores) -> None:
    assert (
        code_of(lambda: stores.ours.create_assessment(make_feedback(trace_id="tr-none"))) == "RESOURCE_DOES_NOT_EXIST"
    )


def test_assessment_of_a_known_id_is_not_made_twice(stores: Stores) -> None:
    ours = stores.ours
    ours.start_trace(make_trace())
    made = ours.create_assessment(make_feedback())
    again = make_feedback("other")
    again.assessment_id = made.assessment_id
    assert code_of(lambda: ours.create_assessment(again)) == "RESOURCE_ALREADY_EXISTS"
    assert ours.get_assessment("tr-0", made.assessment_id).value is True


# -- at once, and cut short -----------------------------------------------------------------------------------------

WRITERS, EACH = 3, 4


def add(root: str, writer: int, shared: str) -> None:
    """Tags, assessments, and parts of one assessment's metadata, one at a time."""
    store = open_store(root)
    for number in range(EACH):
        key = "%d.%d" % (writer, number)
        store.set_trace_tag("tr-0", key, "x")
        store.create_assessment(make_feedback(key))
        store.update_assessment("tr-0", shared, metadata={key: "x"})


def prepare_sharing(root: str) -> Tuple[Any, str]:
    store = open_store(root)
    store.start_trace(make_trace(tags={}))
    return store, store.create_assessment(make_feedback("shared")).assessment_id


def assert_nothing_is_lost(store: Any, shared: str) -> None:
    keys = {"%d.%d" % (writer, number) for writer in range(WRITERS) for number in range(EACH)}
    info = store.get_trace_info("tr-0")
    assert set(info.tags) == keys | {"mlflow.artifactLocation"}
    assert {one.value for one in info.assessments} == keys | {"shared"}
    assert set(store.get_assessment("tr-0", shared).metadata) == keys


def test_threads_that_change_one_trace_at_once_lose_nothing(tmp_path: os.PathLike[str]) -> None:
    store, shared = prepare_sharing(os.path.join(str(tmp_path), "mlruns"))
    run_together(*(lambda writer=writer: add(store.root, writer, shared) for writer in range(WRITERS)))
    assert_nothing_is_lost(store, shared)


def test_processes_that_change_one_trace_at_once_lose_nothing(tmp_path: os.PathLike[str]) -> None:
    store, shared = prepare_sharing(os.path.join(str(tmp_path), "mlruns"))
    # Forked: a spawned process takes seconds to import MLflow.
    with Children("fork") as children:
        for writer in range(WRITERS):
            children.start(add, store.root, writer, shared)
    assert_nothing_is_lost(store, shared)


def begin(root: str, writer: int, barrier: Any) -> None:
    store = open_store(root)
    barrier.wait(DEADLINE_S)
    for number in range(EACH):
        store.start_trace(make_trace(trace_id="tr-%d-%d" % (writer, number)))
        store.create_logged_model("0", "m-%d-%d" % (writer, number))


def test_processes_that_start_together_in_a_fresh_folder_lose_no_trace_and_no_model(
    tmp_path: os.PathLike[str],
) -> None:
    root = os.path.join(str(tmp_path), "mlruns")
    with Children("fork") as children:
        barrier = children.context.Barrier(WRITERS)
        for writer in range(WRITERS):
            children.start(begin, root, writer, barrier)
    store = open_store(root)
    each = ["%d-%d" % (writer, number) for writer in range(WRITERS) for number in range(EACH)]
    assert sorted(info.trace_id for info in store.search_traces(["0"])[0]) == ["tr-" + one for one in each]
    assert sorted(model.name for model in store.search_logged_models(["0"])) == ["m-" + one for one in each]


def start_one(root: str, writer: int) -> None:
    open_store(root).start_trace(make_trace(tags={"t%d" % writer: "x"}, trace_metadata={"m%d" % writer: "x"}))


def test_processes_that_store_one_trace_at_once_make_one_with_all_that_they_said(tmp_path: os.PathLike[str]) -> None:
    root = os.path.join(str(tmp_path), "mlruns")
    with Children("fork") as children:
        for writer in range(WRITERS):
            children.start(start_one, root, writer)
    (info,), _ = open_store(root).search_traces(["0"])
    assert set(info.tags) == {"t%d" % writer for writer in range(WRITERS)} | {"mlflow.artifactLocation"}
    assert set(info.trace_metadata) >= {"m%d" % writer for writer in range(WRITERS)}


def start_new(store: Any, shared: str) -> None:
    store.start_trace(make_trace(1, assessments=[make_feedback("x", "tr-1")]))


def start_known(store: Any, shared: str) -> None:
    store.start_trace(make_trace(trace_metadata={"new": "1"}, tags={"new": "1"}))


def override(store: Any, shared: str) -> None:
    store.create_assessment(make_feedback("over", overrides=shared))


def delete_tag(store: Any, shared: str) -> None:
    store.delete_trace_tag("tr-0", "old")


def remove(store: Any, shared: str) -> None:
    store.delete_traces("0", trace_ids=["tr-0"])


def see(root: str) -> List[Any]:
    """What a store shows that is opened anew, without the ids that it draws."""
    infos, _ = open_store(root).search_traces(["0"])
    shown = [show_trace(info) for info in infos]
    for one in shown:
        one["assessments"] = sorted((each["value"], each["valid"]) for each in one["assessments"])
    return shown


def prepare(folder: str, change: Callable[[Any, str], None]) -> Tuple[str, Change]:
    """Where a tree with a trace stands, and what is done to it."""
    root = os.path.join(folder, "prepared")
    store, shared = prepare_sharing(root)
    store.set_trace_tag("tr-0", "old", "x")

    def change_again(root: str, after: Any) -> None:
        store = open_store(root)
        if not is_done(store, change):
            change(store, shared)
        assert see(root) == after

    # Deleted is deleted, also where what is left of it cannot be removed.
    return root, Change(lambda store: change(store, shared), see, change_again, may_be_done=change is remove)


def is_done(store: Any, change: Callable[[Any, str], None]) -> bool:
    """The change has come about, and would be refused or made twice."""
    if change is override:
        return len(store.get_trace_info("tr-0").assessments) == 2
    if change is delete_tag:
        return "old" not in store.get_trace_info("tr-0").tags
    return change is start_new and bool(store.batch_get_trace_infos(["tr-1"]))


CHANGES = pytest.mark.parametrize(
    "change", [start_new, start_known, override, delete_tag, remove], ids=lambda change: change.__name__
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@CHANGES
def test_killed_at_any_step_a_change_of_traces_is_whole_or_not_there(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    kill_at_each_step(install(monkeypatch), *prepare(folder, change), stride)


@CHANGES
def test_full_disk_at_any_step_of_a_change_of_traces_is_told_or_does_not_matter(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    fill_at_each_step(install(monkeypatch), *prepare(folder, change), stride)
