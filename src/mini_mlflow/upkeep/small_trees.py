"""The small trees inside a tree (`disk.layout.SMALL_TREES`): each is verified and mended as the tree is, by itself.

What is found in one is told with its path in the large tree; what a repair moves away there stands in the small
tree's own quarantine.
"""

from __future__ import annotations

from typing import Iterator, List, NamedTuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import MODELS, SMALL_TREES, TRACES, small_root
from mini_mlflow.upkeep.entries import Entry, is_folder, iter_entries, note_foreign
from mini_mlflow.upkeep.findings import Finding, Look


class Part(NamedTuple):
    """A tree that is verified by itself.

    Attributes:
        root: where it stands.
        prefix: its path in the large tree; "" for the large tree itself.
    """

    root: str
    prefix: str

    def tell(self, finding: Finding) -> Finding:
        """The finding, with its path in the large tree."""
        return finding._replace(path="%s/%s" % (self.prefix, finding.path)) if self.prefix else finding


def list_parts(root: str) -> List[Part]:
    """The tree, and those of its small trees that are there; links are none."""
    parts = [Part(root, "")]
    for kind in (MODELS, TRACES):
        small = small_root(root, kind)
        try:
            check_folder("%s/%s" % (root, SMALL_TREES))
            check_folder(small)
        except OSError:
            # A link in its place is told of where its folder is looked at.
            continue
        parts.append(Part(small, "%s/%s" % (SMALL_TREES, kind)))
    return parts


def look_at_small_trees(look: Look, folder: str) -> Iterator[Finding]:
    """The findings of the folder itself: it holds the small trees, and nothing else."""
    for entry in iter_entries(look, folder):
        if entry.name in (MODELS, TRACES):
            is_folder(look, entry)
        else:
            note_foreign(look, entry, "the folder of small trees")
        yield from look.drain()


def holds_artifacts(entry: Entry) -> bool:
    """Whether an experiment's folder of this name is for the artifacts of logged models or traces, if it is no run."""
    return entry.name in (MODELS, TRACES)
