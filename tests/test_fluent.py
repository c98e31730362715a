"""The module-level functions, their settings, and the signatures that the public API promises."""

from __future__ import annotations

import ast
import inspect
import os
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

import mini_mlflow
from concurrency import run_python, run_together
from mini_mlflow import (
    ExperimentTracker,
    Run,
    active_run,
    end_run,
    flush,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    set_fsync,
    set_runs_dir,
    set_tag,
    set_tags,
    start_run,
)

NO_DEFAULT = inspect.Parameter.empty
STARTING = [("run_name", None), ("experiment_id", None), ("run_id", None), ("version", None)]
KEY_AND_VALUE = [("key", NO_DEFAULT), ("value", NO_DEFAULT)]

PROMISED: List[Tuple[Callable[..., Any], List[Tuple[str, Any]]]] = [
    (start_run, STARTING),
    (active_run, []),
    (end_run, []),
    (log_param, KEY_AND_VALUE),
    (log_metric, [*KEY_AND_VALUE, ("step", None), ("timestamp", None)]),
    (log_params, [("params", NO_DEFAULT)]),
    (log_metrics, [("metrics", NO_DEFAULT), ("step", None)]),
    (set_tag, KEY_AND_VALUE),
    (set_tags, [("tags", NO_DEFAULT)]),
    (flush, []),
    (set_runs_dir, [("path", NO_DEFAULT)]),
    (ExperimentTracker, [("run_name", None), ("experiment_id", 0), ("runs_dir", "mlruns")]),
    (ExperimentTracker.start_run, [("self", NO_DEFAULT), *STARTING]),
    (ExperimentTracker.active_run, [("self", NO_DEFAULT)]),
    (ExperimentTracker.end_run, [("self", NO_DEFAULT)]),
    (ExperimentTracker.list_runs, [("self", NO_DEFAULT), ("experiment_id", None)]),
    (ExperimentTracker.get_run, [("self", NO_DEFAULT), ("run_id", NO_DEFAULT), ("experiment_id", None)]),
    (
        ExperimentTracker.get_run_by_version,
        [("self", NO_DEFAULT), ("run_name", NO_DEFAULT), ("version", NO_DEFAULT), ("experiment_id", None)],
    ),
    (
        ExperimentTracker.get_latest_version,
        [("self", NO_DEFAULT), ("run_name", NO_DEFAULT), ("experiment_id", None)],
    ),
    (ExperimentTracker.get_metric_history, [("self", NO_DEFAULT), ("run_id", NO_DEFAULT), ("key", NO_DEFAULT)]),
    (Run, [("run_id", None), ("experiment_id", 0), ("name", None), ("version", None), ("runs_dir", "mlruns")]),
    (Run.log_param, [("self", NO_DEFAULT), *KEY_AND_VALUE]),
    (Run.log_metric, [("self", NO_DEFAULT), *KEY_AND_VALUE, ("step", None), ("timestamp", None)]),
    (Run.log_params, [("self", NO_DEFAULT), ("params", NO_DEFAULT)]),
    (Run.log_metrics, [("self", NO_DEFAULT), ("metrics", NO_DEFAULT), ("step", None)]),
    (Run.set_tag, [("self", NO_DEFAULT), *KEY_AND_VALUE]),
    (Run.set_tags, [("self", NO_DEFAULT), ("tags", NO_DEFAULT)]),
    (Run.flush, [("self", NO_DEFAULT)]),
    (Run.end, [("self", NO_DEFAULT), ("status", "FINISHED")]),
    (Run.activate, [("self", NO_DEFAULT)]),
]


@pytest.mark.parametrize(("function", "promised"), PROMISED, ids=lambda item: getattr(item, "__qualname__", None))
def test_signature_begins_as_promised(function: Callable[..., Any], promised: List[Tuple[str, Any]]) -> None:
    """The promised arguments come first, by position and by name; whatever follows may be left out."""
    parameters = list(inspect.signature(function).parameters.values())
    first, others = parameters[: len(promised)], parameters[len(promised) :]
    assert [(parameter.name, parameter.default) for parameter in first] == promised
    assert {parameter.kind for parameter in first} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert all(parameter.default is not NO_DEFAULT for parameter in others)


def test_nested_is_an_argument_of_both_start_runs() -> None:
    """``nested`` can be given by name, and is off."""
    for function in (start_run, ExperimentTracker.start_run):
        assert inspect.signature(function).parameters["nested"].default is False


def test_every_public_name_exists() -> None:
    """Everything in ``__all__`` is there, and it holds the whole of what the README uses."""
    assert all(hasattr(mini_mlflow, name) for name in mini_mlflow.__all__)
    promised = "start_run active_run end_run log_param log_metric ExperimentTracker Run log_params log_metrics set_tag"
    assert set(promised.split()) <= set(mini_mlflow.__all__)
    assert mini_mlflow.__version__ == "0.1.0"


def test_mlflow_like_calls_store_what_they_are_given() -> None:
    """start_run, log_param, log_metric and end_run make a finished run under ``mlruns`` in the working folder."""
    started = start_run(run_name="baseline", experiment_id=3, version="v1.0")
    log_param("lr", 0.01)
    log_metric("loss", 0.5)
    log_metric("loss", 0.25)
    assert active_run() is started
    end_run()
    assert active_run() is None
    assert os.path.isdir(os.path.join("mlruns", "3", started.run_id))
    run = ExperimentTracker(experiment_id=3).get_run(started.run_id)
    assert run["metadata"]["status"] == "FINISHED"
    assert (run["metadata"]["name"], run["metadata"]["version"]) == ("baseline", "v1.0")
    assert (run["params"], run["metrics"]) == ({"lr": 0.01}, {"loss": 0.25})


def test_every_logging_function_reaches_the_active_run() -> None:
    """log_params, log_metrics, set_tag, set_tags and flush do for the active run what its methods do."""
    run = start_run()
    log_params({"a": 1, "b": [2]})
    log_metrics({"x": 1, "y": 2}, step=7)
    log_metrics({"x": 3}, 8, 1234)
    log_metric("x", 4, 9, 1235)
    set_tag("who", "me")
    set_tags({"where": "here", "n": 1})
    flush()
    assert not os.path.exists(os.path.join("mlruns", "0", run.run_id, "log", "1.json"))
    stored = ExperimentTracker().get_run(run.run_id)
    assert stored["params"] == {"a": 1, "b": [2]}
    assert stored["metrics"] == {"x": 4.0, "y": 2.0}
    assert stored["tags"] == {"who": "me", "where": "here", "n": 1}
    points = ExperimentTracker().get_metric_history(run.run_id, "x")
    assert [(point.step, point.value) for point in points] == [(7, 1.0), (8, 3.0), (9, 4.0)]
    assert [point.timestamp for point in points[1:]] == [1234, 1235]


@pytest.mark.parametrize(
    "call",
    [
        end_run,
        flush,
        lambda: log_param("a", 1),
        lambda: log_params({"a": 1}),
        lambda: log_metric("a", 1),
        lambda: log_metrics({"a": 1}),
        lambda: set_tag("a", 1),
        lambda: set_tags({"a": 1}),
    ],
)
def test_calls_without_an_active_run_are_refused(call: Callable[[], Any]) -> None:
    """Without an active run there is a RuntimeError that says so, and nothing is made."""
    with pytest.raises(RuntimeError, match="No active run"):
        call()
    assert os.listdir(".") == []


def test_active_run_is_none_without_one() -> None:
    """active_run() returns None before any run, and after end_run()."""
    assert active_run() is None
    start_run()
    end_run()
    assert active_run() is None


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_end_run_takes_a_status(status: str) -> None:
    """end_run(status) ends the run with that status."""
    run = start_run()
    end_run(status)
    assert ExperimentTracker().get_run(run.run_id)["metadata"]["status"] == status


def test_end_run_with_an_invalid_status_leaves_the_run_active() -> None:
    """An invalid status is a ValueError, and the run goes on."""
    run = start_run()
    with pytest.raises(ValueError, match="Invalid status"):
        end_run("DONE")
    assert active_run() is run
    log_metric("loss", 1)


def test_second_start_run_is_refused() -> None:
    """A second start_run in a thread says that there is an active run already, and makes nothing."""
    run = start_run()
    with pytest.raises(RuntimeError, match="already an active run"):
        start_run()
    with pytest.raises(RuntimeError, match="already an active run"):
        ExperimentTracker().start_run()
    assert active_run() is run
    assert ExperimentTracker().list_runs() == [run.run_id]


def test_run_works_as_context_manager_of_start_run() -> None:
    """``with start_run() as run`` ends the run and clears it from the thread."""
    with start_run(run_name="block") as run:
        assert active_run() is run
        log_param("a", 1)
    assert active_run() is None
    assert run.status == "FINISHED"


# -- where runs go -------------------------------------------------------------------------------------------------


def test_set_runs_dir_moves_later_runs(tmp_path: Path) -> None:
    """Runs started after set_runs_dir go there; a run that was started before stays where it is."""
    before = start_run()
    set_runs_dir(tmp_path / "elsewhere")
    log_metric("loss", 1)
    end_run()
    after = start_run()
    assert before.runs_dir == str(tmp_path / "mlruns")
    assert after.runs_dir == str(tmp_path / "elsewhere")
    assert ExperimentTracker().get_run(before.run_id)["metrics"] == {"loss": 1.0}


def test_set_runs_dir_is_settled_as_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path counts from where set_runs_dir was called, and holds for every thread."""
    set_runs_dir("here")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    (run,) = run_together(start_run)
    assert run.runs_dir == str(tmp_path / "here")


@pytest.mark.parametrize(("path", "error"), [("", ValueError), ("a\0b", ValueError), (None, TypeError), (3, TypeError)])
def test_set_runs_dir_refuses_what_is_no_path(tmp_path: Path, path: Any, error: type) -> None:
    """A bad path is refused and the tree stays what it was."""
    set_runs_dir(tmp_path / "good")
    with pytest.raises(error):
        set_runs_dir(path)
    assert start_run().runs_dir == str(tmp_path / "good")


def test_environment_says_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINI_MLFLOW_RUNS_DIR is the tree of the module functions; set_runs_dir wins over it."""
    monkeypatch.setenv("MINI_MLFLOW_RUNS_DIR", str(tmp_path / "env"))
    assert start_run().runs_dir == str(tmp_path / "env")
    end_run()
    set_runs_dir(tmp_path / "set")
    assert start_run().runs_dir == str(tmp_path / "set")


def test_empty_environment_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty MINI_MLFLOW_RUNS_DIR or MINI_MLFLOW_FSYNC is as good as none."""
    monkeypatch.setenv("MINI_MLFLOW_RUNS_DIR", "")
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "")
    assert start_run().runs_dir == str(tmp_path / "mlruns")


def test_environment_reaches_another_interpreter(tmp_path: Path) -> None:
    """The environment variable holds for a script that knows nothing of it."""
    code = "import mini_mlflow; mini_mlflow.start_run(run_id='x'); mini_mlflow.end_run()"
    run_python(code, env={"MINI_MLFLOW_RUNS_DIR": "there"}, cwd=tmp_path)
    assert ExperimentTracker(runs_dir=tmp_path / "there").list_runs() == ["x"]


# -- how hard they try ---------------------------------------------------------------------------------------------


class CountingOs:
    """The module os, counting the calls of fsync."""

    def __init__(self) -> None:
        self.syncs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        self.syncs += 1
        os.fsync(descriptor)


@pytest.fixture
def counting_os(monkeypatch: pytest.MonkeyPatch) -> CountingOs:
    from mini_mlflow.disk import atomic

    counting = CountingOs()
    monkeypatch.setattr(atomic, "os", counting)
    return counting


def count_syncs(counting: CountingOs) -> Tuple[int, int]:
    """How many fsyncs a log call of a new run needs, and how many its end."""
    start_run()
    before = counting.syncs
    log_metric("loss", 1)
    between = counting.syncs
    end_run()
    return between - before, counting.syncs - between


@pytest.mark.parametrize("way", ["default", "argument", "set_fsync", "environment"])
@pytest.mark.parametrize(
    ("level", "logs", "ends"), [("end", False, True), ("always", True, True), ("never", False, False)]
)
def test_fsync_level_says_when_the_disk_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, counting_os: CountingOs, way: str, level: str, logs: bool, ends: bool
) -> None:
    """ "end" syncs when a run ends, "always" at each call, "never" not at all, however the level is set."""
    if way == "default" and level != "end":
        pytest.skip("the default is another level")
    if way == "environment":
        monkeypatch.setenv("MINI_MLFLOW_FSYNC", level)
    if way == "set_fsync":
        # It wins over the environment.
        monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never" if level == "always" else "always")
        set_fsync(level)
    if way == "argument":
        set_fsync("never" if level == "always" else "always")
        run = Run(runs_dir="mlruns", fsync=level)
        before = counting_os.syncs
        run.log_metric("loss", 1)
        between = counting_os.syncs
        run.end()
        counts = between - before, counting_os.syncs - between
    else:
        counts = count_syncs(counting_os)
    assert (counts[0] > 0, counts[1] > 0) == (logs, ends)


def test_set_fsync_none_goes_back_to_the_environment(monkeypatch: pytest.MonkeyPatch, counting_os: CountingOs) -> None:
    """set_fsync(None) takes back what was set."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never")
    set_fsync("always")
    assert count_syncs(counting_os)[0] > 0
    set_fsync(None)
    assert count_syncs(counting_os) == (0, 0)


@pytest.mark.parametrize(
    ("level", "error"), [("sometimes", ValueError), ("END", ValueError), (True, TypeError), (1, TypeError)]
)
def test_unknown_fsync_levels_are_refused(
    monkeypatch: pytest.MonkeyPatch, counting_os: CountingOs, level: Any, error: type
) -> None:
    """A level that does not exist is refused wherever it is given, and changes nothing."""
    with pytest.raises(error):
        set_fsync(level)
    with pytest.raises(error):
        Run(fsync=level)
    with pytest.raises(error):
        ExperimentTracker(fsync=level)
    assert count_syncs(counting_os)[0] == 0


def test_unknown_fsync_level_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in MINI_MLFLOW_FSYNC is an error, not a weaker promise."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "allways")
    with pytest.raises(ValueError, match="allways"):
        start_run()
    assert os.listdir(".") == []


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "soon", 10**400])
def test_lock_timeouts_are_finite_and_positive(timeout: Any) -> None:
    """Every wait for a lock ends some day."""
    with pytest.raises(ValueError, match="lock_timeout_s"):
        Run(lock_timeout_s=timeout)
    with pytest.raises(TypeError, match="lock_timeout_s"):
        ExperimentTracker(lock_timeout_s=True)  # type: ignore[arg-type]
    assert os.listdir(".") == []


def test_import_is_light() -> None:
    """All of the API does not load what only some calls need; the package alone loads nothing of itself."""
    heavy = ["yaml", "subprocess", "uuid", "numpy", "multiprocessing", "hashlib", "getpass"]
    # What platform and filelock load is not ours to spare (the former loads subprocess on Python 3.7).
    before = "import sys, filelock, platform; before = set(sys.modules)"
    code = before + "; import mini_mlflow; print(*set(sys.modules) - before); from mini_mlflow import *"
    alone, loaded = (
        line.split() for line in run_python(code + "; print(*set(sys.modules) - before)").stdout.splitlines()
    )
    assert [name for name in alone if name.startswith("mini_mlflow.")] == []
    assert "mini_mlflow.tracker" in loaded
    assert [name for name in heavy if name in loaded] == []


def test_names_of_the_package_are_those_that_it_declares() -> None:
    """What type checkers see in the package is what is there at run time, and nothing else is public."""
    source = Path(mini_mlflow.__file__).read_text("utf-8")
    declared = {
        alias.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mini_mlflow.")
        for alias in node.names
    }
    assert {*declared, "__version__"} == set(mini_mlflow.__all__) <= set(dir(mini_mlflow))
    for name, module in declared.items():
        assert getattr(mini_mlflow, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mini_mlflow.nonsense  # noqa: B018
    assert mini_mlflow.errors.MiniMlflowError is mini_mlflow.MiniMlflowError
