"""Where things stand in a tree of MLflow's file store, 1.x to 3.x; nothing of a run is read here.

::

    <root>/.trash/<experiment_id>/…     a deleted experiment, as below
    <root>/models/…                     the model registry, which is no experiment
    <root>/<experiment_id>/meta.yaml
        tags/<key>   datasets/<id>/meta.yaml   models/<model_id>/…   traces/<trace_id>/…
        <run_id>/…                      everything else
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

from mini_mlflow.disk.keys import check_experiment_id
from mini_mlflow.disk.layout import EXPERIMENT, LOCKS
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.exchange.incoming import IncomingExperiment
from mini_mlflow.exchange.mlflow_files import META, Tell, read_meta_or_tell, read_values, to_iso, to_texts

_TRASH, _REGISTRY = ".trash", "models"
_NO_RUNS = frozenset(("tags", "datasets", "traces", "models"))


class MlflowExperiment(NamedTuple):
    """An experiment's folder.

    Attributes:
        folder: its path.
        folder_id: its name, which MLflow takes for the id.
        experiment: what comes in.
    """

    folder: str
    folder_id: str
    experiment: IncomingExperiment


def to_local_path(uri: str) -> Optional[str]:
    """The path that a URI of MLflow's, or a plain path, leads to on this host; None for ``s3://…`` and the like."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return unquote(parts.path) or None
    # "C:\…" has a scheme of one letter: a path, and of another system.
    return uri if len(parts.scheme) < 2 and "://" not in uri else None


def check_tree(root: str) -> None:
    """Returns if ``root`` may be a tree of MLflow's file store.

    Raises:
        InvalidValueError: it is none; the message says what helps.
    """
    if not os.path.isdir(root):
        kind = "is a file, not the folder of a file store" if os.path.exists(root) else "is not there"
        raise InvalidValueError("%s %s" % (root, kind))
    below = [name for name, _ in _folders(root)]
    if LOCKS in below or any(os.path.exists(os.path.join(root, name, EXPERIMENT)) for name in below):
        raise InvalidValueError("%s is a tree of mini-mlflow: `mini-mlflow import mini-mlflow` takes it in" % root)
    if not any(os.path.exists(os.path.join(root, name, META)) for name in below) and _TRASH not in below:
        nested = os.path.join(root, "mlruns")
        hint = "; is it %s?" % nested if os.path.isdir(nested) else ""
        raise InvalidValueError("%s is no tree of MLflow's: no folder in it has a meta.yaml%s" % (root, hint))


def _folders(path: str) -> List[Tuple[str, str]]:
    """Name and path of each folder in ``path``, sorted; a link to one is one, as it is for MLflow."""
    try:
        with os.scandir(path) as entries:
            return sorted((entry.name, entry.path) for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def list_experiments(root: str, tell: Tell) -> List[MlflowExperiment]:
    """The experiments of the tree, those in its trash last."""
    found = [(name, path, False) for name, path in _folders(root) if name not in (_TRASH, _REGISTRY)]
    found += [(name, path, True) for name, path in _folders(os.path.join(root, _TRASH))]
    return [one for one in (_read_experiment(*args, tell) for args in found) if one is not None]


def _read_experiment(name: str, folder: str, in_trash: bool, tell: Tell) -> Optional[MlflowExperiment]:
    has_meta = os.path.exists(os.path.join(folder, META))
    if not has_meta and not any(iter_run_folders(folder)):
        if _to_number(name) is not None:
            tell(folder, "has no meta.yaml and no runs: no experiment")
        return None
    fields = read_meta_or_tell(folder, tell) or {}
    stage = str(fields.get("lifecycle_stage", "active"))
    location = fields.get("artifact_location")
    is_remote = isinstance(location, str) and to_local_path(location) is None
    given = fields.get("name")
    experiment = IncomingExperiment(
        _to_number(name),
        str(given) if given not in (None, "") else None,
        dict(to_texts(read_values(os.path.join(folder, "tags"), tell))),
        to_iso(fields.get("creation_time")),
        to_iso(fields.get("last_update_time")),
        str(location) if is_remote else None,
        # MLflow 1.x wrote "active" there too.
        in_trash or stage == "deleted",
    )
    return MlflowExperiment(folder, name, experiment)


def _to_number(name: str) -> Optional[int]:
    try:
        return check_experiment_id(name)
    except InvalidValueError:
        return None


def iter_run_folders(folder: str) -> Iterator[Tuple[str, str]]:
    """Run id and path of each folder of an experiment that may be a run's."""
    for name, path in _folders(folder):
        if name not in _NO_RUNS:
            yield name, path


def iter_things(folder: str, kind: str) -> Iterator[Tuple[str, str]]:
    """Id and path of each of an experiment's ``models`` or ``traces``."""
    yield from _folders(os.path.join(folder, kind))


def find_artifacts(folder: str, uri: Any, tell: Tell) -> Optional[str]:
    """Where the artifacts of the run, the model or the trace in ``folder`` stand; None if there are none here.

    Where the tree has some, these count: the URI may lead to the tree of which this one is a copy, or nowhere any more.
    """
    inside = os.path.join(folder, "artifacts")
    try:
        if os.path.isdir(inside) and os.listdir(inside):
            return inside
    except OSError as error:
        tell(inside, error.strerror or error)
        return None
    if not isinstance(uri, str) or not uri:
        return None
    path = to_local_path(uri)
    if path is None:
        tell(folder, "its artifacts are left where they are: %s" % uri)
        return None
    return path if os.path.isabs(path) and os.path.isdir(path) else None


def read_dataset(experiment_folder: str, dataset_id: str, tell: Tell) -> Optional[Dict[str, Any]]:
    """The fields of one of the experiment's datasets."""
    return read_meta_or_tell(os.path.join(experiment_folder, "datasets", dataset_id), tell)
