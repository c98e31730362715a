"""Errors as MLflow knows them: each an MlflowException, with MLflow's code and words for what MLflow refuses too.

MLflow's two stores refuse the same things in different words, and programs look for the words of the one that they
were written with. So both stand in a message: those of the SQL store, and in brackets those of the file store.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar, cast

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    RESOURCE_ALREADY_EXISTS,
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


def check_told(key: str, value: object) -> str:
    """The value of a param as text. Raises MlflowException for None, as MLflow's SQL store does."""
    if value is None:
        raise MlflowException("The param %r has no value." % key, BAD_REQUEST)
    return str(value)


def in_both_words(sql_store: str, file_store: str) -> str:
    """The message in the words of either store of MLflow."""
    return "%s (%s)" % (sql_store, file_store)


def run_not_found(run_id: object) -> MlflowException:
    text = in_both_words("Run with id=%s not found" % (run_id,), "Run '%s' not found" % (run_id,))
    return MlflowException(text, RESOURCE_DOES_NOT_EXIST)


def run_is_deleted(run_id: str) -> MlflowException:
    text = in_both_words(
        "The run %s must be in the 'active' state. Current state is deleted." % run_id,
        "The run %s must be in 'active' lifecycle_stage." % run_id,
    )
    return MlflowException(text, INVALID_PARAMETER_VALUE)


def experiment_not_found(experiment_id: object, sought: str = "experiment") -> MlflowException:
    text = in_both_words(
        "No Experiment with id=%s exists" % (experiment_id,), "Could not find %s with ID %s" % (sought, experiment_id)
    )
    return MlflowException(text, RESOURCE_DOES_NOT_EXIST)


def experiment_is_taken(name: str, is_deleted: bool) -> MlflowException:
    detail = "."
    if is_deleted:
        detail = " in deleted state. You can restore the experiment, or permanently delete it to use its name again."
    text = in_both_words("Experiment(name=%s) already exists." % name, "Experiment '%s' already exists" % name + detail)
    return MlflowException(text, RESOURCE_ALREADY_EXISTS)


def experiment_is_deleted(experiment_id: object, file_store: str) -> MlflowException:
    """In the file store's words it is told for what the experiment is deleted; ``%s`` stands for the experiment."""
    text = in_both_words(
        "The experiment %s must be in the 'active' state. Current state is deleted." % (experiment_id,),
        file_store % (experiment_id,),
    )
    return MlflowException(text, INVALID_PARAMETER_VALUE)


def param_changed(run_id: str, key: str, old: str, new: str) -> MlflowException:
    return MlflowException(
        "Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for run ID='%s'."
        " Attempted logging new value '%s'." % (key, old, run_id, new),
        INVALID_PARAMETER_VALUE,
    )


def tag_not_found(key: str, what: str, owner_id: str) -> MlflowException:
    return MlflowException("No tag with name: %s in %s with id %s" % (key, what, owner_id), RESOURCE_DOES_NOT_EXIST)
