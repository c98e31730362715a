"""A process killed at any file system step of any operation leaves the state before it or after it, nothing else.

Killed is at each step before which the tree is another than before the step before: `steps` finds them.
"""

from __future__ import annotations

import errno
import os
import signal
import warnings
from contextlib import ExitStack
from typing import Any, Callable, List, Optional

import pytest

from concurrency import in_child
from faults import (
    MOST_STEPS,
    OPERATIONS,
    RUN_ID,
    FaultyOs,
    Operation,
    Step,
    Stored,
    kill,
    list_litter,
    log_later_value,
    name_operation,
    open_run,
    read_stored,
    set_up,
    with_later_value,
)
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run, RunEndedError, RunNotFoundError
from mini_mlflow.disk import regular
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress, resolve_settings
from mini_mlflow.writing import ended_snapshots
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission
from steps import changing_when_forked, follow
from whole_tree import check_whole_tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def act_and_die(operation: Operation, root: str, disk: FaultyOs, at: int) -> bool:
    """Whether a child died at that step; False if it had done all of the operation."""

    def work() -> None:
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            with disk.armed(kill, at):
                operation.act(root, run)
            stack.pop_all()

    status = in_child(work)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, "the child exited with %d" % status
    return status != 0


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_operation)
def test_killed_at_any_step_leaves_before_or_after_and_lets_the_next_writer_in(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    before, after = course.before, course.after
    seen_before = False
    for at in course.changing():
        root = os.path.join(folder, str(at))
        died = act_and_die(operation, root, disk, at)
        assert died == (at < course.over)
        seen = read_stored(root) if os.path.isdir(root) else None
        assert seen in ((before, after) if died else (after,)), "killed at step %d" % at
        seen_before = seen_before or seen == before
        if os.path.isdir(root):
            check_whole_tree(root, leftovers=True)
        run = open_run(root)
        log_later_value(run)
        run.end()
        assert read_stored(root) == with_later_value(seen), "killed at step %d" % at
        assert list_litter(root) == [], "killed at step %d" % at
        # Sealed files that a fold had merged but not yet removed may stay; nothing lists them.
        check_whole_tree(root, leftovers=True)
    assert seen_before


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.writes_to_live_run], ids=name_operation)
def test_process_beside_one_that_is_killed_stores_its_value_or_is_told_that_the_run_has_ended(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    """A process that has logged to the run all along goes on with what it knows of the log."""
    disk = set_up(operation, monkeypatch)
    numbers = changing_when_forked(operation, os.path.join(folder, "whole"), disk, every_step)
    for at in numbers:
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None

            def act_on_copy(root: str = root, run: Run = run, at: int = at) -> None:
                with disk.armed(kill, at):
                    operation.act(root, run)

            assert (in_child(act_on_copy) != 0) == (at < numbers[-1])
            seen = read_stored(root)
            assert seen is not None
            try:
                log_later_value(run)
                stored = with_later_value(seen, seen.status)
            except RunEndedError:
                assert seen.status != "RUNNING", "killed at step %d" % at
                stored = seen
            assert read_stored(root) == stored, "killed at step %d" % at
            if seen.status == "RUNNING":
                run.end()
                assert read_stored(root) == stored._replace(status="FINISHED")


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_operation)
def test_reader_at_any_step_of_a_writer_sees_before_or_after(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk)
    before, after = course.before, course.after
    root = os.path.join(folder, "read")
    seen: List[Optional[Stored]] = []

    def look_before(step: Step) -> Any:
        seen.append(read_stored(root))
        return step.carry_out()

    with ExitStack() as stack:
        run = operation.prepare(root, stack)
        with disk.armed(look_before, lasting=True):
            run = operation.act(root, run)
        seen.append(read_stored(root))
        if run.is_open():
            run.end()
    assert len(seen) == course.over
    # Once the new state was seen, the old one never comes back from one step to the next.
    assert [state for state in seen if state not in (before, after)] == []
    if before != after:
        assert seen == sorted(seen, key=lambda state: state == after)


class _OvertakenOs:
    """The name ``os`` of `disk.regular`, through which all reading goes: lets a writer act before the n-th look."""

    def __init__(self) -> None:
        self.arm(0, lambda: None)

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in ("open", "listdir", "access"):
            return real

        def look(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.write()
            return real(*arguments, **options)

        return look

    def arm(self, at: int, write: Callable[[], Any]) -> None:
        """From now on looks are counted anew; 0 is never reached."""
        self.count, self.at, self.write = 0, at, write


def or_gone(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def look(root: str) -> Any:
        try:
            return read(root)
        except RunNotFoundError:
            return []

    return look


READS = {
    "run": or_gone(lambda root: ExperimentTracker(runs_dir=root).get_run(RUN_ID)),
    "history": or_gone(lambda root: ExperimentTracker(runs_dir=root).get_metric_history(RUN_ID, "loss")),
    "list": lambda root: ExperimentTracker(runs_dir=root).list_runs(),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if not one.name.startswith(("create", "restore", "gc"))], ids=name_operation
)
def test_writer_between_any_two_looks_of_a_reader_shows_before_or_after(
    operation: Operation, read: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(operation, monkeypatch)
    reader = _OvertakenOs()
    monkeypatch.setattr(regular, "os", reader)
    for at in range(1, MOST_STEPS):
        root = os.path.join(folder, str(at))
        done: List[Run] = []
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            reader.arm(0, lambda: None)
            before = comparable(READS[read](root))
            reader.arm(at, lambda root=root, run=run, done=done: done.append(operation.act(root, run)))
            seen = comparable(READS[read](root))
            reader.arm(0, lambda: None)
            acted = bool(done)
            if not acted:
                done.append(operation.act(root, run))
            after = comparable(READS[read](root))
            if done[0].is_open():
                done[0].end()
        assert seen in (before, after), "overtaken at look %d" % at
        if not acted:
            break
    assert at > 1


def test_reader_that_began_before_an_end_sees_what_was_changed_after_it_whole_or_not_at_all(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changed the run was cut short once its snapshot stood: of two documents, one had followed it."""
    write = ended_snapshots._write

    def follow_half(paths: RunPaths, documents: Any, sync: bool) -> None:
        write(paths, documents if sync else documents[:1], sync)
        if not sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO), paths.folder)

    monkeypatch.setattr(ended_snapshots, "_write", follow_half)
    reader = _OvertakenOs()
    monkeypatch.setattr(regular, "os", reader)
    seen = []
    for at in range(1, MOST_STEPS):
        root = os.path.join(folder, str(at))
        run = ExperimentTracker(runs_dir=root).start_run(run_id=RUN_ID)
        run.log_params({"a": 1, "b": 1})
        done: List[bool] = []

        def end_and_change(root: str = root, run: Run = run, done: List[bool] = done) -> None:
            run.end()
            changed = batch_submission(params={"a": 2, "b": 2})
            amend_at(RunAddress(root, 0, RUN_ID), resolve_settings(), changed)
            done.append(True)

        reader.arm(at, end_and_change)
        seen.append(ExperimentTracker(runs_dir=root).get_run(RUN_ID)["params"])
        reader.arm(0, lambda: None)
        if not done:
            run.end()
            break
    assert {(params["a"], params["b"]) for params in seen} == {(1, 1), (2, 2)}


def comparable(seen: Any) -> Any:
    """Without the instants, which differ from one writing to the next, and with the owner's death left out."""
    if isinstance(seen, list):
        return [point[:2] if isinstance(point, tuple) else point for point in seen]
    status = {"CRASHED": "RUNNING"}.get(seen["metadata"]["status"], seen["metadata"]["status"])
    return status, {name: seen[name] for name in ("params", "tags", "metrics")}


def test_run_that_is_ended_and_resumed_between_two_looks_is_not_dead(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner lock is free for a moment, and it says RUNNING before and after: no reader may take it for crashed."""
    tracker = ExperimentTracker(runs_dir=folder)
    run = tracker.start_run(run_id=RUN_ID)
    run.log_metric("loss", 1.0)
    reader = _OvertakenOs()
    monkeypatch.setattr(regular, "os", reader)

    def rest() -> None:
        reader.arm(0, lambda: None)

    def end() -> None:
        rest()
        tracker.end_run()
        reader.arm(1, resume)

    def resume() -> None:
        rest()
        tracker.start_run(run_id=RUN_ID)

    seen = set()
    for at in range(1, 40):
        reader.arm(at, end)
        seen.add(tracker.get_run(RUN_ID)["metadata"]["status"])
        rest()
        if tracker.active_run() is None:
            resume()
    tracker.end_run()
    assert seen <= {"RUNNING", "FINISHED"}


def test_operations_fold_seal_and_merge_as_their_names_say(folder: str) -> None:
    """The enumerations above are worth what they go through."""
    found = {}
    for operation in OPERATIONS:
        root = os.path.join(folder, operation.name.replace(" ", "-"))
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            set_up(operation, patch)
            run = operation.act(root, operation.prepare(root, stack))
            run_folder = os.path.join(root, "0", RUN_ID)
            history = os.path.join(run_folder, "metrics", "loss.history")
            found[operation.name] = tuple(
                sorted(os.listdir(path)) if os.path.isdir(path) else []
                for path in (os.path.join(run_folder, "log"), history)
            )
            if run.is_open():
                run.end()
    assert len(found["existing metric, in the log"][0]) == 4
    assert len(found["log call that folds"][0]) == 1
    assert len(found["flush"][0]) == 1
    assert found["flush that seals"][1] == ["0-3.jsonl"]
    assert found["flush that merges"][1] == ["0-7.jsonl"]
    assert found["end"][0] == []


def test_dead_owner_shows_as_crashed_until_somebody_takes_over(folder: str) -> None:
    tracker = ExperimentTracker(runs_dir=folder)

    def start_and_die() -> None:
        run = open_run(folder)
        run.log_metric("loss", 0.5)
        assert tracker.get_run(RUN_ID)["metadata"]["status"] == "RUNNING"
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(start_and_die)) == signal.SIGKILL
    assert tracker.get_run(RUN_ID)["metadata"]["status"] == "CRASHED"
    run = open_run(folder)
    assert tracker.get_run(RUN_ID)["metadata"]["status"] == "RUNNING"
    run.end()
    assert tracker.get_run(RUN_ID)["metadata"]["status"] == "FINISHED"


@pytest.mark.parametrize("kind", ["params", "metrics", "tags", "log", "."])
def test_leftover_temporaries_show_nowhere_and_are_swept_at_the_end(kind: str, folder: str) -> None:
    run = open_run(folder)
    run.log_param("lr", 0.1)
    run.log_metric("loss", 0.5)
    run.set_tags({"kind": "t", "other": "u"})
    before = read_stored(folder)
    for name in (".tmp-0123456789ab-1", ".tmp-0123456789ab-2.json", ".tmp-0123456789ab-staged-3"):
        path = os.path.join(folder, "0", RUN_ID, kind, name)
        with open(path, "w") as file:
            file.write('{"value": 1, "timestamp": "2026-01-01T00:00:00Z", "key": "ghost", "commit": 99}\n')
    assert read_stored(folder) == before
    run.log_metric("loss", 0.25)
    run.end()
    assert list_litter(folder) == []


def test_power_cut_leaves_an_empty_commit_that_readers_and_the_next_writer_pass_over(folder: str) -> None:
    """What a power cut leaves of the newest commit is skipped with a warning, its number is not used again."""
    with pytest.MonkeyPatch.context() as patch:
        set_up(Operation("", lambda root, stack: None, lambda root, run: run, refresh=False), patch)  # type: ignore
        status = in_child(lambda: [open_run(folder).log_metric("loss", float(value)) for value in range(4)])
    assert status == 0
    log = os.path.join(folder, "0", RUN_ID, "log")
    newest = max(os.listdir(log), key=lambda name: int(name.partition(".")[0]))
    open(os.path.join(log, newest), "w").close()
    with pytest.warns(DamagedFileWarning):
        seen = read_stored(folder)
    assert seen is not None
    assert seen.histories["loss"] == [(step, float(step)) for step in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        run = open_run(folder)
        run.log_metric("loss", 9.0)
        run.end()
    after = read_stored(folder)
    assert after is not None
    assert after.histories["loss"] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 9.0)]
