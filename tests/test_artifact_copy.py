"""Copying into the tree: each way of moving bytes stores the same, and goes on where another one stopped."""

from __future__ import annotations

import errno
import os
import random
import stat
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from concurrency import run_together
from faults import FaultyOs, fail, install, write_one_byte
from mini_mlflow import InvalidPathError
from mini_mlflow.disk import copying, linux

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the ways are those of Linux")

#: The fastest that is left to it; the others say that they do not work here.
WAYS = ("clone", "copy_file_range", "sendfile", "write")
KNOWN = WAYS if sys.version_info >= (3, 8) else tuple(way for way in WAYS if way != "copy_file_range")
NOTHING = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class OnlyWay:
    """Stands in for ``os`` and ``linux``: one of the ways works; a clone is made by hand, as few file systems can."""

    def __init__(self, way: str, refusal: int = errno.EOPNOTSUPP, pieces: int = 10**9) -> None:
        self.way, self.refusal, self.pieces = way, refusal, pieces
        self.used: List[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "clone":
            return self._clone
        if name not in WAYS or name == "write":
            return getattr(linux if name == "exchange" else os, name)

        def move(*arguments: Any) -> int:
            if name != self.way or self.used.count(name) >= self.pieces:
                raise OSError(self.refusal, os.strerror(self.refusal))
            self.used.append(name)
            count = min(arguments[-1], 1000)
            moved: int = getattr(os, name)(*arguments[:-1], count)
            return moved

        return move

    def _clone(self, writing: int, reading: int) -> None:
        if self.way != "clone":
            raise OSError(self.refusal, os.strerror(self.refusal))
        self.used.append("clone")
        with open(reading, "rb", closefd=False) as source:
            os.write(writing, source.read())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(random.Random(1).getrandbits(8) for _ in range(5_000)))
    return path


@pytest.fixture
def only(monkeypatch: Any) -> Callable[..., OnlyWay]:
    def leave(*arguments: Any, **options: Any) -> OnlyWay:
        stand_in = OnlyWay(*arguments, **options)
        monkeypatch.setattr(copying, "os", stand_in)
        monkeypatch.setattr(copying, "linux", stand_in)
        return stand_in

    return leave


@pytest.mark.parametrize("way", KNOWN)
def test_each_way_stores_the_same_bytes(way: str, source: Path, tmp_path: Path, only: Any) -> None:
    stand_in, counted = only(way), []
    copying.copy_file(str(source), str(tmp_path / "target"), counted.append)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert sum(counted) == 5_000
    assert set(stand_in.used) == ({way} if way != "write" else set())


@pytest.mark.parametrize("refusal", NOTHING)
@pytest.mark.parametrize("way", [way for way in KNOWN if way in ("copy_file_range", "sendfile")])
def test_way_that_is_refused_in_the_middle_is_followed_by_the_next_from_there(
    way: str, refusal: int, source: Path, tmp_path: Path, only: Any
) -> None:
    stand_in, counted = only(way, refusal, pieces=2), []
    copying.copy_file(str(source), str(tmp_path / "target"), counted.append)
    assert stand_in.used == [way, way]
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert counted == [1000, 1000, 3000]


@pytest.mark.parametrize("change", [b"x" * 700, b""])
@pytest.mark.parametrize("way", KNOWN)
def test_copy_ends_with_the_file_however_it_grows_or_shrinks_meanwhile(
    way: str, change: bytes, source: Path, tmp_path: Path, only: Any
) -> None:
    """What is stored is what was read: with what was added until then, or what was there until it was cut."""
    only(way)
    data = source.read_bytes()
    counted: List[int] = []

    def meddle(size: int) -> None:
        if not counted:
            with source.open("ab") as file:
                file.write(change) if change else file.truncate(2000)
        counted.append(size)

    copying.copy_file(str(source), str(tmp_path / "target"), meddle)
    stored = (tmp_path / "target").read_bytes()
    assert (data + change).startswith(stored)
    assert sum(counted) == len(stored) >= counted[0] > 0


def test_file_that_the_kernel_takes_for_empty_is_read_all_the_same(tmp_path: Path) -> None:
    """Those of /proc have a size of 0 and say so to copy_file_range(2)."""
    copying.copy_file("/proc/self/mountinfo", str(tmp_path / "target"), lambda size: None)
    assert (tmp_path / "target").read_bytes() == Path("/proc/self/mountinfo").read_bytes() != b""


def steps_of(disk: FaultyOs, source: Path, target: Path) -> Iterator[int]:
    with disk.armed(lambda step: step.carry_out(), 1, lasting=True):
        copying.copy_file(str(source), str(target), lambda size: None)
    target.unlink()
    yield from range(1, len(disk.steps) + 1)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_failing_step_is_told_with_a_path_and_no_descriptor_stays(
    error: int, source: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    target = tmp_path / "target"
    disk = install(monkeypatch)
    before = len(os.listdir("/proc/self/fd"))
    for at in steps_of(disk, source, target):
        with disk.armed(fail(error), at):
            try:
                copying.copy_file(str(source), str(target), lambda size: None)
            except OSError as caught:
                assert caught.errno == error
                assert caught.filename in (str(source), str(target))
                assert caught.filename2 is None
            else:
                # Only of the descriptor that was read from may the closing fail unheard.
                assert disk.struck is not None
                assert disk.struck.name == "close"
        if target.exists():
            target.unlink()
    assert len(os.listdir("/proc/self/fd")) == before


def test_full_disk_is_no_reason_to_try_another_way(source: Path, tmp_path: Path, only: Any) -> None:
    stand_in = only("none", errno.ENOSPC)
    with pytest.raises(OSError, match="No space left") as caught:
        copying.copy_file(str(source), str(tmp_path / "target"), lambda size: None)
    assert caught.value.filename == str(tmp_path / "target")
    assert stand_in.used == []


def test_short_writes_are_continued(source: Path, tmp_path: Path, monkeypatch: Any, only: Any) -> None:
    monkeypatch.setattr(copying, "linux", OnlyWay("write"))
    disk = FaultyOs()
    monkeypatch.setattr(copying, "os", disk)
    source.write_bytes(source.read_bytes()[:50])

    def fault(step: Any) -> Any:
        if step.name in ("copy_file_range", "sendfile"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return write_one_byte(step)

    with disk.armed(fault, lasting=True):
        copying.copy_file(str(source), str(tmp_path / "target"), lambda size: None)
    assert disk.steps.count("write") == 50
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("mode", "umask", "expected"), [(0o755, 0o022, 0o755), (0o600, 0o002, 0o664)])
def test_executable_stays_executable_and_the_rest_is_the_umask(
    mode: int, umask: int, expected: int, source: Path, tmp_path: Path
) -> None:
    source.chmod(mode)
    before = os.umask(umask)
    try:
        copying.copy_file(str(source), str(tmp_path / "target"), lambda size: None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == expected


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_special_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    """Opening a FIFO that nobody writes to would wait for ever; /dev/zero has no end."""
    path = {"fifo": tmp_path / "fifo", "folder": tmp_path, "device": Path("/dev/zero")}[kind]
    if kind == "fifo":
        os.mkfifo(str(path))

    def copy() -> str:
        with pytest.raises(InvalidPathError) as caught:
            copying.copy_file(str(path), str(tmp_path / "target"), lambda size: None)
        return str(caught.value)

    (refused,) = run_together(copy)
    assert str(path) in refused
    assert not (tmp_path / "target").exists()


def test_exchange_and_link_say_where_they_cannot(tmp_path: Path, only: Any) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert copying.exchange(one, two)
    assert (tmp_path / "one").read_text() == "2"
    assert not copying.exchange("/proc/self", two)
    assert not copying.link_file("/proc/self/status", str(tmp_path / "three"))
    for call in (copying.exchange, copying.link_file):
        with pytest.raises(OSError) as caught:
            call(str(tmp_path / "nothing"), str(tmp_path / "nowhere" / "x"))
        assert caught.value.filename == str(tmp_path / "nowhere" / "x")
    assert (tmp_path / "two").read_text() == "1"


def test_system_without_the_calls_says_so(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(linux, "_find_renameat2", lambda: None)
    monkeypatch.setattr(linux, "fcntl", None)
    for call in (lambda: linux.exchange("a", "b"), lambda: linux.clone(1, 0)):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.ENOSYS
