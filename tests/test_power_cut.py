"""Power cuts: whatever a careless file system keeps, what the fsync level promises is there and reads without error."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import pytest

from faults import ration_documents, seal_early
from mini_mlflow import DamagedFileError, DamagedFileWarning, ExperimentTracker, RunNotFoundError, run_stack
from mini_mlflow.disk import atomic
from power_model import Loss, RecordedDisk, build_state, make_losses

RUN_ID, RUN_NAME = "r", "power"
ENDED = "FINISHED"


class Call(NamedTuple):
    """A call on the run: the steps of the disk between which it ran, and what it asked for."""

    begun: int
    done: int
    kind: str
    key: str = ""
    value: Any = None


class Diary:
    """Makes calls and writes down when each began and when it was acknowledged."""

    def __init__(self, disk: RecordedDisk, root: str, fsync: str, first_value: float) -> None:
        self.disk = disk
        self.tracker = ExperimentTracker(runs_dir=root, fsync=fsync)
        self.calls: List[Call] = []
        self.run: Any = None
        self._next_value = first_value

    def _note(self, action: Any, *noted: Tuple[str, str, Any]) -> Any:
        begun = self.disk.step
        result = action()
        self.calls += [Call(begun, self.disk.step, *call) for call in noted]
        return result

    def start(self) -> None:
        self.run = self._note(lambda: self.tracker.start_run(RUN_NAME, run_id=RUN_ID, nested=True), ("start", "", None))
        run_stack.discard(self.run)

    def params(self, **params: Any) -> None:
        self._note(lambda: self.run.log_params(params), *(("params", key, value) for key, value in params.items()))

    def tag(self, key: str, value: Any) -> None:
        self._note(lambda: self.run.set_tag(key, value), ("tags", key, value))

    def metrics(self, *keys: str) -> None:
        """A point for each key, with a value that no other point has."""
        points = dict.fromkeys(keys, self._next_value)
        self._next_value += 1.0
        self._note(lambda: self.run.log_metrics(points), *(("metric", key, value) for key, value in points.items()))

    def flush(self) -> None:
        self._note(self.run.flush, ("flush", "", None))

    def end(self) -> None:
        self._note(self.run.end, ("end", "", None))


def live_through(diary: Diary) -> None:
    """A run with all that a run does: new and replaced documents, folds, seals, merges, an end, a resume, an end."""
    diary.start()
    diary.params(lr=0.1, layers=[1, 2])
    diary.metrics("loss")
    diary.metrics("loss", "accuracy")
    diary.tag("stage", "first")
    diary.params(lr=0.2)
    for _ in range(10):
        diary.metrics("loss")
    diary.flush()
    diary.metrics("loss", "late")
    diary.end()
    diary.start()
    diary.params(lr=0.3, resumed=True)
    for _ in range(9):
        diary.metrics("loss")
    diary.metrics("late", "accuracy", "new")
    diary.tag("stage", "second")
    diary.end()


class Recording(NamedTuple):
    disk: RecordedDisk
    calls: List[Call]
    level: str

    def cuts(self, count: int, dice: random.Random) -> List[int]:
        """Steps to cut after: some at which a call was acknowledged, as many others, at random, and the last."""
        acknowledged = sorted({call.done for call in self.calls})
        some = dice.sample(acknowledged, min(len(acknowledged), count // 2))
        some += [dice.randrange(self.disk.step + 1) for _ in range(count - len(some) - 1)]
        return [*some, self.disk.step]


def record(base: str, level: str, monkeypatch: Any, live: Any = live_through, first_value: float = 0.0) -> Recording:
    """What ``live`` does in a tree in ``base``, step by step."""
    disk = RecordedDisk(base)
    diary = Diary(disk, os.path.join(base, "mlruns"), level, first_value)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "os", disk)
        live(diary)
    return Recording(disk, diary.calls, level)


# -- what must be there --------------------------------------------------------------------------------------------


def count_safe(calls: List[Call], level: str, cut: int) -> int:
    """How many of the calls, from the first, the level has promised to keep at the cut."""
    if level == "never":
        return 0
    promising = ("end", "flush") if level == "end" else {call.kind for call in calls}
    return max([n for n, call in enumerate(calls, 1) if call.done <= cut and call.kind in promising], default=0)


def read(root: str) -> Optional[Tuple[Dict[str, Any], Dict[str, List[Tuple[int, float]]]]]:
    """The run and its histories as a reader sees them; None if there is no readable run. Damage is warned of only."""
    tracker = ExperimentTracker(runs_dir=root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        listed = tracker.list_runs()
        try:
            run = tracker.get_run(RUN_ID)
        except (RunNotFoundError, DamagedFileError):
            assert listed == []
            return None
        assert listed == [RUN_ID]
        histories = {
            key: [(point.step, point.value) for point in tracker.get_metric_history(RUN_ID, key)]
            for key in run["metrics"]
        }
    return run, histories


def judge(root: str, calls: List[Call], level: str, cut: int, past: int = 0) -> None:
    """Asserts that what the level promises is in the tree, with the first ``past`` calls, and nothing nobody logged."""
    safe_count = max(past, count_safe(calls, level, cut))
    safe, possible = calls[:safe_count], [call for call in calls[safe_count:] if call.begun <= cut]
    found = read(root)
    if found is None:
        assert not safe
        return
    run, histories = found
    judge_values(run, safe, possible)
    judge_histories(histories, safe, possible)
    if level != "never":
        # With "never", a sealed file may be lost that the document counts on.
        for key, points in histories.items():
            assert [step for step, _ in points] == list(range(len(points)))
            assert run["metrics"][key] == points[-1][1]
    turns = [call.kind for call in safe if call.kind in ("start", "end")]
    undecided = not turns or any(call.kind in ("start", "end") for call in possible)
    assert run["metadata"]["name"] == RUN_NAME
    # Without its lock file, nobody can tell that the owner is dead.
    status = "RUNNING" if run["metadata"]["status"] == "CRASHED" else run["metadata"]["status"]
    assert status in ((ENDED, "RUNNING") if undecided else (ENDED if turns[-1] == "end" else "RUNNING",))


def judge_values(run: Dict[str, Any], safe: List[Call], possible: List[Call]) -> None:
    for kind in ("params", "tags"):
        kept = {call.key: call.value for call in safe if call.kind == kind}
        assert set(kept) <= set(run[kind])
        for key, value in run[kind].items():
            allowed = [call.value for call in possible if (call.kind, call.key) == (kind, key)]
            assert value in allowed + ([kept[key]] if key in kept else [])


def judge_histories(histories: Dict[str, List[Tuple[int, float]]], safe: List[Call], possible: List[Call]) -> None:
    assert {call.key for call in safe if call.kind == "metric"} <= set(histories)
    for key, points in histories.items():
        values = [value for _, value in points]
        kept = [call.value for call in safe if (call.kind, call.key) == ("metric", key)]
        assert values[: len(kept)] == kept
        rest = iter([call.value for call in possible if (call.kind, call.key) == ("metric", key)])
        assert all(value in rest for value in values[len(kept) :]), (key, values, "a point twice or out of order")


# -- the cuts ------------------------------------------------------------------------------------------------------

LEVELS = ("end", "always", "never")
#: (documents are rewritten at each call, commits at which the log is folded)
RATIONS = [(True, 10**6), (False, 10**6), (False, 5)]


def pick_losses(dice: random.Random) -> Dict[str, Loss]:
    losses = make_losses(dice.randrange(2**32))
    return {name: losses[name] for name in dice.sample(sorted(losses), 2)}


@pytest.mark.damaged_tree
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("refresh", "fold_at"), RATIONS)
def test_what_the_level_promises_survives_any_power_cut(
    tmp_path: Any, monkeypatch: Any, level: str, refresh: bool, fold_at: int
) -> None:
    """Whenever the power goes, and whatever unsynced thing is lost, a reader finds all that was promised."""
    ration_documents(monkeypatch, refresh, fold_at)
    seal_early(monkeypatch)
    base = tmp_path / "disk"
    base.mkdir()
    recording = record(str(base), level, monkeypatch)
    dice = random.Random(repr((level, refresh, fold_at)))
    state = tmp_path / "state"
    for cut in recording.cuts(18, dice):
        for name, loss in pick_losses(dice).items():
            build_state(recording.disk, cut, loss, str(state))
            try:
                judge(str(state / "mlruns"), recording.calls, level, cut)
            except Exception as error:
                raise AssertionError("power cut after step %d, keeping %s" % (cut, name)) from error
            shutil.rmtree(str(state))


def seal_at_once(diary: Diary) -> None:
    diary.start()
    diary.params(lr=0.1)
    # The run itself is on the medium from here on.
    diary.flush()
    for _ in range(5):
        diary.metrics("loss")
    diary.flush()


@pytest.mark.damaged_tree
def test_first_seal_survives_a_cut_after_every_step(tmp_path: Any, monkeypatch: Any) -> None:
    """A metric whose document was never synced is sealed: whatever is left of it, its last value ends its history."""
    ration_documents(monkeypatch, refresh=False)
    seal_early(monkeypatch)
    base, state = tmp_path / "disk", tmp_path / "state"
    base.mkdir()
    recording = record(str(base), "end", monkeypatch, seal_at_once)
    flush = recording.calls[-1]
    for cut in range(flush.begun, flush.done + 1):
        for name, loss in make_losses(cut).items():
            build_state(recording.disk, cut, loss, str(state))
            try:
                judge(str(state / "mlruns"), recording.calls, "end", cut)
            except Exception as error:
                raise AssertionError("power cut after step %d, keeping %s" % (cut, name)) from error
            shutil.rmtree(str(state))


@pytest.mark.damaged_tree
@pytest.mark.parametrize("level", ["end", "always"])
def test_run_goes_on_after_a_power_cut_and_survives_the_next(tmp_path: Any, monkeypatch: Any, level: str) -> None:
    """A run that is continued after a power cut keeps what a reader saw then, through another power cut too."""
    ration_documents(monkeypatch, refresh=False, fold_at=5)
    seal_early(monkeypatch)
    base, after_cut = tmp_path / "disk", tmp_path / "after"
    base.mkdir()
    first = record(str(base), level, monkeypatch)
    dice = random.Random(level)
    for cut in first.cuts(8, dice):
        name, loss = pick_losses(dice).popitem()
        if cut == first.disk.step:
            name = "only what was synced"
            loss = make_losses(0)[name]
        build_state(first.disk, cut, loss, str(after_cut))
        try:
            continue_and_cut_again(after_cut, tmp_path / "state", level, dice, monkeypatch)
        except Exception as error:
            raise AssertionError("first power cut after step %d, keeping %s" % (cut, name)) from error
        shutil.rmtree(str(after_cut))


def continue_and_cut_again(after_cut: Any, state: Any, level: str, dice: random.Random, monkeypatch: Any) -> None:
    seen = read(str(after_cut / "mlruns"))
    # What was readable after the first cut is on the medium: nothing of it may go any more.
    past = rewrite_diary(*seen) if seen is not None else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        try:
            second = record(str(after_cut), level, monkeypatch, go_on, first_value=1000.0)
        except DamagedFileError as error:
            assert seen is None
            assert error.path.endswith("meta.yaml")
            return
    calls = past + second.calls
    judge(str(after_cut / "mlruns"), calls, "always", second.disk.step, len(past))
    for cut in second.cuts(5, dice):
        for name, loss in pick_losses(dice).items():
            build_state(second.disk, cut, loss, str(state))
            try:
                judge(str(state / "mlruns"), calls, level, cut, len(past))
            except Exception as error:
                raise AssertionError("second power cut after step %d, keeping %s" % (cut, name)) from error
            shutil.rmtree(str(state))


def go_on(diary: Diary) -> None:
    diary.start()
    diary.params(lr=0.4, after_cut=1)
    for _ in range(6):
        diary.metrics("loss", "after cut")
    diary.flush()
    diary.metrics("loss", "late")
    diary.end()


def rewrite_diary(run: Dict[str, Any], histories: Dict[str, List[Tuple[int, float]]]) -> List[Call]:
    """The calls that would have made the run as it was seen, all done before the first step."""
    calls = [Call(0, 0, "metric", key, value) for key, points in histories.items() for _, value in points]
    return calls + [Call(0, 0, kind, key, value) for kind in ("params", "tags") for key, value in run[kind].items()]


# -- the model itself ----------------------------------------------------------------------------------------------


def lose_all(disk: RecordedDisk, cut: int, target: Any) -> List[str]:
    build_state(disk, cut, make_losses(0)["only what was synced"], str(target))
    return sorted(
        os.path.relpath(os.path.join(folder, name), str(target))
        for folder, _, names in os.walk(str(target))
        for name in names
    )


def test_model_keeps_what_was_synced_and_nothing_else(tmp_path: Any, monkeypatch: Any) -> None:
    """A file without its fsync comes back empty, one without its folder's not at all, one with both whole."""
    base = tmp_path / "disk"
    base.mkdir()
    disk = RecordedDisk(str(base))
    monkeypatch.setattr(atomic, "os", disk)
    atomic.write_file(str(base), "unsynced", b"data", sync=False)
    atomic.write_file(str(base), "nameless", b"data", sync=True)
    assert lose_all(disk, disk.step, tmp_path / "first") == []
    atomic.sync_folder(str(base))
    assert lose_all(disk, disk.step, tmp_path / "second") == ["nameless", "unsynced"]
    assert (tmp_path / "second" / "nameless").read_bytes() == b"data"
    assert (tmp_path / "second" / "unsynced").read_bytes() == b""


@pytest.mark.damaged_tree
def test_engine_that_forgets_an_fsync_is_found_out(tmp_path: Any, monkeypatch: Any) -> None:
    """Without the fsync before a replacing rename, the judgement fails."""
    real = atomic.write_file
    monkeypatch.setattr(atomic, "write_file", lambda folder, name, data, sync: real(folder, name, data, False))
    base = tmp_path / "disk"
    base.mkdir()
    recording = record(str(base), "end", monkeypatch)
    build_state(recording.disk, recording.disk.step, make_losses(0)["names but no content"], str(tmp_path / "state"))
    with pytest.raises(AssertionError):
        judge(str(tmp_path / "state" / "mlruns"), recording.calls, "end", recording.disk.step)
