"""A history that is read piece by piece is the one that is read at once, also while it is merged."""

from __future__ import annotations

import os
from typing import List

import pytest

from faults import seal_early
from mini_mlflow import ExperimentTracker, Point, Run
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.reading.history_pieces import iter_history
from mini_mlflow.reading.metric_history import read_history

RUN_ID = "r"


def paths() -> RunPaths:
    return RunPaths.of(RunAddress(os.path.abspath("mlruns"), 0, RUN_ID))


def join(key: str = "loss", hidden: bool = False) -> List[Point]:
    return [point for piece in iter_history(paths(), key, hidden) for point in piece]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that seals after a few points, and has merged sealed files, a document and a log."""
    seal_early(monkeypatch)
    run = ExperimentTracker().start_run(run_id=RUN_ID)
    for number in range(150):
        run.log_metric("loss", number / 2)
        run.log_metric("other", 1.0)
        if number % 4 == 0:
            run.flush()
    return run


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("state", ["open", "flushed", "ended", "rewound", "rewound and ended"])
def test_pieces_are_the_history(state: str, hidden: bool, run: Run) -> None:
    if state.startswith("rewound"):
        run.rewind(40)
        run.log_metric("loss", 7.0)
    if state == "flushed":
        run.flush()
    if state.endswith("ended"):
        run.end()
    whole = read_history(paths(), "loss")
    assert join(hidden=hidden) == (whole.stored if hidden else whole.shown)
    assert len(join(hidden=True)) == 151 if state.startswith("rewound") else 150
    assert join("missing") == []


def test_no_piece_holds_more_than_a_sealed_file(run: Run) -> None:
    run.flush()
    pieces = list(iter_history(paths(), "loss"))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 150


def test_sealed_file_that_is_merged_meanwhile_costs_no_point_and_gives_none_twice(
    run: Run,
) -> None:
    """The reader stands in the middle when the files that come next are merged into one."""
    run.flush()
    before = set(os.listdir(paths().history_folder("loss")))
    given: List[Point] = []
    for number, piece in enumerate(iter_history(paths(), "loss")):
        given += piece
        if number == 1:
            for later in range(60):
                run.log_metric("loss", -float(later))
                run.flush()
            assert before - set(os.listdir(paths().history_folder("loss")))
    assert given == read_history(paths(), "loss").shown[: len(given)]
    assert len(given) >= 150


@pytest.mark.damaged_tree
def test_history_without_its_document_is_read_as_a_whole(run: Run) -> None:
    run.end()
    os.remove(paths().document("metrics", "loss"))
    assert join() == read_history(paths(), "loss").shown
    assert len(join()) > 100


@pytest.mark.damaged_tree
def test_damaged_sealed_file_costs_its_own_points(run: Run) -> None:
    run.end()
    folder = paths().history_folder("loss")
    name = sorted(os.listdir(folder))[0]
    with open(os.path.join(folder, name), "r+b") as file:
        file.seek(3)
        file.write(b"\0\0\0")
    with pytest.warns(UserWarning, match="can be read"):
        assert join() == read_history(paths(), "loss").shown


def test_run_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        join()
