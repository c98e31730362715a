"""Choosing and ordering experiments, in MLflow's words: ``name LIKE 'vision%' AND tags.team = 'a'``."""

from __future__ import annotations

import re
from typing import Any, Callable, List, Optional, Sequence, Tuple

from mini_mlflow.entities import Experiment
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show

_TERM = re.compile(
    r"""\s*(?:(?P<name>(?:attributes?\.)?name)|tags?\.(?:`(?P<quoted>[^`]+)`|"(?P<double>[^"]+)"|(?P<plain>[\w.\-]+)))
    \s*(?P<sign>!=|=|\bI?LIKE\b)\s*(?:'(?P<single>[^']*)'|"(?P<value>[^"]*)")\s*""",
    re.X | re.I,
)
_AND = re.compile(r"AND\b", re.I)
_ORDER = re.compile(
    r"\s*(?:attributes?\.)?(name|experiment_id|creation_time|last_update_time)(?:\s+(ASC|DESC))?\s*\Z", re.I
)

Test = Callable[[Experiment], bool]


def choose(
    found: Sequence[Experiment], filter_string: Any, order_by: Optional[Sequence[str]], max_results: Optional[int]
) -> List[Experiment]:
    """Those of ``found`` that pass the filter, in order; at most so many, None for all.

    Raises:
        InvalidValueError: not such a filter (the message says where) or order, or a number below 0.
        InvalidTypeError: the filter is no str, the number no int.
    """
    tests = _parse(filter_string)
    if max_results is not None and (isinstance(max_results, bool) or not isinstance(max_results, int)):
        raise InvalidTypeError("max_results must be an int or None, not %s" % show(max_results))
    if max_results is not None and max_results < 0:
        raise InvalidValueError("max_results must be 0 or more, not %d" % max_results)
    passed = [one for one in found if all(test(one) for test in tests)]
    # From the last order to the first: sorting is stable.
    for field, descending in reversed([_parse_order(text) for text in order_by or ()]):
        passed.sort(key=lambda one, field=field: _sort_key(getattr(one, field)), reverse=descending)  # type: ignore[misc]
    return passed[:max_results]


def _sort_key(value: Any) -> Tuple[bool, Any]:
    return (value is None, value if value is not None else 0)


def _parse_order(text: Any) -> Tuple[str, bool]:
    match = _ORDER.match(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidValueError(
            "order_by takes name, experiment_id, creation_time or last_update_time, with ASC or DESC, not %s"
            % show(text)
        )
    return match.group(1).lower(), (match.group(2) or "").upper() == "DESC"


def _parse(text: Any) -> List[Test]:
    if not isinstance(text, str):
        raise InvalidTypeError("filter_string must be a str, not %s: %s" % (type(text).__name__, show(text)))
    tests: List[Test] = []
    at, expected = 0, bool(text.strip())
    while expected:
        term = _TERM.match(text, at)
        if term is None:
            raise InvalidValueError(
                "filter_string is not understood from character %d on: %s; such as: name LIKE 'vision%%' AND "
                "tags.team = 'a'" % (at + 1, show(text[at:]))
            )
        tests.append(_to_test(term))
        at = term.end()
        joint = _AND.match(text, at)
        expected = joint is not None or at < len(text)
        at = joint.end() if joint is not None else at
    return tests


def _to_test(term: Any) -> Test:
    key = term.group("quoted") or term.group("double") or term.group("plain")
    wanted = term.group("single") if term.group("single") is not None else term.group("value")
    sign = term.group("sign").upper()
    if sign in ("=", "!="):
        return lambda one: _value(one, key) is not None and (_value(one, key) == wanted) == (sign == "=")
    pattern = re.compile(
        "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in wanted),
        re.S | (re.I if sign == "ILIKE" else 0),
    )
    return lambda one: _value(one, key) is not None and pattern.fullmatch(_value(one, key) or "") is not None


def _value(experiment: Experiment, key: Optional[str]) -> Optional[str]:
    value = experiment.name if key is None else experiment.tags.get(key)
    return None if value is None else str(value)
