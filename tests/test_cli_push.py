"""``mini-mlflow push``: what it prints, its exit codes, and what it refuses; the server is one in memory."""

from __future__ import annotations

import re
import sys
from typing import Any, List

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker, Run, ServerError
from mini_mlflow.cli.exit_codes import DONE, FAILED, INTERRUPTED, NO, USAGE
from mini_mlflow.exchange import mlflow_server, pushing
from push_server import FakeServer, cut_at

PUSH = ("push", "--to", "http://me:secret@fake:5000")


@pytest.fixture
def server(monkeypatch: Any) -> FakeServer:
    """The server that every address leads to."""
    fake = FakeServer()

    def connect(to: str) -> FakeServer:
        fake.to = to
        return fake

    monkeypatch.setattr(mlflow_server, "connect", connect)
    monkeypatch.setattr(pushing, "sleep", lambda seconds: None)
    return fake


@pytest.fixture
def tree(tmp_path: Any) -> None:
    """The tree of the working folder: two runs."""
    tracker = ExperimentTracker()
    with tracker.start_run("first", run_id="aaa") as run:
        run.log_params({"lr": 0.1, "layers": [1, 2]})
        run.log_metrics({"loss": 1.0})
    with tracker.start_run("second", run_id="bbb", experiment_id=7) as run:
        run.log_metrics({"loss": float("inf")})


def test_table_has_what_was_sent_and_what_was_changed(server: FakeServer, tree: None) -> None:
    done = call(*PUSH)
    assert done.code == DONE
    rows = [re.split(r"  +", line.strip()) for line in done.lines]
    assert rows[0] == ["run", "experiment", "name", "params", "tags", "points", "artifacts", "inputs", "on the server"]
    assert [rows[1][:5], rows[1][-1]] == [["aaa", "0", "first", "created", "2"], server.id_of("aaa")]
    assert rows[3] == [""]
    assert rows[5:7] == [
        ["aaa", "param", "layers", "the server takes texts alone", "changed: its JSON"],
        ["bbb", "metric", "loss", "1 point with an infinite value", "clamped: 1.7976931348623157e+308"],
    ]
    assert rows[7][:2] == ["experiment", "7"]
    assert done.err == "mini-mlflow: 2 runs to http://fake:5000: 2 created\n"
    again = call(*PUSH)
    assert (again.code, again.out) == (DONE, "")
    assert again.err == "mini-mlflow: 2 runs to http://fake:5000: 2 unchanged\n"


def test_json_has_a_line_a_run_with_its_notes(server: FakeServer, tree: None) -> None:
    done = call(*PUSH, "--json", "params.lr = 0.1")
    (line,) = done.objects
    assert (line["run_id"], line["server_run_id"], line["outcome"]) == ("aaa", server.id_of("aaa"), "created")
    assert (line["params"], line["points"], line["error"]) == (2, 1, None)
    assert [note["key"] for note in line["notes"]] == ["layers"]


def test_terminal_shows_a_bar(server: FakeServer, tree: None, monkeypatch: Any) -> None:
    from mini_mlflow.cli import progress

    now = iter(range(1000))
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(now)))
    shown = call(*PUSH, terminal=True).err
    assert "pushing [" in shown
    assert "1 of 2 runs" in shown


@pytest.mark.parametrize("way", [["metrics.loss > 0.5"], ["-f", "metrics.loss > 0.5"], ["-e", "0"]])
def test_some_runs_are_chosen_as_elsewhere(server: FakeServer, tree: None, way: List[str]) -> None:
    call(*PUSH, *way)
    assert {run["tags"]["mini_mlflow.run_id"] for run in server.runs.values()} >= {"aaa"}
    assert len(server.runs) == (1 if way[0] == "-e" else 2)


def test_exit_code_tells_what_is_left_out(server: FakeServer, tree: None) -> None:
    """3 where the server did not take all, 1 where a run failed or the server went away, with a line of why."""
    server.refused_keys = ("lr",)
    assert call(*PUSH).code == NO
    server.experiments["Default"]["deleted"] = True
    failed = call(*PUSH)
    assert (failed.code, "aaa: experiment 'Default' was deleted on the server" in failed.err) == (FAILED, True)
    server.calls.clear()
    server.cut = cut_at(1, False, ServerError("gone away"))
    away = call(*PUSH)
    assert (away.code, "mini-mlflow: gone away\n" in away.err) == (FAILED, True)


def test_dry_run_sends_nothing(server: FakeServer, tree: None) -> None:
    done = call(*PUSH, "--dry-run", "--json")
    assert (done.code, server.writes) == (DONE, [])
    assert [(line["outcome"], line["server_run_id"]) for line in done.objects[:2]] == [("created", None)] * 2
    assert done.err.endswith("2 created would be (nothing was sent)\n")


def test_watching_prints_what_is_new_and_ends_in_time(server: FakeServer, tree: None, monkeypatch: Any) -> None:
    run = Run("ccc")
    times = iter([0.0, 1.0, 2.0, 9.0, 11.0])
    monkeypatch.setattr(pushing, "monotonic", lambda: next(times))
    logged = iter([lambda: run.log_metric("loss", 1.0), lambda: None, run.end])
    monkeypatch.setattr(pushing, "sleep", lambda seconds: next(logged)())
    done = call(*PUSH, "--watch", "--for", "10", "--json")
    assert done.code == DONE
    sent = [(line["run_id"], line["outcome"], line["points"]) for line in done.objects if "run_id" in line]
    assert sent[2:] == [("ccc", "created", 0), ("ccc", "updated", 1), ("ccc", "updated", 0)]
    assert server.run_of("ccc")["status"] == "FINISHED"


def test_interrupt_ends_it_quietly_and_the_lock_is_free(server: FakeServer, tree: None, monkeypatch: Any) -> None:
    def interrupt(number: int, done: bool) -> None:
        if number == 9 and not done:
            raise KeyboardInterrupt

    server.cut = interrupt
    done = call(*PUSH, "--watch")
    assert (done.code, done.out) == (INTERRUPTED, "")
    assert "Traceback" not in done.err
    server.cut = lambda number, done: None
    assert call(*PUSH).code == DONE
    assert len(server.runs) == 2


@pytest.mark.parametrize(
    "arguments",
    [["push"], [*PUSH, "a = 1", "-f", "b = 1"], [*PUSH, "--for", "5"], [*PUSH, "--watch", "--dry-run"],
     [*PUSH, "nonsense <"], [*PUSH, "--crashed", "DEAD"]],
)  # fmt: skip
def test_bad_command_line_is_told_and_nothing_sent(server: FakeServer, tree: None, arguments: List[str]) -> None:
    assert call(*arguments).code == USAGE
    assert server.calls == []


def test_without_mlflow_it_says_what_to_install(tree: None, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = call(*PUSH)
    assert (done.code, done.out) == (FAILED, "")
    told = 'push needs MLflow\'s client: pip install mlflow-skinny (the extra "mlflow" of mini-mlflow)'
    assert done.err == "mini-mlflow: %s\n" % told
