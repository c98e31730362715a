"""What the readers of a run share: its folder's parts, each read so that damage is told and passed over."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.layout import RunPaths, commit_number, document_stem
from mini_mlflow.disk.regular import held_folder, list_folder, name_held, read_file
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning
from mini_mlflow.formats.commits import Change, parse_commit
from mini_mlflow.formats.documents import Snapshot, parse_snapshot, parse_snapshot_metadata

Commits = List[Tuple[int, Sequence[Change]]]
Part = TypeVar("Part")
# More numbers than this between two commits mean that one of the names is somebody's own.
_LONGEST_LOG = 100_000


def check_folders(paths: RunPaths) -> None:
    """Returns if the run's folder and its experiment's are folders and no links.

    Raises:
        OutsideTreeError: one is a link or a file.
        FileNotFoundError: there is no such run.
    """
    check_folder(paths.experiment)
    check_folder(paths.folder)


@contextmanager
def held(paths: RunPaths) -> Iterator[RunPaths]:
    """For the length of the block, the paths of the run that stands there now, wherever it is moved meanwhile.

    A run that is deleted, and perhaps restored, while it is read would else be read in part: its metadata, say, but
    none of its params. Errors name the paths that one knows.

    Raises:
        FileNotFoundError: there is no such run, or at the end of the block none any more, or another one.
    """
    with held_folder(paths.folder) as folder:
        try:
            yield paths._replace(folder=folder)
        except DamagedFileError as error:
            raise DamagedFileError(name_held(error.path), error.reason) from None
        except OSError as error:
            if isinstance(error.filename, str):
                error.filename = name_held(error.filename)
            raise


def read_snapshot(paths: RunPaths) -> Optional[Snapshot]:
    """The snapshot of an ended run; None if there is none, or (with a warning) none that can be read."""
    return _read_snapshot(paths.snapshot, parse_snapshot)


def read_late_snapshot(paths: RunPaths) -> Optional[Snapshot]:
    """The same after the rest was read, since there was none before; nothing more is said of one that is damaged."""
    try:
        return parse_snapshot(read_file(paths.snapshot), paths.snapshot)
    except (DamagedFileError, OSError):
        return None


def read_snapshot_metadata(paths: RunPaths) -> Optional[Dict[str, Any]]:
    """What the snapshot of an ended run has as metadata; None as `read_snapshot`."""
    return _read_snapshot(paths.snapshot, parse_snapshot_metadata)


def last_commit(metadata: Mapping[str, Any]) -> int:
    """The number of the last commit that a run which has ended remembers; 0 if it remembers none."""
    commit = metadata.get("commit", 0)
    return commit if isinstance(commit, int) else 0


def _read_snapshot(path: str, parse: Callable[[bytes, str], Part]) -> Optional[Part]:
    try:
        return parse(read_file(path), path)
    except FileNotFoundError:
        return None
    except (DamagedFileError, OSError) as error:
        warn(error)
        return None


def warn(error: Exception) -> None:
    """A DamagedFileWarning says what was passed over and why."""
    warnings.warn("skipped: %s" % name_held(str(error)), DamagedFileWarning, stacklevel=3)


def list_log(paths: RunPaths) -> List[int]:
    """The numbers of the commits in the log, in order; none, with a warning, if it cannot be listed."""
    try:
        names = list_folder(paths.log)
    except OSError as error:
        warn(error)
        return []
    return sorted(number for number in map(commit_number, names) if number is not None)


def read_log(paths: RunPaths, numbers: List[int]) -> Commits:
    """The commits in the log, of which ``numbers`` were listed, in order; torn ones are passed over, with a warning."""
    if not numbers:
        return []
    # Not the listed numbers alone: readdir(3) may miss one that was made during the listing and show a later one.
    commits: Commits = []
    first, last = numbers[0], numbers[-1]
    for number in range(first, last + 1) if last - first < _LONGEST_LOG else numbers:
        path = paths.commit(number)
        try:
            commits.append((number, parse_commit(read_file(path), path)))
        except FileNotFoundError:
            continue
        except (DamagedFileError, OSError) as error:
            warn(error)
    return commits


def documents(paths: RunPaths, kind: str) -> List[Tuple[str, str]]:
    """``(path, quoted key)`` of each document of a kind, sorted."""
    folder = paths.kind_folder(kind)
    try:
        names = list_folder(folder)
    except OSError as error:
        warn(error)
        return []
    stems = ((name, document_stem(name)) for name in sorted(names))
    return [(os.path.join(folder, name), stem) for name, stem in stems if stem is not None]


def read_document(
    path: str, stem: str, parse: Callable[[bytes, str, str], Any], read: Callable[[str], bytes] = read_file
) -> Any:
    """What ``parse(read(path), path, stem)`` makes of a document; None if there is none, or none that is whole."""
    try:
        return parse(read(path), path, stem)
    except FileNotFoundError:
        return None
    except (DamagedFileError, OSError) as error:
        warn(error)
        return None
