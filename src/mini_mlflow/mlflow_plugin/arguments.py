"""Arguments that come up all over MLflow's interface, checked: ids of experiments and sizes of pages."""

from __future__ import annotations

from typing import Any, Optional

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

from mini_mlflow.disk.keys import check_experiment_id
from mini_mlflow.errors import InvalidTypeError, InvalidValueError
from mini_mlflow.formats.experiments import DEFAULT_ID
from mini_mlflow.mlflow_plugin.refusals import experiment_not_found, in_both_words


def to_number(experiment_id: Any) -> int:
    """Our number of MLflow's id. Raises MlflowException: it is none, or none that any experiment can have."""
    return DEFAULT_ID if experiment_id is None or experiment_id == "" else _to_told_number(experiment_id)


def _to_told_number(experiment_id: Any) -> int:
    try:
        number = int(experiment_id)
    except (ValueError, TypeError):
        raise MlflowException(
            "Invalid experiment ID '%s'. Experiment ID must be a valid integer." % (experiment_id,),
            INVALID_PARAMETER_VALUE,
        ) from None
    try:
        return check_experiment_id(number)
    except (InvalidTypeError, InvalidValueError):
        raise experiment_not_found(number) from None


def check_max_results(max_results: Optional[int], may_be_none: bool = False) -> None:
    """Raises MlflowException for a size of pages that MLflow refuses."""
    if max_results is None and may_be_none:
        return
    text = "Invalid value %s for parameter 'max_results' supplied. It must be " % (max_results,)
    if not isinstance(max_results, int) or max_results < 1:
        raise MlflowException(text + "a positive integer", INVALID_PARAMETER_VALUE)
    if max_results > SEARCH_MAX_RESULTS_THRESHOLD:
        most = "at most %d" % SEARCH_MAX_RESULTS_THRESHOLD
        file_store = "Invalid value for request parameter max_results. It must be %s, but got value %d"
        raise MlflowException(in_both_words(text + most, file_store % (most, max_results)), INVALID_PARAMETER_VALUE)


def to_known_number(experiment_id: Any) -> Optional[int]:
    """Our number of one of several ids; None for a number that no experiment has. Raises MlflowException: it is none.

    Among several, MLflow takes nothing ("" or None) for the default experiment.
    """
    try:
        return _to_told_number(experiment_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
