"""Artifacts: whole or not at all, whatever their names and sizes, beside everything else that happens to the run."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import yaml

import mini_mlflow
from concurrency import in_child, run_together
from faults import install, list_temporaries, make_source, read_artifacts
from mini_mlflow import (
    ArtifactNotFoundError,
    ExperimentTracker,
    FileInfo,
    InvalidPathError,
    InvalidTypeError,
    InvalidValueError,
    NoActiveRunError,
    OutsideTreeError,
    Run,
    RunDeletedError,
    RunNotFoundError,
)
from mini_mlflow.disk import copying, regular
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.upkeep import verify
from mini_mlflow.writing import staging

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_links = pytest.mark.skipif(os.name != "posix", reason="needs links")


@pytest.fixture
def run(runs_dir: str) -> Run:
    return Run(run_id="r", runs_dir=runs_dir)


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return make_source(str(tmp_path / "source"), a="1", b__c="22", b__d__e="333")


#: What is in it, as `read_artifacts` tells.
WHOLE: Dict[str, Any] = {"a": b"1", "b": None, "b/c": b"22", "b/d": None, "b/d/e": b"333"}


def below(folder: str, found: Dict[str, Any]) -> Dict[str, Any]:
    return {folder: None, **{folder + "/" + path: data for path, data in found.items()}}


# -- what becomes of a call ----------------------------------------------------------------------------------------


def test_file_stands_under_its_name_where_it_is_asked_for(run: Run, source: str, tracker: ExperimentTracker) -> None:
    run.log_artifact(source + "/a")
    run.log_artifact(Path(source) / "b" / "c", "deep/er")
    assert read_artifacts(tracker) == {"a": b"1", "deep": None, "deep/er": None, "deep/er/c": b"22"}
    with open(run.artifact_path("deep/er/c")) as file:
        assert file.read() == "22"
    assert tracker.artifact_path("r") == run.artifact_path() == os.path.join(run.runs_dir, "0", "r", "artifacts")


def test_file_that_is_there_is_replaced(run: Run, source: str, tracker: ExperimentTracker) -> None:
    run.log_text("before", "a")
    run.log_artifact(source + "/a")
    assert read_artifacts(tracker) == {"a": b"1"}


def test_folder_given_as_a_file_stands_under_its_own_name(run: Run, source: str, tracker: ExperimentTracker) -> None:
    run.log_artifact(source + "/b/", "x")
    assert read_artifacts(tracker) == {"x": None, **below("x/b", {"c": b"22", "d": None, "d/e": b"333"})}


@pytest.mark.parametrize("folder", [None, "model"])
def test_folder_stands_whole_and_joins_what_is_there(folder: Any, run: Run, source: str, tmp_path: Path) -> None:
    tracker = ExperimentTracker(runs_dir=run.runs_dir)
    for _ in range(2):
        run.log_artifacts(source, folder)
        assert read_artifacts(tracker) == (below(folder, WHOLE) if folder else WHOLE)
    run.log_artifacts(make_source(str(tmp_path / "more"), b__c="new", b__d__f="4", g="5"), folder)
    joined = dict(WHOLE, **{"b/c": b"new", "b/d/f": b"4", "g": b"5"})
    assert read_artifacts(tracker) == (below(folder, joined) if folder else joined)
    assert list_temporaries(run.runs_dir) == []


def test_empty_folder_and_empty_file_are_artifacts_too(run: Run, tmp_path: Path, tracker: ExperimentTracker) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "empty" / "file").touch()
    run.log_artifacts(tmp_path / "empty")
    assert read_artifacts(tracker) == {"inner": None, "file": b""}


@pytest.mark.parametrize("status", ["FINISHED", "KILLED"])
def test_run_that_has_ended_takes_artifacts_and_stays_as_it_was(status: str, run: Run, source: str) -> None:
    run.log_text("1", "early")
    run.end(status)
    tracker = ExperimentTracker(runs_dir=run.runs_dir)
    before = tracker.get_run("r")
    descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    run.log_artifacts(source, "late")
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == descriptors
    Run(run_id="r", runs_dir=run.runs_dir).log_text("2", "by id")
    assert set(read_artifacts(tracker)) == {"early", "by id", *below("late", WHOLE)}
    assert tracker.get_run("r") == before
    assert not run.is_open()


def test_text_and_dictionaries_are_files_for_people(run: Run) -> None:
    value = {"größe": [1, 2.5, None], "z": {"nan": float("nan")}, "a": True}
    plain = dict(value, z={"nan": "NaN"})
    run.log_text("line\r\n猫", "notes/text.txt")
    run.log_dict(value, "config.json")
    run.log_dict(value, "config.yml")
    run.log_dict(value, "config")
    with open(run.artifact_path("notes/text.txt"), "rb") as file:
        assert file.read() == "line\r\n猫".encode()
    for name, parse in (("config.json", json.load), ("config", json.load), ("config.yml", yaml.safe_load)):
        with open(run.artifact_path(name), encoding="utf-8") as file:
            text = file.read()
            file.seek(0)
            assert list(parse(file).items()) == list(plain.items())
        assert "größe" in text
        assert text.count("\n") > 5


class Drawn:
    """A figure of matplotlib, as far as it is asked."""

    def savefig(self, file: Any, format: str) -> None:  # noqa: A002
        file.write(b"drawn as " + format.encode())


class Woven:
    """A figure of plotly, as far as it is asked."""

    def write_html(self, file: Any) -> None:
        file.write("<html>wöven</html>")

    def write_image(self, file: Any, format: str) -> None:  # noqa: A002
        file.write(b"woven as " + format.encode())


@pytest.mark.parametrize(
    ("figure", "name", "data"),
    [
        (Drawn(), "curve.PNG", b"drawn as png"),
        (Woven(), "plots/curve.html", "<html>wöven</html>".encode()),
        (Woven(), "curve.svg", b"woven as svg"),
    ],
)
def test_figure_is_saved_in_the_format_of_its_name(figure: Any, name: str, data: bytes, run: Run) -> None:
    run.log_figure(figure, name)
    with open(run.artifact_path(name), "rb") as file:
        assert file.read() == data


def test_figure_of_matplotlib_is_an_image(run: Run) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    run.log_figure(figures.Figure(), "empty.png")
    with open(run.artifact_path("empty.png"), "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_functions_of_the_module_log_to_the_active_run(runs_dir: str, source: str) -> None:
    mini_mlflow.set_runs_dir(runs_dir)
    for call in (mini_mlflow.log_artifact, mini_mlflow.log_artifacts):
        with pytest.raises(NoActiveRunError):
            call(source)
    with mini_mlflow.start_run(run_id="r") as run:
        mini_mlflow.log_artifact(source + "/a", "x")
        mini_mlflow.log_artifacts(source, "y")
        mini_mlflow.log_text("t", "t")
        mini_mlflow.log_dict({}, "d")
        mini_mlflow.log_figure(Drawn(), "f.png")
    found = set(read_artifacts(ExperimentTracker(runs_dir=runs_dir)))
    assert found == {"x", "x/a", *below("y", WHOLE), "t", "d", "f.png"}
    assert run.status == "FINISHED"


def test_names_of_every_script_come_back_as_they_were(run: Run, tmp_path: Path, tracker: ExperimentTracker) -> None:
    names = [
        "größe",
        "精度 猫.txt",
        "обучение",
        "😀🏳️‍🌈",
        "مرحبا",
        " spaces ",
        "-dash",
        "a'b\"c;*?<>|",
        "new\nline",
        ".hidden",
    ]
    names += [".tmp-0123456789ab-1", "lock", "content", "e\u0301", "é", "a" * 255]
    if sys.platform != "darwin":
        names.append(os.fsdecode(b"not utf-8 \xff"))
    folder = tmp_path / "source" / "каталог"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    run.log_artifacts(tmp_path / "source")
    run.log_artifact(folder / names[0], names[1])
    assert {info.path for info in tracker.list_artifacts("r", "каталог")} == {"каталог/" + name for name in names}
    found = read_artifacts(tracker)
    assert all(found["каталог/" + name] == os.fsencode(name) for name in names)
    assert found[names[1] + "/" + names[0]] == os.fsencode(names[0])


def test_progress_tells_what_is_done_of_what_there_is(run: Run, source: str) -> None:
    told: List[Any] = []
    run.log_artifacts(source, progress=lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [6, 6, 6]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == 6


# -- listing -------------------------------------------------------------------------------------------------------


def test_listing_tells_kinds_and_sizes_sorted(run: Run, source: str, tracker: ExperimentTracker) -> None:
    assert tracker.list_artifacts("r") == []
    run.log_artifacts(source, "m")
    run.log_text("12345", "a.txt")
    assert tracker.list_artifacts("r") == [FileInfo("a.txt", False, 5), FileInfo("m", True, None)]
    assert tracker.list_artifacts("r", "m/b") == [FileInfo("m/b/c", False, 2), FileInfo("m/b/d", True, None)]
    for nothing in ("a.txt", "missing", "m/b/c/d", "a.txt/x"):
        assert tracker.list_artifacts("r", nothing) == []


def test_what_is_not_there_is_named(run: Run, tracker: ExperimentTracker) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no artifacts"):
        run.artifact_path()
    run.log_text("t", "there")
    for path in ("gone/x", "there/x"):
        for ask in (run.artifact_path, lambda path: tracker.artifact_path("r", path)):
            with pytest.raises(FileNotFoundError, match=path) as caught:
                ask(path)
            assert isinstance(caught.value, LookupError)
            assert str(caught.value.filename).startswith(run.runs_dir)
    for call in (tracker.list_artifacts, tracker.artifact_path):
        with pytest.raises(RunNotFoundError):
            call("nobody")
        with pytest.raises(InvalidPathError):
            call("r", "../secret")


@pytest.mark.skipif(sys.platform != "linux", reason="folders are exchanged on Linux")
def test_listing_is_of_the_old_folder_or_the_new_one_and_never_of_one_that_is_being_removed(
    run: Run, tmp_path: Path, tracker: ExperimentTracker, monkeypatch: Any
) -> None:
    run.log_artifacts(make_source(str(tmp_path / "old"), a="1", b="1", c="1"))
    newer = make_source(str(tmp_path / "new"), a="22", b="22", d="22", e="22")
    before = tracker.list_artifacts("r")

    class Overtaken:
        """The name ``os`` of `disk.regular`: while a folder is being listed, it is exchanged and emptied."""

        calls = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def scandir(self, folder: Any) -> Any:
            if isinstance(folder, int):
                Overtaken.calls += 1
                if Overtaken.calls == 1:
                    run.log_artifacts(newer)
            return os.scandir(folder)

    monkeypatch.setattr(regular, "os", Overtaken())
    seen = tracker.list_artifacts("r")
    monkeypatch.undo()
    assert Overtaken.calls == 2
    assert seen == tracker.list_artifacts("r") != before
    assert [(info.path, info.file_size) for info in seen] == [("a", 2), ("b", 2), ("c", 1), ("d", 2), ("e", 2)]


# -- what is refused -----------------------------------------------------------------------------------------------

BAD_PATHS = ["", "/etc", "..", "a/../../b", "a//b", "a/", ".", "a/./b", "a\\b", "a\0b", "C:", "c:/x", "\ud800"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_path_that_may_lead_out_is_refused_and_nothing_is_made(path: str, run: Run, source: str) -> None:
    calls: List[Callable[[], Any]] = [
        lambda: run.log_artifact(source + "/a", path),
        lambda: run.log_artifacts(source, path),
        lambda: run.log_text("t", path),
        lambda: run.log_dict({}, path),
        lambda: run.log_figure(Drawn(), path),
        lambda: run.artifact_path(path),
    ]
    for call in calls:
        with pytest.raises(InvalidPathError):
            call()
    assert sorted(os.listdir(os.path.join(run.runs_dir, "0", "r"))) == ["meta.yaml"]


def test_what_is_no_path_text_or_figure_is_refused(run: Run, source: str) -> None:
    for call in (run.log_artifact, run.log_artifacts):
        for wrong in (None, 3, ["a"]):
            with pytest.raises(InvalidTypeError):
                call(wrong)
        with pytest.raises(InvalidTypeError):
            call(source, 3)
        with pytest.raises(InvalidPathError):
            call("")
        with pytest.raises(FileNotFoundError) as caught:
            call(source + "/nowhere")
        assert caught.value.filename == source + "/nowhere"
    with pytest.raises(InvalidPathError):
        run.log_artifact("/")
    with pytest.raises(NotADirectoryError):
        run.log_artifacts(source + "/a")
    with pytest.raises(InvalidTypeError):
        run.log_text(b"bytes", "t")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError):
        run.log_text("\ud800", "t")
    with pytest.raises(InvalidTypeError, match="config"):
        run.log_dict({"a": object()}, "config.json")
    with pytest.raises(InvalidTypeError, match="matplotlib or plotly"):
        run.log_figure("figure", "f.png")
    with pytest.raises(InvalidPathError, match="suffix"):
        run.log_figure(Drawn(), "figure")
    assert sorted(os.listdir(os.path.join(run.runs_dir, "0", "r"))) == ["meta.yaml"]


def test_file_does_not_take_the_place_of_a_folder_nor_the_reverse(
    run: Run, source: str, tracker: ExperimentTracker
) -> None:
    run.log_artifacts(source)
    with pytest.raises(IsADirectoryError) as caught:
        run.log_text("t", "b/d")
    assert caught.value.filename == run.artifact_path("b/d")
    for call in (lambda: run.log_text("t", "a/x"), lambda: run.log_artifacts(source, "b/c")):
        with pytest.raises(NotADirectoryError):
            call()
    assert read_artifacts(tracker) == WHOLE
    assert list_temporaries(run.runs_dir) == []


@needs_links
def test_links_in_the_source_count_as_what_they_lead_to(run: Run, source: str, tmp_path: Path) -> None:
    os.symlink(source + "/a", source + "/link")
    os.symlink(source + "/b", source + "/twin")
    run.log_artifacts(source)
    run.log_artifact(source + "/link", "x")
    twin = below("twin", {"c": b"22", "d": None, "d/e": b"333"})
    tracker = ExperimentTracker(runs_dir=run.runs_dir)
    assert read_artifacts(tracker) == {**WHOLE, **twin, "link": b"1", "x": None, "x/link": b"1"}
    assert not any(os.path.islink(run.artifact_path(path)) for path in read_artifacts(tracker))


def make_loop(folder: str) -> None:
    os.symlink("..", folder + "/b/loop")


def make_dangling(folder: str) -> None:
    os.symlink("nowhere", folder + "/b/dangling")


def make_fifo(folder: str) -> None:
    os.mkfifo(folder + "/b/fifo")


def make_socket(folder: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder + "/b")
        server.bind("socket")
        os.chdir(here)


def make_device_link(folder: str) -> None:
    os.symlink("/dev/zero", folder + "/b/device")


def make_backslash(folder: str) -> None:
    make_source(folder, **{"b__a\\b": "x"})


@needs_links
@pytest.mark.parametrize("spoil", [make_loop, make_dangling, make_fifo, make_socket, make_device_link, make_backslash])
def test_folder_with_something_that_cannot_be_stored_is_refused_as_a_whole(
    spoil: Callable[[str], None], run: Run, source: str
) -> None:
    spoil(source)
    with pytest.raises((InvalidPathError, FileNotFoundError)) as caught:
        run.log_artifacts(source)
    assert source in str(caught.value) or "b/a" in str(caught.value)
    assert sorted(os.listdir(os.path.join(run.runs_dir, "0", "r"))) == ["meta.yaml"]


def test_folder_that_the_artifacts_stand_in_is_refused(run: Run, tmp_path: Path, tracker: ExperimentTracker) -> None:
    run.log_text("t", "deep/file")
    for folder in (tmp_path, run.runs_dir, os.path.join(run.runs_dir, "0", "r"), run.artifact_path()):
        with pytest.raises(InvalidPathError, match="artifacts of the run"):
            run.log_artifacts(folder, "x")
    run.log_artifacts(run.artifact_path("deep"), "deep/copy")
    assert read_artifacts(tracker) == {**below("deep", {"file": b"t", "copy": None, "copy/file": b"t"})}


@needs_links
@pytest.mark.damaged_tree
@pytest.mark.parametrize("place", ["artifacts", "artifacts/b", "artifacts/b/d", "artifacts/a"])
def test_link_in_the_tree_is_not_written_through(place: str, run: Run, source: str, tmp_path: Path) -> None:
    run.log_artifacts(source)
    path = os.path.join(run.runs_dir, "0", "r", place)
    os.rename(path, str(tmp_path / "away"))
    os.symlink(str(tmp_path / "away"), path)
    outside = list_outside(tmp_path / "away")
    calls: List[Callable[[], Any]] = [lambda: run.log_artifacts(source)]
    calls += [lambda: run.log_text("t", place.partition("/")[2] or "a")]
    if place != "artifacts/a":
        calls += [lambda: run.log_artifact(source + "/a", place.partition("/")[2] or None)]
    for call in calls:
        with pytest.raises(OutsideTreeError) as caught:
            call()
        assert caught.value.filename == path
    assert list_outside(tmp_path / "away") == outside
    assert os.path.islink(path)
    assert list_temporaries(run.runs_dir) == []
    tracker = ExperimentTracker(runs_dir=run.runs_dir)
    with pytest.raises(OutsideTreeError):
        tracker.artifact_path("r", place.partition("/")[2] or None)
    assert [(finding.path, finding.rule) for finding in verify(run.runs_dir)] == [("0/r/" + place, "not-regular")]


def list_outside(path: Path) -> List[Any]:
    if path.is_file():
        return [path.read_bytes()]
    return sorted((str(one), one.read_bytes() if one.is_file() else b"") for one in path.rglob("*"))


# -- file systems that can do less ---------------------------------------------------------------------------------


def refuse(number: int) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture(params=["exchange", "link"])
def poor_disk(request: Any, monkeypatch: Any) -> Any:
    """One that cannot exchange folders, or cannot link files."""
    disk = install(monkeypatch)
    if request.param == "exchange":
        monkeypatch.setattr(copying.linux, "exchange", refuse(errno.EINVAL), raising=False)
    else:
        monkeypatch.setattr(disk, "link", refuse(errno.EPERM), raising=False)
    return disk


def test_folders_are_merged_file_by_file_where_nothing_else_is_possible(
    poor_disk: Any, run: Run, source: str, tmp_path: Path, tracker: ExperimentTracker
) -> None:
    run.log_artifacts(source)
    run.log_artifacts(make_source(str(tmp_path / "more"), b__c="new", b__x__y="4", g="5"))
    run.log_text("later", "a")
    assert read_artifacts(tracker) == dict(
        WHOLE, **{"a": b"later", "b/c": b"new", "b/x": None, "b/x/y": b"4", "g": b"5"}
    )
    assert list_temporaries(run.runs_dir) == []


def test_merge_that_fails_half_way_takes_back_what_was_new(
    poor_disk: Any, run: Run, source: str, tmp_path: Path, tracker: ExperimentTracker
) -> None:
    run.log_artifacts(source)
    more = make_source(str(tmp_path / "more"), **{"new-%d" % number: "n" for number in range(4)})
    renames = 0

    def fail_third(step: Any) -> Any:
        nonlocal renames
        renames += step.name == "replace"
        if step.name == "replace" and renames == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return step.carry_out()

    with poor_disk.armed(fail_third, lasting=True), pytest.raises(OSError, match="Input/output"):
        run.log_artifacts(more)
    assert renames == 5
    assert read_artifacts(tracker) == WHOLE
    assert list_temporaries(run.runs_dir) == []


# -- beside others -------------------------------------------------------------------------------------------------


def test_no_lock_is_held_while_bytes_are_copied(run: Run, source: str, runs_dir: str) -> None:
    lock = KeptLock(os.path.join(runs_dir, ".locks", "0", "r.lock"))

    def work(done: int, total: int) -> None:
        run_together(lambda: run.log_metric("loss", 1.0))
        assert lock.try_acquire()
        lock.close()

    run.log_artifacts(source, progress=work)
    assert len(ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "loss")) == 3


def test_threads_log_artifacts_of_one_run_at_once(run: Run, tmp_path: Path, tracker: ExperimentTracker) -> None:
    def work(number: int) -> Callable[[], None]:
        folder = make_source(str(tmp_path / str(number)), **{"own-%d" % number: "x" * number, "same": str(number)})

        def log() -> None:
            for time in range(5):
                run.log_artifacts(folder, "shared")
                run.log_text("t", "texts/%d-%d" % (number, time))

        return log

    run_together(*(work(number) for number in range(4)))
    found = read_artifacts(tracker)
    assert len([path for path in found if path.startswith("texts/")]) == 20
    assert all(found["shared/own-%d" % number] == b"x" * number for number in range(4))
    assert found["shared/same"] in (b"0", b"1", b"2", b"3")
    assert list_temporaries(run.runs_dir) == []


@needs_fork
def test_what_a_living_process_copies_is_left_alone_by_others(run: Run, source: str, runs_dir: str) -> None:
    """Another process sweeps, with an artifact of its own and with the end of the run; verify has nothing to tell."""

    def others() -> None:
        other = Run(run_id="r", runs_dir=runs_dir)
        other.log_text("t", "others")
        other.end()

    statuses: List[int] = []

    def meanwhile(done: int, total: int) -> None:
        if not statuses:
            statuses.append(in_child(others))
            assert len(list_temporaries(runs_dir)) == 1
            assert verify(runs_dir) == []

    run.log_artifacts(source, "m", progress=meanwhile)
    assert statuses == [0]
    found = read_artifacts(ExperimentTracker(runs_dir=runs_dir))
    assert found == {"others": b"t", **below("m", WHOLE)}
    assert list_temporaries(runs_dir) == []


def die_while_copying(runs_dir: str, source: str, before: Callable[[], Any] = lambda: None) -> None:
    def die(done: int, total: int) -> None:
        before()
        os.kill(os.getpid(), signal.SIGKILL)

    status = in_child(lambda: Run(run_id="r", runs_dir=runs_dir).log_artifacts(source, "m", progress=die))
    assert os.WTERMSIG(status) == signal.SIGKILL


@needs_fork
@pytest.mark.parametrize("sweeper", ["log", "end"])
def test_what_a_killed_process_copied_shows_nowhere_and_is_swept_by_the_next(
    sweeper: str, run: Run, source: str, runs_dir: str, tracker: ExperimentTracker
) -> None:
    die_while_copying(runs_dir, source)
    assert tracker.list_artifacts("r") == []
    (left,) = [os.path.relpath(path, runs_dir) for path in list_temporaries(runs_dir)]
    assert [(finding.path, finding.rule) for finding in verify(runs_dir)] == [(left, "temporary")]
    run.log_text("t", "next") if sweeper == "log" else run.end()
    assert list_temporaries(runs_dir) == []


@needs_fork
def test_forked_child_does_not_keep_what_its_killed_parent_copied(run: Run, source: str, runs_dir: str) -> None:
    (reading, writing), (told, telling) = os.pipe(), os.pipe()

    def fork_one_that_waits() -> None:
        if os.fork() == 0:
            os.close(writing)
            os.write(telling, b"x")
            os.read(reading, 1)
            os._exit(0)
        # It is forked only once its hooks have run.
        os.read(told, 1)

    die_while_copying(runs_dir, source, before=fork_one_that_waits)
    try:
        assert len(list_temporaries(runs_dir)) == 1
        run.log_text("t", "next")
        assert list_temporaries(runs_dir) == []
    finally:
        for descriptor in (reading, writing, told, telling):
            os.close(descriptor)


def test_folder_of_another_whose_lock_cannot_be_looked_at_is_left(run: Run, runs_dir: str, monkeypatch: Any) -> None:
    folder = os.path.join(runs_dir, "0", "r", ".tmp-0123456789ab-1")
    os.makedirs(os.path.join(folder, "content"))
    make_source(folder, lock="")
    with monkeypatch.context() as patch:
        patch.setattr(staging, "is_held", lambda path: None)
        run.log_text("t", "a")
        assert os.listdir(folder)
    run.log_text("t", "a")
    assert list_temporaries(runs_dir) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_call_that_is_cut_short_leaves_nothing(error: Any, run: Run, source: str, tracker: ExperimentTracker) -> None:
    def cut(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        run.log_artifacts(source, progress=cut)
    assert read_artifacts(tracker) == {}
    assert list_temporaries(run.runs_dir) == []
    run.log_artifacts(source)
    assert read_artifacts(tracker) == WHOLE


def test_run_that_is_moved_away_meanwhile_takes_nothing_and_goes_on_when_it_is_back(
    run: Run, source: str, runs_dir: str, tmp_path: Path, tracker: ExperimentTracker
) -> None:
    folder = os.path.join(runs_dir, "0", "r")

    def remove(done: int, total: int) -> None:
        if done == total:
            os.rename(folder, str(tmp_path / "away"))

    with pytest.raises(FileNotFoundError) as caught:
        run.log_artifacts(source, progress=remove)
    assert str(caught.value.filename).startswith(folder)
    assert not os.path.exists(folder)
    os.rename(str(tmp_path / "away"), folder)
    run.log_text("t", "next")
    assert read_artifacts(tracker) == {"next": b"t"}
    assert list_temporaries(runs_dir) == []


@pytest.mark.parametrize("is_restored", [False, True])
def test_run_that_is_deleted_meanwhile_refuses_at_any_step_and_stays_whole(
    is_restored: bool, run: Run, source: str, runs_dir: str, tracker: ExperimentTracker, monkeypatch: Any
) -> None:
    """The call is refused as any log call to a deleted run, also if the run is back by then, and makes nothing anew."""
    run.log_text("t", "before")
    disk, met = install(monkeypatch), 0
    lock = KeptLock(os.path.join(runs_dir, ".locks", "0", "r.lock"))

    def lock_is_free() -> bool:
        is_free = lock.try_acquire()
        lock.close()
        return is_free

    for at in range(1, 80):

        def delete(step: Any) -> Any:
            if lock_is_free():
                run_together(lambda: tracker.delete_run("r"))
            try:
                return step.carry_out()
            finally:
                if is_restored and tracker.list_deleted_runs():
                    run_together(lambda: tracker.restore_run("r"))

        try:
            with disk.armed(delete, at):
                run.log_artifacts(source, "m")
        except RunDeletedError as error:
            met += 1
            assert "deleted" in str(error)
        if disk.struck is None:
            break
        if tracker.list_deleted_runs():
            assert not os.path.lexists(os.path.join(runs_dir, "0", "r"))
            tracker.restore_run("r")
        # It sweeps what the refused call could not.
        run.log_text("t", "after")
        found = read_artifacts(tracker)
        assert {path: found.pop(path) for path in ("before", "after")} == {"before": b"t", "after": b"t"}
        assert found in ({}, below("m", WHOLE))
        assert verify(runs_dir) == []
    assert met > 2


def test_handler_that_logs_an_artifact_in_the_middle_of_another_stores_both(
    run: Run, source: str, tracker: ExperimentTracker, monkeypatch: Any
) -> None:
    disk = install(monkeypatch)
    steps = 0
    for at in range(1, 60):

        def handle(step: Any, at: int = at) -> Any:
            run.log_text("h", "handler-%d" % at)
            return step.carry_out()

        with disk.armed(handle, at):
            run.log_artifacts(source, "m")
        if disk.struck is None:
            break
        steps = at
        assert read_artifacts(tracker)["handler-%d" % at] == b"h"
        assert list_temporaries(run.runs_dir) == []
    assert steps > 10
    assert {path: data for path, data in read_artifacts(tracker).items() if path.startswith("m")} == below("m", WHOLE)


@pytest.mark.skipif(os.name != "posix", reason="needs modes")
def test_merging_keeps_who_may_enter_a_folder(run: Run, source: str, tmp_path: Path) -> None:
    run.log_artifacts(source)
    os.chmod(run.artifact_path("b/d"), 0o700)
    run.log_artifacts(make_source(str(tmp_path / "more"), b__c="new", g="5"))
    assert os.stat(run.artifact_path("b/d")).st_mode & 0o777 == 0o700
