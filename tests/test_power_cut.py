"""Power cuts: whatever a careless file system keeps, what the fsync level promises is there and reads without error.

The search is that of ``python -m stress power``, which goes on for as long as one likes; here a few dozen states of
each workload are built, read and gone on from, and those around the steps that once went wrong, all of them.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, Callable, List

import pytest

from mini_mlflow import ExperimentTracker
from mini_mlflow.disk import atomic
from mini_mlflow.writing import ended_snapshots, trash
from mini_mlflow.writing.durability import Durability
from stress.power import program
from stress.power.diary import DONE, REFUSED, Call, Diary, record
from stress.power.enumerating import Enumeration
from stress.power.finding import Found
from stress.power.judging import ask, judge
from stress.power.processes import SimulatedProcess
from stress.power.recorded_disk import RecordedDisk
from stress.power.searching import LEVELS, Search, Variant
from stress.power.states import KEPT, LOST, NAMES_ONLY, Moment, State, write_tree
from stress.power.workloads import RATIONS, WORKLOADS, go_on

# No Python cuts the power in a way of its own.
pytestmark = [pytest.mark.damaged_tree, pytest.mark.long]

# What a longer search raises: ``python -m stress power`` does.
STATES = 36


def tell(search: Search) -> str:
    return "\n".join("%s\n%s" % (finding.command(), finding.error) for finding in search.tally.findings)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_the_level_promises_survives_any_power_cut(workload: str, level: str, tmp_path: Path) -> None:
    """Whenever the power goes, and whatever unsynced thing is lost: all that was promised is read, and gone on from."""
    # Over all of these, each ration meets each workload and each level.
    ration = sorted(RATIONS)[(list(WORKLOADS).index(workload) + LEVELS.index(level)) % len(RATIONS)]
    search = Search(Variant(workload, level, ration, 1), tmp_path / "search")
    assert search.advance(STATES), tell(search)
    assert search.tally.distinct > STATES // 4
    assert search.tally.continued


# -- all states of a few steps -------------------------------------------------------------------------------------


def search_all(
    tmp_path: Path, monkeypatch: Any, live: Callable[[Diary], None], level: str, from_call: int, ration: str = "behind"
) -> Search:
    """Has tried each state that differs in one thing, after each step from the call ``from_call`` (-1: the last) on."""
    monkeypatch.setitem(WORKLOADS, "scenario", lambda diary, dice: live(diary))
    search = Search(Variant("scenario", level, ration, 1), tmp_path / "search")
    for cut in range(search.recording.calls[from_call].begun, search.recording.disk.step + 1):
        for state in search.enumeration.around(cut):
            if search.is_new(state):
                search.try_state(state, continued=state.base == LOST and not state.deviations)
    assert not search.tally.findings, tell(search)
    return search


def test_first_seal_survives_a_cut_after_every_step(tmp_path: Path, monkeypatch: Any) -> None:
    """A metric whose document was never synced is sealed: whatever is left of it, its last value ends its history."""

    def live(diary: Diary) -> None:
        diary.start()
        diary.params(lr=0.1)
        # The run itself is on the medium from here on.
        diary.flush()
        for _ in range(5):
            diary.metrics("loss")
        diary.flush()

    search_all(tmp_path, monkeypatch, live, "end", from_call=-1)


def test_run_that_ended_at_once_is_resumed_after_any_cut(tmp_path: Path, monkeypatch: Any) -> None:
    """Of ``meta.yaml``, which nothing has synced before the end, the end's own cut may leave nothing."""

    def live(diary: Diary) -> None:
        diary.start()
        diary.metrics("loss")
        diary.end()
        diary.start()

    search_all(tmp_path, monkeypatch, live, "end", from_call=2)


def test_folder_that_another_process_made_is_synced_by_who_relies_on_it(tmp_path: Path, monkeypatch: Any) -> None:
    """One process has synced the way down to its params; the folder of metrics came later, and was another's."""

    def live(diary: Diary) -> None:
        first, second = diary.process, SimulatedProcess(pid=1002)
        diary.start()
        diary.params(lr=0.1)
        diary.flush()
        diary.switch_to(second)
        diary.start()
        diary.metrics("loss")
        diary.switch_to(first)
        diary.metrics("loss")
        diary.flush()

    search_all(tmp_path, monkeypatch, live, "end", from_call=-1)


def test_folder_that_a_fold_made_is_synced_by_the_next_first_value(tmp_path: Path, monkeypatch: Any) -> None:
    """What the fold put there stands in the log too, and need not survive; the value of the call stands there alone."""

    def live(diary: Diary) -> None:
        diary.start()
        diary.metrics("loss", "acc")
        diary.metrics("single")

    search_all(tmp_path, monkeypatch, live, "always", from_call=-1, ration="current")


@pytest.mark.parametrize("at", range(7, 11))
def test_folder_of_sealed_files_whose_maker_was_killed_is_synced_before_a_document_relies_on_it(
    at: int, tmp_path: Path, monkeypatch: Any
) -> None:
    def live(diary: Diary) -> None:
        first = diary.process
        diary.start()
        for _ in range(3):
            diary.metrics("loss")
        diary.flush()
        diary.switch_to(SimulatedProcess(pid=1002))
        diary.start()
        diary.metrics("loss")
        diary.killed_during(diary.flush, at)
        diary.switch_to(first)
        diary.flush()

    search_all(tmp_path, monkeypatch, live, "end", from_call=-1)


@pytest.mark.parametrize("level", ["end", "always"])
def test_end_that_could_not_be_taken_back_for_good_takes_no_later_call_with_it(
    level: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """The sync of the end fails, and so does that of taking it back: the next call makes sure of that first."""

    def live(diary: Diary) -> None:
        diary.start()
        diary.metrics("loss")
        diary.failing(diary.end, "fsync", "r")
        assert diary.calls[-1].outcome == REFUSED
        diary.metrics("loss")
        diary.flush()

    search_all(tmp_path, monkeypatch, live, level, from_call=3)


# -- deletions and experiments -------------------------------------------------------------------------------------


def live_and_delete(diary: Diary) -> None:
    diary.start()
    diary.metrics("loss")
    diary.end()
    diary.delete()


def live_and_restore(diary: Diary) -> None:
    live_and_delete(diary)
    diary.restore()


def live_and_remove(diary: Diary) -> None:
    live_and_delete(diary)
    diary.gc()


def make_experiment(diary: Diary) -> None:
    live_and_delete(diary)
    diary.restore()
    diary.experiment(1, "mine")


def change_after_end(diary: Diary) -> None:
    """The folder of metrics is as new as the first point of one, which nobody has synced."""
    diary.start()
    diary.tag("kind", "old")
    diary.tag("stage", "old")
    diary.end()
    diary.amend("loss", stage="new")
    diary.amend("loss", "acc", deleted=["kind"], stage="newer", added=1)


TURNS = {
    "delete": live_and_delete,
    "restore": live_and_restore,
    "gc": live_and_remove,
    "experiment": make_experiment,
    "change": change_after_end,
}


@pytest.mark.parametrize("turn", TURNS)
def test_run_is_before_or_after_a_turn_after_any_cut(turn: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Of the call itself, each state that differs in one thing: before or after, and after once it has returned."""
    search_all(tmp_path, monkeypatch, TURNS[turn], "end", from_call=-1)


real_move, real_sync = trash.move_synced, atomic.sync_folder


real_write_documents, real_make_plan = ended_snapshots._write, ended_snapshots._make_plan


class Unsynced:
    """Stands in for `disk.atomic` where folders are not to be synced."""

    def __getattr__(self, name: str) -> Any:
        return (lambda path: None) if name == "sync_folder" else getattr(atomic, name)


def sync_all_but(name: str) -> Callable[..., None]:
    def sync(path: str, missing_ok: bool = False) -> None:
        if os.path.basename(path) != name:
            real_sync(path, missing_ok)

    return sync


FORGETFUL_TURNS = {
    "a deletion's rename": (
        "delete",
        (trash, "move_synced", lambda path, target, sync: real_move(path, target, False)),
    ),
    "a restoration's rename": (
        "restore",
        (trash, "move_synced", lambda path, target, sync: real_move(path, target, False)),
    ),
    "the folder of a deleted run": ("delete", (atomic, "sync_folder", sync_all_but(".trash"))),
    "a removal before its first step": (
        "gc",
        (trash, "move_synced", lambda path, target, sync: real_move(path, target, False)),
    ),
    "documents that a snapshot does not hold whole": (
        "change",
        (ended_snapshots, "_write", lambda paths, documents, sync: real_write_documents(paths, documents, False)),
    ),
    "the folder of a first history": (
        "change",
        (ended_snapshots, "_make_plan", lambda *args: real_make_plan(*args)._replace(is_first_history=False)),
    ),
    "the folder of a changed run": ("change", (ended_snapshots, "atomic", Unsynced())),
    "the name of an experiment": ("experiment", (atomic, "sync_folder", sync_all_but("mlruns"))),
}


@pytest.mark.parametrize("forgotten", FORGETFUL_TURNS)
def test_turn_that_forgets_to_sync_is_found_out(forgotten: str, tmp_path: Path, monkeypatch: Any) -> None:
    turn, setting = FORGETFUL_TURNS[forgotten]
    monkeypatch.setattr(*setting)
    with pytest.raises(AssertionError):
        search_all(tmp_path, monkeypatch, TURNS[turn], "end", from_call=-1)


# -- engines that forget -------------------------------------------------------------------------------------------

real_write = atomic.write_file
FORGETFUL = {
    "fsync before a rename": (
        atomic,
        "write_file",
        lambda folder, name, data, sync: real_write(folder, name, data, False),
    ),
    "fsync of new documents": (atomic, "sync_file", lambda path: None),
    "fsync of folders": (atomic, "sync_folder", lambda path, missing_ok=False: None),
    "documents before the log goes": (Durability, "sync_document", lambda self, place, commit: None),
}


@pytest.mark.parametrize("forgotten", FORGETFUL)
def test_engine_that_forgets_is_found_out(forgotten: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Without one of the mechanisms, the search finds a state that breaks the promise, and keeps it."""
    monkeypatch.setattr(*FORGETFUL[forgotten])
    # Under "end" nothing is promised of commits since the last flush, and a flush syncs every document by itself.
    level = "always" if forgotten == "documents before the log goes" else "end"
    search = Search(Variant("several_lives", level, "folding", 1), tmp_path / "search")
    search.advance(400)
    (finding,) = search.tally.findings
    assert os.path.isdir(finding.kept)
    repeated = Search(finding.variant, tmp_path / "repeated")
    repeated.try_state(State.parse(str(finding.states[0])), second=finding.states[-1])
    assert repeated.tally.findings


def test_doctored_runs_are_found_out() -> None:
    """The judgement alone: a value too many, twice, too few, out of order, not the last, of the wrong status."""
    calls = [Call(0, 1, "turn", value="RUNNING"), Call(1, 2, "params", "lr", 1)]
    calls += [Call(n, n + 1, "metric", "loss", float(n)) for n in (2, 3)]
    calls += [Call(4, 5, "metric", "loss", 4.0, REFUSED), Call(5, 6, "turn", value="FINISHED")]
    asked = ask(calls, "end", cut=6)

    def found(values: List[float], last: float = 3.0, lr: Any = 1, status: str = "FINISHED") -> Found:
        metadata = {"name": "power", "status": status}
        run = {"metadata": metadata, "params": {"lr": lr}, "tags": {}, "metrics": {"loss": last}}
        histories = {"loss": list(enumerate(values))}
        return Found(run, histories, histories)

    judge(found([2.0, 3.0]), asked, "end")
    for doctored in (
        None,
        found([3.0]),
        found([2.0, 2.0, 3.0]),
        found([3.0, 2.0], last=2.0),
        found([2.0, 3.0, 4.0], last=4.0),
        found([2.0, 3.0, 9.0], last=9.0),
        found([2.0, 3.0], last=2.0),
        found([2.0, 3.0], lr=2),
        found([2.0, 3.0], status="CRASHED"),
    ):
        with pytest.raises(AssertionError):
            judge(doctored, asked, "end")


# -- the model itself ----------------------------------------------------------------------------------------------


def test_model_keeps_what_was_synced_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    """A file without its fsync comes back empty, one without its folder's not at all, one with both whole."""
    disk = RecordedDisk(str(tmp_path))
    monkeypatch.setattr(atomic, "os", disk)
    atomic.write_file(str(tmp_path), "unsynced", b"data", sync=False)
    atomic.write_file(str(tmp_path), "nameless", b"data", sync=True)
    assert Moment(disk, disk.step).build(State(disk.step, LOST)) == {}
    atomic.sync_folder(str(tmp_path))
    assert Moment(disk, disk.step).build(State(disk.step, LOST)) == {"nameless": b"data", "unsynced": b""}


def test_model_enumerates_older_missing_partial_and_zeroed_files(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_bytes(b"old")
    disk = RecordedDisk(str(tmp_path))
    monkeypatch.setattr(atomic, "os", disk)
    atomic.write_file(str(tmp_path), "file", b"new!", sync=False)
    atomic.remove_file(str(tmp_path / "file"))
    states = Enumeration(disk, 0).around(disk.step)
    trees = [Moment(disk, disk.step).build(state) for state in states]
    found = {tree.get("file") for tree in trees} | {
        Moment(disk, disk.step).build(State(disk.step, NAMES_ONLY, (*state.deviations, (1, 1)))).get("file")
        for state in states
        if len(state.deviations) == 1 and state.deviations[0][0] == 2
    }
    assert found == {b"old", None, b"", b"\0\0\0\0", b"ne", b"ne\0\0", b"new!"}


def test_state_without_a_loss_is_the_tree_itself(tmp_path: Path) -> None:
    base = tmp_path / "disk"
    base.mkdir()
    recording = record(str(base), "end", go_on)
    write_tree(Moment(recording.disk, recording.disk.step).build(State(recording.disk.step, KEPT)), str(tmp_path / "s"))
    assert all(call.outcome == DONE for call in recording.calls)
    one, other = (
        sorted((str(path.relative_to(root)), path.is_dir() or path.read_bytes()) for path in root.rglob("*"))
        for root in (base, tmp_path / "s")
    )
    assert one == other


def test_states_are_printed_as_they_are_read() -> None:
    for state in (State(3, KEPT), State(17, LOST, ((1, 2), (5, 0)))):
        assert State.parse(str(state)) == state
    for wrong in ("", "3:all:", "3:kept:1", "x:kept:"):
        with pytest.raises(ValueError):
            State.parse(wrong)


def test_simulated_processes_own_and_lose_their_runs_as_real_ones_do(runs_dir: str, tmp_path: Path) -> None:
    tracker = ExperimentTracker(runs_dir=runs_dir)
    diary = Diary(RecordedDisk(str(tmp_path)), runs_dir, "never")
    first, second = diary.process, SimulatedProcess(pid=1002)
    diary.start()
    assert tracker.get_run("r")["metadata"]["pid"] == first.pid
    diary.switch_to(second)
    diary.start()
    assert tracker.get_run("r")["metadata"]["pid"] == first.pid
    first.die()
    assert tracker.get_run("r")["metadata"]["status"] == "CRASHED"
    diary.start()
    assert tracker.get_run("r")["metadata"]["pid"] == second.pid
    assert tracker.get_run("r")["metadata"]["status"] == "RUNNING"
    diary.end()
    diary.close()


# -- the program ---------------------------------------------------------------------------------------------------

ONE = ("--workload", "batches", "--fsync", "end", "--ration", "behind", "--seed", "1")


def test_program_reports_what_held_and_leaves_nothing(tmp_path: Path, capsys: Any) -> None:
    assert program.main([*ONE, "--states", "15", "--json", "--runs-dir", str(tmp_path)]) == program.HELD
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert (variant["verdict"], variant["built"]) == ("PASS", 15)
    assert list(tmp_path.iterdir()) == []


def test_program_keeps_a_failing_state_and_its_command_repeats_it(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(*FORGETFUL["fsync of folders"])
    assert program.main([*ONE, "--states", "200", "--runs-dir", str(tmp_path)]) == program.BROKEN
    report = capsys.readouterr().out
    command = report.partition("broken: python -m stress power ")[2].partition("\n")[0]
    assert os.path.isdir(report.rpartition("kept in ")[2].strip())
    assert program.main([*command.split(), "--runs-dir", str(tmp_path)]) == program.BROKEN
    monkeypatch.undo()
    assert "FAIL" in capsys.readouterr().out


def test_program_says_when_it_cannot_run(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    wrong: List[List[str]] = [["--state", "1:kept:"], ["--states", "0"], ["--runs-dir", str(tmp_path / "nowhere")]]
    for arguments in wrong:
        with pytest.raises(SystemExit) as left:
            program.main(arguments)
        assert left.value.code == program.COULD_NOT_RUN
    monkeypatch.setattr(random, "Random", lambda seed: 1 / 0)
    assert program.main([*ONE, "--runs-dir", str(tmp_path)]) == program.COULD_NOT_RUN
    assert "ZeroDivisionError" in capsys.readouterr().err
