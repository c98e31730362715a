"""Choosing and ordering experiments, in the language that runs are searched in: ``name LIKE 'a%' OR tags.team = 'a'``.

They have tags and attributes; an experiment that has no name passes no comparison of it, and is found by IS NULL.
"""

from __future__ import annotations

import operator
from typing import Any, Callable, List, Optional, Sequence, Tuple

from mini_mlflow.entities import Experiment
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show
from mini_mlflow.reading.matching import compile_filter
from mini_mlflow.reading.query_fields import ATTRIBUTES, TAGS, Field, Subject
from mini_mlflow.reading.ranking import compile_order, rank

EXPERIMENTS = Subject(
    "an experiment",
    (TAGS, ATTRIBUTES),
    [name for name in Experiment._fields if name != TAGS],
    "name, tags.team or creation_time",
)


def choose(
    found: Sequence[Experiment], filter_string: Any, order_by: Optional[Sequence[str]], max_results: Optional[int]
) -> List[Experiment]:
    """Those of ``found`` that pass the filter, in order; at most so many, None for all.

    Raises:
        InvalidFilterError: not such a filter or order; the message says where.
        InvalidValueError: a number below 0.
        InvalidTypeError: the filter is no str, the number no int, the order no texts.
    """
    passes = compile_filter(filter_string, EXPERIMENTS, _getter)
    order = compile_order(order_by, EXPERIMENTS)
    if max_results is not None and (isinstance(max_results, bool) or not isinstance(max_results, int)):
        raise InvalidTypeError("max_results must be an int or None, not %s" % show(max_results))
    if max_results is not None and max_results < 0:
        raise InvalidValueError("max_results must be 0 or more, not %d" % max_results)
    passed = [one for one in found if passes is None or passes(one)]
    # From the last order to the first: sorting is stable.
    for key in reversed(order):
        get = _getter(key.field)
        passed.sort(key=lambda one, get=get: _sort_key(get(one)), reverse=key.descending)  # type: ignore[misc]
    return passed[:max_results]


def _getter(field: Field) -> Callable[[Experiment], Any]:
    if field.kind == TAGS:
        return lambda one: one.tags.get(field.key)
    return operator.attrgetter(field.key)


def _sort_key(value: Any) -> Tuple[bool, Any]:
    ranked = rank(value)
    return ranked is None, ranked or ()
