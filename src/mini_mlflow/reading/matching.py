"""Which runs a filter lets pass. Pure but for what a run is asked for.

As in SQL and MLflow, a comparison with something that a run does not have is true of no run, also ``!=`` and with NOT
before it; IS NULL finds those. So are comparisons that make no sense (a text below a number). NOT turns a comparison
round, as SQL does: ``NOT params.lr < 0.1`` finds what ``params.lr >= 0.1`` does.

A number is compared with numbers, and with texts that spell one (a tree that was imported from MLflow has texts for
params). A text is compared with texts; beside a number or a bool it is what MLflow would have stored of it, so that
``params.lr = '0.01'`` and ``params.flag = 'True'`` go on working.
"""

from __future__ import annotations

import operator
import re
from typing import Any, Callable, Dict, Optional, Sequence, Union

from mini_mlflow.errors import InvalidTypeError, show
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.query import LESS, Condition, Negation, Tree, parse_filter
from mini_mlflow.reading.query_fields import METRICS, PARAMS, RUNS, TAGS, Field, Subject, to_time_ms

Test = Callable[[Any], bool]
#: What gets a field of what is searched: its value, or None where there is none.
Getter = Callable[[Field], Callable[[Any], Any]]

_TURNED = {"=": "!=", "!=": "=", **LESS}
_ORDERINGS: Dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*\Z")


def getter(field: Field) -> Callable[[Any], Any]:
    """What gets the field of a `FoundRun`: its value, or None where it has none."""
    key = field.key
    if field.kind == METRICS:
        return lambda run: run.last_value(key)
    if field.kind == PARAMS:
        return lambda run: run.params.get(key)
    if field.kind == TAGS:
        return lambda run: run.tags.get(key)
    if key in ("run_id", "experiment_id"):
        # From where it stands: its documents may have been copied.
        return operator.attrgetter(key)
    return lambda run: run.metadata.get(key)


def compile_filter(text: str, subject: Subject = RUNS, find_getter: Getter = getter) -> Optional[Test]:
    """What tells whether a run, or another subject, passes the filter; None if all do.

    Raises InvalidFilterError, InvalidTypeError.
    """
    if not isinstance(text, str):
        raise InvalidTypeError("filter_string must be a str, not %s: %s" % (type(text).__name__, show(text)))
    tree = parse_filter(text, subject)
    return None if tree is None else _compile(tree, False, find_getter)


def _compile(tree: Tree, negated: bool, find_getter: Getter) -> Test:
    if isinstance(tree, Negation):
        return _compile(tree.item, not negated, find_getter)
    if isinstance(tree, Condition):
        return _compile_condition(tree, negated, find_getter(tree.field))
    tests = [_compile(item, negated, find_getter) for item in tree.items]
    # De Morgan: the negation of a conjunction is a disjunction of negations.
    if (tree.word == "AND") != negated:
        return lambda run: all(test(run) for test in tests)
    return lambda run: any(test(run) for test in tests)


def _compile_condition(condition: Condition, negated: bool, get: Callable[[Any], Any]) -> Test:
    sign = condition.operator
    if sign.endswith("NULL"):
        return _is_missing(get) if (sign == "IS NULL") != negated else _is_there(get)
    if sign in _TURNED:
        test = _comparison(_TURNED[sign] if negated else sign, condition)
    else:
        wanted = sign.startswith("NOT ") == negated
        found = _membership(condition) if sign.endswith("IN") else _likeness(condition)
        test = found if wanted else lambda value: not found(value)

    def passes(run: Any) -> bool:
        value = get(run)
        return value is not None and test(value)

    return passes


def _is_missing(get: Callable[[Any], Any]) -> Test:
    return lambda run: get(run) is None


def _is_there(get: Callable[[Any], Any]) -> Test:
    return lambda run: get(run) is not None


# -- comparisons ---------------------------------------------------------------------------------------------------


def _comparison(sign: str, condition: Condition) -> Test:
    if condition.field.is_time:
        return _time_test(sign, to_time_ms(condition.value))
    if sign in ("=", "!="):
        equals = _equality(condition.value)
        return equals if sign == "=" else lambda value: not equals(value)
    return _ordering(_ORDERINGS[sign], condition.value)


def _time_test(sign: str, wanted: Any) -> Test:
    compare = _ORDERINGS.get(sign) or (operator.eq if sign == "=" else operator.ne)

    def test(value: Any) -> bool:
        time_ms = iso_to_ms(value)
        return time_ms is not None and compare(time_ms, wanted)

    return test


def _equality(wanted: Any) -> Test:
    if isinstance(wanted, bool):
        word = str(wanted).lower()
        return lambda value: value is wanted or (isinstance(value, str) and value.lower() == word)
    if isinstance(wanted, str):
        number = _spelled_number(wanted)
        return lambda value: _as_text(value) == wanted or (number is not None and _is_number(value) and value == number)
    if wanted != wanted:
        return lambda value: value != value
    return lambda value: _as_number(value) == wanted


def _ordering(compare: Callable[[Any, Any], bool], wanted: Any) -> Test:
    number = _as_number(wanted)

    def test(value: Any) -> bool:
        if isinstance(wanted, str) and isinstance(value, str):
            return compare(value, wanted)
        other = _as_number(value)
        return number is not None and other is not None and compare(other, number)

    return test


def _membership(condition: Condition) -> Test:
    values: Sequence[Any] = condition.value if isinstance(condition.value, tuple) else ()
    if condition.field.is_time:
        tests = [_time_test("=", to_time_ms(value)) for value in values]
    else:
        tests = [_equality(value) for value in values]
    return lambda value: any(test(value) for test in tests)


def _likeness(condition: Condition) -> Test:
    like = _compile_pattern(str(condition.value), condition.operator.endswith("ILIKE"))
    return lambda value: like(_as_text(value))


def _compile_pattern(pattern: str, fold: bool) -> Callable[[str], bool]:
    """LIKE: ``%`` is any text, ``_`` any character.

    Not one regular expression with a ``.*`` for each ``%``, which can take time to the power of their number: after the
    first place where a piece fits, no later one fits more of the rest.
    """
    flags = re.DOTALL | (re.IGNORECASE if fold else 0)
    pieces = [
        re.compile("".join("." if char == "_" else re.escape(char) for char in piece), flags)
        for piece in pattern.split("%")
    ]
    if len(pieces) == 1:
        return lambda text: pieces[0].fullmatch(text) is not None
    length_of_last = len(pattern.rpartition("%")[2])

    def like(text: str) -> bool:
        match = pieces[0].match(text)
        for piece in pieces[1:-1]:
            match = piece.search(text, match.end()) if match is not None else None
        place = len(text) - length_of_last
        return match is not None and match.end() <= place and pieces[-1].match(text, place) is not None

    return like


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as_number(value: Any) -> Union[int, float, None]:
    if isinstance(value, str):
        return _spelled_number(value)
    return value if _is_number(value) else None


def _spelled_number(text: str) -> Optional[float]:
    return float(text) if _NUMBER.match(text) else None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
