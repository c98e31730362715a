"""What is changed of a run from beside it: its tags, its name, what is added afterwards; also once it has ended."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

import pytest

from command_line import call
from concurrency import Children, in_child, run_python, run_together
from faults import (
    MOST_STEPS,
    OPERATIONS,
    RUN_ID,
    Operation,
    call_before,
    fail,
    install,
    kill,
    list_temporaries,
    ration_documents,
    read_stored,
    set_up,
)
from mini_mlflow import (
    ExperimentTracker,
    InvalidKeyError,
    InvalidValueError,
    Run,
    RunDeletedError,
    RunEndedError,
    RunNotFoundError,
    TagNotFoundError,
    TreeBusyError,
)
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.reading.history_pieces import iter_history
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.upkeep import verify
from mini_mlflow.writing.amending import Current, amend, amend_at
from mini_mlflow.writing.operations import Submission, batch_submission

NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FIRST_TREE = Path(__file__).resolve().parent / "data" / "tree_0_1_0"


def address(runs_dir: str, run_id: str = "r") -> RunAddress:
    return RunAddress(runs_dir, 0, run_id)


def annotate(runs_dir: str, *args: Any, **batch: Any) -> None:
    amend_at(address(runs_dir), Settings(), batch_submission(**batch), *args)


def ended(runs_dir: str) -> ExperimentTracker:
    with Run("r", name="old", runs_dir=runs_dir) as run:
        run.log_params({"lr": 0.1, "depth": 3})
        run.set_tags({"stage": "draft", "kind": "cnn"})
        for step in range(3):
            run.log_metric("loss", 1.0 / (step + 1))
    return ExperimentTracker(runs_dir=runs_dir)


def files_of_run(runs_dir: str) -> List[str]:
    return sorted(os.listdir(os.path.join(runs_dir, "0", "r")))


class NotAllowed(Exception):
    """What a check raises."""


def refuse_changes(current: Dict[str, Any]) -> None:
    if current:
        raise NotAllowed(current)


# -- a run that has ended ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fsync", ["end", "always", "never"])
def test_ended_run_takes_points_params_and_tags_and_stays_ended(runs_dir: str, fsync: str) -> None:
    """It reads the same from its snapshot as from its documents, and what is not changed is as it was."""
    tracker = ended(runs_dir)
    before = tracker.get_run("r")
    added = batch_submission(
        [("loss", 9.0, None, 5), ("val/loss", 2.0, 7, 6)], {"seed": 1}, {"stage": "final"}, ["kind"]
    )
    amend_at(address(runs_dir), Settings(fsync), added, {"name": "new"})
    for name in ("snapshot.json", "nothing"):
        found = tracker.get_run("r")
        assert found["params"] == {"lr": 0.1, "depth": 3, "seed": 1}
        assert found["tags"] == {"stage": "final"}
        assert found["metrics"] == {"loss": 9.0, "val/loss": 2.0}
        assert tracker.get_metric_history("r", "loss")[3] == (3, 9.0, 5)
        told = dict(found["metadata"], commit=None)
        assert told == dict(before["metadata"], name="new", commit=None)
        if name != "nothing":
            assert files_of_run(runs_dir) == ["meta.yaml", "metrics", "params", name, "tags"]
            assert list(verify(runs_dir)) == []
            os.unlink(os.path.join(runs_dir, "0", "r", name))
    amend_at(address(runs_dir), Settings(fsync), batch_submission(tags={"last": 1}))
    assert "snapshot.json" in files_of_run(runs_dir)


def test_ended_run_that_was_amended_is_resumed_and_goes_on(runs_dir: str) -> None:
    """What was added stays, numbers of commits go on, and nothing stands twice."""
    tracker = ended(runs_dir)
    annotate(runs_dir, points=[("loss", 9.0, None, 5)], deleted_tags=["kind"])
    run = tracker.start_run(run_id="r")
    assert tracker.get_run("r")["tags"] == {"stage": "draft"}
    run.log_metrics({"loss": 10.0, "other": 1.0})
    run.end()
    assert [point.value for point in tracker.get_metric_history("r", "loss")] == [1.0, 0.5, 1.0 / 3, 9.0, 10.0]
    assert tracker.get_run("r")["tags"] == {"stage": "draft"}


def test_how_a_run_ended_is_changed_afterwards(runs_dir: str) -> None:
    tracker = ended(runs_dir)
    amend_at(address(runs_dir), Settings(), meta={"status": "FAILED", "end_time": "2001-02-03T04:05:06.000000Z"})
    told = tracker.get_run("r")["metadata"]
    assert (told["status"], told["end_time"]) == ("FAILED", "2001-02-03T04:05:06.000000Z")


@pytest.mark.parametrize(
    ("is_open", "meta"),
    [(False, {"status": "RUNNING"}), (True, {"status": "FAILED"}), (True, {"run_id": "s"}), (False, {"format": 2})],
)
def test_fields_that_cannot_be_changed_are_refused(runs_dir: str, is_open: bool, meta: Dict[str, Any]) -> None:
    tracker = ended(runs_dir)
    if is_open:
        tracker.start_run(run_id="r")
    before = tracker.get_run("r")
    with pytest.raises(InvalidValueError):
        amend_at(address(runs_dir), Settings(), batch_submission(tags={"a": "b"}), meta)
    assert tracker.get_run("r") == before


@pytest.mark.damaged_tree
def test_run_of_0_1_0_that_has_ended_is_amended(tmp_path: Path) -> None:
    """It had no snapshot and no numbers; what it held is there still, also under the names that it gave its files."""
    shutil.copytree(str(FIRST_TREE), str(tmp_path / "tree"))
    tracker = ExperimentTracker(runs_dir=tmp_path / "tree")
    run_id = "0f6d2a4e91b84c07a3d5c1e2f3a4b5c6"
    before = tracker.get_run(run_id)
    seen: List[Dict[str, Any]] = []
    change = batch_submission([("loss", 0.25, None, 1)], {"note": "new", "seed": 1}, {"stage": "final"})
    amend_at(address(tracker.runs_dir, run_id), Settings(), change, check=seen.append)
    assert seen == [{"note": before["params"]["note"]}]
    found = tracker.get_run(run_id)
    assert found["params"] == dict(before["params"], note="new", seed=1)
    assert (found["metrics"], found["tags"]) == (dict(before["metrics"], loss=0.25), {"stage": "final"})
    assert found["metadata"]["status"] == "FINISHED"
    assert [point.value for point in tracker.get_metric_history(run_id, "loss")] == [0.5, 0.25]


# -- who may -------------------------------------------------------------------------------------------------------


def test_deleted_run_is_refused(runs_dir: str) -> None:
    tracker = ended(runs_dir)
    with tracker.start_run(run_id="r") as run:
        tracker.delete_run("r")
        for change in (lambda: annotate(runs_dir, tags={"a": "b"}), lambda: amend(run._opened(), meta={"name": "x"})):
            with pytest.raises(RunDeletedError):
                change()
        tracker.restore_run("r")
        annotate(runs_dir, tags={"a": "b"})
    assert tracker.get_run("r")["tags"] == {"stage": "draft", "kind": "cnn", "a": "b"}


def test_run_that_is_not_there_is_refused_and_nothing_is_made(runs_dir: str) -> None:
    with pytest.raises(RunNotFoundError):
        annotate(runs_dir, tags={"a": "b"})
    assert not os.path.exists(runs_dir)


@pytest.mark.parametrize("state", ["open", "ended", "without a snapshot"])
def test_check_sees_the_params_that_are_about_to_be_set_and_what_it_raises_changes_nothing(
    runs_dir: str, state: str
) -> None:
    """It is told the values that hold, from the log and from documents, and only those that exist."""
    tracker = ended(runs_dir)
    if state == "open":
        run = tracker.start_run(run_id="r")
        run.log_params({"lr": 0.2, "new": [1, float("inf")]})
    elif state != "ended":
        os.unlink(os.path.join(runs_dir, "0", "r", "snapshot.json"))
    seen: List[Dict[str, Any]] = []
    change: Dict[str, Any] = {"params": {"lr": 0.3, "depth": 3, "new": 1, "none": 1}, "tags": {"stage": "x"}}
    before = tracker.get_run("r")

    def check(current: Dict[str, Any]) -> None:
        seen.append(current)
        raise NotAllowed

    with pytest.raises(NotAllowed):
        amend_at(address(runs_dir), Settings(), batch_submission(**change), {"name": "new"}, check)
    assert tracker.get_run("r") == before
    new = {"lr": 0.2, "new": [1, float("inf")]} if state == "open" else {}
    assert seen == [{"lr": 0.1, "depth": 3, **new}]
    amend_at(address(runs_dir), Settings(), batch_submission(**change), {"name": "new"}, lambda current: None)
    assert tracker.get_run("r")["params"]["lr"] == 0.3


def set_if_unset(runs_dir: str, mine: str, won: Any) -> None:
    for number in range(30):
        try:
            annotate(runs_dir, {}, refuse_changes, params={"p%d" % number: mine})
        except NotAllowed:
            continue
        won[number] += 1


@pytest.mark.parametrize("state", ["open", "ended"])
def test_of_two_processes_that_set_a_param_once_and_for_all_one_wins(runs_dir: str, state: str) -> None:
    tracker = ended(runs_dir)
    if state == "open":
        tracker.start_run(run_id="r")
    with Children() as children:
        won = {mine: children.context.Array("i", 30) for mine in ("a", "b")}
        for mine, mine_won in won.items():
            children.start(set_if_unset, runs_dir, mine, mine_won)
    found = tracker.get_run("r")["params"]
    winners = ["a" * won["a"][number] + "b" * won["b"][number] for number in range(30)]
    assert [found["p%d" % number] for number in range(30)] == winners


HASTY = """
    import sys
    from mini_mlflow.entities import RunAddress, Settings
    from mini_mlflow.writing.amending import amend_at
    from mini_mlflow.writing.operations import batch_submission
    amend_at(RunAddress(sys.argv[1], 0, "r"), Settings("end", 0.01), batch_submission(params={"seed": 2}))
"""


@pytest.mark.parametrize("state", ["open", "ended"])
def test_nobody_sets_a_param_between_its_check_and_its_setting(runs_dir: str, state: str) -> None:
    tracker = ended(runs_dir)
    if state == "open":
        tracker.start_run(run_id="r")
    told: List[str] = []

    def check(current: Dict[str, Any]) -> None:
        assert current == {}
        told.append(run_python(HASTY, runs_dir, check=False).stderr)

    annotate(runs_dir, {}, check, params={"seed": 1})
    assert ["LockTimeout" in text for text in told] == [True]
    assert tracker.get_run("r")["params"]["seed"] == 1


def add_points(runs_dir: str, key: str) -> None:
    for step in range(20):
        annotate(runs_dir, points=[(key, float(step), step, step), ("both", float(step), step, step)])


@pytest.mark.long
def test_processes_and_threads_that_amend_an_ended_run_at_once_lose_nothing(runs_dir: str) -> None:
    tracker = ended(runs_dir)
    with Children() as children:
        children.start(add_points, runs_dir, "a")
        children.start(add_points, runs_dir, "b")
        run_together(lambda: add_points(runs_dir, "c"), lambda: add_points(runs_dir, "d"))
    for key in "abcd":
        assert tracker.get_metric_history("r", key) == [(step, float(step), step) for step in range(20)]
    assert len(tracker.get_metric_history("r", "both")) == 80
    assert tracker.get_run("r")["metadata"]["status"] == "FINISHED"


# -- what it costs -------------------------------------------------------------------------------------------------

CHANGES: Dict[str, Dict[str, Any]] = {
    "a tag": {"tags": {"stage": "final"}},
    "many tags and params": {"tags": {"t%d" % n: n for n in range(9)}, "params": {"p%d" % n: n for n in range(9)}},
    "first points": {"points": [("m%d" % n, 1.0, n, n) for n in range(9)]},
    "a name": {},
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_an_ended_run_takes_two_syncs_however_much_it_changes(
    change: str, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a sync takes milliseconds, one of each document and of each folder would be most of a second."""
    tracker = ended(runs_dir)
    disk = install(monkeypatch)
    with disk.armed(lambda step: step.carry_out(), MOST_STEPS):
        annotate(runs_dir, {"name": "new"}, **CHANGES[change])
    assert disk.steps.count("fsync") == 2
    assert tracker.get_run("r")["metadata"]["name"] == "new"


def test_points_and_deletions_take_a_sync_each_and_one_a_folder_more(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the snapshot does not hold whole is on the medium before it stands."""
    tracker = ended(runs_dir)
    disk = install(monkeypatch)
    with disk.armed(lambda step: step.carry_out(), MOST_STEPS):
        annotate(runs_dir, points=[("loss", 9.0, None, 5), ("loss", 8.0, None, 6)], deleted_tags=["kind", "stage"])
    assert disk.steps.count("fsync") == 2 + (1 + 1) + (2 + 1)
    assert tracker.get_run("r")["tags"] == {}


@pytest.mark.parametrize("change", CHANGES)
def test_file_system_without_links_takes_the_same(change: str, runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = ended(runs_dir)
    disk = install(monkeypatch)

    def refuse_links(step: Any) -> Any:
        if step.name == "link":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return step.carry_out()

    with disk.armed(refuse_links, lasting=True):
        annotate(runs_dir, {"name": "new"}, **CHANGES[change])
    assert tracker.get_run("r")["metadata"]["name"] == "new"
    assert files_of_run(runs_dir) == ["meta.yaml", "metrics", "params", "snapshot.json", "tags"]


@NEEDS_FORK
def test_points_of_a_change_that_was_cut_short_show_nowhere_and_do_not_come_back(folder: str) -> None:
    """Its documents stand already, and its snapshot does not: all readers of points go by that one."""
    operation = annotation("annotate after a killed change")
    root = ended_for(operation, os.path.join(folder, "tree"))
    stored, paths = read_stored(root), RunPaths.of(RunAddress(root, 0, RUN_ID))
    assert stored is not None
    for key, count in (("loss", len(stored.histories["loss"])), ("single", 1)):
        assert json.loads(Path(paths.document("metrics", key)).read_text().split("\n")[0] + "]}")["count"] == count + 1
        assert [len(read_history(paths, key).stored), sum(map(len, iter_history(paths, key)))] == [count, count]
    assert {finding.severity for finding in verify(root)} == {"leftover"}
    amend_at(RunAddress(root, 0, RUN_ID), Settings(), meta={"name": "new"})
    assert list(verify(root)) == []
    assert read_stored(root) == stored._replace(name="new")


def test_documents_that_a_change_left_behind_are_brought_up_by_the_next_one(runs_dir: str) -> None:
    """It was cut short when its snapshot stood, and nothing else did; the next one is of another key."""
    tracker = ended(runs_dir)
    run = Path(runs_dir) / "0" / "r"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "snapshot.json"}
    annotate(runs_dir, tags={"stage": "final", "new": 1}, params={"lr": 0.2}, points=[("first", 1.0, 0, 0)])
    for path in [path for path in run.rglob("*") if path.is_file() and path.name != "snapshot.json"]:
        path.write_bytes(before[path]) if path in before else path.unlink()
    assert {finding.severity for finding in verify(runs_dir)} == {"leftover"}
    annotate(runs_dir, tags={"other": 2})
    assert list(verify(runs_dir)) == []
    found = tracker.get_run("r")
    snapshot = (run / "snapshot.json").read_bytes()
    (run / "snapshot.json").unlink()
    assert tracker.get_run("r") == found
    (run / "snapshot.json").write_bytes(snapshot)
    assert (found["tags"], found["params"]["lr"]) == ({"stage": "final", "new": 1, "kind": "cnn", "other": 2}, 0.2)


# -- made from what stands -----------------------------------------------------------------------------------------


def append(current: Current, text: str) -> Submission:
    known = current.tags(["list", "none"]).get("list", [])
    return batch_submission(tags={"list": [*known, text]})


def append_to_tag(runs_dir: str, mine: str) -> None:
    for number in range(30):
        text = "%s%d" % (mine, number)
        amend_at(address(runs_dir), Settings("never"), compute=partial(append, text=text))


@pytest.mark.parametrize("state", ["open", "ended"])
def test_what_two_processes_append_to_one_tag_at_once_is_all_kept(runs_dir: str, state: str) -> None:
    tracker = ended(runs_dir)
    if state == "open":
        tracker.start_run(run_id="r")
    with Children() as children:
        children.start(append_to_tag, runs_dir, "a")
        children.start(append_to_tag, runs_dir, "b")
    found = tracker.get_run("r")["tags"]["list"]
    assert sorted(found) == sorted("%s%d" % (mine, number) for mine in "ab" for number in range(30))


@NEEDS_FORK
def test_what_another_process_has_just_committed_is_what_a_change_is_made_of(
    runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the log alone, in a commit after the last one that this process knows."""
    ration_documents(monkeypatch, refresh=False)
    with Run("r", runs_dir=runs_dir) as run:
        for number in range(2):
            run.set_tags({"list": [number], "other": number})
        assert in_child(lambda: Run("r", runs_dir=runs_dir).set_tags({"list": [2], "other": 2})) == 0
        amend(run._opened(), compute=partial(append, text="3"))
    assert ExperimentTracker(runs_dir=runs_dir).get_run("r")["tags"] == {"list": [2, "3"], "other": 2}


@pytest.mark.parametrize("state", ["open", "ended"])
def test_nobody_changes_a_tag_between_its_reading_and_its_setting(runs_dir: str, state: str) -> None:
    tracker = ended(runs_dir)
    if state == "open":
        tracker.start_run(run_id="r")
    told: List[str] = []

    def lengthen(current: Current) -> Submission:
        assert (current.tags(["stage", "none"]), current.params(["lr"])) == ({"stage": "draft"}, {"lr": 0.1})
        told.append(run_python(HASTY, runs_dir, check=False).stderr)
        return batch_submission(tags={"stage": current.tags(["stage"])["stage"] + " 2"})

    amend_at(address(runs_dir), Settings(), compute=lengthen)
    assert ["LockTimeout" in text for text in told] == [True]
    before = tracker.get_run("r")
    assert before["tags"]["stage"] == "draft 2"

    def refuse(current: Current) -> Submission:
        raise NotAllowed

    with pytest.raises(NotAllowed):
        amend_at(address(runs_dir), Settings(), meta={"name": "new"}, compute=refuse)
    assert tracker.get_run("r") == before


# -- kills, failures and handlers in the middle of it --------------------------------------------------------------


def annotation(name: str = "annotate") -> Operation:
    (operation,) = [one for one in OPERATIONS if one.name == name]
    return operation


@NEEDS_FORK
@pytest.mark.long
def test_who_does_not_know_of_the_end_logs_nothing_to_a_run_whose_amender_was_killed(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the run open and made its last commit; the first value of a key would need none."""
    operation = annotation("annotate what is sealed by it")
    disk = set_up(operation, monkeypatch)
    for at in range(1, MOST_STEPS, 2):
        root = os.path.join(folder, str(at))
        run = Run(RUN_ID, runs_dir=root)
        for value in range(4):
            run.log_metrics({"loss": float(value), "acc": 1.0})
        run.set_tag("kind", "old")
        assert in_child(lambda root=root: ExperimentTracker(runs_dir=root).start_run(run_id=RUN_ID).end()) == 0

        def act(root: str = root, at: int = at) -> None:
            with disk.armed(kill, at):
                operation.act(root, None)

        died = in_child(act) != 0
        seen = read_stored(root)
        with pytest.raises(RunEndedError):
            run.log_param("first", 1) if at % 4 == 1 else run.log_metrics({"loss": 2.0, "acc": 2.0})
        assert read_stored(root) == seen, "killed at step %d" % at
        if not died:
            break
    assert at > 10


@NEEDS_FORK
@pytest.mark.long
@pytest.mark.parametrize("name", ["annotate", "annotate what is sealed by it"])
def test_disk_that_fails_for_good_leaves_before_or_after(
    name: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some step on each is refused, those that would undo what was done too; what is read is right even so."""
    operation = annotation(name)
    disk = set_up(operation, monkeypatch)
    whole = ended_for(operation, os.path.join(folder, "whole"))
    operation.act(whole, None)
    for at in range(1, MOST_STEPS, 2):
        root = ended_for(operation, os.path.join(folder, str(at)))
        before, error = read_stored(root), None
        with disk.armed(fail(errno.EROFS), at, lasting=True):
            try:
                operation.act(root, None)
            except OSError as raised:
                error = raised
        after = read_stored(whole)
        assert read_stored(root) in ((before, after) if error is not None else (after,)), "from step %d on" % at
        if disk.struck is None:
            break
        amend_at(RunAddress(root, 0, RUN_ID), Settings(), batch_submission(tags={"later": 1}))
        assert list_temporaries(root) == []
        assert "snapshot.json" in os.listdir(os.path.join(root, "0", RUN_ID))


def ended_for(operation: Operation, root: str) -> str:
    with ExitStack() as stack:
        operation.prepare(root, stack)
    return root


@pytest.mark.parametrize("name", ["annotate", "amend"])
def test_handler_that_amends_in_the_middle_of_it_is_refused_or_stored(
    folder: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an ended run it is told that the interrupted frame is at work on it; a live one takes both."""
    operation = annotation(name)
    disk = set_up(operation, monkeypatch)
    for at in range(1, MOST_STEPS, 2):
        root = os.path.join(folder, str(at))
        told: List[Any] = []

        def handle(root: str = root, told: List[Any] = told) -> None:
            try:
                amend_at(RunAddress(root, 0, RUN_ID), Settings(), batch_submission(tags={"handler": 1}))
            except TreeBusyError as error:
                told.append(error)

        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            with disk.armed(call_before(handle), at):
                run = operation.act(root, run)
            stored = read_stored(root)
            assert stored is not None
            assert stored.params["opt/lr"] == "0.2"
            struck = disk.struck is not None
            assert ("handler" in stored.tags) == (struck and not told), "at step %d" % at
            assert bool(told) == (struck and name == "annotate"), "at step %d" % at
            run.is_open() and run.end()
        if not struck:
            break


# -- tags ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["open", "ended"])
def test_tag_that_is_not_there_cannot_be_deleted_and_nothing_is_left_behind(runs_dir: str, state: str) -> None:
    tracker = ended(runs_dir)
    if state == "open":
        tracker.start_run(run_id="r")
    before = tracker.get_run("r")
    for keys in (["nothing"], ["kind", "nothing"]):
        with pytest.raises(TagNotFoundError, match="nothing"):
            annotate(runs_dir, tags={"new": 1}, deleted_tags=keys)
    assert tracker.get_run("r") == before
    annotate(runs_dir, deleted_tags=["kind"])
    with pytest.raises(KeyError, match="kind"):
        annotate(runs_dir, deleted_tags=["kind"])
    annotate(runs_dir, tags={"new": 1}, deleted_tags=["new"])
    assert tracker.get_run("r")["tags"] == {"stage": "draft"}


def test_tag_that_was_deleted_shows_nowhere_and_comes_back_when_it_is_set(runs_dir: str) -> None:
    """Readers, searches and the snapshot know nothing of it, in the log, in its document and after the end."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = tracker.start_run(run_id="r")
    run.set_tags({"stage": "draft", "kind": "cnn"})
    run.delete_tag("stage")
    for is_last in (False, False, True):
        assert tracker.get_run("r")["tags"] == {"kind": "cnn"}
        (found,) = tracker.search_runs("tags.kind = 'cnn'")
        assert found.tags == {"kind": "cnn"}
        assert tracker.search_runs("tags.stage = 'draft'") == []
        assert call("show", "r", "--json", "--runs-dir", runs_dir).objects[0]["tags"] == {"kind": "cnn"}
        run.end() if is_last else run.flush()
    with pytest.raises(RunEndedError):
        run.delete_tag("kind")
    resumed = tracker.start_run(run_id="r", nested=True)
    assert tracker.get_run("r")["tags"] == {"kind": "cnn"}
    resumed.set_tag("stage", "final")
    assert tracker.get_run("r")["tags"] == {"kind": "cnn", "stage": "final"}
    resumed.end()
    assert tracker.get_run("r")["tags"] == {"kind": "cnn", "stage": "final"}


def test_deletion_is_carried_along_by_who_does_not_know_it(runs_dir: str) -> None:
    """It stands where the marks of non-finite floats do, as no list, which earlier versions pass over."""
    with Run("r", runs_dir=runs_dir) as run:
        run.set_tag("stage", "draft")
        run.delete_tag("stage")
        run.flush()
        (path,) = (Path(runs_dir) / "0" / "r" / "tags").iterdir()
        document = json.loads(path.read_text())
        assert (document["value"], document["nonfinite"], document["key"]) == (None, "deleted", "stage")
        (commit,) = [json.loads(one.read_text()) for one in (Path(runs_dir) / "0" / "r" / "log").iterdir()]
        ((kind, key, value, _, mark),) = commit["changes"]
        assert (kind, key, value, mark) == ("tags", "stage", None, "deleted")


def test_tracker_and_command_line_note_things_of_an_ended_run(runs_dir: str) -> None:
    tracker = ended(runs_dir)
    tracker.set_tag("r", "stage", ["final", 2])
    tracker.delete_tag("r", "kind")
    tracker.rename_run("r", "new")
    found = tracker.get_run("r")
    assert (found["tags"], found["metadata"]["name"]) == ({"stage": ["final", 2]}, "new")
    assert found["metadata"]["status"] == "FINISHED"
    with pytest.raises(InvalidKeyError):
        tracker.set_tag("r", "a/b", 1)
    where = ("--runs-dir", runs_dir)
    assert call("tag", "r", "note=a=b", "empty=", "--delete", "stage", *where).out == "tagged r in experiment 0\n"
    (told,) = call("rename", "r", "third", "--json", *where).objects
    assert told == {"run_id": "r", "experiment_id": 0, "done": "renamed"}
    found = tracker.get_run("r")
    assert (found["tags"], found["metadata"]["name"]) == ({"note": "a=b", "empty": ""}, "third")
    assert call("tag", "r", "--delete", "stage", *where).code == 1
    assert [call("tag", "r", *wrong, *where).code for wrong in ([], ["novalue"])] == [2, 2]
    assert tracker.get_run("r") == found
