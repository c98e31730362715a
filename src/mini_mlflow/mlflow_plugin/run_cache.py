"""Runs that have ended, remembered from one search to the next.

A search of MLflow's comes every few seconds while somebody looks at the UI, and asks for a page out of thousands of
runs. What is remembered, and how it is known to hold still, is told in `shelves`; nothing is found here but what
stands on disk. Bounded by the bytes of the snapshots; what does not fit is read anew each time.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from mini_mlflow.mlflow_plugin.shelves import Kind, Look, Shelf

_LIMIT_BYTES = 64_000_000


class RunCache:
    """The runs of one tree. Safe to share between threads."""

    def __init__(self, root: str, kind: Kind) -> None:
        self._root, self._kind = root, kind
        self._shelves: Dict[Tuple[int, bool], Shelf] = {}

    @property
    def size(self) -> int:
        """Bytes remembered."""
        return sum(shelf.size for shelf in list(self._shelves.values()))

    def look(self, number: int, in_trash: bool = False, place: Any = None) -> Look:
        """The runs of an experiment, those in the trash if asked for, each as it stands, open or ended.

        Args:
            place: what belongs to where they stand; where it is another than before, all are read anew.

        Raises:
            OSError: as `Shelf.look`.
        """
        shelf = self._shelves.get((number, in_trash))
        if shelf is None or shelf.place != place:
            shelf = self._shelves[number, in_trash] = Shelf(self._root, number, in_trash, place, self._kind)
        # Of two threads at once neither may count the other's: a bound need not be exact.
        return shelf.look(_LIMIT_BYTES - (self.size - shelf.size))
