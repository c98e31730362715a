"""One run: what it stores, what it says of itself, how it ends, and attaching to it by its id."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from concurrency import run_python, run_together
from mini_mlflow import (
    ExperimentTracker,
    MiniMlflowError,
    Run,
    RunEndedError,
    RunNotFoundError,
    UnfinishedRunWarning,
)
from mini_mlflow.writing import origin

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


def read(run: Run) -> Dict[str, Any]:
    """The run as a reader sees it."""
    return ExperimentTracker(experiment_id=run.experiment_id, runs_dir=run.runs_dir).get_run(run.run_id)


def history(run: Run, key: str) -> Any:
    """The metric's points as plain tuples (step, value)."""
    points = ExperimentTracker(experiment_id=run.experiment_id, runs_dir=run.runs_dir).get_metric_history(
        run.run_id, key
    )
    return [(point.step, point.value) for point in points]


# -- what it says of itself ----------------------------------------------------------------------------------------


def test_run_knows_what_it_was_given(runs_dir: str) -> None:
    """A run has the ids, name and version that it was created with, and says so in its folder."""
    run = Run("mine", 5, "baseline", "v1.0", runs_dir)
    assert (run.run_id, run.experiment_id, run.name, run.version) == ("mine", 5, "baseline", "v1.0")
    assert (run.status, run.end_time, run.parent_run_id) == ("RUNNING", None, None)
    assert run.runs_dir == runs_dir
    assert ISO.match(run.start_time)
    metadata = read(run)["metadata"]
    assert metadata["run_id"] == "mine"
    assert metadata["experiment_id"] == 5
    assert metadata["name"] == "baseline"
    assert metadata["version"] == "v1.0"
    assert metadata["start_time"] == run.start_time
    assert metadata["end_time"] is None


def test_run_without_arguments_goes_to_mlruns(tmp_path: Path) -> None:
    """Run() draws an id, has no name, and stands in experiment 0 under ``mlruns``."""
    run = Run()
    assert re.match(r"[0-9a-f]{32}\Z", run.run_id)
    assert (run.name, run.version, run.experiment_id) == (None, None, 0)
    assert (tmp_path / "mlruns" / "0" / run.run_id / "meta.yaml").is_file()


def test_run_stays_in_its_tree_when_the_working_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative runs_dir is settled when the run is made."""
    run = Run(runs_dir="here")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    run.log_metric("loss", 1)
    run.end()
    assert os.listdir(".") == []
    assert read(run)["metrics"] == {"loss": 1.0}


def test_run_records_where_it_comes_from(runs_dir: str) -> None:
    """meta.yaml names user, host, process and Python without being asked."""
    metadata = read(Run(runs_dir=runs_dir))["metadata"]
    assert metadata["host"] == platform.node()
    assert metadata["pid"] == os.getpid()
    assert metadata["python"] == platform.python_version()
    try:
        assert metadata["user"] == getpass.getuser()
    except (KeyError, OSError):
        assert metadata["user"] == str(os.getuid())


def test_user_without_a_name_is_recorded_by_number(runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without a password entry the user's number stands for the name."""

    def fail() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", fail)
    monkeypatch.setattr(origin, "_find_user", origin._find_user.__wrapped__)
    assert read(Run(runs_dir=runs_dir))["metadata"]["user"] == str(os.getuid())


def test_script_is_recorded_without_its_arguments(tmp_path: Path) -> None:
    """The script's path is in meta.yaml; its arguments, which may be secrets, are nowhere in the tree."""
    script = tmp_path / "train.py"
    script.write_text("import mini_mlflow; mini_mlflow.start_run(run_id='x'); mini_mlflow.end_run()\n")
    run_python(script, "--password=hunter2", cwd=tmp_path)
    assert ExperimentTracker().get_run("x")["metadata"]["script"] == str(script)
    for path in (tmp_path / "mlruns").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


# -- git -----------------------------------------------------------------------------------------------------------

#: Starts a run; git gets all the time it needs, since the machine that tests run on may be slow.
PATIENT = """
from mini_mlflow.writing import origin
origin._GIT_LIMIT_S = 60.0
import sys, mini_mlflow
mini_mlflow.set_runs_dir(sys.argv[1])
mini_mlflow.start_run(run_id=sys.argv[2])
mini_mlflow.end_run()
"""


def git(folder: Path, *arguments: str) -> str:
    """What git prints, run in ``folder`` with nobody's settings."""
    environment = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", HOME=str(folder), GIT_CONFIG_GLOBAL=os.devnull)
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments]
    done = subprocess.run(command, cwd=str(folder), env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit that holds ``sub/train.py``."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "train.py").write_text(PATIENT)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_git_commit_and_dirty_flag_are_recorded(repository: Path, runs_dir: str) -> None:
    """A script in a repository leaves its commit in meta.yaml, and whether tracked files were changed."""
    script = repository / "sub" / "train.py"
    tracker = ExperimentTracker(runs_dir=runs_dir)
    (repository / "untracked").write_text("does not count")
    run_python(script, runs_dir, "clean", cwd=repository)
    script.write_text(PATIENT + "# changed\n")
    run_python(script, runs_dir, "dirty", cwd=repository)
    head = git(repository, "rev-parse", "HEAD")
    clean, dirty = tracker.get_run("clean")["metadata"], tracker.get_run("dirty")["metadata"]
    assert (clean["git_commit"], clean["git_dirty"]) == (head, False)
    assert (dirty["git_commit"], dirty["git_dirty"]) == (head, True)


def test_repository_without_a_commit_records_nothing(tmp_path: Path, runs_dir: str) -> None:
    """Before the first commit there is none to record."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(tmp_path, "init", "-q")
    script = tmp_path / "train.py"
    script.write_text(PATIENT)
    run_python(script, runs_dir, "x", cwd=tmp_path)
    assert not [key for key in ExperimentTracker(runs_dir=runs_dir).get_run("x")["metadata"] if key.startswith("git")]


def test_outside_a_repository_git_is_not_asked(tmp_path: Path, runs_dir: str) -> None:
    """Where no ``.git`` is near, no process is started and meta.yaml has no git fields."""
    if any((parent / ".git").exists() for parent in [tmp_path, *tmp_path.parents]):
        pytest.skip("the temporary folder is within a repository")
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\ntouch "$0.was_called"\n')
    fake.chmod(0o755)
    script = tmp_path / "train.py"
    script.write_text(PATIENT)
    run_python(script, runs_dir, "x", env={"PATH": str(fake.parent) + os.pathsep + os.environ["PATH"]}, cwd=tmp_path)
    assert os.listdir(fake.parent) == ["git"]
    assert not [key for key in ExperimentTracker(runs_dir=runs_dir).get_run("x")["metadata"] if key.startswith("git")]


@pytest.mark.timeout(30)
def test_git_that_hangs_does_not_keep_a_run_from_starting(tmp_path: Path, runs_dir: str) -> None:
    """A git that neither answers nor lets go of its output is given up: the run starts, without git fields."""
    (tmp_path / ".git").mkdir()
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nsleep 300 &\necho $! >> "$(dirname "$0")/sleepers"\nwait\n')
    fake.chmod(0o755)
    script = tmp_path / "train.py"
    script.write_text("import mini_mlflow; run = mini_mlflow.start_run(run_id='x'); run.log_param('a', 1); run.end()\n")
    try:
        path = str(fake.parent) + os.pathsep + os.environ["PATH"]
        run_python(script, env={"PATH": path, "MINI_MLFLOW_RUNS_DIR": runs_dir}, cwd=tmp_path, timeout=25)
    finally:
        sleepers = fake.parent / "sleepers"
        for pid in sleepers.read_text().split() if sleepers.exists() else ():
            os.kill(int(pid), signal.SIGKILL)
    run = ExperimentTracker(runs_dir=runs_dir).get_run("x")
    assert run["params"] == {"a": 1}
    assert not [key for key in run["metadata"] if key.startswith("git")]


def test_missing_git_does_not_keep_a_run_from_starting(tmp_path: Path, runs_dir: str) -> None:
    """Without a git program a run in a repository starts all the same."""
    (tmp_path / ".git").mkdir()
    script = tmp_path / "train.py"
    script.write_text(PATIENT)
    run_python(script, runs_dir, "x", env={"PATH": str(tmp_path)}, cwd=tmp_path)
    assert ExperimentTracker(runs_dir=runs_dir).get_run("x")["metadata"]["status"] == "FINISHED"


# -- params and tags -----------------------------------------------------------------------------------------------


def test_last_write_of_a_param_wins(runs_dir: str) -> None:
    """A param may be logged again, also with another type; readers see the last value, and so does its file."""
    run = Run(runs_dir=runs_dir)
    for value in (1, "two", [3], None):
        run.log_param("p", value)
        assert read(run)["params"] == {"p": value}
    run.flush()
    path = os.path.join(runs_dir, "0", run.run_id, "params", "p.json")
    with open(path, encoding="utf-8") as file:
        assert json.load(file)["value"] is None


def test_document_is_there_when_the_first_call_returns(runs_dir: str) -> None:
    """``params/<key>.json`` and its like exist, with value and timestamp, as soon as a key was logged."""
    run = Run(runs_dir=runs_dir)
    run.log_param("lr", 0.01)
    run.log_metric("loss", 0.5)
    run.set_tag("who", "me")
    folder = os.path.join(runs_dir, "0", run.run_id)
    for name, value in (("params/lr.json", 0.01), ("metrics/loss.json", 0.5), ("tags/who.json", "me")):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            document = json.load(file)
        assert document["value"] == value
        assert document["timestamp"].endswith("Z")


def test_log_params_stores_all_of_them(runs_dir: str) -> None:
    """log_params, log_metrics and set_tags store every pair; nothing to store is no error."""
    run = Run(runs_dir=runs_dir)
    run.log_params({"a": 1, "b": "two"})
    run.log_metrics({"x": 1, "y": 2.5})
    run.set_tags({"s": "t", "u": [1]})
    run.log_params({})
    run.log_metrics({})
    run.set_tags({})
    stored = read(run)
    assert stored["params"] == {"a": 1, "b": "two"}
    assert stored["metrics"] == {"x": 1.0, "y": 2.5}
    assert stored["tags"] == {"s": "t", "u": [1]}


@pytest.mark.parametrize("not_a_dict", [None, 1, "ab", ["a"], [("a", 1)], {"a"}])
def test_log_params_takes_nothing_but_a_dict(runs_dir: str, not_a_dict: Any) -> None:
    """Anything but a mapping is a TypeError."""
    run = Run(runs_dir=runs_dir)
    for call in (run.log_params, run.log_metrics, run.set_tags):
        with pytest.raises(TypeError, match="must be a dict"):
            call(not_a_dict)


def test_one_bad_pair_stores_none(runs_dir: str) -> None:
    """A call with one bad key or value stores nothing of it."""
    run = Run(runs_dir=runs_dir)
    with pytest.raises(TypeError, match="'b'"):
        run.log_params({"a": 1, "b": {1, 2}})
    with pytest.raises(ValueError, match="slashes"):
        run.log_metrics({"x": 1, "y/z": 2})
    with pytest.raises(TypeError):
        run.set_tags({"s": 1, 2: 3})  # type: ignore[dict-item]
    assert {kind: read(run)[kind] for kind in ("params", "metrics", "tags")} == {
        "params": {},
        "metrics": {},
        "tags": {},
    }


# -- metrics -------------------------------------------------------------------------------------------------------


def test_step_left_out_is_the_position(runs_dir: str) -> None:
    """Points without a step are numbered by their position in the history, from 0; others keep what they got."""
    run = Run(runs_dir=runs_dir)
    for step in (None, None, 100, None, -5, 100, None):
        run.log_metric("m", 1.0, step=step)
    assert [step for step, _ in history(run, "m")] == [0, 1, 100, 3, -5, 100, 6]
    run.end()
    assert [step for step, _ in history(run, "m")] == [0, 1, 100, 3, -5, 100, 6]


def test_points_keep_the_order_in_which_they_were_logged(runs_dir: str) -> None:
    """The history is in logged order, whatever the steps; the last value is the last one logged."""
    run = Run(runs_dir=runs_dir)
    for step, value in ((3, 0.3), (1, 0.1), (2, 0.2)):
        run.log_metric("m", value, step=step)
    assert history(run, "m") == [(3, 0.3), (1, 0.1), (2, 0.2)]
    assert read(run)["metrics"] == {"m": 0.2}


def test_timestamps_are_kept_in_milliseconds(runs_dir: str) -> None:
    """A given timestamp is kept; one left out is the time now, in milliseconds since the epoch."""
    run = Run(runs_dir=runs_dir)
    run.log_metric("m", 1, timestamp=0)
    run.log_metric("m", 2, timestamp=1763882110123)
    run.log_metric("m", 3)
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history(run.run_id, "m")
    assert [point.timestamp for point in points[:2]] == [0, 1763882110123]
    assert 1_600_000_000_000 < points[2].timestamp < 253_402_300_800_000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"step": 1.0}, TypeError),
        ({"step": "1"}, TypeError),
        ({"step": True}, TypeError),
        ({"step": 10**5000}, ValueError),
        ({"timestamp": 1.5}, TypeError),
        ({"timestamp": False}, TypeError),
        ({"timestamp": -1}, ValueError),
        ({"timestamp": 10**18}, ValueError),
    ],
)
def test_bad_steps_and_timestamps_are_refused(runs_dir: str, arguments: Dict[str, Any], error: type) -> None:
    """A step is an int, a timestamp is milliseconds of our calendar; anything else stores no point."""
    run = Run(runs_dir=runs_dir)
    with pytest.raises(error, match="'m'"):
        run.log_metric("m", 1.0, **arguments)
    assert read(run)["metrics"] == {}


def test_large_steps_are_kept(runs_dir: str) -> None:
    """A step may be any int, also one that no 64 bits hold."""
    run = Run(runs_dir=runs_dir)
    for step in (2**63, -(2**70), 0):
        run.log_metric("m", 1.0, step=step)
    assert [step for step, _ in history(run, "m")] == [2**63, -(2**70), 0]


def test_history_longer_than_a_document_reads_back(runs_dir: str) -> None:
    """Points that went into sealed files read back in one list with the newest, before and after the end."""
    run = Run(runs_dir=runs_dir, fsync="never")
    for n in range(3000):
        run.log_metrics({"m": n, "negative": -n})
    wanted = [(n, float(n)) for n in range(3000)]
    assert history(run, "m") == wanted
    run.flush()
    assert history(run, "m") == wanted
    assert os.path.isdir(os.path.join(runs_dir, "0", run.run_id, "metrics", "m.history"))
    run.end()
    assert history(run, "m") == wanted
    assert read(run)["metrics"] == {"m": 2999.0, "negative": -2999.0}


def test_flush_brings_the_documents_up_to_date(runs_dir: str) -> None:
    """After flush(), a program that reads the JSON files on its own sees every point."""
    run = Run(runs_dir=runs_dir)
    for n in range(50):
        run.log_metric("m", n)
        run.log_param("p", n)
    run.flush()
    folder = os.path.join(runs_dir, "0", run.run_id)
    with open(os.path.join(folder, "metrics", "m.json"), encoding="utf-8") as file:
        document = json.load(file)
    assert document["count"] == 50
    assert [value for _, value, _ in document["points"]] == [float(n) for n in range(50)]
    with open(os.path.join(folder, "params", "p.json"), encoding="utf-8") as file:
        assert json.load(file)["value"] == 49
    assert len(os.listdir(os.path.join(folder, "log"))) <= 1


# -- its end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_end_takes_three_statuses(runs_dir: str, status: str) -> None:
    """end() records the status and the time, on the object and on disk."""
    run = Run(runs_dir=runs_dir)
    run.log_metric("m", 1)
    run.end(status)
    assert run.status == status
    assert run.end_time is not None
    assert ISO.match(run.end_time)
    assert run.start_time <= run.end_time
    metadata = read(run)["metadata"]
    assert (metadata["status"], metadata["end_time"]) == (status, run.end_time)


@pytest.mark.parametrize("status", ["RUNNING", "CRASHED", "UNKNOWN", "finished", "", None, 1, ["FINISHED"]])
def test_other_statuses_are_refused(runs_dir: str, status: Any) -> None:
    """Any other status is a ValueError that says so; the run goes on."""
    run = Run(runs_dir=runs_dir)
    with pytest.raises(ValueError, match="Invalid status"):
        run.end(status)
    run.log_metric("m", 1)
    assert run.status == "RUNNING"


def test_end_twice_is_refused(runs_dir: str) -> None:
    """The second end() is a ValueError ("already ended") and changes nothing, not even with another status."""
    run = Run(runs_dir=runs_dir)
    run.end()
    before = read(run)
    with pytest.raises(ValueError, match="already ended"):
        run.end("FAILED")
    assert read(run) == before


LOG_CALLS: Dict[str, Callable[[Run], Any]] = {
    "log_param": lambda run: run.log_param("a", 1),
    "log_params": lambda run: run.log_params({"a": 1}),
    "log_metric": lambda run: run.log_metric("a", 1),
    "log_metrics": lambda run: run.log_metrics({"a": 1}),
    "set_tag": lambda run: run.set_tag("a", 1),
    "set_tags": lambda run: run.set_tags({"a": 1}),
}


@pytest.mark.parametrize("name", LOG_CALLS)
@pytest.mark.parametrize("ended_by", ["this object", "another object"])
def test_logging_to_an_ended_run_is_refused(runs_dir: str, name: str, ended_by: str) -> None:
    """Every log call of an ended run says "Cannot log", as a ValueError and a RuntimeError, and stores nothing."""
    run = Run("r", runs_dir=runs_dir)
    (run if ended_by == "this object" else Run("r", runs_dir=runs_dir)).end()
    before = read(run)
    for error in (ValueError, RuntimeError, RunEndedError, MiniMlflowError):
        with pytest.raises(error, match="Cannot log"):
            LOG_CALLS[name](run)
    assert read(run) == before


def test_flushing_an_ended_run_is_refused(runs_dir: str) -> None:
    """flush() of an ended run says that it has ended, as log calls do."""
    run = Run("r", runs_dir=runs_dir)
    Run("r", runs_dir=runs_dir).end()
    with pytest.raises(RunEndedError, match="Cannot flush"):
        run.flush()


def test_end_by_another_process_is_learned_by_logging(runs_dir: str) -> None:
    """A run that another process has ended refuses log calls and a second end."""
    run = Run("r", runs_dir=runs_dir)
    run.log_metric("m", 1)
    run_python("import sys, mini_mlflow as m; m.Run('r', runs_dir=sys.argv[1]).end('KILLED')", runs_dir)
    with pytest.raises(RunEndedError, match="Cannot log"):
        run.log_metric("m", 2)
    assert run.status == "KILLED"
    with pytest.raises(ValueError, match="already ended"):
        run.end()
    assert history(run, "m") == [(0, 1.0)]


def test_block_ends_the_run_finished(runs_dir: str) -> None:
    """Leaving the with block of a Run ends it FINISHED."""
    with Run(runs_dir=runs_dir) as run:
        run.log_metric("m", 1)
        assert run.status == "RUNNING"
    assert read(run)["metadata"]["status"] == "FINISHED"


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(2)])
def test_exception_in_the_block_ends_the_run_failed(runs_dir: str, error: BaseException) -> None:
    """An exception leaves the with block as it is, and the run is FAILED with all that was logged."""
    with pytest.raises(type(error)) as raised, Run(runs_dir=runs_dir) as run:
        run.log_metric("m", 1)
        raise error
    assert raised.value is error
    assert read(run)["metadata"]["status"] == "FAILED"
    assert read(run)["metrics"] == {"m": 1.0}


@pytest.mark.parametrize("fails", [False, True])
def test_run_ended_inside_the_block_is_left_alone(runs_dir: str, fails: bool) -> None:
    """A run that was ended inside its block keeps its status, whether or not an exception follows."""
    try:
        with Run(runs_dir=runs_dir) as run:
            run.end("KILLED")
            if fails:
                raise LookupError
    except LookupError:
        assert fails
    assert read(run)["metadata"]["status"] == "KILLED"


def test_run_ended_elsewhere_is_left_alone_by_the_block(runs_dir: str) -> None:
    """A run that another object has ended meanwhile is no error when the block is left."""
    with Run("r", runs_dir=runs_dir) as run:
        Run("r", runs_dir=runs_dir).end("KILLED")
    assert read(run)["metadata"]["status"] == "KILLED"


def test_exception_survives_a_run_that_cannot_be_ended(runs_dir: str) -> None:
    """If the run cannot be ended as well, the caller sees the block's own exception, and a warning for the rest."""
    with pytest.warns(UnfinishedRunWarning, match="left open"), pytest.raises(LookupError, match="mine"):
        with Run("r", runs_dir=runs_dir):
            shutil.rmtree(os.path.join(runs_dir, "0", "r"))
            raise LookupError("mine")


def test_run_that_cannot_be_ended_fails_the_block(runs_dir: str) -> None:
    """Without another exception, an end that fails is raised; the caller must not take the run for ended."""
    with pytest.raises(OSError, match="r"):
        with Run("r", runs_dir=runs_dir):
            shutil.rmtree(os.path.join(runs_dir, "0", "r"))


# -- a run id that exists ------------------------------------------------------------------------------------------


def test_same_id_attaches(runs_dir: str) -> None:
    """Run(run_id=X) of a run that exists has its metadata, whatever else is passed, and logs to the same run."""
    first = Run("r", name="first", version="1", runs_dir=runs_dir)
    second = Run("r", name="second", version="2", runs_dir=runs_dir)
    assert (second.name, second.version, second.start_time) == ("first", "1", first.start_time)
    first.log_metric("m", 1)
    second.log_metric("m", 2)
    first.log_metric("m", 3)
    assert history(first, "m") == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["r"]
    second.end()
    with pytest.raises(RunEndedError, match="Cannot log"):
        first.log_metric("m", 4)


def test_attaching_to_an_ended_run_does_not_resume_it(runs_dir: str) -> None:
    """Run(run_id=X) of an ended run shows what it is and refuses to log; only start_run resumes."""
    Run("r", runs_dir=runs_dir).end("FAILED")
    run = Run("r", runs_dir=runs_dir)
    assert run.status == "FAILED"
    assert run.end_time is not None
    with pytest.raises(RunEndedError, match="Cannot log"):
        run.log_metric("m", 1)
    assert read(run)["metadata"]["status"] == "FAILED"


def test_same_id_in_another_experiment_is_another_run(runs_dir: str) -> None:
    """An id names a run within its experiment."""
    zero, one = Run("r", 0, runs_dir=runs_dir), Run("r", 1, runs_dir=runs_dir)
    zero.log_param("where", 0)
    one.log_param("where", 1)
    assert (read(zero)["params"], read(one)["params"]) == ({"where": 0}, {"where": 1})


def test_threads_that_create_one_id_at_once_share_one_run(runs_dir: str) -> None:
    """Of many threads that create one id at once, one creates and the others attach."""
    runs = run_together(*[lambda n=n: Run("r", name=str(n), runs_dir=runs_dir) for n in range(8)])
    assert len({(run.name, run.start_time) for run in runs}) == 1
    run_together(*[lambda n=n: runs[n].log_metric("m", n) for n in range(8)])
    assert sorted(value for _, value in history(runs[0], "m")) == [float(n) for n in range(8)]


# -- its folder is deleted -----------------------------------------------------------------------------------------


def test_folder_deleted_under_the_run_is_an_error_that_names_it(runs_dir: str) -> None:
    """Logging to a run whose folder is gone raises FileNotFoundError with the path, and does not bring it back."""
    run = Run("r", runs_dir=runs_dir)
    run.log_metric("m", 1)
    folder = os.path.join(runs_dir, "0", "r")
    shutil.rmtree(folder)
    for call in (lambda: run.log_metric("m", 2), lambda: run.log_param("p", 1), run.flush, run.end):
        with pytest.raises(FileNotFoundError) as raised:
            call()
        assert str(raised.value.filename).startswith(folder)
    assert not os.path.exists(folder)
    with pytest.raises(RunNotFoundError):
        read(run)


def test_unwritable_place_for_a_tree_is_an_oserror(tmp_path: Path) -> None:
    """A tree that cannot be made is an OSError that names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as raised:
        Run(runs_dir=tmp_path / "file" / "tree")
    assert str(raised.value.filename).startswith(str(tmp_path / "file"))


def test_repr_names_the_run(runs_dir: str) -> None:
    """The repr says which run it is and how it stands."""
    run = Run("r", 3, "baseline", runs_dir=runs_dir)
    assert repr(run) == "Run(run_id='r', experiment_id=3, name='baseline', status='RUNNING')"
