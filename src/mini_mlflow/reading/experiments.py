"""The experiments of a tree: by number, by name, and as a list; read without a lock.

Every numbered folder is an experiment, with a name or without. What cannot be read of an ``experiment.yaml`` is told in
a warning and passed over: its runs are there under the number all the same.
"""

from __future__ import annotations

import os
import warnings
from typing import Iterator, List, Optional

from mini_mlflow.disk.keys import check_experiment_id
from mini_mlflow.disk.layout import experiment_file, experiment_folder
from mini_mlflow.disk.regular import exists, read_file, scan_folders
from mini_mlflow.entities import Experiment
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, InvalidValueError
from mini_mlflow.formats.experiments import parse_experiment

DEFAULT_ID, DEFAULT_NAME = 0, "Default"


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
    return Experiment(experiment_id, DEFAULT_NAME if experiment_id == DEFAULT_ID else None, {}, None)


def find_experiment(root: str, name: str) -> Optional[Experiment]:
    """The experiment of that name; None if there is none. Of two (a copied folder), the one with the lower number."""
    return next((one for one in list_experiments(root) if one.name == name), None)


def list_experiments(root: str) -> List[Experiment]:
    """All experiments of the tree, by their numbers; at least number 0.

    Raises:
        OutsideTreeError, OSError: the tree cannot be listed. One that is not there has experiment 0.
    """
    found = (read_experiment(root, number) for number in sorted({DEFAULT_ID, *_numbers(root)}))
    return [one for one in found if one is not None]


def _numbers(root: str) -> Iterator[int]:
    # A tree may stand behind a link.
    for name, is_real in scan_folders(os.path.realpath(root)):
        if is_real:
            try:
                yield check_experiment_id(name)
            except InvalidValueError:
                continue
