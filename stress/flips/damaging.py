"""A tree in which every kind of file stands, and damage drawn from dice: bytes flipped, files cut, zeroed, deleted."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mini_mlflow import Run
from mini_mlflow.disk.layout import inner_trees
from stress.children import child_environment
from stress.power import thresholds

#: A run that has ended, one that was resumed and ended, and one whose owner was killed with commits in its log.
RUN_IDS = ("ended", "resumed", "dead")
#: One in each of the trees within the tree.
INNER_IDS = ("m-1", "tr-1")
#: All keys that are logged.
KEYS = frozenset(("lr", "layers", "größe", "note", "stage", "loss", "accuracy"))
_MAKE = "from stress.flips.damaging import log_runs; import sys; log_runs(sys.argv[1])"


def make_tree(root: Path) -> None:
    """The tree, made by a process that dies without ending its last run."""
    subprocess.run([sys.executable, "-c", _MAKE, str(root)], env=child_environment(), check=True)


def log_runs(root: str) -> None:
    """Makes the runs, and does not come back."""
    with thresholds.lowered(refresh=False, fold_at=10**6):
        for run_id in RUN_IDS:
            run = Run(run_id=run_id, experiment_id=3, name="digits", version=run_id, runs_dir=root)
            _log_everything(run)
            if run_id != "dead":
                run.end()
        from mini_mlflow import ExperimentTracker

        with ExperimentTracker(experiment_id=3, runs_dir=root).start_run(run_id="resumed") as run:
            _log_everything(run)
        for tree, run_id in zip(inner_trees(root), INNER_IDS):
            with Run(run_id=run_id, experiment_id=3, runs_dir=tree) as run:
                _log_everything(run)
        tracker = ExperimentTracker(runs_dir=root)
        tracker.rename_experiment(3, "digits")
        tracker.set_experiment_tags(3, {"team": "a", "deep": [float("inf")]})
        tracker.delete_experiment(tracker.create_experiment("gone"))
    os._exit(0)


def _log_everything(run: Run) -> None:
    run.log_params({"lr": 0.1, "layers": [1, 2.5, None], "größe": {"a": float("inf")}, "note": "x: y\n" * 3})
    run.set_tag("stage", "first")
    for number in range(11):
        run.log_metric("loss", 1.0 / (number + 1), timestamp=1000 + number)
        if number % 4 == 3:
            run.flush()
    run.log_metrics({"loss": float("nan"), "accuracy": 0.5}, step=40)
    run.set_tag("stage", "second")


def list_files(root: Path) -> List[Path]:
    """Every file of the tree, relative to it, but for the locks."""
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file() and ".locks" not in path.parts)


class Damage(NamedTuple):
    """What is done to some files of a tree.

    Attributes:
        kind: how.
        files: which, relative to the tree.
        seed: of the dice that choose the bytes.
    """

    kind: str
    files: List[Path]
    seed: int

    @property
    def may_invent(self) -> bool:
        """Whether a valid value may become another valid value, which nobody can tell."""
        return self.kind.startswith("flip")

    def __str__(self) -> str:
        return "%s of %s" % (self.kind, ", ".join(map(str, self.files)))


def draw(files: List[Path], dice: random.Random) -> Damage:
    """Damage of one to three of the files."""
    count = min(len(files), dice.choice((1, 1, 1, 2, 3)))
    return Damage(dice.choice(sorted(KINDS)), sorted(dice.sample(files, count)), dice.randrange(2**32))


def inflict(root: Path, damage: Damage) -> None:
    """The tree is damaged."""
    dice = random.Random(damage.seed)
    for relative in damage.files:
        path = root / relative
        data = KINDS[damage.kind](path.read_bytes(), dice)
        path.unlink()
        if data is not None:
            path.write_bytes(data)


def _flip_byte(data: bytes, dice: random.Random) -> bytes:
    where = dice.randrange(len(data)) if data else 0
    return data[:where] + bytes([dice.randrange(256)]) + data[where + 1 :]


def _flip_bit(data: bytes, dice: random.Random) -> bytes:
    where = dice.randrange(len(data)) if data else 0
    return data[:where] + bytes([(data[where : where + 1] or b"a")[0] ^ 1 << dice.randrange(8)]) + data[where + 1 :]


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _zero(data: bytes, dice: random.Random) -> bytes:
    start = dice.choice((0, dice.randrange(len(data) + 1)))
    end = dice.choice((len(data), dice.randrange(start, len(data) + 1)))
    return data[:start] + b"\0" * (end - start) + data[end:]


def _delete(data: bytes, dice: random.Random) -> Optional[bytes]:
    return None


KINDS: Dict[str, Callable[[bytes, random.Random], Any]] = {
    "flip of a byte": _flip_byte,
    "flip of a bit": _flip_bit,
    "cut": _cut,
    "zeroing": _zero,
    "deletion": _delete,
}


def copy_tree(made: Path, root: Path) -> None:
    """A copy, for one damage."""
    shutil.copytree(str(made), str(root))
