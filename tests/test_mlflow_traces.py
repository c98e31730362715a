"""Traces and assessments through the plugin: as in MLflow's SQL store, whole after a kill, and none of two lost."""

from __future__ import annotations

import os
import shutil
import signal
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

import mlflow
from mlflow.entities import AssessmentError, AssessmentSource, Expectation, Feedback, TraceInfo
from mlflow.entities.assessment import ExpectationValue, FeedbackValue
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_state import TraceState
from mlflow.entities.trace_status import TraceStatus
from mlflow.exceptions import MlflowException

from concurrency import DEADLINE_S, Children, in_child, run_together
from faults import MOST_STEPS, install, kill
from mini_mlflow.disk.layout import inner_trees
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.mlflow_plugin import open_store
from mini_mlflow.upkeep import verify
from mlflow_pairs import Ids, Stores, code_of, full, open_stores, show_assessment, show_trace

VERSION = tuple(map(int, mlflow.__version__.split(".")[:2]))
HUMAN = AssessmentSource(source_type="HUMAN", source_id="somebody")

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def stores(tmp_path: os.PathLike[str]) -> Stores:
    return open_stores(tmp_path)


def make_info(number: int = 0, experiment_id: str = "0", **told: Any) -> TraceInfo:
    """What a client says of a trace."""
    known: Dict[str, Any] = {
        "trace_id": "tr-%d" % number,
        "trace_location": TraceLocation.from_experiment_id(experiment_id),
        "request_time": 1_700_000_000_000 + number,
        "state": TraceState.ERROR if number % 3 == 2 else TraceState.OK,
        "request_preview": "question %d" % number,
        "response_preview": "answer",
        "client_request_id": "request-%d" % number,
        "execution_duration": None if number == 4 else 100 - number,
        "trace_metadata": {"mlflow.sourceRun": "r%d" % (number % 2), "a/b": "1"},
        "tags": {"mlflow.traceName": "name %d" % number, "parity": str(number % 2)},
    }
    return TraceInfo(**{**known, **told})


def feedback(value: Any = True, trace_id: str = "tr-0", **told: Any) -> Feedback:
    known: Dict[str, Any] = {"name": "quality", "source": HUMAN, "create_time_ms": 5, "last_update_time_ms": 5}
    return Feedback(value=value, trace_id=trace_id, **{**known, **told})


Script = Callable[[Any], List[Any]]


def live(store: Any) -> List[Any]:
    store.start_trace(make_info())
    seen = [show_trace(store.get_trace_info("tr-0"))]
    store.set_trace_tag("tr-0", "parity", "even")
    store.set_trace_tag("tr-0", "new/key", "x" * 300)
    store.set_trace_tag("tr-0", "mlflow.traceName", "other")
    store.delete_trace_tag("tr-0", "parity")
    seen.append(show_trace(store.get_trace_info("tr-0")))
    bare = make_info(1, request_preview=None, response_preview=None, client_request_id=None, tags={}, trace_metadata={})
    seen.append(show_trace(store.start_trace(bare)))
    return seen


def start_again(store: Any) -> List[Any]:
    store.start_trace(make_info(state=TraceState.IN_PROGRESS, execution_duration=None))
    store.set_trace_tag("tr-0", "mine", "kept")
    again = make_info(request_preview=None, trace_metadata={"more": "1"}, tags={"parity": "none"}, execution_duration=7)
    return [show_trace(store.start_trace(again)), show_trace(store.get_trace_info("tr-0"))]


def refuse(store: Any) -> List[Any]:
    store.start_trace(make_info())
    deleted = store.create_experiment("deleted")
    store.delete_experiment(deleted)
    return [
        code_of(lambda: store.start_trace(make_info(1, deleted))),
        code_of(lambda: store.start_trace(make_info(1, "987654"))),
        code_of(lambda: store.get_trace_info("tr-none")),
        code_of(lambda: store.delete_trace_tag("tr-0", "none")),
        code_of(lambda: store.delete_trace_tag("tr-none", "none")),
        code_of(lambda: store.set_trace_tag("tr-0", "not!allowed", "x")),
        code_of(lambda: store.get_assessment("tr-none", "a-none")),
        code_of(lambda: store.get_assessment("tr-0", "a-none")),
        code_of(lambda: store.update_assessment("tr-none", "a-none", rationale="x")),
        code_of(lambda: store.update_assessment("tr-0", "a-none", rationale="x")),
        code_of(lambda: store.create_assessment(feedback(overrides="a-none"))),
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
        store.start_trace(make_info(number, other if number == 5 else "0"))
    first = 1_700_000_000_000
    counts = [
        store.delete_traces("0", max_timestamp_millis=first + 3, max_traces=2),
        store.delete_traces("0", trace_ids=["tr-3", "tr-5", "tr-none"]),
        store.delete_traces("0", max_timestamp_millis=first + 2),
    ]
    left = [info.trace_id for info in store.search_traces(["0", other])[0]]
    # What was deleted may be stored anew.
    return [counts, left, show_trace(store.start_trace(make_info(3)))]


def outlive(store: Any) -> List[Any]:
    """An experiment that is deleted keeps its traces, as they are, and they may be changed."""
    experiment_id = store.create_experiment("short-lived")
    for number in range(2):
        store.start_trace(make_info(number, experiment_id))
    store.delete_traces(experiment_id, trace_ids=["tr-1"])
    seen: List[Any] = []
    for turn in (store.delete_experiment, store.restore_experiment):
        turn(experiment_id)
        store.set_trace_tag("tr-0", "after", turn.__name__)
        store.create_assessment(feedback(name=turn.__name__, create_time_ms=1 + len(seen)))
        seen.append(show_trace(store.get_trace_info("tr-0")))
        seen.append([info.trace_id for info in store.search_traces([experiment_id])[0]])
        seen.append([info.trace_id for info in store.batch_get_trace_infos(["tr-0", "tr-1"])])
        seen.append(code_of(lambda: store.get_trace_info("tr-1")))
    return seen


def assess(store: Any) -> List[Any]:
    ids = Ids()
    store.start_trace(make_info())
    made = [
        feedback(True, rationale="why", metadata={"a": "1"}, span_id="s"),
        feedback({"score": 3, "parts": [1, "b", 0.5]}, name="deep"),
        feedback(None, name="failed", error=AssessmentError("CODE", "text", "trace")),
        feedback(5, name="number"),
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
    store.start_trace(make_info())
    first = store.create_assessment(feedback("bad", metadata={"keep": "1", "change": "old"})).assessment_id
    wanted = Expectation(name="wanted", value="a", trace_id="tr-0", create_time_ms=6)
    second = store.create_assessment(wanted).assessment_id
    seen = [
        store.update_assessment("tr-0", first, metadata={"change": "new", "more": "2"}),
        store.update_assessment("tr-0", first, name="better", feedback=FeedbackValue(value=7), rationale="why"),
        store.update_assessment("tr-0", first, feedback=FeedbackValue(value=None, error=AssessmentError("CODE"))),
        store.update_assessment("tr-0", second, expectation=ExpectationValue(value="b")),
    ]
    both: Dict[str, Any] = {"expectation": ExpectationValue(value=1), "feedback": FeedbackValue(value=1)}
    refused = [
        code_of(lambda: store.update_assessment("tr-0", first, **both)),
        code_of(lambda: store.update_assessment("tr-0", first, expectation=ExpectationValue(value=1))),
        code_of(lambda: store.update_assessment("tr-0", second, feedback=FeedbackValue(value=1))),
    ]
    over = store.create_assessment(feedback("good", overrides=first)).assessment_id
    seen += [store.get_assessment("tr-0", one) for one in (first, over)]
    store.delete_assessment("tr-0", over)
    store.delete_assessment("tr-0", over)
    store.delete_assessment("tr-0", "a-none")
    seen.append(store.get_assessment("tr-0", first))
    gone = code_of(lambda: store.get_assessment("tr-0", over))
    return [[show_assessment(one, ids) for one in seen], refused, gone]


def start_with_assessments(store: Any) -> List[Any]:
    info = store.start_trace(make_info(assessments=[feedback("x", trace_id=None), feedback("y", name="other")]))
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


# MLflow's SQL store could not do these before, or did them otherwise.
SINCE_317 = pytest.mark.skipif(VERSION < (3, 17), reason="MLflow changed since")
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


# -- search ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    stores = open_stores(tmp_path_factory.mktemp("filled"))
    for store in stores:
        for number in range(6):
            store.start_trace(make_info(number))
            trace_id = "tr-%d" % number
            if number:
                store.create_assessment(feedback("good" if number % 2 else "bad", trace_id))
                store.create_assessment(feedback(number / 2, trace_id, name="score"))
                store.create_assessment(Expectation(name="wanted", value=number > 3, trace_id=trace_id))
        over = store.create_assessment(feedback("bad", "tr-1", name="first"))
        store.create_assessment(feedback("good", "tr-1", name="first", overrides=over.assessment_id))
        run_id = store.create_run("0", "somebody", 0, [], "linked").info.run_id
        store.link_traces_to_run(["tr-1", "tr-4"], run_id)
        store.set_trace_tag("tr-0", "linked", run_id)
    return stores


def found_in(store: Any, text: str, order_by: Any = None) -> List[str]:
    return [info.trace_id for info in store.search_traces(["0"], text, order_by=order_by)[0]]


FILTERS = [
    "",
    "name = 'name 1'",
    "attributes.name LIKE 'name%'",
    "trace.status = 'ERROR'",
    "status != 'OK'",
    "timestamp_ms > 1700000000002",
    "timestamp <= 1700000000002",
    "execution_time_ms >= 98",
    "execution_time < 98",
    "end_time_ms > 1700000000099",
    "request_id = 'tr-2'",
    "request_id IN ('tr-1', 'tr-3')",
    "client_request_id = 'request-3'",
    "tags.parity = '1'",
    "tag.parity != '1'",
    "tags.none = '1'",
    "tags.linked IS NULL",
    "tags.linked IS NOT NULL",
    "run_id = 'r1'",
    "metadata.`a/b` = '1'",
    "request_metadata.`mlflow.sourceRun` = 'r0' AND tags.parity = '0' AND name = 'name 2'",
    "feedback.quality = 'good'",
    "feedback.quality != 'good'",
    "feedback.quality LIKE '%oo%'",
    "feedback.score = '1.5'",
    "feedback.score > 1",
    "feedback.score <= 1",
    "feedback.first = 'good'",
    "expectation.wanted = 'true'",
    "expectation.wanted IS NULL",
    "feedback.quality IS NOT NULL",
]


@SINCE_317
def test_overridden_assessment_is_not_found(filled: Stores) -> None:
    for store in filled:
        assert (found_in(store, "feedback.first = 'bad'"), found_in(store, "feedback.first = 'good'")) == ([], ["tr-1"])


def test_filters_of_traces_find_what_they_find_in_the_sql_store(filled: Stores) -> None:
    known = 0
    for text in FILTERS:
        # Earlier versions of MLflow do not know all of the language.
        theirs = code_of(lambda text=text: sorted(found_in(filled.sql, text)))  # type: ignore[misc]
        if not isinstance(theirs, str):
            known += 1
            assert sorted(found_in(filled.ours, text)) == theirs, text
    assert known > 24


@pytest.mark.parametrize(
    "order_by",
    [
        None,
        ["timestamp_ms ASC"],
        ["execution_time DESC"],
        ["execution_time ASC"],
        ["status DESC", "timestamp DESC"],
        ["name ASC"],
        ["tags.parity DESC", "request_id ASC"],
        ["run_id ASC", "timestamp_ms DESC"],
    ],
)
def test_orders_of_traces_are_those_of_the_sql_store(filled: Stores, order_by: Any) -> None:
    assert found_in(filled.ours, "", order_by) == found_in(filled.sql, "", order_by)


def test_linked_traces_are_found_by_their_run_as_in_the_sql_store(filled: Stores) -> None:
    for store in filled:
        run_id = store.get_trace_info("tr-0").tags["linked"]
        assert found_in(store, "run_id = '%s'" % run_id) == ["tr-4", "tr-1"]
    with pytest.raises(MlflowException, match="more than 100"):
        filled.ours.link_traces_to_run(["tr-%d" % number for number in range(101)], "r")


@SINCE_317
def test_traces_are_found_by_the_prompts_that_they_were_linked_to(filled: Stores) -> None:
    for store in filled:
        store.link_prompts_to_trace("tr-2", [SimpleNamespace(name="greet", version=number) for number in (1, 2)])
        store.link_prompts_to_trace("tr-3", [SimpleNamespace(name="greet", version=2)])
        assert found_in(store, "prompt = 'greet/1'") == ["tr-2"]
        assert found_in(store, "prompt = 'greet/2'") == ["tr-3", "tr-2"]
        gone = code_of(lambda: store.link_prompts_to_trace("tr-none", [SimpleNamespace(name="greet", version=1)]))  # noqa: B023
        assert gone == "RESOURCE_DOES_NOT_EXIST"


def test_unlinked_traces_are_not_found_by_their_run(stores: Stores) -> None:
    ours = stores.ours
    run_id = ours.create_run("0", "somebody", 0, [], "r").info.run_id
    # As a trace is stored by a thread of its own, its link may come first.
    ours.link_traces_to_run(["tr-0", "tr-1"], run_id)
    for number in range(2):
        ours.start_trace(make_info(number))
    assert found_in(ours, "run_id = '%s'" % run_id) == ["tr-1", "tr-0"]
    ours.unlink_traces_from_run(["tr-0", "tr-none"], run_id)
    assert found_in(ours, "run_id = '%s'" % run_id) == ["tr-1"]


def test_pages_of_traces_follow_one_another(filled: Stores) -> None:
    seen, token, pages = [], None, 0
    while pages == 0 or token:
        infos, token = filled.ours.search_traces(["0"], max_results=4, page_token=token)
        seen += [info.trace_id for info in infos]
        pages += 1
    assert (seen, pages) == (["tr-%d" % number for number in range(5, -1, -1)], 2)


def test_experiments_of_a_search_may_be_named_twice_or_be_unknown(filled: Stores) -> None:
    ours = filled.ours
    assert len(ours.search_traces(locations=["0", "0", "987654"])[0]) == 6
    assert ours.search_traces(["987654"]) == ([], None)


def test_batch_of_trace_infos_has_those_that_there_are_in_the_order_asked_for(filled: Stores) -> None:
    for store in filled:
        infos = store.batch_get_trace_infos(["tr-3", "tr-none", "tr-1"])
        assert [info.trace_id for info in infos] == ["tr-3", "tr-1"]


# -- our own rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace_id", ["a/b", "a%2Fb", "tr:1", "ü", "x" * 200])
def test_trace_has_any_id_that_a_client_draws(stores: Stores, trace_id: str) -> None:
    ours = stores.ours
    ours.start_trace(make_info(trace_id=trace_id))
    assert ours.get_trace_info(trace_id).trace_id == trace_id
    assert [info.trace_id for info in ours.search_traces(["0"])[0]] == [trace_id]
    assert ours.delete_traces("0", trace_ids=[trace_id]) == 1


def test_deleted_trace_is_gone_from_the_disk_with_its_spans_and_leaves_those_of_others(stores: Stores) -> None:
    ours = stores.ours
    for number in range(2):
        info = ours.start_trace(make_info(number))
        folder = info.tags["mlflow.artifactLocation"][len("file://") :]
        os.makedirs(folder)
        with open(os.path.join(folder, "traces.json"), "w") as file:
            file.write("{}")
    ours.delete_traces("0", trace_ids=["tr-0"])
    assert list_folder(os.path.join(inner_trees(ours.root)[1], ".trash", "0")) == []
    assert list_folder(os.path.join(ours.root, "0", "traces")) == ["tr-1"]


def test_records_cannot_be_forged_and_are_never_shown(stores: Stores) -> None:
    ours = stores.ours
    info = ours.start_trace(make_info(tags={"mini_mlflow:trace": "x"}))
    ours.create_assessment(feedback())
    assert list(info.tags) == list(ours.get_trace_info("tr-0").tags) == ["mlflow.artifactLocation"]
    assert code_of(lambda: ours.set_trace_tag("tr-0", "mini_mlflow:trace", "x")) == "INVALID_PARAMETER_VALUE"
    assert code_of(lambda: ours.delete_trace_tag("tr-0", "mini_mlflow:trace")) == "RESOURCE_DOES_NOT_EXIST"


def test_assessment_of_a_trace_that_does_not_exist_is_refused(stores: Stores) -> None:
    assert code_of(lambda: stores.ours.create_assessment(feedback(trace_id="tr-none"))) == "RESOURCE_DOES_NOT_EXIST"


def test_assessment_of_a_known_id_is_not_made_twice(stores: Stores) -> None:
    ours = stores.ours
    ours.start_trace(make_info())
    made = ours.create_assessment(feedback())
    again = feedback("other")
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
        store.create_assessment(feedback(key))
        store.update_assessment("tr-0", shared, metadata={key: "x"})


def prepare_sharing(root: str) -> Tuple[Any, str]:
    store = open_store(root)
    store.start_trace(make_info(tags={}))
    return store, store.create_assessment(feedback("shared")).assessment_id


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
        store.start_trace(make_info(trace_id="tr-%d-%d" % (writer, number)))
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
    open_store(root).start_trace(make_info(tags={"t%d" % writer: "x"}, trace_metadata={"m%d" % writer: "x"}))


def test_processes_that_store_one_trace_at_once_make_one_with_all_that_they_said(tmp_path: os.PathLike[str]) -> None:
    root = os.path.join(str(tmp_path), "mlruns")
    with Children("fork") as children:
        for writer in range(WRITERS):
            children.start(start_one, root, writer)
    (info,), _ = open_store(root).search_traces(["0"])
    assert set(info.tags) == {"t%d" % writer for writer in range(WRITERS)} | {"mlflow.artifactLocation"}
    assert set(info.trace_metadata) == {"m%d" % writer for writer in range(WRITERS)}


def start_new(store: Any, shared: str) -> None:
    store.start_trace(make_info(1, assessments=[feedback("x", "tr-1")]))


def start_known(store: Any, shared: str) -> None:
    store.start_trace(make_info(trace_metadata={"new": "1"}, tags={"new": "1"}))


def override(store: Any, shared: str) -> None:
    store.create_assessment(feedback("over", overrides=shared))


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


@pytest.fixture
def stride(request: pytest.FixtureRequest) -> int:
    """Of the steps at which a process may be killed, every so many are tried; all of them with --mlflow-long."""
    return 1 if request.config.getoption("--mlflow-long") else 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "change", [start_new, start_known, override, delete_tag, remove], ids=lambda change: change.__name__
)
def test_killed_at_any_step_a_change_of_traces_is_whole_or_not_there(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    disk = install(monkeypatch)
    prepared, whole = (os.path.join(folder, name) for name in ("prepared", "whole"))
    store, shared = prepare_sharing(prepared)
    store.set_trace_tag("tr-0", "old", "x")
    before = see(shutil.copytree(prepared, whole))
    change(open_store(whole), shared)
    after = see(whole)
    assert before != after
    seen = []
    for at in range(1, MOST_STEPS, stride):
        root = shutil.copytree(prepared, os.path.join(folder, str(at)))

        def act_and_die(root: str = root, at: int = at) -> None:
            with disk.armed(kill, at):
                change(open_store(root), shared)

        status = in_child(act_and_die)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        shown = see(root)
        assert shown in ((before, after) if status else (after,)), "killed at step %d" % at
        seen.append(shown)
        # Whoever comes next is not held up, nor is the one who asks again.
        change_again(open_store(root), change, shared)
        assert see(root) == after, "killed at step %d" % at
        if status == 0:
            break
    assert before in seen
    assert status == 0


def change_again(store: Any, change: Callable[[Any, str], None], shared: str) -> None:
    if change is override and len(store.get_trace_info("tr-0").assessments) == 2:
        return
    if change is delete_tag and "old" not in store.get_trace_info("tr-0").tags:
        return
    if change is start_new and store.batch_get_trace_infos(["tr-1"]):
        return
    change(store, shared)


@pytest.mark.parametrize(
    "change", [start_new, start_known, override, delete_tag, remove], ids=lambda change: change.__name__
)
def test_full_disk_at_any_step_of_a_change_of_traces_is_told_or_does_not_matter(
    change: Callable[[Any, str], None], folder: str, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    disk = install(monkeypatch)
    prepared, whole = (os.path.join(folder, name) for name in ("prepared", "whole"))
    store, shared = prepare_sharing(prepared)
    store.set_trace_tag("tr-0", "old", "x")
    before = see(shutil.copytree(prepared, whole))
    change(open_store(whole), shared)
    after = see(whole)
    refused = 0
    for at in range(1, MOST_STEPS, stride):
        root = shutil.copytree(prepared, os.path.join(folder, str(at)))
        store = open_store(root)
        with disk.armed(full, at, lasting=True):
            code = code_of(lambda: change(store, shared))  # noqa: B023
        assert code in (None, "INTERNAL_ERROR")
        shown = see(root)
        # Deleted is deleted, also where what is left of it cannot be removed.
        assert shown == (after if code is None else before) or (change is remove and shown == after)
        refused += code is not None
        if disk.struck is None:
            break
        change_again(open_store(root), change, shared)
        assert see(root) == after, "full at step %d" % at
    assert refused
