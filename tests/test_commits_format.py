"""A commit's file: strict JSON that holds a run's changes in their order, and refuses what it does not know."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_mlflow import DamagedFileError
from mini_mlflow.formats.commits import Change, MetricChange, ValueChange, dump_commit, parse_commit
from mini_mlflow.formats.times import LIMIT_MS
from mini_mlflow.formats.values import decode_value, encode_value
from tree_check import read_strict_json

pure = settings(deadline=None, derandomize=True, max_examples=50)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METRIC_CHANGES = st.builds(
    MetricChange, st.text(), st.floats(), st.none() | st.integers(), st.integers(min_value=0, max_value=LIMIT_MS)
)
VALUE_CHANGES = st.builds(
    ValueChange,
    st.sampled_from(("params", "tags")),
    st.text(),
    JSON_VALUES.map(lambda value: encode_value(value, "a value")),
    st.just("2026-11-23T07:15:10.123456Z"),
)


def plain(change: Change) -> Any:
    """The change as what a caller passed; repr tells NaN, -0.0 and 1 from 1.0."""
    if isinstance(change, MetricChange):
        return "metric", change.key, repr(change.value), change.step, change.timestamp
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return change.kind, change.key, repr(decode_value(json.loads(change.encoded.json), nonfinite)), change.timestamp


@pure
@given(st.lists(METRIC_CHANGES | VALUE_CHANGES, min_size=1, max_size=5), st.integers(min_value=1, max_value=10**12))
def test_changes_come_back_in_order(changes: Any, number: int) -> None:
    """Any changes, with any text as keys and any JSON values, are read as they were written."""
    data = dump_commit(number, [change.dump() for change in changes])
    assert [plain(change) for change in parse_commit(data, "x")] == [plain(change) for change in changes]


def test_commit_is_strict_json_with_a_change_a_line(tmp_path: Any) -> None:
    """A person and a strict parser can read it: NaN is a string, each change has a line of its own."""
    changes = [MetricChange("loss", math.nan, None, 5), MetricChange("loss", -math.inf, 3, 6)]
    path = tmp_path / "17.json"
    path.write_bytes(dump_commit(17, [change.dump() for change in changes]))
    assert read_strict_json(str(path)) == {
        "commit": 17,
        "changes": [["metric", "loss", "NaN", None, 5], ["metric", "loss", "-Infinity", 3, 6]],
    }
    assert path.read_text().count("\n") == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        b'{"commit": 1, "changes": [',
        b"[]",
        b'{"commit": 1}',
        b'{"commit": 1, "changes": {}}',
        b'{"commit": 1, "changes": [["metric", "a", 1.0, null, 5]',
        b'{"commit": 1, "changes": ["metric"]}',
        b'{"commit": 1, "changes": [["metrics", "a", 1.0, null, 5]]}',
        b'{"commit": 1, "changes": [["metric", "a", "one", null, 5]]}',
        b'{"commit": 1, "changes": [["metric", "a", true, null, 5]]}',
        b'{"commit": 1, "changes": [["metric", "a", 1.0, 0.5, 5]]}',
        b'{"commit": 1, "changes": [["metric", "a", 1.0, null, 5e3]]}',
        b'{"commit": 1, "changes": [["metric", 7, 1.0, null, 5]]}',
        b'{"commit": 1, "changes": [["metric", "a", 1%s, null, 5]]}' % (b"0" * 400),
        b'{"commit": 1, "changes": [["params", "a", 1]]}',
        b'{"commit": 1, "changes": [["params", 7, 1, "2026-11-23T07:15:10.123456Z"]]}',
        b'{"commit": 1, "changes": [["remove", "a", 1, "2026-11-23T07:15:10.123456Z"]]}',
        b"[" * 100_000,
        b'{"commit": 1, "changes": [["metric", "\xff", 1.0, null, 5]]}',
    ],
)
def test_what_is_no_commit_is_damage(data: bytes) -> None:
    """Torn, empty, foreign or of the wrong types: one error that names the file."""
    with pytest.raises(DamagedFileError, match=r"log/17\.json"):
        parse_commit(data, "log/17.json")
