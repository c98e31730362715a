"""A few of the damages of ``python -m stress flips``, which goes through a thousand: nothing undocumented is raised."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults import quick_folder
from mini_mlflow.upkeep import repair, verify
from stress.flips import judging
from stress.flips.damaging import KINDS, Damage, copy_tree, draw, inflict
from stress.flips.judging import Readable, compare
from stress.flips.program import try_all

pytestmark = [pytest.mark.damaged_tree, pytest.mark.program]

#: What a longer search raises.
DAMAGES = 24


def test_damage_is_named_or_read_over_and_repaired() -> None:
    """verify and readers raise nothing undocumented; a repair leaves a clean tree and all that could be read."""
    with quick_folder() as folder:
        broken = try_all(Path(folder), 1, list(range(DAMAGES)))
        assert [(str(one.damage), one.error) for one in broken] == []
        root = Path(folder) / "made"
        assert [finding.rule for finding in verify(root)] == ["dead-owner"]
        judge_catches_what_it_must(root, Path(folder))


def judge_catches_what_it_must(made: Path, folder: Path) -> None:
    """A repair that does nothing, and one that loses a point, are found out."""
    damage = Damage("deletion", [Path("3/ended/params/lr.json")], 0)
    for number, engine in enumerate((lambda root: [], lose_a_point)):
        root = folder / ("doctored-%d" % number)
        copy_tree(made, root)
        inflict(root, damage)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judging, "repair", engine)
            with pytest.raises(AssertionError, match="after the repair" if number == 0 else "loss had"):
                judging.judge(root, damage)


def lose_a_point(root: Path) -> object:
    repairs = repair(root)
    document = root / "3" / "dead" / "metrics" / "loss.json"
    document.unlink()
    repair(root)
    return repairs


def test_dice_draw_every_kind_and_every_file() -> None:
    files = [Path(str(number)) for number in range(20)]
    dice = random.Random(0)
    drawn = [draw(files, dice) for _ in range(200)]
    assert {one.kind for one in drawn} == set(KINDS)
    assert {path for one in drawn for path in one.files} == set(files)


@pytest.mark.parametrize(
    "after",
    [
        Readable(None, {}),
        Readable({"params": {}, "tags": {}, "metrics": {"m": 2.0}, "metadata": {}}, {"m": [("1.0", 1), ("2.0", 2)]}),
        Readable({"params": {"p": 2}, "tags": {}, "metrics": {"m": 2.0}, "metadata": {}}, {"m": [("2.0", 2)]}),
        Readable(
            {"params": {"p": 1}, "tags": {}, "metrics": {"m": 2.0}, "metadata": {"name": "y"}},
            {"m": [("1.0", 1), ("2.0", 2)]},
        ),
    ],
)
def test_loss_is_told(after: Readable) -> None:
    before = Readable(
        {"params": {"p": 1}, "tags": {}, "metrics": {"m": 2.0}, "metadata": {"name": "x"}},
        {"m": [("1.0", 1), ("2.0", 2)]},
    )
    assert list(compare(before, before)) == []
    assert list(compare(before, after)) != []
