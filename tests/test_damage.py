"""Damaged files: readers warn and go on, neighbours are not touched by it, and writers raise what is documented.

The damage is drawn from a seed: bytes that flipped, files that were cut, zeroed in part, emptied or deleted. A flipped
byte may turn one valid value into another, which nobody can tell; no other damage may show a value nobody logged.
"""

from __future__ import annotations

import os
import random
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

import faults
from mini_mlflow import DamagedFileWarning, ExperimentTracker, Point, Run
from mini_mlflow.formats import tiers

pytestmark = pytest.mark.damaged_tree

#: What a reader or a writer may raise about a run that is damaged.
DOCUMENTED = (OSError, ValueError)
RUN_IDS = ("ended", "live", "old", "resumed")
PARAMS = {"lr": 0.1, "layers": [1, 2.5, None], "größe": {"a": float("inf")}, "note": "x: y\n" * 3}


class Tree(NamedTuple):
    """A tree and what was logged into it.

    Attributes:
        runs: run id to what `get_run` says of it while all is well.
        histories: (run id, key) to the metric's points.
        logged: (run id, kind, key) to the repr of every value that it ever had.
    """

    tracker: ExperimentTracker
    runs: Dict[str, Dict[str, Any]]
    histories: Dict[Tuple[str, str], List[Point]]
    logged: Dict[Tuple[str, str, str], List[str]]

    def files(self) -> List[Path]:
        return sorted(path for path in Path(self.tracker.runs_dir, "0").rglob("*") if path.is_file())


def log_everything(run: Run) -> None:
    run.log_params({"lr": 0.0})
    run.log_params(PARAMS)
    run.set_tag("stage", "first")
    for n in range(9):
        run.log_metric("loss", 1.0 / (n + 1))
        if n % 4 == 3:
            run.flush()
    run.log_metrics({"loss": float("nan"), "accuracy": 0.5}, step=40)
    run.set_tag("stage", "second")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: Any) -> Tree:
    """Four runs: one ended, one resumed and ended, one live with commits in its log, one as 0.1.0 writes them."""
    root = tmp_path_factory.mktemp("damage") / "made"
    with pytest.MonkeyPatch.context() as patch:
        faults.seal_early(patch)
        patch.setattr(tiers, "FAN", 8)
        faults.ration_documents(patch, refresh=False)
        for run_id in ("ended", "resumed", "live"):
            run = Run(run_id=run_id, name="digits", version=run_id, runs_dir=root)
            log_everything(run)
            if run_id != "live":
                run.end()
        tracker = ExperimentTracker(runs_dir=root)
        with tracker.start_run(run_id="resumed") as run:
            log_everything(run)
    old = root / "0" / "old"
    (old / "metrics").mkdir(parents=True)
    (old / "meta.yaml").write_text("name: digits\nversion: old\nstatus: FINISHED\nrun_id: old\nexperiment_id: 0\n")
    (old / "metrics" / "loss.json").write_text('{\n  "value": 0.5,\n  "timestamp": "2025-11-23T07:15:10.123456Z"\n}')
    # A copy: the live run's owner is this process, which would end it at exit.
    copy = root.parent / "tree"
    copy.mkdir()
    shutil.copytree(str(root / "0"), str(copy / "0"))
    return observe(ExperimentTracker(runs_dir=copy))


def observe(tracker: ExperimentTracker) -> Tree:
    runs = {run_id: tracker.get_run(run_id) for run_id in RUN_IDS}
    histories = {(run_id, key): tracker.get_metric_history(run_id, key) for run_id in RUN_IDS
                 for key in runs[run_id]["metrics"]}  # fmt: skip
    logged: Dict[Tuple[str, str, str], List[str]] = {}
    for run_id, run in runs.items():
        for kind in ("params", "tags"):
            for key, value in run[kind].items():
                logged[run_id, kind, key] = [repr(value), repr({"lr": 0.0, "stage": "first"}.get(key, value))]
    for (run_id, key), points in histories.items():
        logged[run_id, "metrics", key] = [repr(point.value) for point in points]
    assert list(map(len, (runs["ended"]["params"], histories["ended", "loss"], histories["resumed", "loss"]))) == [
        4,
        10,
        20,
    ]
    return Tree(tracker, runs, histories, logged)


# -- the damage ----------------------------------------------------------------------------------------------------


def flip(data: bytes, dice: random.Random) -> bytes:
    where = dice.randrange(len(data)) if data else 0
    return data[:where] + bytes([dice.randrange(256)]) + data[where + 1 :]


def flip_a_bit(data: bytes, dice: random.Random) -> bytes:
    where = dice.randrange(len(data)) if data else 0
    return data[:where] + bytes([(data[where : where + 1] or b"a")[0] ^ 1 << dice.randrange(8)]) + data[where + 1 :]


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def zero(data: bytes, dice: random.Random) -> bytes:
    start = dice.choice((0, dice.randrange(len(data) + 1)))
    end = dice.choice((len(data), dice.randrange(start, len(data) + 1)))
    return data[:start] + b"\0" * (end - start) + data[end:]


FLIPS = (flip, flip_a_bit)
DAMAGES = (*FLIPS, cut, zero, None)


@contextmanager
def damaged(files: List[Path], damage: Any, dice: random.Random) -> Iterator[None]:
    """Within the block the files are damaged; None deletes them."""
    before = {path: path.read_bytes() for path in files}
    try:
        for path, data in before.items():
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage(data, dice))
        yield
    finally:
        for path, data in before.items():
            path.write_bytes(data)


def run_of(path: Path) -> str:
    return next(name for name in path.parts[::-1] if name in RUN_IDS)


# -- what readers make of it ---------------------------------------------------------------------------------------


def check_readers(tree: Tree, files: List[Path], is_flip: bool, neighbour: str) -> None:
    hit = {run_of(path) for path in files}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        listed = tree.tracker.list_runs()
        assert set(RUN_IDS) - hit <= set(listed) <= set(RUN_IDS)
        for run_id in hit:
            check_damaged_run(tree, run_id, is_flip)
        if neighbour not in hit:
            assert repr(tree.tracker.get_run(neighbour)) == repr(tree.runs[neighbour])
            assert repr(tree.tracker.get_metric_history(neighbour, "loss")) == repr(tree.histories[neighbour, "loss"])
            found = tree.tracker.get_run_by_version("digits", neighbour)
            assert repr(found) == repr(tree.runs[neighbour])
        check_search(tree, hit, is_flip)
    for warning in caught:
        assert warning.category is DamagedFileWarning
        # A flipped byte in the name of another file leads to one that never was.
        told = [
            path.parents[len(path.parts) - path.parts.index(run_of(path)) - 2] if is_flip else path for path in files
        ]
        assert any(str(path) in str(warning.message) for path in told), str(warning.message)


def check_damaged_run(tree: Tree, run_id: str, is_flip: bool) -> None:
    try:
        run = tree.tracker.get_run(run_id)
    except DOCUMENTED:
        run = {"params": {}, "tags": {}, "metrics": {}}
    assert all(type(value) is float for value in run["metrics"].values())
    for kind in ("params", "tags", "metrics"):
        for key, value in run[kind].items():
            assert is_flip or repr(value) in tree.logged[run_id, kind, key]
    try:
        tree.tracker.get_run_by_version("digits", run_id)
    except DOCUMENTED:
        pass
    for key in ("loss", "accuracy"):
        try:
            points = tree.tracker.get_metric_history(run_id, key)
        except DOCUMENTED:
            continue
        assert all(list(map(type, point)) == [int, float, int] for point in points)
        if not is_flip:
            logged = iter([(repr(point.value), point.timestamp) for point in tree.histories.get((run_id, key), [])])
            assert all((repr(point.value), point.timestamp) in logged for point in points), points


def check_search(tree: Tree, hit: Set[str], is_flip: bool) -> None:
    """A search that looks at everything finds the others as they are; a comparison may say that it cannot read one."""
    question = "metrics.loss IS NOT NULL OR params.lr < 1 OR tags.stage LIKE 's%' OR name IS NULL OR name != 'x'"
    found = {run.run_id: run for run in tree.tracker.search_runs(question, ["metrics.loss", "params.lr", "start_time"])}
    assert set(RUN_IDS) - hit <= set(found) <= set(RUN_IDS)
    for run_id, run in found.items():
        told = {"params": run.params, "tags": run.tags, "metrics": run.metrics}
        if run_id not in hit:
            assert repr(told) == repr({kind: tree.runs[run_id][kind] for kind in told})
        for kind, values in told.items():
            for key, value in values.items():
                assert is_flip or repr(value) in tree.logged[run_id, kind, key]
        run.metric_summary("loss")
    if len(hit) > 1:
        try:
            assert str(tree.tracker.compare(sorted(hit)))
        except DOCUMENTED:
            pass


@pytest.mark.parametrize("seed", range(10))
def test_readers_survive_any_damage(tree: Tree, seed: int) -> None:
    """A hundred damages a seed: only documented errors, only warnings that name the file, and no neighbour is hurt."""
    dice = random.Random(seed)
    files = tree.files()
    for number in range(100):
        chosen = dice.sample(files, dice.choice((1, 1, 1, 2, 3)))
        damage = dice.choice(DAMAGES)
        with damaged(chosen, damage, dice):
            try:
                check_readers(tree, chosen, damage in FLIPS, dice.choice(RUN_IDS))
            except Exception as error:
                names = [str(path.relative_to(tree.tracker.runs_dir)) for path in chosen]
                what = damage.__name__ if damage else "delete"
                raise AssertionError("damage %d: %s %s" % (number, what, names)) from error


def test_one_flipped_byte_costs_one_point(tree: Tree) -> None:
    """The other points of the document and of the sealed files are still read, and the file is named."""
    path = Path(tree.tracker.runs_dir, "0", "resumed", "metrics", "loss.history", "8-11.jsonl")
    path = path if path.exists() else sorted(path.parent.iterdir())[0]
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b",", b";", 1)
    with damaged([path], lambda data, dice: b"\n".join(lines), random.Random(0)):
        with pytest.warns(DamagedFileWarning, match=path.name.replace(".", r"\.")):
            points = tree.tracker.get_metric_history("resumed", "loss")
    whole = tree.histories["resumed", "loss"]
    assert len(points) == len(whole) - 1
    assert {repr(point) for point in points} < {repr(point) for point in whole}


# -- what writers make of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_writers_go_on_or_raise_what_is_documented(tree: Tree, tmp_path: Path, monkeypatch: Any, seed: int) -> None:
    """A run that was damaged takes new values and keeps what could be read, or refuses with a documented error."""
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", "never")
    dice = random.Random(seed)
    files = [path.relative_to(tree.tracker.runs_dir) for path in tree.files()]
    for number in range(10):
        root = tmp_path / str(number)
        shutil.copytree(tree.tracker.runs_dir, str(root))
        relative = dice.choice(files)
        damage = dice.choice(DAMAGES)
        path = root / relative
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes(), dice))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamagedFileWarning)
            try:
                go_on(ExperimentTracker(runs_dir=root), run_of(path))
            except Exception as error:
                what = damage.__name__ if damage else "delete"
                raise AssertionError("damage %d: %s %s" % (number, what, relative)) from error


def go_on(tracker: ExperimentTracker, run_id: str) -> None:
    try:
        before = tracker.get_metric_history(run_id, "loss")
        with tracker.start_run(run_id=run_id) as run:
            run.log_metric("loss", 77.0)
            run.log_param("after", True)
            run.flush()
    except DOCUMENTED:
        return
    after = tracker.get_metric_history(run_id, "loss")
    assert after[-1].value == 77.0
    assert tracker.get_run(run_id)["params"]["after"] is True
    # What was readable is still there, in order; a salvaged point may have moved to another position.
    rest = iter([(repr(point.value), point.timestamp) for point in after])
    assert all((repr(point.value), point.timestamp) in rest for point in before)


def test_damaged_meta_is_never_overwritten(tree: Tree, tmp_path: Path) -> None:
    """Nobody can tell whose run it was: starting it raises, and the damaged file is left to whoever can mend it."""
    root = tmp_path / "tree"
    shutil.copytree(tree.tracker.runs_dir, str(root))
    meta = root / "0" / "ended" / "meta.yaml"
    (root / "0" / "ended" / "snapshot.json").unlink()
    meta.write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"meta\.yaml"):
        ExperimentTracker(runs_dir=root).start_run(run_id="ended")
    assert meta.read_bytes() == b"\0" * 100
    assert not any(name.startswith(".tmp-") for name in os.listdir(str(meta.parent)))
