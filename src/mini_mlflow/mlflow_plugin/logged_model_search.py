"""Which logged models there are: filtered as MLflow's own search does, ordered, and given page by page.

A model has a point for each time that a metric was logged for it. A filter on a metric asks what MLflow's SQL store of
the same version asks: whether any of these points passes, and since MLflow 3.18 whether the latest does, the one with
the highest step, then time, then value. An order goes by the latest, which before 3.18 is the one with the highest
time, then step.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Dict, List, Optional, Sequence

from mlflow import __version__ as mlflow_version
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
from mlflow.utils.search_utils import SearchLoggedModelsPaginationToken, SearchLoggedModelsUtils

from mini_mlflow.mlflow_plugin.contract import StoreContract
from mini_mlflow.mlflow_plugin.inner_trees import models_of, numbers_of
from mini_mlflow.mlflow_plugin.logged_models import as_told
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.remembered import RememberedModel


class LoggedModelSearch(StoreContract):
    """The part of the store that finds logged models."""

    @told_as_mlflow
    def search_logged_models(
        self,
        experiment_ids: List[str],
        filter_string: Optional[str] = None,
        datasets: Optional[List[Dict[str, Any]]] = None,
        max_results: Optional[int] = None,
        order_by: Optional[List[Dict[str, Any]]] = None,
        page_token: Optional[str] = None,
    ) -> PagedList:
        """A page of the models that are found, with the token of the next page, None after the last.

        Args:
            experiment_ids: those that do not exist have none.
            datasets: ``{"dataset_name", "dataset_digest"}`` each; only metrics that were measured on them count.
            order_by: ``{"field_name", "ascending", "dataset_name", "dataset_digest"}`` each; the newest come first
                where it leaves open which.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE: something does not follow the language, or the token is that of
                another search.
        """
        if datasets and not all(one.get("dataset_name") for one in datasets):
            raise MlflowException.invalid_parameter_value("`dataset_name` in the `datasets` clause must be specified.")
        offset = _start_of(page_token, experiment_ids, filter_string, order_by)
        limit = max_results or SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
        if limit < 0:
            raise MlflowException.invalid_parameter_value("`max_results` cannot be negative: %d" % limit)
        _check_filter(filter_string)
        tree = models_of(self.root, self.settings)
        models = tree.search(self.model_cache, numbers_of(experiment_ids))
        found = _sort(_Search.filter_logged_models(models, filter_string, datasets), order_by, datasets)
        token = None
        if len(found) > offset + limit:
            token = SearchLoggedModelsPaginationToken(
                experiment_ids=list(experiment_ids),
                filter_string=filter_string,
                order_by=order_by,
                offset=offset + limit,
            ).encode()
        return PagedList([as_told(one.build()) for one in found[offset : offset + limit]], token=token)


def _start_of(
    page_token: Optional[str],
    experiment_ids: Sequence[str],
    filter_string: Optional[str],
    order_by: Optional[List[Dict[str, Any]]],
) -> int:
    if not page_token:
        return 0
    try:
        token = SearchLoggedModelsPaginationToken.decode(page_token)
    except (ValueError, TypeError, AttributeError):
        # What is no token at all, MLflow's own code takes for one.
        raise MlflowException.invalid_parameter_value("Invalid page token: %r" % page_token) from None
    token.validate(list(experiment_ids), filter_string or None, order_by or None)
    return int(token.offset)


_OF_NUMBERS, _OF_TEXTS = ("<", "<=", ">", ">=", "=", "!="), ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")


def _check_filter(filter_string: Optional[str]) -> None:
    # Here, as MLflow's SQL store does: the search itself finds no fault with a filter where there are no models.
    try:
        comparisons = _Search.parse_search_filter(filter_string)
    except MlflowException as error:
        text = "Invalid filter string: %r. %s" % (filter_string, error.message)
        raise MlflowException.invalid_parameter_value(text) from None
    for one in comparisons:
        is_number = one["type"] == "metric" or (one["type"] == "attribute" and one["key"] in _Search.NUMERIC_ATTRIBUTES)
        allowed = _OF_NUMBERS if is_number else _OF_TEXTS
        if one["comparator"].upper() not in allowed:
            raise MlflowException.invalid_parameter_value(
                "Invalid comparison operator for %s.%s: %r. Expected one of %s."
                % (one["type"], one["key"], one["comparator"], allowed)
            )


_ONLY_THE_LATEST_COUNTS = tuple(map(int, mlflow_version.split(".")[:2])) >= (3, 18)
_OTHER_NAMES = {"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"}


class _Search(SearchLoggedModelsUtils):  # type: ignore[misc]
    @classmethod
    def _does_logged_model_match_clause(
        cls, model: RememberedModel, condition: Dict[str, Any], datasets: Any = None
    ) -> bool:
        """As MLflow's, which looks at one of several points alone, and misses two names that it takes itself."""
        matches = super()._does_logged_model_match_clause
        if condition.get("type") == "attribute":
            key = condition.get("key")
            condition = {**condition, "key": _OTHER_NAMES.get(str(key), key)}
        if condition.get("type") != "metric" or not model.metrics:
            return bool(matches(model, condition, datasets))
        points = cls._points_that_count(model, str(condition.get("key")), datasets)
        return any(matches(_WithPoints(model, [point]), condition, datasets) for point in points)

    @classmethod
    def _points_that_count(cls, model: RememberedModel, key: str, datasets: Any) -> List[Any]:
        points = [
            point
            for point in model.metrics
            if point.key == key and (not datasets or any(cls._is_metric_on_dataset(point, one) for one in datasets))
        ]
        if points and _ONLY_THE_LATEST_COUNTS:
            return [max(points, key=lambda point: (point.step, point.timestamp, point.value))]
        return points

    @classmethod
    def _apply_reversor_for_logged_model(cls, model: RememberedModel, order_by: Any) -> Any:
        """As MLflow's, but what a model does not have comes last, and is compared to nothing."""
        name = _OTHER_NAMES.get(order_by.field_name, order_by.field_name)
        if "." in name:
            number = _latest_number(model.metrics, name.split(".", 1)[1], order_by)
            return (number is None, number if number is None or order_by.ascending else -number)
        value = super()._apply_reversor_for_logged_model(model, dataclasses.replace(order_by, field_name=name))
        is_missing = getattr(model, name) is None
        return (is_missing, None if is_missing else value)

    @classmethod
    def parse_order_by_for_logged_models(cls, order_by: Dict[str, Any]) -> Any:
        """As MLflow's, which asks for a dataset's name beside its digest; MLflow's SQL store does not."""
        digest = order_by.get("dataset_digest") if isinstance(order_by, dict) else None
        if not digest:
            return super().parse_order_by_for_logged_models(order_by)
        parsed = super().parse_order_by_for_logged_models({**order_by, "dataset_digest": None})
        return dataclasses.replace(parsed, dataset_digest=digest)


def _latest_number(points: Sequence[Any], key: str, order_by: Any) -> Optional[float]:
    """Of the points of a metric (on the dataset, if one is asked for) the latest; None: none, or not a number."""
    name, digest = order_by.dataset_name, order_by.dataset_digest
    found = [
        point
        for point in points
        if point.key == key
        and (not name or point.dataset_name == name)
        and (not digest or point.dataset_digest == digest)
    ]
    if not found:
        return None
    if _ONLY_THE_LATEST_COUNTS:
        number = max(found, key=lambda point: (point.step, point.timestamp, point.value)).value
    else:
        number = min(found, key=lambda point: (-point.timestamp, -point.step, point.run_id or "")).value
    return None if math.isnan(number) else float(number)


def _sort(models: List[Any], order_by: Optional[List[Dict[str, Any]]], datasets: Any) -> List[Any]:
    if not datasets or not _ONLY_THE_LATEST_COUNTS:
        return list(_Search.sort(models, order_by))
    # Since MLflow 3.18 what was not measured on the datasets counts for the order as little as for the filter.
    on_datasets = _Search._is_metric_on_dataset
    found = [
        _WithPoints(model, [point for point in model.metrics if any(on_datasets(point, one) for one in datasets)])
        for model in models
    ]
    return [one.model for one in _Search.sort(found, order_by)]


class _WithPoints:
    """A model as if it had these points."""

    def __init__(self, model: RememberedModel, points: List[Any]) -> None:
        self.model = model
        self.metrics = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)
