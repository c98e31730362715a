"""Named experiments: one name, one number, whoever asks for it at once; the files say who is who."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any, List

import pytest

import mini_mlflow
from concurrency import Children, run_together
from faults import MOST_STEPS, call_before, fail, install, kill, list_temporaries
from mini_mlflow import (
    DamagedFileWarning,
    Experiment,
    ExperimentExistsError,
    ExperimentNotFoundError,
    ExperimentTracker,
    InvalidFilterError,
    InvalidTypeError,
    InvalidValueError,
    LockTimeout,
    TreeBusyError,
    fluent,
)
from mini_mlflow.disk.layout import TREE_LOCK
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.upkeep import LEFTOVER, verify
from tree_check import list_tree

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


def names(tracker: ExperimentTracker) -> List[Any]:
    return [(one.experiment_id, one.name) for one in tracker.search_experiments()]


# -- making and finding --------------------------------------------------------------------------------------------


def test_named_experiment_is_found_by_name_and_by_number(tracker: ExperimentTracker) -> None:
    made = tracker.create_experiment("größe/1: a", tags={"team": "a", "nan": [float("inf")], "deep": {"x": None}})
    assert made == 1
    found = tracker.get_experiment_by_name("größe/1: a")
    assert found == tracker.get_experiment("1")
    assert found is not None
    assert found[:3] == (1, "größe/1: a", {"team": "a", "nan": [float("inf")], "deep": {"x": None}})
    assert (found.creation_time or "").endswith("Z")
    assert tracker.get_experiment_by_name("other") is None
    assert tracker.create_experiment("other") == 2
    assert names(tracker) == [(0, "Default"), (1, "größe/1: a"), (2, "other")]
    assert verify(tracker.runs_dir) == []
    assert list_temporaries(tracker.runs_dir) == []


def test_name_that_is_taken_is_refused_and_nothing_is_made(tracker: ExperimentTracker) -> None:
    tracker.create_experiment("a")
    files = list_tree(tracker.runs_dir)
    for name in ("a", "Default"):
        with pytest.raises(ExperimentExistsError, match="exists already") as caught:
            tracker.create_experiment(name)
        assert isinstance(caught.value, (ValueError, FileExistsError))
    assert list_tree(tracker.runs_dir) == files


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "ü" * 251, "a\u2028b", "\ud800"])
def test_bad_name_is_refused(name: str, tracker: ExperimentTracker) -> None:
    for call in (tracker.create_experiment, tracker.set_experiment, tracker.get_experiment_by_name):
        with pytest.raises(InvalidValueError):
            call(name)
    assert not os.path.lexists(tracker.runs_dir)


def test_bad_arguments_are_refused(tracker: ExperimentTracker) -> None:
    wrong: List[Any] = [
        (InvalidTypeError, lambda: tracker.create_experiment(7)),
        (InvalidTypeError, lambda: tracker.create_experiment("a", tags=["b"])),
        (InvalidTypeError, lambda: tracker.create_experiment("a", tags={"b": object()})),
        (mini_mlflow.InvalidKeyError, lambda: tracker.create_experiment("a", tags={"b/c": 1})),
        (InvalidValueError, tracker.set_experiment),
        (InvalidValueError, lambda: tracker.set_experiment("a", 1)),
        (InvalidValueError, lambda: tracker.set_experiment(experiment_id=-1)),
        (ExperimentNotFoundError, lambda: tracker.set_experiment(experiment_id=5)),
        (ExperimentNotFoundError, lambda: tracker.get_experiment(5)),
    ]
    for error, call in wrong:
        with pytest.raises(error):
            call()
    assert tracker.experiment_id == 0
    assert not os.path.lexists(tracker.runs_dir)


def test_default_is_there_in_any_tree_and_makes_nothing(tracker: ExperimentTracker) -> None:
    default = Experiment(0, "Default", {}, None)
    assert tracker.get_experiment(0) == tracker.get_experiment_by_name("Default") == default
    assert tracker.set_experiment("Default") == default
    assert tracker.search_experiments() == [default]
    assert not os.path.lexists(tracker.runs_dir)


def test_numbers_are_never_given_out_again_and_those_in_use_are_passed_over(tracker: ExperimentTracker) -> None:
    with tracker.start_run(run_id="r", experiment_id=4):
        pass
    assert names(tracker) == [(0, "Default"), (4, None)]
    assert tracker.create_experiment("a") == 5
    with tracker.start_run(run_id="r", experiment_id=9):
        pass
    tracker.delete_run("r", 9)
    shutil.rmtree(os.path.join(tracker.runs_dir, "9"))
    shutil.rmtree(os.path.join(tracker.runs_dir, "5"))
    assert tracker.create_experiment("a") == 10
    shutil.rmtree(os.path.join(tracker.runs_dir, ".locks", "9"))
    assert tracker.create_experiment("b") == 11


def test_number_that_somebody_starts_a_run_under_meanwhile_is_left_to_them(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = install(monkeypatch)
    with disk.armed(lambda step: step.carry_out()):
        tracker.create_experiment("a")
    at = disk.steps.index("replace") + 1

    def start() -> None:
        # Without the lock of the tree, as starting a run always is.
        os.makedirs(os.path.join(tracker.runs_dir, "2", "r"))

    with disk.armed(call_before(start), at):
        assert tracker.create_experiment("b") == 3
    assert names(tracker) == [(0, "Default"), (1, "a"), (2, None), (3, "b")]
    assert list_temporaries(tracker.runs_dir) == []
    os.rmdir(os.path.join(tracker.runs_dir, "2", "r"))


def test_tree_may_stand_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real", str(tmp_path / "link"))
    tracker = ExperimentTracker(runs_dir=tmp_path / "link")
    assert tracker.create_experiment("a") == 1
    assert tracker.set_experiment("a").experiment_id == 1
    with tracker.start_run(run_id="r"):
        pass
    tracker.delete_run("r")
    assert tracker.gc() == ["r"]


# -- the experiment of calls that name none ------------------------------------------------------------------------


def test_runs_go_to_the_experiment_that_was_set(tracker: ExperimentTracker) -> None:
    experiment = tracker.set_experiment("a")
    with tracker.start_run(run_id="r") as run:
        assert run.experiment_id == experiment.experiment_id == tracker.experiment_id == 1
    assert tracker.set_experiment(experiment_id="0").name == "Default"
    assert tracker.list_runs() == []
    assert tracker.set_experiment("a") == experiment
    assert tracker.list_runs() == ["r"]


def test_module_functions_share_one_experiment_a_tree(tmp_path: Path) -> None:
    mini_mlflow.set_runs_dir(tmp_path / "one")
    for name in ("unused", "mine"):
        mini_mlflow.create_experiment(name)
    assert mini_mlflow.set_experiment("mine").experiment_id == 2

    def start() -> int:
        with mini_mlflow.start_run() as run:
            return run.experiment_id

    # Every thread sees it.
    assert run_together(start, start) == [2, 2]
    # In another tree, 2 may be anything or nothing.
    mini_mlflow.set_runs_dir(tmp_path / "two")
    assert start() == 0
    assert mini_mlflow.set_experiment("theirs").experiment_id == 1
    mini_mlflow.set_runs_dir(tmp_path / "one")
    assert start() == 2
    with mini_mlflow.start_run(experiment_id=0) as run:
        assert run.experiment_id == 0
    assert mini_mlflow.get_experiment_by_name("mine") == mini_mlflow.get_experiment(2)
    assert [one.name for one in mini_mlflow.search_experiments("name LIKE '%n%'")] == ["unused", "mine"]


@needs_fork
def test_forked_child_starts_runs_in_the_experiment_of_its_parent(runs_dir: str) -> None:
    mini_mlflow.set_runs_dir(runs_dir)
    mini_mlflow.set_experiment("mine")
    with Children("fork") as children:
        children.start(start_in, 1)


def start_in(experiment_id: int) -> None:
    with mini_mlflow.start_run() as run:
        assert run.experiment_id == experiment_id
    assert fluent._tracker().create_experiment("of a child") == 2


# -- several at once -----------------------------------------------------------------------------------------------


def set_one(runs_dir: str, barrier: Any, told: Any) -> None:
    barrier.wait(30)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    told.put(tracker.set_experiment("together").experiment_id)
    try:
        tracker.create_experiment("once")
        told.put("made")
    except ExperimentExistsError:
        pass


@needs_fork
def test_processes_that_ask_for_one_name_at_once_get_one_experiment(tracker: ExperimentTracker) -> None:
    number = 6
    with Children("fork") as children:
        barrier, told = children.context.Barrier(number), children.context.Queue()
        for _ in range(number):
            children.start(set_one, tracker.runs_dir, barrier, told)
        answers = [told.get(timeout=30) for _ in range(number + 1)]
    made = [answer for answer in answers if answer != "made"]
    assert len(made) == number
    assert len(set(made)) == 1
    assert sorted(str(name) for _, name in names(tracker)) == ["Default", "once", "together"]


def test_threads_that_ask_for_one_name_at_once_get_one_experiment(tracker: ExperimentTracker) -> None:
    found = run_together(*[lambda: tracker.set_experiment("together").experiment_id] * 8)
    assert found == [1] * 8


def test_lock_of_the_tree_that_is_held_refuses_in_time_and_readers_do_not_ask(runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir, lock_timeout_s=0.05)
    tracker.create_experiment("a")
    lock = KeptLock(os.path.join(os.path.realpath(runs_dir), ".locks", TREE_LOCK))
    assert lock.try_acquire()
    with pytest.raises(LockTimeout, match=r"tree\.lock"):
        tracker.create_experiment("b")
    assert tracker.set_experiment("a").experiment_id == 1
    assert names(tracker) == [(0, "Default"), (1, "a")]
    lock.close()
    assert tracker.create_experiment("b") == 2


# -- kills, failures, handlers -------------------------------------------------------------------------------------


@needs_fork
@pytest.mark.parametrize("fsync", ["end", "never"])
def test_killed_at_any_step_leaves_the_experiment_or_nothing_and_the_next_is_made(
    fsync: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = install(monkeypatch)
    for at in range(1, MOST_STEPS):
        tracker = ExperimentTracker(runs_dir=os.path.join(folder, str(at)), fsync=fsync)
        child = os.fork()
        if child == 0:
            with disk.armed(kill, at):
                tracker.create_experiment("mine", {"a": 1})
            os._exit(0)
        done = os.waitpid(child, 0)[1] == 0
        found = tracker.get_experiment_by_name("mine")
        assert found is None or found[:3] == (1, "mine", {"a": 1})
        assert names(tracker) == [(0, "Default")] + [(1, "mine")] * (found is not None)
        if os.path.isdir(tracker.runs_dir):
            assert {finding.severity for finding in verify(tracker.runs_dir)} <= {LEFTOVER}
        assert tracker.create_experiment("next") == (2 if found else 1)
        assert list_temporaries(tracker.runs_dir) == []
        assert verify(tracker.runs_dir) == []
        if done:
            break
    assert found
    assert at > 5


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
def test_failing_step_makes_the_experiment_or_nothing(
    lasting: bool, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = install(monkeypatch)
    for at in range(1, MOST_STEPS):
        tracker = ExperimentTracker(runs_dir=os.path.join(folder, str(at)))
        error = None
        with disk.armed(fail(errno.ENOSPC), at, lasting=lasting):
            try:
                tracker.create_experiment("mine")
            except OSError as caught:
                error = caught
                assert caught.filename
        if not lasting:
            assert (tracker.get_experiment_by_name("mine") is None) == (error is not None), disk.struck
        assert tracker.set_experiment("mine").experiment_id == 1
        # What could not be removed is swept by whoever makes the next one.
        tracker.create_experiment("next")
        assert names(tracker) == [(0, "Default"), (1, "mine"), (2, "next")]
        assert list_temporaries(tracker.runs_dir) == []
        if disk.struck is None:
            break
    assert at > 5


def test_signal_handler_in_the_middle_is_told_to_come_later(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.create_experiment("first")
    disk = install(monkeypatch)
    told: List[Any] = []

    def handler() -> None:
        try:
            told.append(tracker.create_experiment("handler"))
        except TreeBusyError:
            told.append("busy")

    with disk.armed(call_before(handler), 4):
        assert tracker.create_experiment("mine") == 2
    assert told == ["busy"]
    # What is there is found without the lock.
    with disk.armed(call_before(lambda: told.append(tracker.set_experiment("mine").experiment_id)), 4):
        tracker.create_experiment("other")
    assert told == ["busy", 2]


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{", b"name: 7\n", b'name: "a"\nexperiment_id: 2\nformat: 1\n', b"name: a\n"])
@pytest.mark.damaged_tree
def test_torn_name_is_warned_of_and_its_runs_are_there_under_the_number(
    data: bytes, tracker: ExperimentTracker
) -> None:
    tracker.set_experiment("a")
    with tracker.start_run(run_id="r"):
        pass
    tracker.create_experiment("b")
    path = Path(tracker.runs_dir, "1", "experiment.yaml")
    path.write_bytes(data)
    with pytest.warns(DamagedFileWarning, match=r"1/experiment\.yaml"):
        assert names(tracker) == [(0, "Default"), (1, None), (2, "b")]
    with pytest.warns(DamagedFileWarning):
        assert tracker.get_experiment_by_name("a") is None
    assert tracker.list_runs() == ["r"]


@pytest.mark.leaves("not-regular")
def test_link_in_place_of_a_name_is_not_followed(tracker: ExperimentTracker, tmp_path: Path) -> None:
    tracker.create_experiment("a")
    path = Path(tracker.runs_dir, "1", "experiment.yaml")
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    with pytest.warns(DamagedFileWarning):
        assert names(tracker) == [(0, "Default"), (1, None)]


@pytest.mark.leaves("experiment-twice")
def test_of_two_experiments_of_one_name_the_lower_number_is_found(tracker: ExperimentTracker) -> None:
    tracker.create_experiment("a")
    path = Path(tracker.runs_dir, "3", "experiment.yaml")
    path.parent.mkdir()
    path.write_bytes(Path(tracker.runs_dir, "1", "experiment.yaml").read_bytes().replace(b"id: 1", b"id: 3"))
    found = tracker.get_experiment_by_name("a")
    assert found is not None
    assert found.experiment_id == 1


# -- searching -----------------------------------------------------------------------------------------------------

FOUND = {
    "": [0, 1, 2, 3],
    "name = 'vision-a'": [1],
    'name != "vision-a"': [0, 2, 3],
    "attributes.name LIKE 'vision-_'": [1, 2],
    "name like '%AUDIO%'": [],
    "name ILIKE '%AUDIO%'": [3],
    "tags.team = 'a'": [1, 3],
    "tag.`team` = 'a' AND name LIKE 'vis%'": [1],
    "tags.team != 'a'": [2],
    "name LIKE 'v.*'": [],
    "name = 'vision-a' OR name = 'my audio'": [1, 3],
    "attributes.name IN ('vision-a', 'vision-b') AND NOT (tags.team = 'b')": [1],
    "attribute.name NOT LIKE 'vision%' AND tags.`team` IN ('a')": [3],
    "tags.team IS NULL": [0],
    "experiment_id >= 2": [2, 3],
    "creation_time IS NULL": [0],
    "creation_time > '2020-01-01' and creation_time < '2100-01-01T00:00:00'": [1, 2, 3],
    "creation_time > 1577836800000": [1, 2, 3],
    "tags.n < 5": [2],
}


@pytest.fixture
def searched(tracker: ExperimentTracker) -> ExperimentTracker:
    for name, team in (("vision-a", "a"), ("vision-b", "b"), ("my audio", "a")):
        tracker.create_experiment(name, tags={"team": team, "n": {"a": 7, "b": 3}[team]})
    return tracker


def test_filters_choose(searched: ExperimentTracker) -> None:
    for text, wanted in FOUND.items():
        assert [one.experiment_id for one in searched.search_experiments(text)] == wanted, text


def test_orders_and_limits(searched: ExperimentTracker) -> None:
    def ids(**options: Any) -> List[int]:
        return [one.experiment_id for one in searched.search_experiments(**options)]

    assert ids(order_by=["name DESC"]) == [2, 1, 3, 0]
    assert ids(order_by=["attribute.creation_time", "experiment_id desc"], max_results=2) == [1, 2]
    assert ids(order_by=["tags.team", "name DESC"]) == [1, 3, 2, 0]
    assert ids(order_by="tags.n") == [2, 1, 3, 0]
    assert ids(max_results=0) == []
    with pytest.raises(InvalidValueError):
        ids(max_results=-1)
    for wrong in ({"order_by": ["size"]}, {"order_by": ["params.lr"]}, {"filter_string": "metrics.loss < 1"}):
        with pytest.raises(InvalidFilterError):
            ids(**wrong)
    for text, problem in (
        ("name = 'a' AND size = 5", "size is no attribute of an experiment: write tags.size, or one of exp"),
        ("params.lr = 5", "expected tags or attributes before the dot, found params"),
        ("name = 'a' AND", "expected a name such as name, tags.team"),
    ):
        with pytest.raises(InvalidFilterError, match=re.escape(problem)):
            ids(filter_string=text)
    for wrong_type in ({"max_results": "1"}, {"filter_string": None}):
        with pytest.raises(InvalidTypeError):
            ids(**wrong_type)
