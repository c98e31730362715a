"""Who may read and write a tree: the umask says it, a group shares it, a read-only one is read and not written."""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import os
import platform
import select
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
import yaml

from concurrency import fork
from faults import list_temporaries, make_source, open_run, read_artifacts, read_stored
from mini_mlflow import ExperimentTracker, OutsideTreeError, Run
from whole_tree import check_whole_tree

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users and groups")
needs_root = pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() != 0, reason="needs root, to become other users")

# Numbers that no machine gives to anybody.
ANN, BOB, EVE = 64101, 64102, 64103
TEAM, OTHERS = 64201, 64202

# Loaded on demand otherwise, in a child that has become somebody who may not read where they stand.
LOADED_BEFOREHAND = (getpass, hashlib, json, platform, yaml)


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0)
    os.umask(before)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


@pytest.fixture
def team_folder() -> Iterator[str]:
    """A folder of the team, whose new files are the team's too; every user can reach it."""
    folder = tempfile.mkdtemp(prefix="mini_mlflow-")
    if not all(os.stat(str(above)).st_mode & stat.S_IXOTH for above in Path(folder).parents):
        os.rmdir(folder)
        pytest.skip("other users cannot reach the folder for temporary files")
    os.chown(folder, -1, TEAM)
    os.chmod(folder, 0o2775)
    yield folder
    shutil.rmtree(folder)


def start_as(user: int, group: int, work: Callable[[], Any]) -> int:
    """The id of a child that does ``work`` as that user, with the umask of one who shares files with a group."""

    def become_and_work() -> None:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        os.umask(0o002)
        os.chdir("/")
        work()

    return fork(become_and_work)


def as_user(user: int, group: int, work: Callable[[], Any]) -> None:
    assert os.waitpid(start_as(user, group, work), 0)[1] == 0


def as_anybody(work: Callable[[], Any]) -> None:
    """Does it as a user to whom permissions apply: root passes them all."""
    if os.getuid() == 0:
        as_user(EVE, OTHERS, work)
    else:
        work()


def modes(root: str) -> Dict[str, int]:
    return {
        os.path.join(folder, name): stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) & 0o777
        for folder, folders, files in os.walk(root)
        for name in folders + files
    }


@pytest.mark.parametrize(
    ("mask", "file_mode", "folder_mode"),
    [(0o002, 0o664, 0o775), (0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700), (0, 0o666, 0o777)],
)
def test_files_folders_and_locks_follow_the_umask(
    mask: int, file_mode: int, folder_mode: int, umask: Callable[[int], None], runs_dir: str
) -> None:
    umask(mask)
    run = Run(run_id="r", runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    run.log_metrics({"loss": 0.5, "accuracy": 0.5})
    run.set_tag("kind", "t")
    seen = modes(os.path.dirname(runs_dir))
    run.flush()
    run.end()
    seen.update(modes(os.path.dirname(runs_dir)))
    assert any(path.endswith(".lock") for path in seen)
    assert any(path.endswith(".owner") for path in seen)
    assert any(os.path.basename(os.path.dirname(path)) == "log" for path in seen)
    for path, mode in seen.items():
        assert mode == (folder_mode if os.path.isdir(path) or is_log(path) else file_mode), path


def is_log(path: str) -> bool:
    """The one folder that is gone by the end of the run."""
    return os.path.basename(path) == "log"


class Baton:
    """Two processes take turns: each waits for a byte and hands one on."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def wait(self) -> None:
        # With a deadline: the other one may have failed.
        assert select.select([self._reading], [], [], 60)[0]
        assert os.read(self._reading, 1) == b"x"

    def hand_on(self) -> None:
        os.write(self._writing, b"x")


@needs_root
def test_two_users_of_a_group_log_to_one_run_in_turns(team_folder: str) -> None:
    root = os.path.join(team_folder, "mlruns")
    to_ann, to_bob = Baton(), Baton()

    def ann() -> None:
        run = open_run(root)
        for number in range(4):
            run.log_metric("loss", float(2 * number))
            run.log_param("by", "ann")
            to_bob.hand_on()
            to_ann.wait()
        run.flush()
        run.end()

    def bob() -> None:
        to_bob.wait()
        run = open_run(root)
        for number in range(4):
            run.log_metric("loss", float(2 * number + 1))
            run.log_param("by", "bob")
            run.flush()
            to_ann.hand_on()
            if number < 3:
                to_bob.wait()

    children = [start_as(ANN, TEAM, ann), start_as(BOB, TEAM, bob)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    stored = read_stored(root)
    assert stored is not None
    assert stored.status == "FINISHED"
    assert stored.params == {"by": "bob"}
    assert stored.histories == {"loss": [(number, float(number)) for number in range(8)]}
    check_whole_tree(root)


@needs_root
def test_second_user_goes_on_where_the_first_has_died_and_ends_it(team_folder: str) -> None:
    root = os.path.join(team_folder, "mlruns")
    as_user(ANN, TEAM, lambda: open_run(root).log_metric("loss", 0.0))
    assert ExperimentTracker(runs_dir=root).get_run("r")["metadata"]["status"] == "CRASHED"

    def go_on() -> None:
        run = open_run(root)
        run.log_metric("loss", 1.0)
        run.end()
        with ExperimentTracker(runs_dir=root).start_run(run_id="own") as own:
            own.log_metric("loss", 2.0)

    as_user(BOB, TEAM, go_on)
    stored = read_stored(root)
    assert stored is not None
    assert (stored.status, stored.histories) == ("FINISHED", {"loss": [(0, 0.0), (1, 1.0)]})
    assert sorted(ExperimentTracker(runs_dir=root).list_runs()) == ["own", "r"]
    check_whole_tree(root)


@needs_root
def test_user_outside_the_group_reads_and_is_refused_everything_else(team_folder: str) -> None:
    root = os.path.join(team_folder, "mlruns")
    as_user(ANN, TEAM, lambda: open_run(root).log_metric("loss", 0.0))
    before = modes(team_folder)

    def try_everything() -> None:
        tracker = ExperimentTracker(runs_dir=root)
        assert tracker.list_runs() == ["r"]
        assert tracker.get_run("r")["metrics"] == {"loss": 0.0}
        for start in (lambda: open_run(root), tracker.start_run, lambda: Run(run_id="r", runs_dir=root)):
            with pytest.raises(PermissionError) as caught:
                start()
            assert str(caught.value.filename).startswith(root)
        assert tracker.active_run() is None

    as_user(EVE, OTHERS, try_everything)
    assert modes(team_folder) == before


@needs_root
def test_private_tree_is_closed_to_others(team_folder: str) -> None:
    root = os.path.join(team_folder, "mlruns")

    def keep_private() -> None:
        os.umask(0o077)
        open_run(root).log_metric("loss", 0.0)

    def try_to_read() -> None:
        tracker = ExperimentTracker(runs_dir=root)
        for read in (tracker.list_runs, lambda: tracker.get_run("r")):
            with pytest.raises(OSError, match="Permission denied") as caught:
                read()
            assert str(caught.value.filename).startswith(root)

    as_user(ANN, TEAM, keep_private)
    as_user(BOB, TEAM, try_to_read)


@pytest.fixture
def read_only_tree() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="mini_mlflow-")
    os.chmod(folder, 0o755)
    root = os.path.join(folder, "mlruns")
    ended, live = Run(run_id="ended", runs_dir=root), Run(run_id="live", runs_dir=root)
    for run in (ended, live):
        run.log_param("lr", 0.1)
        for value in range(12):
            run.log_metric("loss", float(value))
    ended.end()
    paths = [root] + [os.path.join(root, path) for path in modes(root)]
    before = {path: os.stat(path).st_mode for path in paths}
    for path in paths:
        os.chmod(path, (before[path] | 0o444 | (0o111 if os.path.isdir(path) else 0)) & ~0o222)
    yield root
    for path, mode in before.items():
        os.chmod(path, mode)
    live.end()
    shutil.rmtree(folder)


def test_read_only_tree_reads_fully_and_refuses_a_run(read_only_tree: str) -> None:
    def use() -> None:
        tracker = ExperimentTracker(runs_dir=read_only_tree)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert sorted(tracker.list_runs()) == ["ended", "live"]
            for run_id in ("ended", "live"):
                assert tracker.get_run(run_id)["params"] == {"lr": 0.1}
                assert tracker.get_run(run_id)["metrics"] == {"loss": 11.0}
                history = tracker.get_metric_history(run_id, "loss")
                assert [(point.step, point.value) for point in history] == [(step, float(step)) for step in range(12)]
        assert tracker.get_run("ended")["metadata"]["status"] == "FINISHED"
        assert tracker.get_run("live")["metadata"]["status"] == "RUNNING"
        for run_id in (None, "ended", "live", "x"):
            with pytest.raises(PermissionError) as caught:
                tracker.start_run(run_id=run_id)
            assert str(caught.value.filename).startswith(read_only_tree)
        assert tracker.active_run() is None

    before = modes(read_only_tree)
    as_anybody(use)
    assert modes(read_only_tree) == before


def test_tree_in_a_folder_that_is_closed_names_it(tmp_path: Path) -> None:
    folder = tempfile.mkdtemp(prefix="mini_mlflow-")
    os.chmod(folder, 0o555)

    def start() -> None:
        with pytest.raises(PermissionError) as caught:
            Run(runs_dir=os.path.join(folder, "mlruns"))
        assert str(caught.value.filename).startswith(folder)

    try:
        as_anybody(start)
        assert os.listdir(folder) == []
    finally:
        os.rmdir(folder)


@needs_root
def test_file_system_that_turns_read_only_is_gone_on_with_once_it_is_writable(tmp_path: Path) -> None:
    """What Linux does to a disk with errors, and an administrator takes back."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def run_mount(*arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            pytest.skip("cannot mount: %s" % done.stdout.decode(errors="replace").strip())

    run_mount("-t", "tmpfs", "-o", "size=1m", "mini_mlflow", str(mount))
    try:
        root = str(mount / "mlruns")
        run = open_run(root)
        run.log_metric("loss", 0.0)
        # Laid over itself: lock files that are open would keep the file system proper from turning.
        run_mount("--bind", str(mount), str(mount))
        run_mount("-o", "remount,bind,ro", str(mount))
        before = read_stored(root)
        calls: List[Callable[[], Any]] = [
            lambda: run.log_metric("loss", 5.0),
            lambda: run.log_param("lr", 5.0),
            run.end,
            lambda: Run(run_id="other", runs_dir=root),
        ]
        for call in calls:
            with pytest.raises(OSError, match="Read-only") as caught:
                call()
            assert caught.value.errno == errno.EROFS
            assert str(caught.value.filename).startswith(root)
        assert read_stored(root) == before
        subprocess.run(["umount", str(mount)], check=True)
        run.log_metric("loss", 1.0)
        run.end()
        stored = read_stored(root)
        assert stored is not None
        assert (stored.status, stored.histories) == ("FINISHED", {"loss": [(0, 0.0), (1, 1.0)]})
        assert list_temporaries(root) == []
        check_whole_tree(root)
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


@needs_root
def test_lock_file_of_another_that_cannot_be_opened_is_named(team_folder: str) -> None:
    """A lock file made under a private umask keeps the team out of the run, and the message says which file it is."""
    root = os.path.join(team_folder, "mlruns")
    as_user(ANN, TEAM, lambda: open_run(root).log_metric("loss", 0.0))
    lock = os.path.join(root, ".locks", "0", "r.lock")
    os.chmod(lock, 0o600)

    def try_to_log() -> None:
        with pytest.raises(PermissionError) as caught:
            open_run(root)
        assert caught.value.filename == lock
        assert not isinstance(caught.value, OutsideTreeError)

    as_user(BOB, TEAM, try_to_log)


@needs_root
def test_team_logs_artifacts_to_one_run_and_sweeps_what_a_member_left(team_folder: str) -> None:
    """Whoever comes next joins the other's folder, replaces the other's file, and takes away what the other left."""
    root = os.path.join(team_folder, "mlruns")
    sources = {name: make_source(os.path.join(team_folder, name), same=name, **{name: name}) for name in ("ann", "bob")}

    def log(name: str, progress: Any = None) -> None:
        Run(run_id="r", runs_dir=root).log_artifacts(sources[name], "m", progress=progress)

    as_user(ANN, TEAM, lambda: log("ann"))
    left = start_as(ANN, TEAM, lambda: log("ann", lambda done, total: os._exit(0)))
    assert os.waitpid(left, 0)[1] == 0
    assert len(list_temporaries(root)) == 1
    as_user(BOB, TEAM, lambda: log("bob"))
    assert list_temporaries(root) == []
    found = read_artifacts(ExperimentTracker(runs_dir=root))
    assert found == {"m": None, "m/ann": b"ann", "m/bob": b"bob", "m/same": b"bob"}
    open_run(root).end()
    check_whole_tree(root)


@needs_root
def test_folder_of_artifacts_that_may_not_be_written_to_stays_as_it_is(team_folder: str) -> None:
    root = os.path.join(team_folder, "mlruns")
    old = make_source(os.path.join(team_folder, "old"), top="1", closed__x="1")
    new = make_source(os.path.join(team_folder, "new"), top="2", other="2")
    closing = make_source(os.path.join(team_folder, "closing"), top="3", closed__y="3")

    def work() -> None:
        run = Run(run_id="r", runs_dir=root)
        run.log_artifacts(old)
        os.chmod(run.artifact_path("closed"), 0o555)
        run.log_artifacts(new)
        expected = {"top": b"2", "other": b"2", "closed": None, "closed/x": b"1"}
        assert read_artifacts(ExperimentTracker(runs_dir=root)) == expected
        with pytest.raises(PermissionError) as caught:
            run.log_artifacts(closing)
        assert str(caught.value.filename).startswith(run.artifact_path("closed"))
        assert read_artifacts(ExperimentTracker(runs_dir=root)) == expected
        assert list_temporaries(root) == []
        os.chmod(run.artifact_path("closed"), 0o755)
        run.end()

    as_user(ANN, TEAM, work)
