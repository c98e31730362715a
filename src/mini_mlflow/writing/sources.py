"""The user's own files and folders, looked through before they become artifacts. Nothing here changes anything.

Links are followed: to a file, it counts as that file; to a folder, as that folder, unless it leads back to one that
it stands in. What is neither a file nor a folder is refused, and so is the folder of the run itself: who logs ``.``
with the tree in it would copy the artifacts into the artifacts.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Iterator, List, NamedTuple, Set, Tuple

from mini_mlflow.disk.copying import check_regular
from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.errors import InvalidPathError, InvalidTypeError, show

#: What a file system tells a folder by: device and inode.
Identity = Tuple[int, int]


class SourceEntry(NamedTuple):
    """Something in a folder of the user's.

    Attributes:
        path: where it stands.
        name: below the folder, with "/" between names.
        size_bytes: as it is now; -1 for a folder.
    """

    path: str
    name: str
    size_bytes: int

    @property
    def is_folder(self) -> bool:
        return self.size_bytes < 0


def resolve_source(path: Any, what: str) -> str:
    """The absolute path of the user's file or folder.

    Raises:
        InvalidTypeError: not a str or a path.
        InvalidPathError: empty, or with a NUL in it.
    """
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise InvalidTypeError("%s must be a path, not %s: %s" % (what, type(path).__name__, show(path))) from None
    if not text or "\0" in text:
        raise InvalidPathError("%s must be a path, not %.220r" % (what, text))
    return os.path.abspath(text)


def measure_file(path: str) -> int:
    """The size in bytes of the regular file ``path``.

    Raises:
        InvalidPathError: something else stands there.
        OSError: with ``filename`` set.
    """
    status = os.stat(path)
    check_regular(status.st_mode, path)
    return status.st_size


def iter_source(folder: str, refused: Set[Identity]) -> Iterator[SourceEntry]:
    """What is in ``folder``, at any depth, each folder before what is in it.

    Memory holds the names of the folders that are yet to be looked into, and of no file.

    Args:
        folder: the user's folder.
        refused: folders that must not be it, or be in it.

    Raises:
        InvalidPathError: of that; a loop; a special file; a name that no artifact may have.
        OSError: with ``filename`` set: something cannot be read, a link leads nowhere.
    """
    waiting: List[Tuple[str, str, Tuple[Identity, ...]]] = [(folder, "", ())]
    while waiting:
        path, prefix, above = waiting.pop()
        status = os.stat(path)
        identity = (status.st_dev, status.st_ino)
        if identity in refused:
            raise InvalidPathError(
                "%s holds the artifacts of the run that they are to be logged to; log what is beside them" % path
            )
        if identity in above:
            raise InvalidPathError("%s is a link that leads back to a folder which it stands in; remove it" % path)
        with os.scandir(path) as entries:
            for entry in entries:
                name = check_artifact_path(prefix + entry.name, "the name of a file to log")
                found = entry.stat()
                if stat.S_ISDIR(found.st_mode):
                    waiting.append((entry.path, name + "/", (*above, identity)))
                    yield SourceEntry(entry.path, name, -1)
                else:
                    check_regular(found.st_mode, entry.path)
                    yield SourceEntry(entry.path, name, found.st_size)


def identify_own(paths: RunPaths) -> Set[Identity]:
    """The folders of the run itself, for `iter_source` to refuse."""
    found: Set[Identity] = set()
    for folder in (paths.folder, paths.artifacts):
        try:
            status = os.stat(folder)
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return found
