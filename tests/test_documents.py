"""meta.yaml, the documents of params and tags, and the snapshot: what every reader of the format makes of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mini_mlflow import DamagedFileError
from mini_mlflow.formats.documents import (
    dump_meta,
    dump_snapshot,
    dump_value_document,
    parse_meta,
    parse_snapshot,
    parse_snapshot_metadata,
    parse_value_document,
)
from mini_mlflow.formats.history import MetricDocument
from mini_mlflow.formats.values import encode_value
from tree_check import read_strict_json

pure = settings(deadline=None, derandomize=True, max_examples=40)
TEXTS = st.text() | st.sampled_from(
    ["", " ", "null", "~", "yes", "No", "1.0", "1e3", "0x1f", "1_000", "12:30:45", "2026-01-01", ".nan", "=", "<<",
     "- a", "a: b", "# no", "'", '"', "\\", "\\n", "{", "[", "!!str x", "&a", "*a", "%x", "@x", "`x`", "|", ">", "?",
     "a\nb", "\r\n", "\t", "\0", "\x1b", "\x7f", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffe",
     "\U0001f600", "größe"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


# -- meta.yaml -----------------------------------------------------------------------------------------------------


@pure
@given(st.dictionaries(TEXTS, SCALARS, min_size=1, max_size=5))
@example({"name": 1e-05, "big": 1e22, "small": -5e-324, "minus": -0.0})
def test_meta_reads_the_same_here_and_in_yaml(meta: Dict[str, Any]) -> None:
    """Whatever the text, our reader and PyYAML's safe one find what was written, in order."""
    data = dump_meta(meta)
    assert repr(parse_meta(data, "x")) == repr(meta)
    assert repr(yaml.safe_load(data.decode("utf-8"))) == repr(meta)


@pure
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
@example({"nested": {"list": [1e-05, 1e22, -5e-324]}})
def test_nested_values_of_other_writers_are_kept(meta: Dict[str, Any]) -> None:
    """What another writer has added, nested or not, is the same after we have read and written it."""
    foreign = yaml.safe_dump(meta, allow_unicode=True, sort_keys=False).encode("utf-8")
    read = parse_meta(foreign, "x")
    assert repr(parse_meta(dump_meta(read), "x")) == repr(read)


def test_meta_of_0_1_0_is_read() -> None:
    """Quoted where YAML would take text for something else, null for what is missing."""
    text = "name: null\nversion: '1.0'\nstatus: RUNNING\nstart_time: '2025-11-23T07:15:10.123456Z'\nexperiment_id: 0\n"
    assert parse_meta(text.encode(), "x") == {
        "name": None,
        "version": "1.0",
        "status": "RUNNING",
        "start_time": "2025-11-23T07:15:10.123456Z",
        "experiment_id": 0,
    }


def test_dates_that_yaml_makes_of_bare_text_are_text_again() -> None:
    """A time that an editor has left without quotes is ISO 8601 in UTC; a date is a date's text."""
    text = "start_time: 2025-11-23T07:15:10.5Z\nend_time: 2025-11-23 07:15:10\nname: 2025-11-23\n"
    text += "here: 2025-11-23T09:15:10+02:00\n"
    assert parse_meta(text.encode(), "x") == {
        "start_time": "2025-11-23T07:15:10.500000Z",
        "end_time": "2025-11-23T07:15:10Z",
        "name": "2025-11-23",
        "here": "2025-11-23T07:15:10Z",
    }


def test_edited_files_are_read() -> None:
    """Comments, other quotes, Windows line ends and a missing last line end do not matter."""
    assert parse_meta(b"# mine\r\nname: 'a'\r\nstatus:   RUNNING  # still", "x") == {"name": "a", "status": "RUNNING"}


BOMB = "a: &a {x: 1}\n" + "".join(
    "%s: &%s {<<: [%s]}\n" % (name, name, ", ".join(["*" + before] * 9)) for before, name in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 50,
        "name",
        "- name\n",
        "name: [1\n",
        "name: {a: 1\n",
        "name: !!python/object/apply:os.system ['exit 1']\n",
        "name: !!python/name:os.system\n",
        "name: !unknown 1\n",
        "? [1, 2]\n: 1\n",
        "? {a: 1}\n: 1\n",
        "name: *nobody\n",
        "name: &a [*a]\n",
        "name: 0o9\nwhen: 2025-99-99\n",
        "name: 'a\n",
        "name: \x01\n",
        "a: " * 3000,
        "- " * 50_000,
        "name: " + "[" * 5_000 + "]" * 5_000,
        BOMB,
        "x" * 1_000_001,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_meta_is_damage(text: str) -> None:
    """Torn, foreign, hostile or too deep: one error that names the file, at once, and no code of the file's is run."""
    with pytest.raises(DamagedFileError, match=r"r1/meta\.yaml"):
        parse_meta(text.encode("utf-8"), "r1/meta.yaml")


def test_meta_that_is_not_text_is_damage() -> None:
    """Bytes that are not UTF-8 are no YAML."""
    with pytest.raises(DamagedFileError, match=r"r1/meta\.yaml"):
        parse_meta(b"name: \xff\xfe\n", "r1/meta.yaml")


# -- params and tags -----------------------------------------------------------------------------------------------

ANY_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


@pure
@given(ANY_VALUES, TEXTS)
def test_value_document_comes_back(value: Any, key: str) -> None:
    """Any JSON value and any non-finite float in it are read equal, of the same type, and are strict JSON on disk."""
    data = dump_value_document(key, encode_value(value, "a value"), "2026-11-23T07:15:10.123456Z", 17)
    document = parse_value_document(data, "x", "other")
    assert (document.key, repr(document.value), document.commit) == (key, repr(value), 17)
    fields = json.loads(data.decode("utf-8"), parse_constant=pytest.fail)
    assert (fields["key"], fields["timestamp"]) == (key, "2026-11-23T07:15:10.123456Z")


def test_text_that_looks_like_a_float_stays_text() -> None:
    """Only the strings whose place the document lists are floats again."""
    value = {"a": "NaN", "b": math.inf, "c": ["-Infinity", -math.inf]}
    data = dump_value_document("x", encode_value(value, "a value"), "", 1)
    assert parse_value_document(data, "x", "x").value == value
    assert json.loads(data.decode())["value"] == {"a": "NaN", "b": "Infinity", "c": ["-Infinity", "-Infinity"]}


@pytest.mark.parametrize("marks", [5, {}, [5], ["value"], [[0, "a", None]], [["value", 3]], [[[]]], [[{}]]])
def test_marks_that_lead_nowhere_change_nothing(marks: Any) -> None:
    """A damaged list of places is passed over; the value is shown as it stands."""
    data = json.dumps({"value": [1, "NaN"], "timestamp": "", "nonfinite": marks}).encode()
    assert parse_value_document(data, "x", "key").value == [1, "NaN"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'"value"', b'{"value": ', b"\0\0\0", b"\xff", b"[" * 100_000])
def test_what_is_no_value_document_is_damage(data: bytes) -> None:
    """One error that names the file."""
    with pytest.raises(DamagedFileError, match=r"lr\.json"):
        parse_value_document(data, "params/lr.json", "lr")


# -- the snapshot --------------------------------------------------------------------------------------------------


def make_snapshot(metadata: Dict[str, Any], params: Dict[str, Any], tags: Dict[str, Any]) -> bytes:
    values = {
        "params": {key: encode_value(value, key) for key, value in params.items()},
        "tags": {key: encode_value(value, key) for key, value in tags.items()},
    }
    metrics = {
        "loss": MetricDocument("loss").appended([(0.5, None, 5), (math.nan, 9, 6)], 3),
        "größe": MetricDocument("größe").appended([(-math.inf, None, 7)], 4),
    }
    return dump_snapshot(metadata, values, metrics)


@pure
@given(st.dictionaries(TEXTS, VALUES), st.dictionaries(TEXTS, ANY_VALUES), st.dictionaries(TEXTS, ANY_VALUES))
def test_snapshot_comes_back(metadata: Dict[str, Any], params: Dict[str, Any], tags: Dict[str, Any]) -> None:
    """Metadata, params and tags of any kind are read as they were written."""
    data = make_snapshot(metadata, params, tags)
    snapshot = parse_snapshot(data, "x")
    assert repr(snapshot.metadata) == repr(metadata) == repr(parse_snapshot_metadata(data, "x"))
    assert (repr(snapshot.params), repr(snapshot.tags)) == (repr(params), repr(tags))
    assert snapshot.metrics["loss"] == {
        "value": "NaN", "step": 9, "timestamp": 6, "count": 2, "min": 0.5, "max": 0.5
    }  # fmt: skip
    assert snapshot.metrics["größe"]["min"] == "-Infinity"


def test_snapshot_is_strict_json_of_one_shape(tmp_path: Path) -> None:
    """A strict parser takes it, and its columns are the same for every run, as DuckDB and jq want them."""
    columns = []
    for number, params in enumerate([{"lr": 0.1}, {"lr": math.nan, "layers": [1, math.inf]}, {}]):
        path = tmp_path / ("%d.json" % number)
        path.write_bytes(make_snapshot({"run_id": str(number), "status": "FINISHED"}, params, {}))
        row = read_strict_json(str(path))
        columns.append(list(row))
        assert (row["format"], row["metadata"]["status"]) == (1, "FINISHED")
        assert all(set(summary) == {"value", "step", "timestamp", "count", "min", "max"}
                   for summary in row["metrics"].values())  # fmt: skip
    assert columns == [["format", "metadata", "params", "tags", "metrics", "nonfinite"]] * 3


def damaged_snapshots() -> Dict[str, bytes]:
    whole = json.loads(make_snapshot({"status": "FINISHED"}, {"lr": 0.1}, {}).decode("utf-8"))
    texts = {"empty": b"", "torn": json.dumps(whole).encode()[:-20], "zeros": b"\0" * 100, "a list": b"[]"}
    changes: Dict[str, Dict[str, Any]] = {
        "another format": {"format": 2},
        "params that are a list": {"params": []},
        "marks that are a list": {"nonfinite": []},
        "metrics that are a number": {"metrics": 5},
        "a summary that is a list": {"metrics": {"loss": []}},
        "a summary without value": {"metrics": {"loss": {"step": 0, "timestamp": 5, "count": 1}}},
        "a summary without step": {"metrics": {"loss": {"value": 0.5, "timestamp": 5, "count": 1}}},
        "a summary with a text for value": {"metrics": {"loss": {"value": "x", "step": 0, "timestamp": 5, "count": 1}}},
    }
    texts.update({name: json.dumps(dict(whole, **change)).encode() for name, change in changes.items()})
    without = {name: json.dumps({key: whole[key] for key in whole if key != name}).encode() for name in whole}
    return {**texts, **{"without " + name: data for name, data in without.items() if name != "nonfinite"}}


@pytest.mark.parametrize("name", sorted(damaged_snapshots()))
def test_what_is_no_snapshot_is_damage(name: str) -> None:
    """Its reader turns to the documents instead, so whatever is off with it is told by one error."""
    with pytest.raises(DamagedFileError, match=r"snapshot\.json"):
        parse_snapshot(damaged_snapshots()[name], "r1/snapshot.json")
    with pytest.raises(DamagedFileError, match=r"snapshot\.json"):
        parse_snapshot_metadata(damaged_snapshots()[name], "r1/snapshot.json")


def test_metadata_alone_is_read_from_any_layout_and_not_from_what_is_torn() -> None:
    data = make_snapshot({"run_id": "r", "name": "a,\n}"}, {"lr": math.nan}, {})
    metadata = parse_snapshot(data, "x").metadata
    for layout in (data, json.dumps(json.loads(data.decode("utf-8")), indent=2).encode("utf-8")):
        assert parse_snapshot_metadata(layout, "x") == metadata
    for torn in (data[:-1] + b"\0", data[:-2], data[: len(data) // 2], data[: len(data) // 2] + b"\0" * 50):
        with pytest.raises(DamagedFileError, match=r"snapshot\.json"):
            parse_snapshot_metadata(torn, "snapshot.json")
