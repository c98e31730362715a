"""The plugin in processes of its users: found by MLflow, light, and whole through threads, processes, forks and kills.

With ``--mlflow-long`` also what takes MLflow's own server, or its database in a fresh folder, half a minute.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

mlflow = pytest.importorskip("mlflow")

from mlflow.entities import Metric, Param, RunStatus, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

import faults  # noqa: E402
from concurrency import Children, run_python, run_together  # noqa: E402
from mini_mlflow import ExperimentTracker, Run  # noqa: E402
from mini_mlflow.mlflow_plugin import open_store, run_handles  # noqa: E402
from mini_mlflow.mlflow_plugin.locations import asked_artifact_root, root_of  # noqa: E402
from mini_mlflow.mlflow_plugin.rendering import MADE_BY, to_status  # noqa: E402
from mlflow_processes import install, started_server  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
HERE = Path(__file__).resolve().parent
NOW_MS = 1_700_000_000_000
POINTS = 40


@pytest.fixture
def store(runs_dir: str) -> Any:
    return open_store(runs_dir)


def start(store: Any, name: str = "run", **tags: str) -> str:
    given = [RunTag(key, value) for key, value in tags.items()]
    run_id: str = store.create_run("0", "me", NOW_MS, given, name).info.run_id
    return run_id


def values(store: Any, run_id: str, key: str = "m") -> List[float]:
    return sorted(metric.value for metric in store.get_metric_history(run_id, key))


# -- found, and light ----------------------------------------------------------------------------------------------


def test_mlflow_finds_the_store_by_its_scheme(tmp_path: Path) -> None:
    """MLflow's import loads the builders' module and nothing heavy; ours loads nothing of MLflow."""
    done = run_python(
        """
        import json, sys
        import mini_mlflow, mini_mlflow.fluent, mini_mlflow.cli
        ours = sorted(name for name in sys.modules if name.partition(".")[0] == "mlflow")
        for name in [name for name in sys.modules if name.partition(".")[0] == "mini_mlflow"]:
            del sys.modules[name]
        import mlflow
        heavy = sorted(name for name in sys.modules if name.startswith("mini_mlflow."))
        mlflow.set_tracking_uri("mini-mlflow:./runs")
        store = mlflow.tracking._tracking_service.utils._get_store()
        print(json.dumps([ours, heavy, type(store).__name__, store.root]))
        """,
        env=install(str(tmp_path)),
        cwd=tmp_path,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == [[], ["mini_mlflow.mlflow_plugin"], "MiniMlflowStore", str(tmp_path / "runs")]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("mini-mlflow:./runs", "./runs"),
        ("mini-mlflow:runs", "runs"),
        ("mini-mlflow:/abs/runs", "/abs/runs"),
        ("mini-mlflow:///abs/runs", "/abs/runs"),
        ("mini-mlflow://./runs", "./runs"),
        ("MINI-MLFLOW:a%20b%25", "a b%"),
        ("mini-mlflow:", "mlruns"),
        (None, "mlruns"),
    ],
)
def test_uri_names_a_tree(uri: Any, path: str) -> None:
    assert root_of(uri) == os.path.abspath(path)


@pytest.mark.parametrize("uri", ["mini_mlflow:./runs", "./runs", "sqlite:///x.db", "mini-mlflow:%00"])
def test_other_uri_is_refused(uri: str) -> None:
    with pytest.raises(MlflowException) as caught:
        root_of(uri)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_artifacts_stand_in_the_tree_unless_a_place_was_asked_for(runs_dir: str) -> None:
    """A server's proxy is none; a place that was asked for is written down, for those who open the tree without it."""
    for untold in (None, "mlflow-artifacts:/", "./mlruns"):
        assert asked_artifact_root(untold) is None
    bucket = open_store(runs_dir, "s3://bucket/kept")
    run = bucket.create_run(bucket.create_experiment("far"), "me", NOW_MS, [], "x")
    assert run.info.artifact_uri == "s3://bucket/kept/1/%s/artifacts" % run.info.run_id
    plain = open_store(runs_dir)
    assert plain.get_run(run.info.run_id).info.artifact_uri == run.info.artifact_uri
    assert plain.get_experiment("1").artifact_location == "s3://bucket/kept/1"
    here = plain.get_run(start(plain)).info
    assert here.artifact_uri == "file://%s/0/%s/artifacts" % (runs_dir, here.run_id)


def test_without_mlflow_the_error_says_what_to_install(tmp_path: Path) -> None:
    done = run_python(
        """
        import sys
        sys.modules["mlflow"] = None
        from mini_mlflow.mlflow_plugin import open_store
        try:
            open_store("runs")
        except ImportError as error:
            print(error)
        """,
        cwd=tmp_path,
    )
    told = 'MLflow\'s store needs MLflow: pip install mlflow-skinny (the extra "mlflow" of mini-mlflow)'
    assert done.stdout.strip() == told


# -- one tree, both libraries --------------------------------------------------------------------------------------


def test_native_run_shows_in_mlflow(store: Any, runs_dir: str) -> None:
    """Values of any JSON type are texts there; what we record by ourselves shows as MLflow's tags for the same."""
    with Run(name="native", runs_dir=runs_dir) as run:
        run.log_params({"lr": 0.1, "words": ["a"], "none": None})
        run.set_tag("stage", 3)
        run.log_metric("m", 1.0, step=5)
        run.log_metric("m", 2.0, step=4)
        live = store.get_run(run.run_id)
    found = store.get_run(run.run_id)
    assert (live.info.status, found.info.status, found.info.run_name) == ("RUNNING", "FINISHED", "native")
    assert found.data.params == {"lr": "0.1", "words": "['a']", "none": "None"}
    assert found.data.metrics == {"m": 1.0}
    assert found.data.tags["stage"] == "3"
    assert found.data.tags["mlflow.runName"] == "native"
    assert found.data.tags["mlflow.user"] == found.info.user_id
    assert [one.info.run_id for one in store.search_runs(["0"], "params.lr = '0.1'", 1)] == [run.run_id]
    # MLflow's rules hold for MLflow: what stands there does not change its type, and may not change.
    store.log_param(run.run_id, Param("lr", "0.1"))
    with pytest.raises(MlflowException, match="Changing param values"):
        store.log_param(run.run_id, Param("lr", "0.2"))


def test_mlflows_run_shows_natively(store: Any, runs_dir: str) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    parent = start(store, "parent")
    run_id = start(store, "child", **{"mlflow.parentRunId": parent})
    store.log_batch(run_id, [Metric("train/loss", 0.5, 7, 3)], [Param("a b", "1")], [RunTag("x:y", "z")])
    live = tracker.get_run(run_id)
    assert (live["metadata"]["status"], live["metadata"]["parent_run_id"]) == ("RUNNING", parent)
    assert (live["metrics"], live["params"]) == ({"train/loss": 0.5}, {"a b": "1"})
    store.update_run_info(run_id, RunStatus.FAILED, NOW_MS + 1500, "renamed")
    ended = tracker.get_run(run_id)["metadata"]
    assert (ended["status"], ended["name"], ended["start_time"]) == ("FAILED", "renamed", "2023-11-14T22:13:20.000Z")
    assert ended["end_time"] == "2023-11-14T22:13:21.500Z"
    store.update_run_info(parent, RunStatus.FINISHED, NOW_MS, None)


def test_run_that_cannot_be_read_hides_no_other(store: Any, runs_dir: str) -> None:
    good, bad = start(store, "good"), start(store, "bad")
    for run_id in (good, bad):
        store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    folder = os.path.join(runs_dir, "0", bad)
    meta = Path(folder, "meta.yaml").read_bytes()
    os.rename(os.path.join(folder, "snapshot.json"), os.path.join(runs_dir, "aside"))
    Path(folder, "meta.yaml").write_bytes(b"\0\0")
    with pytest.warns(Warning, match="skipped a run"):
        assert [run.info.run_id for run in store.search_runs(["0"], "", 1)] == [good]
    Path(folder, "meta.yaml").write_bytes(meta)
    os.rename(os.path.join(runs_dir, "aside"), os.path.join(folder, "snapshot.json"))


# -- whole, whatever happens ---------------------------------------------------------------------------------------


def test_many_threads_log_each_point_once(store: Any) -> None:
    """Of one run, in one store and in another on the same tree."""
    run_id = start(store)
    stores = [store, open_store(store.root)]

    def log(number: int) -> None:
        for step in range(POINTS):
            stores[number % 2].log_metric(run_id, Metric("m", float(number * POINTS + step), NOW_MS, step))

    run_together(*[lambda number=number: log(number) for number in range(6)])  # type: ignore[misc]
    assert values(store, run_id) == [float(value) for value in range(6 * POINTS)]


def test_of_many_that_set_a_param_one_does(store: Any) -> None:
    """The values that the others wanted are refused, none is overwritten."""
    run_id = start(store)

    def log(number: int) -> str:
        try:
            store.log_param(run_id, Param("p", str(number)))
            return str(number)
        except MlflowException as error:
            assert error.error_code == "INVALID_PARAMETER_VALUE"
            return ""

    told = run_together(*[lambda number=number: log(number) for number in range(8)])  # type: ignore[misc]
    assert [value for value in told if value] == [store.get_run(run_id).data.params["p"]]


def test_open_runs_are_bounded(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors are finite: of many runs that nobody ends, the oldest are let go, stay RUNNING, and take more."""
    monkeypatch.setattr(run_handles, "_OPEN_AT_MOST", 3)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    run_ids = [start(store, "run %d" % number) for number in range(20)]
    if before:
        assert len(os.listdir("/proc/self/fd")) - before <= 8
    tracker = ExperimentTracker(runs_dir=store.root)
    assert {tracker.get_run(run_id)["metadata"]["status"] for run_id in run_ids} == {"RUNNING"}
    for run_id in run_ids:
        store.log_metric(run_id, Metric("m", 1.0, NOW_MS, 0))
        store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    assert {run.info.status for run in store.search_runs(["0"], "metrics.m = 1", 1)} == {"FINISHED"}


@pytest.mark.parametrize(
    ("status", "made_by", "shown"),
    [
        ("CRASHED", "mlflow", "RUNNING"),
        ("CRASHED", None, "FAILED"),
        ("UNKNOWN", None, "RUNNING"),
        ("KILLED", None, "KILLED"),
    ],
)
def test_status_of_a_run_that_nobody_ended(status: str, made_by: Optional[str], shown: str) -> None:
    """A dead owner has failed, one that cannot be seen may live; MLflow's own runs wait for somebody to end them."""
    assert to_status({"status": status, MADE_BY: made_by}) == shown


def _log_until_killed(root: str, run_id: str, acknowledged: int) -> None:
    store = open_store(root)
    for step in range(10_000):
        store.log_metric(run_id, Metric("m", float(step), NOW_MS, step))
        os.write(acknowledged, b".")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills what it forks")
def test_killed_process_keeps_what_it_was_told_is_stored(store: Any) -> None:
    """Natively the run reads as CRASHED then; in MLflow it is open until somebody ends it, and takes more."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        own = open_store(store.root)
        run_id = start(own, "killed")
        os.write(writing, run_id.encode())
        _log_until_killed(store.root, run_id, writing)
        os._exit(1)
    run_id = os.read(reading, 32).decode()
    acknowledged = 0
    while acknowledged < 50:
        acknowledged += len(os.read(reading, 1000))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    while True:
        more = os.read(reading, 1000)
        if not more:
            break
        acknowledged += len(more)
    os.close(reading)
    logged = values(store, run_id)
    assert logged == [float(step) for step in range(len(logged))]
    assert len(logged) in (acknowledged, acknowledged + 1)
    assert ExperimentTracker(runs_dir=store.root).get_run(run_id)["metadata"]["status"] == "CRASHED"
    assert store.get_run(run_id).info.status == "RUNNING"
    store.log_metric(run_id, Metric("m", -1.0, NOW_MS, -1))
    store.update_run_info(run_id, RunStatus.KILLED, NOW_MS, None)
    assert store.get_run(run_id).info.status == "KILLED"


@pytest.mark.parametrize("call", ["metric", "batch", "ended", "end", "create", "experiment", "delete"])
def test_full_disk_fails_the_call_alone(store: Any, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """At whatever step it is found full: an MlflowException, the state of before, and the next call works."""
    batch = [Metric("n", 2.0, 1, 1)], [Param("q", "1")], [RunTag("t", "1")]
    calls = {
        "metric": lambda run_id: store.log_metric(run_id, Metric("m", 2.0, NOW_MS, 1)),
        "batch": lambda run_id: store.log_batch(run_id, *batch),
        "ended": lambda run_id: store.set_tag(ended, RunTag("t", "2")),
        "end": lambda run_id: store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None),
        "create": lambda run_id: store.create_run("0", "me", NOW_MS, [], "never"),
        "experiment": lambda run_id: store.create_experiment("never"),
        "delete": store.delete_run,
    }
    ended = start(store, "ended")
    store.update_run_info(ended, RunStatus.FINISHED, NOW_MS, None)
    disk = faults.install(monkeypatch)
    full = faults.fail(28)

    def state(run_id: str) -> Any:
        runs = [store.get_run(one) for one in (run_id, ended)]
        plain = [(run.info.status, run.info.lifecycle_stage, run.data.to_dictionary()) for run in runs]
        return plain, len(store.search_runs(["0"], "", 3)), len(store.search_experiments(3))

    failures = 0
    for step in range(1, 100):
        run_id = start(store, "run %d" % step)
        store.log_metric(run_id, Metric("m", 1.0, NOW_MS, 0))
        before = state(run_id)
        with disk.armed(full, at=step):
            try:
                calls[call](run_id)
            except MlflowException as error:
                assert error.error_code == "INTERNAL_ERROR"
                assert isinstance(error.__cause__, OSError)
                assert state(run_id) == before
                failures += 1
        struck = disk.struck is not None
        store.log_metric(ended if call in ("end", "delete") else run_id, Metric("m", 3.0, NOW_MS, step))
        if not struck:
            break
    assert failures


def _log_in_child(root: str, run_id: str, number: int) -> None:
    store = open_store(root)
    for step in range(POINTS):
        store.log_metric(run_id, Metric("m", float(number * POINTS + step), NOW_MS, step))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forked_children_log_to_the_run_of_their_parent(store: Any) -> None:
    """With the store that they inherited; the run is their parent's still, and open when they are gone."""
    run_id = start(store)
    store.log_metric(run_id, Metric("m", -1.0, NOW_MS, 0))

    def log(number: int) -> None:
        for step in range(POINTS):
            store.log_metric(run_id, Metric("m", float(number * POINTS + step), NOW_MS, step))

    with Children("fork") as children:
        for number in range(3):
            children.start(log, number)
        log(3)
    assert values(store, run_id) == [-1.0] + [float(value) for value in range(4 * POINTS)]
    assert ExperimentTracker(runs_dir=store.root).get_run(run_id)["metadata"]["status"] == "RUNNING"
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the crowd")
def test_processes_that_start_together_all_come_through(tmp_path: Path) -> None:
    """Eight of them, of eight threads each, in a fresh folder. ``python -m stress bench --only mlflow`` does it twenty
    times, beside what MLflow does by default."""
    work = {"folder": str(tmp_path), "uri": "mini-mlflow:./mlruns", "processes": 8, "threads": 8}
    program = HERE.parent / "stress" / "bench" / "mlflow_crowd.py"
    done = run_python(program, json.dumps(work), env=install(str(tmp_path / "site")), cwd=tmp_path)
    assert json.loads(done.stdout) == {"survived": 8, "errors": [], "whole": 64}


# -- a user's script -----------------------------------------------------------------------------------------------


def seen_by_script(uri: str, folder: Path, *extras: str) -> Dict[str, Any]:
    """What ``mlflow_fluent.py`` saw, by the names of its notes."""
    folder.mkdir(exist_ok=True)
    program = HERE / "mlflow_fluent.py"
    done = run_python(program, uri, *extras, env=install(str(folder / "site")), cwd=folder, timeout=110)
    line = next(line for line in done.stdout.splitlines() if line.startswith("SEEN "))
    return dict(json.loads(line[5:]))


def extras() -> List[str]:
    found = []
    for name in ("matplotlib", "pandas"):
        try:
            __import__(name)
            found.append(name)
        except ImportError:
            continue
    return found


def test_script_sees_the_same_as_with_mlflows_database(tmp_path: Path) -> None:
    """Runs, nested runs, batches, tags, artifacts, figures, datasets, experiments, search, delete and restore."""
    pytest.importorskip("sqlalchemy")
    from mlflow_stores import copy_database

    ours = seen_by_script("mini-mlflow:./mlruns", tmp_path / "ours", *extras())
    copy_database(str(tmp_path / "theirs"))
    theirs = seen_by_script("sqlite:///mlflow.db", tmp_path / "theirs", *extras())
    assert ours == theirs


@pytest.mark.mlflow_long
def test_script_sees_the_same_through_a_server(tmp_path: Path) -> None:
    """Over REST, from two worker processes on one tree; the registry answers, the bare endpoints do."""
    pytest.importorskip("flask")
    with started_server("mini-mlflow:./mlruns", tmp_path / "ours") as ours:
        over_ours = seen_by_script(ours.url, tmp_path / "client", *extras())
        run_id = next(iter(ours.post("runs/search", {"experiment_ids": ["1"]})["runs"]))["info"]["run_id"]
        bare = [
            ours.get("experiments/get?experiment_id=1")["experiment"]["name"],
            ours.get("runs/get?run_id=" + run_id)["run"]["info"]["run_id"] == run_id,
            ours.post("registered-models/create", {"name": "cats"})["registered_model"]["name"],
        ]
    with started_server("sqlite:///mlflow.db", tmp_path / "theirs") as theirs:
        over_theirs = seen_by_script(theirs.url, tmp_path / "client", *extras())
    assert over_ours == over_theirs
    assert bare == ["first", True, "cats"]
    (tmp_path / "ours" / "mlruns" / "registry.db").stat()


@pytest.mark.mlflow_long
def test_registry_stands_in_the_tree(tmp_path: Path) -> None:
    """MLflow's own, made once by however many ask for it at the same moment."""
    pytest.importorskip("sqlalchemy")
    program = """
    import sys
    from mini_mlflow.mlflow_plugin import build_registry_store
    store = build_registry_store(store_uri="mini-mlflow:" + sys.argv[1])
    store.create_registered_model(sys.argv[2])
    """
    root = str(tmp_path / "mlruns")
    script = tmp_path / "register.py"
    script.write_text("\n".join(line[4:] for line in program.splitlines()))
    environment = dict(os.environ, **{key: value for key, value in install(str(tmp_path)).items() if value})
    processes = [subprocess.Popen([sys.executable, str(script), root, name], env=environment) for name in ("a", "b")]
    assert [process.wait(100) for process in processes] == [0, 0]
    from mini_mlflow.mlflow_plugin import build_registry_store

    store = build_registry_store(store_uri="mini-mlflow:" + root)
    assert sorted(model.name for model in store.search_registered_models()) == ["a", "b"]
    store._dispose_engine() if hasattr(store, "_dispose_engine") else store.engine.dispose()
