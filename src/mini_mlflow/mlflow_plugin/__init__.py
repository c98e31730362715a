"""MLflow's own client, server and UI over a tree of plain files: ``mlflow.set_tracking_uri("mini-mlflow:./mlruns")``.

MLflow finds the builders below through entry points and imports this module in the middle of its own import. So
nothing here imports MLflow, or what it need not: a builder that cannot be imported would leave MLflow with a warning
and an "unsupported URI", and one that raises anything else would break ``import mlflow`` for everybody who has this
package installed, whether they use it or not.
"""

from typing import Any, Optional


def build_tracking_store(store_uri: Optional[str] = None, artifact_uri: Optional[str] = None) -> Any:
    """The tracking store of a ``mini-mlflow:`` URI, for the entry point ``mlflow.tracking_store``.

    Args:
        store_uri: ``mini-mlflow:./mlruns``, ``mini-mlflow:/abs/path``, ``mini-mlflow:///abs/path``; a relative path is
            settled against the working folder here. No path stands for the tree of the module's functions.
        artifact_uri: None in a client; what a server was given as the root of its artifacts in a server.

    Raises:
        MlflowException: the URI names no tree.
    """
    from mini_mlflow.mlflow_plugin.store import MiniMlflowStore

    return MiniMlflowStore.of_uri(store_uri, artifact_uri)


def build_registry_store(store_uri: Optional[str] = None, tracking_uri: Optional[str] = None) -> Any:
    """MLflow's own SQL model registry in ``<tree>/registry.db``, for the entry point ``mlflow.model_registry_store``.

    Raises:
        ImportError: SQLAlchemy is not installed (mlflow-skinny); the message says what to install.
        MlflowException: the URI names no tree.
    """
    from mini_mlflow.mlflow_plugin.registry import open_registry

    return open_registry(store_uri or tracking_uri)


def open_store(root_dir: Any, artifact_root_uri: Optional[str] = None) -> Any:
    """The tracking store of the tree at ``root_dir``, without an entry point.

    Args:
        root_dir: a path; the tree is made when something is stored.
        artifact_root_uri: experiments keep their artifacts at ``<artifact_root_uri>/<experiment_id>``; None: beside
            their runs, in the tree.

    Raises:
        MissingExtraError: MLflow is not installed.
    """
    _look_for_mlflow()
    from mini_mlflow.mlflow_plugin.store import MiniMlflowStore

    return MiniMlflowStore(root_dir, artifact_root_uri)


def _look_for_mlflow() -> None:
    try:
        import mlflow  # noqa: F401
    except ImportError:
        from mini_mlflow.errors import MissingExtraError

        raise MissingExtraError.of("MLflow's store", "MLflow", "mlflow-skinny", "mlflow") from None
