"""Times: ISO 8601 in UTC with a Z, and milliseconds since the epoch, there and back."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_mlflow.formats.times import FIRST_MS, LIMIT_MS, iso_to_ms, ms_to_iso, now_iso, now_ms

pure = settings(deadline=None, derandomize=True, max_examples=50)


@pure
@given(st.integers(min_value=FIRST_MS, max_value=LIMIT_MS))
def test_milliseconds_survive_the_text(time_ms: int) -> None:
    """Every millisecond from the year 1 to the end of the year 9999 has a text, which reads back as that one."""
    text = ms_to_iso(time_ms)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z", text)
    assert iso_to_ms(text) == time_ms


@pure
@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))
def test_text_agrees_with_datetime(moment: datetime) -> None:
    """The milliseconds of a text are those that datetime gives it, cut and not rounded."""
    expected = (moment - datetime(1970, 1, 1)) // (datetime(1970, 1, 1, 0, 0, 0, 1000) - datetime(1970, 1, 1))
    assert iso_to_ms(moment.isoformat() + "Z") == expected


def test_order_of_texts_is_the_order_of_times() -> None:
    """Two texts of one format sort as their times do, also at the turn of a year."""
    times_ms = [FIRST_MS, -1, 0, 1, 999, 1000, 1763882110123, 1767225599999, 1767225600000, LIMIT_MS]
    assert sorted(ms_to_iso(time_ms) for time_ms in times_ms) == [ms_to_iso(time_ms) for time_ms in times_ms]


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-11-23 07:15:10.5Z", 1763882110500),
        ("2025-11-23T07:15:10.123456Z", 1763882110123),
        ("2025-11-23T07:15:10.123999999", 1763882110123),
        ("2025-11-23T07:15:10+00:00", 1763882110000),
    ],
)
def test_usual_spellings_are_read(text: str, time_ms: int) -> None:
    """With or without fractions, T, or Z: the spellings of 0.1.0 and of Python's own isoformat."""
    assert iso_to_ms(text) == time_ms


@pytest.mark.parametrize(
    "text",
    ["", "now", None, 1763882110, "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01", "0000-01-01T00:00:00Z",
     "2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00Z\n", "2026-01-01T25:00:00Z"],
)  # fmt: skip
def test_anything_else_is_no_time(text: object) -> None:
    """What is no UTC time of the calendar gives None, never an error."""
    assert iso_to_ms(text) is None


def test_now_is_now_in_both_spellings() -> None:
    """Both clocks lie between a reading before and one after, and the text has microseconds and a Z."""
    before_ms = int(time.time() * 1000)
    text, time_ms = now_iso(), now_ms()
    after_ms = int(datetime.now(timezone.utc).timestamp() * 1000)
    assert before_ms <= time_ms <= after_ms
    assert before_ms <= (iso_to_ms(text) or 0) <= after_ms
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z", text)
