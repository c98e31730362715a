"""Which files of a folder of artifacts are new here, and bringing them.

A file that stands here already is left alone unless the source's was changed after it: an import that is repeated
copies nothing twice, and takes back nothing that was changed here.
"""

from __future__ import annotations

import os
import stat
from typing import Callable, Iterator, List, NamedTuple, Tuple

from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.errors import InvalidPathError, InvalidValueError

#: Is told of a path and of what is wrong with it.
Tell = Callable[[str, object], None]

#: What may be done with artifacts: a second name for the same bytes, a copy, or nothing.
LINK, COPY, NONE = "link", "copy", "none"
CHOICES = (LINK, COPY, NONE)

Identity = Tuple[int, int]


class NewFile(NamedTuple):
    """A file of the source that is to stand here: its path, its place among the artifacts, its size in bytes."""

    path: str
    name: str
    size_bytes: int


def find_new(folder: str, here: str, tell: Tell) -> List[NewFile]:
    """The files below ``folder``, at any depth, that do not stand below ``here``, or stand there in an older state.

    Args:
        folder: the source's; links to files and folders count as these.
        here: where the artifacts stand, or will.
        tell: of what cannot be read, is no regular file, leads back to where it stands, or is newer here.
    """
    return [one for one in _iter_files(folder, tell) if _is_new(one, here, tell)]


def _iter_files(folder: str, tell: Tell) -> Iterator[NewFile]:
    waiting: List[Tuple[str, str, Tuple[Identity, ...]]] = [(folder, "", ())]
    while waiting:
        path, prefix, above = waiting.pop()
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                tell(path, "is a link that leads back to a folder which it stands in")
                continue
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            tell(path, error.strerror or error)
            continue
        for entry in found:
            try:
                name = check_artifact_path(prefix + entry.name, "the name of an artifact")
                status = entry.stat()
            except (InvalidPathError, OSError) as error:
                tell(entry.path, getattr(error, "strerror", None) or error)
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append((entry.path, name + "/", (*above, identity)))
            elif _is_readable(entry.path, status.st_mode, tell):
                yield NewFile(entry.path, name, status.st_size)


def _is_readable(path: str, mode: int, tell: Tell) -> bool:
    if not stat.S_ISREG(mode):
        tell(path, "is no regular file")
        return False
    if not os.access(path, os.R_OK):
        tell(path, "may not be read")
        return False
    return True


def _is_new(file: NewFile, here: str, tell: Tell) -> bool:
    try:
        stands = os.lstat("%s/%s" % (here, file.name))
        theirs = os.stat(file.path)
    except OSError:
        return True
    is_file = stat.S_ISREG(stands.st_mode)
    is_later = stands.st_mtime >= theirs.st_mtime
    if is_file and is_later and stands.st_size == theirs.st_size:
        return False
    if not is_file or is_later:
        tell(file.path, "another file stands here at %s/%s, changed later; it is kept" % (here, file.name))
        return False
    return True


def measure(files: List[NewFile]) -> int:
    """Their bytes together."""
    return sum(file.size_bytes for file in files)


def check_choice(artifacts: str) -> str:
    """One of `CHOICES`. Raises InvalidValueError for anything else."""
    if artifacts not in CHOICES:
        raise InvalidValueError("artifacts must be one of %s, not %r" % (", ".join(CHOICES), artifacts))
    return artifacts
