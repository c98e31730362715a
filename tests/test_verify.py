"""Verifying: each rule is broken in one place of a sound tree, and that is what is told, once, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import pytest

import faults
from mini_mlflow import Run
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.formats import tiers
from mini_mlflow.upkeep import DAMAGE, LEFTOVER, NOTICE, RULES, findings, verify
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission

pytestmark = [pytest.mark.damaged_tree, pytest.mark.skipif(os.name != "posix", reason="needs modes, links and FIFOs")]

#: Breaks something, given the tree and the path that will be told.
Damage = Callable[[Path, Path], Any]

META, SNAPSHOT, LR = "5/ended/meta.yaml", "5/ended/snapshot.json", "5/ended/params/lr.json"
STAGE = "5/ended/tags/stage.json"
LOSS, HISTORY = "5/ended/metrics/loss.json", "5/ended/metrics/loss.history"
#: A run that was rewound: of loss, points 5 and 6 of 9 are hidden, seven stand in a sealed file; of gone all are.
BACK_LOSS, BACK_GONE, BACK_SNAPSHOT = "5/back/metrics/loss.json", "5/back/metrics/gone.json", "5/back/snapshot.json"
#: A run of whose only metric the steps fall, so that its first point, in a sealed file, is its latest.
DOWN_LOSS, DOWN_SNAPSHOT = "5/down/metrics/loss.json", "5/down/snapshot.json"
DOWN_SEALED = "5/down/metrics/loss.history/0-4.jsonl"
LIVE, LIVE_META, LIVE_LOSS = "5/live", "5/live/meta.yaml", "5/live/metrics/loss.json"
#: The log of the live run is 8.json to 12.json; the last three set lr, the second is the last point of loss.
COMMIT = "5/live/log/9.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> Path:
    """A tree made by the library: an ended run, and a live one with commits that its documents do not hold yet."""
    root = tmp_path_factory.mktemp("verify") / "made"
    with pytest.MonkeyPatch.context() as patch:
        faults.seal_early(patch)
        patch.setattr(tiers, "FAN", 8)
        faults.ration_documents(patch, refresh=False)
        for run_id in ("live", "ended"):
            run = Run(run_id=run_id, experiment_id=5, runs_dir=root)
            run.log_params({"lr": 0.1, "bad": float("nan"), "größe": [1, None]})
            run.set_tag("stage", "x")
            for n in range(9):
                run.log_metric("loss", n - 3.0, timestamp=1000 + n)
                if n % 4 == 3:
                    run.flush()
            run.log_metric("once", 2.0)
            for n in range(3):
                run.log_param("lr", float(n))
            if run_id == "ended":
                for name in ("m/x", ".tmp-1", "lock"):
                    run.log_text("of any name", name)
                run.end()
        run = Run(run_id="back", experiment_id=5, runs_dir=root)
        run.log_metric("gone", 0.5, step=9)
        for n in range(7):
            run.log_metric("loss", n - 3.0, timestamp=1000 + n)
        run.rewind(4)
        for n in range(2):
            run.log_metric("loss", n - 1.0, timestamp=2000 + n)
        run.end()
        make_falling(Run(run_id="down", experiment_id=5, runs_dir=root))
    # A copy: the live run's owner is this process, which ends it when the test is over.
    copy = root.parent / "copy"
    shutil.copytree(str(root), str(copy))
    return copy


def make_falling(run: Run) -> None:
    for n in range(6):
        run.log_metric("loss", n - 3.0, step=6 - n, timestamp=1000 + n)
        if n == 4:
            run.flush()
    run.end()


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, in which the owner of the live run is alive."""
    root = tmp_path / "tree"
    shutil.copytree(str(made), str(root))
    owner = KeptLock(str(root / ".locks" / "5" / "live.owner"))
    assert owner.try_acquire()
    yield root
    owner.close()


def told(tree: Path) -> List[Tuple[str, str]]:
    return [(finding.path, finding.rule) for finding in verify(tree)]


# -- damages -------------------------------------------------------------------------------------------------------


def put(data: bytes = b"mine") -> Damage:
    def damage(tree: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return damage


def make_folder(tree: Path, path: Path) -> None:
    path.mkdir()


def remove(tree: Path, path: Path) -> None:
    path.unlink()


def edit(pattern: str, new: str) -> Damage:
    """What matches in the file becomes ``new``; once, there is no second match."""

    def damage(tree: Path, path: Path) -> None:
        text, count = re.subn(pattern, lambda match: new, path.read_text("utf-8"))
        assert count == 1, text
        path.write_text(text, encoding="utf-8")

    return damage


def cut(tree: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def zero(tree: Path, path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def copy_from(source: str) -> Damage:
    def damage(tree: Path, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(str(tree / source), str(path))

    return damage


def make_fifo(tree: Path, path: Path) -> None:
    if path.exists():
        path.unlink()
    os.mkfifo(str(path))


def make_link(tree: Path, path: Path) -> None:
    """A link to what stood there, which is outside of the tree now."""
    away = tree.parent / "away"
    shutil.move(str(path), str(away))
    path.symlink_to(away)


def chmod(mode: int) -> Damage:
    return lambda tree, path: path.chmod(mode)


def chmod_in_group(mode: int) -> Damage:
    """All of the tree is that of a group, but for one place."""

    def damage(tree: Path, path: Path) -> None:
        for folder, _, files in os.walk(str(tree)):
            os.chmod(folder, 0o2775)
            for name in files:
                os.chmod(os.path.join(folder, name), 0o664)
        path.chmod(mode)

    return damage


def at(place: str, damage: Damage) -> Damage:
    """The damage is elsewhere than where it shows."""
    return lambda tree, path: damage(tree, tree / place)


def both(*damages: Damage) -> Damage:
    return lambda tree, path: [damage(tree, path) for damage in damages]


def remove_metric(tree: Path, path: Path) -> None:
    path.unlink()
    shutil.rmtree(str(path.with_suffix(".history")))


def join_lines(tree: Path, path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8"))))


DELETED = b'{"deleted_at": "2026-11-23T07:15:10Z"}'
OF_0_1_0 = (
    b"run_id: one\nexperiment_id: 7\nname: null\nversion: null\nstatus: FINISHED\n"
    b"start_time: '2026-01-01T00:00:00Z'\nend_time: '2026-01-01T00:00:01Z'\n"
)


def to_trash(mark: Optional[bytes] = None, copy: bool = False) -> Damage:
    """The run's folder is in the trash, with that file of its deletion, or none; with ``copy`` it also stays."""

    def damage(tree: Path, path: Path) -> None:
        target = tree / ".trash" / "5" / path.name
        target.parent.mkdir(parents=True)
        shutil.copytree(str(path), str(target))
        if not copy:
            shutil.rmtree(str(path))
        if mark is not None:
            (target / "deleted.json").write_bytes(mark)

    return damage


def change(run_id: str, **batch: Any) -> Damage:
    """No damage: the run is changed from beside it."""
    return lambda tree, path: amend_at(RunAddress(str(tree), 5, run_id), Settings("never"), batch_submission(**batch))


def cut_short(damage: Damage, *places: str) -> Damage:
    """A kill came in the middle of it: what stands at these places is as it was before."""

    def damage_in_part(tree: Path, path: Path) -> None:
        before = {place: (tree / place).read_bytes() for place in places}
        damage(tree, path)
        for place, data in before.items():
            (tree / place).write_bytes(data)

    return damage_in_part


#: The ended run as it was just before its end, and its owner lock as a killed process leaves it.
die = both(at(META, edit('status: "FINISHED"', 'status: "RUNNING"')), at(SNAPSHOT, remove))

SUMMARY = '{"value": 0.5, "step": 9, "timestamp": 5, "count": 1, "min": 0.5, "max": 0.5}'
REWIND = b'{"commit": 99, "changes": [\n["rewind", 100, 5]\n]}\n'

# -- each rule -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One way of breaking a rule, the path that is told, and what cannot but be told beside it."""

    rule: str
    path: str
    damage: Damage
    severity: str
    also: Tuple[Tuple[str, str], ...] = ()


CASES = [
    *(Case("foreign-file", path, put(), NOTICE) for path in (
        "notes", ".locks/notes", ".locks/5/notes", "5/notes", "5/ended/notes", "5/ended/params/notes",
        "5/ended/metrics/notes", HISTORY + "/x-y.jsonl", "5/live/log/07.json", "5/live/log/notes.json",
    )),
    *(Case("foreign-file", path, make_folder, NOTICE) for path in ("007", "5/trailing.", "5/ended/tags/deep")),
    Case("foreign-file", "5/plots", at("5/plots/a.png", put()), NOTICE),
    *(Case("not-regular", path, make_fifo, DAMAGE) for path in (LR, SNAPSHOT, ".locks/5/x.lock", COMMIT)),
    *(Case("not-regular", "5/ended/" + path, make_fifo, DAMAGE) for path in ("artifacts/m/x", "artifacts/m/new")),
    *(Case("not-regular", "5/ended/" + path, make_link, DAMAGE) for path in ("artifacts", "artifacts/m/x")),
    Case("not-regular", "5/live/artifacts", put(), DAMAGE),
    *(Case("not-regular", path, make_link, DAMAGE) for path in (
        LOSS, META, "5/ended/params", HISTORY, HISTORY + "/0-3.jsonl", ".locks/5",
    )),
    Case("not-regular", "7", put(), DAMAGE),
    Case("not-regular", "5/linked", lambda tree, path: path.symlink_to(tree / "5" / "ended"), DAMAGE),
    Case("not-regular", "5/live/log/13.json", make_folder, DAMAGE),
    Case("mode-owner", LR, chmod(0o244), NOTICE, ((LR, "unreadable"),)),
    Case("mode-owner", ".locks/5/live.lock", chmod(0o444), NOTICE),
    Case("mode-group", LR, chmod_in_group(0o604), NOTICE),
    Case("mode-group", ".locks/5/live.lock", chmod_in_group(0o644), NOTICE),
    *(Case("mode-group", path, chmod_in_group(0o755), NOTICE) for path in ("5", "5/ended/metrics", ".locks")),
    *(Case("temporary", path, put(), LEFTOVER) for path in (
        "5/ended/.tmp-1", "5/live/log/.tmp-1", "5/ended/params/.tmp-1.json", "5/ended/metrics/.tmp-1",
        HISTORY + "/.tmp-1",
    )),
    Case("temporary", "5/live/.tmp-1", at("5/live/.tmp-1/content/m/x", put()), LEFTOVER),
    Case("temporary", "5/live/.tmp-1", at("5/live/.tmp-1/lock", put(b"")), LEFTOVER),
    Case("strict-json", "5/ended/params/bad.json", edit(r'(?<=: )"NaN"', "NaN"), NOTICE),
    Case("strict-json", LR, edit("{", '{"value": 1, '), NOTICE),
    Case("strict-json", "5/ended/metrics/once.json", edit(r'(?<="min": )', '0.0, "min": '), NOTICE),
    Case("strict-json", SNAPSHOT, edit(r'^\{"format"', '{"format": 1, "format"'), NOTICE),
    Case("strict-json", COMMIT, edit(r"5\.0", "-Infinity"), NOTICE),
    Case("strict-json", HISTORY + "/4-7.jsonl", edit(r"2\.0", "NaN"), NOTICE),
    Case("lock-not-empty", ".locks/5/ended.owner", put(), NOTICE),
    Case("dead-owner", META, die, LEFTOVER),
    Case("owner-elsewhere", META, both(die, edit("host: .*", 'host: "elsewhere.example"')), NOTICE),
    Case("owner-lock-missing", ".locks/5/ended.owner", both(die, remove), NOTICE),
    Case("empty-run", "5/new", make_folder, LEFTOVER),
    Case("meta-missing", META, remove, DAMAGE),
    Case("torn-meta", META, zero, DAMAGE),
    Case("torn-meta", META, put(b"run_id: ["), DAMAGE),
    Case("meta-fields", LIVE_META, edit("name: .*\n", ""), DAMAGE),
    Case("meta-identity", LIVE_META, edit('run_id: "live"', "run_id: other"), DAMAGE),
    Case("meta-identity", LIVE_META, edit("experiment_id: 5", "experiment_id: 6"), DAMAGE),
    Case("meta-status", LIVE_META, edit('"RUNNING"', "PAUSED"), DAMAGE),
    Case("unknown-format", META, edit("format: 1", "format: 2"), NOTICE),
    Case("unknown-format", SNAPSHOT, edit(r'^\{"format": 1', '{"format": 2'), NOTICE),
    Case("torn-commit", COMMIT, cut, DAMAGE),
    Case("torn-commit", COMMIT, zero, DAMAGE),
    Case("torn-commit", COMMIT, edit('"metric"', '"artifact"'), DAMAGE),
    Case("torn-commit", COMMIT, put(b'{"commit": 9, "changes": []}'), DAMAGE),
    Case("commit-number", COMMIT, edit('"commit": 9', '"commit": 10'), DAMAGE),
    Case("commit-gap", COMMIT, remove, DAMAGE),
    Case("log-left", "5/ended/log", at("5/ended/log/11.json", copy_from("5/live/log/11.json")), LEFTOVER),
    Case("torn-document", LR, cut, DAMAGE),
    Case("torn-document", LR, put(b""), DAMAGE),
    Case("torn-document", LR, edit('"value"', '"volume"'), DAMAGE),
    Case("torn-document", LOSS, cut, DAMAGE),
    Case("torn-document", LOSS, zero, DAMAGE),
    Case("torn-document", LOSS, edit(r"\[8, 5\.0, ", "[8, 5.0. "), DAMAGE),
    Case("torn-document", LOSS, edit(r'"sealed": \[.*?\]', '"sealed": [3]'), DAMAGE),
    Case("wrong-key", "5/ended/params/rate.json", copy_from(LR), DAMAGE),
    Case("wrong-key", "5/ended/metrics/twice.json", copy_from("5/ended/metrics/once.json"), DAMAGE),
    Case("wrong-timestamp", LR, edit(r'"timestamp": ".*?"', '"timestamp": "today"'), NOTICE),
    Case("document-missing", "5/live/params/lr.json", remove, LEFTOVER),
    Case("document-missing", "5/ended/tags/stage.json", remove, LEFTOVER),
    Case("document-missing", "5/ended/metrics/once.json", remove, LEFTOVER),
    Case("document-missing", LOSS, remove_metric, DAMAGE),
    Case(
        "document-behind-log", LR,
        both(at("5/ended/log/12.json", copy_from("5/live/log/12.json")), edit('"commit": 12', '"commit": 11')),
        DAMAGE, (("5/ended/log", "log-left"),),
    ),
    Case("document-ahead", "5/live/params/lr.json", edit(r'"commit": \d+', '"commit": 13'), DAMAGE),
    Case("document-ahead", LOSS, edit(r'"commit": \d+', '"commit": 13'), DAMAGE),
    Case("document-ahead", LOSS, cut_short(
        change("ended", points=[("loss", 9.0, None, 5)], deleted_tags=["stage"]), SNAPSHOT, META
    ), LEFTOVER, ((STAGE, "document-ahead"),)),
    Case("torn-document", STAGE, both(change("ended", deleted_tags=["stage"]), cut), DAMAGE),
    Case("torn-document", "5/live/tags/stage.json", both(change("live", deleted_tags=["stage"]), cut), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, both(
        change("ended", deleted_tags=["stage"]), edit('"tags": {}', '"tags": {"stage": "x"}')
    ), DAMAGE),
    Case("change-half-done", META, cut_short(change("ended", tags={"stage": "new"}), STAGE, META), LEFTOVER,
         ((SNAPSHOT, "change-half-done"),)),
    Case("change-half-done", META, cut_short(change("ended", tags={"stage": "new"}), META), LEFTOVER),
    Case("document-layout", "5/ended/metrics/once.json", join_lines, NOTICE),
    Case("wrong-count", LOSS, edit('"count": 9', '"count": 10'), DAMAGE),
    Case("wrong-count", LIVE_LOSS, edit('"count": 8', '"count": 7'), DAMAGE),
    Case("wrong-count", BACK_LOSS, both(
        edit('"hidden": 2', '"hidden": 3'), at(BACK_SNAPSHOT, edit('"hidden": 2', '"hidden": 3'))
    ), DAMAGE),
    Case("wrong-count", BACK_LOSS, edit(r'\[\[7, 4\]\]', "[[6, 4]]"), DAMAGE, ((BACK_LOSS, "wrong-range"),)),
    Case(
        "wrong-last", BACK_GONE, edit('"value": null', '"value": 0.5'), DAMAGE,
        ((BACK_SNAPSHOT, "snapshot-disagrees"),),
    ),
    Case("wrong-range", BACK_LOSS, both(
        edit('"max": 1.0', '"max": 3.0'), at(BACK_SNAPSHOT, edit('"max": 1.0', '"max": 3.0'))
    ), DAMAGE),
    *(Case("wrong-latest", DOWN_LOSS, both(
        edit(r'"latest": \[.*?\], ', here), at(DOWN_SNAPSHOT, edit(r', "latest": \[.*?\]', there))
    ), DAMAGE) for here, there in (
        ("", ""),
        *(('"latest": %s, ' % point, ', "latest": %s' % point) for point in (
            "[5, -2.0, 1001]", "[6, -3.5, 1000]", "[6, -3.0, 1001]", "[7, 0.5, 1000]",
        )),
    )),
    Case("wrong-latest", LIVE_LOSS, edit('"key": "loss"', '"latest": [6, 3.0, 1006], "key": "loss"'), DAMAGE),
    Case("wrong-latest", DOWN_LOSS, both(
        at(DOWN_SEALED, remove),
        both(edit(r'"latest": \[.*?\]', '"latest": [0, 9.0, 5]'),
             at(DOWN_SNAPSHOT, edit(r'"latest": \[.*?\]', '"latest": [0, 9.0, 5]'))),
    ), DAMAGE, ((DOWN_SEALED, "sealed-missing"),)),
    Case("torn-document", DOWN_LOSS, edit(r'"latest": \[6', '"latest": [6.5'), DAMAGE),
    Case("torn-snapshot", DOWN_SNAPSHOT, edit(r'"latest": \[6', '"latest": [6.5'), DAMAGE),
    Case("snapshot-disagrees", DOWN_SNAPSHOT, edit(r'"latest": \[6', '"latest": [7'), DAMAGE),
    Case("torn-document", BACK_LOSS, edit(r'\[\[7, 4\]\]', "[[7]]"), DAMAGE),
    Case("torn-document", BACK_LOSS, edit(r'\[\[7, 4\]\]', "[[10, 4]]"), DAMAGE),
    Case("torn-document", BACK_LOSS, edit('"hidden": 2', '"hidden": -2'), DAMAGE),
    Case("torn-commit", COMMIT, put(b'{"commit": 9, "changes": [\n["rewind", "3", 5]\n]}\n'), DAMAGE),
    Case("snapshot-disagrees", BACK_SNAPSHOT, edit(', "hidden": 2', ""), DAMAGE),
    Case("snapshot-disagrees", BACK_SNAPSHOT, edit('"metrics": {', '"metrics": {"gone": ' + SUMMARY + ", "), DAMAGE),
    Case(
        "document-behind-log", BACK_GONE,
        both(at("5/back/log/99.json", put(REWIND)), both(
            at("5/back/meta.yaml", edit(r"commit: \d+", "commit: 99")),
            both(at(BACK_SNAPSHOT, edit(r'"commit": \d+', '"commit": 99')),
                 at(BACK_LOSS, edit(r'"commit": \d+', '"commit": 99'))),
        )),
        DAMAGE, (("5/back/log", "log-left"),),
    ),
    Case("wrong-last", LIVE_LOSS, edit('"value": 4.0', '"value": 3.0'), DAMAGE),
    Case("wrong-last", LIVE_LOSS, edit('"step": 7', '"step": 8'), DAMAGE),
    Case("wrong-last", LIVE_LOSS, edit(r'\.007Z"', '.008Z"'), DAMAGE),
    Case("wrong-range", LIVE_LOSS, edit('"min": -3.0', '"min": 0.0'), DAMAGE),
    Case("wrong-range", LIVE_LOSS, edit('"max": 4.0', '"max": null'), DAMAGE),
    Case("sealed-gap", LOSS, edit('"4-7"', '"5-7"'), DAMAGE),
    Case("sealed-gap", LOSS, edit('"4-7"', '"3-7"'), DAMAGE),
    Case("sealed-missing", HISTORY + "/4-7.jsonl", remove, DAMAGE),
    Case("torn-sealed", HISTORY + "/0-3.jsonl", cut, DAMAGE),
    Case("torn-sealed", HISTORY + "/0-3.jsonl", zero, DAMAGE),
    Case("torn-sealed", HISTORY + "/4-7.jsonl", edit(r"\[5, ", "[5; "), DAMAGE),
    Case("torn-sealed", HISTORY + "/4-7.jsonl", edit(r"\[5, .*\n", "[5, 2.0, 1005],[5, 2.0, 1005]\n"), DAMAGE),
    Case("sealed-unlisted", HISTORY + "/0-7.jsonl", copy_from(HISTORY + "/0-3.jsonl"), LEFTOVER),
    Case(
        "history-orphaned", "5/live/metrics/gone.history",
        at("5/live/metrics/gone.history/0-3.jsonl", copy_from(HISTORY + "/0-3.jsonl")), DAMAGE,
    ),
    Case("torn-snapshot", SNAPSHOT, cut, DAMAGE),
    Case("torn-snapshot", SNAPSHOT, edit('"tags"', '"rags"'), DAMAGE),
    Case("snapshot-missing", SNAPSHOT, remove, LEFTOVER),
    Case("snapshot-disagrees", SNAPSHOT, edit('"lr": 2.0', '"lr": 1.0'), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, edit(', "lr": 2.0', ""), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, edit('"params/bad": .*?]]', ""), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, edit('"count": 9', '"count": 8'), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, edit('"status": "FINISHED"', '"status": "FAILED"'), DAMAGE),
    Case("snapshot-disagrees", SNAPSHOT, edit('"status": "FINISHED"', '"status": "RUNNING"'), DAMAGE),
    Case("remains", ".tmp-1", make_folder, LEFTOVER),
    Case("remains", ".trash/.tmp-1", at(".trash/.tmp-1/meta.yaml", put()), LEFTOVER),
    *(Case("foreign-file", path, put(), NOTICE) for path in (".trash/notes", ".trash/5/notes")),
    *(Case("torn-experiment", "5/experiment.yaml", put(data), DAMAGE) for data in (
        b"", b"name: a\n", b'name: "a"\nexperiment_id: 6\nformat: 1\n',
        b'name: null\nexperiment_id: 5\nlifecycle_stage: "gone"\nformat: 1\n',
    )),
    Case(
        "experiment-twice", "6/experiment.yaml",
        both(
            at("5/experiment.yaml", put(b'name: "a"\nexperiment_id: 5\nformat: 1\n')),
            put(b'name: "a"\nexperiment_id: 6\nformat: 1\n'),
        ),
        NOTICE,
    ),
    Case("experiment-half-deleted", "7/one", both(
        at("7/experiment.yaml", put(b'name: null\nexperiment_id: 7\nlifecycle_stage: "deleted"\nformat: 1\n')),
        at("7/one/meta.yaml", put(OF_0_1_0)),
    ), LEFTOVER),
    Case("not-regular", "5/experiment.yaml", make_fifo, DAMAGE),
    Case("deletion-left", "5/ended/deleted.json", put(b'{"deleted_at": "2026-11-23T07:15:10Z"}'), LEFTOVER),
    Case("deletion-time", ".trash/5/ended/deleted.json", at("5/ended", to_trash()), NOTICE),
    Case("deletion-time", ".trash/5/ended/deleted.json", at("5/ended", to_trash(b"{}")), NOTICE),
    Case("deletion-time", ".trash/5/live/deleted.json", at("5/live", to_trash(b"")), NOTICE),
    Case("deleted-twice", ".trash/5/ended", at("5/ended", to_trash(DELETED, copy=True)), NOTICE),
    Case("torn-document", ".trash/5/ended/params/lr.json", both(
        at("5/ended", to_trash(DELETED)), cut,
    ), DAMAGE),
    Case("end-half-done", META, edit('status: "FINISHED"', 'status: "RUNNING"'), LEFTOVER),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: "%s-%s" % (case.rule, case.path.replace("/", ".")))
def test_rule_that_is_broken_in_one_place_is_told_there(tree: Path, case: Case) -> None:
    case.damage(tree, tree / case.path)
    found = [finding for finding in verify(tree) if (finding.path, finding.rule) not in case.also]
    assert [(finding.path, finding.rule, finding.severity) for finding in found] == [
        (case.path, case.rule, case.severity)
    ]
    assert len(found[0].message) > 10


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that nobody has seen fail is none. "unreadable" has a test of its own."""
    assert {case.rule for case in CASES} | {"unreadable"} == set(RULES)
    assert all(sentence.endswith(".") for sentence in RULES.values())


def test_sound_tree_has_no_findings(tree: Path) -> None:
    assert verify(tree) == []


@pytest.mark.parametrize("path", [META, SNAPSHOT, LR, LOSS, COMMIT, HISTORY + "/4-7.jsonl"])
def test_file_that_the_disk_refuses_is_told(tree: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cannot be read is named, and no more is said of it."""
    read = findings.read_file

    def refuse(name: str) -> bytes:
        if name == str(tree / path):
            raise OSError(errno.EIO, "Input/output error", name)
        return read(name)

    monkeypatch.setattr(findings, "read_file", refuse)
    assert told(tree) == [(path, "unreadable")]


def test_folder_that_the_system_refuses_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_names = os.scandir

    def refuse(name: str) -> Any:
        if name == str(tree / "5" / "ended" / "tags"):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return list_names(name)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ("5/ended/tags", "unreadable") in told(tree)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_tree_that_is_none_is_an_error(tmp_path: Path, kind: str) -> None:
    """Nothing is found in what is not there; that must not pass for a sound tree."""
    path = tmp_path / kind
    if kind == "file":
        path.write_text("")
    with pytest.raises(FileNotFoundError if kind == "missing" else NotADirectoryError, match=kind):
        verify(path)
