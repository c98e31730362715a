"""The command line's searching commands, called in this process: ls, best, compare, export."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any, List

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.cli.exit_codes import DONE, FAILED, NO, USAGE

LONG_ID = "0123456789abcdef0123456789abcdef"
HOSTILE = "\x1b[2J精\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four ended runs, the newest last: "a" to "c" in experiment 0, and one with a drawn id in 3."""
    tracker = ExperimentTracker(run_name="model")
    for number, run_id in enumerate("abc"):
        with tracker.start_run(run_id=run_id, version="v%d" % number) as run:
            run.log_params({"lr": 0.1 * number, "opt": ["adam", "sgd", "sgd"][number]})
            for step in range(3):
                run.log_metric("loss", float(number if step < 2 else 3 - number), step=step)
            run.log_metric("odd", float("nan"))
            run.set_tag("stage", HOSTILE)
    with tracker.start_run(experiment_id=3, run_id=LONG_ID, run_name="other") as run:
        run.log_param("flag", True)
    return tmp_path / "mlruns"


def ids(*argv: str) -> List[str]:
    done = call("ls", "--ids", *argv)
    assert (done.code, done.err) == (DONE, "")
    return done.lines


# -- ls ------------------------------------------------------------------------------------------------------------


def test_ls_lists_all_experiments_newest_first(tree: Path) -> None:
    done = call("ls")
    assert (done.code, done.err) == (DONE, "")
    words = [line.split() for line in done.lines]
    assert words[0] == ["run", "experiment", "name", "status", "started", "(UTC)", "duration"]
    assert [row[:4] for row in words[1:]] == [
        [LONG_ID, "3", "other", "FINISHED"],
        ["c", "0", "model", "FINISHED"],
        ["b", "0", "model", "FINISHED"],
        ["a", "0", "model", "FINISHED"],
    ]


def test_ls_as_json_is_what_a_search_gives(tree: Path) -> None:
    found = call("ls", "--json").objects
    expected = ExperimentTracker().search_runs(search_all_experiments=True).to_dicts()
    for run in [*found, *expected]:
        run["metrics"].pop("odd", None)
    assert found == expected
    assert call("ls", "--json", "-f", "name = 'other'").objects == expected[:1]


def test_ls_filters_orders_and_limits(tree: Path) -> None:
    assert ids("-f", "params.opt = 'sgd'") == ["c", "b"]
    assert ids("-o", "metrics.loss") == ["c", "b", "a", LONG_ID]
    assert ids("-o", "params.opt DESC", "-o", "metrics.loss DESC", "-n", "3") == ["b", "c", "a"]
    assert ids("-e", "3") == [LONG_ID]
    assert ids("-e", "0", "-e", "3", "-f", "metrics.loss > 100") == []
    assert ids("-e", "Default", "-n", "1") == ["c"]
    assert call("ls", "--ids", "--json", "-n", "1").objects == [{"run_id": LONG_ID}]


def test_ls_has_the_columns_of_ones_choice(tree: Path) -> None:
    names = ["run_id", "version", "params.lr", "metrics.loss", "metrics.odd", "tags.stage", "params.flag", "duration"]
    options = [word for name in names for word in ("-c", name)]
    lines = call("ls", "-e", "0", *options).lines
    assert lines[0].split() == ["run", *names[1:]]
    assert lines[1].split()[:6] == ["c", "v2", "0.2", "1", "nan", "\\x1b[2J精\\n"]
    assert call("ls", "-c", "params.flag", "-n", "1").lines == ["params.flag", "true"]


def test_ls_shortens_drawn_ids_on_a_terminal_only(tree: Path) -> None:
    shown = call("ls", terminal=True, environ={"NO_COLOR": "1"})
    assert [line.split()[0] for line in shown.lines[1:]] == [LONG_ID[:12], "c", "b", "a"]
    assert call("show", LONG_ID[:12], "--json").objects[0]["run_id"] == LONG_ID
    assert call("ls", "--ids", terminal=True).lines[0] == LONG_ID
    assert max(map(len, shown.lines)) <= 80


@pytest.mark.parametrize("argv", [["ls", "-f", "metrics.loss <"], ["ls", "-o", "metrics"], ["best", "loss", "-f", "("]])
def test_wrong_filter_is_pointed_at(tree: Path, argv: List[str]) -> None:
    """It is a wrong command line: the message has the text, and a mark below the place."""
    done = call(*argv)
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.splitlines()[1] == "  " + argv[-1]
    assert done.err.splitlines()[2].strip() == "^"


def test_wrong_column_and_experiment_are_named(tree: Path) -> None:
    done = call("ls", "-c", "nam")
    assert (done.code, done.out) == (USAGE, "")
    assert "name" in done.err
    done = call("ls", "-e", "nowhere")
    assert (done.code, done.out) == (FAILED, "")
    assert "nowhere" in done.err


@pytest.mark.damaged_tree
def test_ls_passes_over_a_damaged_run(tree: Path) -> None:
    (tree / "0" / "b" / "snapshot.json").unlink()
    (tree / "0" / "b" / "meta.yaml").write_text("")
    done = call("ls", "--ids")
    assert (done.code, done.lines) == (DONE, [LONG_ID, "c", "a"])
    assert "0/b/meta.yaml" in done.err


def test_search_shows_how_far_it_is(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a line of progress, which is gone at the end; elsewhere there is none."""
    clock = iter(range(1000))
    monkeypatch.setattr("mini_mlflow.cli.progress.monotonic", lambda: float(next(clock)))
    for argv in (["ls"], ["best", "loss"], ["export"]):
        shown = call(*argv, terminal=True).err.split("\r\x1b[K")
        assert shown[1:5] == ["searching: %d runs" % number for number in (1, 2, 3, 4)]
        assert shown[-1] == ""
        assert call(*argv).err == ""


# -- best ----------------------------------------------------------------------------------------------------------


def test_best_is_the_largest_or_the_smallest(tree: Path) -> None:
    assert call("best", "loss", "--json").objects[0]["run_id"] == "a"
    assert call("best", "loss", "--min", "--json").objects[0]["run_id"] == "c"
    assert call("best", "loss", "--json", "-f", "params.opt = 'sgd'").objects[0]["run_id"] == "b"
    lines = call("best", "loss").lines
    assert lines[0].split() == ["run_id", "a"]
    assert ["loss", "3", "2", "3", "0", "3"] in [line.split() for line in lines]


def test_no_best_is_told_by_the_code(tree: Path) -> None:
    """NaN never wins, and no run has a metric that nobody logged."""
    for argv in (["best", "odd"], ["best", "never", "--json"], ["best", "loss", "-e", "3"]):
        done = call(*argv)
        assert (done.code, done.out) == (NO, "")
        assert done.err.count("\n") == 1


# -- compare -------------------------------------------------------------------------------------------------------


def test_compare_tells_what_differs_and_where_curves_part(tree: Path) -> None:
    (found,) = call("compare", "a", "b", "--json").objects
    assert found["run_ids"] == ["a", "b"]
    assert found["differing"]["params"] == {"lr": [0.0, 0.1], "opt": ["adam", "sgd"]}
    assert found["metrics"]["loss"] == {"last": [3.0, 2.0], "min": [0.0, 1.0], "max": [3.0, 2.0], "parts_at": 0}
    assert found["metrics"]["odd"]["last"] == ["NaN", "NaN"]
    words = [line.split() for line in call("compare", "a", "b").lines]
    assert words[0] == ["a", "b", "parts", "at"]
    assert ["opt", "adam", "sgd"] in words
    assert ["metrics.loss", "step", "0"] in words
    same = ["stage", "\\x1b[2J精\\n", "\\x1b[2J精\\n"]
    assert same not in words
    assert same in [line.split() for line in call("compare", "a", "b", "--all").lines]


def test_compare_takes_two_runs_that_are_there(tree: Path) -> None:
    assert call("compare", "a").code == USAGE
    assert call("compare", "a", "missing").code == FAILED
    assert call("compare", "a", "a").code == FAILED


# -- export --------------------------------------------------------------------------------------------------------


def test_export_of_runs(tree: Path) -> None:
    """JSON lines are those of `ls`; CSV has a column for every key of any run, lists and booleans as JSON."""
    assert call("export", "--format", "jsonl").out == call("export", "--json").out == call("ls", "--json").out
    rows = list(csv.DictReader(io.StringIO(call("export").out, newline="")))
    assert [row["run_id"] for row in rows] == [LONG_ID, "c", "b", "a"]
    assert list(rows[0])[8:] == ["params.flag", "params.lr", "params.opt", "tags.stage", "metrics.loss", "metrics.odd"]
    assert (rows[0]["params.flag"], rows[0]["metrics.loss"]) == ("true", "")
    assert (rows[2]["params.lr"], rows[2]["metrics.loss"], rows[2]["metrics.odd"]) == ("0.1", "2.0", "nan")
    assert rows[1]["tags.stage"] == HOSTILE
    assert call("export", "-f", "run_id = 'a'", "-e", "0").out.count("v0") == 1


def test_export_of_points(tree: Path) -> None:
    rows = list(csv.reader(io.StringIO(call("export", "--points", "-e", "0").out)))
    points = ExperimentTracker().get_metric_history("c", "loss")
    assert rows[0] == ["run_id", "experiment_id", "key", "step", "value", "timestamp"]
    assert rows[1:4] == [["c", "0", "loss", str(step), str(value), str(time)] for step, value, time in points]
    assert len(rows) == 1 + 3 * 4
    objects = call("export", "--points", "--json", "-f", "run_id = 'c'").objects
    assert [(point["key"], point["value"]) for point in objects[2:]] == [("loss", 1.0), ("odd", "NaN")]


def test_export_to_a_terminal_steers_nothing(tree: Path) -> None:
    """CSV in a file is exact; on a terminal it is escaped; Parquet is refused there."""
    assert "\x1b" in call("export").out
    assert "\x1b" not in call("export", terminal=True).out
    done = call("export", "--format", "parquet", terminal=True)
    assert (done.code, done.out) == (FAILED, "")


def test_parquet_without_pyarrow_says_what_to_install(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for more in ([], ["--points"]):
        done = call("export", "--format", "parquet", *more)
        assert (done.code, done.out) == (FAILED, "")
        assert 'Parquet needs pyarrow: pip install pyarrow (the extra "arrow" of mini-mlflow)' in done.err


def parquet(*argv: str) -> Any:
    """The table that an export with these options gives."""
    arrow = pytest.importorskip("pyarrow.parquet")
    done = call("export", "--format", "parquet", *argv)
    assert (done.code, done.out, done.err) == (DONE, "", "")
    return arrow.read_table(io.BytesIO(done.binary))


def test_parquet_of_runs_keeps_types(tree: Path) -> None:
    """Numbers, booleans and texts have columns of their type; a column of several types is JSON text."""
    for run_id, value in (("mixed-1", "x"), ("mixed-2", [1, float("nan")])):
        with Run(run_id=run_id) as run:
            run.log_params({"mixed": value, "count": 3})
    table = parquet()
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert kinds["experiment_id"] == kinds["params.count"] == "int64"
    assert kinds["params.lr"] == kinds["metrics.loss"] == "double"
    assert kinds["params.flag"] == "bool"
    assert kinds["params.opt"] == kinds["params.mixed"] == "string"
    rows = {row["run_id"]: row for row in table.to_pylist()}
    assert rows["a"]["params.lr"] == 0.0
    assert rows["b"]["params.count"] is None
    assert [rows["mixed-%d" % number]["params.mixed"] for number in (1, 2)] == ['"x"', '[1, "NaN"]']
    assert parquet("-f", "run_id = 'nobody'").num_rows == 0


def test_parquet_of_points(tree: Path) -> None:
    rows = parquet("--points", "-f", "run_id = 'a'").to_pylist()
    points = ExperimentTracker().get_metric_history("a", "loss")
    assert [(row["key"], row["step"], row["value"]) for row in rows[:3]] == [("loss", p.step, p.value) for p in points]
    assert [round(row["timestamp"].timestamp() * 1000) for row in rows[:3]] == [point.timestamp for point in points]
    with Run(run_id="far") as run:
        run.log_metric("loss", 1.0, step=2**70)
    pytest.importorskip("pyarrow")
    done = call("export", "--format", "parquet", "--points")
    assert (done.code, done.err.count("64 bits")) == (FAILED, 1)
