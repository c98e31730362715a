"""Which traces MLflow's language finds through the plugin, and in what order: those that its SQL store finds."""

from __future__ import annotations

import base64
import json
import os
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

from mlflow.entities import Expectation, TraceData
from mlflow.entities.span import Span
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mlflow_pairs import SINCE_317, Stores, code_of, make_feedback, make_trace, open_stores, told_by
from mlflow_stores import sql_words

# What MLflow and its dependencies warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def stores(tmp_path: os.PathLike[str]) -> Stores:
    return open_stores(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    stores = open_stores(tmp_path_factory.mktemp("filled"))
    for store in stores:
        for number in range(6):
            metadata = {"mlflow.trace.session": "talk %d" % (number // 2), "mlflow.sourceRun": "r%d" % (number % 2)}
            store.start_trace(make_trace(number, trace_metadata={**metadata, "a/b": "1"} if number else {}))
            trace_id = "tr-%d" % number
            if number:
                store.create_assessment(make_feedback("good" if number % 2 else "bad", trace_id))
                store.create_assessment(make_feedback(number / 2, trace_id, name="score"))
                store.create_assessment(Expectation(name="wanted", value=number > 3, trace_id=trace_id))
        over = store.create_assessment(make_feedback("bad", "tr-1", name="first"))
        store.create_assessment(make_feedback("good", "tr-1", name="first", overrides=over.assessment_id))
        run_id = store.create_run("0", "somebody", 0, [], "linked").info.run_id
        store.link_traces_to_run(["tr-1", "tr-4"], run_id)
        store.set_trace_tag("tr-0", "linked", run_id)
        # Of the session that its trace is in, whatever it is said to be; and one of a trace that is in none.
        for trace_id in ("tr-0", "tr-2"):
            told = make_feedback("polite", trace_id, name="tone", metadata={"mlflow.trace.session": "talk"})
            store.create_assessment(told)
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
    "metadata.`a/b` IS NULL",
    "metadata.`mlflow.trace.session` IS NOT NULL",
    "name RLIKE '[1-3]$'",
    "tags.parity RLIKE '^1'",
    "metadata.`mlflow.trace.session` RLIKE 'talk (0|2)'",
    "client_request_id RLIKE 'request-[45]'",
    "status RLIKE 'RR'",
    "feedback.quality RLIKE 'g.*d'",
    "issue.id = 'none'",
    "prompt = 'none/1'",
]


@SINCE_317
def test_overridden_assessment_is_not_found(filled: Stores) -> None:
    for store in filled:
        assert (found_in(store, "feedback.first = 'bad'"), found_in(store, "feedback.first = 'good'")) == ([], ["tr-1"])


@SINCE_317
def test_assessment_of_a_session_is_one_of_all_its_traces_as_in_the_sql_store(filled: Stores) -> None:
    for text in (
        "feedback.tone = 'polite'",
        "feedback.tone != 'rude'",
        "feedback.tone IS NULL",
        "feedback.tone IS NOT NULL AND feedback.quality = 'bad'",
    ):
        assert found_in(filled.ours, text) == found_in(filled.sql, text), text
    assert found_in(filled.ours, "feedback.tone = 'polite'") == ["tr-3", "tr-2", "tr-0"]


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
        ["metadata.`mlflow.trace.session` DESC", "request_id DESC"],
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
        ours.start_trace(make_trace(number))
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


REFUSED = [
    "status < 'OK'",
    "name IN ('a', 'b')",
    "tags.a >= '1'",
    "timestamp LIKE '1'",
    "feedback.a IN ('1')",
    "issue.id != '1'",
    "issue.none = '1'",
    "prompt LIKE '%a%'",
    "prompt RLIKE 'a'",
    "prompt != 'a/1'",
    "prompt = 'a'",
    "prompt = 'a/1/2'",
    "span.parent = 'a'",
    "span.content = 'a'",
    "trace.text = 'a'",
    "span.name > 'a'",
    "none.a = '1'",
    "none = '1'",
]


@SINCE_317
def test_what_is_no_filter_is_told_so_where_there_is_no_trace_too(stores: Stores) -> None:
    for text in REFUSED:
        ours, sql = (told_by(lambda store=store: store.search_traces(["0"], text)) for store in stores)  # type: ignore[misc]  # noqa: B023
        # MLflow lists what it knows in no order.
        assert (ours[0], ours[1].split("{")[0]) == (sql[0], sql[1].split("{")[0]), text


def test_size_of_a_page_is_refused_in_the_words_of_the_sql_store(stores: Stores) -> None:
    for size in (0, -1, 50_001):
        ours, sql = (told_by(lambda store=store: store.search_traces(["0"], max_results=size)) for store in stores)  # type: ignore[misc]  # noqa: B023
        assert (ours[0], sql_words(ours[1])) == sql


def test_what_is_no_regular_expression_is_told_so(filled: Stores) -> None:
    with pytest.raises(MlflowException, match="Invalid regular expression '\\['"):
        filled.ours.search_traces(["0"], "name RLIKE '['")


def test_experiments_are_ordered_by_their_number(stores: Stores) -> None:
    for store in stores:
        numbers = [store.create_experiment("e%d" % number) for number in range(11)]
        for number, experiment_id in enumerate(numbers):
            store.start_trace(make_trace(number, experiment_id))
    ours, sql = (
        [info.experiment_id for info in store.search_traces(numbers, order_by=["experiment_id DESC"])[0]]
        for store in stores
    )
    assert ours == sql == numbers[::-1]


def test_field_is_not_ordered_by_twice(filled: Stores) -> None:
    for store in filled:
        with pytest.raises(MlflowException, match="duplicate fields"):
            store.search_traces(["0"], order_by=["name ASC", "timestamp DESC", "name DESC"])


# -- spans ----------------------------------------------------------------------------------------------------------


def make_span(trace_id: str, number: int, name: str, parent: int = 0, status: str = "OK", **attributes: Any) -> Span:
    """A span as a client stores it; ``parent`` is 0 for the root."""
    known = {"mlflow.traceRequestId": trace_id, "mlflow.spanType": attributes.pop("kind", "TOOL"), **attributes}
    return Span.from_dict(
        {
            "trace_id": to_id(1, 16),
            "span_id": to_id(number),
            "parent_span_id": to_id(parent) if parent else None,
            "name": name,
            "start_time_unix_nano": 1_000_000_000 - number,
            "end_time_unix_nano": 2_000_000_000,
            "events": [],
            "status": {"code": "STATUS_CODE_" + status, "message": ""},
            "attributes": {key: json.dumps(value) for key, value in known.items()},
        }
    )


def to_id(number: int, length: int = 8) -> str:
    return base64.b64encode(number.to_bytes(length, "big")).decode()


def put_spans(store: Any, spans: List[Span]) -> None:
    """What a client does where a store takes spans, and where it does not."""
    try:
        store.log_spans("0", spans)
    except NotImplementedError:
        location = store.get_trace_info(spans[0].trace_id).tags["mlflow.artifactLocation"]
        get_artifact_repository(location).upload_trace_data(json.dumps(TraceData(spans=spans).to_dict()))


SPANS = {
    "tr-0": [{"name": "ask", "kind": "LLM", "model": "large-2"}, {"name": "look up", "status": "ERROR", "limit": 5}],
    "tr-1": [
        {"name": "ask", "kind": "LLM", "status": "ERROR", "model": "small-1"},
        {"name": "rank", "nested": {"k": 3}},
    ],
    "tr-2": [{"name": "Ask again", "status": "UNSET", "said": "größer als 90% des Übrigen"}],
}
SPAN_FILTERS = [
    "span.name = 'ask'",
    "span.name != 'ask'",
    "span.name LIKE '%k%'",
    "span.name ILIKE 'ask%'",
    "span.name RLIKE '^(rank|look)'",
    "span.name IN ('rank', 'look up')",
    "span.name NOT IN ('ask', 'rank')",
    "span.type = 'LLM'",
    "span.status = 'UNSET'",
    "span.name = 'ask' AND span.status = 'OK'",
    "span.status = 'ERROR' AND span.type = 'TOOL'",
    "span.name = 'ask' AND status = 'OK' AND tags.parity = '1'",
    "span.attributes.model LIKE '%large%'",
    "span.attributes.model RLIKE '^small-[0-9]$'",
    "span.attributes.limit LIKE '%5%'",
    "span.attributes.top LIKE '%3%'",
    "span.attributes.none LIKE '%'",
    "trace.text LIKE '%größer als 90%'",
    "trace.text ILIKE '%LOOK UP%'",
    "span.content LIKE '%\"model\"%'",
    "span.content LIKE '%nowhere%'",
]


@SINCE_317
def test_filters_of_spans_find_what_they_find_in_the_sql_store(stores: Stores) -> None:
    for store in stores:
        for number, (trace_id, spans) in enumerate(SPANS.items()):
            store.start_trace(make_trace(number))
            told: List[Dict[str, Any]] = list(spans)
            put_spans(store, [make_span(trace_id, 1 + n, parent=n, **one) for n, one in enumerate(told)])
        # One whose spans are still on their way.
        store.start_trace(make_trace(3))
    for text in SPAN_FILTERS:
        # MLflow may date a trace back to its first span.
        assert sorted(found_in(stores.ours, text)) == sorted(found_in(stores.sql, text)), text


DAMAGED = [
    b"",
    b"{",
    b"\xff",
    b"[1]",
    b'{"spans": 1}',
    b'{"spans": [1, {}]}',
    b'{"spans": [{"name": 1, "status": 2, "attributes": 3}]}',
]


def test_trace_whose_spans_are_damaged_is_found_by_all_but_them(stores: Stores) -> None:
    ours = stores.ours
    for number, content in enumerate(DAMAGED):
        put_bytes(ours, make_trace(number), content)
    ours.start_trace(make_trace(len(DAMAGED)))
    ours.delete_trace_tag("tr-%d" % len(DAMAGED), "mlflow.artifactLocation")
    put_spans(ours, [make_span(ours.start_trace(make_trace(9)).trace_id, 1, "whole")])
    for text in ("trace.text LIKE '%whole%'", "span.name = 'whole'", "span.type = 'TOOL'", "span.status = 'OK'"):
        assert found_in(ours, text) == ["tr-9"]
    assert len(found_in(ours, "name LIKE '%'")) == len(DAMAGED) + 2
    assert [trace.info.trace_id for trace in ours.batch_get_traces(["tr-0", "tr-1", "tr-2", "tr-7", "tr-9"])] == [
        "tr-9"
    ]
    for one in ("tr-0", "tr-1", "tr-2", "tr-7"):
        assert ours.get_trace(one, allow_partial=True).data.spans == []
        with pytest.raises(MlflowException):
            ours.get_trace(one)


def put_bytes(store: Any, info: Any, content: bytes) -> None:
    folder = store.start_trace(info).tags["mlflow.artifactLocation"][len("file://") :]
    os.makedirs(folder)
    with open(os.path.join(folder, "traces.json"), "wb") as file:
        file.write(content)


def test_page_of_traces_that_have_a_span_is_followed_by_the_next(stores: Stores) -> None:
    ours = stores.ours
    for number in range(5):
        put_spans(ours, [make_span(ours.start_trace(make_trace(number)).trace_id, 1, "s%d" % (number % 2))])
    (first,), token = ours.search_traces(["0"], "span.name = 's1'", max_results=1)
    (second,), end = ours.search_traces(["0"], "span.name = 's1'", max_results=1, page_token=token)
    assert (first.trace_id, second.trace_id, end) == ("tr-3", "tr-1", None)


@SINCE_317
def test_trace_is_got_with_all_its_spans_the_root_first_or_not_at_all(stores: Stores) -> None:
    for store in stores:
        sizes = {"mlflow.trace.sizeStats": json.dumps({"num_spans": 3})}
        store.start_trace(make_trace(trace_metadata=sizes))
        store.start_trace(make_trace(1, trace_metadata={"mlflow.trace.sizeStats": "[none]"}))
        put_spans(store, [make_span("tr-0", 2, "second", 1), make_span("tr-0", 1, "first")])
        assert store.batch_get_traces(["tr-0"]) == []
        partial = store.get_trace("tr-0", allow_partial=True)
        assert [span.name for span in partial.data.spans] == ["first", "second"]
        three = [make_span("tr-0", 2, "second", 1), make_span("tr-0", 3, "third", 1), make_span("tr-0", 1, "first")]
        put_spans(store, three)
        (whole,) = store.batch_get_traces(["tr-0"])
        assert [span.name for span in whole.data.spans] == ["first", "third", "second"]
        assert store.get_trace("tr-0").data.to_dict() == whole.data.to_dict()


def test_trace_without_all_its_spans_is_refused_unless_some_are_enough(stores: Stores) -> None:
    ours = stores.ours
    ours.start_trace(make_trace(trace_metadata={"mlflow.trace.sizeStats": json.dumps({"num_spans": 2})}))
    put_spans(ours, [make_span("tr-0", 1, "only")])
    with pytest.raises(MlflowException, match="Trace with ID tr-0 is not fully exported yet"):
        ours.get_trace("tr-0")


# -- many traces at once --------------------------------------------------------------------------------------------


@SINCE_317
def test_sessions_that_are_over_are_those_of_the_sql_store(stores: Stores) -> None:
    for store in stores:
        for number, session in enumerate(["b", "a", "b", "a", "c", "c", "d", "d", None]):
            metadata = {} if session is None else {"mlflow.trace.session": session}
            # The last trace of a and of b came at one moment.
            store.start_trace(make_trace(number, request_time=number // 2, trace_metadata=metadata))
    asked: List[Dict[str, Any]] = [
        {},
        {"min_last_trace_timestamp_ms": 2},
        {"max_last_trace_timestamp_ms": 2},
        {"max_results": 2},
        {"filter_string": "tags.parity = '0'"},
        {"filter_string": "name = 'name 3'"},
        {"experiment_id": "987654"},
    ]
    window = {"experiment_id": "0", "min_last_trace_timestamp_ms": 0, "max_last_trace_timestamp_ms": 9}
    for one in asked:
        ours, sql = (store.find_completed_sessions(**{**window, **one}) for store in stores)
        assert ours == sql, one
    assert [one.session_id for one in stores.ours.find_completed_sessions(**window)] == ["a", "b", "c", "d"]


@SINCE_317
def test_filters_go_together_as_far_as_in_the_sql_store(filled: Stores) -> None:
    for asked in (
        ("tags.parity = '1'", "run_id = 'r1'"),
        ("tags.parity = '1'", "status = 'ERROR'"),
        ("tags.parity = '1'", "status = 'ERROR'", "timestamp_ms > 1700000000001"),
        ("tags.none = '1'", "status = 'ERROR'"),
    ):
        ours, sql = (store.calculate_trace_filter_correlation(["0"], *asked) for store in filled)
        # As text: what is not defined is not equal to itself.
        assert repr(ours) == repr(sql)
    assert filled.ours.calculate_trace_filter_correlation([], "name = 'a'", "name = 'b'").total_count == 0
