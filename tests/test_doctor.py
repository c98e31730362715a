"""The doctor: a good place is called good, whatever can be wrong with one is told, and nothing is left behind."""

from __future__ import annotations

import errno
import importlib
import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import faults
from mini_mlflow.disk import locks, mounts
from mini_mlflow.disk.layout import DOCTOR, DOCTOR_LOCK
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.disk.mounts import Mount, find_mount
from mini_mlflow.upkeep import Check, Diagnosis, doctor, pair_checks, place_checks, repair, second_process, verify
from mini_mlflow.upkeep.diagnosis import FAILURE, OK, WARNING, conclude
from mini_mlflow.upkeep.second_process import NoAnswer, SecondProcess

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs select on pipes")

LINUX = "/proc/self/mountinfo"
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:40 / /home/a\\040b rw,nosuid shared:2 - nfs4 server:/home rw,vers=4.2,local_lock=none
24 22 0:41 / /mem rw - tmpfs tmpfs rw
25 22 8:1 / /twice rw - ext4 /dev/sda1 rw
26 22 8:2 / /twice rw - xfs /dev/sda2 rw
a line of another kind
"""


def verdicts(diagnosis: Diagnosis) -> Dict[str, str]:
    return {check.name: check.verdict for check in diagnosis.checks}


def message(checks: List[Check], name: str) -> str:
    return next(check.message for check in checks if check.name == name)


def test_good_place_is_called_good_and_nothing_is_left(folder: str) -> None:
    """Whatever this machine has for a file system: its locks and renames work, or other tests would fail."""
    diagnosis = doctor(folder)
    assert os.listdir(folder) == []
    assert diagnosis.runs_dir == folder
    found = verdicts(diagnosis)
    assert {"locks", "locks of the dead", "locks and forks", "renames", "umask", "space", "clock"} <= set(found)
    for name in ("locks", "locks of the dead", "locks and forks", "renames", "fsync of files", "filelock"):
        assert found[name] == OK, message(diagnosis.checks, name)
    assert FAILURE not in found.values()
    assert diagnosis.verdict in (OK, WARNING)
    assert all(check.message for check in diagnosis.checks)


def test_verdict_is_that_of_the_worst_check() -> None:
    checks = [Check("a", OK, "m"), Check("b", WARNING, "m"), Check("c", FAILURE, "m")]
    assert [conclude("x", checks[:number]).verdict for number in (0, 1, 2, 3)] == [OK, OK, WARNING, FAILURE]
    assert len({conclude("x", checks[:number]).summary for number in (1, 2, 3)}) == 3


def test_place_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        doctor(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        doctor(tmp_path / "file")


# -- with something wrong ------------------------------------------------------------------------------------------


@pytest.fixture
def no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process is left out: it has tests of its own."""
    # The package has the function under the name of the module.
    module = importlib.import_module("mini_mlflow.upkeep.doctor")
    monkeypatch.setattr(module, "check_in_pairs", lambda folder: iter(()))


@pytest.mark.usefixtures("no_pairs")
@pytest.mark.parametrize(
    ("number", "wanted"),
    [(errno.EROFS, "nothing can be written"), (errno.ENOSPC, "it is full"), (errno.EIO, "refuses")],
)
def test_place_that_cannot_be_written_says_so(
    folder: str, monkeypatch: pytest.MonkeyPatch, number: int, wanted: str
) -> None:
    disk = faults.install(monkeypatch)

    def refuse(step: faults.Step) -> Any:
        makes = step.name in ("mkdir", "write") or (step.name == "open" and step.arguments[1] & os.O_CREAT)
        return faults.fail(number)(step) if makes else step.carry_out()

    with disk.armed(refuse, lasting=True):
        diagnosis = doctor(folder)
    assert diagnosis.verdict == FAILURE
    assert wanted in message(diagnosis.checks, "writing")
    assert os.listdir(folder) == []


@pytest.mark.usefixtures("no_pairs")
def test_nothing_is_left_when_any_step_fails(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = faults.install(monkeypatch)
    for at in range(1, faults.MOST_STEPS):
        with disk.armed(faults.fail(errno.EIO), at):
            diagnosis = doctor(folder)
        struck = disk.struck
        if struck is None:
            break
        if struck.name not in ("unlink", "rmdir", "close"):
            assert os.listdir(folder) == [], struck
        for name in os.listdir(folder):
            assert {finding.rule for finding in verify(folder)} == {"temporary"}, name
        assert all(one.done for one in repair(folder))
        assert os.listdir(folder) == [], struck
        # A link, or a long name, that cannot be made is a verdict of its own.
        assert (
            FAILURE in verdicts(diagnosis).values()
            or struck.name in ("unlink", "rmdir", "symlink", "close")
            or (verdicts(diagnosis)["long names"] == WARNING)
        ), struck
    assert at > 20


def test_folder_of_a_killed_doctor_is_found_and_removed_and_that_of_a_living_one_is_not(folder: str) -> None:
    place = os.path.join(folder, DOCTOR + "1")
    os.mkdir(place)
    Path(place, "synced").write_bytes(b"x")
    lock = KeptLock(os.path.join(place, DOCTOR_LOCK))
    assert lock.try_acquire()
    assert verify(folder) == []
    lock.close()
    assert [(finding.path, finding.rule) for finding in verify(folder)] == [(DOCTOR + "1", "temporary")]
    (one,) = repair(folder)
    assert one.done
    assert os.listdir(folder) == []


class Elsewhere:
    """The name ``os`` of a module, with some of its functions replaced."""

    def __init__(self, **replaced: Any) -> None:
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced[name] if name in self._replaced else getattr(os, name)


def statvfs(**fields: int) -> Callable[[str], Any]:
    class Status:
        f_bavail, f_frsize, f_files, f_favail = 10**9, 4096, 10**9, 10**9

    for name, value in fields.items():
        setattr(Status, name, value)
    return lambda path: Status


class Path8:
    """``os.path`` where names are folded: everything exists."""

    def __getattr__(self, name: str) -> Any:
        return (lambda path: True) if name == "lexists" else getattr(os.path, name)


TOLD: List[Any] = [
    ("space", FAILURE, place_checks.check_room, {"statvfs": statvfs(f_bavail=10)}),
    ("space", WARNING, place_checks.check_room, {"statvfs": statvfs(f_bavail=10**5)}),
    ("files", WARNING, place_checks.check_room, {"statvfs": statvfs(f_favail=10)}),
    ("case of names", WARNING, place_checks.check_names, {"path": Path8()}),
    ("Unicode names", WARNING, place_checks.check_names, {"path": Path8()}),
]


@pytest.mark.parametrize(("name", "verdict", "check", "replaced"), TOLD)
def test_what_is_wrong_is_told(
    folder: str, monkeypatch: pytest.MonkeyPatch, name: str, verdict: str, check: Any, replaced: Any
) -> None:
    assert all(one.verdict == OK for one in check(folder))
    monkeypatch.setattr(place_checks, "os", Elsewhere(**replaced))
    assert {one.name: one.verdict for one in check(folder)}[name] == verdict


@pytest.mark.parametrize(("umask", "mode", "verdict"), [
    (0o022, 0o755, OK), (0o077, 0o755, OK), (0o022, 0o2775, WARNING), (0o002, 0o2775, OK), (0o022, 0o1777, OK),
    (0o777, 0o755, FAILURE),
])  # fmt: skip
def test_umask_that_locks_somebody_out_is_told(folder: str, umask: int, mode: int, verdict: str) -> None:
    os.chmod(folder, mode)
    before = os.umask(umask)
    try:
        (check,) = place_checks.check_modes(folder, folder)
    finally:
        os.umask(before)
    assert check.verdict == verdict


@pytest.mark.parametrize(("version", "verdict"), [
    ("3.12.2", OK), ("3.20.3", OK), ("3.20.4", FAILURE), ("3.25.0", FAILURE), ("3.29.4", FAILURE), ("3.30.0", OK),
    ("4.0.1", OK), ("unknown", OK),
])  # fmt: skip
def test_version_of_filelock_that_removes_lock_files_is_told(
    monkeypatch: pytest.MonkeyPatch, version: str, verdict: str
) -> None:
    assert {one.name: one.verdict for one in place_checks.check_versions()}["filelock"] == OK
    monkeypatch.setattr(place_checks, "FILELOCK_VERSION", version)
    assert {one.name: one.verdict for one in place_checks.check_versions()}["filelock"] == verdict
    assert locks.FILELOCK_VERSION[0].isdigit()


def test_little_room_for_descriptors_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, verdicts in ((64, [WARNING]), (1024, [OK]), (None, [])):
        monkeypatch.setattr(place_checks, "_read_limit", lambda limit=limit: limit)
        assert [check.verdict for check in place_checks.check_descriptors()] == verdicts


def test_clock_that_is_wrong_is_told(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = place_checks.check_clock(folder)
    assert check.verdict == OK
    for off in (-1000.0, 1e9):
        now = place_checks.time.time() - off
        monkeypatch.setattr(place_checks.time, "time", lambda now=now: now)
        (check,) = place_checks.check_clock(folder)
        assert check.verdict == WARNING
        monkeypatch.undo()


def test_links_that_are_followed_and_folders_that_are_not_synced_are_told(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [check.verdict for check in place_checks.check_links(folder)] == [OK]
    os.unlink(os.path.join(folder, "link"))
    monkeypatch.setattr(place_checks, "read_file", lambda path: b"")
    assert [check.verdict for check in place_checks.check_links(folder)] == [WARNING]
    monkeypatch.setattr(place_checks.atomic, "sync_folder", lambda path: False)
    assert [check.verdict for check in place_checks.check_syncing(folder)] == [OK, WARNING]


# -- which file system it is ---------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(mounts, "_MOUNTS", str(tmp_path / "mountinfo"))


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize(("path", "kind"), [
    ("/var/runs", "ext4"), ("/home/a b/runs", "nfs4"), ("/home/a b", "nfs4"), ("/home/a bc", "ext4"),
    ("/mem/x", "tmpfs"), ("/twice/x", "xfs"), ("/", "ext4"),
])  # fmt: skip
def test_mount_is_the_longest_and_the_last(path: str, kind: str) -> None:
    mount = find_mount(path)
    assert mount is not None
    assert mount.kind == kind


@pytest.mark.usefixtures("mounted")
def test_kind_of_file_system_has_a_meaning() -> None:
    """Network file systems are named, with what to look after; one in memory is too."""
    found = {path: next(place_checks.check_file_system(path)) for path in ("/var", "/home/a b", "/mem")}
    assert [check.verdict for check in found.values()] == [OK, WARNING, WARNING]
    assert "nfs4, a network file system: locks reach other hosts unless" in found["/home/a b"].message
    assert "memory" in found["/mem"].message


@pytest.mark.parametrize("kind", sorted(mounts._NETWORK_TYPES))
def test_each_network_file_system_is_told_of(kind: str) -> None:
    check = place_checks._check_network(Mount("0:1", "/", kind, "rw"))
    assert check.verdict == WARNING
    assert kind in check.message


@pytest.mark.parametrize("option", ["nolock", "local_lock=all", "localflock", "nobrl"])
def test_network_file_system_whose_locks_stay_on_one_host_fails(option: str) -> None:
    check = place_checks._check_network(Mount("0:1", "/", "nfs", "rw,%s,soft" % option))
    assert check.verdict == FAILURE
    assert option in check.message


def test_system_that_does_not_tell_its_mounts_is_tried_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_MOUNTS", str(tmp_path / "none"))
    (check,) = place_checks.check_file_system("/")
    assert check.verdict == OK


# -- two processes -------------------------------------------------------------------------------------------------


class Scripted:
    """A second process that says what a place with bad locks makes it say."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def ask(self, word: str, path: str = "") -> str:
        return self.answers.pop(0)

    def hear(self) -> str:
        return self.answers.pop(0)

    def kill(self) -> None:
        pass


def test_locks_that_do_not_exclude_are_told(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check = pair_checks._check_exclusion
    assert "two processes hold one lock" in check(folder, Scripted("held")).message  # type: ignore[arg-type]
    lost = check(folder, Scripted("busy", "held"))  # type: ignore[arg-type]
    assert (lost.verdict, "looks at it" in lost.message) == (FAILURE, True)
    kept = check(folder, Scripted("busy", "busy", "True", "busy"))  # type: ignore[arg-type]
    assert (kept.verdict, "does not pass" in kept.message) == (FAILURE, True)
    monkeypatch.setattr(pair_checks, "is_held", lambda path: False)
    unseen = check(folder, Scripted("busy", "busy", "True"))  # type: ignore[arg-type]
    assert unseen.verdict == WARNING


def test_locks_that_outlive_their_holder_are_told(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_checks, "_FREED_WITHIN_S", 0.0)
    monkeypatch.setattr(pair_checks, "is_held", lambda path: True)
    assert pair_checks._check_death(folder, Scripted("held")).verdict == FAILURE  # type: ignore[arg-type]
    fork = pair_checks._check_fork(folder, Scripted("held", "parent", "forked"))  # type: ignore[arg-type]
    assert (fork.verdict, "keeps the lock of its parent" in fork.message) == (FAILURE, True)
    monkeypatch.setattr(pair_checks, "is_held", lambda path: False)
    assert pair_checks._check_death(folder, Scripted("held")).verdict == FAILURE  # type: ignore[arg-type]
    fork = pair_checks._check_fork(folder, Scripted("held", "parent", "forked"))  # type: ignore[arg-type]
    assert (fork.verdict, "child closes its copy" in fork.message) == (FAILURE, True)


def test_torn_reads_are_told(folder: str) -> None:
    """Whatever the other process sees but whole files, it says."""
    check = pair_checks._check_renames(folder, Scripted("watching", "missing torn"))  # type: ignore[arg-type]
    assert (check.verdict, "missing torn" in check.message) == (FAILURE, True)
    path = os.path.join(folder, "torn")
    Path(path).write_bytes(b"00001")
    with SecondProcess() as other:
        assert other.ask("watch", path) == "watching"
        assert other.ask("stop") == "torn"
        assert other.ask("watch", path + "-not") == "watching"
        assert other.ask("stop") == "missing"


def test_second_process_that_cannot_be_had_is_a_warning(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_process.sys, "executable", os.path.join(folder, "none"))
    checks = list(pair_checks.check_in_pairs(folder))
    assert [check.verdict for check in checks] == [WARNING] * 4
    assert "cannot be started" in checks[0].message


def test_second_process_that_has_died_does_not_answer() -> None:
    with SecondProcess() as other:
        other.kill()
        with pytest.raises(NoAnswer, match="died"):
            other.ask("look", "x")
