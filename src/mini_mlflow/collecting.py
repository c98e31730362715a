"""Removing for good what has been deleted for long enough: runs, experiments, and what MLflow keeps beside them.

In this order: what still stands in a deleted experiment is moved to the trash, for its deletion was cut short; then
runs go; then the experiments that have none left. MLflow's logged models and traces are runs of trees within the tree,
which go by the same age.
"""

from __future__ import annotations

from typing import Callable, Container, Iterable, List, NamedTuple, Optional

from mini_mlflow.disk.layout import inner_trees
from mini_mlflow.entities import DeletedRun, Experiment, Settings
from mini_mlflow.reading.experiments import list_deleted_experiments
from mini_mlflow.reading.trash import has_lain, list_deleted, list_due_experiments
from mini_mlflow.writing import experiment_trash, trash

#: Passes the runs on, and may tell somebody how many there were.
Count = Callable[[Iterable[DeletedRun]], Iterable[DeletedRun]]


class Due(NamedTuple):
    """What has been deleted for long enough, the oldest deletion first.

    Attributes:
        experiments: those that no run is left of, and those that none will be left of.
    """

    runs: List[DeletedRun]
    experiments: List[Experiment]


def find_due(root: str, seconds: float, experiment_ids: Optional[Container[int]] = None) -> Due:
    """What has been deleted for ``seconds``, of these experiments; None: of all."""
    deleted = list(reversed(list_deleted(root)))
    runs = [
        one
        for one in deleted
        if (experiment_ids is None or one.experiment_id in experiment_ids) and has_lain(root, one, seconds)
    ]
    kept = {one.experiment_id for one in set(deleted) - set(runs)}
    experiments = list_due_experiments(root, seconds, experiment_ids)
    return Due(runs, [one for one in experiments if one.experiment_id not in kept])


def finish_deletions(root: str, settings: Settings, experiment_ids: Optional[Container[int]] = None) -> None:
    """Of experiments whose deletion was cut short, the runs are in the trash. Raises LockTimeout, OSError."""
    for experiment in list_deleted_experiments(root):
        if experiment_ids is None or experiment.experiment_id in experiment_ids:
            experiment_trash.finish_deletion(root, experiment.experiment_id, settings)


class Collected(NamedTuple):
    """What is gone: the ids of runs and of experiments."""

    runs: List[str]
    experiments: List[int]


def collect(
    root: str,
    seconds: float,
    settings: Settings,
    experiment_ids: Optional[Container[int]] = None,
    count: Count = lambda runs: runs,
) -> Collected:
    """What is due is gone for good.

    Raises:
        LockTimeout, OSError: what was not removed by then is deleted as it was.
    """
    finish_deletions(root, settings, experiment_ids)
    for tree in inner_trees(root):
        trash.gc(tree, find_due(tree, seconds, experiment_ids).runs, settings)
    due = find_due(root, seconds, experiment_ids)
    runs = trash.gc(root, count(due.runs), settings)
    return Collected(runs, experiment_trash.remove_experiments(root, due.experiments, settings))
