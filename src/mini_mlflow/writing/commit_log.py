"""The log of one run: a commit is one new file, ``log/<number>.json``. For the holder of the run's lock.

The rename that gives a commit its name is the commit point: atomic for the whole batch, and in one order for the
whole run. Numbers never restart, also not after a power cut or a resume: a document that says "I hold the commits up
to 17" must never meet another commit 17.

Whose turn a number is follows from what is there, not from what this process remembers: the next one is free if the
last one this process knows is still there and the next is not. Removing goes from the oldest up and leaves the
newest, and the end of a run removes all; so while a commit that this process knows is there, all later ones are,
and the run has not ended. Otherwise the folder is listed. (mtime and inode numbers repeat within a clock tick; a
network file system may answer a stat from the client's cache, so there the folder is listed each time.)
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import RunPaths, commit_number
from mini_mlflow.disk.mounts import is_network_file_system
from mini_mlflow.disk.regular import exists, list_folder, read_file
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, OutsideTreeError
from mini_mlflow.formats.commits import Change, parse_commit

_LOOK_AHEAD = 64
# A search through more would cost what it is to save.
_SEARCHED_AT_MOST = 128


def draw_number() -> int:
    """A number that no log has come near: of 48 bits, so that any program that reads JSON has it exactly."""
    return int.from_bytes(os.urandom(6), "big")


class CommitLog:
    """What is known of the log; `forget` makes it look again.

    Attributes:
        last: the highest number in use; 0 if there is none; None if nobody looked yet.
        lists_always: what stat(2) says of single files is not relied on.
        floor: all commits up to this number are in the documents, and gone (the newest may still be there).
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self.folder = paths.log
        self.lists_always = is_network_file_system(paths.address.root)
        self.last: Optional[int] = None
        self.floor = 0
        self._changes: Dict[int, Sequence[Change]] = {}
        # When the run was started: that tells it from another one of its id, made after it was removed.
        self._born: Any = None

    def forget(self) -> None:
        """Nothing is known any more; the next call looks."""
        self.last = None
        self.floor = 0
        self._changes.clear()

    def is_of_another_run(self, meta: Mapping[str, Any]) -> bool:
        """Whether the run is not the one that ``meta`` was of last time: that one is gone, and its numbers with it."""
        before, self._born = self._born, meta.get("start_time")
        return before not in (None, self._born)

    def begin_at(self, meta: Mapping[str, Any], last: int) -> None:
        """The run was made a moment ago, and its commits will have higher numbers than ``last``."""
        self._born = meta.get("start_time")
        self.last = self.floor = last

    def note_highest(self, number: int, is_empty: bool) -> int:
        """No number up to ``number`` is free. Returns the last one in use."""
        self.last = max(number, self.last or 0)
        if is_empty:
            self.floor = self.last
        return self.last

    def next_if_known(self) -> Optional[int]:
        """The next free number, if what is known still holds; None if the folder must be listed."""
        last = self.last
        if last is None or self.lists_always or not exists(self._paths.commit(last)):
            return None
        for number in range(last + 1, last + _LOOK_AHEAD):
            if not exists(self._paths.commit(number)):
                return number
        return None

    def look(self, sweep: bool) -> List[int]:
        """The numbers in the folder, in order. With ``sweep``, leftover temporaries are gone afterwards."""
        names = list_folder(self.folder)
        if sweep:
            atomic.remove_temporaries(self.folder, names)
        numbers = sorted(number for number in map(commit_number, names) if number is not None)
        self.floor = max(self.floor, numbers[0] - 1) if numbers else max(self.floor, self.last or 0)
        self._drop_changes(self.floor)
        return numbers

    def may_hold(self, wanted: Callable[[Change], bool]) -> bool:
        """False if no commit that waits to be folded has such a change. `next_if_known` or `look` came just before.

        Raises:
            OSError: a commit cannot be read.
        """
        if self.unfolded() > _SEARCHED_AT_MOST:
            return True
        waiting = self.changes(range(self.floor + 1, (self.last or 0) + 1))
        return any(wanted(change) for changes in waiting.values() for change in changes)

    def note(self, number: int, changes: Sequence[Change]) -> None:
        """Commit ``number`` of this process stands: it need not be read again for folding."""
        self._changes[number] = changes
        if self.last is not None:
            # Else the floor is not known either, and the next call must look.
            self.last = number

    def changes(self, numbers: Sequence[int]) -> Dict[int, Sequence[Change]]:
        """The changes of these commits. Left out are those that are gone (folded) and, with a warning, torn ones."""
        found = {}
        for number in numbers:
            changes = self._changes.get(number)
            if changes is None:
                changes = self._read(number)
                self._changes[number] = changes
            found[number] = changes
        return found

    def _read(self, number: int) -> Sequence[Change]:
        path = self._paths.commit(number)
        try:
            return parse_commit(read_file(path), path)
        except FileNotFoundError:
            return ()
        except (DamagedFileError, OutsideTreeError) as error:
            warnings.warn("skipped a commit: %s" % error, DamagedFileWarning, stacklevel=2)
            return ()

    def unfolded(self) -> int:
        """How many commits wait to be folded, as far as is known."""
        return (self.last or 0) - self.floor

    def remove(self, numbers: Sequence[int], up_to: int) -> None:
        """Of ``numbers``, oldest first, those up to ``up_to`` are gone but the newest of all. All are folded."""
        for number in numbers[:-1]:
            if number <= up_to:
                atomic.remove_file(self._paths.commit(number))
        self.floor = max(self.floor, up_to)
        self._drop_changes(up_to)

    def _drop_changes(self, up_to: int) -> None:
        # On a copy and without minding what is gone: a signal handler may change the dict at any moment.
        for number in list(self._changes):
            if number <= up_to:
                self._changes.pop(number, None)
