"""Repairing: each damage of test_verify.py is mended, and what could be read before reads the same afterwards."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

import faults
import test_verify
from concurrency import fork, in_child, reap, run_together
from mini_mlflow import DamagedFileWarning, ExperimentTracker, InvalidValueError, Run
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.upkeep import RULES, Repair, findings, iter_repairs, mending_locks, repair, verify
from mini_mlflow.upkeep.mending import Told, _gathering
from mini_mlflow.upkeep.mending_table import MENDINGS
from stress.flips.judging import Readable, compare
from test_verify import CASES, COMMIT, HISTORY, LOSS, LR, META, SNAPSHOT, Case, both, edit
from tree_check import check_tree, list_tree

pytestmark = [pytest.mark.damaged_tree, pytest.mark.skipif(os.name != "posix", reason="needs modes, links and FIFOs")]

made = test_verify.made

#: Findings that no repair of this tree may do anything about, and why.
REFUSED = {
    ("not-regular", ".locks/5"): "processes may hold locks behind it",
    ("owner-elsewhere", META): "only host elsewhere.example",
    ("owner-lock-missing", ".locks/5/ended.owner"): "may be the run's owner",
    ("experiment-twice", "6/experiment.yaml"): "a person must say",
    ("deleted-twice", ".trash/5/ended"): "a person must say",
    ("torn-document", ".trash/5/ended/params/lr.json"): "lies in the trash",
    ("unknown-format", META): "this version does not know",
    ("unknown-format", SNAPSHOT): "this version does not know",
}
#: What is repaired only once the owner is dead: it may have in memory what the commit held.
NOT_BESIDE_THE_OWNER = {"torn-commit", "commit-gap"}
#: What readers told was wrong, and is another one now.
WRONG_STATUS = ("meta-status", "snapshot-disagrees")
WRONG_BEFORE = {"wrong-last": "metrics: loss", "snapshot-disagrees": "metrics: loss"}


class Damaged(NamedTuple):
    """A copy of the tree of test_verify.py; ``owner`` is held while the owner of the live run lives."""

    root: Path
    owner: KeptLock


@pytest.fixture
def tree(made: Path, folder: str) -> Iterator[Damaged]:
    root = Path(folder) / "tree"
    shutil.copytree(str(made), str(root))
    owner = KeptLock(str(root / ".locks" / "5" / "live.owner"))
    assert owner.try_acquire()
    yield Damaged(root, owner)
    owner.close()


def read_all(root: Path) -> Dict[str, Readable]:
    """What can be read of the two runs, by whatever way."""
    tracker = ExperimentTracker(experiment_id=5, runs_dir=root)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        for run_id in ("ended", "live"):
            try:
                run = tracker.get_run(run_id)
            except (OSError, ValueError):
                found[run_id] = Readable(None, {})
                continue
            histories: Dict[str, List[Any]] = {}
            for key in run["metrics"]:
                points = tracker.get_metric_history(run_id, key)
                histories[key] = [(point.step, repr(point.value), point.timestamp) for point in points]
            found[run_id] = Readable(run, histories)
    return found


def compare_all(before: Dict[str, Readable], root: Path) -> List[str]:
    after = read_all(root)
    return [problem for run_id in before for problem in compare(before[run_id], after[run_id])]


def told(root: Path) -> Set[Tuple[str, str]]:
    return {(finding.rule, finding.path) for finding in verify(root)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: "%s-%s" % (case.rule, case.path.replace("/", ".")))
def test_damage_is_repaired_and_nothing_is_lost_that_could_be_read(tree: Damaged, case: Case) -> None:
    root = tree.root
    case.damage(root, root / case.path)
    before, found = read_all(root), told(root)
    assert (case.rule, case.path) in found
    files = count_bytes(root)
    repairs = repair(root)
    waits = [one for one in repairs if "owner of the run is alive" in str(one.reason)]
    assert {one.finding.rule for one in waits} <= NOT_BESIDE_THE_OWNER
    assert bool(waits) == (case.rule in NOT_BESIDE_THE_OWNER or (case.path == COMMIT and case.rule == "not-regular"))
    if case.rule in NOT_BESIDE_THE_OWNER:
        assert [one.finding.rule for one in waits] == [case.rule]
    if waits:
        tree.owner.close()
        repairs += repair(root)
    refused = {(rule, path) for rule, path in told(root)}
    assert all(text in reason_for(repairs, *key) for key, text in REFUSED.items() if key in refused)
    assert refused <= set(REFUSED), repairs
    assert (case.rule, case.path) in refused or (case.rule, case.path) not in REFUSED
    assert found <= {(one.finding.rule, one.finding.path) for one in repairs}
    expected = WRONG_BEFORE.get(case.rule)
    problems = [text for text in compare_all(before, root) if expected is None or not text.startswith(expected)]
    assert [text for text in problems if case.rule not in WRONG_STATUS or not text.startswith("status")] == []
    if case.rule not in BY_THE_ENGINE and not waits and not was_never_there(case):
        # What was replaced or moved away is all there.
        assert not files - count_bytes(root), files - count_bytes(root)
    if not refused:
        check_tree(str(root))
        assert repair(root) == []


#: These go the way of a flush or an end, which replaces and removes what nobody needs any more.
BY_THE_ENGINE = {
    "temporary",
    "remains",
    "deletion-left",
    "empty-run",
    "log-left",
    "sealed-unlisted",
    "document-missing",
    "document-behind-log",
    "dead-owner",
}


def was_never_there(case: Case) -> bool:
    """Whether what is put away is the half of a change that nobody was told of."""
    return case.rule == "document-ahead" and case.severity == findings.LEFTOVER


def count_bytes(root: Path) -> Set[bytes]:
    """The content of every regular file of the tree."""
    return {path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def reason_for(repairs: List[Repair], rule: str, path: str) -> str:
    return next(str(one.reason) for one in repairs if (one.finding.rule, one.finding.path) == (rule, path))


def test_every_rule_has_a_mend() -> None:
    """Also a rule that is new: without a mend, a tree that breaks it cannot be repaired."""
    assert set(MENDINGS) == set(RULES)
    stages = [mending.stage for mending in MENDINGS.values()]
    assert stages == sorted(stages)


def test_sound_tree_is_left_alone(tree: Damaged) -> None:
    before = list_tree(str(tree.root))
    assert repair(tree.root) == []
    assert list_tree(str(tree.root)) == before


# -- many damages at once ------------------------------------------------------------------------------------------

#: Some of them, and what is done to other places beside them.
MANY = [
    ("foreign-file", "5/ended/params/notes"),
    ("temporary", "5/ended/.tmp-1"),
    ("lock-not-empty", ".locks/5/ended.owner"),
    ("wrong-range", "5/live/metrics/loss.json"),
    ("document-missing", "5/ended/tags/stage.json"),
]


def damage_much(root: Path) -> None:
    """A document, a history, a snapshot, a stranger, a lock and more: each once."""
    for rule, path in MANY:
        find_case(rule, path).damage(root, root / path)
    test_verify.cut(root, root / HISTORY / "0-3.jsonl")
    test_verify.cut(root, root / LR)
    test_verify.make_fifo(root, root / SNAPSHOT)


def test_damages_of_one_run_are_repaired_together(tree: Damaged) -> None:
    damage_much(tree.root)
    before = read_all(tree.root)
    found = told(tree.root)
    assert len(found) >= 7
    repairs = repair(tree.root)
    assert told(tree.root) == set()
    assert all(one.done for one in repairs)
    assert found <= {(one.finding.rule, one.finding.path) for one in repairs}
    assert compare_all(before, tree.root) == []


def test_dry_run_changes_nothing_and_tells_what_would_be_done(tree: Damaged) -> None:
    damage_much(tree.root)
    before = list_tree_of_files(tree.root)
    would = repair(tree.root, dry_run=True)
    assert list_tree_of_files(tree.root) == before
    assert {(one.finding.rule, one.finding.path) for one in would} == told(tree.root)
    assert [(one.done, one.reason) for one in would] == [(False, None)] * len(would)
    assert all(one.action for one in would)


def list_tree_of_files(root: Path) -> Dict[str, Any]:
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_fifo() else path.lstat().st_mode
        for path in root.rglob("*")
    }


def test_only_chosen_rules_and_runs_are_repaired(tree: Damaged) -> None:
    damage_much(tree.root)
    (tree.root / "5" / "live" / "notes").write_bytes(b"mine")
    repairs = repair(tree.root, rules=["foreign-file"], run_ids=["live"])
    assert [(one.finding.path, one.done) for one in repairs] == [("5/live/notes", True)]
    assert len(told(tree.root)) >= 7
    with pytest.raises(InvalidValueError, match="unknown rules: torn"):
        repair(tree.root, rules=["torn"])
    seen: List[Tuple[int, int]] = []
    repair(tree.root, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_findings_are_repaired_one_by_one(tree: Damaged) -> None:
    """Who stops in between has a tree in which the rest is still to be found."""
    for run_id in ("ended", "live"):
        (tree.root / "5" / run_id / "notes").write_bytes(b"mine")
    first = next(iter_repairs(tree.root))
    assert len(told(tree.root)) == 1
    assert first.done
    assert (first.finding.rule, first.finding.path) not in told(tree.root)


def test_tree_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        repair(tmp_path / "missing")


# -- killed, and failing -------------------------------------------------------------------------------------------

#: One of each way that a mend goes about it.
KILLED = [
    ("torn-sealed", HISTORY + "/0-3.jsonl"), ("torn-document", LR), ("torn-meta", META), ("dead-owner", META),
    ("snapshot-disagrees", SNAPSHOT), ("lock-not-empty", ".locks/5/ended.owner"), ("not-regular", HISTORY),
    ("wrong-key", "5/ended/params/rate.json"), ("mode-owner", LR),
]  # fmt: skip


def find_case(rule: str, path: str) -> Case:
    return next(case for case in CASES if (case.rule, case.path) == (rule, path))


#: Before each of these, a repair that was killed leaves another tree than before the one before.
CHANGING = frozenset("write replace link unlink mkdir rmdir chmod ftruncate".split())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("rule", "path"), KILLED)
def test_repair_killed_at_any_step_loses_nothing_and_is_done_by_the_next_one(
    made: Path, folder: str, rule: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = faults.install(monkeypatch)
    case = find_case(rule, path)
    steps = ["none yet"]
    at = 0
    while at < len(steps):
        at = next((number for number in range(at + 1, len(steps)) if steps[number - 1] in CHANGING), len(steps))
        root = Path(folder) / str(at)
        shutil.copytree(str(made), str(root))
        owner = KeptLock(str(root / ".locks" / "5" / "live.owner"))
        assert owner.try_acquire()
        case.damage(root, root / path)
        before = read_all(root)
        if len(steps) > 1:
            status = in_child(lambda root=root, at=at: repair_armed(disk, faults.kill, at, root))  # type: ignore[misc]
            assert status in (0, signal.SIGKILL)
            assert not filter_losses(compare_all(before, root), rule), "killed at step %d" % at
            repairs = repair(root)
        else:
            # Not killed, this once: how many steps there are.
            repairs = repair_armed(disk, faults.kill, faults.MOST_STEPS, root)
            steps, at = disk.steps, 0
        assert [one for one in repairs if not one.done] == []
        assert told(root) == set(), "killed at step %d" % at
        assert not filter_losses(compare_all(before, root), rule), "killed at step %d" % at
        owner.close()
        for folder_left in [root, root.parent / "away"]:
            shutil.rmtree(str(folder_left), ignore_errors=True)
    assert sum(step in CHANGING for step in steps) >= (1 if rule == "mode-owner" else 4)


def repair_armed(disk: faults.FaultyOs, fault: faults.Fault, at: int, root: Path) -> List[Repair]:
    with disk.armed(fault, at):
        return repair(root)


def filter_losses(problems: List[str], rule: str) -> List[str]:
    expected = WRONG_BEFORE.get(rule, "-")
    return [text for text in problems if not text.startswith((expected, "status"))]


@pytest.mark.long
@pytest.mark.parametrize("error_number", [errno.ENOSPC, errno.EIO])
def test_step_that_fails_is_a_reason_and_the_next_repair_goes_on(
    made: Path, folder: str, monkeypatch: pytest.MonkeyPatch, error_number: int, request: pytest.FixtureRequest
) -> None:
    """At some of the steps of the repair of much damage; nothing is raised, and no temporary is left."""
    disk = faults.install(monkeypatch)
    stride = 11 if request.config.getoption("--one-in") == 1 else 37
    for at in range(1 if error_number == errno.EIO else 2, faults.MOST_STEPS, stride):
        root = Path(folder) / str(at)
        shutil.copytree(str(made), str(root))
        damage_much(root)
        before, damage = read_all(root), faults.list_temporaries(root)
        with disk.armed(faults.fail(error_number), at):
            repairs = repair(root)
        struck = disk.struck
        if struck is None:
            break
        left = [path for path in faults.list_temporaries(root) if path not in damage]
        assert left == [] or struck.name == "unlink"
        assert filter_losses(compare_all(before, root), "") == [], struck
        repair(root)
        assert told(root) == set(), (struck, repairs)
        assert filter_losses(compare_all(before, root), "") == []
        shutil.rmtree(str(root))
    assert at > 20


# -- owners and locks ----------------------------------------------------------------------------------------------


def test_run_whose_owner_lock_was_deleted_is_left_to_an_owner_that_may_live(
    tree: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended FAILED once no process of the owner's number runs on this host."""
    find_case("owner-lock-missing", ".locks/5/ended.owner").damage(tree.root, tree.root / ".locks/5/ended.owner")
    (one,) = repair(tree.root)
    assert not one.done
    assert "process %d may be" % os.getpid() in str(one.reason)
    child = fork(lambda: None)
    reap(child)
    edit(r"pid: \d+", "pid: %d" % child)(tree.root, tree.root / META)
    repairs = repair(tree.root)
    assert [(one.finding.rule, one.done) for one in repairs] == [("owner-lock-missing", True), ("dead-owner", True)]
    assert read_all(tree.root)["ended"].run["metadata"]["status"] == "FAILED"  # type: ignore[index]


@pytest.mark.parametrize(("pid", "alive"), [(None, False), (0, False), (-1, False), (True, False), (10**30, True)])
def test_number_that_is_no_process_is_not_asked_for(pid: Any, alive: bool) -> None:
    """kill(2) takes 0 and -1 for all processes of a group, and of the system."""
    assert mending_locks._is_alive(pid) is alive


def test_run_ends_failed_at_the_time_of_its_last_sign_of_life(tree: Damaged) -> None:
    tree.owner.close()
    (one,) = repair(tree.root)
    assert (one.finding.rule, one.done) == ("dead-owner", True)
    metadata = read_all(tree.root)["live"].run["metadata"]  # type: ignore[index]
    assert metadata["status"] == "FAILED"
    assert metadata["start_time"][:19] <= metadata["end_time"][:19] <= metadata["start_time"][:14] + "59:59"
    assert told(tree.root) == set()


def test_filled_lock_that_is_held_is_not_touched(tree: Damaged) -> None:
    path = tree.root / ".locks" / "5" / "live.owner"
    path.write_bytes(b"mine")
    (one,) = repair(tree.root)
    assert not one.done
    assert "somebody holds it" in str(one.reason)
    assert path.read_bytes() == b"mine"


def test_lock_file_is_emptied_in_place(tree: Damaged) -> None:
    """A lock file that is replaced would exclude nobody who has the old one open."""
    path = tree.root / ".locks" / "5" / "ended.lock"
    path.write_bytes(b"mine")
    inode = path.stat().st_ino
    (one,) = repair(tree.root)
    assert one.done
    assert (path.stat().st_ino, path.read_bytes()) == (inode, b"")
    assert [kept.read_bytes() for kept in tree.root.glob(".quarantine/*/.locks/5/ended.lock")] == [b"mine"]


def test_repair_waits_for_the_lock_and_tells_who_keeps_it(tree: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINI_MLFLOW_LOCK_TIMEOUT_S", "0.05")
    (tree.root / "5" / "ended" / "notes").write_bytes(b"mine")
    writer = KeptLock(str(tree.root / ".locks" / "5" / "ended.lock"))
    assert writer.try_acquire()
    (one,) = repair(tree.root)
    assert not one.done
    assert "ended.lock" in str(one.reason)
    assert (tree.root / "5" / "ended" / "notes").exists()
    writer.close()
    (one,) = repair(tree.root)
    assert one.done


def test_what_is_gone_by_the_time_of_the_lock_is_not_mended(tree: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has put it right meanwhile; what stands there by then is another matter."""
    module = importlib.import_module("mini_mlflow.upkeep.repair")
    path = tree.root / LR
    sound = path.read_bytes()
    path.write_bytes(b"")
    find = module.find_in_run

    def find_and_mend(paths: Any, entry: Any) -> Any:
        found = list(find(paths, entry))
        if found:
            path.write_bytes(sound)
        return iter(found)

    monkeypatch.setattr(module, "find_in_run", find_and_mend)
    (one,) = repair(tree.root)
    assert (one.done, one.action.partition(":")[0]) == (True, "nothing")
    assert path.read_bytes() == sound
    assert not (tree.root / ".quarantine").exists()


def test_two_repairs_at_once_do_each_thing_once(tree: Damaged) -> None:
    """Each mends what the other has not; neither raises, and nothing is lost between them."""
    damage_much(tree.root)
    before = read_all(tree.root)
    done = run_together(lambda: repair(tree.root), lambda: repair(tree.root))
    assert told(tree.root) == set()
    assert compare_all(before, tree.root) == []
    mended = [
        one.finding[:2] for repairs in done for one in repairs if one.done and not one.action.startswith("nothing")
    ]
    assert sorted(mended) == sorted(set(mended))


def test_gathering_waits_for_another_thread_that_gathers() -> None:
    """And what is none of a damaged file's warnings is shown all the same."""
    entered = []
    with pytest.warns(UserWarning, match="somebody else's"):
        with Told() as told_here:
            warnings.warn("of a file", DamagedFileWarning, stacklevel=1)
            warnings.warn("somebody else's", UserWarning, stacklevel=1)

            def gather() -> None:
                entered.append(_gathering.acquire(blocking=False))

            run_together(gather)
    assert told_here.messages == ["of a file"]
    assert entered == [False]


def test_writer_goes_on_beside_a_repair(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it remembers of its documents does not undo the repair, and nothing it logs is lost."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=True)
    run = Run(run_id="r", runs_dir=folder)
    metrics = Path(folder, "0", "r", "metrics")
    for number in range(40):
        run.log_metric("loss", float(number), timestamp=1000 + number)
        run.log_param("last", number)
        if number % 5 == 4:
            run.flush()
            sealed = sorted(metrics.glob("loss.history/*.jsonl"))
            damage = sealed[number // 5 % len(sealed)] if sealed else metrics / "loss.json"
            lines = damage.read_bytes().split(b"\n")
            damage.write_bytes(b"\n".join([lines[0].replace(b", ", b"; ", 1), *lines[1:]]))
            repairs = repair(folder)
            assert all(one.done for one in repairs)
            assert verify(folder) == []
    run.end()
    assert verify(folder) == []
    stored = faults.read_stored(folder, "r")
    assert stored is not None
    assert stored.params == {"last": 39}
    values = [value for _, value in stored.histories["loss"]]
    assert values == sorted(set(values))
    # Each damage cost a point at the most, and the last of each batch was in memory of nobody else.
    assert len(values) >= 40 - 8
    assert values[-1] == 39.0


# -- what the system refuses ---------------------------------------------------------------------------------------


def test_file_that_the_disk_does_not_give_is_moved_away_and_made_anew(
    tree: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_read(monkeypatch, tree.root / LR, errno.EIO)
    repairs = repair(tree.root)
    assert [(one.finding.rule, one.done) for one in repairs] == [("unreadable", True), ("document-missing", True)]
    monkeypatch.undo()
    assert told(tree.root) == set()
    assert len(list(tree.root.glob(".quarantine/*/" + LR))) == 1


def test_file_without_permission_stays_where_it_is(tree: Damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_read(monkeypatch, tree.root / LR, errno.EACCES)
    repairs = repair(tree.root)
    assert [(one.finding.rule, one.done) for one in repairs] == [("unreadable", False)]
    assert "no permission" in str(repairs[0].reason)
    assert (tree.root / LR).exists()


def refuse_to_read(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    from mini_mlflow.upkeep import mending_entries

    inode = path.stat().st_ino
    read = findings.read_file

    def refuse(name: str) -> bytes:
        if os.path.lexists(name) and os.lstat(name).st_ino == inode:
            raise OSError(number, os.strerror(number), name)
        return read(name)

    monkeypatch.setattr(findings, "read_file", refuse)
    monkeypatch.setattr(mending_entries, "read_file", refuse)


# -- what is left of it --------------------------------------------------------------------------------------------


def test_meta_is_written_from_its_whole_lines(tree: Damaged) -> None:
    """A run that is alive stays RUNNING; its start, and whatever else can be read, stay as they were."""
    path = tree.root / "5" / "live" / "meta.yaml"
    before = read_all(tree.root)["live"].run["metadata"]  # type: ignore[index]
    text = path.read_text("utf-8")
    path.write_text(text.replace("name: null", "name: [").replace("version: null", 'version: "v2"'), encoding="utf-8")
    (one,) = repair(tree.root)
    assert one.finding.rule == "torn-meta"
    after = read_all(tree.root)["live"].run["metadata"]  # type: ignore[index]
    assert after == dict(before, version="v2", commit=after["commit"])


def test_metric_whose_document_is_lost_keeps_its_sealed_points_and_its_last_value(tree: Damaged) -> None:
    """The last point is in the snapshot still, which says how many there were."""
    (tree.root / LOSS).unlink()
    before = read_all(tree.root)
    repair(tree.root)
    assert told(tree.root) == set()
    points = read_all(tree.root)["ended"].histories["loss"]
    assert [step for step, _, _ in points] == list(range(9))
    assert compare_all(before, tree.root) == []


@pytest.mark.parametrize("count", [11, 60])
def test_points_after_a_torn_sealed_file_are_sealed_anew(
    folder: str, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Many do not fit into the document; no new file has the name of one that was listed before."""
    faults.seal_early(monkeypatch)
    with Run(run_id="r", runs_dir=folder) as run:
        for number in range(count):
            run.log_metric("loss", float(number), timestamp=1000 + number)
            if number % 4 == 3:
                run.flush()
    first = Path(folder, "0", "r", "metrics", "loss.history")
    path = sorted(first.iterdir(), key=lambda path: int(path.name.partition("-")[0]))[0]
    path.write_bytes(path.read_bytes().replace(b"[1, ", b"[1; ", 1))
    repairs = repair(folder)
    assert repairs[0].finding.rule == "torn-sealed"
    assert "points that can be read" in repairs[0].action
    assert verify(folder) == []
    check_tree(folder)
    stored = faults.read_stored(folder, "r")
    assert stored is not None
    assert stored.histories["loss"] == [(number, float(number)) for number in range(count) if number != 1]


def test_sealed_files_that_are_written_anew_take_no_name_of_an_old_one(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document that lists the old ones still would show the points in the new one twice."""
    faults.seal_early(monkeypatch)
    with Run(run_id="r", runs_dir=folder) as run:
        for number in range(60):
            run.log_metric("loss", float(number), timestamp=1000 + number)
            if number % 4 == 3:
                run.flush()
    zeroed = Path(folder, "0", "r", "metrics", "loss.history", "0-15.jsonl")
    zeroed.write_bytes(b"\0" * 100)
    repair(folder)
    assert verify(folder) == []
    assert [path.read_bytes() for path in Path(folder).glob(".quarantine/*/0/r/metrics/*/0-15.jsonl")] == [b"\0" * 100]
    assert not zeroed.exists()
    stored = faults.read_stored(folder, "r")
    assert stored is not None
    assert stored.histories["loss"] == [(number, float(number)) for number in range(16, 60)]


def test_document_that_was_renamed_gets_its_name_back(tree: Damaged) -> None:
    """With its sealed files; a copy, whose key has its document, is moved away instead."""
    (tree.root / LOSS).rename(tree.root / "5/ended/metrics/x.json")
    (tree.root / HISTORY).rename(tree.root / "5/ended/metrics/x.history")
    before = read_all(tree.root)
    repair(tree.root)
    assert told(tree.root) == set()
    assert len(read_all(tree.root)["ended"].histories["loss"]) == 9
    assert compare_all(before, tree.root) == []


def test_points_behind_a_link_are_taken_in_though_no_reader_follows_it(tree: Damaged) -> None:
    """They are the run's, whoever moved them away; the link, and what it leads to, stay for whoever looks."""
    test_verify.make_link(tree.root, tree.root / HISTORY)
    assert len(read_all(tree.root)["ended"].histories["loss"]) == 1
    repair(tree.root)
    assert told(tree.root) == set()
    assert len(read_all(tree.root)["ended"].histories["loss"]) == 9
    assert len(os.listdir(str(tree.root.parent / "away"))) == 2


def test_snapshot_that_is_older_than_the_end_is_right_in_nothing(tree: Damaged) -> None:
    """A power cut may bring back the snapshot of an end before the last resume, with fsync="never"."""
    damage = both(test_verify.at(SNAPSHOT, edit(r'(?<="end_time": ")\d{4}', "2001")), edit('"lr": 2.0', '"lr": 1.0'))
    damage(tree.root, tree.root / SNAPSHOT)
    repair(tree.root)
    assert told(tree.root) == set()
    run = read_all(tree.root)["ended"].run
    assert run is not None
    assert run["params"]["lr"] == 2.0
    assert run["metadata"]["end_time"] > "2001-12"


def test_commit_that_is_moved_away_is_in_the_quarantine(tree: Damaged) -> None:
    (tree.root / COMMIT).write_bytes(b"{")
    tree.owner.close()
    repair(tree.root)
    assert [path.read_bytes() for path in tree.root.glob(".quarantine/*/" + COMMIT)] == [b"{"]
    assert told(tree.root) == set()


def test_quarantine_of_each_repair_is_its_own(tree: Damaged) -> None:
    """Also when the same place is moved away a second time within one second, or one repair."""
    for _ in range(3):
        (tree.root / "5" / "ended" / "notes").write_bytes(b"mine")
        repair(tree.root)
    assert len(list(tree.root.glob(".quarantine/*/5/ended/notes"))) == 3
    assert told(tree.root) == set()


def test_history_that_was_rewound_is_rebuilt_with_what_is_hidden(tmp_path: Path) -> None:
    tracker = ExperimentTracker(runs_dir=tmp_path / "tree")
    with tracker.start_run(run_id="r") as run:
        for step in range(6):
            run.log_metric("loss", float(step), step=step)
        run.rewind(2)
        run.log_metric("loss", 9.0, step=3)
    before = [tracker.get_metric_history("r", "loss", hidden=hidden) for hidden in (False, True)]
    path = tmp_path / "tree" / "0" / "r" / "metrics" / "loss.json"
    path.write_text(path.read_text("utf-8").replace('"max": 9.0', '"max": 8.0'), "utf-8")
    assert "wrong-range" in {finding.rule for finding in verify(tmp_path / "tree")}
    assert all(one.done for one in repair(tmp_path / "tree"))
    assert verify(tmp_path / "tree") == []
    assert [tracker.get_metric_history("r", "loss", hidden=hidden) for hidden in (False, True)] == before
    assert [len(points) for points in before] == [4, 7]
