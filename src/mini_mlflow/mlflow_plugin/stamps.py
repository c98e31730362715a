"""Whether a file is still the one that was read: by its inode, size and times, once they have settled.

What is put in the place of a file has another inode, or a later time, unless both happen within one tick of the clock.
So a stamp tells something only of what had settled when it was taken: it was older than anything that the same tick,
or a clock that is set back a little, could bring unnoticed (git treats its index so). The times of a folder tell in
the same way of the names in it.

Nothing here goes by how long ago something was looked at.
"""

from __future__ import annotations

import os
import time
from array import array
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple

from mini_mlflow.disk.mounts import is_network_file_system
from mini_mlflow.disk.regular import folder_descriptor

#: Inode, size, and the times of the last change of content and of the last change at all, in ns.
Stamp = Tuple[int, int, int, int]

# The coarsest clock of a file system ticks every two seconds (FAT).
_SETTLED_NS = 3_000_000_000


def stamp_of(found: os.stat_result) -> Stamp:
    """The stamp of what stat(2) told."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def settled_before(root: str) -> int:
    """What is older, in ns, has settled by now. 0 where nothing ever does: on a file system that other hosts change
    too, stat(2) may be answered from memory."""
    return 0 if is_network_file_system(root) else time.time_ns() - _SETTLED_NS


def has_settled(stamp: Stamp, before_ns: int) -> bool:
    """Whether what has this stamp is older than ``before_ns``, which was asked for before it was read."""
    return max(stamp[2:]) < before_ns


class Stamps:
    """Those of many files, laid out so that a look at all of them does not wait for memory: an eighth of its time."""

    def __init__(self, stamps: Sequence[Stamp]) -> None:
        self._columns = [_column([stamp[part] for stamp in stamps]) for part in range(4)]

    def __iter__(self) -> Iterator[Tuple[int, ...]]:
        return zip(*self._columns)


def _column(values: List[int]) -> Sequence[int]:
    try:
        return array("q", values)
    except OverflowError:
        # Inodes may have 64 bits, or more.
        return values


class Folder:
    """A folder, open for looking at many files in it: a third of what a look costs is the way down to the file."""

    def __init__(self, path: str, descriptor: Optional[int]) -> None:
        self._path = path
        self._descriptor = descriptor

    def stamp(self) -> Stamp:
        """That of the folder itself."""
        return stamp_of(os.lstat(self._path) if self._descriptor is None else os.fstat(self._descriptor))

    def find_changed(self, files: Sequence[str], stamps: Stamps) -> List[int]:
        """The indices of those ``files``, paths from the folder on, that have no longer these stamps, or are gone.

        Links are not followed, nor is anything opened.
        """
        lstat, descriptor, changed = os.lstat, self._descriptor, []
        if descriptor is None:
            files = ["%s/%s" % (self._path, file) for file in files]
        for index, (file, (inode, size, content_ns, change_ns)) in enumerate(zip(files, stamps)):
            try:
                now = lstat(file, dir_fd=descriptor)
            except OSError:
                changed.append(index)
                continue
            # As `stamp_of`, spelled out: this is all that a search does with nearly each of the runs there are.
            is_same = now.st_ino == inode and now.st_ctime_ns == change_ns and now.st_mtime_ns == content_ns
            if not is_same or now.st_size != size:
                changed.append(index)
        return changed


@contextmanager
def open_folder(path: str) -> Iterator[Folder]:
    """The folder at ``path``, for the length of the block. Raises OSError, also where a link stands there."""
    with folder_descriptor(path) as descriptor:
        yield Folder(path, descriptor)
