"""The artifacts of a run, as they stand: never locking, never following a link.

A listing is of one folder at one moment: a folder that is exchanged for a newer one meanwhile is listed as it was
before, or as it is then. Two listings, of a folder and of one in it, are two moments.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any, List, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.regular import scan_kinds
from mini_mlflow.entities import FileInfo
from mini_mlflow.errors import ArtifactNotFoundError, OutsideTreeError


def list_artifacts(paths: RunPaths, path: Any) -> List[FileInfo]:
    """What is in a folder of the run's artifacts, sorted by path; [] for a file, and where nothing is.

    Links and special files, which somebody else must have put there, are left out.

    Args:
        path: the folder, relative to the run's artifacts; None for the top.

    Raises:
        FileNotFoundError: there is no such run.
        InvalidPathError, InvalidTypeError: a bad path.
        OutsideTreeError: a link or a special file stands on the way.
        OSError: with ``filename`` set.
    """
    prefix = "" if path is None else check_artifact_path(path, "path") + "/"
    try:
        folder, mode = _find(paths, prefix[:-1])
    except ArtifactNotFoundError:
        return []
    if not stat.S_ISDIR(mode):
        return []
    found = []
    for name, status in scan_kinds(folder):
        if stat.S_ISDIR(status.st_mode):
            found.append(FileInfo(prefix + name, True, None))
        elif stat.S_ISREG(status.st_mode):
            found.append(FileInfo(prefix + name, False, status.st_size))
    return sorted(found)


def find_artifact(paths: RunPaths, path: Any) -> str:
    """The absolute path of an artifact, a file or a folder; path None: of the folder of all of them.

    Raises:
        FileNotFoundError: there is no such run.
        ArtifactNotFoundError: (a FileNotFoundError too) it has no such artifact.
        InvalidPathError, InvalidTypeError, OutsideTreeError, OSError: as `list_artifacts`.
    """
    return _find(paths, "" if path is None else check_artifact_path(path, "path"))[0]


def _find(paths: RunPaths, path: str) -> Tuple[str, int]:
    """Where the artifact stands, and its mode."""
    check_folder(paths.experiment)
    check_folder(paths.folder)
    found, mode = paths.artifacts, _look_at(paths.artifacts, paths, path)
    for name in path.split("/") if path else ():
        found = "%s/%s" % (found, name)
        mode = _look_at(found, paths, path)
    return found, mode


def _look_at(place: str, paths: RunPaths, path: str) -> int:
    try:
        mode = os.lstat(place).st_mode
    except (FileNotFoundError, NotADirectoryError):
        run_id = paths.address.run_id
        what = "Run %r has no artifact %r" % (run_id, path) if path else "Run %r has no artifacts" % run_id
        raise ArtifactNotFoundError(errno.ENOENT, what, place) from None
    if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and place != paths.artifacts):
        return mode
    raise OutsideTreeError(errno.EINVAL, "is a link or a special file; it is not followed", place)
