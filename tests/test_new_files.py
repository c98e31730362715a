"""The first value of a key is its document at once, and no commit: when that is so, and what it must not break."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from concurrency import in_child, run_together
from faults import FaultyOs, call_after, call_before, install, interrupt_after, open_run, ration_documents, read_stored
from mini_mlflow import ExperimentTracker, Run, RunEndedError
from mini_mlflow.disk import regular
from mini_mlflow.disk.keys import quote_key

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyOs:
    ration_documents(monkeypatch, refresh=False)
    return install(monkeypatch)


def commits(root: str) -> List[str]:
    log = Path(root, "0", "r", "log")
    return sorted(path.name for path in log.iterdir()) if log.is_dir() else []


def document(root: str, kind: str, key: str) -> Dict[str, Any]:
    return dict(json.loads(Path(root, "0", "r", kind, quote_key(key) + ".json").read_text("utf-8")))


def history(root: str, key: str) -> List[float]:
    return [point.value for point in ExperimentTracker(runs_dir=root).get_metric_history("r", key)]


def test_first_values_of_keys_are_one_file_each(runs_dir: str, disk: FaultyOs) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)
    for log in (
        lambda: run.log_param("lr", 0.1),
        lambda: run.log_metric("loss", 0.5, step=7),
        lambda: run.set_tag("t", "u"),
    ):
        with disk.armed(lambda step: step.carry_out()):
            log()
        assert [name for name in disk.steps if name in ("replace", "rename")] == ["replace"]
    assert commits(runs_dir) == []
    run.log_metric("loss", 0.25)
    run.log_params({"lr": 0.2, "depth": 3})
    assert commits(runs_dir) == ["1.json", "2.json"]
    run.log_metric("accuracy", 0.9)
    assert commits(runs_dir) == ["1.json", "2.json"]
    for _ in range(2):
        stored = read_stored(runs_dir)
        assert stored is not None
        assert stored.params == {"lr": 0.2, "depth": 3}
        assert stored.histories == {"loss": [(7, 0.5), (1, 0.25)], "accuracy": [(0, 0.9)]}
        if run.is_open():
            run.end()


@needs_fork
def test_commit_that_a_dead_process_left_comes_before_the_next_value_of_its_key(runs_dir: str, disk: FaultyOs) -> None:
    """It was killed between its commit and the documents: for the next writer, no key of it is a first one."""

    def die(step: Any) -> Any:
        if step.name == "replace" and "/log/" in step.arguments[1]:
            step.carry_out()
            os.kill(os.getpid(), signal.SIGKILL)
        return step.carry_out()

    def log_and_die() -> None:
        run = open_run(runs_dir)
        with disk.armed(die, lasting=True):
            run.log_metrics({"loss": 1.0, "accuracy": 1.0})

    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    assert os.WTERMSIG(in_child(log_and_die)) == signal.SIGKILL
    assert not Path(runs_dir, "0", "r", "metrics").exists()
    run.log_metric("loss", 2.0)
    assert history(runs_dir, "loss") == [1.0, 2.0]
    run.end()
    assert (history(runs_dir, "loss"), history(runs_dir, "accuracy")) == ([1.0, 2.0], [1.0])


@needs_fork
def test_processes_that_log_the_first_values_of_the_same_keys_keep_all(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir)

    def log_in_turn(first: int) -> None:
        attached = open_run(runs_dir)
        for number in range(first, first + 5):
            attached.log_metric("m%d" % (number % 7), float(number))
            attached.log_param("p%d" % (number % 7), number)

    for first in range(0, 20, 5):
        assert in_child(lambda first=first: log_in_turn(first)) == 0
        run.log_metric("own", float(first))
    run.end()
    for key in range(7):
        assert history(runs_dir, "m%d" % key) == [float(number) for number in range(20) if number % 7 == key]
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["params"] == {
        "p%d" % key: max(number for number in range(20) if number % 7 == key) for key in range(7)
    }


@needs_fork
def test_first_value_after_another_process_ended_the_run_is_refused(runs_dir: str) -> None:
    """Ended and resumed, it is taken: nothing that this process knew of the log is relied on."""
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    assert in_child(lambda: open_run(runs_dir).end()) == 0
    with pytest.raises(RunEndedError):
        run.log_param("late", 1)
    assert not Path(runs_dir, "0", "r", "params", "late.json").exists()

    other = Run(run_id="s", runs_dir=runs_dir)
    other.log_param("lr", 0.1)

    def end_and_resume() -> None:
        tracker = ExperimentTracker(runs_dir=runs_dir)
        for value in range(3):
            with tracker.start_run(run_id="s") as attached:
                attached.log_metrics({"a": float(value), "b": 0.0})
        tracker.start_run(run_id="s").log_metric("a", 3.0)

    assert in_child(end_and_resume) == 0
    other.log_metric("c", 1.0)
    other.log_metric("a", 4.0)
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history("s", "a")
    assert [point.value for point in points] == [0.0, 1.0, 2.0, 3.0, 4.0]
    Run(run_id="s", runs_dir=runs_dir).end()


@pytest.mark.parametrize("moment", [call_before, call_after], ids=["before", "after"])
def test_handler_that_logs_the_same_key_at_any_step_loses_neither_value(
    moment: Any, runs_dir: str, disk: FaultyOs
) -> None:
    for at in range(1, 30):
        root = os.path.join(runs_dir, str(at))
        run = Run(run_id="r", runs_dir=root)
        with disk.armed(moment(lambda run=run: run.log_metric("loss", 2.0)), at):
            run.log_metric("loss", 1.0)
        struck = disk.struck
        run.end()
        assert sorted(history(root, "loss")) == ([1.0, 2.0] if struck else [1.0])
        if struck is None:
            break
    assert 3 < at < 29


def test_interrupted_first_value_is_told_apart_by_its_bytes(runs_dir: str, disk: FaultyOs) -> None:
    """Interrupted just after its rename, it is stored, once, and the handle goes on."""
    run = Run(run_id="r", runs_dir=runs_dir)
    for at in range(1, 30):
        key = "m%d" % at
        with disk.armed(interrupt_after, at):
            try:
                run.log_metric(key, 1.0)
            except KeyboardInterrupt:
                pass
        if disk.struck is None:
            break
        stored = history(runs_dir, key)
        assert stored == ([1.0] if disk.struck.name == "replace" else [])
        run.log_metric(key, 2.0)
        assert history(runs_dir, key) == [*stored, 2.0]
    assert 3 < at < 29
    run.end()


def test_reader_sees_first_values_in_the_order_in_which_they_were_logged(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes while another is looked for is not seen without it: the run is read again then."""
    run = Run(run_id="r", runs_dir=runs_dir)
    run.set_tag("kind", "t")
    tracker = ExperimentTracker(runs_dir=runs_dir)
    real, listed = os.listdir, []

    def listdir(path: str) -> List[str]:
        names = real(path)
        listed.append(os.path.basename(path))
        if listed.count("tags") == 1 and listed[-1] == "tags":
            run.log_param("first", 1)
            run.log_metric("second", 2.0)
        return names

    monkeypatch.setattr(regular.os, "listdir", listdir)
    seen = tracker.get_run("r")
    assert (seen["params"], seen["metrics"]) == ({"first": 1}, {"second": 2.0})
    run.end()


def test_threads_that_log_first_values_at_once_keep_all(runs_dir: str) -> None:
    run = Run(run_id="r", runs_dir=runs_dir, fsync="never")

    def log(thread: int) -> None:
        for number in range(20):
            run.log_metric("m%d" % number, float(thread))
            run.log_param("p%d-%d" % (thread, number), number)

    run_together(*[lambda thread=thread: log(thread) for thread in range(8)])
    for _ in range(2):
        assert all(sorted(history(runs_dir, "m%d" % n)) == [float(thread) for thread in range(8)] for n in range(20))
        assert len(ExperimentTracker(runs_dir=runs_dir).get_run("r")["params"]) == 160
        if run.is_open():
            run.end()
