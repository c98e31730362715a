"""A metric's document, its points and its sealed files: nothing is lost or doubled, and the JSON stays strict."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_mlflow import DamagedFileError, Point
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line
from mini_mlflow.formats.points import decode_points, drop_known, salvage_points, to_sealed
from mini_mlflow.formats.tiers import LARGEST, SEAL_AT, join_ranges, parse_range, plan_sealing
from mini_mlflow.formats.times import LIMIT_MS
from tree_check import read_strict_json

pure = settings(deadline=None, derandomize=True, max_examples=50)
NEW_POINTS = st.lists(
    st.tuples(st.floats(), st.none() | st.integers(), st.integers(min_value=0, max_value=LIMIT_MS)), min_size=1
)


def decoded(document: MetricDocument) -> List[Tuple[int, str, int]]:
    """The document's points; repr tells NaN from NaN and -0.0 from 0.0."""
    return [(step, repr(value), time_ms) for step, value, time_ms in decode_points(document.points, "x")]


def settled(points: List[Tuple[float, Optional[int], int]]) -> List[Tuple[int, str, int]]:
    return [(n if step is None else step, repr(value), time_ms) for n, (value, step, time_ms) in enumerate(points)]


# -- the document --------------------------------------------------------------------------------------------------


def test_step_left_out_is_the_position() -> None:
    """A point without a step gets its position in the whole history, whatever steps the others have."""
    document = MetricDocument("loss").appended([(1.0, None, 5), (2.0, 100, 6)], 1).appended([(3.0, None, 7)], 2)
    assert decode_points(document.points, "x") == [Point(0, 1.0, 5), Point(100, 2.0, 6), Point(2, 3.0, 7)]
    sealed = MetricDocument("loss", count=1024, sealed=((0, 1023),)).appended([(0.5, None, 8)], 3)
    assert decode_points(sealed.points, "x") == [Point(1024, 0.5, 8)]


@pure
@given(NEW_POINTS, NEW_POINTS, st.text())
def test_document_comes_back_as_it_was_written(first: Any, second: Any, key: str) -> None:
    """Any points, appended in two commits, are read back equal, in order, with all that the first line says."""
    document = MetricDocument(key).appended(first, 3).appended(second, 9)
    data = document.dump()
    assert repr(parse_document(data, "x", "other")) == repr(document)
    assert decoded(parse_document(data, "x", key)) == settled(first + second)
    head = parse_first_line(data.partition(b"\n")[0] + b"\n[tor", "x", key)
    assert repr(head) == repr(document._replace(points=b""))


@pure
@given(NEW_POINTS)
def test_minimum_and_maximum_pass_over_nan(points: Any) -> None:
    """They are those of the numbers; None while there is none but NaN."""
    document = MetricDocument("loss").appended(points, 1)
    numbers = [value for value, _, _ in points if value == value]
    assert (document.minimum, document.maximum) == (min(numbers, default=None), max(numbers, default=None))


def test_document_is_strict_json_laid_out_by_lines(tmp_path: Any) -> None:
    """NaN and the infinities are strings, and each point has a line of its own below the first."""
    points = [(math.nan, None, 5), (math.inf, 4, 6), (-math.inf, None, 7), (0.5, -3, 1763882110123)]
    path = tmp_path / "loss.json"
    path.write_bytes(MetricDocument("größe").appended(points, 12).dump())
    assert read_strict_json(str(path)) == {
        "value": 0.5,
        "step": -3,
        "timestamp": "2025-11-23T07:15:10.123Z",
        "count": 4,
        "commit": 12,
        "min": "-Infinity",
        "max": "Infinity",
        "sealed": [],
        "latest": [4, "Infinity", 6],
        "key": "größe",
        "points": [[0, "NaN", 5], [4, "Infinity", 6], [2, "-Infinity", 7], [-3, 0.5, 1763882110123]],
    }
    assert path.read_text("utf-8").split("\n")[1:] == [
        '[0, "NaN", 5],',
        '[4, "Infinity", 6],',
        '[2, "-Infinity", 7],',
        "[-3, 0.5, 1763882110123]]}",
        "",
    ]


def test_document_of_0_1_0_is_one_point() -> None:
    """A value and a timestamp make a history of one point, at commit 0; an int is a float from then on."""
    data = b'{\n  "value": 12,\n  "timestamp": "2025-11-23T07:15:10.123456Z"\n}'
    document = parse_document(data, "x", "epochs")
    assert (document.key, document.count, document.commit) == ("epochs", 1, 0)
    assert decode_points(document.points, "x") == [Point(0, 12.0, 1763882110123)]


def test_other_layouts_and_unknown_fields_are_kept() -> None:
    """A document that another program has laid out anew reads the same, and keeps the fields that it added."""
    document = MetricDocument("loss").appended([(1.0, None, 5), (math.nan, 8, 6)], 4)
    fields: Dict[str, Any] = dict(json.loads(document.dump().decode("utf-8")), unit="nat", nested={"a": [1, None]})
    again = parse_document(json.dumps(fields, indent=2).encode("utf-8"), "x", "loss")
    assert decoded(again) == decoded(document)
    written = json.loads(again.appended([(2.0, None, 7)], 5).dump().decode("utf-8"))
    assert (written["unit"], written["nested"], written["count"]) == ("nat", {"a": [1, None]}, 3)


WHOLE = MetricDocument("loss", count=8, sealed=((0, 7),)).appended([(1.0, None, 5), (2.0, 3, 6)], 4).dump()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 200,
        WHOLE[:20],
        WHOLE[:-4],
        WHOLE[:-4] + b"\0" * 4,
        WHOLE.replace(b'"value"', b'"walue"'),
        WHOLE.replace(b'"count": 10', b'"count": 11'),
        WHOLE.replace(b'"count": 10', b'"count": true'),
        WHOLE.replace(b'"0-7"', b'"0-6"'),
        WHOLE.replace(b'"0-7"', b'"7-0"'),
        WHOLE.replace(b'"0-7"', b'"../7"'),
        WHOLE.replace(b'"commit"', b'"commjt"'),
        WHOLE.replace(b'"step"', b'"stfp"'),
        WHOLE.replace(b'"sealed"', b'"sfaled"'),
        WHOLE.replace(b'"count"', b'"coumt"'),
        b'{"value": 1%s, "timestamp": "2025-11-23T07:15:10Z"}' % (b"0" * 400),
        b'{"timestamp": "2025-11-23T07:15:10Z"}',
        b'["value", 1]',
        b'{"value": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_document_is_damage(data: bytes) -> None:
    """Torn, zeroed, or with a field that is missing or contradicts the others: one error that names the file."""
    with pytest.raises(DamagedFileError, match=r"loss\.json"):
        parse_document(data, "metrics/loss.json", "loss")


# -- points --------------------------------------------------------------------------------------------------------


@pure
@given(NEW_POINTS)
def test_sealed_lines_hold_the_same_points(points: Any) -> None:
    """What is moved from a document to a sealed file reads the same there, a line a point."""
    document = MetricDocument("loss").appended(points, 1)
    sealed = to_sealed(document.points)
    assert sealed.count(b"\n") == len(points)
    assert [json.loads(line) for line in sealed.decode().splitlines()] == json.loads(b"[%s]" % document.points)
    assert repr(decode_points(sealed, "x")) == repr(decode_points(document.points, "x"))


@pytest.mark.parametrize(
    "line",
    [b'["a", 0.5, 5]', b"[null, 0.5, 5]", b"[1.0, 0.5, 5]", b"[1, true, 5]", b'[1, "x", 5]', b"[1, 0.5, 17e9]",
     b"[1, 0.5]", b"[1, 0.5, 5, 6]", b"[1, 1%s, 5]" % (b"0" * 400), b"1", b"{}"],
)  # fmt: skip
def test_points_of_other_types_are_damage(line: bytes) -> None:
    """A point is an int, a number and an int: nothing else passes for one."""
    with pytest.raises(DamagedFileError, match="x"):
        decode_points(b"[0, 0.25, 4],\n" + line, "x")


def test_damaged_line_costs_itself_alone() -> None:
    """The other points are still read, and a line that was cut short does not pass for a shorter number."""
    lines = [b"[%d, %d.5, 1700000000000]" % (n, n) for n in range(5)]
    sealed = b"\n".join([lines[0], lines[1][:-3], lines[2].replace(b",", b";"), b"\0" * 9, lines[3], lines[4][:9]])
    assert [point.step for point in salvage_points(sealed, "x")] == [0, 3]
    document = b",\n".join([lines[0], b"[9", lines[2]])
    assert [point.step for point in salvage_points(document, "x")] == [0, 2]


def test_points_that_are_known_are_not_added_again() -> None:
    """Value and timestamp tell which points of the log stand in sealed files already, each as often as it is there."""
    older = [Point(0, 1.0, 5), Point(1, math.nan, 5), Point(2, 1.0, 5), Point(3, 2.0, 9)]
    new = [(1.0, None, 5), (math.nan, None, 5), (1.0, None, 5), (1.0, None, 5), (2.0, None, 9), (3.0, None, 9)]
    assert drop_known(older, new[4:]) == [(3.0, None, 9)]
    assert drop_known(older, new) == [(1.0, None, 5), (3.0, None, 9)]
    assert drop_known([], new) == new


# -- sealed files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["small", "large", "mixed"])
def test_million_points_have_few_files_and_no_gap(batch: str) -> None:
    """At every moment the ranges follow one another from 0, 64 at most, and no point is written a fourth time."""
    dice = random.Random(batch)
    largest = {"small": 1, "large": 9000, "mixed": 3 * SEAL_AT}[batch]
    sealed: Tuple[Tuple[int, int], ...] = ()
    written: Dict[Tuple[int, int], int] = {}
    count = 0
    while count < 1_000_000:
        count += SEAL_AT + dice.randrange(largest)
        plan = plan_sealing(sealed, count)
        assert plan.sealed[-1] == plan.new
        assert plan.new[1] == count - 1
        # What is merged is what the new file holds before the new points, and nothing else goes.
        start = sealed[-1][1] + 1 if sealed else 0
        assert plan.new[0] == (plan.merged[0][0] if plan.merged else start)
        assert plan.sealed[:-1] + plan.merged == sealed
        written[plan.new] = 1 + max([written[old] for old in plan.merged], default=0)
        assert written[plan.new] <= 3
        sealed = plan.sealed
        assert len(sealed) <= 62
        assert sealed[0][0] == 0
        assert all(one[1] + 1 == other[0] for one, other in zip(sealed, sealed[1:]))
    assert max(last - first + 1 for first, last in sealed) >= LARGEST


def test_ranges_of_a_lost_document_are_joined() -> None:
    """Of the names in a folder, those that follow one another from 0 count, and a merged file before its parts."""
    names = ["0-3", "4-7", "0-7", "8-11", "16-19", ".tmp-1", "", "a-b", "11-8"]
    assert join_ranges(names) == ((0, 7), (8, 11))
    assert join_ranges(["4-7"]) == ()


@pytest.mark.parametrize(
    "text", ["", "5", "-", "1-", "-1", "3-2", "a-b", "0x1-2", "1 -2", "1-2-3", None, 5, "0-" + "9" * 40]
)
def test_anything_else_is_no_range(text: Any) -> None:
    """A range is two counted positions in order."""
    with pytest.raises((ValueError, TypeError)):
        parse_range(text)
