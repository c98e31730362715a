"""The experiments of a tree: by number, by name, and as a list; read without a lock.

Every numbered folder is an experiment, with a name or without. What cannot be read of an ``experiment.yaml`` is told in
a warning and passed over: its runs are there under the number all the same.
"""

from __future__ import annotations

import errno
import os
import warnings
from typing import Any, Dict, Iterator, List, Optional

from mini_mlflow.disk.keys import check_experiment_id
from mini_mlflow.disk.layout import experiment_file, experiment_folder
from mini_mlflow.disk.regular import exists, read_file, scan_folders
from mini_mlflow.entities import DELETED, Experiment
from mini_mlflow.errors import (
    DamagedFileError,
    DamagedFileWarning,
    ExperimentExistsError,
    InvalidTypeError,
    InvalidValueError,
    show,
)
from mini_mlflow.formats.experiments import DEFAULT_ID, parse_experiment, says_deleted, without_file


def read_experiment(root: str, experiment_id: int) -> Optional[Experiment]:
    """The experiment; None if there is none. Experiment 0 is there in any tree."""
    if experiment_id != DEFAULT_ID and not exists(experiment_folder(root, experiment_id)):
        return None
    path = experiment_file(root, experiment_id)
    try:
        return parse_experiment(read_file(path), path, experiment_id)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (DamagedFileError, OSError) as error:
        warnings.warn("skipped the name of an experiment: %s" % error, DamagedFileWarning, stacklevel=3)
    return without_file(experiment_id)


def is_deleted(root: str, experiment_id: int) -> bool:
    """Whether the experiment is deleted, and with it every run that still stands in it."""
    path = experiment_file(root, experiment_id)
    try:
        return says_deleted(read_file(path), path, experiment_id)
    except OSError:
        return False


def find_experiment(root: str, name: str) -> Optional[Experiment]:
    """The experiment of that name, deleted or not; None if there is none. Of two (a copied folder), the one with the
    lower number."""
    return next((one for one in list_experiments(root) if one.name == name), None)


def list_experiments(root: str) -> List[Experiment]:
    """All experiments of the tree, deleted ones too, by their numbers; at least number 0.

    Raises:
        OutsideTreeError, OSError: the tree cannot be listed. One that is not there has experiment 0.
    """
    found = (read_experiment(root, number) for number in sorted({DEFAULT_ID, *_numbers(root)}))
    return [one for one in found if one is not None]


def list_deleted_experiments(root: str) -> List[Experiment]:
    """Those that are deleted, by their numbers; of the others, nothing is told. Raises as `list_experiments`."""
    numbers = sorted(number for number in _numbers(root) if is_deleted(root, number))
    found = (read_experiment(root, number) for number in numbers)
    return [one for one in found if one is not None and one.lifecycle_stage == DELETED]


def _numbers(root: str) -> Iterator[int]:
    # A tree may stand behind a link.
    for name, is_real in scan_folders(os.path.realpath(root)):
        if is_real:
            try:
                yield check_experiment_id(name)
            except InvalidValueError:
                continue


def name_is_taken(root: str, experiment: Experiment) -> ExperimentExistsError:
    """The error of a call that wants the name which ``experiment`` has."""
    number = experiment.experiment_id
    text = "An experiment named %r exists already, with the id %d" % (experiment.name, number)
    if experiment.lifecycle_stage == DELETED:
        text += ", and is deleted: restore_experiment(%d) brings it back, gc() removes it and frees the name" % number
    return ExperimentExistsError(errno.EEXIST, text, experiment_folder(root, number))


def find_experiments(root: str, names: Any) -> List[int]:
    """The ids of the experiments with these names, in the order of the names; a str is one name.

    Raises:
        InvalidValueError: no experiment has one of the names; the message says which there are.
        InvalidTypeError: they are no texts.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidTypeError("experiment_names must be texts, not %s: %s" % (type(name).__name__, show(name)))
    ids: Dict[str, List[int]] = {}
    for one in list_experiments(root):
        if one.name is not None:
            ids.setdefault(one.name, []).append(one.experiment_id)
    for name in wanted:
        if name not in ids:
            known = ", ".join(map(repr, sorted(ids)))
            raise InvalidValueError("there is no experiment %s; the tree has %.2000s" % (show(name), known))
    return list(dict.fromkeys(number for name in wanted for number in ids[name]))
