"""Reading: at any moment, between any two steps of a writer or of the reader itself, and without leaving a trace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import pytest

import faults
from faults import FaultyOs, call_before
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Run, RunNotFoundError
from mini_mlflow.disk import atomic, regular
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.writing import ration


class Seen(NamedTuple):
    params: Dict[str, Any]
    tags: Dict[str, Any]
    metrics: Dict[str, float]
    histories: Dict[str, List[float]]


def look(runs_dir: str) -> Seen:
    """The run "r" through every way of reading it."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert tracker.list_runs() == ["r"]
    run = tracker.get_latest_version("digits")
    assert run is not None
    histories = {}
    for key in ("loss", "accuracy"):
        points = tracker.get_metric_history("r", key)
        assert [point.step for point in points] == list(range(len(points)))
        histories[key] = [point.value for point in points]
    return Seen(run["params"], run["tags"], run["metrics"], histories)


@pytest.fixture
def seal_early(monkeypatch: Any) -> None:
    """Four points are sealed, two files of a size are merged, and documents wait for a flush."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)


def fill(run: Run, points: int = 4) -> None:
    run.log_params({"lr": 0.1, "layers": [1, 2]})
    run.set_tag("stage", "first")
    for n in range(points):
        run.log_metrics({"loss": float(n), "accuracy": -float(n)})


def prepare_flush(runs_dir: str) -> Run:
    run = Run(run_id="r", name="digits", runs_dir=runs_dir)
    fill(run)
    return run


def prepare_merge(runs_dir: str) -> Run:
    run = prepare_flush(runs_dir)
    run.flush()
    for n in range(4, 8):
        run.log_metrics({"loss": float(n), "accuracy": -float(n)})
    run.log_param("lr", 0.2)
    return run


def prepare_resume(runs_dir: str) -> Run:
    run = prepare_merge(runs_dir)
    run.end()
    return run


def resume(run: Run) -> None:
    ExperimentTracker(runs_dir=run.runs_dir).start_run(run_id="r")


#: What changes files, but nothing of what a reader should see.
REARRANGEMENTS: List[Tuple[str, Callable[[str], Run], Callable[[Run], None]]] = [
    ("fold", prepare_flush, lambda run: run.flush()),
    ("merge", prepare_merge, lambda run: run.flush()),
    ("end", prepare_merge, lambda run: run.end()),
    ("resume", prepare_resume, resume),
]


@pytest.mark.usefixtures("seal_early")
@pytest.mark.parametrize(("prepare", "act"), [case[1:] for case in REARRANGEMENTS], ids=[c[0] for c in REARRANGEMENTS])
def test_reader_between_any_two_steps_of_a_writer(
    runs_dir: str, monkeypatch: Any, prepare: Callable[[str], Run], act: Callable[[Run], None]
) -> None:
    """Before every step of a fold, a merge, an end or a resume, and after the last, a reader sees all of the run."""
    run = prepare(runs_dir)
    before = look(runs_dir)
    disk = faults.install(monkeypatch)
    seen = []
    with disk.armed(call_before(lambda: seen.append(look(runs_dir))), lasting=True):
        act(run)
    assert len(seen) > 5
    assert [other for other in [*seen, look(runs_dir)] if other != before] == []


@pytest.mark.usefixtures("seal_early")
def test_reader_between_any_two_steps_of_a_log_call(runs_dir: str, monkeypatch: Any) -> None:
    """A reader sees the state before the call or the one after it, and never goes back."""
    run = prepare_merge(runs_dir)
    monkeypatch.setattr(ration, "_FOLD_AT", 1)
    monkeypatch.setattr(ration, "_FOLD_SHARE", 0.0)
    disk = faults.install(monkeypatch)
    before = look(runs_dir)
    seen: List[Seen] = []
    with disk.armed(call_before(lambda: seen.append(look(runs_dir))), lasting=True):
        run.log_metrics({"loss": 8.0, "accuracy": -8.0})
    after = look(runs_dir)
    assert after.metrics == {"loss": 8.0, "accuracy": -8.0}
    turned = seen.index(after)
    assert seen[:turned] == [before] * turned
    assert seen[turned:] == [after] * (len(seen) - turned)


class InterruptedReader:
    """Stands in for ``os`` in the module that reads files: something else happens before its n-th step."""

    def __init__(self, action: Callable[[], Any], at: int) -> None:
        self._action: Optional[Callable[[], Any]] = action
        self._left = at

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in ("open", "listdir", "read"):
            return real

        def step(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._action is not None:
                action, self._action = self._action, None
                action()
            return real(*arguments)

        return step

    @property
    def done(self) -> bool:
        return self._action is None


@pytest.mark.usefixtures("seal_early")
@pytest.mark.parametrize(("prepare", "act"), [case[1:] for case in REARRANGEMENTS], ids=[c[0] for c in REARRANGEMENTS])
def test_writer_between_any_two_steps_of_a_reader(
    tmp_path: Path, monkeypatch: Any, prepare: Callable[[str], Run], act: Callable[[Run], None]
) -> None:
    """A whole fold, merge, end or resume in the middle of reading changes nothing of what is read."""
    # The order of the steps is the same without fsync, and hundreds of trees are made here.
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never")
    for method, arguments in [("get_run", ("r",)), ("get_metric_history", ("r", "loss")), ("list_runs", ())]:
        step = 0
        while True:
            step += 1
            runs_dir = str(tmp_path / method / str(step))
            run = prepare(runs_dir)
            tracker = ExperimentTracker(runs_dir=runs_dir)
            before = without_metadata(getattr(tracker, method)(*arguments))
            with monkeypatch.context() as patch:
                reader = InterruptedReader(lambda run=run: act(run), step)  # type: ignore[misc]
                patch.setattr(regular, "os", reader)
                assert without_metadata(getattr(tracker, method)(*arguments)) == before
            finish("r", runs_dir)
            if not reader.done:
                break
        assert step > 2


@pytest.mark.parametrize("is_resumed", [True, False])
@pytest.mark.parametrize("lives", [1, 2])
def test_commit_and_end_between_any_two_steps_of_a_reader_show_together_or_not_at_all(
    is_resumed: bool, lives: int, tmp_path: Path, monkeypatch: Any
) -> None:
    """Also of a run without a log, before and after: it was resumed and has not logged, and it has ended again."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never")
    step, done = 0, True
    while done:
        step += 1
        runs_dir = str(tmp_path / str(step))
        tracker = ExperimentTracker(runs_dir=runs_dir)
        log_all(tracker.start_run(run_id="r"), 1)
        tracker.end_run()
        if is_resumed:
            tracker.start_run(run_id="r")

        def live(tracker: ExperimentTracker = tracker) -> None:
            for life in range(lives):
                run = tracker.active_run() or tracker.start_run(run_id="r")
                log_all(run, 2 + life)
                tracker.end_run()

        with monkeypatch.context() as patch:
            reader = InterruptedReader(live, step)
            patch.setattr(regular, "os", reader)
            found = tracker.get_run("r")
        # Two calls, each of two keys.
        assert found["params"]["a"] == found["params"]["b"], step
        assert found["metrics"]["d"] == found["metrics"]["e"], step
        done = reader.done
        finish("r", runs_dir)
    assert step > 2


def log_all(run: Run, value: int) -> None:
    run.log_params({"a": value, "b": value})
    run.log_metrics({"d": value, "e": value})


def without_metadata(found: Any) -> Any:
    return {key: value for key, value in found.items() if key != "metadata"} if isinstance(found, dict) else found


def finish(run_id: str, runs_dir: str) -> None:
    from mini_mlflow import active_run, end_run

    if active_run() is not None:
        end_run()
    shutil.rmtree(runs_dir)


# -- no trace ------------------------------------------------------------------------------------------------------


def forbid(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("a reader tried to change the tree: %r" % (arguments,))


def stamp_everything(root: str) -> Dict[str, Tuple[int, int, int]]:
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_reader_locks_nothing_and_changes_nothing(runs_dir: str, monkeypatch: Any) -> None:
    """Readers of live, ended, crashed and missing runs take no lock and create, change and remove nothing."""
    live = prepare_flush(runs_dir)
    with Run(run_id="ended", name="digits", version="1", runs_dir=runs_dir) as ended:
        fill(ended)
    before = stamp_everything(runs_dir)
    disk = FaultyOs()
    monkeypatch.setattr(atomic, "os", disk)
    monkeypatch.setattr(KeptLock, "acquire", forbid)
    monkeypatch.setattr(KeptLock, "try_acquire", forbid)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with disk.armed(forbid, lasting=True):
        for run_id in ("ended", "r"):
            assert tracker.get_run(run_id)["metrics"] == {"loss": 3.0, "accuracy": -3.0}
            assert len(tracker.get_metric_history(run_id, "loss")) == 4
        assert tracker.list_runs() == ["ended", "r"]
        assert tracker.get_run_by_version("digits", "1") is not None
        with pytest.raises(RunNotFoundError):
            tracker.get_run("missing")
        assert tracker.list_runs(7) == []
    monkeypatch.undo()
    assert stamp_everything(runs_dir) == before
    live.end()


def test_tree_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """Asking a tree that is not there gives nothing, and it is still not there."""
    tracker = ExperimentTracker(runs_dir=tmp_path / "nowhere")
    assert tracker.list_runs() == []
    assert tracker.get_latest_version("digits") is None
    with pytest.raises(FileNotFoundError):
        tracker.get_run("r")
    with pytest.raises(LookupError):
        tracker.get_metric_history("r", "loss")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is read-only for this user")
def test_tree_that_is_read_only_is_read(runs_dir: str) -> None:
    """Without permission to write anywhere in the tree, every reader works."""
    with Run(run_id="r", name="digits", runs_dir=runs_dir) as run:
        fill(run)
    paths = [runs_dir, *stamp_everything(runs_dir)]
    for path in paths:
        os.chmod(path, os.stat(path).st_mode & ~0o222)
    try:
        assert look(runs_dir).metrics == {"loss": 3.0, "accuracy": -3.0}
    finally:
        for path in paths:
            os.chmod(path, os.stat(path).st_mode | 0o700)


@pytest.mark.leaves("owner-lock-missing")
def test_copy_without_lock_files_is_read(runs_dir: str, tmp_path: Path) -> None:
    """A copy of the experiments alone reads the same; of its open runs nobody can tell that the owner is gone."""
    run = prepare_flush(runs_dir)
    before = look(runs_dir)
    shutil.copytree(os.path.join(runs_dir, "0"), str(tmp_path / "copy" / "0"))
    assert look(str(tmp_path / "copy")) == before
    copied = ExperimentTracker(runs_dir=tmp_path / "copy").get_run("r")
    assert copied["metadata"]["status"] == "RUNNING"
    run.end()


# -- listing -------------------------------------------------------------------------------------------------------


def put_run(runs_dir: str, run_id: str, meta: str) -> None:
    folder = Path(runs_dir, "0", run_id)
    folder.mkdir(parents=True)
    (folder / "meta.yaml").write_text(meta)


@pytest.mark.damaged_tree
def test_runs_are_listed_newest_start_first(runs_dir: str) -> None:
    """By start time, whatever its precision; runs of one time by id; those without a time last."""
    for run_id, start_time in [
        ("b", "2026-01-02T00:00:00.000001Z"),
        ("a", "2026-01-02T00:00:00Z"),
        ("d", "2026-01-01T23:59:59.999999Z"),
        ("c", "2026-01-02T00:00:00.000001Z"),
        ("e", "2027-01-01T00:00:00.000000Z"),
    ]:
        put_run(runs_dir, run_id, "start_time: '%s'\n" % start_time)
    put_run(runs_dir, "f", "name: x\n")
    assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["e", "c", "b", "a", "d", "f"]


@pytest.mark.damaged_tree
def test_one_damaged_run_is_skipped_with_a_warning(runs_dir: str) -> None:
    """It is named, and the others are listed and found."""
    for run_id in ("a", "b"):
        with Run(run_id=run_id, name="digits", runs_dir=runs_dir):
            pass
    put_run(runs_dir, "damaged", "name: [")
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with pytest.warns(DamagedFileWarning, match=r"damaged.meta\.yaml"):
        assert tracker.list_runs() == ["b", "a"]
    with pytest.warns(DamagedFileWarning, match=r"damaged.meta\.yaml"):
        assert tracker.get_latest_version("digits")["metadata"]["run_id"] == "b"  # type: ignore[index]
    with pytest.raises(ValueError, match=r"damaged.meta\.yaml"):
        tracker.get_run("damaged")


@pytest.mark.damaged_tree
def test_what_is_no_run_is_not_listed(runs_dir: str) -> None:
    """Files, empty folders and links in an experiment are somebody else's; nothing is said about them."""
    with Run(run_id="r", name="digits", runs_dir=runs_dir) as run:
        fill(run)
    experiment = Path(runs_dir, "0")
    (experiment / "experiment.yaml").write_text("name: x\n")
    (experiment / ".DS_Store").write_bytes(b"\0")
    (experiment / "empty").mkdir()
    (experiment / "notes.txt").write_text("x")
    assert look(runs_dir).params == {"lr": 0.1, "layers": [1, 2]}


@pytest.mark.damaged_tree
def test_what_is_no_document_is_not_shown(runs_dir: str) -> None:
    """Temporaries of killed writers and foreign files beside the documents and commits never show as values."""
    run = prepare_flush(runs_dir)
    before = look(runs_dir)
    folder = Path(runs_dir, "0", "r")
    for name in ("params/.tmp-0-1", "params/.tmp-0-2.json", "metrics/.tmp-0-3", "log/.tmp-0-4", "log/x.json",
                 "metrics/notes.txt", "tags/.hidden", ".tmp-0-5"):  # fmt: skip
        (folder / name).write_bytes(b'{"value": 1}')
    (folder / "params" / "folder").mkdir()
    assert look(runs_dir) == before
    run.end()


def test_metric_that_is_not_there_has_no_points(runs_dir: str) -> None:
    """An unknown key is an empty history, of a live run and of an ended one."""
    run = prepare_flush(runs_dir)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert tracker.get_metric_history("r", "missing") == []
    run.end()
    assert tracker.get_metric_history("r", "missing") == []
    assert tracker.get_metric_history("r", "a/b") == []


@pytest.mark.damaged_tree
def test_link_to_a_run_is_told_and_not_listed(runs_dir: str, tmp_path: Path) -> None:
    """It would lead out of the tree; so would one that stands in the place of an experiment."""
    with Run(run_id="r", runs_dir=runs_dir) as run:
        fill(run)
    Path(runs_dir, "0", "linked").symlink_to(Path(runs_dir, "0", "r"), target_is_directory=True)
    Path(runs_dir, "0", "nowhere").symlink_to(tmp_path / "missing", target_is_directory=True)
    Path(runs_dir, "7").symlink_to(Path(runs_dir, "0"), target_is_directory=True)
    with pytest.warns(DamagedFileWarning, match="symbolic link.*linked") as told:
        assert ExperimentTracker(runs_dir=runs_dir).list_runs() == ["r"]
    assert len(told) == 1
    with pytest.raises(OSError, match="symbolic link"):
        ExperimentTracker(runs_dir=runs_dir).list_runs(7)


@pytest.mark.damaged_tree
@pytest.mark.usefixtures("seal_early")
@pytest.mark.parametrize("ended", [True, False])
def test_link_to_a_history_is_told_and_not_followed(runs_dir: str, tmp_path: Path, ended: bool) -> None:
    """As one to a document, or to a single sealed file: what is outside of the tree is not the run's."""
    run = Run(run_id="r", runs_dir=runs_dir)
    for n in range(9):
        run.log_metric("loss", float(n), step=n)
        if n == 7:
            run.flush()
    if ended:
        run.end()
    history = Path(runs_dir, "0", "r", "metrics", "loss.history")
    shutil.move(str(history), str(tmp_path / "outside"))
    history.symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.warns(DamagedFileWarning, match=r"symbolic link.*loss\.history") as told:
        points = ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "loss")
    assert len(told) == 1
    assert [(point.step, point.value) for point in points] == [(8, 8.0)]
    if not ended:
        history.unlink()
        shutil.move(str(tmp_path / "outside"), str(history))
        run.end()
