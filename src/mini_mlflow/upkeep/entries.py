"""What stands in a folder of the tree: regular files and real folders, with modes that let their users in.

Modes matter where a group shares a tree (a folder that the group may write to). A second member needs to write in
every folder, to open every lock for writing (flock(2) over NFS asks for it, and so does `disk.locks`), and to read
every file; files are replaced, never written to, so writing to them is not needed. The yardstick is the tree's own:
where the folder lets the group write and an entry gives the group less of that than its owner, the members would lock
each other out. A folder that is closed to the group, or has the sticky bit, asks for nothing; nor does what its
owner may not write to either, such as a tree made read-only.
"""

from __future__ import annotations

import os
import stat
from typing import Iterator, List, NamedTuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from mini_mlflow.disk.layout import staging_lock
from mini_mlflow.disk.locks import is_held
from mini_mlflow.upkeep.findings import Look

_READ, _WRITE, _ENTER = 4, 2, 1


class Entry(NamedTuple):
    """A name in a folder; ``mode`` is its own and ``above`` its folder's, both as lstat(2) has them."""

    name: str
    path: str
    mode: int
    above: int
    size_bytes: int


def iter_entries(look: Look, folder: str) -> Iterator[Entry]:
    """The entries of ``folder``, in no order, one at a time; none if there is no such folder, or it cannot be read."""
    if folder in look.refused:
        return
    try:
        check_folder(folder)
        above = os.lstat(folder).st_mode
        with os.scandir(folder) as found:
            for entry in found:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Entry(entry.name, os.path.join(folder, entry.name), status.st_mode, above, status.st_size)
    except FileNotFoundError:
        return
    except OSError as error:
        look.note_refused(folder, error)


def list_entries(look: Look, folder: str) -> List[Entry]:
    """The same, sorted by name."""
    return sorted(iter_entries(look, folder))


class Missing(NamedTuple):
    """The permissions that an entry should give its owner and its group beside those it does; bits from 0 to 7."""

    owner: int
    group: int


def find_missing_of_file(mode: int, above: int, lock: bool = False) -> Missing:
    """What a file of ``mode`` lacks in a folder of the mode ``above``."""
    needed = _READ | (_WRITE if lock and above & stat.S_IWUSR else 0)
    return _find_missing(mode, above, needed, _READ | _WRITE if lock else _READ)


def find_missing_of_folder(mode: int, above: int) -> Missing:
    """What a folder of ``mode`` lacks in a folder of the mode ``above``."""
    return _find_missing(mode, above, _READ | _ENTER, _READ | _WRITE | _ENTER)


def _find_missing(mode: int, above: int, needed: int, shared: int) -> Missing:
    owner, group = mode >> 6 & 7, mode >> 3 & 7
    is_shared = above & stat.S_IWGRP and not above & stat.S_ISVTX
    return Missing(needed & ~owner, shared & owner & ~group if is_shared else 0)


def is_file(look: Look, entry: Entry, lock: bool = False) -> bool:
    """True if the entry is a regular file; what is wrong with its kind or its mode is noted."""
    if not stat.S_ISREG(entry.mode):
        look.refused.add(entry.path)
        look.note(entry.path, "not-regular", "it is %s where a file should be; remove it" % name_kind(entry.mode))
        return False
    _note_missing(look, entry, find_missing_of_file(entry.mode, entry.above, lock))
    return True


def is_folder(look: Look, entry: Entry) -> bool:
    """True if the entry is a folder and no link to one; what is wrong with its kind or its mode is noted."""
    if not stat.S_ISDIR(entry.mode):
        look.refused.add(entry.path)
        look.note(entry.path, "not-regular", "it is %s where a folder should be; remove it" % name_kind(entry.mode))
        return False
    _note_missing(look, entry, find_missing_of_folder(entry.mode, entry.above))
    return True


def _note_missing(look: Look, entry: Entry, missing: Missing) -> None:
    mode = stat.S_IMODE(entry.mode)
    if missing.owner:
        message = "its mode is %04o, which locks its own owner out; chmod u+%s" % (mode, _name_bits(missing.owner))
        look.note(entry.path, "mode-owner", message)
    if missing.group:
        message = "its mode is %04o in a folder that the group may write to, and locks the group out; chmod g+%s" % (
            mode,
            _name_bits(missing.group),
        )
        look.note(entry.path, "mode-group", message)


def _name_bits(bits: int) -> str:
    return "".join(letter for letter, bit in (("r", _READ), ("w", _WRITE), ("x", _ENTER)) if bits & bit)


def name_kind(mode: int) -> str:
    """What lstat(2) calls it, for a message."""
    kinds = [
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
    ]
    return next((name for test, name in kinds if test(mode)), "a special file")


def note_foreign(look: Look, entry: Entry, where: str) -> None:
    look.note(
        entry.path,
        "foreign-file",
        "it is %s that does not belong into %s; move it away" % (name_kind(entry.mode), where),
    )


def is_temporary(look: Look, entry: Entry) -> bool:
    """True if the entry is a temporary. It is doubted, since a living writer makes some too, under the run's lock."""
    if not entry.name.startswith(TEMPORARY_PREFIX):
        return False
    if stat.S_ISDIR(entry.mode) and is_held(staging_lock(entry.path)):
        # Artifacts are being copied there, which takes its time, and not the run's lock.
        return True
    look.doubt(entry.path, "temporary", "a writer that was killed left it; the next end of the run sweeps it")
    return True
