"""What holds for every test: a folder of its own, no settings from outside, no run left open, and whole trees."""

from __future__ import annotations

import gc
import os
import sys
from typing import Dict, Iterator, List

import pytest

from faults import quick_folder
from mini_mlflow import MiniMlflowError, fluent, run_stack
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.open_runs import owned_runs
from tree_check import find_trees
from whole_tree import check_whole_tree

# A test function with more variants than this counts as an enumeration.
MOST_IN_FULL = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--one-in",
        type=int,
        default=1,
        metavar="N",
        help="of enumerations, run every Nth variant only; which ones differs from one Python version to the next",
    )
    parser.addoption(
        "--share",
        type=int,
        default=1,
        metavar="N",
        help="of the tests, run every Nth only; which ones differs from one Python version to the next",
    )
    parser.addoption(
        "--model-examples",
        type=int,
        metavar="N",
        help="let test_model.py search N new examples; by default it runs the same few",
    )
    parser.addoption(
        "--every-step",
        action="store_true",
        help="of the enumerations of steps, try those too that steps.py takes for repetitions",
    )
    parser.addoption("--mlflow-long", action="store_true", help="also the tests that start MLflow's own servers")


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    if not config.getoption("--mlflow-long"):
        for item in items:
            if item.get_closest_marker("mlflow_long") is not None:
                item.add_marker(pytest.mark.skip(reason="starts servers of MLflow's: --mlflow-long"))
    one_in, share = config.getoption("--one-in"), config.getoption("--share")
    if one_in <= 1 and share <= 1:
        return
    variants: Dict[str, List[pytest.Item]] = {}
    for item in items:
        variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    # Several Pythons in a row run all of them between them.
    minor = sys.version_info[1]
    # From 3.7 to 3.13 the two at the ends have both halves, and the four between them (without 3.11) all quarters.
    families = list(variants.values())[(minor + minor // 2) % share :: share]
    kept = {id(item) for family in families for item in _thin(family, one_in, minor % one_in)}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


def _thin(family: List[pytest.Item], one_in: int, first: int) -> List[pytest.Item]:
    return family if len(family) <= MOST_IN_FULL else family[first % len(family) :: one_in]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "program: tests a program or a text beside the library, which differs on no Python"
    )
    config.addinivalue_line("markers", "long: takes seconds; left out on the Pythons between the oldest and the newest")
    config.addinivalue_line("markers", "mlflow_long: starts MLflow's servers; for --mlflow-long")
    config.addinivalue_line("markers", "damaged_tree: the test damages its tree on purpose, which is not checked then")
    config.addinivalue_line("markers", "leaves(rule, ...): what the tree may break at the end, as upkeep.verify tells")


@pytest.fixture
def runs_dir(tmp_path: os.PathLike[str]) -> str:
    """The path of a tree that does not exist yet."""
    return os.path.join(str(tmp_path), "mlruns")


@pytest.fixture
def every_step(request: pytest.FixtureRequest) -> bool:
    """Whether an enumeration of steps tries all of them."""
    return bool(request.config.getoption("--every-step"))


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder for many small trees, in memory where possible; they are not looked at when the test is over."""
    with quick_folder() as path:
        yield path


@pytest.fixture
def stride(request: pytest.FixtureRequest) -> int:
    """Of the steps at which MLflow's store may be cut short, every so many are tried; all with --mlflow-long."""
    return 1 if request.config.getoption("--mlflow-long") else 7


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, tmp_path: os.PathLike[str]) -> Iterator[None]:
    """Each test starts with defaults in an empty folder; at its end its runs are closed and its trees are whole."""
    # Not the fixture monkeypatch: what a test patches must be undone before its runs are closed here.
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MINI_MLFLOW_")]:
            patch.delenv(name)
        patch.chdir(tmp_path)
        patch.setattr(fluent, "_runs_dir", None)
        patch.setattr(fluent, "_fsync", None)
        patch.setattr(fluent, "_experiments", {})
        yield
        gc.enable()
        damaged = request.node.get_closest_marker("damaged_tree") is not None
        _close_runs(give_up=damaged)
        left = [rule for marker in request.node.iter_markers("leaves") for rule in marker.args]
    if not damaged:
        for tree in find_trees(str(tmp_path)):
            check_whole_tree(tree, rules=left)


def _close_runs(give_up: bool) -> None:
    run_stack.entries().clear()
    for run in owned_runs():
        try:
            if not give_up:
                lifecycle.end(run, "KILLED")
        except (OSError, MiniMlflowError):
            # Its folder may be gone, or the test has ended it elsewhere.
            pass
        finally:
            run.give_up_ownership()
