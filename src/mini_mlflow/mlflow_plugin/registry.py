"""The model registry of a tree: MLflow's own, in one SQLite file.

Models, versions, aliases and prompts are few, and change when somebody says so; what a database does badly (the
first second of eight processes in a fresh folder) is met with a lock while it is made.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import REGISTRY, REGISTRY_LOCK
from mini_mlflow.entities import resolve_settings
from mini_mlflow.errors import MissingExtraError
from mini_mlflow.mlflow_plugin.locations import root_of
from mini_mlflow.writing.tree_lock import held


def open_registry(store_uri: Optional[str]) -> Any:
    """MLflow's SQLAlchemy registry on ``<tree>/registry.db``, which is made, or brought to this MLflow's schema.

    Raises:
        MissingExtraError: SQLAlchemy is not installed.
        MlflowException: the URI names no tree, or another MLflow has made the file and this one cannot use it.
        OSError: the tree cannot be written, or LockTimeout: another process is making the file.
    """
    try:
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    except ImportError as error:
        # The extra brings MLflow's client, which is without that store.
        raise MissingExtraError.of("the model registry", "all of MLflow (%s)" % error, "mlflow") from None
    root = root_of(store_uri)
    atomic.create_folders(root)
    # MLflow makes and migrates its tables without a lock; of several processes at once most would fail.
    with held(root, REGISTRY_LOCK, resolve_settings().lock_timeout_s):
        return SqlAlchemyStore("sqlite:///" + os.path.join(root, REGISTRY[0]).replace(os.sep, "/"))
