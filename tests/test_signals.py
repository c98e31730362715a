"""A signal handler may log, end the run and start another, at any moment of a call that it interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from typing import Any, Callable, Dict, List, Optional

import pytest

from concurrency import DEADLINE_S, import_path, run_python, run_together
from faults import (
    MOST_STEPS,
    OPERATIONS,
    Operation,
    at_line,
    call_after,
    call_before,
    list_litter,
    log_later_value,
    name_operation,
    read_stored,
    set_up,
    with_later_value,
)
from mini_mlflow import ExperimentTracker, Run, RunEndedError
from steps import expect, follow, lines_of
from whole_tree import check_whole_tree

INTERRUPTED = [operation for operation in OPERATIONS if operation.writes_to_live_run]

# What a longer search raises, without changing what is looked for.
SIGNALS_A_PROCESS = 60
PROCESSES_KILLED = 4


class Handler:
    """A signal handler, called in the middle of another call of its own thread; notes what it was told."""

    def __init__(self, run: Run, ends: bool) -> None:
        self.run = run
        self.ends = ends
        self.logged = False
        self.ended = False

    def __call__(self) -> None:
        try:
            self.run.log_metric("term", 1.0)
            self.logged = True
            if self.ends:
                self.run.end("KILLED")
                self.ended = True
        except RunEndedError:
            # Only the end of the run that it interrupted may have come first.
            pass


# Before each step everywhere; after it, which differs in what the call knows and not in what is on disk, at some.
MOMENTS = [(one, call_before) for one in INTERRUPTED] + [
    (one, call_after)
    for one in INTERRUPTED
    if one.name in ("first metric", "several metrics", "log call that folds", "flush that merges", "end")
]


@pytest.mark.parametrize("ends", [False, True], ids=["logs", "logs-and-ends"])
@pytest.mark.parametrize(
    ("operation", "moment"), MOMENTS, ids=["%s-%s" % (name_operation(one), kind.__name__) for one, kind in MOMENTS]
)
def test_handler_at_any_step_stores_its_value_once_and_loses_none_of_the_call_below(
    operation: Operation,
    ends: bool,
    moment: Callable[..., Any],
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    every_step: bool,
) -> None:
    """Of the steps that are taken from the same lines of the engine at the first and the last, as `steps` says."""
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    for at in course.telling():
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            handler = Handler(run, ends)
            refused: Optional[BaseException] = None
            with disk.armed(moment(handler), at):
                try:
                    operation.act(root, run)
                except RunEndedError as error:
                    refused = error
            assert (disk.struck is None) == (at == course.over)
            if disk.struck is None:
                run.is_open() and run.end()
                break
            what = "at step %d: %s%r" % (at, disk.struck.name, disk.struck.arguments[:2])
            judge(operation, root, run, handler, refused, course.before, course.after, what)


def judge(
    operation: Operation,
    root: str,
    run: Run,
    handler: Handler,
    refused: Optional[BaseException],
    before: Any,
    after: Any,
    what: str,
) -> None:
    """The handler was refused only below an end, the call below only after the handler's end, and all else is there."""
    ends_itself = operation.name.startswith("end")
    assert refused is None or handler.ended, what
    assert handler.logged or ends_itself, what
    seen = read_stored(root)
    assert seen is not None, what
    state = before if refused is not None and not ends_itself else after
    assert seen[1:] == with_term(state, handler.logged)[1:], what
    statuses = {"KILLED"} if handler.ended else {after.status}
    assert seen.status in statuses | ({after.status} if ends_itself and refused is None else set()), what
    try:
        judge_aftermath(root, run, seen)
    except AssertionError as error:
        raise AssertionError("%s\n%s" % (what, error)) from error


def with_term(stored: Any, logged: bool) -> Any:
    if not logged:
        return stored
    return stored._replace(metrics=dict(stored.metrics, term=1.0), histories=dict(stored.histories, term=[(0, 1.0)]))


def judge_aftermath(root: str, run: Run, seen: Any) -> None:
    """Other threads get in, the handle goes on, and the end leaves nothing behind."""
    if seen.status == "RUNNING":
        run_together(lambda: log_later_value(run))
        seen = with_later_value(seen, "RUNNING")
        assert read_stored(root) == seen
        run.end()
    else:
        with pytest.raises(RunEndedError, match="Cannot log"):
            run.log_metric("late", 1.0)
    after = read_stored(root)
    assert after is not None
    assert after[1:] == seen[1:]
    assert list_litter(root) == []
    check_whole_tree(root)


@pytest.mark.parametrize("ends", [False, True], ids=["logs", "logs-and-ends"])
@pytest.mark.parametrize(
    "operation",
    [one for one in INTERRUPTED if one.name in ("log call that folds", "end")],
    ids=name_operation,
)
def test_handler_at_any_line_stores_its_value_once_and_loses_none_of_the_call_below(
    operation: Operation, ends: bool, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(operation, monkeypatch)
    after = expect(operation, os.path.join(folder, "whole"))
    problems: List[str] = []
    for number in lines_of(operation, os.path.join(folder, "traced")):
        root = os.path.join(folder, str(number))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            before = read_stored(root)
            handler = Handler(run, ends)
            with at_line(number, handler) as moment:
                outcome = call(operation, root, run)
            try:
                assert moment.where is not None
                assert outcome is None or isinstance(outcome, RunEndedError), outcome
                judge(operation, root, run, handler, outcome, before, after, moment.where)
            except Exception as error:
                problems.append("line %d: %s: %s" % (number, moment.where, error))
    assert not problems, "\n".join(problems)


def call(operation: Operation, root: str, run: Run) -> Optional[BaseException]:
    try:
        operation.act(root, run)
        return None
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "operation",
    [one for one, moment in MOMENTS if moment is call_after],
    ids=name_operation,
)
def test_handler_at_any_step_can_start_and_end_another_run(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = set_up(operation, monkeypatch)
    for at in range(1, MOST_STEPS):
        root = os.path.join(folder, str(at))

        def start_another(root: str = root) -> None:
            with ExperimentTracker(runs_dir=root).start_run(run_id="other", nested=True) as other:
                other.log_metric("term", 1.0)

        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            with disk.armed(call_before(start_another), at):
                operation.act(root, run)
            if run.is_open():
                run.end()
        if disk.struck is None:
            break
        other = read_stored(root, "other")
        assert other is not None
        assert (other.status, other.histories) == ("FINISHED", {"term": [(0, 1.0)]})
        whole = expect(operation, root + "-whole")
        assert read_stored(root)[1:] == whole[1:]  # type: ignore[index]
        assert list_litter(root) == []
        check_whole_tree(root)
    assert at > 1


def test_handler_within_a_handler_stores_all_values(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = next(one for one in OPERATIONS if one.name == "log call that folds")
    disk = set_up(operation, monkeypatch)
    run = operation.prepare(folder, ExitStack())
    assert run is not None
    entered: List[float] = []

    def log_below() -> None:
        depth = float(len(entered))
        entered.append(depth)
        if depth < 4:
            with disk.armed(call_after(log_below), 3):
                run.log_metric("down", depth)
        run.log_metric("up", depth)

    with disk.armed(call_after(log_below), 3):
        run.log_metric("acc", 0.5)
    run.end()
    stored = read_stored(folder)
    assert stored is not None
    assert entered == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert sorted(value for _, value in stored.histories["down"]) == entered[:-1]
    assert [value for _, value in stored.histories["up"]] == entered[::-1]
    assert [value for _, value in stored.histories["acc"]] == [0.9, 0.5]
    assert list_litter(folder) == []


# -- real signals --------------------------------------------------------------------------------------------------

MANY_SIGNALS = """
    import random, signal, sys, threading
    from mini_mlflow import Run, RunEndedError

    root, ending, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)

    for number in range(count):
        run = Run(run_id="r%d" % number, runs_dir=root, fsync="never")
        acknowledged = 0

        def on_signal(signum, frame, run=run):
            run.log_metric("last", 1.0)
            run.end("KILLED")
            if ending == "exit":
                sys.exit(0)

        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0002, 0.01))
        try:
            while True:
                run.log_metric("loss", float(acknowledged))
                acknowledged += 1
        except RunEndedError:
            assert ending == "return"
        except SystemExit:
            assert ending == "exit"
        print(run.run_id, acknowledged)
    assert threading.active_count() == 1
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("ending", ["exit", "return"])
def test_handler_that_ends_the_run_in_a_hot_loop_loses_nothing(ending: str, folder: str) -> None:
    done = run_python(MANY_SIGNALS, folder, ending, str(SIGNALS_A_PROCESS), "1")
    reported = [line.split() for line in done.stdout.splitlines()]
    assert len(reported) == SIGNALS_A_PROCESS
    for run_id, acknowledged in reported:
        stored = read_stored(folder, run_id)
        assert stored is not None
        assert stored.status == "KILLED"
        assert stored.histories["last"] == [(0, 1.0)]
        judge_loop(stored.histories.get("loss", []), int(acknowledged))
        assert list_litter(folder, run_id) == []
    check_whole_tree(folder)


def judge_loop(points: Any, acknowledged: int) -> None:
    """Every acknowledged point once and in order; the one under way may be there, once."""
    assert len(points) in (acknowledged, acknowledged + 1)
    assert points == [(step, float(step)) for step in range(len(points))]


UNTIL_KILLED = """
    import signal, sys
    from mini_mlflow import ExperimentTracker

    with ExperimentTracker(runs_dir=sys.argv[1], fsync="never").start_run(run_id="r") as run:
        def on_sigterm(signum, frame):
            run.log_metric("last", float(acknowledged))
            run.end("KILLED")
            print(acknowledged, flush=True)
            sys.exit(0)

        acknowledged = 0
        signal.signal(signal.SIGTERM, on_sigterm)
        print("ready", flush=True)
        while True:
            run.log_metric("loss", float(acknowledged))
            acknowledged += 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
@pytest.mark.parametrize("number", range(PROCESSES_KILLED))
def test_sigterm_ends_the_run_and_the_process(number: int, folder: str, tmp_path: Any) -> None:
    """What Slurm and Kubernetes do to a job: it has a last word, and leaves with the status of its own choice."""
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(UNTIL_KILLED))
    environment: Dict[str, str] = dict(os.environ, PYTHONPATH=import_path())
    process = subprocess.Popen(
        [sys.executable, str(script), folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # Any moment is right; different ones are tried. Nothing depends on how far the loop has come.
        _spin(random.Random(number).randrange(200_000))
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, b"")
    acknowledged = int(out)
    stored = read_stored(folder)
    assert stored is not None
    assert stored.status == "KILLED"
    assert stored.histories["last"] == [(0, float(acknowledged))]
    judge_loop(stored.histories.get("loss", []), acknowledged)
    assert list_litter(folder) == []


def _spin(count: int) -> None:
    for _ in range(count):
        pass


def test_other_threads_go_on_beside_a_handler(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = next(one for one in OPERATIONS if one.name == "log call that folds")
    disk = set_up(operation, monkeypatch)
    for at in range(1, 30):
        root = os.path.join(folder, str(at))
        run = operation.prepare(root, ExitStack())
        assert run is not None
        names = "wxyz"
        log_all: List[Callable[[], Any]] = [
            lambda name=name, run=run: [run.log_metric(name, float(value)) for value in range(5)] for name in names
        ]

        def interrupted(root: str = root, run: Run = run, at: int = at, handler: Any = log_all[0]) -> None:
            with disk.armed(call_before(handler), at):
                operation.act(root, run)
            # As a follower of another thread it may have taken fewer steps of its own.
            if disk.struck is None:
                handler()

        run_together(interrupted, *log_all[1:])
        stored = read_stored(root)
        assert stored is not None
        for name in names:
            assert stored.histories[name] == [(value, float(value)) for value in range(5)]
        run.end()
        assert list_litter(root) == []
        check_whole_tree(root)
