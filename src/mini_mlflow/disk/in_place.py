"""Changes that no rename makes: a second name, another mode, an emptied file, a link. For `upkeep` and `keeping`.

They go through `disk.atomic`'s ``os``, which stays the one place where a step can be made to fail, stall or kill.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from mini_mlflow.disk import atomic
from mini_mlflow.errors import OutsideTreeError

_TO_EMPTY = (
    os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
)  # fmt: skip


def _get_os() -> Any:
    # Looked up at each call: a test may have put something in its place there.
    return atomic.os  # type: ignore[attr-defined]


def link_file(path: str, target: str) -> None:
    """The regular file ``path`` also stands at ``target``, where nothing stood.

    Raises:
        OSError: with ``filename`` set; nothing happened. Not every file system has links, nor may everybody make them.
    """
    steps = _get_os()
    steps.link(path, target)


def set_mode(path: str, mode: int) -> None:
    """The file or folder ``path`` has the permissions ``mode``.

    Raises:
        OutsideTreeError: a symbolic link stands there; what it points to was not touched.
        OSError: with ``filename`` set; it has those it had.
    """
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise OutsideTreeError(errno.ELOOP, "is a symbolic link; its mode is not changed", path)
    steps = _get_os()
    steps.chmod(path, mode)


def empty_file(path: str) -> None:
    """The regular file ``path`` holds nothing, and is the same file: for locks, which must never be replaced.

    Raises:
        OSError: with ``filename`` set; it holds what it held.
    """
    steps = _get_os()
    descriptor = steps.open(path, _TO_EMPTY)
    try:
        steps.ftruncate(descriptor, 0)
    except OSError as error:
        error.filename = path
        raise
    finally:
        steps.close(descriptor)


def make_symbolic_link(path: str, target: str) -> None:
    """A symbolic link to ``target`` stands at ``path``: to try out what a file system makes of one. Raises OSError."""
    steps = _get_os()
    steps.symlink(target, path)
