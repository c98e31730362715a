"""What MLflow may ask of a store and a tree does not have: told so, with MLflow's code, and never as a crash.

MLflow's own defaults raise NotImplementedError, which its server answers with status 500 and a page, and its UI with an
alarm. Here each is an MlflowException (NOT_IMPLEMENTED: status 501). Some callers have another way when they meet
NotImplementedError, so it is that too.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, TypeVar

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import NOT_IMPLEMENTED
from mlflow.store.tracking.abstract_store import AbstractStore

Store = TypeVar("Store", bound=type)


class NotSupported(MlflowException, NotImplementedError):  # type: ignore[misc]
    """A tree has nothing of the kind. Nothing was stored."""

    def __init__(self, message: str) -> None:
        # By name: beside an untyped MLflow, a type checker sees the built-in alone.
        MlflowException.__init__(self, message, error_code=NOT_IMPLEMENTED)


def refuse_the_rest(store: Store) -> Store:
    """The class, in which what MLflow declares and nobody here defines raises `NotSupported`."""
    for name in dir(AbstractStore):
        method = inspect.getattr_static(AbstractStore, name)
        is_plain = inspect.isfunction(method) and not inspect.iscoroutinefunction(method)
        if is_plain and not name.startswith("__") and inspect.getattr_static(store, name) is method:
            setattr(store, name, _told(method))
    return store


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (MlflowException, NotImplementedError) as error:
            # Some of the defaults are MlflowExceptions already, without a word of what is missing.
            if isinstance(error, MlflowException) and (error.error_code != "NOT_IMPLEMENTED" or error.message):
                raise
            raise NotSupported("A tree of mini-mlflow does not support %s" % method.__name__) from error

    return told
