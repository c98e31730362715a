"""The numbers of commits: exact between processes, never used twice, and found without trusting any clock."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import Any, List

import pytest

from concurrency import in_child
from faults import install, list_litter, open_run, ration_documents, read_stored, seal_early
from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.disk import regular
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.writing import commit_log
from mini_mlflow.writing.commit_log import CommitLog
from mini_mlflow.writing.new_files import publish

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def paths(runs_dir: str) -> RunPaths:
    paths = RunPaths.of(RunAddress(runs_dir, 0, "r"))
    os.makedirs(paths.folder)
    return paths


class Listings:
    """Stands in for the name ``os`` of `disk.regular`: notes which folders are listed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: List[str] = []
        monkeypatch.setattr(regular, "os", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def listdir(self, path: str) -> List[str]:
        self.folders.append(os.path.basename(path))
        return os.listdir(path)


def numbers_in(root: str) -> List[int]:
    log = os.path.join(root, "0", "r", "log")
    return sorted(int(name.partition(".")[0]) for name in os.listdir(log)) if os.path.isdir(log) else []


def commit(log: CommitLog, number: int) -> None:
    """As one who has looked does it."""
    if log.last is None:
        log.last = number - 1
    publish(log.folder, "%d.json" % number, b'{"commit": %d, "changes": []}' % number, durable=False)
    log.note(number, [])


# -- one log, two who know of it -----------------------------------------------------------------------------------


def test_log_that_nobody_looked_at_is_not_known(paths: RunPaths) -> None:
    log = CommitLog(paths)
    assert log.last is None
    assert log.next_if_known() is None
    assert log.look(sweep=True) == []
    commit(log, 1)
    assert log.next_if_known() == 2
    log.forget()
    assert log.next_if_known() is None


def test_commits_of_another_process_are_passed_over_without_listing(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = CommitLog(paths), CommitLog(paths)
    commit(one, 1)
    other.last = 1
    for number in range(2, 12):
        commit(other, number)
    listings = Listings(monkeypatch)
    assert one.next_if_known() == 12
    assert listings.folders == []


def test_far_ahead_of_what_is_known_the_folder_must_be_listed(paths: RunPaths) -> None:
    one, other = CommitLog(paths), CommitLog(paths)
    commit(one, 1)
    for number in range(2, 200):
        commit(other, number)
    assert one.next_if_known() is None
    assert one.look(sweep=True)[-1] == 199


def test_log_that_another_process_has_folded_must_be_listed(paths: RunPaths) -> None:
    one, other = CommitLog(paths), CommitLog(paths)
    for number in (1, 2, 3):
        commit(one, number)
    for number in (4, 5):
        commit(other, number)
    other.remove(other.look(sweep=True), 5)
    assert numbers_in(paths.address.root) == [5]
    assert one.next_if_known() is None
    assert one.look(sweep=True) == [5]
    assert one.floor == 4


def test_removing_leaves_the_newest_and_what_is_not_folded(paths: RunPaths) -> None:
    log = CommitLog(paths)
    for number in range(1, 8):
        commit(log, number)
    log.remove(list(range(1, 8)), 5)
    assert numbers_in(paths.address.root) == [6, 7]
    log.remove([6, 7], 7)
    assert numbers_in(paths.address.root) == [7]


def test_foreign_names_are_no_commits_and_temporaries_are_swept(paths: RunPaths) -> None:
    log = CommitLog(paths)
    commit(log, 3)
    for name in ("notes.txt", "12.json.bak", "x.json", "-4.json", "1e3.json", ".tmp-1-1", "99999999999999999999.json"):
        with open(os.path.join(log.folder, name), "w"):
            pass
    assert log.look(sweep=False) == [3]
    assert ".tmp-1-1" in os.listdir(log.folder)
    assert log.look(sweep=True) == [3]
    assert ".tmp-1-1" not in os.listdir(log.folder)
    assert "notes.txt" in os.listdir(log.folder)


# -- network file systems ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [False, True], ids=["local", "network"])
def test_folder_is_listed_for_each_commit_on_a_network_file_system_alone(
    network: bool, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stat may be answered from the client's cache there; a listing asks the server."""
    monkeypatch.setattr(commit_log, "is_network_file_system", lambda path: network)
    ration_documents(monkeypatch, refresh=False)
    run = Run(run_id="r", runs_dir=runs_dir)
    for value in range(2):
        run.log_metric("loss", float(value))
    listings = Listings(monkeypatch)
    for value in range(2, 7):
        run.log_metric("loss", float(value))
    run.log_metric("first of its key", 0.0)
    assert listings.folders.count("log") == (6 if network else 0)
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["loss"] == [(step, float(step)) for step in range(7)]


@needs_fork
def test_two_processes_in_turns_on_a_network_file_system_lose_nothing(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "is_network_file_system", lambda path: True)
    run = Run(run_id="r", runs_dir=runs_dir)
    for value in range(0, 10, 2):
        run.log_metric("loss", float(value))
        assert in_child(lambda value=value: run.log_metric("loss", value + 1.0)) == 0
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["loss"] == [(step, float(step)) for step in range(10)]


# -- numbers are never used twice ----------------------------------------------------------------------------------


def commit_of(root: str, document: str) -> int:
    with open(os.path.join(root, "0", "r", document)) as file:
        return int(json.load(file)["commit"])


def test_numbers_go_on_after_a_resume(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is gone with the end; a document must not take a new commit for one that it holds."""
    ration_documents(monkeypatch, refresh=False)
    seal_early(monkeypatch)
    highest = 0
    for generation in range(3):
        run = open_run(runs_dir)
        for value in range(3):
            run.log_metrics({"loss": float(value), "accuracy": 0.5})
            assert min(numbers_in(runs_dir)) > highest
        run.flush()
        run.log_params({"generation": generation, "other": 0})
        highest = max(numbers_in(runs_dir))
        run.end()
        assert numbers_in(runs_dir) == []
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["loss"] == [(step, float(step % 3)) for step in range(9)]
    assert stored.params == {"generation": 2, "other": 0}


def test_numbers_go_on_after_a_resume_without_any_document(runs_dir: str) -> None:
    """What the end of the run said of its last number counts, though nobody holds it."""
    run = open_run(runs_dir)
    run.log_params({"lr": 0.1, "depth": 1})
    first = max(numbers_in(runs_dir))
    run.end()
    for key in ("lr", "depth"):
        os.unlink(os.path.join(runs_dir, "0", "r", "params", "%s.json" % key))
    run = open_run(runs_dir)
    run.log_params({"lr": 0.2, "depth": 2})
    assert min(numbers_in(runs_dir)) > first
    run.end()
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["params"] == {"lr": 0.2, "depth": 2}


@needs_fork
@pytest.mark.parametrize("kind", ["params", "metrics", "tags"])
def test_documents_ahead_of_the_log_keep_their_numbers(
    kind: str, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may take the newest commits' names and leave the documents that hold them."""
    ration_documents(monkeypatch, refresh=True)

    def log_and_die() -> None:
        run = open_run(runs_dir)
        for value in range(3):
            {"params": run.log_param, "metrics": run.log_metric, "tags": run.set_tag}[kind]("key", float(value))
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(log_and_die)) == signal.SIGKILL
    held = commit_of(runs_dir, "%s/key.json" % kind)
    for number in numbers_in(runs_dir):
        os.unlink(os.path.join(runs_dir, "0", "r", "log", "%d.json" % number))
    run = open_run(runs_dir)
    {"params": run.log_param, "metrics": run.log_metric, "tags": run.set_tag}[kind]("key", 9.0)
    assert numbers_in(runs_dir) == [held + 1]
    run.end()
    shown = ExperimentTracker(runs_dir=runs_dir).get_run("r")
    assert shown[kind] == {"key": 9.0}
    if kind == "metrics":
        stored = read_stored(runs_dir)
        assert stored is not None
        assert stored.histories["key"] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 9.0)]


def test_gap_in_the_log_is_passed_over(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removed a commit by hand: what is there is folded, and new commits come after the highest."""
    ration_documents(monkeypatch, refresh=False)
    run = open_run(runs_dir)
    for value in range(5):
        run.log_metric("loss", float(value))
    highest = max(numbers_in(runs_dir))
    os.unlink(os.path.join(runs_dir, "0", "r", "log", "%d.json" % (highest - 2)))
    stored = read_stored(runs_dir)
    assert stored is not None
    assert [value for _, value in stored.histories["loss"]] == [0.0, 1.0, 3.0, 4.0]
    run._opened().files.forget()
    run.log_metric("loss", 5.0)
    assert max(numbers_in(runs_dir)) == highest + 1
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert [value for _, value in stored.histories["loss"]][-3:] == [3.0, 4.0, 5.0]


@needs_fork
def test_processes_in_turns_fold_and_commit_without_loss(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds what the other has committed, folded and removed since it looked last."""
    ration_documents(monkeypatch, refresh=False, fold_at=4)
    seal_early(monkeypatch)
    run = open_run(runs_dir)
    count = 0
    for turn in range(12):
        for _ in range(1 + turn % 5):
            run.log_metric("loss", float(count))
            count += 1

        def log_in_child(start: int = count, times: int = 1 + turn % 4) -> None:
            for value in range(start, start + times):
                run.log_metric("loss", float(value))
            if start % 3 == 0:
                run.flush()

        assert in_child(log_in_child) == 0
        count += 1 + turn % 4
        stored = read_stored(runs_dir)
        assert stored is not None
        assert stored.histories["loss"] == [(step, float(step)) for step in range(count)]
    run.end()
    assert list_litter(runs_dir) == []


def test_log_folder_that_was_removed_by_hand_is_made_anew(runs_dir: str) -> None:
    run = open_run(runs_dir)
    for value in range(2):
        run.log_metric("loss", float(value))
    run.flush()
    before = max(numbers_in(runs_dir))
    shutil.rmtree(os.path.join(runs_dir, "0", "r", "log"))
    run.log_metric("loss", 2.0)
    assert min(numbers_in(runs_dir)) > before
    run.end()
    stored = read_stored(runs_dir)
    assert stored is not None
    assert stored.histories["loss"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
