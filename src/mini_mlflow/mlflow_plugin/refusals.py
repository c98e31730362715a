"""Errors as MLflow knows them: each an MlflowException, with MLflow's code and words for what MLflow refuses too."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, cast

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from mini_mlflow.errors import DamagedFileError, LockTimeout, MiniMlflowError, RunExistsError

Method = TypeVar("Method", bound=Callable[..., Any])


def told_as_mlflow(method: Method) -> Method:
    """The method, whose errors of this package and of the disk come out as MlflowExceptions.

    The first error is the cause of the other one. What is neither is a fault of ours, or of the caller's types, and
    comes through as it is.
    """

    @functools.wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (MiniMlflowError, OSError) as error:
            raise to_mlflow(error) from error

    return cast(Method, told)


def to_mlflow(error: Exception) -> MlflowException:
    """The MlflowException that says the same; a server answers it with the fitting HTTP status."""
    # A lock timeout is an OSError, and the one of them that passes: MLflow's client asks again after a 503.
    if isinstance(error, LockTimeout):
        return MlflowException(str(error), TEMPORARILY_UNAVAILABLE)
    if isinstance(error, (DamagedFileError, RunExistsError)):
        return MlflowException(str(error), INVALID_STATE)
    if isinstance(error, LookupError) and not isinstance(error, ValueError):
        return MlflowException(str(error), RESOURCE_DOES_NOT_EXIST)
    if isinstance(error, OSError):
        return MlflowException(str(error), INTERNAL_ERROR)
    return MlflowException(str(error), INVALID_PARAMETER_VALUE)


def check_told(what: str, key: str, value: object) -> str:
    """The value as text. Raises MlflowException for None, which MLflow's database has no place for either."""
    if value is None:
        raise MlflowException("The %s %r has no value." % (what, key), BAD_REQUEST)
    return str(value)


def run_not_found(run_id: object) -> MlflowException:
    return MlflowException("Run with id=%s not found" % (run_id,), RESOURCE_DOES_NOT_EXIST)


def run_is_deleted(run_id: str) -> MlflowException:
    return MlflowException(
        "The run %s must be in the 'active' state. Current state is deleted." % run_id, INVALID_PARAMETER_VALUE
    )


def experiment_not_found(experiment_id: object) -> MlflowException:
    return MlflowException("No Experiment with id=%s exists" % (experiment_id,), RESOURCE_DOES_NOT_EXIST)


def experiment_is_deleted(experiment_id: object) -> MlflowException:
    return MlflowException(
        "The experiment %s must be in the 'active' state. Current state is deleted." % (experiment_id,),
        INVALID_PARAMETER_VALUE,
    )


def param_changed(run_id: str, key: str, old: str, new: str) -> MlflowException:
    return MlflowException(
        "Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for run ID='%s'."
        " Attempted logging new value '%s'." % (key, old, run_id, new),
        INVALID_PARAMETER_VALUE,
    )


def tag_not_found(key: str, what: str, owner_id: str) -> MlflowException:
    return MlflowException("No tag with name: %s in %s with id %s" % (key, what, owner_id), RESOURCE_DOES_NOT_EXIST)
