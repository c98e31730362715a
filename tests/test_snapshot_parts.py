"""The parts of a snapshot: each parses alone as it does with the rest; what is not laid out so is left to others."""

from __future__ import annotations

import json
import math
from typing import Any, Dict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mini_mlflow import DamagedFileError
from mini_mlflow.formats.documents import dump_snapshot, parse_snapshot
from mini_mlflow.formats.history import MetricDocument
from mini_mlflow.formats.snapshot_parts import METADATA, METRICS, PARAMS, TAGS, find_summary, parse_part, split_snapshot
from mini_mlflow.formats.values import encode_value

pure = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
keys = st.text(alphabet='ab"\\{}: ,\u2028\n', min_size=1, max_size=12) | st.sampled_from(['"a": {"value": 1', "loss"])
parts = st.dictionaries(keys, values, max_size=4)
metrics = st.dictionaries(keys, st.lists(st.floats(), min_size=1, max_size=3), max_size=4)


def make(metadata: Any, params: Any, tags: Any, found: Any) -> bytes:
    encoded: Dict[str, Any] = {
        kind: {key: encode_value(value, "x") for key, value in part.items()}
        for kind, part in (("params", params), ("tags", tags))
    }
    documents = {
        # Steps that fall: the latest point is another than the last.
        key: MetricDocument(key).appended([(value, -n, 5) for n, value in enumerate(points)], 1)
        for key, points in found.items()
    }
    return dump_snapshot(metadata, encoded, documents)


@pure
@given(st.dictionaries(keys, st.text(max_size=6), max_size=3), parts, parts, metrics)
def test_each_part_alone_is_what_it_is_with_the_rest(metadata: Any, params: Any, tags: Any, found: Any) -> None:
    """Whatever stands in keys and values: quotes, braces, line breaks, and texts that look like parts themselves."""
    data = make(metadata, params, tags, found)
    whole = parse_snapshot(data, "x")
    lines = split_snapshot(data)
    assert lines is not None
    for name in (METADATA, PARAMS, TAGS, METRICS):
        assert repr(parse_part(lines, name, "x")) == repr(getattr(whole, name))
    for key in {*found, "loss", "a"}:
        summary = find_summary(lines, key)
        assert repr(summary) == repr(whole.metrics.get(key)) or (summary is None and '"' in key)


WHOLE = make({"name": "x"}, {"lr": 0.1}, {"stage": math.inf}, {"loss": [1.0, 2.0]})


def test_summary_that_names_a_latest_point_is_found_alone() -> None:
    """Though it holds brackets of its own, and also beside a metric that is called like the field."""
    lines = split_snapshot(make({}, {}, {}, {"loss": [1.0, 2.0], "latest": [3.0, 4.0]}))
    assert lines is not None
    for key, latest in (("loss", [0, 1.0, 5]), ("latest", [0, 3.0, 5])):
        summary = find_summary(lines, key)
        assert summary is not None
        assert summary["latest"] == latest


def test_anything_but_our_layout_is_left_to_a_parser_of_the_whole() -> None:
    """Torn at any byte, indented, of another format, with a line more or fewer."""
    assert split_snapshot(WHOLE) is not None
    assert [length for length in range(len(WHOLE)) if split_snapshot(WHOLE[:length]) is not None] == []
    lines = WHOLE.split(b"\n")
    for other in (
        json.dumps(json.loads(WHOLE.decode("utf-8")), indent=1).encode("utf-8"),
        WHOLE.replace(b'"format": 1', b'"format": 2'),
        WHOLE + b"\n",
        b"\n" + WHOLE,
        *(b"\n".join(lines[:n] + lines[n + 1 :]) for n in range(len(lines))),
        *(b"\n".join([*lines[:n], lines[n].replace(b'"', b"'", 1), *lines[n + 1 :]]) for n in range(6)),
        b"",
    ):
        assert split_snapshot(other) is None


@pytest.mark.parametrize("name", [METADATA, PARAMS, TAGS, METRICS])
def test_damaged_part_is_told_and_the_others_are_read(name: str) -> None:
    for damage in (b"\xff", b"]", b'"a": 1'):
        lines = split_snapshot(WHOLE)
        assert lines is not None
        number = [METADATA, PARAMS, TAGS, METRICS].index(name) + 1
        lines[number] = lines[number][: len(name) + 5] + damage + b"},"
        with pytest.raises(DamagedFileError, match=r"^x: "):
            # A metric is a summary; elsewhere any value will do.
            if parse_part(lines, name, "x") == {"a": 1}:
                raise DamagedFileError("x", "but reads")
        for other in {METADATA, PARAMS, TAGS, METRICS} - {name}:
            assert parse_part(lines, other, "x")


def test_summary_in_another_spelling_is_left_to_a_parser_of_all() -> None:
    """Without the space that we put there, say; the metric is there all the same."""
    lines = split_snapshot(make({"name": "x"}, {}, {}, {"acc": [1.0], "loss": [2.0]}).replace(b', "loss"', b',"loss"'))
    assert lines is not None
    assert find_summary(lines, "loss") is None
    assert parse_part(lines, METRICS, "x")["loss"]["value"] == 2.0


def test_summary_that_is_damaged_is_not_found() -> None:
    for damage in (b'"step": x', b'"step": 1.5', b'"step": {'):
        lines = split_snapshot(WHOLE.replace(b'"step": -1', damage))
        assert lines is not None
        assert find_summary(lines, "loss") is None
        with pytest.raises(DamagedFileError):
            parse_part(lines, METRICS, "x")
