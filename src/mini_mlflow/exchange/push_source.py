"""Which runs of a tree a push looks at, parents first, and what of each is read beside its metadata.

Read as a search reads: without a lock, while others log, end and delete runs. Memory grows with the number of runs
that the filter lets pass, and with the points of one metric.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import Point, RunAddress
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.exchange.push_rules import identity
from mini_mlflow.reading.artifacts import list_artifacts
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.metric_history import History, read_history
from mini_mlflow.reading.run_folder import warn
from mini_mlflow.reading.run_view import read_run
from mini_mlflow.reading.search import iter_runs
from mini_mlflow.reading.trash import list_deleted

PARENT_TAG = "mlflow.parentRunId"


class Source(NamedTuple):
    """A run of the tree that is to be pushed, as it stood when it was found."""

    run: FoundRun
    is_deleted: bool

    @property
    def paths(self) -> RunPaths:
        return RunPaths.in_trash(self.run.address) if self.is_deleted else RunPaths.of(self.run.address)

    @property
    def parent_run_id(self) -> Optional[str]:
        """The run that it is nested in, as either library records it."""
        parent = self.run.tags.get(PARENT_TAG) or self.run.parent_run_id
        return parent if isinstance(parent, str) and parent else None


class Artifact(NamedTuple):
    """A file among a run's artifacts; ``stamp`` tells whether it is another one than before: size and time in ns."""

    path: str
    place: str
    stamp: Tuple[int, int]


def find_sources(root: str, matches: Any, experiment_ids: Optional[Sequence[int]], deleted: bool) -> List[Source]:
    """The runs that ``matches`` (None: all) lets pass, each parent before its children, else the oldest first.

    Args:
        deleted: with True, those in the trash too.

    Raises:
        OSError: an experiment cannot be listed.
    """
    found = []
    for run in iter_runs(root, experiment_ids):
        if matches is None or matches(run):
            found.append(Source(run, False))
            run.forget_parts()
    if deleted:
        known = {source.run.address for source in found}
        for run in _iter_deleted(root, experiment_ids):
            if run.address not in known and (matches is None or matches(run)):
                found.append(Source(run, True))
    return _parents_first(found)


def _iter_deleted(root: str, experiment_ids: Optional[Sequence[int]]) -> Iterator[FoundRun]:
    for told in list_deleted(root):
        if experiment_ids is None or told.experiment_id in experiment_ids:
            address = RunAddress(root, told.experiment_id, told.run_id)
            try:
                # Not FoundRun.read, which would look for it among the runs that are not deleted.
                yield FoundRun(address, None, read_run(RunPaths.in_trash(address)))
            except FileNotFoundError:
                continue
            except (DamagedFileError, OSError) as error:
                warn(error)


def _parents_first(sources: List[Source]) -> List[Source]:
    parents = {}
    for source in sources:
        parents[source.run.run_id] = source.parent_run_id
        source.run.forget_parts()
    depths: Dict[str, int] = {}
    for run_id in parents:
        above: List[str] = []
        current: Optional[str] = run_id
        # A run that is its own ancestor, by somebody's tag, ends the way up as one without a parent does.
        while current is not None and current in parents and current not in depths and current not in above:
            above.append(current)
            current = parents[current]
        depth = depths.get(current or "", -1)
        for one in reversed(above):
            depth += 1
            depths[one] = depth
    return sorted(
        sources, key=lambda source: (depths[source.run.run_id], source.run.start_time or "", source.run.run_id)
    )


def read_visible(paths: RunPaths, key: str) -> Tuple[List[Point], List[int], History]:
    """The points of a metric that no rewind hides, the position of each among all that were logged, and the history.

    Raises:
        FileNotFoundError: there is no such run any more.
        OutsideTreeError, DamagedFileError: as `read_history`.
    """
    history = read_history(paths, key)
    if len(history.shown) == len(history.stored):
        return history.shown, list(range(len(history.shown))), history
    positions = []
    at = 0
    for point in history.shown:
        while history.stored[at] is not point and identity(history.stored[at]) != identity(point):
            at += 1
        positions.append(at)
        at += 1
    return history.shown, positions, history


def local_folder(location: str) -> Optional[str]:
    """The folder that a location of artifacts means, an absolute path or a ``file:`` URI; None for any other."""
    told = urlsplit(location)
    if told.scheme == "file" and told.netloc in ("", "localhost"):
        from urllib.request import url2pathname

        return url2pathname(told.path)
    return location if os.path.isabs(location) else None


def list_files(paths: RunPaths) -> Tuple[List[Artifact], List[str]]:
    """The files among a run's artifacts, at any depth, and the paths of the folders that hold nothing.

    Raises:
        FileNotFoundError: there is no such run any more.
        OSError: a folder cannot be listed; a link stands on the way.
    """
    files: List[Artifact] = []
    empty: List[str] = []
    folders: List[Optional[str]] = [None]
    while folders:
        folder = folders.pop()
        found = list_artifacts(paths, folder)
        if not found and folder is not None:
            empty.append(folder)
        for one in found:
            if one.is_dir:
                folders.append(one.path)
                continue
            artifact = _look_at(paths, one.path)
            if artifact is not None:
                files.append(artifact)
    return sorted(files), sorted(empty)


def _look_at(paths: RunPaths, path: str) -> Optional[Artifact]:
    place = "%s/%s" % (paths.artifacts, path)
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        # Exchanged for another folder since the listing.
        return None
    return Artifact(path, place, (status.st_size, status.st_mtime_ns)) if stat.S_ISREG(status.st_mode) else None
