"""Records of logged models, traces and assessments: read back as they were written; what is none is told by None."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

import pytest

from mini_mlflow.formats.mlflow_records import (
    AssessmentRecord,
    ModelMetric,
    ModelRecord,
    TraceRecord,
    dump_assessment,
    dump_metric,
    dump_model,
    dump_trace,
    is_record,
    parse_assessment,
    parse_metric,
    parse_model,
    parse_trace,
)

MODEL = ModelRecord("file:///a", 1, 2, 1, None, "net", "r")
TRACE = TraceRecord("tr-1", 1, "OK", 5, "in", None, "c")
ASSESSMENT = AssessmentRecord("a-1", "feedback", "quality", {"x": [1]}, "HUMAN", 1, 2, "ann", error={"error_code": "E"})
METRIC = ModelMetric("val/acc", 0.5, 1, 2, "r", "d", None)

Dump = Callable[[Any], Any]
Parse = Callable[[Any], Optional[Any]]
KINDS = [
    (MODEL, dump_model, parse_model, "mini_mlflow:model"),
    (TRACE, dump_trace, parse_trace, "mini_mlflow:trace"),
    (ASSESSMENT, dump_assessment, parse_assessment, "mini_mlflow:assessment/a-1"),
]


@pytest.mark.parametrize(("record", "dump", "parse", "key"), KINDS)
def test_record_comes_back_from_its_tag_also_as_text(record: Any, dump: Dump, parse: Parse, key: str) -> None:
    assert dump(record)[0] == key
    assert is_record(key)
    assert parse(dump(record)[1]) == parse(json.dumps(dump(record)[1])) == record


@pytest.mark.parametrize(("record", "dump", "parse", "key"), KINDS)
def test_fields_of_a_later_version_are_passed_over(record: Any, dump: Dump, parse: Parse, key: str) -> None:
    assert parse({**dump(record)[1], "from": "the future"}) == record


@pytest.mark.parametrize(("record", "dump", "parse", "key"), KINDS)
def test_field_that_is_missing_or_of_another_type_makes_no_record(
    record: Any, dump: Dump, parse: Parse, key: str
) -> None:
    whole = dump(record)[1]
    required = [name for name in record._fields if name not in type(record)._field_defaults]
    for name in required:
        assert parse({field: value for field, value in whole.items() if field != name}) is None
        if name != "value":
            assert parse({**whole, name: [1]}) is None
    for value in (None, 1, [], "", "{", "[]"):
        assert parse(value) is None


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_metric_that_is_no_json_number_comes_back(number: float) -> None:
    key, value = dump_metric(METRIC._replace(value=number))
    assert dump_metric(METRIC._replace(value=number)) == (key, value)
    found = parse_metric(json.loads(json.dumps(value, allow_nan=False)))
    assert found is not None
    assert repr(found.value) == repr(number)


def test_each_point_of_a_metric_has_a_tag_of_its_own() -> None:
    others = [METRIC._replace(step=3), METRIC._replace(run_id=None), METRIC._replace(dataset_digest="1")]
    assert len({dump_metric(one)[0] for one in [METRIC, *others, METRIC]}) == 4
