"""Every path of the tree, spelled once.

::

    mlruns/
    ├── .locks/<experiment_id>/<run_id>.lock, .owner
    ├── .locks/tree.lock   gc.lock   registry.lock   import.lock
    ├── .quarantine/<time>-<n>/<path in the tree>
    ├── .trash/<experiment_id>/<run_id>/            a deleted run, as below, with deleted.json
    ├── .mlflow/models/…   traces/…                 trees of the same kind, of MLflow's logged models and traces
    ├── .mlflow/push/<target>.lock   <target>/<experiment_id>/<run_id>.json
    ├── registry.db                                 MLflow's own registry, which is a database of its own
    └── <experiment_id>/
        ├── experiment.yaml
        ├── models/…   traces/…                     what MLflow keeps as artifacts beside those of runs
        └── <run_id>/
            ├── meta.yaml   snapshot.json
            ├── params/<key>.json   tags/<key>.json
            ├── metrics/<key>.json  metrics/<key>.history/<first>-<last>.jsonl
            ├── log/<number>.json
            └── artifacts/…
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple, Optional, Tuple

from mini_mlflow.disk.keys import TEMPORARY_PREFIX, quote_key
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show

META = "meta.yaml"
SNAPSHOT = "snapshot.json"
LOG = "log"
PARAMS = "params"
METRICS = "metrics"
TAGS = "tags"
ARTIFACTS = "artifacts"
LOCKS = ".locks"
TRASH = ".trash"
EXPERIMENT = "experiment.yaml"
DELETION = "deleted.json"
TREE_LOCK, GC_LOCK, REGISTRY_LOCK = "tree.lock", "gc.lock", "registry.lock"
#: The lock that an import holds while it compares and stores one run.
IMPORT_LOCK = "import.lock"
#: Where what MLflow keeps beside runs stands as runs, each kind in a whole tree of its own.
MLFLOW = ".mlflow"
MODELS, TRACES = "models", "traces"
#: What is known of the servers that runs were pushed to stands there too.
PUSHES = "push"
REGISTRY = ("registry.db", "registry.db-journal", "registry.db-wal", "registry.db-shm")
#: What a repair has moved out of the way, and the originals of what it has replaced.
QUARANTINE = ".quarantine"
#: How the folders begin in which `upkeep.doctor` tries a file system out.
DOCTOR = TEMPORARY_PREFIX + "doctor-"
#: The lock that a doctor holds in such a folder while it is at work.
DOCTOR_LOCK = "alive.lock"

# What 0.1.0 took for a key, so far as it can name a file.
_LEGACY = re.compile(r'(?!\.{1,2}\Z)[^\0/\\<>:"|?*\ud800-\udfff]+\Z')
_DOCUMENT_SUFFIX = ".json"
_HISTORY_SUFFIX = ".history"
_SEALED_SUFFIX = ".jsonl"


def experiment_folder(root: str, experiment_id: int) -> str:
    return os.path.join(root, str(experiment_id))


def experiment_file(root: str, experiment_id: int) -> str:
    return os.path.join(experiment_folder(root, experiment_id), EXPERIMENT)


def trash_folder(root: str, experiment_id: Optional[int] = None) -> str:
    """Where the deleted runs of an experiment stand; None: the folder of all of them."""
    trash = os.path.join(root, TRASH)
    return trash if experiment_id is None else os.path.join(trash, str(experiment_id))


def small_root(root: str, kind: str) -> str:
    """The root of the small tree of a kind, `MODELS` or `TRACES`."""
    return os.path.join(root, MLFLOW, kind)


def inner_trees(root: str) -> Tuple[str, str]:
    """The trees within the tree: of MLflow's logged models, and of its traces. They need not be there."""
    return os.path.join(root, MLFLOW, MODELS), os.path.join(root, MLFLOW, TRACES)


def pushes_folder(root: str) -> str:
    """Where a push remembers what servers have; it stands beside the inner trees."""
    return os.path.join(root, MLFLOW, PUSHES)


class RunPaths(NamedTuple):
    """The folder of a run, and what stands in it."""

    address: RunAddress
    folder: str

    @classmethod
    def of(cls, address: RunAddress) -> RunPaths:
        # Spelled for each run of a listing, as the paths below are for each document; every system takes a slash.
        return cls(address, "%s/%d/%s" % address)

    @classmethod
    def in_trash(cls, address: RunAddress) -> RunPaths:
        """The same once it is deleted: its folder stands elsewhere, its locks do not."""
        return cls(address, "%s/.trash/%d/%s" % address)

    @property
    def trashed(self) -> str:
        return "%s/.trash/%d/%s" % self.address

    @property
    def deletion(self) -> str:
        return "%s/deleted.json" % self.folder

    @property
    def experiment(self) -> str:
        return "%s/%d" % self.address[:2]

    def ancestors(self) -> Tuple[str, ...]:
        """The folders on the way from the tree's parent down to the run's, the run's own first."""
        root = self.address.root
        return (self.folder, self.experiment, root, os.path.dirname(root))

    @property
    def meta(self) -> str:
        return "%s/meta.yaml" % self.folder

    @property
    def snapshot(self) -> str:
        return "%s/snapshot.json" % self.folder

    @property
    def log(self) -> str:
        return "%s/log" % self.folder

    @property
    def artifacts(self) -> str:
        return "%s/artifacts" % self.folder

    @property
    def run_lock(self) -> str:
        return self._lock(".lock")

    @property
    def owner_lock(self) -> str:
        return self._lock(".owner")

    def _lock(self, suffix: str) -> str:
        return "%s/.locks/%d/%s%s" % (*self.address, suffix)

    def commit(self, number: int) -> str:
        return "%s/log/%d.json" % (self.folder, number)

    def kind_folder(self, kind: str) -> str:
        return "%s/%s" % (self.folder, kind)

    def document(self, kind: str, key: str) -> str:
        return "%s/%s/%s" % (self.folder, kind, document_name(key))

    def legacy_document(self, kind: str, key: str) -> Optional[str]:
        """Where 0.1.0 put the key, which quoted nothing; None if that is the same place or no place at all."""
        if quote_key(key) == key or "%" not in key or not _LEGACY.match(key):
            return None
        return "%s/%s/%s.json" % (self.folder, kind, key)

    def history_folder(self, key: str) -> str:
        return os.path.join(self.folder, METRICS, quote_key(key) + _HISTORY_SUFFIX)

    def sealed(self, key: str, first: int, last: int) -> str:
        return os.path.join(self.history_folder(key), sealed_name(first, last))


def staging_lock(folder: str) -> str:
    """The lock in a folder where artifacts are staged, which whoever is at work there holds."""
    return "%s/lock" % folder


def sealed_name(first: int, last: int) -> str:
    return "%d-%d%s" % (first, last, _SEALED_SUFFIX)


def sealed_range(name: str) -> str:
    """The range that a sealed file's name says; "" for any other name."""
    return name[: -len(_SEALED_SUFFIX)] if name.endswith(_SEALED_SUFFIX) else ""


def commit_number(name: str) -> Optional[int]:
    """The number of a commit's file name; None for any other name."""
    stem, dot, suffix = name.partition(".")
    return int(stem) if suffix == "json" and dot and stem.isdecimal() and len(stem) < 19 else None


def document_name(key: str) -> str:
    """The name of a key's document in the folder of its kind."""
    return quote_key(key) + _DOCUMENT_SUFFIX


def document_stem(name: str) -> Optional[str]:
    """The quoted key of a document's file name; None for folders' names, temporaries and foreign files."""
    if not name.endswith(_DOCUMENT_SUFFIX) or name.startswith(TEMPORARY_PREFIX):
        return None
    return name[: -len(_DOCUMENT_SUFFIX)]


def document_of_history(name: str) -> Optional[str]:
    """The document's name beside a folder of sealed files; None for any other name."""
    return name[: -len(_HISTORY_SUFFIX)] + _DOCUMENT_SUFFIX if name.endswith(_HISTORY_SUFFIX) else None


def resolve_root(runs_dir: Any) -> str:
    """The absolute path of a tree.

    Raises:
        InvalidTypeError: not a str or a path.
        InvalidValueError: empty, or with a NUL in it.
    """
    try:
        path = os.fsdecode(runs_dir)
    except TypeError:
        raise InvalidTypeError(
            "runs_dir must be a path, not %s: %s" % (type(runs_dir).__name__, show(runs_dir))
        ) from None
    if not path or "\0" in path:
        raise InvalidValueError("runs_dir must be a path, not %.80r" % path)
    return os.path.abspath(path)
