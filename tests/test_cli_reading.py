"""The command line's reading commands, called in this process: show, history, watch, verify, and how they fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, List

import pytest

from command_line import Stream, call
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.cli import main, watching
from mini_mlflow.cli.exit_codes import DONE, FAILED, INTERRUPTED, NO, PIPE_CLOSED, USAGE
from mini_mlflow.cli.plots import draw_sparkline

HOSTILE = "\x1b]0;owned\x07精度\u202e\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tree of the working folder: two ended runs in experiment 0, one of another writer's names in 7."""
    tracker = ExperimentTracker(run_name="first")
    with tracker.start_run(run_id="aaa1") as run:
        run.log_params({"lr": 0.01, "layers": [64, 32], "none": None})
        run.set_tag("stage", "try-out")
        for step in range(40):
            run.log_metric("loss", 1.0 / (step + 1), step=step)
        run.log_metric("odd", float("nan"))
    with tracker.start_run(run_id="aab2"):
        pass
    with tracker.start_run(experiment_id=7, run_id="hostile", run_name=HOSTILE) as run:
        run.log_params({"text": HOSTILE, "精度": HOSTILE})
        run.set_tag("tag", HOSTILE)
        run.log_metric("größe", 1.5)
    return tmp_path / "mlruns"


# -- show ----------------------------------------------------------------------------------------------------------


def test_show_has_all_of_a_run(tree: Path) -> None:
    """Metadata, params, tags, and for each metric its last point, count, range and curve."""
    done = call("show", "aaa1")
    assert (done.code, done.err) == (DONE, "")
    words = [line.split() for line in done.lines]
    assert ["run_id", "aaa1"] in words
    assert ["status", "FINISHED"] in words
    assert ["lr", "0.01"] in words
    assert ["layers", "[64,", "32]"] in words
    assert ["stage", "try-out"] in words
    curve = draw_sparkline([1.0 / (step + 1) for step in range(40)], 24)
    assert ["loss", "0.025", "39", "40", "0.025", "1", curve] in words
    assert ["odd", "nan", "0", "1"] in words


def test_show_as_json_is_what_get_run_gives(tree: Path) -> None:
    (shown,) = call("show", "aaa1", "--json").objects
    expected = ExperimentTracker().get_run("aaa1")
    assert (shown["run_id"], shown["experiment_id"]) == ("aaa1", 0)
    assert shown["metrics"].pop("odd") == "NaN"
    del expected["metrics"]["odd"]
    assert {key: shown[key] for key in expected} == expected


def test_show_without_history_reads_no_points(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("mini_mlflow.reading.metric_history.read_history", refuse)
    done = call("show", "aaa1", "--no-curves")
    assert ["loss", "0.025", "39", "40", "0.025", "1"] in [line.split() for line in done.lines]
    with pytest.raises(AssertionError, match="read"):
        call("show", "aaa1")


def test_run_is_named_by_its_beginning(tree: Path) -> None:
    """A beginning that several runs share names none of them, unless it is the whole id of one."""
    with Run(run_id="aaa1-longer"):
        pass
    assert call("show", "aab", "--json").objects[0]["run_id"] == "aab2"
    assert call("show", "aaa1", "--json").objects[0]["run_id"] == "aaa1"
    done = call("show", "aa")
    assert (done.code, done.out) == (FAILED, "")
    assert all(run_id in done.err for run_id in ("aaa1", "aab2", "aaa1-longer"))
    missing = call("show", "zzz")
    assert (missing.code, missing.out) == (FAILED, "")
    assert "zzz" in missing.err
    assert call("show", "aab2", "-e", "7").code == FAILED
    assert call("show", "hos", "-e", "7").code == DONE


@pytest.mark.parametrize(
    "argv", [["show", "hostile"], ["show", "hostile", "--json"], ["verify"], ["history", "hostile", HOSTILE], ["ls"]]
)
def test_nothing_in_a_name_reaches_the_terminal_raw(tree: Path, argv: List[str]) -> None:
    """Escape sequences, line breaks and bidirectional overrides in names, values and arguments come out as text."""
    for terminal in (False, True):
        done = call(*argv, terminal=terminal, environ={"NO_COLOR": "1", "TERM": "dumb"})
        for line in [*done.lines, *done.err.splitlines()]:
            assert line.isprintable(), line
        if argv[0] in ("show", "history"):
            assert "精度" in done.out + done.err


# -- history -------------------------------------------------------------------------------------------------------


def test_history_prints_every_point_exactly(tree: Path) -> None:
    points = ExperimentTracker().get_metric_history("aaa1", "loss")
    done = call("history", "aaa1", "loss")
    assert done.lines[0].split() == ["step", "value", "time", "(UTC)"]
    assert [(int(line.split()[0]), float(line.split()[1])) for line in done.lines[1:]] == [
        (point.step, point.value) for point in points
    ]
    assert call("history", "aaa1", "loss", "--json").objects == [point._asdict() for point in points]
    rows = call("history", "aaa1", "loss", "--csv").lines
    assert rows[0] == "step,value,timestamp"
    assert rows[1:] == ["%d,%r,%d" % point for point in points]
    assert call("history", "aaa1", "odd", "--json").objects[0]["value"] == "NaN"


def test_history_may_keep_to_the_last_points(tree: Path) -> None:
    assert [point["step"] for point in call("history", "aaa1", "loss", "--last", "2", "--json").objects] == [38, 39]
    assert len(call("history", "aaa1", "loss", "--last", "99", "--json").objects) == 40


def test_history_is_drawn_in_characters(tree: Path) -> None:
    lines = call("history", "aaa1", "loss", "--plot").lines
    assert len(lines) == 13
    assert lines[0].startswith("            1 │•")
    assert lines[-1].split() == ["0", "39"]
    assert call("history", "aaa1", "loss", "--plot", encoding="ascii").out.isascii()
    narrow = call("history", "aaa1", "loss", "--plot", terminal=True, environ={"COLUMNS": "40"})
    assert max(map(len, narrow.lines)) == 40
    nothing = call("history", "aaa1", "odd", "--plot")
    assert (nothing.code, nothing.out) == (FAILED, "")
    assert "none of the 1 values is finite" in nothing.err


def test_history_of_a_metric_that_is_not_there_names_those_that_are(tree: Path) -> None:
    done = call("history", "aaa1", "los")
    assert (done.code, done.out) == (FAILED, "")
    assert done.err == "mini-mlflow: run aaa1 has no metric 'los'; it has loss, odd\n"
    assert call("history", "aab2", "los").err == "mini-mlflow: run aab2 has no metric 'los'; it has none\n"


# -- watch ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """What happens between two looks of `watch`, in place of its waiting: functions, called one after the other."""
    happens: List[Any] = []
    monkeypatch.setattr(watching, "sleep", lambda _seconds: happens.pop(0)())
    return happens


@pytest.mark.damaged_tree
def test_watch_shows_open_runs_only(tree: Path) -> None:
    """Running runs and crashed ones, newest first, with their last values; ended ones are not read."""
    run = Run(run_id="open", name="job")
    run.log_metrics({"loss": 0.5, "b": 2.0})
    crashed = Run(run_id="crashed")
    crashed._opened().give_up_ownership()
    (tree / "0" / "aaa1" / "snapshot.json").write_text("damaged, and nobody looks")
    found = call("watch", "--once", "--json")
    assert (found.code, found.err) == (DONE, "")
    assert [(line["run_id"], line["status"]) for line in found.objects] == [("crashed", "CRASHED"), ("open", "RUNNING")]
    assert found.objects[1]["metrics"] == {"b": 2.0, "loss": 0.5}
    words = [line.split() for line in call("watch", "--once", "-m", "loss").lines]
    assert words[0][:4] == ["time", "(UTC)", "run", "experiment"]
    assert words[2][2:6] == ["open", "0", "job", "RUNNING"]
    assert words[2][-2:] == ["loss", "0.5"]
    assert call("watch", "--once", "-e", "7").out == ""


def test_watch_keeps_runs_that_end_while_it_looks(tree: Path, looks: List[Any]) -> None:
    """A run that ends, and one that begins, between two looks are both in the second; one that is deleted is not."""
    first = Run(run_id="first")
    looks += [lambda: [first.end("FAILED"), Run(run_id="second")], lambda: None]
    found = call("watch", "--count", "3", "--json").objects
    assert [(line["run_id"], line["status"]) for line in found] == [
        ("first", "RUNNING"),
        ("second", "RUNNING"), ("first", "FAILED"),
        ("second", "RUNNING"), ("first", "FAILED"),
    ]  # fmt: skip
    assert {line["time"][-1] for line in found} == {"Z"}


def test_watch_draws_over_its_table_on_a_terminal(tree: Path, looks: List[Any]) -> None:
    """Each look goes up as many lines as the last one took, and erases from there; elsewhere lines are added."""
    Run(run_id="open")
    looks += [lambda: None, lambda: None]
    plain = call("watch", "--count", "2", "--interval", "0.5")
    assert [line.split()[2] for line in plain.lines[1:]] == ["open", "open"]
    assert "\x1b" not in plain.out
    drawn = call("watch", "--count", "2", terminal=True).out
    first, second = drawn.split("\x1b[3F\x1b[J")
    assert first.count("\n") == second.count("\n") == 3
    assert "1 run at" in second


def test_watch_of_more_runs_than_lines_says_so(tree: Path) -> None:
    for number in range(9):
        Run(run_id="open-%d" % number)
    drawn = call("watch", "--once", terminal=True, environ={"LINES": "8", "NO_COLOR": "1"}).lines
    assert len(drawn) == 7
    assert drawn[-1].startswith("9 runs at")
    assert drawn[-1].endswith("4 more than fit")


@pytest.mark.damaged_tree
def test_watch_names_a_damaged_run_once(tree: Path, looks: List[Any]) -> None:
    Run(run_id="open")
    (tree / "0" / "broken").mkdir()
    (tree / "0" / "broken" / "meta.yaml").write_text("")
    looks += [lambda: None, lambda: None]
    done = call("watch", "--count", "3", "--json")
    assert len(done.lines) == 3
    assert len(done.err.splitlines()) == 1
    assert "broken/meta.yaml" in done.err


def test_interrupt_ends_watch_with_its_code(tree: Path, looks: List[Any]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    looks.append(interrupt)
    done = call("watch")
    assert (done.code, done.err) == (INTERRUPTED, "")


# -- verify --------------------------------------------------------------------------------------------------------


def test_verify_of_a_sound_tree(tree: Path) -> None:
    done = call("verify")
    assert (done.code, done.out) == (DONE, "")
    assert done.err == "mini-mlflow: %s: nothing is wrong\n" % tree
    assert call("verify", "--json").out == ""


@pytest.mark.damaged_tree
def test_verify_tells_damage_and_says_so_by_its_code(tree: Path) -> None:
    (tree / "0" / "aaa1" / "params" / "lr.json").write_text('{"value": 0.')
    (tree / "0" / "foreign").write_text("")
    done = call("verify")
    assert done.code == NO
    assert [line.split()[:3] for line in done.lines] == [
        ["damage", "torn-document", "0/aaa1/params/lr.json:"],
        ["notice", "foreign-file", "0/foreign:"],
    ]
    assert done.err.endswith(": 1 of severity damage, 1 of severity notice\n")
    findings = call("verify", "--json").objects
    assert [sorted(finding) for finding in findings] == [["message", "path", "rule", "severity"]] * 2
    (tree / "0" / "aaa1" / "params" / "lr.json").unlink()


@pytest.mark.leaves("foreign-file")
def test_verify_is_strict_when_asked(tree: Path) -> None:
    (tree / "0" / "foreign").write_text("")
    assert call("verify").code == DONE
    assert call("verify", "--strict").code == NO


# -- how it fails --------------------------------------------------------------------------------------------------

ON_A_TREE = [
    ["ls"], ["show", "x"], ["best", "x"], ["compare", "x", "y"], ["history", "x", "loss"], ["watch", "--once"],
    ["artifacts", "x"], ["log-artifact", "x", "y"],
    ["export"], ["experiments"], ["delete", "x"], ["restore", "x"], ["gc"], ["verify"], ["repair"], ["doctor"],
]  # fmt: skip


@pytest.mark.parametrize("argv", ON_A_TREE, ids=lambda argv: argv[0])
def test_no_tree_is_said_in_one_line(argv: List[str], tmp_path: Path) -> None:
    """Nothing is printed, nothing is made, and the line names the place."""
    for more in ([], ["--json"]):
        done = call(*argv, *more)
        assert (done.code, done.out) == (FAILED, "")
        assert done.err == "mini-mlflow: there is no tree at %s: name one with --runs-dir\n" % (tmp_path / "mlruns")
    assert os.listdir(".") == []


@pytest.mark.parametrize(
    "argv",
    [[], ["nonsense"], ["show"], ["history", "x"], ["watch", "--interval", "0"], ["watch", "--count", "x"],
     ["history", "x", "loss", "--plot", "--csv"], ["verify", "--stric"],
     ["completion", "tcsh"], ["show", "x", "--runs-dir"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_command_line_is_said_in_one_line(tree: Path, argv: List[str]) -> None:
    done = call(*argv)
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.startswith("mini-mlflow: ")
    assert done.err.count("\n") == 1


def test_tree_is_named_before_the_command_after_it_or_in_the_environment(tree: Path) -> None:
    """What is named on the command line comes before the variable; an empty variable is none."""
    elsewhere = str(tree.parent / "elsewhere")
    with Run(run_id="far", runs_dir=elsewhere):
        pass
    asked = ["show", "far"]
    for argv in (["--runs-dir", elsewhere, *asked, "--json"], ["--json", *asked, "--runs-dir", elsewhere]):
        assert call(*argv, environ={"MINI_MLFLOW_RUNS_DIR": "nowhere"}).objects[0]["run_id"] == "far"
    assert call("show", "far", environ={"MINI_MLFLOW_RUNS_DIR": elsewhere}).code == DONE
    assert call("show", "aaa1", environ={"MINI_MLFLOW_RUNS_DIR": ""}).code == DONE


@pytest.mark.damaged_tree
def test_damaged_file_is_passed_over_with_a_line(tree: Path) -> None:
    """The rest is shown; the line names the file and no line of code."""
    (tree / "0" / "aaa1" / "snapshot.json").unlink()
    (tree / "0" / "aaa1" / "params" / "lr.json").write_text("{")
    done = call("show", "aaa1", "--no-curves")
    assert done.code == DONE
    assert "layers" in done.out
    assert done.err.startswith("mini-mlflow: skipped: %s" % (tree / "0" / "aaa1" / "params" / "lr.json"))
    assert done.err.count("\n") == 1


@pytest.mark.damaged_tree
def test_run_that_cannot_be_read_is_an_error(tree: Path) -> None:
    (tree / "0" / "aaa1" / "snapshot.json").unlink()
    (tree / "0" / "aaa1" / "meta.yaml").write_text("")
    done = call("show", "aaa1")
    assert (done.code, done.out) == (FAILED, "")
    assert "meta.yaml" in done.err


class Refusing(Stream):
    """A standard output that takes nothing, for a reason."""

    def __init__(self, number: int) -> None:
        super().__init__(False, "utf-8")
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.EPIPE, PIPE_CLOSED, ""),
        (errno.ENOSPC, FAILED, "mini-mlflow: standard output: No space left on device\n"),
    ],
)
def test_output_that_takes_no_more(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, code: int, said: str
) -> None:
    """A reader that went away is no error, a full disk is; and nothing is left to be written at the exit."""
    refusing = Refusing(number)
    monkeypatch.setattr("sys.stdout", refusing)
    assert main(["show", "aaa1"]) == code
    assert capsys.readouterr().err == said
    assert refusing.closed
