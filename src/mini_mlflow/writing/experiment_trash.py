"""Deleting an experiment with all of its runs, bringing it back, and removing it for good.

An experiment is deleted by one rename, of an ``experiment.yaml`` that says so: that is the commit point. From then on
readers take each run of it for deleted, wherever it stands, and none is started in it. Then its runs move to the trash
one by one, as each would alone (`writing.trash`). One that cannot be moved (its lock is held, the disk refuses) stays
where it is until the same call is made again, or a gc or a repair goes on; who has it open logs to it meanwhile.

It is restored the other way round: all runs that lie in the trash come back, those too that had been deleted before
the experiment was; then ``experiment.yaml`` says that it is active. A kill in between leaves it deleted.

A run may be started, or restored by itself, while its experiment is being deleted: whoever does so looks for the mark
once more when the run stands, and takes it back if it is there. So either sees the other: the run goes, or it is moved.

Whoever does one of these to a whole experiment holds the gc's lock from the first step to the last, so that no two
move the same runs against each other.
"""

from __future__ import annotations

import errno
import os
from typing import Iterable, Iterator, List, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import (
    GC_LOCK,
    LOCKS,
    TREE_LOCK,
    RunPaths,
    experiment_folder,
    inner_trees,
    trash_folder,
)
from mini_mlflow.disk.regular import exists, list_folder
from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.entities import ACTIVE, DELETED, Experiment, RunAddress, Settings
from mini_mlflow.errors import (
    DamagedFileError,
    ExperimentNotFoundError,
    InvalidKeyError,
    InvalidValueError,
    MiniMlflowError,
    RunExistsError,
    RunNotFoundError,
)
from mini_mlflow.formats.experiments import DEFAULT_ID
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing import trash
from mini_mlflow.writing.experiment_files import load_experiment
from mini_mlflow.writing.experiments import change_alone
from mini_mlflow.writing.tree_lock import held, held_too


def delete_experiment(root: str, experiment_id: int, settings: Settings) -> Experiment:
    """The experiment is deleted, with all of its runs. Of one that is deleted already, the runs that still stand go.

    Raises:
        InvalidValueError: it is number 0, where runs go that name no experiment.
        ExperimentNotFoundError: there is no such experiment.
        DamagedFileError, LockTimeout, TreeBusyError, OSError: it is not deleted.
    """
    if experiment_id == DEFAULT_ID:
        raise InvalidValueError("Experiment %d cannot be deleted: runs that name no experiment go there" % DEFAULT_ID)
    load_experiment(root, experiment_id)
    with held(root, GC_LOCK, settings.lock_timeout_s):
        with held_too(root, TREE_LOCK, settings.lock_timeout_s):
            experiment = change_alone(root, experiment_id, _mark, settings)
        _move_away(root, experiment_id, settings)
    return experiment


def _mark(experiment: Experiment) -> Experiment:
    if experiment.lifecycle_stage == DELETED:
        return experiment
    return experiment._replace(lifecycle_stage=DELETED, last_update_time=now_iso())


def _unmark(experiment: Experiment) -> Experiment:
    return experiment._replace(lifecycle_stage=ACTIVE, last_update_time=now_iso())


def finish_deletion(root: str, experiment_id: int, settings: Settings) -> None:
    """Of an experiment that is deleted, no run stands that can be moved; of another one, all stay.

    Raises:
        LockTimeout, TreeBusyError, OSError: nothing was moved.
    """
    if not _has_runs(root, experiment_id, experiment_folder(root, experiment_id)):
        return
    with held(root, GC_LOCK, settings.lock_timeout_s):
        if load_experiment(root, experiment_id).lifecycle_stage == DELETED:
            _move_away(root, experiment_id, settings)


def _move_away(root: str, experiment_id: int, settings: Settings) -> None:
    for address in _iter_runs(root, experiment_id, experiment_folder(root, experiment_id)):
        try:
            trash.delete(address, settings)
        except (OSError, MiniMlflowError):
            # It is deleted, wherever it stands: that it stands here yet changes nothing but what others must look at.
            continue


def _iter_runs(root: str, experiment_id: int, folder: str) -> Iterator[RunAddress]:
    for address in _iter_addresses(root, experiment_id, folder):
        paths = RunPaths(address, os.path.join(folder, address.run_id))
        if exists(paths.meta) or exists(paths.snapshot):
            yield address


def _iter_addresses(root: str, experiment_id: int, folder: str) -> Iterator[RunAddress]:
    for name in list_folder(folder):
        try:
            yield RunAddress(root, experiment_id, check_run_id(name))
        except InvalidKeyError:
            continue


def restore_experiment(root: str, experiment_id: int, settings: Settings) -> Experiment:
    """The experiment is there again, with all of its runs that lie in the trash.

    One stays there whose id another run has that stands in the experiment.

    Raises:
        ExperimentNotFoundError: there is no such experiment, or it is not deleted.
        DamagedFileError, LockTimeout, TreeBusyError, OSError: it is deleted as it was, and so are its runs, of which
            some may stand in it already; the same call goes on.
    """
    _check_deleted(load_experiment(root, experiment_id), root)
    with held(root, GC_LOCK, settings.lock_timeout_s):
        _check_deleted(load_experiment(root, experiment_id), root)
        # Also those of which nothing can be read: they can be brought back all the same.
        for address in _iter_addresses(root, experiment_id, trash_folder(root, experiment_id)):
            try:
                trash.restore(address, settings, with_experiment=True)
            except (RunNotFoundError, RunExistsError):
                continue
        with held_too(root, TREE_LOCK, settings.lock_timeout_s):
            return change_alone(root, experiment_id, _unmark, settings)


def _check_deleted(experiment: Experiment, root: str) -> None:
    if experiment.lifecycle_stage != DELETED:
        number = experiment.experiment_id
        text = "There is no deleted experiment %d: it is %s" % (number, experiment.lifecycle_stage)
        raise ExperimentNotFoundError(errno.ENOENT, text, experiment_folder(root, number))


# -- gc ------------------------------------------------------------------------------------------------------------


def remove_experiments(root: str, due: Iterable[Experiment], settings: Settings) -> List[int]:
    """The deleted experiments that are ``due`` are gone for good, if no run of theirs is left anywhere.

    With one go the models and traces that MLflow keeps of it, and what else stands in its folder. One that was changed
    since it was found due is left alone. Its number is not given out again.

    Returns:
        The ids of the experiments that this call removed, in order.

    Raises:
        LockTimeout, TreeBusyError, OSError: the experiment at which it happened, and those after it, are deleted as
            they were, but for models and traces; those before it are gone.
    """
    removed = []
    for experiment in due:
        with held(root, GC_LOCK, settings.lock_timeout_s):
            with held_too(root, TREE_LOCK, settings.lock_timeout_s):
                is_gone, temporaries = _take_out(root, experiment, settings.fsync != "never")
            if is_gone:
                removed.append(experiment.experiment_id)
            for temporary in temporaries:
                remove_tree(temporary)
    return removed


def _take_out(root: str, experiment: Experiment, sync: bool) -> Tuple[bool, List[str]]:
    """Whether the experiment has no name any more, and the folders without a name that anybody looks for."""
    number = experiment.experiment_id
    folder, top = experiment_folder(root, number), trash_folder(root)
    if not _is_due(root, experiment) or _has_runs(root, number, folder) or list_folder(trash_folder(root, number)):
        return False, []
    atomic.create_folder(top)
    _keep_number(root, number, sync)
    # These first: were the experiment gone and a kill came then, nothing would lead to them any more.
    places = [(experiment_folder(tree, number), trash_folder(tree, number)) for tree in inner_trees(root)]
    moved = [_move_out(path, top, sync) for pair in places for path in pair if exists(path)]
    taken = _move_out(folder, top, sync)
    if _has_runs(root, number, taken):
        # Started in between, by who looked for the mark too early, and looks again: it finds it there.
        trash.move_synced(taken, folder, sync)
        return False, moved
    return True, [*moved, taken]


def _is_due(root: str, experiment: Experiment) -> bool:
    try:
        return experiment.lifecycle_stage == DELETED and load_experiment(root, experiment.experiment_id) == experiment
    except (ExperimentNotFoundError, DamagedFileError):
        return False


def _has_runs(root: str, experiment_id: int, folder: str) -> bool:
    return next(_iter_runs(root, experiment_id, folder), None) is not None


def _keep_number(root: str, experiment_id: int, sync: bool) -> None:
    """The number stands in ``.locks``, as that of an experiment in which a run was ever started does anyway."""
    locks = os.path.join(os.path.realpath(root), LOCKS)
    if atomic.create_folder(os.path.join(locks, str(experiment_id))) and sync:
        atomic.sync_folder(locks)


def _move_out(path: str, top: str, sync: bool) -> str:
    temporary = atomic.name_temporary(top)
    trash.move_synced(path, temporary, sync)
    return temporary
