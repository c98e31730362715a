"""Two calls that Linux has and Python has no name for; only `disk.copying` makes them.

Each raises OSError as the system does, ENOSYS where there is no such call. (Not on macOS either, whose clonefile(2)
and renamex_np(2) do the same: nobody has tried.)
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# <linux/fs.h>: _IOW(0x94, 9, int), and the flag of renameat2(2).
_FICLONE = 0x40049409
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def clone(writing: int, reading: int) -> None:
    """The file behind ``writing`` shares all the bytes of the one behind ``reading`` (ioctl_ficlone(2)).

    At once, whatever their number, where the file system can do that: btrfs, XFS, bcachefs, on one file system.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.ioctl(writing, _FICLONE, reading)


def exchange(one: str, other: str) -> None:
    """What stood at ``one`` stands at ``other`` and the reverse, in one step (renameat2(2), RENAME_EXCHANGE)."""
    call = _find_renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), one, None, other)
    import ctypes

    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


@functools.lru_cache(maxsize=None)
def _find_renameat2() -> Any:
    try:
        import ctypes  # 5 ms that only a merge of folders needs

        return ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, TypeError, AttributeError):
        # A Python without ctypes, Windows, a C library without it (glibc has it since 2.28).
        return None
