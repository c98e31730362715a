"""The one module that changes the file system: whole or not at all, and never through a link."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, List

import pytest

from concurrency import run_together
from faults import FaultyOs, call_after, call_before, fail, install, interrupt_after, interrupt_before, write_one_byte
from mini_mlflow import OutsideTreeError
from mini_mlflow.disk import atomic


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyOs:
    return install(monkeypatch)


def write(folder: Path, data: bytes, sync: bool = True) -> None:
    atomic.write_file(str(folder), "name", data, sync)


def names(folder: Path) -> List[str]:
    return sorted(os.listdir(str(folder)))


def test_file_is_written_then_synced_then_named(disk: FaultyOs, tmp_path: Path) -> None:
    with disk.armed(lambda step: step.carry_out(), 100):
        write(tmp_path, b"new")
    assert disk.steps == ["open", "write", "fsync", "close", "replace"]
    with disk.armed(lambda step: step.carry_out(), 100):
        write(tmp_path, b"newer", sync=False)
    assert disk.steps == ["open", "write", "close", "replace"]
    assert (tmp_path / "name").read_bytes() == b"newer"


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE, errno.EDQUOT])
@pytest.mark.parametrize("at", range(1, 6))
def test_failed_write_leaves_the_old_file_and_names_the_target(
    at: int, number: int, old: Any, disk: FaultyOs, tmp_path: Path
) -> None:
    if old is not None:
        (tmp_path / "name").write_bytes(old)
    before = names(tmp_path)
    with disk.armed(fail(number), at), pytest.raises(OSError) as caught:
        write(tmp_path, b"new")
    assert caught.value.errno == number
    assert caught.value.filename == str(tmp_path / "name")
    assert caught.value.filename2 is None
    assert names(tmp_path) == before
    assert old is None or (tmp_path / "name").read_bytes() == old


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_failed_steps_leak_no_descriptor(disk: FaultyOs, tmp_path: Path) -> None:
    before = open_descriptors()
    for at in range(1, 6):
        with disk.armed(fail(errno.EIO), at), pytest.raises(OSError, match="Input/output error"):
            write(tmp_path, b"new")
    assert open_descriptors() == before


@pytest.mark.parametrize("moment", [interrupt_before, interrupt_after], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
def test_interrupted_write_leaves_old_or_new_and_no_temporary(
    at: int, moment: Any, disk: FaultyOs, tmp_path: Path
) -> None:
    (tmp_path / "name").write_bytes(b"old")
    with disk.armed(moment, at), pytest.raises(KeyboardInterrupt):
        write(tmp_path, b"new")
    came_through = moment is interrupt_after and at == 5
    assert (tmp_path / "name").read_bytes() == (b"new" if came_through else b"old")
    assert names(tmp_path) == ["name"]


def test_short_writes_are_continued_to_the_end(disk: FaultyOs, tmp_path: Path) -> None:
    data = bytes(range(256))
    with disk.armed(write_one_byte, lasting=True):
        write(tmp_path, data)
    assert disk.steps.count("write") == 256
    assert (tmp_path / "name").read_bytes() == data


def test_empty_file_is_a_file(tmp_path: Path) -> None:
    write(tmp_path, b"")
    assert (tmp_path / "name").read_bytes() == b""


@pytest.mark.parametrize("moment", [call_before, call_after], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
def test_second_writer_at_any_step_of_the_first_mixes_no_bytes(
    at: int, moment: Any, disk: FaultyOs, tmp_path: Path
) -> None:
    """A broken lock may let two writers in at once; their temporaries still have names of their own."""
    with disk.armed(moment(lambda: write(tmp_path, b"second" * 10)), at):
        write(tmp_path, b"first" * 1000)
    came_last = moment is call_after and at == 5
    assert (tmp_path / "name").read_bytes() == (b"second" * 10 if came_last else b"first" * 1000)
    assert names(tmp_path) == ["name"]


def test_threads_writing_one_name_leave_one_of_their_contents(tmp_path: Path) -> None:
    contents = [bytes([48 + number]) * 5000 for number in range(4)]
    run_together(*[lambda data=data: [write(tmp_path, data, sync=False) for _ in range(20)] for data in contents])
    assert (tmp_path / "name").read_bytes() in contents
    assert names(tmp_path) == ["name"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_takes_other_temporary_names_than_its_parent(disk: FaultyOs, tmp_path: Path) -> None:
    """In the middle of the parent's write, a child writes the same name."""

    def write_in_child() -> None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                write(tmp_path, b"child")
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

    used = []
    for at in range(2, 5):
        with disk.armed(call_before(write_in_child), at):
            write(tmp_path, b"parent")
        used.append((tmp_path / "name").read_bytes())
    assert used == [b"parent"] * 3
    before = first_temporary(disk, tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, first_temporary(disk, tmp_path).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    inherited = os.read(reading, 1000).decode()
    os.close(reading)
    assert prefix_of(inherited) != prefix_of(before)
    assert prefix_of(first_temporary(disk, tmp_path)) == prefix_of(before)


def first_temporary(disk: FaultyOs, folder: Path) -> str:
    """The name of the temporary that the next write uses."""
    seen: List[str] = []
    with disk.armed(call_after(lambda: seen.extend(names(folder))), 1):
        write(folder, b"x")
    (name,) = [name for name in seen if name != "name"]
    return name


def prefix_of(name: str) -> str:
    return name.rpartition("-")[0]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_link_in_the_target_s_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"outside")
    os.symlink(str(tmp_path / "outside"), str(tmp_path / "name"))
    write(tmp_path, b"inside")
    assert (tmp_path / "outside").read_bytes() == b"outside"
    assert not (tmp_path / "name").is_symlink()
    assert (tmp_path / "name").read_bytes() == b"inside"


def test_folder_is_created_once_and_must_be_a_folder(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    assert atomic.create_folder(path) is True
    assert atomic.create_folder(path) is False
    (tmp_path / "file").write_bytes(b"")
    os.symlink(path, str(tmp_path / "link"))
    for name in ("file", "link"):
        with pytest.raises(OutsideTreeError) as caught:
            atomic.create_folder(str(tmp_path / name))
        assert caught.value.filename == str(tmp_path / name)


def test_folder_that_somebody_else_makes_meanwhile_is_taken(disk: FaultyOs, tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    with disk.armed(call_before(lambda: os.mkdir(path)), 1):
        assert atomic.create_folder(path) is False
    other = str(tmp_path / "other")
    with disk.armed(call_before(lambda: os.symlink(path, other)), 1), pytest.raises(OutsideTreeError):
        atomic.create_folder(other)


def test_parent_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.create_folder(str(tmp_path / "missing" / "new"))
    with pytest.raises(FileNotFoundError) as caught:
        atomic.write_file(str(tmp_path / "missing"), "name", b"", False)
    assert caught.value.filename == str(tmp_path / "missing" / "name")


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    atomic.remove_file(str(tmp_path / "missing"))
    assert atomic.remove_folder(str(tmp_path / "missing")) is True
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"")
    assert atomic.remove_folder(str(tmp_path / "full")) is False
    with pytest.raises(OSError) as caught:
        atomic.remove_file(str(tmp_path / "full"))
    assert caught.value.filename == str(tmp_path / "full")


def test_sweep_takes_temporaries_alone_and_stops_at_nothing(disk: FaultyOs, tmp_path: Path) -> None:
    for name in (".tmp-1", ".tmp-2", "kept", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".tmp-folder").mkdir()
    with disk.armed(fail(errno.EACCES), 1):
        atomic.remove_temporaries(str(tmp_path), sorted(names(tmp_path)) + [".tmp-gone"])
    assert names(tmp_path) == [".hidden", ".tmp-1", ".tmp-folder", "kept"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_folder_that_cannot_be_synced_is_passed_over(number: int, disk: FaultyOs, tmp_path: Path) -> None:
    """Some network file systems refuse it; they promise nothing that could be relied on."""
    with disk.armed(fail(number), 2):
        atomic.sync_folder(str(tmp_path))
    assert disk.struck is not None


@pytest.mark.parametrize("at", [1, 2, 3])
def test_failed_sync_names_the_path(at: int, disk: FaultyOs, tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"")
    for call, path in ((atomic.sync_folder, tmp_path), (atomic.sync_file, tmp_path / "name")):
        with disk.armed(fail(errno.EIO), at), pytest.raises(OSError) as caught:
            call(str(path))
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_sync_of_a_fifo_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "fifo"))
    try:
        atomic.sync_file(str(tmp_path / "fifo"))
    except OSError as error:
        assert error.filename == str(tmp_path / "fifo")


def test_lock_file_is_opened_and_never_emptied(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    os.close(atomic.open_lock_file(path))
    (tmp_path / "lock").write_bytes(b"somebody wrote here")
    os.close(atomic.open_lock_file(path))
    assert (tmp_path / "lock").read_bytes() == b"somebody wrote here"
    os.symlink(path, str(tmp_path / "link"))
    with pytest.raises(OSError) as caught:
        atomic.open_lock_file(str(tmp_path / "link"))
    assert caught.value.filename == str(tmp_path / "link")
