"""Removing a folder whole: links lead nowhere, what is refused is left, and all else is gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mini_mlflow import ExperimentTracker, Run
from mini_mlflow.disk import atomic
from mini_mlflow.disk.removing import remove_tree

needs_links = pytest.mark.skipif(os.name != "posix", reason="needs links")


def fill(folder: Path) -> Path:
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("x", "a/y", "a/b/z"):
        (folder / name).write_text(name)
    return folder


def test_nothing_stands_there_afterwards(tmp_path: Path) -> None:
    """Neither a folder, nor a file, nor nothing, which there was."""
    remove_tree(str(fill(tmp_path / "folder")))
    (tmp_path / "file").write_text("x")
    remove_tree(str(tmp_path / "file"))
    remove_tree(str(tmp_path / "missing"))
    assert os.listdir(str(tmp_path)) == []


@needs_links
def test_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    """In the place of the folder, and below it."""
    outside = fill(tmp_path / "outside")
    inside = fill(tmp_path / "inside")
    (inside / "a" / "link").symlink_to(outside)
    (tmp_path / "link").symlink_to(outside)
    for name in ("link", "inside"):
        remove_tree(str(tmp_path / name))
    assert os.listdir(str(tmp_path)) == ["outside"]
    assert (outside / "a" / "b" / "z").read_text() == "a/b/z"


def test_folders_may_be_nested_deeper_than_a_stack(tmp_path: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(str(tmp_path))
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    try:
        os.chdir(str(tmp_path))
        # Relative: the whole path is longer than the system takes otherwise.
        remove_tree("d")
    finally:
        os.chdir(here)
    assert os.listdir(str(tmp_path)) == []


def test_what_is_refused_is_left_and_all_else_is_gone(tmp_path: Path, monkeypatch: Any) -> None:
    """Nobody is told: the next one who sweeps tries again."""
    folder = fill(tmp_path / "folder")
    remove = atomic.remove_file

    def refuse(path: str) -> None:
        if path.endswith("y"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "remove_file", refuse)
        remove_tree(str(folder))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["a", os.path.join("a", "y")]
    remove_tree(str(folder))
    assert not folder.exists()


@needs_links
@pytest.mark.damaged_tree
def test_gc_removes_a_link_in_the_trash_and_nothing_outside_of_the_tree(tmp_path: Path) -> None:
    """Nor does an experiment that is made, for a link in the tree."""
    outside = fill(tmp_path / "outside")
    tracker = ExperimentTracker(runs_dir=tmp_path / "tree")
    Run(run_id="r", runs_dir=tracker.runs_dir).end()
    tracker.delete_run("r")
    links = [tmp_path / "tree" / ".trash" / ".tmp-link", tmp_path / "tree" / ".tmp-link"]
    for link in links:
        link.symlink_to(outside)
    assert tracker.gc() == ["r"]
    tracker.create_experiment("a")
    assert not any(map(os.path.lexists, map(str, links)))
    assert (outside / "a" / "b" / "z").read_text() == "a/b/z"
