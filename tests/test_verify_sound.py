"""Verifying what is sound: no life of a run and no moment of a writer's work gives a finding; nothing is changed."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import stat
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import faults
import test_damage
from concurrency import DEADLINE_S, Children, run_together
from faults import OPERATIONS, Operation, set_up
from mini_mlflow import ExperimentTracker, Run, RunEndedError
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.formats.commits import MetricChange, ValueChange
from mini_mlflow.formats.values import encode_value
from mini_mlflow.upkeep import Finding, confirming, iter_findings, verify
from mini_mlflow.writing.operations import Submission
from tree_check import list_tree

tree = test_damage.tree
OLD = Path(__file__).resolve().parent / "data" / "tree_0_1_0"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
#: Looks at a tree while others write to it.
LOOKS = 6


@pytest.fixture
def one_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is taken is asked for once: its holder waits for this very look."""
    monkeypatch.setattr(confirming, "_ASKED_AT_MOST", 1)


def log_everything(run: Run) -> None:
    run.log_params({"lr": 0.1, "größe": [float("inf"), {"a": None}], "long " * 30 + "key": "x"})
    run.set_tag("stage", "first")
    for n in range(11):
        run.log_metrics({"loss": n - 4.0, "精度": float("nan")}, step=-n)
        if n == 5:
            run.flush()
    run.log_metric("once", float("-inf"))
    run.set_tag("stage", "second")


def log_what_a_layer_may(run: Run) -> None:
    """Keys that the public API refuses: quoted, shortened, and one that looks like a temporary."""
    for key in ("train/loss", "", "x" * 400, ".tmp-1", "nul", "50%", "a\ud800"):
        encoded = encode_value({"of": 1}, "param")
        for change in (MetricChange(key, 0.5, None, 1000), ValueChange("params", key, encoded, "2026-11-23T07:15:10Z")):
            run._submit(Submission([change], [change.dump()]))


@pytest.mark.parametrize("refresh", [True, False])
def test_no_life_of_a_run_gives_a_finding(runs_dir: str, monkeypatch: pytest.MonkeyPatch, refresh: bool) -> None:
    """Fresh, live, flushed, ended, failed, resumed, resumed and ended; with histories that are sealed and merged."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh)
    tracker = ExperimentTracker("name: x\n", experiment_id=7, runs_dir=runs_dir)
    for life in ("live", "flushed", "ended", "resumed", "twice"):
        run = Run(run_id=life, runs_dir=runs_dir)
        assert verify(runs_dir) == []
        log_everything(run)
        log_what_a_layer_may(run)
        assert verify(runs_dir) == []
        if life == "flushed":
            run.flush()
        elif life != "live":
            run.end("FAILED" if life == "ended" else "FINISHED")
        assert verify(runs_dir) == []
        if life in ("resumed", "twice"):
            with tracker.start_run(run_id=life, experiment_id=0) as run:
                assert verify(runs_dir) == []
                log_everything(run)
                assert verify(runs_dir) == []
                if life == "resumed":
                    run.flush()
            assert verify(runs_dir) == []
    with tracker:
        pass
    assert verify(runs_dir) == []


def test_tree_of_0_1_0_gives_no_finding_and_gives_none_when_it_goes_on(tmp_path: Path) -> None:
    assert verify(OLD) == []
    root = tmp_path / "tree"
    shutil.copytree(str(OLD), str(root))
    tracker = ExperimentTracker(runs_dir=root)
    for run_id in tracker.list_runs():
        with tracker.start_run(run_id=run_id) as run:
            log_everything(run)
            for key in tracker.get_run(run_id)["metrics"]:
                run.log_metric(key, 7.0)
            assert verify(root) == []
        assert verify(root) == []


def describe(root: Path) -> Dict[str, Tuple[int, ...]]:
    found = {}
    for path in [str(root), *list_tree(str(root))]:
        status = os.lstat(path)
        found[path] = (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


@pytest.mark.damaged_tree
def test_nothing_is_changed_and_a_read_only_tree_is_verified(tree: Any, tmp_path: Path) -> None:
    """Not a byte, a name, a mode or a time is another one afterwards, although there is something to find."""
    root = tmp_path / "tree"
    shutil.copytree(tree.tracker.runs_dir, str(root))
    (root / "0" / "ended" / "params" / "lr.json").write_bytes(b"")
    (root / "0" / "ended" / ".tmp-1").write_bytes(b"")
    writable = verify(root)
    assert {finding.rule for finding in writable} >= {"torn-document", "temporary"}
    paths = [str(root), *list_tree(str(root))]
    for path in paths:
        os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & ~0o222)
    try:
        before = describe(root), list_tree(str(root))
        assert verify(root) == writable
        assert (describe(root), list_tree(str(root))) == before
    finally:
        for path in paths:
            os.chmod(path, 0o755)


# -- beside writers ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[str]:
    with faults.quick_folder() as path:
        yield path


@needs_fork
@pytest.mark.usefixtures("one_ask")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name.replace(" ", "-"))
def test_no_step_of_a_writer_gives_a_finding(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at before each of its steps in the file system, with the writer held there."""
    disk = set_up(operation, monkeypatch)
    root = os.path.join(folder, "tree")
    seen: List[Finding] = []
    # What a killed owner left is as it is until the new owner has the run; so is what was left by who deleted an
    # experiment, until the next one has its runs, and by who changed a run after its end.
    known = {"dead-owner", "end-half-done", "experiment-half-deleted"} | (
        {"snapshot-missing"} if "snapshot" in operation.name else set()
    )
    known |= {"document-ahead"} if "killed change" in operation.name else set()

    def look() -> None:
        if os.path.isdir(root):
            seen.extend(finding for finding in verify(root) if finding.rule not in known)

    with ExitStack() as stack:
        run = operation.prepare(root, stack)
        with disk.armed(faults.call_before(look), lasting=True):
            run = operation.act(root, run)
        assert disk.struck is not None
        if run.is_open():
            run.end()
    assert seen == []
    # The owner of a run that was restored was another process, which is over.
    left = {"dead-owner"} if operation.name == "restore a live run" else set()
    assert {finding.rule for finding in verify(root)} == left


def write_lives(runs_dir: str, name: str, is_over: Callable[[], bool]) -> None:
    """New keys, long histories, folds, ends and resumes, on a run of its own and on one that others share."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    shared = Run(run_id="shared", runs_dir=runs_dir)
    number = 0
    while not is_over():
        with tracker.start_run(run_id=name) as run:
            for _ in range(12):
                number += 1
                log_numbers(run, name, number)
                try:
                    log_numbers(shared, name, number)
                except RunEndedError:
                    # Its owner was quicker to leave.
                    assert is_over()
            run.flush()


def log_numbers(run: Run, name: str, number: int) -> None:
    key = "%s-%d" % (name, number % 40)
    run.log_metrics({"loss": float(number), key: 0.5})
    run.log_params({"last": number, key: number})


def verify_often(runs_dir: str, looks: int) -> List[Finding]:
    return [finding for _ in range(looks) for finding in verify(runs_dir)]


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Of three busy threads, each is let on after 0.1 ms: at the usual 5, a look takes most of a second."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
def test_hot_writers_in_threads_give_no_findings(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While documents are made, replaced, sealed and merged, and runs are ended and resumed."""
    faults.seal_early(monkeypatch)
    begun, over = threading.Event(), threading.Event()

    def look() -> List[Finding]:
        try:
            assert begun.wait(DEADLINE_S)
            return verify_often(runs_dir, LOOKS)
        finally:
            over.set()

    def write(name: str) -> None:
        Run(run_id="shared", runs_dir=runs_dir)
        begun.set()
        write_lives(runs_dir, name, over.is_set)

    assert run_together(look, lambda: write("a"), lambda: write("b"))[0] == []


def write_until(runs_dir: str, name: str, begun: Any, over: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        faults.seal_early(patch)
        Run(run_id="shared", runs_dir=runs_dir)
        begun.release()
        write_lives(runs_dir, name, over.is_set)


@pytest.mark.long
def test_hot_writers_in_processes_give_no_findings(runs_dir: str) -> None:
    """As above; their owners are other processes, and the shared run passes from one to the other."""
    with Children("spawn") as children:
        begun, over = children.context.Semaphore(0), children.context.Event()
        try:
            for name in ("a", "b"):
                children.start(write_until, runs_dir, name, begun, over)
            assert all(begun.acquire(timeout=DEADLINE_S) for _ in "ab")
            found = verify_often(runs_dir, LOOKS)
        finally:
            over.set()
    assert found == []


PARTS = (
    "look_at_entries look_at_meta look_at_snapshot look_at_log look_at_values look_at_metrics "
    "look_for_documents_of_log look_for_documents_ahead compare_snapshot look_at_owner"
).split()


class Intruder:
    """A run that goes on a little whenever a look has come to a certain part."""

    def __init__(self, runs_dir: str) -> None:
        self.tracker = ExperimentTracker(runs_dir=runs_dir)
        self.run = faults.open_run(runs_dir)
        self.number = 0

    def log(self) -> None:
        self.number += 1
        log_numbers(self.run, "new", self.number)
        if self.number % 3 == 0:
            self.run.flush()

    def end_or_resume(self) -> None:
        if self.run.is_open():
            self.log()
            self.run.end()
        else:
            self.run = faults.open_run(self.tracker.runs_dir)

    def end_and_resume(self) -> None:
        self.end_or_resume()
        self.end_or_resume()

    def end(self) -> None:
        if self.run.is_open():
            self.end_or_resume()

    def resume(self) -> None:
        if not self.run.is_open():
            self.end_or_resume()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("work", ["log", "end_or_resume", "end_and_resume", "end", "resume"])
def test_writer_between_two_parts_of_a_look_gives_no_finding(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch, part: str, work: str
) -> None:
    """Nor when it comes again at the same part of the second look, after it has undone its work in between."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)
    intruder = Intruder(runs_dir)
    intruder.log()
    looking = importlib.import_module("mini_mlflow.upkeep.verify")
    real = getattr(looking, part)

    def intrude(look: Any, *rest: Any) -> Any:
        getattr(intruder, work)()
        return real(look, *rest)

    def undo(lock: str = "") -> bool:
        {"end": intruder.resume, "resume": intruder.end}.get(work, lambda: None)()
        return True

    monkeypatch.setattr(looking, part, intrude)
    monkeypatch.setattr(confirming, "_is_seen_free", undo)
    before = intruder.number
    for _ in range(3):
        undo()
        assert verify(runs_dir) == []
    assert intruder.number > before
    monkeypatch.undo()
    assert verify(runs_dir) == []


# -- what is doubted -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_ask")
def test_doubt_is_told_only_once_the_lock_is_free(runs_dir: str) -> None:
    """A temporary is the work of whoever holds the run's lock; when nobody does, it is a leftover."""
    Run("r", runs_dir=runs_dir).end()
    temporary = Path(runs_dir) / "0" / "r" / ".tmp-1"
    temporary.write_bytes(b"")
    writer = KeptLock(os.path.join(runs_dir, ".locks", "0", "r.lock"))
    writer.acquire(1.0)
    assert verify(runs_dir) == []
    writer.release()
    assert [finding.rule for finding in verify(runs_dir)] == ["temporary"]
    temporary.unlink()


@pytest.mark.parametrize("again", [False, True])
def test_doubt_that_is_gone_at_a_second_look_is_dropped(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Also when the same rule is broken elsewhere then."""
    Run("r", runs_dir=runs_dir).end()
    temporary = Path(runs_dir) / "0" / "r" / ".tmp-1"
    temporary.write_bytes(b"")

    is_seen_free = confirming._is_seen_free

    def go_on(lock: str) -> bool:
        temporary.unlink()
        if again:
            temporary.with_name(".tmp-2").write_bytes(b"")
        return is_seen_free(lock)

    monkeypatch.setattr(confirming, "_is_seen_free", go_on)
    assert verify(runs_dir) == []
    if again:
        temporary.with_name(".tmp-2").unlink()


def test_lock_is_not_kept(runs_dir: str) -> None:
    """Asking for a lock takes it for a moment, shared, and gives it back."""
    run = Run("r", runs_dir=runs_dir)
    path = Path(runs_dir) / "0" / "r" / ".tmp-1"
    path.write_bytes(b"")
    (finding,) = verify(runs_dir)
    assert finding.path == os.path.join("0", "r", ".tmp-1")
    assert is_held(os.path.join(runs_dir, ".locks", "0", "r.lock")) is False
    run.end()
    assert not path.exists()


def test_findings_come_as_they_are_found(runs_dir: str) -> None:
    """One damaged run is told before the next is read: what is held does not grow with the number of runs."""
    for run_id in ("a", "b"):
        with Run(run_id, runs_dir=runs_dir):
            pass
        (Path(runs_dir) / "0" / run_id / "notes").write_bytes(b"")
    findings = iter_findings(runs_dir)
    first = next(findings)
    for run_id in ("a", "b"):
        (Path(runs_dir) / "0" / run_id / "notes").unlink()
    assert first.rule == "foreign-file"
    assert list(findings) == []


# -- any damage ----------------------------------------------------------------------------------------------------


@pytest.mark.damaged_tree
@pytest.mark.parametrize("seed", range(3))
def test_any_damage_is_survived_and_told_of_its_run_alone(tree: Any, seed: int) -> None:
    """Nothing raises, and no finding names a neighbour of what is damaged."""
    dice = random.Random(seed)
    root = tree.tracker.runs_dir
    before = set(verify(root))
    files = tree.files()
    for number in range(60):
        chosen = dice.sample(files, dice.choice((1, 1, 1, 2, 3)))
        damage = dice.choice(test_damage.DAMAGES)
        with test_damage.damaged(chosen, damage, dice):
            try:
                new = set(verify(root)) - before
            except Exception as error:
                raise AssertionError("damage %d: %s of %s" % (number, damage, chosen)) from error
        hit = {test_damage.run_of(path) for path in chosen}
        assert {Path(finding.path).parts[1] for finding in new if finding.path[0] != "."} <= hit
    assert set(verify(root)) == before
