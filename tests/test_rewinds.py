"""Which points rewinds hide, against a list of points with a flag each."""

from __future__ import annotations

import json
import math
from typing import Any, List, Optional, Tuple, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_mlflow import DamagedFileError, Point
from mini_mlflow.formats.commits import RewindChange, dump_commit, parse_commit
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line, salvage_rewinds
from mini_mlflow.formats.points import decode_points
from mini_mlflow.formats.rewinds import (
    Rewind,
    add_rewind,
    append_items,
    drop_known_items,
    find_rewinds,
    parse_rewinds,
    select_visible,
)

points = st.tuples(
    st.sampled_from([0.5, -1.0, math.nan, math.inf]), st.one_of(st.none(), st.integers(-3, 12)), st.integers(5, 6)
)
items = st.lists(st.one_of(points, points, points, st.builds(Rewind, st.integers(-4, 12))), max_size=25)


class Flagged:
    """The model: every point with its step, and whether it is hidden."""

    def __init__(self) -> None:
        self.stored: List[Tuple[Point, bool]] = []

    def take(self, item: Union[Rewind, Tuple[float, Optional[int], int]]) -> None:
        if isinstance(item, Rewind):
            self.stored = [(point, hidden or point.step > item.step) for point, hidden in self.stored]
        else:
            value, step, time_ms = item
            self.stored.append((Point(len(self.shown) if step is None else step, value, time_ms), False))

    @property
    def shown(self) -> List[Point]:
        return [point for point, hidden in self.stored if not hidden]


class Kept:
    """A metric kept as the engine keeps it: a document, and sealed files."""

    def __init__(self) -> None:
        self.document = MetricDocument("loss")
        self.sealed: List[Tuple[int, List[Point]]] = []

    def batches(self) -> List[Tuple[int, List[Point]]]:
        return [*self.sealed, (self.document.sealed_count, decode_points(self.document.points, "-"))]

    def take(self, item: Any) -> None:
        if isinstance(item, Rewind):
            self.document = self.document.rewound(item.step, self.batches())
        else:
            self.document = self.document.appended([item], 1)

    def seal(self) -> None:
        first = self.document.sealed_count
        if first < self.document.count:
            self.sealed.append(self.batches()[-1])
            sealed = (*self.document.sealed, (first, self.document.count - 1))
            self.document = self.document._replace(sealed=sealed, points=b"")

    def merge(self) -> None:
        if self.sealed:
            self.sealed = [(0, [point for _, part in self.sealed for point in part])]
            self.document = self.document._replace(sealed=((0, self.document.sealed_count - 1),))

    def write_and_read(self) -> None:
        data = self.document.dump()
        self.document = parse_document(data, "-", "loss")
        assert repr(parse_first_line(data, "-", "loss")) == repr(self.document._replace(points=b""))


@settings(max_examples=30, deadline=None)
@given(items, st.lists(st.sampled_from(["seal", "merge", "write_and_read"]), min_size=25, max_size=25))
def test_document_says_what_a_list_with_flags_says(logged: Any, between: List[str]) -> None:
    """Also with points sealed, merged, and the document written and read between any two of them."""
    model, kept = Flagged(), Kept()
    for item, then in zip(logged, between):
        model.take(item)
        kept.take(item)
        getattr(kept, then)()
        document, shown = kept.document, model.shown
        found = [point for first, part in kept.batches() for point in select_visible(part, first, document.rewinds)]
        assert repr(found) == repr(shown)
        assert document.count - document.hidden == len(shown)
        assert bool(document.rewinds) == (len(shown) < len(model.stored))
        assert document.is_hidden == (bool(model.stored) and not shown)
        told = repr((document.step, document.value, document.timestamp))
        assert told == repr(tuple(shown[-1]) if shown else (0, None, 0))
        numbers = [point.value for point in shown if not math.isnan(point.value)]
        assert (document.minimum, document.maximum) == (min(numbers, default=None), max(numbers, default=None))
        latest = max(
            shown, key=lambda one: (one.step, one.timestamp, 0.0 if one.value != one.value else one.value), default=None
        )
        assert repr(document.latest_point) == repr(latest)
        assert (document.latest is None) == (not shown or repr(latest) == repr(shown[-1]))


@settings(max_examples=40, deadline=None)
@given(items)
def test_reader_of_the_log_says_the_same(logged: Any) -> None:
    model, stored = Flagged(), [Point(7, 1.0, 1)]
    model.stored.append((stored[0], False))
    shown = append_items(logged, stored, stored)
    for item in logged:
        model.take(item)
    assert repr(shown) == repr(model.shown)
    assert repr(stored) == repr([point for point, _ in model.stored])


def test_rewinds_that_another_covers_are_not_kept() -> None:
    """The list stays as short as the number of rewinds that still hide something of their own."""
    rewinds = add_rewind(add_rewind((), 10, 4), 20, 8)
    assert rewinds == ((10, 4), (20, 8))
    assert add_rewind(rewinds, 30, 8) == ((10, 4), (30, 8))
    assert add_rewind(rewinds, 30, 4) == ((30, 4),)
    assert add_rewind(rewinds, 10, 5) == rewinds
    assert add_rewind(rewinds, 15, -1) == ((15, -1), (20, 8))


def test_document_without_a_rewind_has_no_field_of_it() -> None:
    """Not even after rewinds that hid nothing, so that nobody else need know of them."""
    document = MetricDocument("loss").appended([(0.5, None, 5), (0.25, None, 6)], 3)
    rewound = document.rewound(1, [(0, decode_points(document.points, "-"))])
    assert rewound == document
    assert b"rewinds" not in rewound.dump()
    assert b"hidden" not in rewound.dump()


def test_first_line_is_json_that_shows_what_is_visible() -> None:
    document = MetricDocument("loss").appended([(3.0, 0, 5), (4.0, 1, 6), (5.0, 2, 7)], 3)
    rewound = document.rewound(1, [(0, decode_points(document.points, "-"))])
    fields = json.loads(rewound.dump().decode("utf-8"))
    assert (fields["rewinds"], fields["hidden"], fields["count"]) == ([[3, 1]], 1, 3)
    assert (fields["value"], fields["step"], fields["min"], fields["max"]) == (4.0, 1, 3.0, 4.0)
    assert len(fields["points"]) == 3


@pytest.mark.parametrize(
    "field",
    ["5", "[]", "[[1]]", "[[1, 2, 3]]", '[["1", 2]]', "[[1, 2.0]]", "[[true, 2]]", "[[0, 2]]", "[[-1, 2]]", "[[4, 2]]",
     "[[2, 2], [1, 3]]", "[[1, 2], [2, 2]]", "[[1, 2], [2, 1]]", "[[1, 2], [1, 3]]", "null"],
)  # fmt: skip
def test_malformed_rewinds_are_damage(field: str) -> None:
    document = MetricDocument("loss").appended([(3.0, 5, 5), (4.0, 5, 6), (5.0, 9, 7)], 3)
    data = document.rewound(5, [(0, decode_points(document.points, "-"))]).dump()
    assert parse_document(data, "-", "loss").rewinds == ((3, 5),)
    with pytest.raises(DamagedFileError):
        parse_document(data.replace(b"[[3, 5]]", field.encode()), "-", "loss")
    assert salvage_rewinds(data.replace(b"[[3, 5]]", field.encode())) == ()
    assert salvage_rewinds(data[:-9]) == ((3, 5),)


@pytest.mark.parametrize("hidden", ["-1", "4", "true", '"1"', "null"])
def test_number_of_hidden_points_that_cannot_be_is_damage(hidden: str) -> None:
    document = MetricDocument("loss").appended([(3.0, 5, 5), (4.0, 5, 6), (5.0, 9, 7)], 3)
    data = document.rewound(5, [(0, decode_points(document.points, "-"))]).dump()
    with pytest.raises(DamagedFileError):
        parse_document(data.replace(b'"hidden": 1', b'"hidden": ' + hidden.encode()), "-", "loss")


def test_rewinds_that_follow_one_another_are_read() -> None:
    assert parse_rewinds([[1, -2], [4, 3]], 4) == ((1, -2), (4, 3))


@pytest.mark.parametrize("step", [0, -7, 10**30])
def test_commit_holds_a_rewind(step: int) -> None:
    change = RewindChange(step, 1795418110123)
    assert parse_commit(dump_commit(3, [change.dump()]), "-") == [change]


@pytest.mark.parametrize("change", ['["rewind", 1]', '["rewind", 1, 2, 3]', '["rewind", "1", 2]', '["rewind", 1, 2.5]'])
def test_malformed_rewind_in_a_commit_is_damage(change: str) -> None:
    with pytest.raises(DamagedFileError):
        parse_commit(dump_commit(3, [change]), "-")


def test_rewind_among_points_that_are_known_already_stands_before_them() -> None:
    """A document is lost, and the log tells again what was in it: two points, a rewind to 0, two more."""
    older = [Point(step, float(step), 100 + number) for number, step in enumerate([0, 1, 1, 2])]
    told: List[Any] = [(point.value, point.step, point.timestamp) for point in older]
    told[2:2] = [Rewind(0)]
    assert drop_known_items(older, told) == ([], ((2, 0),))
    assert drop_known_items(older[:3], told) == ([told[-1]], ((2, 0),))
    # What was lost of them comes last, as it does without a rewind.
    assert drop_known_items(older[:2], told) == (told[2:], ())
    assert drop_known_items(older, [*told, Rewind(1)]) == ([Rewind(1)], ((2, 0),))


@settings(deadline=None)
@given(items, st.sets(st.integers(0, 24)))
def test_rewinds_found_for_what_is_left_hide_what_was_hidden(sequence: Any, lost: Any) -> None:
    """Of points that some are lost of, and whose positions tell nothing any more."""
    stored: List[Point] = []
    shown = append_items(sequence, stored, [])
    left = [point for position, point in enumerate(stored) if position not in lost]
    visible = [point for point in left if any(point is one for one in shown)]
    rewinds = find_rewinds(left, visible)
    assert select_visible(left, 0, rewinds) == visible
    assert not rewinds or parse_rewinds([list(pair) for pair in rewinds], len(left)) == rewinds
