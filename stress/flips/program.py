"""From the command line of ``python -m stress flips`` to its exit status."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import List, NamedTuple, Optional

from stress.flips.damaging import Damage, copy_tree, draw, inflict, list_files, make_tree
from stress.flips.judging import judge
from stress.progress import Progress

HELD, BROKEN, COULD_NOT_RUN = 0, 1, 2


class Broken(NamedTuple):
    """A damage after which something did not hold; the tree is kept."""

    number: int
    damage: Damage
    error: str
    kept: str


def main(arguments: List[str]) -> int:
    """Damage as often as is asked for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m stress flips",
        description="Damage a tree at random: verify and every reader name the file or read on, and a repair mends it.",
    )
    parser.add_argument("--count", type=int, default=1000, help="damages (default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the dice (default: random)")
    parser.add_argument("--number", type=int, help="only the damage of this number")
    parser.add_argument("--runs-dir", help="where the trees are made (default: the folder for temporary files)")
    options = parser.parse_args(arguments)
    progress = Progress()
    try:
        scratch = Path(tempfile.mkdtemp(prefix="mini-mlflow-flips-", dir=options.runs_dir))
        numbers = range(options.count) if options.number is None else [options.number]
        broken = try_all(scratch, options.seed, list(numbers), progress)
        if not broken:
            shutil.rmtree(str(scratch))
    except Exception:  # noqa: BLE001  (no traceback may end in status 1, which says that a promise was broken)
        progress.say(traceback.format_exc())
        return COULD_NOT_RUN
    for one in broken:
        print(f"broken: python -m stress flips --seed {options.seed} --number {one.number}: {one.damage}")
        print(f"  {one.error}\n  kept in {one.kept}")
    print(f"{'FAIL' if broken else 'PASS'}: {len(numbers)} damages, {len(broken)} broken, seed {options.seed}")
    return BROKEN if broken else HELD


def try_all(scratch: Path, seed: int, numbers: List[int], progress: Optional[Progress] = None) -> List[Broken]:
    """The damages of these numbers, tried each in a tree of its own; those after which something did not hold."""
    made = scratch / "made"
    make_tree(made)
    files = list_files(made)
    broken = []
    for number in numbers:
        damage = draw(files, random.Random("%d-%d" % (seed, number)))
        root = scratch / str(number)
        copy_tree(made, root)
        inflict(root, damage)
        try:
            judge(root, damage)
        except Exception as error:  # noqa: BLE001 - nothing undocumented may be raised, whatever it is
            text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            broken.append(Broken(number, damage, text, str(root)))
        else:
            shutil.rmtree(str(root))
        if progress is not None:
            progress.show(f"flips: {number + 1}, {len(broken)} broken")
    if progress is not None:
        progress.show("")
    return broken
