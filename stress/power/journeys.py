"""Renames of folders that a power cut may undo, both sides at once: how many of a folder's renames have been kept."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from stress.power.recorded_disk import Inode, Move


class Journey:
    """The renames of one folder that are not safe yet.

    Attributes:
        steps: of the renames, in order; a cut keeps the first so many of them.
        question: the number of the question that asks how many; -1 if nobody has asked yet.
    """

    def __init__(self) -> None:
        self.steps: List[int] = []
        self.question = -1

    def answers(self, safe: Optional[Inode], later: Sequence[Tuple[int, Optional[Inode]]]) -> List[Optional[Inode]]:
        """What stands under one of its names: if not even its making was kept, and by how many renames were."""
        made = [value for step, value in later if step < self.steps[0]]
        found = [safe, made[-1] if made else safe]
        for step in self.steps:
            found.append(dict(later).get(step, found[-1]))
        return found


class Journeys:
    """All of them, at a cut."""

    def __init__(self, moves: Sequence[Move], cut: int) -> None:
        self._kept: Dict[Tuple[int, str], int] = {}
        self._of_event: Dict[Tuple[int, str, int], Journey] = {}
        by_folder: Dict[int, List[Move]] = {}
        for move in moves:
            if move.step <= cut:
                by_folder.setdefault(id(move.inode), []).append(move)
        for found in by_folder.values():
            safe = max((move.step for move in found if _is_synced(move, cut)), default=-1)
            journey = Journey()
            for move in found:
                if move.step > safe:
                    journey.steps.append(move.step)
                for folder, name in move.places:
                    if move.step <= safe:
                        self._kept[id(folder), name] = max(move.step, self._kept.get((id(folder), name), -1))
                    else:
                        self._of_event[id(folder), name, move.step] = journey

    def kept_up_to(self, folder: Inode, name: str) -> int:
        """The step up to which the name is safe, since the other side of its rename is; -1: none."""
        return self._kept.get((id(folder), name), -1)

    def find(self, folder: Inode, name: str, steps: Sequence[int]) -> Optional[Journey]:
        """The journey that a name's changes belong to, but for those before it; None if one does not, or none does."""
        found = [self._of_event.get((id(folder), name, step)) for step in steps]
        while found and found[0] is None:
            del found[0]
        return found[0] if found and all(one is found[0] for one in found) else None


def _is_synced(move: Move, cut: int) -> bool:
    return any(move.step < step <= cut for folder, _ in move.places for step in folder.syncs)
