"""What an MLflow server takes, what a thing becomes that it does not, and what is remembered between two pushes."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mini_mlflow import ExperimentTracker
from mini_mlflow.entities import Point, RunAddress
from mini_mlflow.exchange.push_artifacts import _is_within_reach
from mini_mlflow.exchange.push_rules import Fitting, fit_name, hide_password, is_taken, to_text
from mini_mlflow.exchange.push_state import Memory, name_target, one_at_a_time
from mini_mlflow.upkeep import iter_repairs, verify

NOT_TAKEN = ["a@b", "a%b", "a(b)", "a\nb", "/a", "a/", "a//b", "./a", "a/./b", "../a", "..", ".", "a/../b", "k" * 251]


@pytest.mark.parametrize("key", ["a", "train/loss", "a.b-c d:e_f", "é", "精度", "k" * 250, "a/..b", "a..", "x/.y"])
def test_keys_that_are_taken_stay_as_they_are(key: str) -> None:
    fitting = Fitting()
    assert (fitting.keys("metric", [key]), fitting.notes) == ({key: key}, [])


@pytest.mark.parametrize("key", NOT_TAKEN)
def test_keys_that_are_not_taken_get_another_which_is(key: str) -> None:
    fitting = Fitting()
    fitted = fitting.keys("metric", [key, "a"])
    assert is_taken(fitted[key])
    assert fitted[key] != fitted["a"] == "a"
    assert [(note.kind, note.key, note.done, note.instead) for note in fitting.notes] == [
        ("metric", key, "renamed", fitted[key])
    ]


def test_keys_stay_apart_however_alike_they_become() -> None:
    """And each gets the same one at every push, whatever the order."""
    keys = ["a@b", "a%b", "a_b", "a/../b", "a/__/b", "x" * 300, "x" * 301]
    fitted = Fitting().keys("param", keys)
    assert len(set(fitted.values())) == len(keys)
    assert all(map(is_taken, fitted.values()))
    assert (fitted["a_b"], fitted["a/__/b"]) == ("a_b", "a/__/b")
    assert Fitting().keys("param", keys[::-1]) == fitted


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (1, "1"), (0.1, "0.1"), (True, "True"), (None, "None"), (math.nan, "nan"), (math.inf, "inf"),
     ([1, "é", None], '[1, "é", null]'), ({"a": [math.nan]}, '{"a": ["NaN"]}')],
)  # fmt: skip
def test_values_become_the_texts_that_mlflow_has(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_texts_are_cut_but_not_those_that_mlflow_reads() -> None:
    fitting = Fitting()
    assert fitting.text("tag", "note", "x" * 11, 10) == "x" * 10
    assert fitting.text("tag", "mlflow.note.content", "x" * 11, 10) == "x" * 10
    assert fitting.text("tag", "mlflow.log-model.history", "x" * 11, 10) is None
    assert [note.done for note in fitting.notes] == ["truncated", "truncated", "skipped"]


def test_text_that_nothing_stores_is_escaped() -> None:
    fitting = Fitting()
    assert fitting.text("param", "p", "a\0b\udc80", 100) == "a\\x00b\\udc80"
    assert [note.done for note in fitting.notes] == ["changed"]


def test_names_that_are_cut_stay_apart() -> None:
    fitting = Fitting()
    first, second = (fit_name(fitting, "experiment", "n" * 300 + end) for end in "ab")
    assert first != second
    assert len(first) == len(second) == 250
    assert fit_name(fitting, "experiment", "n" * 250) == "n" * 250
    assert len(fitting.notes) == 2


def test_points_become_what_a_server_has() -> None:
    """Infinities are clamped, steps beyond 64 bits left out, and what is there twice is sent once; NaN stays."""
    largest = sys.float_info.max
    points = [
        Point(0, math.inf, 1), Point(1, -math.inf, 1), Point(2**63, 1.0, 1), Point(2**63 - 1, 1.0, 1),
        Point(2, math.nan, 1), Point(2, math.nan, 1), Point(2, 0.0, 1), Point(2, -0.0, 1),
    ]  # fmt: skip
    fitting = Fitting()
    fitted = fitting.points("m", points)
    assert [repr(point.value) for point in fitted] == [repr(largest), repr(-largest), "1.0", "nan", "0.0", "-0.0"]
    assert [(note.problem, note.done) for note in fitting.notes] == [
        ("1 point with a step beyond 64 bits", "skipped"),
        ("2 points with an infinite value", "clamped"),
        ("1 point equal in value, step and time to another", "changed"),
    ]


@pytest.mark.parametrize(
    ("to", "uri", "reaches"),
    [("http://far:5000", "mlflow-artifacts:/0/a", True), ("http://far:5000", "file:///srv", False),
     ("http://far:5000", "/srv", False), ("http://far:5000", "s3://bucket/a", True),
     ("http://localhost:5000", "/srv", True), ("sqlite:///x.db", "/srv", True)],
)  # fmt: skip
def test_folders_of_another_machine_are_not_written_to(to: str, uri: str, reaches: bool) -> None:
    assert _is_within_reach(to, uri) is reaches


def test_password_in_an_address_is_neither_shown_nor_remembered() -> None:
    assert hide_password("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert name_target("https://me:secret@host:5000/") == name_target("https://host:5000")
    assert "secret" not in name_target("https://me:secret@host:5000")
    assert name_target("http://host:5000") != name_target("https://host:5000")


# -- what is remembered --------------------------------------------------------------------------------------------


def remember(runs_dir: str) -> Path:
    os.makedirs(runs_dir, exist_ok=True)
    with one_at_a_time(runs_dir, "t", 1.0) as memories:
        memory = Memory("there", {"loss": (2, "1 5 0.5")}, {"a": (1, 2)}, ["k"], ["mark"], False)
        memories.save(RunAddress(runs_dir, 3, "r"), memory, is_settled=True)
    return Path(runs_dir, ".mlflow", "push", "t", "3", "r.json")


def test_memory_is_read_back_for_that_run_and_that_mark_alone(runs_dir: str) -> None:
    remember(runs_dir)
    address = RunAddress(runs_dir, 3, "r")
    with one_at_a_time(runs_dir, "t", 1.0) as memories:
        memory = memories.load(address, "there", "mark")
        assert memory == Memory("there", {"loss": (2, "1 5 0.5")}, {"a": (1, 2)}, ["k"], ["mark"], True)
        assert memories.load(address, "there", "other") == Memory.empty("there")
        assert memories.load(address, "there", None) == Memory.empty("there")
        assert memories.load(address, "elsewhere", "mark") == Memory.empty("elsewhere")
        assert memories.load(address._replace(run_id="s"), "there", "mark") == Memory.empty("there")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"server_run_id": "there"}', "\0\0", '{"points": 5}'])
def test_memory_that_cannot_be_read_is_none(runs_dir: str, content: str) -> None:
    """What a power cut or a stranger left there costs time, and nothing else."""
    remember(runs_dir).write_text(content)
    with one_at_a_time(runs_dir, "t", 1.0) as memories:
        assert memories.load(RunAddress(runs_dir, 3, "r"), "there", "mark") == Memory.empty("there")


def test_memory_knows_points_by_the_last_of_them() -> None:
    memory = Memory.empty("there")
    points = [Point(0, 1.0, 5), Point(1, math.nan, 6)]
    assert memory.sent("loss", points) is None
    memory.note_sent("loss", 2, points[1])
    assert memory.sent("loss", [*points, Point(2, 0.0, 7)]) == 2
    assert memory.sent("loss", points[:1]) is None
    assert memory.sent("loss", [points[0], Point(1, 2.0, 6)]) is None


@pytest.mark.damaged_tree
def test_verify_knows_what_pushes_remember(runs_dir: str) -> None:
    """Strangers, filled locks and what a killed push left are told and mended; what is remembered is not judged."""
    with ExperimentTracker(runs_dir=runs_dir).start_run():
        pass
    memory = remember(runs_dir)
    memory.write_text("{")
    assert verify(runs_dir) == []
    pushes = memory.parent.parent.parent
    (pushes / "stranger").write_text("x")
    (pushes / "t" / "no number").mkdir()
    (memory.parent / ".tmp-x").write_text("x")
    (memory.parent / "r.txt").write_text("x")
    (pushes / "t.lock").write_text("x")
    found = {(os.path.relpath(finding.path, ".mlflow/push"), finding.rule) for finding in verify(runs_dir)}
    assert found == {
        ("stranger", "not-regular"), (os.path.join("t", "no number"), "foreign-file"), ("t.lock", "lock-not-empty"),
        (os.path.join("t", "3", ".tmp-x"), "remains"), (os.path.join("t", "3", "r.txt"), "foreign-file"),
    }  # fmt: skip
    with one_at_a_time(runs_dir, "other", 1.0):
        pass
    assert all(repair.done for repair in iter_repairs(runs_dir))
    assert verify(runs_dir) == []
    assert [path.name for path in memory.parent.iterdir()] == ["r.json"]


def test_push_at_work_is_no_litter(runs_dir: str) -> None:
    memory = remember(runs_dir)
    with one_at_a_time(runs_dir, "t", 1.0):
        (memory.parent / ".tmp-x").write_text("x")
        assert verify(runs_dir) == []
    with one_at_a_time(runs_dir, "t", 1.0):
        assert [path.name for path in memory.parent.iterdir()] == ["r.json"]
