"""Removing a folder with all that is in it: what no run's name leads to, so that nobody need be told what is left.

Not for what a run is made of: that is renamed out of everybody's sight first, and what a kill leaves of it is swept by
the next one who comes.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Callable, List

from mini_mlflow.disk import atomic


def remove_tree(path: str) -> None:
    """Nothing stands at ``path`` any more; what the system refuses to remove is left, and all else is gone.

    Of a link, at ``path`` or below it, the link is removed, and not what it leads to.
    """
    if not _is_folder(path):
        _try(atomic.remove_file, path)
        return
    emptied: List[str] = []
    # Not by recursion: artifacts may be nested deeper than the interpreter's stack.
    folders = [path]
    while folders:
        folder = folders.pop()
        emptied.append(folder)
        for entry in _scan(folder):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                _try(atomic.remove_file, entry.path)
    for folder in reversed(emptied):
        _try(atomic.remove_folder, folder)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _scan(folder: str) -> List[Any]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _try(remove: Callable[[str], Any], path: str) -> None:
    try:
        remove(path)
    except OSError:
        pass
