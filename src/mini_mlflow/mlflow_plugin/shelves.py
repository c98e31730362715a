"""The runs of one folder that have ended, remembered from one search to the next, and what else stands there.

Which names there are in the folder is remembered while its own stamp is the same, and what was read of a run's
snapshot while that of the snapshot is (`stamps`). The snapshot of a run that has ended hardly ever changes; when it
does, a new file is put in its place, within the run's folder. So the snapshot of each run is looked at each time,
which is nearly all that a search costs. A marker in the experiment's folder that stands for all of them would save
that, and was rejected: a run that is changed by any other hand, or copied over, would be shown as it was for ever.

A run that is open, or ended a moment ago, or does not fit, is read anew each time.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import SNAPSHOT, experiment_folder, trash_folder
from mini_mlflow.disk.regular import iter_folders, read_file
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, InvalidKeyError
from mini_mlflow.mlflow_plugin.run_handles import Standing
from mini_mlflow.mlflow_plugin.stamps import Stamp, Stamps, has_settled, open_folder, settled_before, stamp_of
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.run_view import read_run

_COLUMNS_AT_MOST = 8
_NO_STAMP: Stamp = (0, 0, 0, 0)


class Kind(NamedTuple):
    """What is remembered of a run.

    Attributes:
        make: makes it of the run, and of what belongs to the place where it stands; None: it is not to be found.
        rank: the key by which what was made is put in order.
    """

    make: Callable[[FoundRun, Any], Any]
    rank: Callable[[Any], Any]


class Entry(NamedTuple):
    """What is remembered of one run: the name of its folder, the stamp of its snapshot, what was made, and bytes."""

    name: str
    stamp: Stamp
    item: Any
    size: int


class Ended:
    """What is remembered of the runs of a folder, as one look found it; never changed, but replaced as a whole.

    Attributes:
        entries, items: of each run what is remembered, and what was made of it, in order.
        files, stamps: of each where its snapshot stands in the folder, and what it was when it was read.
        size: bytes.
    """

    def __init__(self, entries: Sequence[Entry], kind: Kind) -> None:
        self.entries = sorted(entries, key=lambda entry: kind.rank(entry.item))
        self.items = [entry.item for entry in self.entries]
        self.files = ["%s/%s" % (entry.name, SNAPSHOT) for entry in self.entries]
        self.stamps = Stamps([entry.stamp for entry in self.entries])
        self.size = sum(entry.size for entry in self.entries)
        self._columns: Dict[Any, List[Any]] = {}

    def column(self, name: Any, get: Callable[[Any], Any]) -> List[Any]:
        """``get(item)`` of each item; kept, of a few ``name``."""
        found = self._columns.get(name)
        if found is None:
            found = [get(item) for item in self.items]
            if len(self._columns) >= _COLUMNS_AT_MOST:
                self._columns.clear()
            self._columns[name] = found
        return found


class Look(NamedTuple):
    """What stands in a folder now: the names that may be runs, those that are remembered, and of all others what was
    made, in no order."""

    names: FrozenSet[str]
    ended: Ended
    others: List[Any]


class _Listing(NamedTuple):
    stamp: Optional[Stamp]
    names: FrozenSet[str]
    links: Tuple[str, ...]


class _State(NamedTuple):
    listing: _Listing
    ended: Ended
    rest: FrozenSet[str]


class Shelf:
    """The runs of one experiment that stand in it, or that lie in the trash. Safe to share between threads.

    Args:
        place: what belongs to the folder, and is given to ``kind.make``.
    """

    def __init__(self, root: str, number: int, in_trash: bool, place: Any, kind: Kind) -> None:
        self.place = place
        self._root, self._number, self._in_trash, self._kind = root, number, in_trash, kind
        self._folder = trash_folder(root, number) if in_trash else experiment_folder(root, number)
        self._nothing = _State(_Listing(None, frozenset(), ()), Ended([], kind), frozenset())
        self._state = self._nothing

    @property
    def size(self) -> int:
        """Bytes remembered."""
        return self._state.ended.size

    def look(self, limit_bytes: int) -> Look:
        """What stands here. Of more than so many bytes nothing is remembered.

        What cannot be read is left out, with a DamagedFileWarning.

        Raises:
            OSError: the folder cannot be listed (OutsideTreeError: it is none). No folder has nothing in it.
        """
        before = self._state
        try:
            check_folder(self._folder)
            with open_folder(self._folder) as folder:
                listing = self._list(folder.stamp(), before.listing)
                changed = set(folder.find_changed(before.ended.files, before.ended.stamps))
        except FileNotFoundError:
            self._state = self._nothing
            return Look(frozenset(), self._nothing.ended, [])
        state = before
        if changed or listing is not before.listing:
            kept = [
                entry
                for index, entry in enumerate(before.ended.entries)
                if index not in changed and entry.name in listing.names
            ]
            ended = before.ended if len(kept) == len(before.ended.entries) else Ended(kept, self._kind)
            state = _State(listing, ended, listing.names.difference([entry.name for entry in kept]))
        new, others = self._read_all(state.rest, limit_bytes - state.ended.size)
        if new:
            rest = state.rest.difference([entry.name for entry in new])
            state = _State(listing, Ended([*state.ended.entries, *new], self._kind), rest)
        # Of two threads at once the last one stays: what each has seen was so after it was asked.
        self._state = state
        return Look(listing.names, state.ended, others)

    def _list(self, stamp: Stamp, known: _Listing) -> _Listing:
        if stamp != known.stamp:
            before_ns = settled_before(self._root)
            names: Set[str] = set()
            links: List[str] = []
            for name, is_real in iter_folders(self._folder):
                if name in known.names or _is_run_id(name):
                    names.add(name) if is_real else links.append(name)
            # A name that comes later is younger than this, and than what has settled.
            kept = stamp if has_settled(stamp, before_ns) else None
            known = _Listing(kept, frozenset(names), () if self._in_trash else tuple(links))
        for name in known.links:
            self._skip(name)
        return known

    def _skip(self, name: str) -> None:
        try:
            check_folder(os.path.join(self._folder, name))
        except OSError as error:
            _warn(error)

    def _read_all(self, names: FrozenSet[str], limit_bytes: int) -> Tuple[List[Entry], List[Any]]:
        new, others = [], []
        for name in names:
            try:
                entry = self._read(name)
            except (FileNotFoundError, NotADirectoryError):
                # No run, or one that is moved away.
                continue
            except (DamagedFileError, OSError) as error:
                _warn(error)
                continue
            if entry.item is None:
                continue
            if 0 < entry.size <= limit_bytes:
                limit_bytes -= entry.size
                new.append(entry)
            else:
                others.append(entry.item)
        return new, others

    def _read(self, name: str) -> Entry:
        """The run as it stands, open or ended; of no size if it is not to be remembered."""
        standing = Standing(RunAddress(self._root, self._number, name), self._in_trash)
        paths, stamp, size = standing.paths, _NO_STAMP, 0
        before_ns = settled_before(self._root)
        try:
            # No link is followed here or below.
            stamp = stamp_of(os.lstat(paths.snapshot))
            data = read_file(paths.snapshot)
            run = FoundRun.of_snapshot(standing.address, data)
            # What replaces the file between the two calls is younger than it, and than what has settled.
            size = len(data) if has_settled(stamp, before_ns) else 0
        except FileNotFoundError:
            run = None
        if run is None:
            run, size = FoundRun(standing.address, None, read_run(paths)), 0
        return Entry(name, stamp, self._kind.make(run, self.place), size)


def _is_run_id(name: str) -> bool:
    try:
        check_run_id(name)
    except InvalidKeyError:
        return False
    return True


def _warn(error: Exception) -> None:
    warnings.warn("skipped a run: %s" % error, DamagedFileWarning, stacklevel=5)
