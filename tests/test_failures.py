"""What the system refuses: a call either stored its value or raises an OSError that names a path, and changes nothing.

Afterwards, once the cause is gone, the same handle goes on as if nothing had been. Of steps that are taken from the
same lines of the engine, as in a loop, the first and the last fail, as `steps` says.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import pytest

from faults import (
    MOST_STEPS,
    OPERATIONS,
    RUN_ID,
    Operation,
    Step,
    Stored,
    fail,
    install,
    list_litter,
    list_temporaries,
    log_later_value,
    name_operation,
    open_run,
    read_stored,
    set_up,
    with_later_value,
    write_one_byte,
)
from mini_mlflow import (
    DamagedFileError,
    DamagedFileWarning,
    ExperimentTracker,
    OutsideTreeError,
    Run,
    RunEndedError,
    RunNotFoundError,
)
from steps import Course, follow
from whole_tree import check_whole_tree

# All of them take the same way through the engine, bar what Python makes of EACCES: one is tried everywhere, the
# others where steps of all kinds come together.
EVERYWHERE = "ENOSPC"
# EINTR: Python itself repeats a call that a signal interrupted (PEP 475). Where it comes out all the same, as from a
# network file system that gives up, the step was not done, and the call is refused as for any other reason.
ELSEWHERE = ("EIO", "EACCES", "EROFS", "EMFILE", "EINTR")
TRIED_WITH_ALL = ("create", "new param", "log call that folds", "flush that merges", "end", "resume")
FAILURES = [(one, EVERYWHERE) for one in OPERATIONS] + [
    (one, name) for one in OPERATIONS for name in ELSEWHERE if one.name in TRIED_WITH_ALL
]


def names_a_path_of(root: str, error: OSError) -> bool:
    """Whether the error tells where: in the tree, or a folder on the way to it."""
    return isinstance(error.filename, str) and (error.filename.startswith(root) or root.startswith(error.filename))


def read_if_there(root: str) -> Optional[Stored]:
    return read_stored(root) if os.path.isdir(root) else None


def act(operation: Operation, root: str, run: Optional[Run]) -> Tuple[Optional[Run], Optional[BaseException]]:
    try:
        return operation.act(root, run), None
    except Exception as error:
        return run, error


def finish(root: str, run: Optional[Run]) -> None:
    """What a user does once the disk is well again: go on with the same handle, and end the run."""
    if run is None or not run.is_open():
        run = open_run(root)
    log_later_value(run)
    run.end()


@pytest.mark.parametrize(
    ("operation", "error_name"), FAILURES, ids=["%s-%s" % (name_operation(one), name) for one, name in FAILURES]
)
def test_failing_step_stores_all_or_changes_nothing(
    operation: Operation, error_name: str, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    disk = set_up(operation, monkeypatch)
    fault = fail(getattr(errno, error_name))
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    for at in course.telling():
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            with disk.armed(fault, at):
                run, error = act(operation, root, run)
            assert (disk.struck is None) == (at == course.over)
            if disk.struck is None:
                assert error is None
                finish(root, run)
            else:
                judge_failed(operation, root, run, error, course, disk.struck)


def judge_failed(
    operation: Operation,
    root: str,
    run: Optional[Run],
    error: Optional[BaseException],
    course: Course,
    struck: Step,
) -> None:
    what = "%s of %s failed: %r" % (struck.name, struck.arguments[:2], error)
    seen = read_if_there(root)
    if error is None:
        assert seen == course.after, what
    else:
        assert isinstance(error, OSError), what
        assert names_a_path_of(root, error), what
        assert seen == course.before, what
    # What gc could not remove of a run that is gone already is left to the next one.
    if struck.name not in ("unlink", "rmdir") and not operation.name.startswith("gc"):
        assert list_temporaries(root) == [], what
    finish(root, run)
    assert read_stored(root) == with_later_value(seen), what
    assert list_litter(root) == [], what
    # What was done to an experiment is done to the rest of its runs by the next call.
    half_done = "experiment" in operation.name
    check_whole_tree(root, leftovers=half_done or struck.name in ("unlink", "rmdir"))


def test_creation_that_fails_in_a_folder_that_was_left_there_leaves_no_run(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who created the run before was killed once the folder stood."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "always")
    disk = install(monkeypatch)
    for at in range(1, MOST_STEPS):
        root = os.path.join(folder, str(at))
        os.makedirs(os.path.join(root, "0", RUN_ID))
        with disk.armed(fail(errno.ENOSPC), at):
            try:
                run = open_run(root)
            except OSError:
                assert read_stored(root) is None, disk.struck
                continue
        run.end()
        if disk.struck is None:
            break
    assert at > 1


class Trouble(NamedTuple):
    """Something that lasts: the steps that it strikes fail with ``number``, all others are done."""

    name: str
    number: int
    strikes: Callable[[Step], bool]

    def __call__(self, step: Step) -> Any:
        return fail(self.number)(step) if self.strikes(step) else step.carry_out()


def takes_space(step: Step) -> bool:
    """Reading, renaming and removing do not."""
    creates = step.name == "open" and bool(step.arguments[1] & os.O_CREAT)
    return creates or step.name in ("write", "mkdir", "makedirs")


FULL = Trouble("full", errno.ENOSPC, takes_space)
WITHOUT_DESCRIPTORS = Trouble("without_descriptors", errno.EMFILE, lambda step: step.name == "open")
TROUBLES = [(one, FULL) for one in OPERATIONS] + [
    (one, WITHOUT_DESCRIPTORS) for one in OPERATIONS if one.name in TRIED_WITH_ALL
]


@pytest.mark.parametrize(
    ("operation", "trouble"), TROUBLES, ids=["%s-%s" % (name_operation(one), kind.name) for one, kind in TROUBLES]
)
def test_trouble_that_lasts_stores_all_or_changes_nothing(
    operation: Operation, trouble: Trouble, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    """From one step on it is there until the call is over, also in the way of undoing."""
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    # From a step that it does not strike on it is what it is from the next one on.
    for at in course.telling(trouble.strikes):
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            with disk.armed(trouble, at, lasting=True):
                run, error = act(operation, root, run)
            assert (disk.struck is None) == (at == course.over)
            if disk.struck is None:
                assert error is None
                finish(root, run)
            else:
                judge_failed(operation, root, run, error, course, disk.struck)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_operation)
def test_dying_disk_loses_nothing_that_was_there(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch, every_step: bool
) -> None:
    """From one step on every step fails, also those that would undo: what stood before stands, and is gone on with."""
    disk = set_up(operation, monkeypatch)
    course = follow(operation, os.path.join(folder, "whole"), disk, every_step)
    for at in course.telling():
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            with disk.armed(fail(errno.EIO), at, lasting=True):
                run, error = act(operation, root, run)
            assert (disk.struck is None) == (at == course.over)
            assert error is None or isinstance(error, OSError)
            seen = read_if_there(root)
            assert seen in (course.before, course.after), at
            try:
                finish(root, run)
            except RunEndedError:
                # The rename that ends a run had come through, and nothing could take it back.
                assert seen == course.after
                finish(root, None)
            assert read_stored(root) == with_later_value(seen)
            assert list_litter(root) == []


@pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation.name.startswith("end")], ids=name_operation
)
def test_end_that_failed_can_be_called_again(
    operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = set_up(operation, monkeypatch)
    for at in range(1, MOST_STEPS):
        root = os.path.join(folder, str(at))
        with ExitStack() as stack:
            run = operation.prepare(root, stack)
            assert run is not None
            before = read_stored(root)
            with disk.armed(fail(errno.EIO), at):
                _, error = act(operation, root, run)
        if error is not None:
            assert run.status == "RUNNING"
            operation.act(root, run)
        seen = read_stored(root)
        assert seen is not None
        assert before is not None
        assert seen.status in ("FINISHED", "FAILED", "KILLED")
        assert seen[1:] == before[1:]
        with pytest.raises(RunEndedError, match="already ended"):
            operation.act(root, run)
        if disk.struck is None:
            break
        # What could not be removed after the end had come through stays; it changes nothing.
        assert error is None or list_litter(root) == []
    assert at > 1


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_operation)
def test_short_writes_are_continued(operation: Operation, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = set_up(operation, monkeypatch)
    whole, short = os.path.join(folder, "whole"), os.path.join(folder, "short")
    with ExitStack() as stack:
        operation.act(whole, operation.prepare(whole, stack))
        run = operation.prepare(short, stack)
        with disk.armed(write_one_byte, lasting=True):
            operation.act(short, run)
        assert read_stored(short) == read_stored(whole)
    check_whole_tree(short, rules=["dead-owner"])


# -- what somebody does to the tree --------------------------------------------------------------------------------


@pytest.fixture
def run(runs_dir: str) -> Run:
    run = Run(run_id=RUN_ID, runs_dir=runs_dir)
    run.log_params({"lr": 0.1, "depth": 2})
    run.log_metric("loss", 0.5)
    run.set_tag("kind", "t")
    return run


CALLS = {
    "new param": lambda run: run.log_param("new", 1),
    "new metric": lambda run: run.log_metric("new", 1.0),
    "old metric": lambda run: run.log_metric("loss", 0.25),
    "tag": lambda run: run.set_tag("kind", "u"),
    "flush": lambda run: run.flush(),
    "end": lambda run: run.end(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("level", ["run", "experiment", "tree"])
def test_deleted_folder_is_named_and_works_again_once_moved_back(
    level: str, call: str, run: Run, runs_dir: str, tmp_path: Path
) -> None:
    path = {"run": os.path.join(runs_dir, "0", RUN_ID), "experiment": os.path.join(runs_dir, "0"), "tree": runs_dir}
    before = read_stored(runs_dir)
    os.rename(path[level], str(tmp_path / "away"))
    for _ in range(2):
        with pytest.raises(OSError, match="No such file") as caught:
            CALLS[call](run)
        assert str(caught.value.filename).startswith(runs_dir)
    with pytest.raises(RunNotFoundError):
        ExperimentTracker(runs_dir=runs_dir).get_run(RUN_ID)
    if level == "tree":
        # Only a lock file may have been made in the meantime.
        shutil.rmtree(runs_dir, ignore_errors=True)
    os.rename(str(tmp_path / "away"), path[level])
    assert read_stored(runs_dir) == before
    finish(runs_dir, run)
    assert before is not None
    assert read_stored(runs_dir) == with_later_value(before)


def snapshot_of(folder: Path) -> List[Tuple[str, bytes]]:
    return sorted((str(path), path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*"))


class Linked:
    """A folder of the tree that was moved away and has a symbolic link to it in its place, with a secret behind it."""

    def __init__(self, runs_dir: str, place: str, outside: Path) -> None:
        self.path, self.outside = Path(runs_dir) / place, outside
        shutil.move(str(self.path), str(outside))
        self._secret = outside / {0: "r/params", 1: "params", 2: "."}[place.count("/")] / "secret.json"
        self._secret.write_text('{"value": "secret", "timestamp": "2026-01-01T00:00:00Z"}')
        self.path.symlink_to(outside, target_is_directory=True)
        self._before = self._look()

    def _look(self) -> List[Tuple[str, bytes]]:
        return sorted((str(path), path.read_bytes() if path.is_file() else b"") for path in self.outside.rglob("*"))

    def is_untouched(self) -> bool:
        return self.path.is_symlink() and self._look() == self._before

    def put_back(self) -> None:
        self.path.unlink()
        self._secret.unlink()
        shutil.move(str(self.outside), str(self.path))


@pytest.fixture(params=["0", "0/r", "0/r/params", "0/r/metrics", "0/r/log", "0/r/tags"])
def linked(request: pytest.FixtureRequest, run: Run, runs_dir: str, tmp_path: Path) -> Iterator[Linked]:
    linked = Linked(runs_dir, request.param, tmp_path / "outside")
    yield linked
    if linked.path.is_symlink():
        linked.put_back()


@pytest.mark.damaged_tree
def test_symbolic_link_in_place_of_a_folder_is_not_attached_to_or_read(linked: Linked, runs_dir: str) -> None:
    with pytest.raises(OutsideTreeError) as caught:
        open_run(runs_dir)
    assert caught.value.filename == str(linked.path)
    assert "secret" not in str(read_carefully(runs_dir))
    assert linked.is_untouched()


@pytest.mark.damaged_tree
def test_symbolic_link_that_comes_under_an_open_run_is_found_when_it_ends(
    linked: Linked, run: Run, runs_dir: str
) -> None:
    """Looking at each log call would cost a tenth of it; a flush and the end look before they change anything."""
    for call in (run.flush, run.end):
        with pytest.raises(OutsideTreeError) as caught:
            call()
        assert caught.value.filename == str(linked.path)
        assert linked.is_untouched()
    linked.put_back()
    finish(runs_dir, run)


def read_carefully(root: str) -> List[Any]:
    """What all of the reading calls return, or the error that they are documented to raise."""
    tracker = ExperimentTracker(runs_dir=root)
    results: List[Any] = []
    for read in (
        tracker.list_runs,
        lambda: tracker.get_run(RUN_ID),
        lambda: tracker.get_metric_history(RUN_ID, "loss"),
        lambda: tracker.get_latest_version("n"),
    ):
        try:
            with ignoring_damage():
                results.append(read())
        except (DamagedFileError, RunNotFoundError, OSError) as error:
            results.append(error)
    return results


@contextmanager
def ignoring_damage() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        yield


def bind_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as unbound:
        # The path of a socket may have a hundred characters at most.
        here = os.getcwd()
        os.chdir(os.path.dirname(path))
        try:
            unbound.bind(os.path.basename(path))
        finally:
            os.chdir(here)


SPECIAL = {
    "fifo": lambda path: os.mkfifo(path, 0o666),
    "folder": os.mkdir,
    "link to nothing": lambda path: os.symlink("/nowhere/at/all", path),
    "link to a device": lambda path: os.symlink("/dev/zero", path),
    "socket": bind_socket,
}
PLACES = [
    "meta.yaml",
    "snapshot.json",
    "params/lr.json",
    "metrics/loss.json",
    "tags/kind.json",
    "log/newest.json",
    "log/next.json",
    "metrics/loss.history",
    "params",
    "log",
]


@pytest.mark.damaged_tree
@pytest.mark.timeout(30)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("ended", [False, True], ids=["live", "ended"])
def test_special_file_in_place_of_a_regular_one_neither_hangs_nor_surprises(
    ended: bool, kind: str, place: str, run: Run, runs_dir: str
) -> None:
    if ended:
        run.end()
    folder = os.path.join(runs_dir, "0", RUN_ID)
    path = put(kind, folder, place)
    read_carefully(runs_dir)
    with ignoring_damage():
        for call in [*CALLS.values(), lambda _: finish(runs_dir, None), lambda _: read_carefully(runs_dir)]:
            try:
                call(run)
            except (OSError, DamagedFileError, RunEndedError) as error:
                assert not isinstance(error, OSError) or names_a_path_of(runs_dir, error)
    if os.path.lexists(path) and not os.path.isfile(path):
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def put(kind: str, folder: str, place: str) -> str:
    """The path at which something special stands now, instead of what stood there."""
    log = os.path.join(folder, "log")
    numbers = [int(name.partition(".")[0]) for name in os.listdir(log)] if os.path.isdir(log) else [0]
    numbered = {"log/newest.json": max(numbers), "log/next.json": max(numbers) + 1}
    path = os.path.join(folder, "log/%d.json" % numbered[place] if place in numbered else place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    SPECIAL[kind](path)
    return path


@pytest.mark.damaged_tree
@pytest.mark.timeout(30)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("kind", SPECIAL)
def test_special_file_in_one_run_does_not_break_the_listing(kind: str, run: Run, runs_dir: str) -> None:
    neighbour = Run(run_id="neighbour", runs_dir=runs_dir)
    put(kind, os.path.join(runs_dir, "0", RUN_ID), "meta.yaml")
    with pytest.warns(DamagedFileWarning, match="meta.yaml") if kind != "link to nothing" else ignoring_damage():
        assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["neighbour"]
    neighbour.end()


# -- a disk that is really full ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte and 100 names; needs root, or a user namespace with it."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=100", "mini_mlflow", str(mount)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        pytest.skip("cannot mount a small file system: %s" % error)
    if done.returncode:
        pytest.skip("cannot mount a small file system: %s" % done.stdout.decode(errors="replace").strip())
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


def test_full_disk_refuses_values_and_takes_them_again_when_there_is_room(small_disk: Path) -> None:
    root = str(small_disk / "mlruns")
    run = Run(run_id=RUN_ID, runs_dir=root)
    stored = []
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    with pytest.raises(OSError, match="No space left") as caught:
        for value in range(10_000):
            run.log_metric("loss", float(value))
            stored.append((value, float(value)))
    assert names_a_path_of(root, caught.value)
    assert stored
    assert list_temporaries(root) == []
    with pytest.raises(OSError, match="No space left"):
        run.log_param("big", "x" * 100_000)
    failing: List[Callable[[], Any]] = [run.flush, run.end]
    for call in failing:
        try:
            call()
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert list_temporaries(root) == []
            assert run.status == "RUNNING"
    seen = read_stored(root)
    assert seen is not None
    assert seen.histories == {"loss": stored}
    ballast.unlink()
    finish(root, run)
    assert read_stored(root) == with_later_value(seen)
    assert list_litter(root) == []


def test_run_cannot_start_on_a_full_disk_and_leaves_nothing(small_disk: Path) -> None:
    (small_disk / "mlruns").mkdir()
    (small_disk / "ballast").write_bytes(b"")
    with pytest.raises(OSError, match="No space left"), (small_disk / "ballast").open("wb") as ballast:
        while True:
            ballast.write(b"x" * 1024)
            ballast.flush()
    tracker = ExperimentTracker(runs_dir=small_disk / "mlruns")
    with pytest.raises(OSError, match="No space left"):
        tracker.start_run(run_id=RUN_ID)
    assert tracker.active_run() is None
    assert tracker.list_runs() == []
    assert list_temporaries(small_disk) == []
    (small_disk / "ballast").unlink()
    tracker.start_run(run_id=RUN_ID)
    tracker.end_run()
    assert tracker.list_runs() == [RUN_ID]


def fill_with_bytes(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 4096)


def fill_with_names(disk: Path) -> None:
    (disk / "ballast").mkdir()
    for number in range(1000):
        (disk / "ballast" / str(number)).touch()


def make_room(disk: Path) -> None:
    ballast = disk / "ballast"
    shutil.rmtree(str(ballast)) if ballast.is_dir() else ballast.unlink()


@pytest.mark.parametrize("fill", [fill_with_bytes, fill_with_names])
def test_full_disk_stores_all_or_changes_nothing_whatever_is_asked_of_it(
    fill: Callable[[Path], None], small_disk: Path, folder: str
) -> None:
    """Each operation on a disk that has no room for a byte, or for a name, and once more when it has."""
    refused = set()
    tried = [one for one in OPERATIONS if fill is fill_with_bytes or one.name in (*TRIED_WITH_ALL, "attach")]
    for operation in tried:
        root, twin = str(small_disk / "mlruns"), os.path.join(folder, operation.name)
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            set_up(operation, patch)
            run = operation.prepare(root, stack)
            before = read_if_there(root)
            os.makedirs(root, exist_ok=True)
            with pytest.raises(OSError, match="No space left"):
                fill(small_disk)
            run, error = act(operation, root, run)
            seen = read_if_there(root)
            if error is None:
                operation.act(twin, operation.prepare(twin, stack))
                assert seen == read_stored(twin), operation.name
            else:
                assert isinstance(error, OSError), operation.name
                assert error.errno == errno.ENOSPC, operation.name
                assert names_a_path_of(root, error), operation.name
                assert seen == before, operation.name
                refused.add(operation.name)
            assert list_temporaries(root) == [], operation.name
            make_room(small_disk)
            finish(root, run)
            assert read_stored(root) == with_later_value(seen), operation.name
            assert list_litter(root) == [], operation.name
        check_whole_tree(root, leftovers="experiment" in operation.name)
        shutil.rmtree(root)
    # A resume makes the room that it needs itself, an attach needs none.
    assert {"create", "new param", "end"} <= refused
    assert "attach" not in refused
