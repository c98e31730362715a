"""Pushing to a real ``mlflow server``: on PostgreSQL where that is installed, else on SQLite, as a printed line says.

One server for all of these tests. They are skipped where MLflow is not installed; what takes longer is left out unless
``--mlflow-long`` is given.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from command_line import call
from concurrency import fork, reap
from mini_mlflow import ExperimentTracker, Run, ServerError, push
from mini_mlflow.cli import pushing as cli_pushing
from mini_mlflow.cli.exit_codes import DONE, FAILED, NO
from mini_mlflow.formats.mlflow_records import DatasetInput, dump_input
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.writing.operations import batch_submission
from real_server import Proxy, Server, free_port, mlflow_server, read_all

with warnings.catch_warnings():
    # What MLflow and what it stands on warn of is not ours to mend.
    warnings.simplefilter("ignore")
    mlflow = pytest.importorskip("mlflow")
    if not hasattr(mlflow, "MlflowClient"):
        pytest.skip("MLflow is too old", allow_module_level=True)
    # The server needs more than the client does.
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("uvicorn")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]
DATASET = DatasetInput("iris", "abc", "local", '{"uri": "here"}', '{"a": 1}', "{}", {"mlflow.data.context": "training"})


@pytest.fixture(scope="module")
def real() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        # A request that is not answered is repeated at once or not at all, for these tests' time.
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with mlflow_server() as server:
            yield server


@pytest.fixture
def client(real: Server) -> Any:
    return mlflow.MlflowClient(real.url)


@pytest.fixture
def name(request: Any) -> str:
    """An experiment of the test's own: the server is everybody's."""
    return str(request.node.name)


def make_tree(runs_dir: str, name: str) -> Dict[str, Run]:
    """A parent with a bit of everything and its child, in an experiment of that name; the ids are the name's too."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    number = tracker.create_experiment(name, tags={"team": "a"})
    with tracker.start_run("parent", number, run_id=name + "-parent") as parent:
        parent.log_params({"lr": 0.1, "optimizer": "adam", "layers": [64, 32]})
        parent.set_tag("stage", "try-out")
        for step in range(40):
            parent.log_metrics({"loss": 1.0 / (step + 1), "acc": step}, step=step)
        parent.log_metric("nan", float("nan"))
        parent.log_metric("early", 1e-300, step=-(2**40), timestamp=7)
        parent.log_text("weights", "model/weights.txt")
        parent.log_text("é", "wörter 50% (1).txt")
        parent._submit(batch_submission(tags=dict([dump_input(DATASET)])))
        with tracker.start_run("child", number, nested=True, run_id=name + "-child") as child:
            child._submit(batch_submission([("val/loss: a", 0.5, 1, 1000)], {"a/b": "c"}))
    return {"parent": parent, "child": child}


def read(client: Any, name: str) -> Dict[str, Any]:
    experiment = client.get_experiment_by_name(name)
    return {} if experiment is None else read_all(client, [experiment.experiment_id])


def without_ids(found: Dict[str, Any]) -> Any:
    """What two servers' experiments of two trees' have in common if their trees do."""
    told = {}
    for run_id, run in found.items():
        names = {other["id"]: other_id.rpartition("-")[2] for other_id, other in found.items()}
        left_out = ("mini_mlflow.run_id", "mini_mlflow.pushed")
        tags = {key: names.get(value, value) for key, value in run["tags"].items() if key not in left_out}
        plain = dict(run, tags=tags, info=run["info"][:2])
        del plain["id"]
        plain["points"] = {key: [(step, value) for step, _, value in points] for key, points in run["points"].items()}
        told[run_id.rpartition("-")[2]] = plain
    return told


def test_all_of_a_tree_is_read_back_from_the_server(
    real: Server, client: Any, runs_dir: str, name: str, tmp_path: Path
) -> None:
    """Through MLflow's own client: times, statuses, links, every point, params, tags, datasets, and files."""
    runs = make_tree(runs_dir, name)
    report = push(real.url, runs_dir)
    assert [run.outcome for run in report.runs] == ["created", "created"]
    found = read(client, name)
    parent, child = found[name + "-parent"], found[name + "-child"]
    for key, run in (("parent", runs["parent"]), ("child", runs["child"])):
        times = (iso_to_ms(run.start_time), iso_to_ms(run.end_time))
        user = ExperimentTracker(runs_dir=runs_dir).get_run(run.run_id, run.experiment_id)["metadata"]["user"]
        assert found["%s-%s" % (name, key)]["info"] == (key, "FINISHED", *times, user)
    assert report.server_run_ids() == {run_id: run["id"] for run_id, run in found.items()}
    assert parent["params"] == {"lr": "0.1", "optimizer": "adam", "layers": "[64, 32]"}
    assert parent["tags"]["stage"] == "try-out"
    assert child["tags"]["mlflow.parentRunId"] == parent["id"]
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    for key, points in parent["points"].items():
        history = tracker.get_metric_history(name + "-parent", key)
        assert points == sorted((point.step, point.timestamp, repr(point.value)) for point in history)
    assert set(parent["points"]) == {"loss", "acc", "nan", "early"}
    assert (child["params"], child["points"]) == ({"a/b": "c"}, {"val/loss: a": [(1, 1000, "0.5")]})
    ((dataset, tags),) = parent["inputs"]
    assert (dataset["name"], dataset["digest"], dataset["schema"]) == ("iris", "abc", '{"a": 1}')
    assert [(tag.key, tag.value) for tag in tags] == [("mlflow.data.context", "training")]
    assert parent["artifacts"] == [("model/weights.txt", 7), ("wörter 50% (1).txt", 2)]
    place = client.download_artifacts(parent["id"], "wörter 50% (1).txt", str(tmp_path))
    assert Path(place).read_text("utf-8") == "é"
    assert client.get_experiment_by_name(name).tags["team"] == "a"


def test_any_number_of_pushes_leaves_what_one_did(real: Server, client: Any, runs_dir: str, name: str) -> None:
    """With what was remembered, without it, and where not even the mark on the server is left."""
    make_tree(runs_dir, name)
    push(real.url, runs_dir)
    before = read(client, name)
    assert push(real.url, runs_dir).count("unchanged") == 2
    remove_memory(runs_dir)
    assert push(real.url, runs_dir).count("unchanged") == 2
    remove_memory(runs_dir)
    for run in before.values():
        client.delete_tag(run["id"], "mini_mlflow.pushed")
    report = push(real.url, runs_dir)
    assert [(run.outcome, run.params, run.points, run.inputs) for run in report.runs] == [("updated", 0, 0, 0)] * 2
    assert read(client, name) == before


def remove_memory(runs_dir: str) -> None:
    import shutil

    shutil.rmtree(os.path.join(runs_dir, ".mlflow"))


def test_what_the_server_does_not_take_is_told_item_by_item(
    real: Server, client: Any, runs_dir: str, name: str
) -> None:
    """And stands there as the report says; everything else arrives."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    number = tracker.create_experiment(name)
    with tracker.start_run("n" * 300, number, run_id=name) as run:
        run.log_params({"long": "x" * 6001, "zero": "a\0b", "half": "\ud800", "layers": [1, "a"], "flag": True})
        run._submit(
            batch_submission(
                [("up", math.inf, 0, 5), ("up", -math.inf, 1, 5), ("up", 1.0, 2**64, 5), ("up", 2.0, 3, 5),
                 ("up", 2.0, 3, 5), ("recall@10", 0.5, 0, 5), ("recall_10", 0.25, 0, 5)],
                {"k" * 251: "v", "../up": "v", "a//b": "v"},
                {"t": "y" * 8001, "mlflow.log-model.history": "[" + "1," * 5000 + "1]"},
            )
        )  # fmt: skip
        run.log_text("x", "a#b.txt")
    report = push(real.url, runs_dir)
    assert report.is_complete
    assert {(note.kind, note.key[:30], note.done) for note in report.runs[0].notes} == {
        ("run", "n" * 30, "truncated"), ("param", "long", "truncated"), ("param", "zero", "changed"),
        ("param", "half", "changed"), ("param", "layers", "changed"),
        ("param", "k" * 30, "renamed"), ("param", "../up", "renamed"), ("param", "a//b", "renamed"),
        ("metric", "recall@10", "renamed"), ("metric", "up", "clamped"), ("metric", "up", "skipped"),
        ("metric", "up", "changed"), ("tag", "t", "truncated"), ("tag", "mlflow.log-model.history", "skipped"),
        ("artifact", "a#b.txt", "skipped"),
    }  # fmt: skip
    found = read(client, name)[name]
    assert len(found["info"][0]) == 250
    assert found["params"]["long"] == "x" * 6000
    assert (found["params"]["zero"], found["params"]["half"]) == ("a\\x00b", "\\ud800")
    assert (found["params"]["layers"], found["params"]["flag"]) == ('[1, "a"]', "True")
    assert len(found["params"]) == 8
    assert [(step, float(value)) for step, _, value in found["points"]["up"]] == [
        (0, sys.float_info.max), (1, -sys.float_info.max), (3, 2.0),
    ]  # fmt: skip
    assert [value for _, _, value in found["points"]["recall_10"]] == ["0.25"]
    assert len(found["points"]) == 3
    assert found["tags"]["t"] == "y" * 8000
    assert found["artifacts"] == []
    assert push(real.url, runs_dir).count("unchanged") == 1


def test_lengths_and_keys_at_their_limits_arrive(real: Server, client: Any, runs_dir: str, name: str) -> None:
    """What the rules let pass, the server takes: nothing is told."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    name_there = name + "-" + "e" * (249 - len(name))
    number = tracker.create_experiment(name_there)
    with tracker.start_run("n" * 250, number, run_id=name) as run:
        run._submit(
            batch_submission(
                [("m" * 250, 5e-324, 2**63 - 1, 0), ("é /x.-: y", 1.0, -(2**63), 253402300799999)],
                {"p" * 250: "é" * 6000, "empty": ""},
                {"t" * 250: "😀" * 8000, "empty": ""},
            )
        )
        run._submit(batch_submission(tags=dict([dump_input(DATASET._replace(name="d" * 500, digest="d" * 36))])))
    report = push(real.url, runs_dir)
    assert [(told.outcome, told.notes, told.error) for told in report.runs] == [("created", (), None)]
    (found,) = read(client, name_there).values()
    assert found["params"]["p" * 250] == "é" * 6000
    assert set(found["points"]) == {"m" * 250, "é /x.-: y"}
    assert found["points"]["m" * 250] == [(2**63 - 1, 0, "5e-324")]


def count_requests(proxy: Proxy, client: Any, runs_dir: str, name: str) -> Tuple[int, Any]:
    """How many requests a push of `make_tree` sends, and what the server has afterwards."""
    # MLflow's client asks some things once for each server (since 3.18).
    make_tree(runs_dir + "-first", name + "-first")
    push(proxy.url, runs_dir + "-first")
    make_tree(runs_dir, name)
    proxy.begin(lambda at, done: False)
    push(proxy.url, runs_dir)
    return proxy.count, without_ids(read(client, name))


def push_cut(proxy: Proxy, runs_dir: str, number: int, answered: bool) -> None:
    """The connection drops at that request, and stays away."""
    proxy.begin(lambda at, done: (at, done) == (number, answered) or at > number)
    try:
        report = push(proxy.url, runs_dir)
        assert report.error is not None
    except ServerError:
        pass
    proxy.begin(lambda at, done: False)


@pytest.mark.mlflow_long
@pytest.mark.parametrize("answered", [False, True], ids=["request lost", "answer lost"])
def test_dropped_connection_is_made_good_by_the_next_push(
    real: Server, client: Any, runs_dir: str, name: str, answered: bool, request: Any
) -> None:
    """At a sample of the requests, or with --mlflow-long at each: every run and point is there once."""
    step = 1 if request.config.getoption("--mlflow-long") else 17
    with Proxy(real.url).running() as proxy:
        requests, whole = count_requests(proxy, client, runs_dir, name)
        assert requests > 15
        # The first is whether the server answers at all.
        for number in range(2, requests + 1, step):
            tree, other = "%s-%d" % (runs_dir, number), "%s-%d" % (name, number)
            make_tree(tree, other)
            push_cut(proxy, tree, number, answered)
            assert push(proxy.url, tree).is_complete
            assert without_ids(read(client, other)) == whole, "cut at request %d of %d" % (number, requests)


@pytest.mark.mlflow_long
@pytest.mark.parametrize("answered", [False, True], ids=["before", "behind"])
def test_killed_push_is_completed_by_the_next(
    real: Server, client: Any, runs_dir: str, name: str, answered: bool, request: Any
) -> None:
    """kill -9 when a request has come to the proxy, or has been answered to it; sampled as above."""
    step = 1 if request.config.getoption("--mlflow-long") else 19
    with Proxy(real.url).running() as proxy:
        requests, whole = count_requests(proxy, client, runs_dir, name)
        for number in range(3, requests + 1, step):
            tree, other = "%s-%d" % (runs_dir, number), "%s-%d" % (name, number)
            make_tree(tree, other)
            child = [0]

            def kill(at: int, done: bool, number: int = number, child: List[int] = child) -> bool:
                if (at, done) == (number, answered):
                    os.kill(child[0], signal.SIGKILL)
                return at > number or (at, done) == (number, answered)

            # The child's first request waits until its id is known here.
            said, heard = os.pipe()

            def work(tree: str = tree, heard: int = said) -> None:
                os.read(heard, 1)
                push(proxy.url, tree)

            proxy.begin(kill)
            child[0] = fork(work)
            os.write(heard, b"x")
            assert os.WTERMSIG(reap(child[0])) == signal.SIGKILL
            for descriptor in (said, heard):
                os.close(descriptor)
            proxy.begin(lambda at, done: False)
            assert push(proxy.url, tree).is_complete
            assert without_ids(read(client, other)) == whole, "killed at request %d of %d" % (number, requests)


def test_two_processes_that_push_at_once_make_no_run_twice(real: Server, client: Any, runs_dir: str, name: str) -> None:
    """The second waits for the lock, and finds everything there."""
    make_tree(runs_dir, name)
    children = [fork(lambda: push(real.url, runs_dir)) for _ in range(3)]
    assert [reap(child) for child in children] == [0, 0, 0]
    # `read` refuses a run that is there twice.
    assert set(read(client, name)) == {name + "-parent", name + "-child"}


def test_deleted_and_restored_runs_are_so_there(real: Server, client: Any, runs_dir: str, name: str) -> None:
    make_tree(runs_dir, name)
    tracker = ExperimentTracker(experiment_id=1, runs_dir=runs_dir)
    tracker.delete_run(name + "-parent")
    push(real.url, runs_dir)
    assert set(read(client, name)) == {name + "-child"}
    push(real.url, runs_dir, deleted=True)
    found = read(client, name)
    assert [found["%s-%s" % (name, key)]["stage"] for key in ("parent", "child")] == ["deleted", "active"]
    assert len(found[name + "-parent"]["points"]["loss"]) == 40
    assert found[name + "-child"]["tags"]["mlflow.parentRunId"] == found[name + "-parent"]["id"]
    tracker.restore_run(name + "-parent")
    push(real.url, runs_dir)
    assert read(client, name)[name + "-parent"]["stage"] == "active"
    assert push(real.url, runs_dir, deleted=True).count("unchanged") == 2


def test_resumed_run_is_open_again_and_ends_again(real: Server, client: Any, runs_dir: str, name: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    number = tracker.create_experiment(name)
    with tracker.start_run(name, number, run_id=name):
        pass
    push(real.url, runs_dir)
    resumed = tracker.start_run(experiment_id=number, run_id=name)
    push(real.url, runs_dir)
    assert read(client, name)[name]["info"][1] == "RUNNING"
    assert push(real.url, runs_dir).count("unchanged") == 1
    resumed.end("KILLED")
    push(real.url, runs_dir)
    times = (iso_to_ms(resumed.start_time), iso_to_ms(resumed.end_time))
    assert read(client, name)[name]["info"][1:4] == ("KILLED", *times)


def test_watching_pushes_what_is_logged_meanwhile(
    real: Server, client: Any, runs_dir: str, name: str, monkeypatch: Any
) -> None:
    """`push --watch` sees a run from its start to its end; its lines are those of what was sent."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    number = tracker.create_experiment(name)
    run = tracker.start_run(name, number, run_id=name)
    logged = iter([lambda: run.log_metric("loss", 1.0), lambda: run.log_metric("loss", 0.5), run.end])

    def write(request: Any, report: Any, original: Callable[..., None] = cli_pushing._write) -> None:
        original(request, report)
        if report.runs and report.runs[0].outcome != "unchanged":
            next(logged, lambda: None)()

    monkeypatch.setattr(cli_pushing, "_write", write)
    watching = ("--watch", "--interval", "0.05", "--for", "3", "--json")
    done = call("push", "--runs-dir", runs_dir, "--to", real.url, *watching)
    assert done.code == DONE, done.err
    assert [(line["outcome"], line["points"]) for line in done.objects] == [
        ("created", 0), ("updated", 1), ("updated", 1), ("updated", 0),
    ]  # fmt: skip
    assert read(client, name)[name]["info"][1] == "FINISHED"


def test_command_tells_what_it_did(real: Server, runs_dir: str, name: str) -> None:
    """The table, what was changed to fit, the sum; nothing of MLflow's own on standard output; and the exit codes."""
    runs = make_tree(runs_dir, name)
    arguments = ("push", "--runs-dir", runs_dir, "--to", real.url)
    dry = call(*arguments, "--dry-run")
    assert (dry.code, "2 created would be (nothing was sent)" in dry.err) == (DONE, True)
    done = call(*arguments)
    assert done.code == DONE
    assert done.lines[0].split() == "run experiment name params tags points artifacts inputs on the server".split()
    assert done.lines[1].split()[:4] == [name + "-parent", "1", "parent", "created"]
    note = "param layers the server takes texts alone changed: its JSON"
    assert done.lines[-1].split() == [name + "-parent", *note.split()]
    assert done.err.splitlines()[-1].endswith("2 runs to %s: 2 created" % real.url)
    assert call(*arguments).err.splitlines()[-1].endswith("2 unchanged")
    with Run(name + "-late", 1, runs_dir=runs_dir) as late:
        late.log_text("x", "a#b")
    assert call(*arguments, "status = 'FINISHED'").code == NO
    assert call(*arguments, "status = 'FAILED'").code == DONE
    away = call("push", "--runs-dir", runs_dir, "--to", "http://127.0.0.1:%d" % free_port())
    assert (away.code, away.out, len(away.err.splitlines())) == (FAILED, "", 1)
    assert runs["parent"].status == "FINISHED"


def test_server_that_is_killed_and_started_again_gets_the_rest(
    real: Server, client: Any, runs_dir: str, name: str, request: Any
) -> None:
    """kill -9 of the server in the middle of a push, over the same database."""
    if not request.config.getoption("--mlflow-long"):
        pytest.skip("takes two starts of a server: --mlflow-long")
    make_tree(runs_dir, name)
    with Proxy(real.url).running() as proxy:
        push(proxy.url, runs_dir)
        whole = without_ids(read(client, name))
        tree, other = runs_dir + "-2", name + "-2"
        make_tree(tree, other)

        def kill(at: int, done: bool) -> bool:
            if at == 9 and not done:
                real.kill()
            return at >= 9

        proxy.begin(kill)
        assert push(proxy.url, tree).error is not None
        real.start()
        proxy.begin(lambda at, done: False)
        assert push(proxy.url, tree).is_complete
        assert without_ids(read(client, other)) == whole
