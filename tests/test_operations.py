"""The closed set of operations is closed: what is new in the engine must be in it, or is said to need no place there.

`faults.OPERATIONS` is what the tests of kills, failures, interrupts and signals go through step by step. These tests
derive from the code what could be done to a tree, and fail when no operation does it.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

import mini_mlflow
from faults import OPERATIONS, STEPS, Step, quick_folder, set_up
from mini_mlflow import ExperimentTracker, Run, fluent
from mini_mlflow.disk import atomic, copying, in_place
from mini_mlflow.formats.commits import REWIND, VALUE_KINDS, MetricChange
from mini_mlflow.writing import commit_log, experiment_trash, experiments, lifecycle, operations, trash
from tree_check import KINDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

#: Methods and functions that change nothing on disk.
READ_ONLY = {
    Run: {"is_open", "lives_on_disk", "activate", "artifact_path"},
    ExperimentTracker: {"active_run", "list_runs", "get_run", "get_run_by_version", "get_latest_version"}
    | {"get_metric_history", "search_runs", "best_run", "compare", "list_deleted_runs"}
    | {"get_experiment", "get_experiment_by_name", "search_experiments", "list_artifacts", "artifact_path"},
    fluent: {"active_run", "set_runs_dir", "set_fsync", "search_runs"}
    | {"get_experiment", "get_experiment_by_name", "search_experiments"},
}
#: Those that do what another one does, which is in the set.
SAME_AS = {
    (Run, "start"): "ExperimentTracker.start_run comes down to it",
    (ExperimentTracker, "end_run"): "Run.end",
    (fluent, "start_run"): "ExperimentTracker.start_run",
    (fluent, "end_run"): "Run.end",
    (ExperimentTracker, "set_experiment"): "ExperimentTracker.create_experiment, if there is none",
    (fluent, "set_experiment"): "ExperimentTracker.create_experiment, if there is none",
    (fluent, "create_experiment"): "ExperimentTracker.create_experiment",
    (fluent, "delete_run"): "ExperimentTracker.delete_run",
    **{
        (fluent, name): "ExperimentTracker." + name
        for name in (
            *("rename_experiment", "set_experiment_tag", "set_experiment_tags", "delete_experiment_tag"),
            *("delete_experiment", "restore_experiment"),
        )
    },
    (fluent, "restore_run"): "ExperimentTracker.restore_run",
    **{(owner, name): "Run.log_text" for owner in (Run, fluent) for name in ("log_dict", "log_figure")},
}
#: Functions of the lifecycle that only a failure, an exit or an exception leads to; each has tests of its own.
ON_THE_SIDE = {"_take_back_end", "_undo_creation", "_already_ended", "end_left_open"}
ON_THE_SIDE |= {"_exists", "_not_in_trash"}
#: A run that its maker could not complete; test_mlflow_run_records.py has it.
ON_THE_SIDE |= {"take_back", "_take_back"}
#: Steps that no operation takes while all goes well: the failing steps before them lead there.
AFTER_A_FAILURE = {("_discard", "close"), ("_discard", "unlink")}
#: The ways of copying bytes, of which one is taken; test_artifact_copy.py goes through each.
WAYS = {("_copy_range", "copy_file_range"), ("_send", "sendfile"), ("_copy_through_memory", "write")}
#: What a killed writer left is swept; test_crash_steps.py has the leftovers.
AFTER_A_KILL: Set[Tuple[str, str]] = set()
#: Steps of `upkeep` that a repair takes for damage alone, and a doctor; test_repair.py and test_doctor.py strike them.
FOR_DAMAGE = {("set_mode", "chmod"), ("make_symbolic_link", "symlink")} | {
    ("empty_file", step) for step in ("open", "ftruncate", "close")
}
WRITERS = (atomic.__file__, copying.__file__, in_place.__file__)


class Taken(NamedTuple):
    """What all operations went through: functions of the package, steps with who took them, kinds of change."""

    functions: Set[Any]
    steps: Set[Tuple[str, str]]
    kinds: Set[str]


@pytest.fixture(scope="module")
def taken() -> Taken:
    found = Taken(set(), set(), set())
    with quick_folder() as folder:
        for operation in OPERATIONS:
            root = os.path.join(folder, operation.name)
            with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
                disk = set_up(operation, patch)
                watch_changes(patch, found.kinds)
                run = operation.prepare(root, stack)
                with watch_functions(found.functions), disk.armed(note_step(found.steps), 1, lasting=True):
                    run = operation.act(root, run)
                run.is_open() and run.end()
    return found


def watch_changes(patch: pytest.MonkeyPatch, kinds: Set[str]) -> None:
    real = commit_log.CommitLog.note

    def note(self: Any, number: int, changes: Any) -> None:
        kinds.update("metrics" if isinstance(change, MetricChange) else change.kind for change in changes)
        real(self, number, changes)

    patch.setattr(commit_log.CommitLog, "note", note)


class watch_functions:  # noqa: N801
    """Within the block, the code of each Python function that is called is noted."""

    def __init__(self, found: Set[Any]) -> None:
        self._found = found

    def __enter__(self) -> None:
        self._before = sys.getprofile()
        sys.setprofile(lambda frame, event, argument: self._found.add(frame.f_code) if event == "call" else None)

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(self._before)


def note_step(found: Set[Tuple[str, str]]) -> Callable[[Step], Any]:
    def strike(step: Step) -> Any:
        frame: Any = sys._getframe()
        while frame.f_code.co_filename not in WRITERS:
            frame = frame.f_back
        found.add((frame.f_code.co_name, step.name))
        return step.carry_out()

    return strike


def public(owner: Any) -> Dict[str, Any]:
    """The functions that a user calls on it, inherited ones too; of the fluent module, those the package exports."""
    names = mini_mlflow.__all__ if owner is fluent else [name for name in dir(owner) if not name.startswith("_")]
    functions = {name: inspect.unwrap(getattr(owner, name)) for name in names if hasattr(owner, name)}
    return {name: function for name, function in functions.items() if hasattr(function, "__code__")}


@pytest.mark.parametrize("owner", [Run, ExperimentTracker, fluent], ids=lambda owner: owner.__name__)
def test_every_call_that_changes_a_tree_is_an_operation(owner: Any, taken: Taken) -> None:
    covered = {name for name, function in public(owner).items() if inspect.unwrap(function).__code__ in taken.functions}
    # The module's functions of that name do it to the active run, and nothing else.
    if owner is fluent:
        covered |= {name for name, function in public(Run).items() if function.__code__ in taken.functions}
    told = READ_ONLY[owner] | {name for holder, name in SAME_AS if holder is owner}
    missing = set(public(owner)) - covered - told
    assert not missing, "in no operation of faults.OPERATIONS: %s" % ", ".join(sorted(missing))
    assert told <= set(public(owner)), "no longer there: %s" % sorted(told - set(public(owner)))


def test_every_kind_of_change_is_an_operation(taken: Taken) -> None:
    assert taken.kinds == {"metrics", *VALUE_KINDS, REWIND} == {*KINDS, REWIND}
    makers = {name for name in vars(operations) if name.endswith("_submission")}
    missing = {name for name in makers if getattr(operations, name).__code__ not in taken.functions}
    assert not missing, "no operation makes a change with %s" % ", ".join(sorted(missing))


def test_every_turn_of_a_life_is_an_operation(taken: Taken) -> None:
    own = {
        name: function
        for module in (lifecycle, trash, experiments, experiment_trash)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
    }
    missing = {name for name in set(own) - ON_THE_SIDE if own[name].__code__ not in taken.functions}
    assert not missing, "no operation comes through writing.%s" % ", ".join(sorted(missing))
    assert set(own) >= ON_THE_SIDE


def list_steps(source: str) -> Iterator[Tuple[str, str]]:
    """(function, step) for each call in the writing module that a fault can strike."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            owner = getattr(getattr(node, "value", None), "id", "")
            if isinstance(node, ast.Attribute) and owner in ("os", "steps", "linux") and node.attr in STEPS:
                yield function.name, node.attr


def test_every_step_that_can_be_struck_is_struck(taken: Taken) -> None:
    """The enumerations strike at all steps of all operations; so it is enough that some operation takes each."""
    all_steps = {step for path in WRITERS for step in list_steps(Path(path).read_text())}
    missing = all_steps - taken.steps - AFTER_A_FAILURE - AFTER_A_KILL - FOR_DAMAGE - WAYS
    assert not missing, "no operation takes these steps of disk/atomic.py, copying.py and in_place.py: %s" % sorted(
        missing
    )
    assert taken.steps <= all_steps
    assert all_steps >= AFTER_A_FAILURE | AFTER_A_KILL | FOR_DAMAGE | WAYS
    assert taken.steps & WAYS


def test_what_is_new_is_found(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method, a module function, a turn of a life and a step that no operation knows make these tests fail."""
    new: List[Tuple[Any, str]] = [(Run, "log_sound"), (ExperimentTracker, "copy_run"), (lifecycle, "clone")]
    for owner, name in new:
        function: Any = eval("lambda self: None")
        function.__module__ = owner.__name__ if inspect.ismodule(owner) else owner.__module__
        monkeypatch.setattr(owner, name, function, raising=False)
    for check in (
        lambda: test_every_call_that_changes_a_tree_is_an_operation(Run, taken),
        lambda: test_every_call_that_changes_a_tree_is_an_operation(ExperimentTracker, taken),
        lambda: test_every_turn_of_a_life_is_an_operation(taken),
    ):
        with pytest.raises(AssertionError, match=r"log_sound|copy_run|clone"):
            check()
    assert list(list_steps("def link(a, b):\n    os.link(a, b)\n")) == [("link", "link")]
