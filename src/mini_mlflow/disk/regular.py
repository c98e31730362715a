"""Reading what stands in the tree: regular files and real folders only, and never waiting.

A FIFO in the place of a document would block its reader for ever, a link would lead out of the tree, a device could
do anything. So files are opened without following a link and without waiting, and are read only if they are regular.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from typing import Iterator, List, Match, Optional, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.errors import OutsideTreeError

_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

# Held, not read: O_PATH asks for no permission on the folder itself.
_HOLD = (
    getattr(os, "O_PATH", 0)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)

_HELD = re.compile(r"/proc/self/fd/\d+")

# Most first lines are shorter; for one that is not, the file is read twice.
_LINE_BYTES = 4096

_SCANS_DESCRIPTORS = os.scandir in os.supports_fd

# access(2) asks for the real user unless told otherwise; everything else is done as the effective one.
_AS_OURSELVES = {"effective_ids": True} if os.access in os.supports_effective_ids else {}


def read_file(path: str) -> bytes:
    """The whole content of the regular file ``path``.

    Raises:
        OutsideTreeError: a symbolic link, a folder, a FIFO or a device stands there.
        OSError: with ``filename`` set.
    """
    return _read(path, None)


def read_head(path: str, limit_bytes: int) -> bytes:
    """The first ``limit_bytes`` of the regular file ``path``, or all of it. Raises as `read_file` does."""
    return _read(path, limit_bytes)


def read_first_line(path: str) -> bytes:
    """The first line of the regular file ``path``, and perhaps more of it. Raises as `read_file` does."""
    head = read_head(path, _LINE_BYTES)
    return head if b"\n" in head or len(head) < _LINE_BYTES else read_file(path)


def _read(path: str, limit_bytes: object) -> bytes:
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OutsideTreeError(errno.EINVAL, "is not a regular file; it is not read", path)
        wanted = min(limit_bytes, status.st_size) if isinstance(limit_bytes, int) else status.st_size
        data = os.read(descriptor, wanted)
        if len(data) < wanted:
            data += _read_on(descriptor, wanted - len(data))
        return data
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)


def _read_on(descriptor: int, wanted: int) -> bytes:
    pieces = []
    while wanted > 0:
        piece = os.read(descriptor, wanted)
        if not piece:
            break
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


def open_regular(path: str) -> int:
    """A descriptor for reading ``path``, opened without following a link and without waiting. Raises as `read_file`."""
    try:
        return os.open(path, _READ)
    except OSError as error:
        # ELOOP is what Linux says of a link under O_NOFOLLOW, EMLINK what FreeBSD does; ENXIO is a socket.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise OutsideTreeError(error.errno, "is a link or a special file; it is not read", path) from None
        raise


def exists(path: str) -> bool:
    """Whether anything has the name ``path``; the cheapest way to ask. False also where the system refuses to look."""
    return os.access(path, os.F_OK, **_AS_OURSELVES)


def may_change(folder: str) -> bool:
    """Whether the system would let this process add and remove names in ``folder``."""
    return os.access(folder, os.W_OK | os.X_OK, **_AS_OURSELVES)


def scan_folders(path: str) -> List[Tuple[str, bool]]:
    """All of `iter_folders` at once."""
    return list(iter_folders(path))


def iter_folders(path: str) -> Iterator[Tuple[str, bool]]:
    """What looks like a folder in the folder ``path``: its name, and whether it is one or a link to one.

    Costs no call for each name where the file system tells the kind with the name (readdir(3), ``d_type``), and no
    memory that grows with their number. What is renamed away and back meanwhile may come twice.

    Raises:
        OutsideTreeError: a symbolic link or a file stands at ``path``.
        OSError: with ``filename`` set. No such folder is no error, and has nothing in it.
    """
    try:
        check_folder(path)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield entry.name, not entry.is_symlink()
    except FileNotFoundError:
        return


@contextmanager
def folder_descriptor(path: str) -> Iterator[Optional[int]]:
    """For the length of the block, a descriptor of the folder ``path`` to look at files from (``dir_fd``).

    None where the system knows none. Raises OSError, also where a link or a file stands there.
    """
    if os.stat not in os.supports_dir_fd or not hasattr(os, "O_DIRECTORY"):
        yield None
        return
    descriptor = os.open(path, _HOLD)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def held_folder(path: str) -> Iterator[str]:
    """For the length of the block, a path that leads into the very folder that stands at ``path`` now.

    Whoever reads several files of a folder by its name may read some before and some after it is moved away, or find
    some missing that are back a moment later. Through the path given here, all of them are there, wherever the folder
    is moved. Only Linux has such paths (proc(5), ``/proc/self/fd``); elsewhere it is ``path`` itself.

    Raises:
        FileNotFoundError: there is no such folder; or at the end of the block, another one or none stands at ``path``,
            and what was read belongs to nobody any more (it may have been read while it was removed for good).
        OSError: with ``filename`` set, a symbolic link or a file among them.
    """
    if not hasattr(os, "O_DIRECTORY"):
        # Windows opens no folders, and moves none in which somebody reads.
        yield path
        return
    descriptor = os.open(path, _HOLD)
    try:
        held, through = os.fstat(descriptor), "/proc/self/fd/%d" % descriptor
        yield through if os.path.isdir(through) else path
        now = os.lstat(path)
        # While the descriptor is open, nothing else gets this inode number.
        if (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    finally:
        os.close(descriptor)


def name_held(text: str) -> str:
    """``text`` with the paths that `held_folder` gave out as one knows them."""
    return _HELD.sub(_follow_held, text)


def _follow_held(match: Match[str]) -> str:
    try:
        return os.readlink(match.group())
    except OSError:
        return match.group()


def scan_kinds(path: str) -> List[Tuple[str, os.stat_result]]:
    """What is in the folder ``path``, and what lstat(2) says of it, all of one folder.

    Should another folder be put in its place meanwhile and this one be emptied, it is the other that is told.

    Raises:
        OutsideTreeError: a symbolic link or a file stands there.
        OSError: with ``filename`` set.
    """
    while True:
        check_folder(path)
        if not _SCANS_DESCRIPTORS:
            with os.scandir(path) as entries:
                return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        # Held open until the end: so no other folder can get its number meanwhile.
        descriptor = os.open(path, _READ | getattr(os, "O_DIRECTORY", 0))
        try:
            found = []
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
                    except FileNotFoundError:
                        continue
            # Emptied is only what has lost its name before.
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return found
        finally:
            os.close(descriptor)


def list_folder(path: str) -> List[str]:
    """The names in the folder ``path``, in no order; none if there is no such folder.

    Raises:
        OutsideTreeError: a symbolic link or a file stands there.
        OSError: with ``filename`` set.
    """
    try:
        check_folder(path)
        return os.listdir(path)
    except FileNotFoundError:
        return []
