"""``experiment.yaml`` for its writers: what it says now, and whether it lets runs be started."""

from __future__ import annotations

import errno

from mini_mlflow.disk.layout import experiment_file, experiment_folder
from mini_mlflow.disk.regular import exists, read_file
from mini_mlflow.entities import Experiment
from mini_mlflow.errors import ExperimentDeletedError, ExperimentNotFoundError
from mini_mlflow.formats.experiments import DEFAULT_ID, parse_experiment, says_deleted, without_file


def load_experiment(root: str, experiment_id: int) -> Experiment:
    """The experiment as its file says, or as one is that has none.

    Raises:
        ExperimentNotFoundError: there is no such experiment. Number 0 is there in any tree.
        DamagedFileError, OutsideTreeError, OSError: its file cannot be read.
    """
    path = experiment_file(root, experiment_id)
    try:
        return parse_experiment(read_file(path), path, experiment_id)
    except FileNotFoundError:
        folder = experiment_folder(root, experiment_id)
        if experiment_id != DEFAULT_ID and not exists(folder):
            raise ExperimentNotFoundError(errno.ENOENT, "There is no experiment %d" % experiment_id, folder) from None
        return without_file(experiment_id)


def is_deleted(root: str, experiment_id: int) -> bool:
    """Whether the experiment is deleted. Takes no lock: the answer may be out of date when it is there."""
    path = experiment_file(root, experiment_id)
    try:
        return says_deleted(read_file(path), path, experiment_id)
    except OSError:
        return False


def refuse_deleted(root: str, experiment_id: int) -> None:
    """Returns unless the experiment is deleted. Raises ExperimentDeletedError, which says what helps."""
    if is_deleted(root, experiment_id):
        raise deleted(experiment_id)


def deleted(experiment_id: int) -> ExperimentDeletedError:
    """The error of a change to an experiment that is deleted."""
    return ExperimentDeletedError(
        "Experiment %d is deleted: restore_experiment(%d) brings it back, with its runs"
        % (experiment_id, experiment_id)
    )
