"""Rewinding a run: what was logged past a step is hidden from then on, in every metric, and nothing is deleted."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

import faults
import mini_mlflow
from concurrency import Children, run_together
from mini_mlflow import DamagedFileWarning, ExperimentTracker, NoActiveRunError, Run, RunEndedError
from mini_mlflow.disk import atomic
from mini_mlflow.writing import open_runs
from mini_mlflow.writing.folding import Folding
from mini_mlflow.writing.operations import metric_submission, rewind_submission
from stress.power.processes import SimulatedProcess
from tree_check import read_strict_json

ID = "r"
LEGACY = Path(__file__).resolve().parent / "data" / "tree_0_1_0"


@pytest.fixture(params=["current", "behind"])
def documents(request: Any, monkeypatch: Any) -> None:
    """Documents are rewritten at each call, or wait; four points are sealed, two files of a size are merged."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=request.param == "current")


@pytest.fixture
def behind(monkeypatch: Any) -> None:
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)


def refuse_to_fold(self: Any, commits: Any) -> Any:
    """Takes the place of `Folding.fold`, so that readers find rewinds in the log."""
    raise OSError(errno.ENOSPC, "No space left on device", "-")


def refuse_to_write(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device", "-")


def history(run: Run, key: str = "loss", hidden: bool = False) -> List[Any]:
    """(step, value) of each point."""
    tracker = ExperimentTracker(runs_dir=run.runs_dir)
    points = tracker.get_metric_history(run.run_id, key, run.experiment_id, hidden=hidden)
    return [(point.step, point.value) for point in points]


def metrics(run: Run) -> Dict[str, Any]:
    found: Dict[str, Any] = ExperimentTracker(runs_dir=run.runs_dir).get_run(run.run_id, run.experiment_id)["metrics"]
    return found


def document(run: Run, key: str = "loss") -> Any:
    return read_strict_json(os.path.join(run.runs_dir, "0", run.run_id, "metrics", key + ".json"))


def sealed(run: Run, key: str = "loss") -> List[str]:
    return sorted(os.listdir(os.path.join(run.runs_dir, "0", run.run_id, "metrics", key + ".history")))


def count_up(run: Run, numbers: Any, key: str = "loss", sign: float = 1.0) -> None:
    for n in numbers:
        run.log_metric(key, sign * n, step=n)


# -- what is hidden ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("documents")
def test_points_past_the_step_are_hidden_in_every_metric(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_param("lr", 0.1)
    for n in range(7):
        run.log_metrics({"loss": 1.0 / (n + 1), "acc": float(n)}, step=n)
    assert run.rewind(3) is None  # type: ignore[func-returns-value]
    assert [step for step, _ in history(run)] == [0, 1, 2, 3]
    assert history(run, "acc") == [(n, float(n)) for n in range(4)]
    assert history(run, "acc", hidden=True) == [(n, float(n)) for n in range(7)]
    assert metrics(run) == {"loss": 0.25, "acc": 3.0}
    assert ExperimentTracker(runs_dir=runs_dir).get_run(ID)["params"] == {"lr": 0.1}


@pytest.mark.usefixtures("documents")
def test_steps_that_are_repeated_stand_once(runs_dir: str) -> None:
    """What a preempted job does, three times: on from the checkpoint, with other values, to the end."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    for life, (begin, stop) in enumerate([(0, 9), (5, 7), (6, 14)]):
        run = tracker.start_run(run_id=ID)
        run.rewind(begin - 1)
        for n in range(begin, stop):
            run.log_metric("loss", 100.0 * life + n, step=n)
        tracker.end_run()
    expected = [(n, float(n)) for n in range(5)] + [(5, 105.0)] + [(n, 200.0 + n) for n in range(6, 14)]
    assert history(run) == expected
    assert len(history(run, hidden=True)) == 9 + 2 + 8
    summary = read_strict_json(os.path.join(runs_dir, "0", ID, "snapshot.json"))["metrics"]["loss"]
    assert (summary["value"], summary["step"], summary["min"], summary["max"]) == (213.0, 13, 0.0, 213.0)
    assert (summary["count"], summary["hidden"]) == (19, 5)


@pytest.mark.usefixtures("documents")
def test_points_without_a_step_go_on_after_the_last_visible_one(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    for n in range(6):
        run.log_metric("loss", float(n))
    run.rewind(2)
    for n in range(4):
        run.log_metric("loss", 10.0 + n)
    assert history(run) == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 10.0), (4, 11.0), (5, 12.0), (6, 13.0)]
    run.end()
    assert history(run)[-1] == (6, 13.0)


@pytest.mark.usefixtures("documents")
def test_what_is_logged_later_is_visible_whatever_its_step(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(4))
    run.rewind(1)
    run.log_metric("loss", 0.5, step=1000)
    run.log_metric("new", 0.5, step=1000)
    assert history(run)[-1] == (1000, 0.5)
    assert metrics(run) == {"loss": 0.5, "new": 0.5}
    run.flush()
    run.end()
    assert metrics(run) == {"loss": 0.5, "new": 0.5}


@pytest.mark.usefixtures("documents")
def test_steps_need_not_increase(runs_dir: str) -> None:
    """Hidden is what has a greater step, wherever it stands among the others."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    for n, step in enumerate([9, 1, 8, -3, 2, 7]):
        run.log_metric("loss", float(n), step=step)
    run.rewind(2)
    assert history(run) == [(1, 1.0), (-3, 3.0), (2, 4.0)]
    assert metrics(run) == {"loss": 4.0}


@pytest.mark.usefixtures("documents")
def test_metric_with_no_visible_point_has_no_value(runs_dir: str) -> None:
    """It is no metric of the run until it is logged again; its document stays."""
    tracker = ExperimentTracker(runs_dir=runs_dir)
    run = tracker.start_run(run_id=ID)
    count_up(run, range(5, 11))
    run.log_metric("once", 1.0, step=5)
    run.log_metric("kept", 1.0, step=4)
    run.rewind(4)
    assert metrics(run) == {"kept": 1.0}
    assert history(run) == history(run, "once") == []
    assert history(run, "once", hidden=True) == [(5, 1.0)]
    run.flush()
    assert document(run, "once")["value"] is None
    tracker.end_run()
    assert metrics(run) == {"kept": 1.0}
    assert set(read_strict_json(os.path.join(runs_dir, "0", ID, "snapshot.json"))["metrics"]) == {"kept"}
    run = tracker.start_run(run_id=ID)
    assert metrics(run) == {"kept": 1.0}
    run.log_metric("once", 2.0)
    run.log_metric("loss", 3.0)
    assert metrics(run) == {"kept": 1.0, "loss": 3.0, "once": 2.0}
    assert history(run, "once") == [(0, 2.0)]
    tracker.end_run()
    assert metrics(run) == {"kept": 1.0, "loss": 3.0, "once": 2.0}
    assert history(run, "once", hidden=True) == [(5, 1.0), (0, 2.0)]


@pytest.mark.usefixtures("behind")
def test_sealing_and_merging_keep_what_is_hidden(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(6))
    run.rewind(3)
    assert sealed(run) == ["0-5.jsonl"]
    count_up(run, range(4, 9), sign=-1.0)
    run.flush()
    assert sealed(run) == ["0-10.jsonl"]
    expected = [(n, float(n)) for n in range(4)] + [(n, -float(n)) for n in range(4, 9)]
    assert history(run) == expected
    run.rewind(6)
    for _ in range(8):
        run.log_metric("loss", 0.5)
    run.flush()
    assert history(run) == expected[:7] + [(n, 0.5) for n in range(7, 15)]
    assert document(run)["rewinds"] == [[6, 3], [11, 6]]
    assert document(run)["hidden"] == 4
    run.end()
    assert history(run) == expected[:7] + [(n, 0.5) for n in range(7, 15)]


@pytest.mark.usefixtures("documents")
def test_rewind_that_hides_nothing_leaves_no_trace_in_documents(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(5))
    for _ in range(3):
        run.rewind(4)
    run.flush()
    assert not {"rewinds", "hidden"} & set(document(run))
    run.rewind(2)
    run.rewind(2)
    run.rewind(3)
    assert document(run)["rewinds"] == [[5, 2]]


@pytest.mark.usefixtures("documents")
def test_run_without_metrics_can_be_rewound(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.rewind(0)
    run.log_param("lr", 0.1)
    run.rewind(-1)
    run.log_metric("loss", 0.5, step=3)
    assert metrics(run) == {"loss": 0.5}
    run.flush()
    assert metrics(run) == {"loss": 0.5}


def test_numpy_step_is_an_int(runs_dir: str) -> None:
    numpy = pytest.importorskip("numpy")
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(3))
    run.rewind(numpy.int64(1))
    assert len(history(run)) == 2


@pytest.mark.parametrize("step", [None, 1.0, "1", True, [1]])
def test_step_that_is_no_int_is_refused_and_hides_nothing(step: Any, runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(3))
    with pytest.raises(TypeError, match="step of a rewind must be an int"):
        run.rewind(step)
    with pytest.raises(ValueError, match=r"more than 4,200 digits"):
        run.rewind(10**5000)
    assert len(history(run)) == 3


def test_run_that_has_ended_is_not_rewound(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(3))
    run.end()
    with pytest.raises(RunEndedError, match=r"Cannot log to run 'r'.*start_run\(run_id='r'\) resumes it"):
        run.rewind(0)
    with pytest.raises(RunEndedError):
        Run(run_id=ID, runs_dir=runs_dir).rewind(0)
    assert len(history(run)) == 3


def test_function_rewinds_the_active_run(runs_dir: str) -> None:
    with pytest.raises(NoActiveRunError):
        mini_mlflow.rewind(0)
    mini_mlflow.set_runs_dir(runs_dir)
    with mini_mlflow.start_run() as run:
        count_up(run, range(3))
        mini_mlflow.rewind(0)
    assert history(run) == [(0, 0.0)]


# -- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("documents")
def test_rewind_in_a_batch_hides_what_stands_before_it_there(runs_dir: str) -> None:
    """Calls of several threads that become one commit keep their order."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_metric("loss", 1.0, step=9)
    batch = [metric_submission("loss", 2.0, 9), metric_submission("other", 2.0, 9), rewind_submission(0)]
    batch += [metric_submission("loss", 3.0, 9), metric_submission("other", 3.0, 9), metric_submission("new", 3.0, 9)]
    opened = run._opened()
    opened.group.run_alone(lambda: opened.files.commit(lambda: [one for one in batch if not one.settled]))
    assert [one.error for one in batch] == [None] * 6
    for _ in range(2):
        assert metrics(run) == {"loss": 3.0, "other": 3.0, "new": 3.0}
        assert history(run) == history(run, "other") == history(run, "new") == [(9, 3.0)]
        assert len(history(run, hidden=True)) == 3
        run.flush()
    assert len(os.listdir(os.path.join(runs_dir, "0", ID, "log"))) == 1


def test_threads_that_log_while_one_rewinds_lose_nothing(runs_dir: str) -> None:
    """Every point stands once; visible is what was logged after the last rewind had returned."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    rewinds = 8
    later: Dict[int, List[float]] = {}
    over: List[int] = []

    def log(thread: int) -> None:
        done: List[float] = []
        for n in range(60):
            sure = len(over) == rewinds
            value = 1000.0 * thread + n
            run.log_metrics({"shared": value, "own-%d" % thread: value}, step=5)
            if sure:
                done.append(value)
        later[thread] = done

    def rewind() -> None:
        for _ in range(rewinds):
            run.rewind(0)
            over.append(1)

    run_together(*[lambda thread=thread: log(thread) for thread in range(3)], rewind)
    for thread in range(3):
        mine = [1000.0 * thread + n for n in range(60)]
        for key in ("shared", "own-%d" % thread):
            stored = [value for _, value in history(run, key, hidden=True) if value in mine]
            shown = [value for _, value in history(run, key) if value in mine]
            assert stored == mine
            assert shown == mine[len(mine) - len(shown) :]
            assert set(later[thread]) <= set(shown)
    run.rewind(0)
    assert metrics(run) == {}


def _log_in_child(run: Run, first: int) -> None:
    for n in range(40):
        run.log_metric("loss", float(first + n), step=5)


def test_processes_that_log_while_one_rewinds_lose_nothing(runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    with Children("spawn") as children:
        for first in (0, 1000):
            children.start(_log_in_child, run, first)
        for _ in range(10):
            run.rewind(3)
    run.rewind(3)
    run.log_metric("loss", -1.0, step=9)
    assert history(run) == [(9, -1.0)]
    assert sorted(value for _, value in history(run, hidden=True)) == sorted(
        [-1.0, *(float(first + n) for first in (0, 1000) for n in range(40))]
    )


@pytest.mark.usefixtures("behind")
def test_other_process_knows_of_a_rewind(runs_dir: str) -> None:
    """It had documents in memory from before; and its folding, later, does not rewind what came after."""
    first, second = SimulatedProcess(1), SimulatedProcess(2)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    with first.running():
        run = Run(run_id=ID, runs_dir=runs_dir)
        count_up(run, range(5))
        run.flush()
    with second.running():
        other = Run(run_id=ID, runs_dir=runs_dir)
        other.log_metric("loss", 5.0)
        other.rewind(1)
        other.log_metric("new", 0.5, step=7)
    with first.running():
        run.log_metric("loss", 10.0)
        run.log_metric("late", 0.5, step=7)
        run.flush()
        assert history(run) == [(0, 0.0), (1, 1.0), (2, 10.0)]
        assert metrics(run) == {"loss": 10.0, "new": 0.5, "late": 0.5}
        run.end()
    assert tracker.get_run(ID)["metrics"] == {"loss": 10.0, "new": 0.5, "late": 0.5}
    for process in (first, second):
        process.die()


# -- while it is in the log only -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("behind")
def test_rewind_that_is_not_folded_yet_holds_for_readers(runs_dir: str, monkeypatch: Any) -> None:
    """Of a writer that was killed between the commit and the fold: a whole history is read, sealed files too."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(3), "lower")
    run.log_metric("lower", 9.0, step=-9)
    count_up(run, range(10))
    run.flush()
    assert sealed(run) == ["0-9.jsonl"]
    with monkeypatch.context() as patch:
        patch.setattr(Folding, "fold", refuse_to_fold)
        run.log_metric("loss", 10.0)
        run.rewind(4)
        assert history(run)[-1] == (4, 4.0)
        assert metrics(run) == {"loss": 4.0, "lower": 9.0}
        run.rewind(-2)
        run.rewind(3)
        run.log_metric("logged", 1.0)
        assert "rewinds" not in document(run)
        expected = {"lower": 9.0, "logged": 1.0}
        assert metrics(run) == expected
        assert history(run) == []
        run.log_metric("loss", 0.25)
        run.rewind(0)
        run.log_metric("loss", 0.125)
        assert history(run) == [(0, 0.25), (1, 0.125)]
        assert metrics(run) == dict(expected, loss=0.125)
    run.flush()
    assert history(run) == [(0, 0.25), (1, 0.125)]
    assert metrics(run) == dict(expected, loss=0.125)
    assert len(history(run, hidden=True)) == 13


@pytest.mark.usefixtures("behind")
def test_metric_that_is_hidden_already_is_rewound_again(runs_dir: str, monkeypatch: Any) -> None:
    """Once in its document, and once in the log alone."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_metric("once", 1.0, step=5)
    run.rewind(3)
    with monkeypatch.context() as patch:
        patch.setattr(Folding, "fold", refuse_to_fold)
        run.rewind(2)
        assert metrics(run) == {}
        run.log_metric("once", 2.0)
        assert metrics(run) == {"once": 2.0}
    run.rewind(-1)
    assert metrics(run) == {}
    assert history(run, "once", hidden=True) == [(5, 1.0), (0, 2.0)]


@pytest.mark.usefixtures("behind")
def test_metric_that_stands_in_the_log_alone_is_rewound(runs_dir: str, monkeypatch: Any) -> None:
    """Its document could not be made before the rewind, and is made afterwards from all that waits."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_param("lr", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Folding, "_write", refuse_to_write)
        run.log_metrics({"a": 1.0, "b": 1.0}, step=1)
        run.log_metrics({"a": 2.0, "b": 2.0}, step=2)
        run.rewind(1)
        assert metrics(run) == {"a": 1.0, "b": 1.0}
    run.log_metric("a", 3.0)
    assert metrics(run) == {"a": 3.0, "b": 1.0}
    assert history(run, "a") == [(1, 1.0), (1, 3.0)]
    run.flush()
    assert document(run, "a")["hidden"] == 1
    assert metrics(run) == {"a": 3.0, "b": 1.0}


def test_fold_that_dies_between_two_documents_is_finished_by_the_next(runs_dir: str, monkeypatch: Any) -> None:
    """Some documents have the rewind, others do not; nothing is hidden twice or not at all."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    for key in ("a", "b", "c"):
        count_up(run, range(4), key)
    run.flush()
    write, written = atomic.write_file, []

    def refuse_second(folder: str, name: str, data: bytes, sync: bool) -> None:
        if folder.endswith("metrics"):
            written.append(name)
            if len(written) == 2:
                raise OSError(errno.ENOSPC, "No space left on device", name)
        write(folder, name, data, sync)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_file", refuse_second)
        run.rewind(1)
    assert ["rewinds" in document(run, key) for key in "abc"] == [True, False, False]
    assert metrics(run) == {"a": 1.0, "b": 1.0, "c": 1.0}
    run.log_metric("a", 7.0)
    run.log_metric("b", 7.0)
    run.flush()
    assert metrics(run) == {"a": 7.0, "b": 7.0, "c": 1.0}
    assert history(run, "a") == history(run, "b") == [(0, 0.0), (1, 1.0), (2, 7.0)]
    assert [document(run, key)["rewinds"] for key in "abc"] == [[[4, 1]]] * 3


# -- old and damaged documents -------------------------------------------------------------------------------------


@pytest.mark.damaged_tree
def test_point_of_0_1_0_is_hidden_and_kept(tmp_path: Path) -> None:
    shutil.copytree(str(LEGACY), str(tmp_path / "tree"))
    tracker = ExperimentTracker(runs_dir=tmp_path / "tree")
    run_id = "0f6d2a4e91b84c07a3d5c1e2f3a4b5c6"
    run = tracker.start_run(run_id=run_id)
    run.rewind(0)
    assert set(metrics(run)) == {"loss", "accuracy", "epochs"}
    run.rewind(-1)
    assert metrics(run) == {}
    assert history(run, hidden=True) == [(0, 0.5)]
    run.log_metric("loss", 0.25)
    tracker.end_run()
    assert metrics(run) == {"loss": 0.25}
    assert history(run) == [(0, 0.25)]


@pytest.mark.damaged_tree
def test_metric_that_0_1_0_called_otherwise_is_rewound(tmp_path: Path) -> None:
    """It stands under another file name; what is hidden of it goes into a document of ours."""
    run = Run(run_id=ID, runs_dir=tmp_path)
    run.log_metric("loss", 1.0)
    folder = tmp_path / "0" / ID / "metrics"
    (folder / "50 %.json").write_text('{"value": 0.5, "timestamp": "2026-01-01T00:00:00Z"}')
    (folder / "text.json").write_text('{"value": "n/a", "timestamp": "2026-01-01T00:00:00Z"}')
    assert metrics(run) == {"loss": 1.0, "50 %": 0.5, "text": "n/a"}
    run.rewind(-1)
    assert metrics(run) == {"text": "n/a"}
    assert history(run, "50 %", hidden=True) == [(0, 0.5)]
    run.log_metric("50 %", 0.75)
    assert metrics(run) == {"text": "n/a", "50 %": 0.75}


@pytest.mark.damaged_tree
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.filterwarnings("ignore::mini_mlflow.DamagedFileWarning")
def test_damaged_document_that_still_tells_its_rewinds_hides_the_same(
    folded: bool, runs_dir: str, monkeypatch: Any
) -> None:
    """Readers and the next writer take what can be read of its points, and the rewinds of its first line."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(6))
    run.rewind(2)
    count_up(run, [3, 4], sign=-1.0)
    for _ in range(2 if folded else 1):
        # A second fold leaves the log without the rewind.
        run.flush()
        run.log_param("lr", 1)
    path = Path(runs_dir, "0", ID, "metrics", "loss.json")
    path.write_bytes(path.read_bytes().replace(b"[4, -4.0,", b"[4; -4.0,"))
    expected = [(0, 0.0), (1, 1.0), (2, 2.0), (3, -3.0)]
    assert history(run)[:4] == expected
    run.log_metric("loss", 0.5)
    run.flush()
    assert history(run)[:4] == expected
    assert history(run)[-1][1] == 0.5
    assert metrics(run)["loss"] == 0.5


@pytest.mark.damaged_tree
def test_lost_document_is_rebuilt_with_the_rewind_that_the_log_still_has(runs_dir: str, monkeypatch: Any) -> None:
    """And what was logged after the rewind is not hidden by it, though its points were in the document already."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(5))
    with monkeypatch.context() as patch:
        patch.setattr(Folding, "fold", refuse_to_fold)
        run.rewind(1)
        count_up(run, [2, 3, 4, 5], sign=-1.0)
    path = Path(runs_dir, "0", ID, "metrics", "loss.json")
    before = path.read_bytes()
    log = Path(runs_dir, "0", ID, "log")
    kept = {name: (log / name).read_bytes() for name in os.listdir(str(log))}
    run.flush()
    # A kill before the log was cut; then somebody empties the document.
    for name, data in kept.items():
        (log / name).write_bytes(data)
    expected = [(0, 0.0), (1, 1.0), (2, -2.0), (3, -3.0), (4, -4.0), (5, -5.0)]
    assert history(run) == expected
    assert before != path.read_bytes()
    path.write_bytes(b"")
    with pytest.warns(DamagedFileWarning):
        assert history(run) == expected
    open_runs._open.clear()
    again = Run(run_id=ID, runs_dir=runs_dir)
    with pytest.warns(DamagedFileWarning):
        again.flush()
    assert history(again) == expected
    assert len(history(again, hidden=True)) == 9
    again.end()
    run._opened().give_up_ownership()


@pytest.mark.damaged_tree
@pytest.mark.parametrize("damage", ["empty", "zeros", "link", "folder", "key"])
@pytest.mark.filterwarnings("ignore::mini_mlflow.DamagedFileWarning")
def test_what_cannot_be_read_stops_no_rewind(damage: str, runs_dir: str) -> None:
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(4))
    run.log_metric("größe 1", 1.0, step=4)
    run.flush()
    folder = Path(runs_dir, "0", ID, "metrics")
    if damage == "link":
        (folder / "bad.json").symlink_to("loss.json")
    elif damage == "folder":
        (folder / "bad.json").mkdir()
        (folder / "bad.history").mkdir()
    else:
        name = "%zz.json" if damage == "key" else "bad.json"
        (folder / name).write_bytes(b"" if damage == "empty" else b"\0" * 80)
    run.rewind(1)
    assert metrics(run) == {"loss": 1.0}
    assert document(run)["rewinds"] == [[4, 1]]
    assert len(os.listdir(os.path.join(runs_dir, "0", ID, "log"))) == 1


@pytest.mark.damaged_tree
@pytest.mark.parametrize("damage", ["gone", "torn"])
@pytest.mark.filterwarnings("ignore::mini_mlflow.DamagedFileWarning")
def test_damaged_sealed_file_costs_its_own_points_alone(damage: str, runs_dir: str, monkeypatch: Any) -> None:
    """What is behind it keeps its positions: nothing that was logged after the rewind is hidden by it."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=False)
    monkeypatch.setattr("mini_mlflow.formats.tiers.FAN", 8)
    run = Run(run_id=ID, runs_dir=runs_dir)
    count_up(run, range(4))
    run.flush()
    count_up(run, range(4, 8))
    run.flush()
    path = Path(runs_dir, "0", ID, "metrics", "loss.history", "0-3.jsonl")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"[1, ", b"[1; ").replace(b"[2, ", b"[2; "))
    run.rewind(5)
    count_up(run, [6, 7, 8], sign=-1.0)
    run.flush()
    readable = [] if damage == "gone" else [(0, 0.0), (3, 3.0)]
    assert history(run) == [*readable, (4, 4.0), (5, 5.0), (6, -6.0), (7, -7.0), (8, -8.0)]
    assert metrics(run) == {"loss": -8.0}


def test_older_reader_sees_a_damaged_commit_and_says_so(runs_dir: str) -> None:
    """What this version writes of a rewind, one that does not know it would take for damage, not for something else."""
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_metric("loss", 1.0, step=1)
    run.rewind(0)
    (path,) = Path(runs_dir, "0", ID, "log").iterdir()
    (change,) = json.loads(path.read_text())["changes"]
    assert change[:2] == ["rewind", 0]
    assert len(change) == 3
