"""A tree judged twice: by the tests' own checker, and by `mini_mlflow.upkeep.verify`."""

from __future__ import annotations

from typing import Collection

from mini_mlflow.upkeep import LEFTOVER, verify
from tree_check import TreeError, check_tree


def check_whole_tree(path: str, leftovers: bool = False, rules: Collection[str] = ()) -> None:
    """Returns if all holds for the tree ``path``.

    Args:
        path: a tree.
        leftovers: allow what a killed writer may leave.
        rules: those that the tree is known to break, as `verify` says.

    Raises:
        TreeError: what does not hold, and in which file.
    """
    check_tree(path, leftovers)
    problems = [
        "%s: %s: %s" % (finding.path, finding.rule, finding.message)
        for finding in verify(path)
        if not (leftovers and finding.severity == LEFTOVER) and finding.rule not in rules
    ]
    if problems:
        raise TreeError("\n".join(problems))
