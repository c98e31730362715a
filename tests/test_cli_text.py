"""What the command line draws with: escaped and cut texts, tables, curves, figures, strict JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import Stream
from mini_mlflow.cli.figures import count_of, show_duration, show_number, show_seconds, show_size, show_time, show_value
from mini_mlflow.cli.plots import draw_plot, draw_sparkline
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.strict_json import dump_line
from mini_mlflow.cli.tables import Column, fit, write_table
from mini_mlflow.cli.terminal import Output
from mini_mlflow.cli.text import cut, pad, printable, width_of

ANYTHING = st.text(max_size=20)
WIDE = "精度"
SCRIPTS = ["loss", WIDE, "größe", "точность", "دقة", "दर", "e\u0301cart", "🚀🚀", "정확도"]


def output_of(stream: Stream, **environ: str) -> Output:
    return Output(stream, Stream(False, "utf-8"), environ)


def table(rows: List[Any], columns: Any, terminal: bool = False, encoding: str = "utf-8", **environ: str) -> List[str]:
    stream = Stream(terminal, encoding)
    write_table(output_of(stream, **environ), columns, rows)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("größe 精度 🚀", "größe 精度 🚀"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_could_steer_a_terminal_is_shown_as_its_escape(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@pytest.mark.long
@given(ANYTHING)
def test_printable_text_is_printable_and_stays_what_it_is(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(ANYTHING.map(printable), st.integers(0, 12))
def test_cut_text_fits(text: str, columns: int) -> None:
    """It takes the columns that there are or fewer; what fits is not touched; padding makes it exact."""
    kept = cut(text, columns)
    assert width_of(kept) <= columns
    assert kept == text if width_of(text) <= columns else kept != text
    assert width_of(pad(kept, columns)) == columns


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [width_of(text) for text in (WIDE, "e\u0301cart", "abc")] == [4, 5, 3]
    assert cut(WIDE, 3) == "精…"
    assert pad(WIDE, 6, right=True) == "  " + WIDE


def test_table_lines_up_in_every_script() -> None:
    """The second column starts at one place, whatever the width of the characters in the first."""
    lines = table([(name, "|") for name in SCRIPTS], (Column("name"), Column("x")))
    assert len({width_of(line[: line.index("|")]) for line in lines[1:]}) == 1


def test_table_is_cut_on_a_terminal_and_nowhere_else() -> None:
    columns = (Column("id"), Column("text", may_be_cut=True), Column("n", right=True))
    rows = [("a", "long " * 40, "1"), ("b", WIDE * 40, "22")]
    whole = table(rows, columns, COLUMNS="40")
    assert whole[1].split("  ")[1].strip() == ("long " * 40).strip()
    lines = table(rows, columns, terminal=True, NO_COLOR="1", COLUMNS="40")
    assert [width_of(line) for line in lines] == [40, 40, 40]
    assert "…" in lines[1]
    assert "~" in table(rows, columns, terminal=True, encoding="ascii", NO_COLOR="1", COLUMNS="40")[1]


@pytest.mark.parametrize("available", range(12))
def test_table_fits_the_narrowest_terminal(available: int) -> None:
    columns = (Column("a"), Column("b", may_be_cut=True), Column("c"))
    fitted = fit([10, 30, 5], columns, available)
    assert min(fitted) >= 0
    assert sum(fitted) <= max(0, available - 4)


def test_colours_are_for_terminals_that_want_them() -> None:
    columns = (Column("status", colour=lambda text: "red"),)
    rows = [("FAILED",)]
    painted = table(rows, columns, terminal=True)
    assert painted == ["\x1b[1mstatus\x1b[0m", "\x1b[31mFAILED\x1b[0m"]
    plain = ["status", "FAILED"]
    assert table(rows, columns) == plain
    assert table(rows, columns, terminal=True, NO_COLOR="1") == plain
    assert table(rows, columns, terminal=True, NO_COLOR="") == painted
    assert table(rows, columns, terminal=True, TERM="dumb") == plain


def test_table_of_many_rows_is_written_block_by_block() -> None:
    """A generator of rows is not gathered: the first lines are out before the last rows are made."""
    stream = Stream(False, "utf-8")
    seen = []

    def rows() -> Any:
        for number in range(10_001):
            seen.append(len(stream.getvalue()))
            yield (str(number),)

    assert write_table(output_of(stream), (Column("n"),), rows()) == 10_001
    assert seen[9_999] == 0
    assert seen[10_000] > 0


@pytest.mark.parametrize(
    ("values", "curve"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([2.0, 2.0], "▁▁"),
        ([0.0, 1.0], "▁█"),
        ([0.0, math.nan, 7.0], "▁ █"),
        ([math.inf, math.nan], "  "),
        ([-1.7e308, 1.7e308], "▁█"),
        (list(range(8)), "▁▂▃▄▅▆▇█"),
    ],
)
def test_sparkline(values: List[float], curve: str) -> None:
    assert draw_sparkline(values, 8) == curve
    assert draw_sparkline(values, 8, can_draw=False).isascii()


@given(st.lists(st.floats(), max_size=60), st.integers(1, 30))
def test_sparkline_fits_whatever_the_values(values: List[float], columns: int) -> None:
    assert len(draw_sparkline(values, columns)) == min(columns, len(values))


@given(
    st.lists(st.tuples(st.integers(-(10**30), 10**30), st.floats()), max_size=40),
    st.integers(1, 60),
    st.integers(2, 12),
)
def test_plot_fits_whatever_the_points(points: List[Any], columns: int, lines: int) -> None:
    """So many lines and one for the scale, each within the width; nothing if there is nothing finite."""
    drawn = draw_plot([step for step, _ in points], [value for _, value in points], columns, lines)
    if not any(math.isfinite(value) for _, value in points):
        assert drawn == []
        return
    assert len(drawn) == lines + 1
    assert all(len(line) <= max(columns, 16) for line in drawn[:-1])
    assert any("•" in line for line in drawn)


def test_plot_of_a_line_is_a_line() -> None:
    drawn = draw_plot(range(4), [0.0, 1.0, 2.0, 3.0], 19, 4)
    assert drawn == [
        "            3 │   •",
        "              │  •",
        "              │ •",
        "            0 │•",
        "               0  3",
    ]
    assert draw_plot([0, 0], [0.0, 2.0], 16, 3, can_draw=False) == [
        "            2 |*",
        "              ||",
        "            0 |*",
        "               0",
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": {"d": math.nan}},
        {"name": "\x1b[31m\x9b\u202e\ud800\U000e0001 größe"},
        {1: "a key that is no str", "set": {1}},
    ],
)
def test_json_line_is_strict_and_printable(value: Any) -> None:
    line = dump_line(value)
    assert line.isprintable()
    back = json.loads(line, parse_constant=pytest.fail)
    for key, item in value.items():
        if isinstance(item, str):
            assert back[str(key)] == item
    if "a" in value:
        assert back == {"a": "NaN", "b": ["Infinity", "-Infinity", 1.5], "c": {"d": "NaN"}}


def test_figures() -> None:
    """Numbers, times and sizes read as a person writes them."""
    assert [show_number(value) for value in (0.1 + 0.2, 3, None, math.nan)] == ["0.3", "3", "", "nan"]
    assert [show_value(value) for value in ("a b", [1, "x"], None, True, 0.5)] == ["a b", '[1, "x"]', "", "true", "0.5"]
    assert show_time("2026-11-23T07:15:10.123456Z") == "2026-11-23 07:15:10"
    assert [show_seconds(s) for s in (0.04, 59.9, 59.96, 3599, 3600, 90_000)] == [
        "0.0 s", "59.9 s", "0 m 59 s", "59 m 59 s", "1 h 00 m", "1 d 01 h"]  # fmt: skip
    assert [show_size(size) for size in (None, 0, 999, 1000, 999_950, 10**9, 10**21)] == [
        "", "0 B", "999 B", "1.0 kB", "1.0 MB", "1.0 GB", "1000000.0 PB"]  # fmt: skip
    assert [count_of(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


def test_duration_is_told_of_who_has_one() -> None:
    start, end = "2026-11-23T07:15:10Z", "2026-11-23T07:15:12.5Z"
    now_ms = 1795418120000
    assert show_duration({"start_time": start, "end_time": end, "status": "FINISHED"}, now_ms) == "2.5 s"
    assert show_duration({"start_time": start, "status": "RUNNING"}, now_ms) == "10.0 s"
    assert show_duration({"start_time": start, "status": "CRASHED"}, now_ms) == ""
    assert show_duration({"start_time": "no time", "status": "RUNNING"}, now_ms) == ""


def test_progress_is_drawn_on_a_terminal_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is drawn at most every tenth of a second, over itself, and cleared before a message and at the end."""
    clock = iter(range(100))
    monkeypatch.setattr("mini_mlflow.cli.progress.monotonic", lambda: float(next(clock)))
    shown, hidden = Stream(True, "utf-8"), Stream(False, "utf-8")
    for stream in (shown, hidden):
        output = Output(Stream(False, "utf-8"), stream, {})
        with Progress(output, "reading", "runs", 4) as progress:
            list(progress.count("ab"))
            output.message("half")
            progress.move(4, 4)
    clear = "\r\x1b[K"
    assert hidden.getvalue() == "mini-mlflow: half\n"
    assert shown.getvalue().split(clear)[1:] == [
        "reading [######------------------] 1 of 4 runs",
        "reading [############------------] 2 of 4 runs",
        "mini-mlflow: half\n",
        "reading [########################] 4 of 4 runs",
        "",
    ]


def test_stream_that_is_closed_is_no_crash() -> None:
    """Python gives None for a descriptor that is closed at the start."""
    output = Output(None, None, {})
    assert (output.is_terminal, output.width, output.has_colours, output.can_draw) == (False, None, False, False)
    output.message("to nobody")
    output.flush()
    output.give_up()
    with pytest.raises(Exception, match="standard output: it is closed"):
        output.line("x")
    assert sys.stdout is not None
