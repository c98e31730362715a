"""A search while runs are started, ended, resumed, deleted and restored: each is found whole or not at all."""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import pytest

from concurrency import Children
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run, end_run
from mini_mlflow.disk import regular
from mini_mlflow.reading import run_folder
from test_reading import InterruptedReader


def fill(run: Run, number: int = 1) -> None:
    """As many params, tags and metrics as there are kinds, all of them telling the number."""
    run.log_params({"a": number, "b": number})
    run.set_tag("c", number)
    run.log_metrics({"d": number, "e": number})


def values_of(found: Any) -> Dict[str, Any]:
    return {**found.params, **found.tags, **found.metrics}


WHOLE = dict.fromkeys("abcde", 1)


def trash(runs_dir: str) -> None:
    """As `delete_run` does it: the run's folder, whole, by one rename."""
    os.makedirs(os.path.join(runs_dir, ".trash", "0"), exist_ok=True)
    os.rename(os.path.join(runs_dir, "0", "r"), os.path.join(runs_dir, ".trash", "0", "r"))


def restore(runs_dir: str) -> None:
    os.rename(os.path.join(runs_dir, ".trash", "0", "r"), os.path.join(runs_dir, "0", "r"))
    shutil.rmtree(os.path.join(runs_dir, ".trash"))


class Case(NamedTuple):
    """A run that stands there open or ended, what happens to it at once, and what undoes that."""

    name: str
    ended: bool
    act: Callable[[str], Any]
    undo: Callable[[str], Any]


def resume(runs_dir: str) -> None:
    ExperimentTracker(runs_dir=runs_dir).start_run(run_id="r")


def end(runs_dir: str) -> None:
    Run("r", runs_dir=runs_dir).end()


CASES = [
    Case("end", False, end, lambda runs_dir: None),
    Case("resume", True, resume, lambda runs_dir: end_run()),
    Case("delete-open", False, trash, restore),
    Case("delete-ended", True, trash, restore),
    Case("remove", False, lambda runs_dir: shutil.rmtree(os.path.join(runs_dir, "0", "r")), lambda runs_dir: None),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_run_that_changes_at_any_step_of_a_search(tmp_path: Path, monkeypatch: Any, case: Case) -> None:
    """The whole of an end, a resume, a deletion or a removal between any two reads: all of its values, or no run."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never")
    step, done = 0, True
    seen = []
    while done:
        step += 1
        runs_dir = str(tmp_path / str(step))
        fill(Run("r", runs_dir=runs_dir))
        if case.ended:
            end(runs_dir)
        with monkeypatch.context() as patch:
            reader = InterruptedReader(lambda runs_dir=runs_dir: case.act(runs_dir), step)  # type: ignore[misc]
            patch.setattr(regular, "os", reader)
            found = ExperimentTracker(runs_dir=runs_dir).search_runs()
        done = reader.done
        seen.append([values_of(run) for run in found])
        if done:
            case.undo(runs_dir)
        shutil.rmtree(runs_dir)
    assert step > (2 if case.ended else 20)
    assert [values for values in seen if values not in ([], [WHOLE])] == []
    assert [WHOLE] in seen
    assert ([] in seen) == (case.act not in (end, resume))


class TwiceInterruptedReader(InterruptedReader):
    """Two things happen, the second some steps after the first."""

    def __init__(self, first: Callable[[], Any], second: Callable[[], Any], at: int, later: int) -> None:
        self.begun = False

        def then() -> None:
            first()
            self.begun = True
            self._action, self._left = second, later

        super().__init__(then, at)


def find_between(runs_dir: str, monkeypatch: Any, at: int, later: int) -> Any:
    """What a search finds of the open run, which is deleted before one step and restored before a later one."""
    with monkeypatch.context() as patch:
        reader = TwiceInterruptedReader(lambda: trash(runs_dir), lambda: restore(runs_dir), at, later)
        patch.setattr(regular, "os", reader)
        found = [values_of(run) for run in ExperimentTracker(runs_dir=runs_dir).search_runs()]
    # Where the second does not come to pass, the run was only deleted.
    if os.path.exists(os.path.join(runs_dir, ".trash")):
        restore(runs_dir)
    return found, reader.begun


def find_at_all_moments(runs_dir: str, monkeypatch: Any) -> List[Any]:
    fill(Run("r", runs_dir=runs_dir))
    found = []
    for at in itertools.count(1):
        for later in (1, 2, 3, 5, 8, 13, 21):
            one, begun = find_between(runs_dir, monkeypatch, at, later)
            if not begun:
                return found
            found.append(one)
    raise AssertionError("a search has an end")


def test_run_that_is_deleted_and_restored_during_a_search(runs_dir: str, monkeypatch: Any) -> None:
    """Gone for some steps of the reader and back before the search ends: whole, or not found; never in part."""
    found = find_at_all_moments(runs_dir, monkeypatch)
    assert len(found) > 60
    assert [values for values in found if values not in ([], [WHOLE])] == []


def test_the_folder_that_is_held_is_what_makes_it_so(runs_dir: str, monkeypatch: Any) -> None:
    """Reading by the run's name, as most would, some of these moments give a run with half of its values."""

    @contextmanager
    def by_name(path: str) -> Iterator[str]:
        yield path

    monkeypatch.setattr(run_folder, "held_folder", by_name)
    found = find_at_all_moments(runs_dir, monkeypatch)
    assert [values for values in found if values not in ([], [WHOLE])] != []


def test_damage_in_a_held_folder_is_told_by_the_path_one_knows(runs_dir: str) -> None:
    run = Run("r", runs_dir=runs_dir)
    fill(run)
    path = Path(runs_dir, "0", "r", "params", "a.json")
    data = path.read_bytes()
    path.write_bytes(b"{")
    with pytest.warns(DamagedFileWarning, match="mlruns/0/r/params/a.json"):
        assert len(ExperimentTracker(runs_dir=runs_dir).search_runs()) == 1
    path.write_bytes(data)
    meta = Path(runs_dir, "0", "r", "meta.yaml")
    data = meta.read_bytes()
    meta.write_bytes(b"[")
    with pytest.warns(DamagedFileWarning, match="mlruns/0/r/meta.yaml"):
        assert ExperimentTracker(runs_dir=runs_dir).search_runs() == []
    meta.write_bytes(data)
    run.end()


def test_held_folder_is_the_one_that_stood_there(tmp_path: Path) -> None:
    """What is read through it is of the folder of the beginning; another one in its place is told at the end."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "file").write_bytes(b"first")
    with regular.held_folder(str(folder)) as held:
        folder.rename(elsewhere)
        folder.mkdir()
        assert regular.read_file(held + "/file") == b"first"
        assert regular.name_held("%s/file: is odd" % held) == "%s/file: is odd" % elsewhere
        elsewhere.rename(folder)
    with pytest.raises(FileNotFoundError), regular.held_folder(str(folder)):
        folder.rename(elsewhere)
        folder.mkdir()
    with pytest.raises(FileNotFoundError), regular.held_folder(str(tmp_path / "missing")):
        pass
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OSError), regular.held_folder(str(tmp_path / "link")):
        pass


def test_without_such_paths_a_folder_is_read_by_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    """Where there is no /proc, and on systems that open no folders."""
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "isdir", lambda path: False)
        with regular.held_folder(str(tmp_path)) as held:
            assert held == str(tmp_path)
    monkeypatch.delattr(os, "O_DIRECTORY")
    with regular.held_folder(str(tmp_path / "missing")) as held:
        assert held == str(tmp_path / "missing")
    assert regular.name_held("/proc/self/fd/98765/x") == "/proc/self/fd/98765/x"


# -- many at once --------------------------------------------------------------------------------------------------

ROUNDS = 8
WRITERS = 2
SEARCHES = 25


def start_end_delete_restore(runs_dir: str, writer: int) -> None:
    """Runs one after the other; of the three latest of its own, some are moved to the trash and back, some for good."""
    tracker = ExperimentTracker(runs_dir=runs_dir, fsync="never")
    bin_folder = os.path.join(runs_dir, ".trash", "0")
    os.makedirs(bin_folder, exist_ok=True)
    for number in range(1, ROUNDS + 1):
        run_id = "w%d-%d" % (writer, number)
        folder, trashed = os.path.join(runs_dir, "0", run_id), os.path.join(bin_folder, run_id)
        run = tracker.start_run(run_id=run_id)
        fill(run, number)
        for _ in range(2):
            # Open runs and ended ones.
            os.rename(folder, trashed)
            os.rename(trashed, folder)
            if run.is_open():
                end_run("FAILED" if number % 2 else "FINISHED")
        if number % 4 == 0:
            os.rename(folder, trashed)
            shutil.rmtree(trashed)


@pytest.mark.long
def test_search_beside_writers_that_start_end_delete_and_restore(runs_dir: str) -> None:
    """No exception, no warning, no run twice; an ended run has all of its values, an open one all of each call's."""
    os.makedirs(os.path.join(runs_dir, "0"))
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with Children("spawn") as children:
        for writer in range(WRITERS):
            children.start(start_end_delete_restore, runs_dir, writer)
        for _ in range(SEARCHES):
            found = tracker.search_runs("params.a > 0 OR status = 'RUNNING'", ["metrics.d DESC", "start_time"])
            check_found(found)
            best = tracker.best_run("d")
            check_found([] if best is None else [best])
    found = tracker.search_runs()
    check_found(found)
    assert sorted(run.run_id for run in found) == sorted(
        "w%d-%d" % (writer, number) for writer in range(WRITERS) for number in range(1, ROUNDS + 1) if number % 4
    )


def check_found(found: Any) -> None:
    assert len({run.run_id for run in found}) == len(found)
    for run in found:
        number = int(run.run_id.partition("-")[2])
        values = values_of(run)
        whole = dict.fromkeys("abcde", number)
        if run.status in ("FINISHED", "FAILED"):
            assert values == whole, run
        # Each of these is one call, and calls come in this order.
        assert values in ({}, {"a": number, "b": number}, {"a": number, "b": number, "c": number}, whole), run
