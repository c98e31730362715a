"""Pushing runs to a server: what arrives, what is sent again, and that being cut short anywhere does no harm.

The server is one in memory (`push_server`), so that all of this runs on every Python; a real one is in
test_push_mlflow.py.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from concurrency import in_child, run_together
from mini_mlflow import ExperimentTracker, LockTimeout, Run, ServerError, push
from mini_mlflow.entities import Settings
from mini_mlflow.exchange import push_index, pushing
from mini_mlflow.exchange.push_report import PushReport
from mini_mlflow.exchange.push_state import Memories, one_at_a_time
from mini_mlflow.exchange.pushing import Pusher, keep_pushing, read_options
from mini_mlflow.formats.mlflow_records import DatasetInput, dump_input
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.writing.operations import batch_submission
from push_server import FakeServer, Killed, cut_at

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
DATASET = DatasetInput("iris", "abc", "local", "here", None, "{}", {"mlflow.data.context": "training"})


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def go(server: FakeServer, runs_dir: str, **options: Any) -> PushReport:
    """One push by a process of its own, which remembers nothing but what stands on disk."""
    return Pusher(server, runs_dir, read_options(runs_dir, **options), Settings(lock_timeout_s=20.0)).push()


def outcomes(report: PushReport) -> Dict[str, str]:
    return {run.run_id: run.outcome for run in report.runs}


def make_tree(runs_dir: str) -> Dict[str, Run]:
    """A parent with a bit of everything, its child, and one in an experiment with a name."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    tracker.create_experiment("vision", tags={"team": "a"})
    with tracker.start_run("parent", run_id="parent") as parent:
        parent.log_params({"lr": 0.1, "optimizer": "adam", "layers": [64, 32]})
        parent.set_tag("stage", "try-out")
        for step in range(5):
            parent.log_metric("loss", 1.0 / (step + 1), step=step)
        parent.log_metric("nan", float("nan"))
        parent.log_text("weights", "model/weights.txt")
        with tracker.start_run("child", nested=True, run_id="child") as child:
            child.log_metric("acc", 0.5)
    with tracker.start_run("seen", run_id="seen", experiment_id=1) as seen:
        seen.log_metric("acc", 0.75, step=-3)
    return {"parent": parent, "child": child, "seen": seen}


# -- what arrives --------------------------------------------------------------------------------------------------


def test_all_of_a_run_arrives(server: FakeServer, runs_dir: str) -> None:
    """Name, status, times, user, params as text, tags, every point, files, and the experiment by its name."""
    parent = make_tree(runs_dir)["parent"]
    report = go(server, runs_dir)
    found = server.run_of("parent")
    assert (found["name"], found["status"]) == ("parent", "FINISHED")
    assert (found["start"], found["end"]) == (iso_to_ms(parent.start_time), iso_to_ms(parent.end_time))
    assert found["params"] == {"lr": "0.1", "optimizer": "adam", "layers": "[64, 32]"}
    assert found["tags"]["stage"] == "try-out"
    assert found["tags"]["mlflow.user"] == ExperimentTracker(runs_dir=runs_dir).get_run("parent")["metadata"]["user"]
    history = ExperimentTracker(runs_dir=runs_dir).get_metric_history("parent", "loss")
    assert found["metrics"]["loss"] == history
    assert math.isnan(found["metrics"]["nan"][0].value)
    assert found["artifacts"] == {"model/weights.txt": b"weights"}
    assert server.experiments["vision"] == {
        "id": server.run_of("seen")["experiment"],
        "deleted": False,
        "tags": {"team": "a"},
    }
    assert server.experiments["Default"]["id"] == found["experiment"]
    assert [run.outcome for run in report.runs] == ["created"] * 3
    assert report.server_run_ids() == {run_id: server.id_of(run_id) for run_id in ("parent", "child", "seen")}
    (note,) = [note for run in report.runs for note in run.notes]
    assert note == ("param", "layers", "the server takes texts alone", "changed", "its JSON")


def test_parents_come_first_and_are_linked_by_their_ids_there(server: FakeServer, runs_dir: str) -> None:
    """Also where the child was started before the run that it says is its parent."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="a-child") as child:
        child.set_tag("mlflow.parentRunId", "b-parent")
    with tracker.start_run(run_id="b-parent") as parent:
        parent.set_tag("mlflow.parentRunId", "c-grandparent")
    with tracker.start_run(run_id="c-grandparent") as grandparent:
        # A tag may say anything: of a circle, one run goes without its link.
        grandparent.set_tag("mlflow.parentRunId", "c-grandparent")
    report = go(server, runs_dir)
    assert [run.run_id for run in report.runs] == ["c-grandparent", "b-parent", "a-child"]
    assert server.run_of("a-child")["tags"]["mlflow.parentRunId"] == server.id_of("b-parent")
    assert server.run_of("b-parent")["tags"]["mlflow.parentRunId"] == server.id_of("c-grandparent")


def test_link_to_a_parent_that_comes_later_is_made_then(server: FakeServer, runs_dir: str) -> None:
    """A filter leaves the parent out: that is told, and the child is linked by the push that has it."""
    make_tree(runs_dir)
    (child,) = go(server, runs_dir, filter_string="attributes.run_name = 'child'").runs
    assert [(note.problem, note.done) for note in child.notes] == [
        ("its parent is not on the server: push that too", "skipped")
    ]
    assert "mlflow.parentRunId" not in server.run_of("child")["tags"]
    assert server.run_of("child")["tags"]["mini_mlflow.parent_run_id"] == "parent"
    report = go(server, runs_dir)
    assert {run.run_id: run.outcome for run in report.runs} == {
        "parent": "created",
        "child": "updated",
        "seen": "created",
    }
    assert server.run_of("child")["tags"]["mlflow.parentRunId"] == server.id_of("parent")
    assert "mini_mlflow.parent_run_id" not in server.run_of("child")["tags"]


def test_dataset_inputs_arrive_as_such(server: FakeServer, runs_dir: str) -> None:
    """The records that MLflow's plugin keeps as tags are inputs there, and no tags."""
    with ExperimentTracker(runs_dir=runs_dir).start_run(run_id="r") as started:
        # The public keys hold no colon.
        started._submit(batch_submission(tags=dump_input(DATASET)))
    (run,) = go(server, runs_dir).runs
    assert run.inputs == 1
    assert server.run_of("r")["inputs"] == {("iris", "abc"): DATASET}
    assert not [key for key in server.run_of("r")["tags"] if key.startswith("mini_mlflow:")]
    server.calls.clear()
    assert (go(server, runs_dir).runs[0].outcome, server.writes) == ("unchanged", [])


def test_run_without_a_name_is_called_as_its_id(server: FakeServer, runs_dir: str) -> None:
    with ExperimentTracker(runs_dir=runs_dir, experiment_id=7).start_run(run_id="nameless"):
        pass
    report = go(server, runs_dir)
    assert server.run_of("nameless")["name"] == "nameless"
    assert list(server.experiments) == ["experiment-7"]
    assert [(note.key, note.instead) for note in report.notes] == [("7", "experiment-7")]


# -- again and again -----------------------------------------------------------------------------------------------


def test_second_push_sends_nothing(server: FakeServer, runs_dir: str) -> None:
    make_tree(runs_dir)
    go(server, runs_dir)
    before = server.state()
    server.calls.clear()
    report = go(server, runs_dir)
    assert [run.outcome for run in report.runs] == ["unchanged"] * 3
    assert server.writes == []
    assert server.state() == before


def test_running_run_is_pushed_as_it_grows(server: FakeServer, runs_dir: str) -> None:
    """Each push sends the points, tags and files that are new, and the last one how it ended."""
    run = Run("r", runs_dir=runs_dir)
    run.log_metrics({"loss": 1.0, "acc": 0.1})
    assert go(server, runs_dir).runs[0][4:9] == ("created", 0, len(server.run_of("r")["tags"]) - 3, 2, 0)
    assert (server.run_of("r")["status"], server.run_of("r")["end"]) == ("RUNNING", None)
    run.log_metric("loss", 0.5)
    run.log_text("x", "a.txt")
    run.set_tag("stage", "late")
    assert go(server, runs_dir).runs[0][4:9] == ("updated", 0, 1, 1, 1)
    run.log_text("changed", "a.txt")
    assert go(server, runs_dir).runs[0][4:9] == ("updated", 0, 0, 0, 1)
    run.end("KILLED")
    assert go(server, runs_dir).runs[0][4:9] == ("updated", 0, 0, 0, 0)
    found = server.run_of("r")
    assert (found["status"], found["end"]) == ("KILLED", iso_to_ms(run.end_time))
    assert found["artifacts"] == {"a.txt": b"changed"}
    assert [point.value for point in found["metrics"]["loss"]] == [1.0, 0.5]


def test_resumed_run_runs_again_there(server: FakeServer, runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="r"):
        pass
    go(server, runs_dir)
    resumed = tracker.start_run(run_id="r")
    go(server, runs_dir)
    assert (server.run_of("r")["status"], server.run_of("r")["end"]) == ("RUNNING", None)
    resumed.end("FAILED")
    go(server, runs_dir)
    assert (server.run_of("r")["status"], server.run_of("r")["end"]) == ("FAILED", iso_to_ms(resumed.end_time))


def test_what_is_remembered_is_never_the_truth(server: FakeServer, runs_dir: str) -> None:
    """Lost, or of a server that was emptied since: the push is what it would have been without it."""
    run = Run("r", runs_dir=runs_dir)
    run.log_metrics({"loss": 1.0, "nan": float("nan")})
    run.log_text("x", "a.txt")
    go(server, runs_dir)
    before = server.state()
    shutil.rmtree(os.path.join(runs_dir, ".mlflow"))
    server.calls.clear()
    assert (go(server, runs_dir).runs[0].outcome, server.writes) == ("unchanged", [])
    run.log_metrics({"loss": 0.5})
    shutil.rmtree(os.path.join(runs_dir, ".mlflow"), ignore_errors=True)
    assert go(server, runs_dir).runs[0].points == 1
    assert [point.value for point in server.run_of("r")["metrics"]["loss"]] == [1.0, 0.5]
    assert len(server.run_of("r")["metrics"]["nan"]) == 1
    other = FakeServer()
    assert (go(other, runs_dir).runs[0].outcome, go(other, runs_dir).runs[0].outcome) == ("created", "unchanged")
    assert before != server.state() == other.state()


def test_server_that_was_put_back_from_a_copy_gets_what_it_lacks(server: FakeServer, runs_dir: str) -> None:
    """Its run has the id that is remembered, and not the points and files that were sent since the copy."""
    run = Run("r", runs_dir=runs_dir)
    run.log_metric("loss", 1.0)
    go(server, runs_dir)
    copy = pickle.dumps(server.runs)
    run.log_metric("loss", 2.0)
    run.log_text("x", "a.txt")
    go(server, runs_dir)
    server.runs = pickle.loads(copy)
    assert go(server, runs_dir).runs[0][4:9] == ("updated", 0, 0, 1, 1)
    assert [point.value for point in server.run_of("r")["metrics"]["loss"]] == [1.0, 2.0]


def test_points_are_compared_where_others_stand_than_were_sent(server: FakeServer, runs_dir: str) -> None:
    """After a repair, or in a tree that was put in the place of another: the count alone says nothing."""
    run = Run("r", runs_dir=runs_dir)
    for value in range(3):
        run.log_metric("loss", value, step=value)
    go(server, runs_dir)
    place = Path(runs_dir, ".mlflow", "push")
    (memory,) = place.rglob("r.json")
    told = json.loads(memory.read_text())
    told["points"]["loss"] = [4, "0 0 9.0"]
    memory.write_text(json.dumps(told))
    run.log_metric("loss", 9.0, step=9)
    assert go(server, runs_dir).runs[0].points == 1
    assert [point.step for point in server.run_of("r")["metrics"]["loss"]] == [0, 1, 2, 9]


def test_tag_that_was_deleted_here_is_deleted_there(server: FakeServer, runs_dir: str) -> None:
    """If a push has sent it: what somebody has set there is left alone."""
    run = Run("r", runs_dir=runs_dir)
    run.set_tags({"stage": "early", "team": "a"})
    go(server, runs_dir)
    server.run_of("r")["tags"]["theirs"] = "x"
    run._submit(batch_submission(deleted_tags=["stage"]))
    go(server, runs_dir)
    tags = server.run_of("r")["tags"]
    assert ("stage" in tags, tags["team"], tags["theirs"]) == (False, "a", "x")


def test_changed_param_is_told_and_kept(server: FakeServer, runs_dir: str) -> None:
    """The last write wins here; a server lets no param be changed."""
    run = Run("r", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    go(server, runs_dir)
    run.log_param("lr", 0.2)
    (note,) = go(server, runs_dir).runs[0].notes
    assert (note.kind, note.key, note.done, note.instead) == ("param", "lr", "kept", "0.1")
    assert server.run_of("r")["params"] == {"lr": "0.1"}


def test_points_that_a_rewind_hid_are_told_and_kept(server: FakeServer, runs_dir: str) -> None:
    run = Run("r", runs_dir=runs_dir)
    for step in range(6):
        run.log_metric("loss", step, step=step)
    go(server, runs_dir)
    run.rewind(3)
    run.log_metric("loss", 40.0, step=4)
    report = go(server, runs_dir)
    assert (report.runs[0].points, [note[2:4] for note in report.runs[0].notes]) == (
        1, [("2 points that a rewind has hidden were sent before", "kept")],
    )  # fmt: skip
    assert [point.value for point in server.run_of("r")["metrics"]["loss"]] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 40.0]


def test_rewound_points_that_were_never_sent_are_not(server: FakeServer, runs_dir: str) -> None:
    run = Run("r", runs_dir=runs_dir)
    for step in range(6):
        run.log_metric("loss", step, step=step)
    run.rewind(3)
    run.log_metric("loss", 40.0, step=4)
    report = go(server, runs_dir)
    assert report.runs[0].notes == ()
    assert [point.value for point in server.run_of("r")["metrics"]["loss"]] == [0.0, 1.0, 2.0, 3.0, 40.0]


def test_experiment_with_many_runs_is_listed_once(server: FakeServer, runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for number in range(push_index._ASKED_SINGLY + 1):
        with tracker.start_run(run_id="r%d" % number):
            pass
    go(server, runs_dir)
    assert server.calls.count("find_runs") == 1
    server.calls.clear()
    report = go(server, runs_dir)
    assert report.count("unchanged") == push_index._ASKED_SINGLY + 1
    assert server.calls == ["find_experiment", "find_runs"]


def test_two_trees_may_have_runs_of_one_chosen_id(server: FakeServer, tmp_path: Path) -> None:
    """They are two runs there: an id that somebody chose says less than the time of the start."""
    for name in ("one", "two"):
        with ExperimentTracker(runs_dir=str(tmp_path / name)).start_run(run_id="job") as run:
            run.log_param("tree", name)
        time = "2026-01-0%dT00:00:00.000000Z" % (1 if name == "one" else 2)
        for path in (tmp_path / name / "0" / "job").glob("*.*"):
            path.write_text(path.read_text().replace(run.start_time, time))
    for _ in range(2):
        for name in ("one", "two"):
            go(server, str(tmp_path / name))
    assert sorted(run["params"]["tree"] for run in server.runs.values()) == ["one", "two"]


# -- cut short -----------------------------------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch: Any) -> List[bool]:
    """While it holds something, nothing is written any more: whoever is killed writes no last word."""
    flags: List[bool] = []
    save = Memories.save

    def save_if_alive(self: Memories, *arguments: Any, **options: Any) -> None:
        if not flags:
            save(self, *arguments, **options)

    monkeypatch.setattr(Memories, "save", save_if_alive)
    return flags


def kill_at(server: FakeServer, killed: List[bool], number: int, done: bool, error: BaseException) -> None:
    """The push is cut short at that request."""
    cut = cut_at(number, done, error)

    def die(at: int, answered: bool) -> None:
        try:
            cut(at, answered)
        except Killed:
            killed.append(True)
            raise

    server.cut = die


@pytest.mark.parametrize("done", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("error", [ServerError("gone"), Killed()], ids=["dropped", "killed"])
def test_push_that_is_cut_short_anywhere_is_completed(
    runs_dir: str, error: BaseException, done: bool, killed: List[bool]
) -> None:
    """At every request: the next push leaves what one alone would have left, each run and each point once."""
    make_tree(runs_dir)
    whole = FakeServer()
    go(whole, runs_dir)
    shutil.rmtree(os.path.join(runs_dir, ".mlflow"))
    for number in range(1, len(whole.calls) + 1):
        server = FakeServer()
        kill_at(server, killed, number, done, error)
        try:
            report = go(server, runs_dir)
            assert report.error is not None
            assert not report.is_complete
        except Killed:
            assert isinstance(error, Killed)
        server.cut = lambda number, done: None
        killed.clear()
        report = go(server, runs_dir)
        assert report.is_complete
        assert server.state() == whole.state(), "cut at request %d, %s" % (number, whole.calls[number - 1])
        shutil.rmtree(os.path.join(runs_dir, ".mlflow"))


@pytest.mark.parametrize("done", [False, True], ids=["request lost", "answer lost"])
def test_later_push_that_is_killed_anywhere_is_completed(runs_dir: str, done: bool, killed: List[bool]) -> None:
    """What was remembered before it does not mislead the one that completes it."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    whole = FakeServer()
    # What is remembered of the one is nothing to the other.
    whole.to = "http://other:5000"
    run = tracker.start_run(run_id="r")
    cuts = iter(range(1, 20))
    server = FakeServer()
    go(whole, runs_dir)
    go(server, runs_dir)
    for number in cuts:
        run.log_metrics({"loss": number, "acc": number})
        run.log_text(str(number), "a.txt")
        server.calls.clear()
        kill_at(server, killed, number, done, Killed())
        try:
            go(server, runs_dir)
            break
        except Killed:
            server.cut = lambda number, done: None
            killed.clear()
        go(server, runs_dir)
        go(whole, runs_dir)
        assert server.state() == whole.state()
    assert next(cuts) > 5


def test_answer_that_was_lost_is_looked_for_at_once(server: FakeServer, runs_dir: str) -> None:
    """The run was made, the connection dropped: the same push finds it and goes on."""
    make_tree(runs_dir)

    def cut(number: int, done: bool) -> None:
        if done and server.calls[-1] == "create_run":
            raise ServerError("reset by peer")

    server.cut = cut
    assert go(server, runs_dir).is_complete
    assert len(server.runs) == 3


def test_rest_is_told_as_unsent(server: FakeServer, runs_dir: str) -> None:
    make_tree(runs_dir)
    server.cut = lambda number, done: gone() if server.calls.count("create_run") == 2 else None

    def gone() -> None:
        raise ServerError("no route to host")

    report = go(server, runs_dir)
    assert report.error == "no route to host"
    assert [run.outcome for run in report.runs] == ["created", "unsent", "unsent"]


def test_two_pushes_at_once_make_no_run_twice(server: FakeServer, runs_dir: str) -> None:
    """They look for the run at the same moment, if they can: the barrier lets them only both."""
    make_tree(runs_dir)
    both = threading.Barrier(2)

    def meet(number: int, done: bool) -> None:
        if done and server.calls[-1] == "find_runs":
            try:
                both.wait(0.3)
            except threading.BrokenBarrierError:
                both.reset()

    server.cut = meet
    reports = run_together(lambda: go(server, runs_dir), lambda: go(server, runs_dir))
    assert sorted(run.outcome for report in reports for run in report.runs) == ["created"] * 3 + ["unchanged"] * 3
    assert len(server.runs) == 3


def test_another_push_is_waited_for_no_longer_than_settled(runs_dir: str, server: FakeServer) -> None:
    make_tree(runs_dir)
    pusher = Pusher(server, runs_dir, read_options(runs_dir), Settings(lock_timeout_s=0.05))
    with one_at_a_time(runs_dir, pushing.name_target(server.to), 1.0):
        with pytest.raises(LockTimeout, match="push"):
            pusher.push()
    assert server.calls == []
    assert pusher.push().is_complete


@needs_fork
def test_forked_child_does_not_keep_the_lock_of_a_parent_that_is_killed(runs_dir: str) -> None:
    os.makedirs(runs_dir)
    said, heard = os.pipe(), os.pipe()

    def work() -> None:
        with one_at_a_time(runs_dir, "t", 1.0):
            if not os.fork():
                os.write(said[1], b"x")
                os.read(heard[0], 1)
                os._exit(0)
            os.read(said[0], 1)
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        assert os.WTERMSIG(in_child(work)) == signal.SIGKILL
        with one_at_a_time(runs_dir, "t", 0.1):
            pass
    finally:
        # The child of the child goes now.
        os.write(heard[1], b"x")
        for descriptor in said + heard:
            os.close(descriptor)


# -- what a server does not take -----------------------------------------------------------------------------------


def test_refused_items_are_singled_out(server: FakeServer, runs_dir: str) -> None:
    """A server refuses a request as a whole; what is wrong with it is told, and the rest arrives."""
    server.refused_keys = ("p7", "loss", "bad.txt")
    with Run("r", runs_dir=runs_dir) as run:
        run.log_params({"p%d" % number: number for number in range(150)})
        run.log_metrics({"acc": 1.0})
        for step in range(3):
            run.log_metric("loss", 1.0, step=step)
        run.log_text("x", "bad.txt")
        run.log_text("y", "good.txt")
    report = go(server, runs_dir)
    found = server.run_of("r")
    assert len(found["params"]) == 149
    assert found["metrics"].keys() == {"acc"}
    assert found["artifacts"] == {"good.txt": b"y"}
    assert [(note.kind, note.key, note.problem, note.done) for note in report.runs[0].notes] == [
        ("param", "p7", "the server refused: bad key p7", "skipped"),
        ("metric", "loss", "3 points: the server refused: bad key loss", "skipped"),
        ("artifact", "bad.txt", "the server refused: bad path bad.txt", "skipped"),
    ]
    assert report.is_complete
    assert len(report.left_out) == 3
    server.calls.clear()
    assert (go(server, runs_dir).runs[0].outcome, server.writes) == ("unchanged", [])


def test_batches_keep_to_the_limits(server: FakeServer, runs_dir: str) -> None:
    """Of 450 params, 150 tags and 2,600 points, long values among them; the server asserts its own limits."""
    with Run("r", runs_dir=runs_dir) as run:
        run.log_params({"p%d" % number: "x" * 5900 for number in range(450)})
        run.set_tags({"t%d" % number: "x" * 7900 for number in range(150)})
        for step in range(1300):
            run.log_metrics({"a": step, "b": step}, step=step)
    assert go(server, runs_dir).runs[0][5:8] == (450, len(server.run_of("r")["tags"]) - 3, 2600)
    assert [point.step for point in server.run_of("r")["metrics"]["b"]] == list(range(1300))


def test_run_that_is_deleted_there_meanwhile_is_told_once(server: FakeServer, runs_dir: str) -> None:
    """Not item by item: that the run takes nothing more says nothing of its params."""
    with Run("r", runs_dir=runs_dir) as run:
        run.log_params({"p%d" % number: number for number in range(90)})

    def cut(number: int, done: bool) -> None:
        if server.calls[-1] == "log_batch" and not done:
            next(iter(server.runs.values()))["deleted"] = True

    server.cut = cut
    (told,) = go(server, runs_dir).runs
    assert (told.outcome, told.error, told.notes) == ("failed", "The run must be in the 'active' state", ())
    assert server.calls.count("log_batch") == 1


def test_artifacts_of_a_server_that_has_them_to_itself_are_told(server: FakeServer, runs_dir: str) -> None:
    """MLflow's client would write them to a folder of that name on this machine."""
    server.artifact_root = "file:///srv/mlruns"
    with Run("r", runs_dir=runs_dir) as run:
        run.log_text("x", "a.txt")
    (told,) = go(server, runs_dir).runs
    assert (told.artifacts, [(note.key, note.done) for note in told.notes]) == (0, [("a.txt", "skipped")])
    assert server.run_of("r")["artifacts"] == {}
    server.to = "http://127.0.0.1:5000"
    shutil.rmtree(os.path.join(runs_dir, ".mlflow"))
    run.log_artifact(__file__, "b")
    go(server, runs_dir)
    assert set(server.run_of("r")["artifacts"]) == {"a.txt", "b/test_push.py"}


def test_artifacts_that_stand_elsewhere_are_sent_from_there(
    server: FakeServer, runs_dir: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """Of an experiment whose artifacts MLflow keeps in another folder; of one in a cloud, that is told."""
    location = [(tmp_path / "other place").as_uri()]

    def read(root: str, experiment_id: int) -> Any:
        return SimpleNamespace(name="named", tags={}, artifact_location=location[0])

    monkeypatch.setattr(push_index, "read_experiment", read)
    with Run("r", runs_dir=runs_dir) as run:
        run.log_text("in the tree", "a.txt")
    place = tmp_path / "other place" / "r" / "artifacts" / "model"
    place.mkdir(parents=True)
    (place / "b.txt").write_text("elsewhere")
    assert go(server, runs_dir).runs[0].artifacts == 2
    assert server.run_of("r")["artifacts"] == {"a.txt": b"in the tree", "model/b.txt": b"elsewhere"}
    location[0] = "s3://bucket/1"
    (note,) = go(FakeServer(), runs_dir).runs[0].notes
    assert (note.kind, note.done, "s3://bucket/1" in note.problem) == ("artifact", "skipped", True)


def test_artifact_whose_name_means_something_in_a_url_is_told(server: FakeServer, runs_dir: str) -> None:
    with Run("r", runs_dir=runs_dir) as run:
        for name in ("a#1.txt", "why?", "50%25", "50% of é.txt"):
            run.log_text("x", name)
        os.mkdir(os.path.join(runs_dir, "0", "r", "artifacts", "empty"))
    (told,) = go(server, runs_dir).runs
    assert set(server.run_of("r")["artifacts"]) == {"50% of é.txt"}
    assert {note.key for note in told.notes if note.done == "skipped"} == {"a#1.txt", "why?", "50%25", "empty"}


def test_file_that_did_not_arrive_is_tried_again(server: FakeServer, runs_dir: str) -> None:
    """The run failed, whatever else of it arrived; the next push sends that file and says so."""
    with Run("r", runs_dir=runs_dir) as run:
        run.log_text("x", "a.txt")
        run.log_text("y", "b.txt")
    place = Path(runs_dir, "0", "r", "artifacts", "a.txt")

    def cut(number: int, done: bool) -> None:
        if server.calls[-1] == "log_artifact" and place.exists() and not done:
            place.unlink()

    server.cut = cut
    (told,) = go(server, runs_dir).runs
    assert (told.outcome, told.artifacts, told.error) == ("failed", 1, "some of its artifacts did not arrive")
    server.cut = lambda number, done: None
    place.write_text("z")
    (told,) = go(server, runs_dir).runs
    assert (told.outcome, told.artifacts) == ("updated", 1)
    assert server.run_of("r")["artifacts"] == {"a.txt": b"z", "b.txt": b"y"}


def test_experiment_that_was_deleted_there_fails_its_runs_alone(server: FakeServer, runs_dir: str) -> None:
    make_tree(runs_dir)
    server.experiments["vision"] = {"id": "e9", "deleted": True, "tags": {}}
    report = go(server, runs_dir)
    assert {run.run_id: run.outcome for run in report.runs} == {
        "parent": "created",
        "child": "created",
        "seen": "failed",
    }
    assert "restore it there" in str([run.error for run in report.runs])


# -- statuses and the trash ----------------------------------------------------------------------------------------


def make_crashed(runs_dir: str) -> None:
    def work() -> None:
        Run("r", runs_dir=runs_dir).log_metric("loss", 1.0, timestamp=1_900_000_000_000)

    # The child leaves through os._exit, and ends no run.
    assert in_child(work) == 0


@needs_fork
@pytest.mark.leaves("dead-owner")
def test_crashed_run_has_failed_there_or_runs(server: FakeServer, runs_dir: str) -> None:
    """As one chooses; a tag says what it really is. Ended at its last sign of life, and resumed when it is here."""
    make_crashed(runs_dir)
    (told,) = go(server, runs_dir).runs
    found = server.run_of("r")
    assert (found["status"], found["end"], found["tags"]["mini_mlflow.status"]) == (
        "FAILED",
        1_900_000_000_000,
        "CRASHED",
    )
    assert [(note.kind, note.done, note.instead) for note in told.notes] == [("run", "changed", "FAILED")]
    go(server, runs_dir, crashed="RUNNING")
    assert (server.run_of("r")["status"], server.run_of("r")["end"]) == ("RUNNING", None)
    Run("r", runs_dir=runs_dir).end()
    go(server, runs_dir)
    assert server.run_of("r")["status"] == "FINISHED"
    assert "mini_mlflow.status" not in server.run_of("r")["tags"]


def test_deleted_runs_stay_here_unless_asked_for(server: FakeServer, runs_dir: str) -> None:
    """Then they are deleted there too, whether they were there before or not; and come back as they do here."""
    make_tree(runs_dir)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    go(server, runs_dir, filter_string="attributes.run_name = 'parent'")
    tracker.delete_run("parent")
    tracker.delete_run("child")
    assert [run.run_id for run in go(server, runs_dir).runs] == ["seen"]
    assert not server.run_of("parent")["deleted"]
    report = go(server, runs_dir, deleted=True)
    assert {run.run_id: run.outcome for run in report.runs} == {
        "parent": "updated",
        "child": "created",
        "seen": "unchanged",
    }
    assert [server.run_of(run_id)["deleted"] for run_id in ("parent", "child", "seen")] == [True, True, False]
    assert server.run_of("child")["metrics"]["acc"][0].value == 0.5
    server.calls.clear()
    assert go(server, runs_dir, deleted=True).count("unchanged") == 3
    assert server.writes == []
    tracker.restore_run("parent")
    tracker.restore_run("child")
    assert go(server, runs_dir).count("updated") == 2
    assert not any(run["deleted"] or "mini_mlflow.deleted" in run["tags"] for run in server.runs.values())


def test_run_that_somebody_deleted_there_is_left_so(server: FakeServer, runs_dir: str) -> None:
    run = Run("r", runs_dir=runs_dir)
    go(server, runs_dir)
    server.delete_run(server.id_of("r"))
    run.log_metric("loss", 1.0)
    server.calls.clear()
    report = go(server, runs_dir)
    assert (report.runs[0].outcome, server.writes, report.is_complete) == ("left", [], True)
    assert server.run_of("r")["deleted"]


# -- dry runs, watching, places ------------------------------------------------------------------------------------


def test_dry_run_sends_nothing_and_tells_what_would_be(server: FakeServer, runs_dir: str) -> None:
    make_tree(runs_dir)
    before = sorted(os.listdir(runs_dir))
    report = go(server, runs_dir, dry_run=True)
    assert (report.runs[0].outcome, report.runs[0].params, report.runs[0][7:9]) == ("created", 3, (6, 1))
    assert (server.writes, server.runs, sorted(os.listdir(runs_dir))) == ([], {}, before)
    assert report.dry_run
    assert report.server_run_ids() == {}
    sent = go(server, runs_dir)
    assert [run[4:10] for run in sent.runs] == [run[4:10] for run in report.runs]
    again = go(server, runs_dir, dry_run=True)
    assert again.count("unchanged") == 3


def test_watching_goes_on_until_its_time_is_up(server: FakeServer, runs_dir: str, monkeypatch: Any) -> None:
    """Each look sends what came since the last; what has ended and is there is not asked for again."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with tracker.start_run(run_id="old"):
        pass
    run = tracker.start_run(run_id="r")
    waits: List[float] = []
    monkeypatch.setattr(pushing, "sleep", waits.append)
    now = [0.0]
    monkeypatch.setattr(pushing, "monotonic", lambda: now[0])
    reports = keep_pushing(Pusher(server, runs_dir, read_options(runs_dir), Settings()), 5.0, 12.0)
    told = []
    for number, report in enumerate(reports):
        told.append([(one.run_id, one.outcome, one.points) for one in report.runs])
        run.log_metric("loss", number)
        now[0] += 6.0 * number
        server.calls.clear()
    assert told == [
        [("old", "created", 0), ("r", "created", 0)], [("r", "updated", 1)], [("r", "updated", 1)],
    ]  # fmt: skip
    assert waits == [5.0, 5.0]


def test_watching_outlives_a_server_that_is_away(server: FakeServer, runs_dir: str, monkeypatch: Any) -> None:
    make_tree(runs_dir)
    monkeypatch.setattr(pushing, "sleep", lambda seconds: None)
    reports = keep_pushing(Pusher(server, runs_dir, read_options(runs_dir), Settings()), 5.0)
    server.cut = cut_at(1, False, ServerError("away"))
    assert next(reports).error == "away"
    server.cut = lambda number, done: None
    assert next(reports).is_complete


def test_full_disk_or_read_only_tree_stops_no_push(server: FakeServer, runs_dir: str, monkeypatch: Any) -> None:
    """Nothing is remembered then, and the next push compares."""
    from mini_mlflow.disk.locks import KeptLock

    run = Run("r", runs_dir=runs_dir)
    run.log_metric("loss", 1.0)
    run.flush()

    def refuse(self: Any, timeout_s: float) -> None:
        raise PermissionError(13, "Permission denied", self.path)

    with monkeypatch.context() as patch:
        patch.setattr(KeptLock, "acquire", refuse)
        assert go(server, runs_dir).is_complete
    assert not os.path.exists(os.path.join(runs_dir, ".mlflow"))
    run.log_metric("loss", 2.0)
    go(server, runs_dir)
    assert [point.value for point in server.run_of("r")["metrics"]["loss"]] == [1.0, 2.0]


def test_without_mlflow_it_says_what_to_install(runs_dir: str, monkeypatch: Any) -> None:
    make_tree(runs_dir)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"pip install mlflow-skinny \(the extra \"mlflow\" of mini-mlflow\)"):
        push("http://127.0.0.1:1", runs_dir)


@pytest.mark.parametrize("arguments", [{"crashed": "DEAD"}, {"filter_string": "x <"}, {"experiment_names": "none"}])
def test_bad_arguments_are_refused_before_anything(runs_dir: str, arguments: Any) -> None:
    make_tree(runs_dir)
    with pytest.raises(ValueError):
        push("http://127.0.0.1:1", runs_dir, **arguments)
    with pytest.raises(TypeError):
        push(5000, runs_dir)  # type: ignore[arg-type]
