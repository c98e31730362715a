"""Experiments: each file whole, no name twice, and no run left standing where all are deleted."""

from __future__ import annotations

import os
from typing import Dict, Iterator

from mini_mlflow.disk.layout import MODELS, TRACES, RunPaths, experiment_file
from mini_mlflow.disk.regular import exists, list_folder, read_file
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.experiments import parse_experiment, says_deleted
from mini_mlflow.upkeep.confirming import iter_confirmed
from mini_mlflow.upkeep.entries import Entry, is_file, iter_entries
from mini_mlflow.upkeep.findings import Finding, Look


def look_at_name(look: Look, entry: Entry, experiment_id: int, names: Dict[str, int]) -> None:
    """``experiment.yaml`` names the experiment, and nothing else has that name; ``names`` are those met so far."""
    data = look.read(entry.path) if is_file(look, entry) else None
    if data is None:
        return
    try:
        name = parse_experiment(data, entry.path, experiment_id).name
    except DamagedFileError as error:
        message = "it %s; the experiment shows without a name: write it anew, or remove the file" % error.reason
        look.note(entry.path, "torn-experiment", message)
        return
    other = experiment_id if name is None else names.setdefault(name, experiment_id)
    if other != experiment_id:
        message = "its name %.200r is that of experiment %d too, and finds the lower number; change one" % (name, other)
        look.note(entry.path, "experiment-twice", message)


def iter_left_standing(look: Look, folder: str, experiment_id: int, lock: str) -> Iterator[Finding]:
    """The runs that stand in the experiment although it is deleted, since the lock file ``lock`` was seen free."""

    def look_once() -> Look:
        one = Look(look.root)
        one.places = look.places
        if _is_deleted(look.root, experiment_id):
            for entry in iter_entries(one, folder):
                paths = RunPaths.of(RunAddress(look.root, experiment_id, entry.name))
                # One whose id lies in the trash already cannot be moved there: another rule tells of both.
                if (exists(paths.meta) or exists(paths.snapshot)) and not os.path.lexists(paths.trashed):
                    one.doubt(entry.path, "experiment-half-deleted", _HALF)
        return one

    yield from iter_confirmed(look_once(), lock, look_once)


_HALF = (
    "its experiment is deleted, and so is it; deleting the experiment again, a gc or a repair moves it to the trash, "
    "restoring the experiment brings it back"
)


def _is_deleted(root: str, experiment_id: int) -> bool:
    path = experiment_file(root, experiment_id)
    try:
        return says_deleted(read_file(path), path, experiment_id)
    except OSError:
        return False


def holds_artifacts(entry: Entry) -> bool:
    """Whether it is a folder where MLflow keeps artifacts of models or traces. A run may have such an id, too."""
    if entry.name not in (MODELS, TRACES):
        return False
    try:
        names = set(list_folder(entry.path))
    except OSError:
        return False
    return not names & {"meta.yaml", "snapshot.json", "log", "params", "metrics", "tags"}
