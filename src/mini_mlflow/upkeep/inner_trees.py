"""The trees that stand within a tree: of what MLflow keeps beside runs. They are looked after as the tree itself is.

Whatever is found in one of them is told with its path in the tree that they stand in.
"""

from __future__ import annotations

import os
import stat
from typing import List

from mini_mlflow.disk.layout import MODELS, TRACES, inner_trees
from mini_mlflow.upkeep.entries import Entry, is_folder, iter_entries, note_foreign
from mini_mlflow.upkeep.findings import Finding, Look


def look_at_inner_trees(look: Look, entry: Entry) -> None:
    """The folder at the entry holds the two trees and nothing else; what is in them is for looks of their own."""
    if is_folder(look, entry):
        for below in iter_entries(look, entry.path):
            if below.name not in (MODELS, TRACES):
                note_foreign(look, below, "the folder of MLflow's trees")
            elif is_folder(look, below):
                # Notes it if it cannot be listed.
                next(iter_entries(look, below.path), None)


def list_inner_trees(root: str) -> List[str]:
    """The absolute paths of those that are there, real folders that can be listed."""
    return [path for path in inner_trees(root) if _is_real(os.path.dirname(path)) and _is_real(path)]


def _is_real(path: str) -> bool:
    try:
        with os.scandir(path):
            return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def seen_from(root: str, tree: str, finding: Finding) -> Finding:
    """A finding in ``tree``, with its path in the tree ``root``."""
    return finding if tree == root else finding._replace(path=os.path.join(os.path.relpath(tree, root), finding.path))
