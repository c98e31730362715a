"""What was staged becomes artifacts, in one step. For the holder of the run's lock.

A file, or a folder that is not there yet with all that is in it, takes its place by one rename, and so do the folders
that are missing on the way to it. A file that is there is exchanged for the new one, so that the old one can be given
back should a later step fail.

Where a folder is there already, what it holds and what is new are put together in the staged folder first, by hard
links to the old files, and then the two folders are exchanged: a reader finds the old folder or the new one, whole,
and so does who comes after a kill. What it costs is a link for each old file below the deepest folder that all
changes have in common, under the lock; 10,000 of them take a tenth of a second.

Where the system can neither exchange nor link (not Linux; NFS, FAT, some FUSE; files of another user's), the new files
are renamed one after another: each appears whole, but a kill in between leaves some of them, and so does a failing
disk that refuses to take them back.

No link is followed on the way, and nothing but a file or a folder of its own kind is replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Iterator, List, NamedTuple, Set, Tuple

from mini_mlflow.disk import atomic, copying
from mini_mlflow.disk.regular import may_change
from mini_mlflow.errors import OutsideTreeError


class Move(NamedTuple):
    """A rename that is to come: ``staged`` takes the place ``target``; ``replaces``: of what stands there."""

    staged: str
    target: str
    replaces: bool


def place(content: str, artifacts: str, sync: bool) -> None:
    """All that is in the staged folder ``content`` stands in the folder ``artifacts``, at the same places.

    Args:
        content: the staged folder. What it holds afterwards is of no use to anybody.
        artifacts: made if it is not there; its parent is a real folder.
        sync: what is in ``content`` has been synced, and what is done here is too.

    Raises:
        IsADirectoryError, NotADirectoryError: a folder stands where a file would have to, or the reverse.
        OutsideTreeError: a link or a special file does.
        OSError: with ``filename`` set; the artifacts are as they were.
    """
    moves = list(_plan(content, artifacts))
    done: List[Tuple[Move, bool]] = []
    try:
        if len(moves) > 1:
            _exchange_merged(moves, content, artifacts, sync, done)
        for move in moves if not done else ():
            swapped = move.replaces and copying.exchange(move.staged, move.target)
            if not swapped:
                atomic.move(move.staged, move.target)
            done.append((move, swapped))
        if sync:
            for folder in _list_way_down([move.target for move, _ in done], os.path.dirname(artifacts)):
                atomic.sync_folder(folder)
    except BaseException:
        _take_back(done)
        raise


def _plan(content: str, artifacts: str) -> Iterator[Move]:
    """The topmost of what has no namesake, and the files that have one."""
    waiting = [(content, artifacts)]
    while waiting:
        staged, target = waiting.pop()
        is_folder = stat.S_ISDIR(os.lstat(staged).st_mode)
        try:
            mode = os.lstat(target).st_mode
        except FileNotFoundError:
            yield Move(staged, target, False)
            continue
        _check_kinds(is_folder, mode, target)
        if is_folder:
            waiting += [("%s/%s" % (staged, name), "%s/%s" % (target, name)) for name in os.listdir(staged)]
        else:
            yield Move(staged, target, True)


def _check_kinds(is_folder: bool, mode: int, target: str) -> None:
    if stat.S_ISDIR(mode):
        if not is_folder:
            raise IsADirectoryError(errno.EISDIR, "a folder of the run's artifacts stands there, not a file", target)
    elif not stat.S_ISREG(mode):
        raise OutsideTreeError(errno.EINVAL, "is a link or a special file; remove it, it is not written to", target)
    elif is_folder:
        raise NotADirectoryError(errno.ENOTDIR, "a file of the run's artifacts stands there, not a folder", target)


def _exchange_merged(
    moves: List[Move], content: str, artifacts: str, sync: bool, done: List[Tuple[Move, bool]]
) -> None:
    """The deepest folder with all the changes has been exchanged, and is noted in ``done``; or nothing has happened."""
    # Names are parted by slashes here and not by os.sep, which commonpath() would return.
    target = os.path.commonpath([os.path.dirname(move.target) for move in moves])
    staged = content + target[len(artifacts) :]
    if _link_rest(target, staged):
        if sync:
            sync_folders(staged)
        move = Move(staged, target, True)
        if copying.exchange(staged, target):
            done.append((move, True))


def _link_rest(old: str, new: str) -> bool:
    """The folder ``new`` holds all of ``old`` that it has no newer file for; False if that cannot be done here."""
    waiting = [(old, new)]
    while waiting:
        old, new = waiting.pop()
        if not may_change(old):
            # Nobody could empty it afterwards; and who may not write to a folder must not replace it either.
            return False
        copying.copy_mode(old, new)
        with os.scandir(old) as entries:
            for entry in entries:
                target = "%s/%s" % (new, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    atomic.create_folder(target)
                    waiting.append((entry.path, target))
                elif not os.path.lexists(target) and not copying.link_file(entry.path, target):
                    return False
    return True


def sync_folders(top: str) -> None:
    """The names in ``top`` and in the folders below it are on the medium. Raises OSError (with ``filename``)."""
    for folder, _, _ in os.walk(top, onerror=_raise):
        atomic.sync_folder(folder)


def sync_files(top: str) -> None:
    """The bytes of all files below ``top`` are on the medium. Raises OSError (with ``filename``).

    Once all of them are written: the first fsync of many takes most of the others' bytes along.
    """
    for folder, _, names in os.walk(top, onerror=_raise):
        for name in names:
            atomic.sync_file("%s/%s" % (folder, name))


def _raise(error: OSError) -> None:
    # A folder that has gone would count as synced: its run may come back, with bytes that never were.
    raise error


def _list_way_down(targets: List[str], top: str) -> Set[str]:
    """The folders in which a name has changed, and those on the way to them from ``top``."""
    found: Set[str] = set()
    for target in targets:
        folder = os.path.dirname(target)
        while folder not in found and len(folder) >= len(top):
            found.add(folder)
            folder = os.path.dirname(folder)
    return found


def _take_back(done: List[Tuple[Move, bool]]) -> None:
    for move, swapped in reversed(done):
        try:
            if swapped:
                copying.exchange(move.staged, move.target)
            elif not move.replaces:
                atomic.move(move.target, move.staged)
        except OSError:
            # The first error is the one to tell.
            pass
