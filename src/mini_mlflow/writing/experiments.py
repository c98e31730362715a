"""Making experiments: a name gets one number, whoever asks for it at once, under the tree's lock.

The commit point is one rename, of a folder that holds its ``experiment.yaml`` to its number: there is never a numbered
folder without the name that it was made for. A kill before it leaves a ``.tmp-*`` folder in the tree, which the next
one to make an experiment sweeps.

A number is one more than the highest that stands in the tree, in ``.locks`` or in ``.trash``: none is ever given out
again, whatever was deleted. A run may be started under any number, without this lock; who names the one that is
about to be given out (nobody knows it) finds its run in the new experiment.

With the levels "end" and "always" a new experiment survives a power cut: runs of it that have ended would otherwise
be there under a number without a name.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, Dict, Iterator, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import TEMPORARY_PREFIX, check_experiment_id
from mini_mlflow.disk.layout import EXPERIMENT, LOCKS, TRASH, TREE_LOCK, experiment_folder
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.entities import Experiment, Settings
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.formats.experiments import dump_experiment
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing.tree_lock import held

#: Finds the experiment of a name; None if there is none.
Find = Callable[[], Optional[Experiment]]


def create_unless_found(root: str, name: str, tags: Dict[str, Any], find: Find, settings: Settings) -> Experiment:
    """What ``find`` returns under the tree's lock, or else a new experiment, which has no tags but ``tags``.

    Raises:
        LockTimeout, OSError: none was made.
        TreeBusyError: this is a signal handler, and the frame below it makes an experiment; none was made here.
        Exception: what ``find`` raises; none was made.
    """
    with held(root, TREE_LOCK, settings.lock_timeout_s):
        found = find()
        if found is not None:
            return found
        for entry in list_folder(os.path.realpath(root)):
            if entry.startswith(TEMPORARY_PREFIX):
                remove_tree(os.path.join(root, entry))
        number = 1 + max(_numbers(root), default=0)
        while True:
            experiment = Experiment(number, name, tags, now_iso())
            if _publish(root, experiment, settings.fsync != "never"):
                return experiment
            number += 1


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
