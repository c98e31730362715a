"""The second module that changes the file system: files of any size are copied into the tree, and folders exchanged.

`disk.atomic` is for what fits into memory and takes no time. A copy may take minutes, so nothing here is for the
holder of a lock but `exchange`; and a copy goes under a name that nobody reads (`writing.staging`), so it need not be
whole while it is made.

How the bytes are moved, the fastest way first, each where the system and both file systems know it: shared instead of
copied (FICLONE), copied inside the kernel (copy_file_range(2), then sendfile(2)), or through 1 MB of memory. A way
that is refused before its first byte or in the middle is followed by the next, from where it stopped.

Kept of a file are its bytes and whether it may be executed; its mode is else what the umask says. Owner, times,
extended attributes and holes are not kept.

Tests replace the names ``os`` and ``linux`` of this module, as they do in `disk.atomic`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Callable

from mini_mlflow.disk import linux
from mini_mlflow.errors import InvalidPathError

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
# A link is followed here: it is the user's own, outside of the tree. A FIFO must not make anybody wait.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
# Between two calls somebody may be told how far it is.
_PIECE_BYTES = 16 * 1024 * 1024
_BUFFER_BYTES = 1024 * 1024
# What a way says that does not work here: between two file systems, on this one, in this kernel, in this sandbox.
_NOT_THIS_WAY = (
    errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.ETXTBSY, errno.ENOTSOCK,
)  # fmt: skip
_CANNOT_LINK = (*_NOT_THIS_WAY, errno.EMLINK, errno.EACCES)

#: Is told of each piece, in bytes.
Count = Callable[[int], None]


def copy_file(source: str, target: str, count: Count) -> None:
    """``target`` holds what was read of the regular file ``source``, up to its end; not synced.

    If somebody writes to the source meanwhile, what is stored is what was read, whether or not it ever stood there
    like that.

    Args:
        source: a file of the user's; a link is followed.
        target: stands nowhere yet; its folder does.
        count: called with the bytes of each piece as they are stored; what it raises comes through.

    Raises:
        InvalidPathError: the source is a FIFO, a socket, a device or a folder. Nothing was made.
        OSError: with ``filename`` set. The target may be there in part: it is the caller's to remove.
    """
    path, reading, writing = source, -1, -1
    try:
        reading = os.open(source, _READ)
        mode = os.fstat(reading).st_mode
        check_regular(mode, source)
        path = target
        writing = os.open(target, _CREATE, 0o777 if mode & _EXECUTABLE else 0o666)
        _move(writing, reading, count)
        # close(2) may report what write(2) did not (NFS, quotas); it must not be called twice then.
        closing, writing = writing, -1
        os.close(closing)
    except OSError as error:
        error.filename, error.filename2 = error.filename or path, None
        raise
    finally:
        for descriptor in (reading, writing):
            _close_quietly(descriptor)


def check_regular(mode: int, source: str) -> None:
    """Returns if ``mode`` is that of a regular file. Raises InvalidPathError, which names ``source``."""
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a FIFO, a socket or a device"
        raise InvalidPathError("%s is %s; only regular files become artifacts" % (source, kind))


def _close_quietly(descriptor: int) -> None:
    try:
        if descriptor >= 0:
            os.close(descriptor)
    except OSError:
        # Nothing was written through this one, or the first error is the one to tell.
        pass


def _move(writing: int, reading: int, count: Count) -> None:
    try:
        linux.clone(writing, reading)
    except OSError as error:
        _raise_unless_another_way(error)
    else:
        count(os.fstat(writing).st_size)
        return
    for way in (_copy_range, _send):
        try:
            while True:
                moved = way(writing, reading)
                if not moved:
                    break
                count(moved)
            break
        except OSError as error:
            _raise_unless_another_way(error)
    # The kernel's own ways take some files for empty (of /proc, of some FUSE): read(2) says where they end.
    _copy_through_memory(writing, reading, count)


def _raise_unless_another_way(error: OSError) -> None:
    if error.errno not in _NOT_THIS_WAY:
        raise error


if sys.platform == "linux" and sys.version_info >= (3, 8):

    def _copy_range(writing: int, reading: int) -> int:
        return os.copy_file_range(reading, writing, _PIECE_BYTES)

else:

    def _copy_range(writing: int, reading: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


if sys.platform == "linux":

    def _send(writing: int, reading: int) -> int:
        return os.sendfile(writing, reading, None, _PIECE_BYTES)

else:

    def _send(writing: int, reading: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _copy_through_memory(writing: int, reading: int, count: Count) -> None:
    while True:
        piece = os.read(reading, _BUFFER_BYTES)
        if not piece:
            return
        written = os.write(writing, piece)
        while written < len(piece):
            written += os.write(writing, piece[written:])
        count(len(piece))


def link_file(path: str, target: str) -> bool:
    """The file ``path``, or the link itself that stands there, has a second name ``target``, which was free.

    Returns:
        False if files cannot be linked here (FAT, a file of another user's, too many links); nothing has happened.

    Raises:
        OSError: with ``filename`` set.
    """
    try:
        os.link(path, target, follow_symlinks=False)
    except NotImplementedError:
        return False
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        error.filename, error.filename2 = target, None
        raise
    return True


def link_or_copy(source: str, target: str, link: bool, count: Count) -> bool:
    """``target`` is the file ``source`` by another name if ``link`` and that can be done here, or else a copy of it.

    Returns:
        True if it is another name.

    Raises:
        InvalidPathError, OSError: as `copy_file`.
    """
    if link:
        # The file itself, and not a link of the user's that leads to it.
        path = os.path.realpath(source)
        status = os.stat(path)
        check_regular(status.st_mode, source)
        if link_file(path, target):
            count(status.st_size)
            return True
    copy_file(source, target, count)
    return False


def copy_mode(path: str, target: str) -> None:
    """The folder ``target`` lets in whom the folder ``path`` lets in. Raises OSError (with ``filename``)."""
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    if mode != stat.S_IMODE(os.lstat(target).st_mode):
        os.chmod(target, mode)


def exchange(path: str, target: str) -> bool:
    """What stood at ``path`` stands at ``target`` and the reverse, in one step: nobody ever finds nothing there.

    Returns:
        False if the system cannot do that here (not Linux, NFS, some FUSE); nothing has happened.

    Raises:
        OSError: with ``filename`` set; nothing has happened.
    """
    try:
        linux.exchange(path, target)
    except OSError as error:
        if error.errno in _NOT_THIS_WAY:
            return False
        error.filename, error.filename2 = target, None
        raise
    return True
