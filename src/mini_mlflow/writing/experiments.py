"""Making and changing experiments: a name gets one number, whoever asks for it at once, under the tree's lock.

The commit point of making one is one rename, of a folder that holds its ``experiment.yaml`` to its number: there is
never a numbered folder without the name that it was made for. That of a change is the rename of the new
``experiment.yaml`` over the old one, from a temporary folder beside the numbered ones. A kill before it leaves a
``.tmp-*`` folder in the tree, which the next one to make or change an experiment sweeps.

A number is one more than the highest that stands in the tree, in ``.locks`` or in ``.trash``: none is ever given out
again, whatever was deleted. A run may be started under any number, without this lock; who names the one that is
about to be given out (nobody knows it) finds its run in the new experiment.

With the levels "end" and "always" a new experiment survives a power cut, and so does a change: runs that have ended
would otherwise be there under a number without a name.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, Dict, Iterator, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import TEMPORARY_PREFIX, check_experiment_id
from mini_mlflow.disk.layout import DOCTOR, EXPERIMENT, LOCKS, TRASH, TREE_LOCK, experiment_folder
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.entities import Experiment, Settings
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.formats.experiments import dump_experiment
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing.experiment_files import load_experiment
from mini_mlflow.writing.tree_lock import held

#: Finds the experiment of a name; None if there is none.
Find = Callable[[], Optional[Experiment]]
#: Makes of an experiment what it is to be; may refuse with an exception.
Change = Callable[[Experiment], Experiment]


def create_unless_found(
    root: str,
    name: str,
    tags: Dict[str, Any],
    find: Find,
    settings: Settings,
    artifact_location: Optional[str] = None,
) -> Experiment:
    """What ``find`` returns under the tree's lock, or else a new experiment, which has no tags but ``tags``.

    Raises:
        LockTimeout, OSError: none was made.
        TreeBusyError: this is a signal handler, and the frame below it makes an experiment; none was made here.
        Exception: what ``find`` raises; none was made.
    """
    return take_in(root, Experiment(-1, name, tags, now_iso(), artifact_location), find, settings)


def take_in(root: str, wanted: Experiment, find: Find, settings: Settings) -> Experiment:
    """The same with an experiment from elsewhere: it is ``wanted``, with its number if that is 0 or more and nobody has
    ever had it here. Raises as `create_unless_found`.
    """
    with held(root, TREE_LOCK, settings.lock_timeout_s):
        found = find()
        if found is not None:
            return found
        _sweep(root)
        numbers = set(_numbers(root))
        number = wanted.experiment_id
        if number < 0 or number in numbers:
            number = 1 + max(numbers, default=0)
        while not _publish(root, wanted._replace(experiment_id=number), settings.fsync != "never"):
            number += 1
        return wanted._replace(experiment_id=number)


def update_experiment(root: str, experiment_id: int, change: Change, settings: Settings) -> Experiment:
    """What ``change`` has made of the experiment; nobody else changes or makes one meanwhile.

    Args:
        change: is given the experiment as it stands, deleted or not. What it returns is stored, unless it is the same.

    Raises:
        ExperimentNotFoundError: there is no such experiment.
        DamagedFileError: its ``experiment.yaml`` cannot be read.
        LockTimeout, TreeBusyError, OSError: the experiment is as it was, as it is after what ``change`` raises. (After
            a power cut it may be as it was to be, if what the disk refused was to confirm that.)
    """
    # Before the lock: of an experiment that is not there, no tree is made.
    load_experiment(root, experiment_id)
    with held(root, TREE_LOCK, settings.lock_timeout_s):
        return change_alone(root, experiment_id, change, settings)


def change_alone(root: str, experiment_id: int, change: Change, settings: Settings) -> Experiment:
    """As `update_experiment`, for the holder of the tree's lock."""
    before = load_experiment(root, experiment_id)
    after = change(before)
    if after != before:
        _sweep(root)
        _replace(root, before, after, settings.fsync != "never")
    return after


def _sweep(root: str) -> None:
    for entry in list_folder(os.path.realpath(root)):
        if entry.startswith(TEMPORARY_PREFIX) and not entry.startswith(DOCTOR):
            remove_tree(os.path.join(root, entry))


def _numbers(root: str) -> Iterator[int]:
    for folder in (os.path.realpath(root), os.path.join(root, LOCKS), os.path.join(root, TRASH)):
        for name in list_folder(folder):
            try:
                yield check_experiment_id(name)
            except InvalidValueError:
                continue


def _publish(root: str, experiment: Experiment, sync: bool) -> bool:
    """True if the experiment stands; False if somebody has just started a run under its number."""
    folder = experiment_folder(root, experiment.experiment_id)
    temporary = atomic.name_temporary(root)
    try:
        atomic.create_folder(temporary)
        atomic.write_file(temporary, EXPERIMENT, dump_experiment(experiment), sync)
        if sync:
            atomic.sync_folder(temporary)
        atomic.move(temporary, folder)
        if sync:
            _sync_or_take_back(root, folder, temporary)
    except OSError as error:
        remove_tree(temporary)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) and error.filename == folder:
            return False
        raise
    except BaseException:
        remove_tree(temporary)
        raise
    return True


def _sync_or_take_back(root: str, folder: str, temporary: str) -> None:
    try:
        atomic.sync_folder(root)
        atomic.sync_folder(os.path.dirname(root))
    except OSError:
        atomic.move(folder, temporary)
        raise


def _replace(root: str, before: Experiment, after: Experiment, sync: bool) -> None:
    folder = experiment_folder(root, after.experiment_id)
    made = atomic.create_folder(folder)
    _put(root, after, sync)
    if sync:
        try:
            atomic.sync_folder(folder)
            if made:
                atomic.sync_folder(root)
        except OSError:
            _put(root, before, sync)
            raise


def _put(root: str, experiment: Experiment, sync: bool) -> None:
    # Not written beside the old file: there, no experiment's number would lead the next one to what a kill leaves.
    folder, temporary = experiment_folder(root, experiment.experiment_id), atomic.name_temporary(root)
    try:
        atomic.create_folder(temporary)
        atomic.write_file(temporary, EXPERIMENT, dump_experiment(experiment), sync)
        atomic.move(os.path.join(temporary, EXPERIMENT), os.path.join(folder, EXPERIMENT))
    finally:
        remove_tree(temporary)
