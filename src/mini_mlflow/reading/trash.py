"""The runs in the trash: which there are and for how long, read without a lock."""

from __future__ import annotations

import os
import time
from typing import Container, Iterator, List, Optional

from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.disk.layout import RunPaths, trash_folder
from mini_mlflow.disk.regular import exists, read_file, scan_folders
from mini_mlflow.entities import DeletedRun, Experiment, RunAddress
from mini_mlflow.errors import DamagedFileError, InvalidKeyError, InvalidValueError
from mini_mlflow.formats.deletions import parse_deletion
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.addresses import iter_standing
from mini_mlflow.reading.experiments import list_deleted_experiments
from mini_mlflow.reading.run_view import read_stored_metadata


def list_deleted(root: str, experiment_id: Optional[int] = None) -> List[DeletedRun]:
    """The runs of an experiment (None: of all) that are deleted, the one deleted last first.

    They lie in the trash, or stand in an experiment that is deleted and are about to be moved there.

    A run of which nothing can be read is among those in the trash: it can be restored, and removed.

    Raises:
        OutsideTreeError, OSError: the trash, or an experiment's part of it, cannot be listed.
    """
    # These first: a run that is moved from there to the trash meanwhile is found, at one place or the other.
    standing = [one for experiment in list_deleted_experiments(root) for one in _standing(root, experiment)]
    in_trash = [one for number in _experiments(root, experiment_id) for one in _in_experiment(root, number)]
    both = {one[:2]: one for one in standing + in_trash if experiment_id in (None, one.experiment_id)}
    found = list(both.values())
    found.sort(key=lambda one: (one.deleted_at or "", one.run_id), reverse=True)
    return found


def _standing(root: str, experiment: Experiment) -> Iterator[DeletedRun]:
    for address in iter_standing(root, experiment.experiment_id):
        paths = RunPaths.of(address)
        if exists(paths.meta) or exists(paths.snapshot):
            yield _read(paths)._replace(deleted_at=experiment.last_update_time)


def _experiments(root: str, experiment_id: Optional[int]) -> Iterator[int]:
    for name, _ in scan_folders(trash_folder(root)):
        try:
            number = check_experiment_id(name)
        except InvalidValueError:
            continue
        if experiment_id in (None, number):
            yield number


def _in_experiment(root: str, experiment_id: int) -> Iterator[DeletedRun]:
    for name, is_real in scan_folders(trash_folder(root, experiment_id)):
        try:
            paths = RunPaths.in_trash(RunAddress(root, experiment_id, check_run_id(name)))
        except InvalidKeyError:
            continue
        if is_real:
            yield _read(paths)


def find_deleted(address: RunAddress) -> Optional[DeletedRun]:
    """The run, if it lies in the trash; None if it does not."""
    paths = RunPaths.in_trash(address)
    return _read(paths) if exists(paths.folder) else None


def _read(paths: RunPaths) -> DeletedRun:
    try:
        metadata = read_stored_metadata(paths)
    except (OSError, DamagedFileError):
        metadata = {}
    told = (metadata.get(name) for name in ("name", "status", "start_time"))
    name, status, start_time = (None if value is None else str(value) for value in told)
    return DeletedRun(paths.address.run_id, paths.address.experiment_id, _read_time(paths), name, status, start_time)


def _read_time(paths: RunPaths) -> Optional[str]:
    try:
        return parse_deletion(read_file(paths.deletion), paths.deletion)
    except (OSError, DamagedFileError):
        return None


def has_lain(root: str, deleted: DeletedRun, seconds: float) -> bool:
    """Whether the run has lain in the trash for so many seconds; always, for none. False if it is gone meanwhile.

    Where the time of its deletion cannot be read (a power cut with fsync="never", a foreign folder), that of the last
    change of its folder stands in: the rename that deleted it, or the copying of the tree, which is later.
    """
    since_ms = iso_to_ms(deleted.deleted_at)
    if since_ms is None:
        address = RunAddress(root, deleted.experiment_id, deleted.run_id)
        try:
            since_ms = int(os.lstat(RunPaths.in_trash(address).folder).st_ctime * 1000.0)
        except FileNotFoundError:
            return False
    return _is_past(since_ms, seconds)


def list_due_experiments(root: str, seconds: float, experiment_ids: Optional[Container[int]]) -> List[Experiment]:
    """The experiments (of these; None: of all) that have been deleted for so many seconds."""
    found = []
    for one in list_deleted_experiments(root):
        since_ms = iso_to_ms(one.last_update_time)
        # Without the time, it was not this library that deleted it.
        is_old = since_ms is None or _is_past(since_ms, seconds)
        if is_old and (experiment_ids is None or one.experiment_id in experiment_ids):
            found.append(one)
    return found


def _is_past(since_ms: int, seconds: float) -> bool:
    # The clock may have gone back since: nothing has lain there for less than no time.
    return max(0.0, time.time() - since_ms / 1000.0) >= seconds
