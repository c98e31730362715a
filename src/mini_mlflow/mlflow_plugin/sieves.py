"""The beginning of a filter, asked of all runs at once; what passes is left to MLflow's own SearchUtils to judge.

SearchUtils looks at one run after another, and takes microseconds for each condition. Where a condition compares one
value of a run to a constant, it is asked here of a list of those values: with the function that SearchUtils itself
names, or of a pattern, whether the longest text in it is there at all. A sieve may let through what SearchUtils stops,
and never stops what SearchUtils lets through.

That is so of the conditions at the beginning of a filter, up to the first of another kind: what SearchUtils would
refuse, it is still asked for the same runs.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from mlflow.utils.search_utils import SearchUtils

from mini_mlflow.mlflow_plugin.candidates import Candidate
from mini_mlflow.mlflow_plugin.shelves import Ended

_TEXTS, _NUMBERS = ("run_id", "run_name", "user_id", "status", "artifact_uri"), ("start_time", "end_time")
_LOGGED = {"metric": "metrics", "parameter": "params", "tag": "tags"}
_ORDERED, _EQUAL, _AMONG = (">", ">=", "=", "!=", "<", "<="), ("=", "!="), ("IN", "NOT IN")
_ALIKE = ("LIKE", "ILIKE")
_WILDCARDS = re.compile("[%_]")
# Some versions of MLflow (3.10) take a pattern for a regular expression, but for its two wildcards.
_TAKES_LITERALLY = not SearchUtils.get_comparison_func("LIKE")("ab", "a.")


class Condition(NamedTuple):
    """``test(value)`` of the value of that kind and key (None: it has none) is true where SearchUtils lets it pass."""

    kind: str
    key: str
    test: Callable[[Any], bool]

    def get(self, candidate: Candidate) -> Any:
        """The value."""
        return getattr(candidate.info, self.key) if self.kind == "info" else candidate.value(self.kind, self.key)


class Sieve:
    """The beginning of a filter, as `SearchUtils.parse_search_filter` has parsed it."""

    def __init__(self, parsed: List[Dict[str, Any]]) -> None:
        self.conditions: List[Condition] = []
        for one in parsed:
            condition = _compile(one)
            if condition is None:
                break
            self.conditions.append(condition)

    def pick(self, ended: Ended) -> List[Candidate]:
        """Those whom none of the conditions stops, in their order."""
        if not self.conditions:
            return list(ended.items)
        picked: Any = range(len(ended.items))
        for condition in self.conditions:
            values, test = ended.column(condition[:2], condition.get), condition.test
            picked = [index for index in picked if test(values[index])]
        return [ended.items[index] for index in picked]


def _compile(parsed: Dict[str, Any]) -> Optional[Condition]:
    """The condition; None where SearchUtils does more than compare the run's value, if it has one, to a constant."""
    kind, value, comparator = parsed.get("type"), parsed.get("value"), str(parsed.get("comparator")).upper()
    key = SearchUtils.translate_key_alias(parsed.get("key"))
    if kind == "metric" and comparator in _ORDERED:
        return Condition("metrics", key, _compare(comparator, float(str(value))))
    is_text = type(value) is str and comparator in _EQUAL + _ALIKE
    if kind in ("parameter", "tag") and is_text:
        return Condition(_LOGGED[kind], key, _compare(comparator, value))
    is_text = is_text or (type(value) in (tuple, list) and comparator in _AMONG)
    is_number = type(value) in (int, float) and comparator in _ORDERED
    if kind == "attribute" and ((is_text and key in _TEXTS) or (is_number and key in _NUMBERS)):
        return Condition("info", key, _compare(comparator, value))
    return None


def _compare(comparator: str, value: Any) -> Callable[[Any], bool]:
    if comparator in _ALIKE:
        pieces = _WILDCARDS.split(value)
        is_plain = _TAKES_LITERALLY or all(re.escape(piece) == piece for piece in pieces)
        return _resemble(max(pieces, key=len) if is_plain else "", comparator == "ILIKE")
    compare = SearchUtils.get_comparison_func(comparator)
    return lambda found: found is not None and compare(found, value)


def _resemble(piece: str, ignores_case: bool) -> Callable[[Any], bool]:
    if not ignores_case:
        return lambda found: found is not None and piece in found
    lowered = piece.lower()
    # Beyond ASCII, what is the same but for its case is more than what has the same lower case.
    passes_all = not piece.isascii()
    return lambda found: found is not None and (passes_all or not found.isascii() or lowered in found.lower())
