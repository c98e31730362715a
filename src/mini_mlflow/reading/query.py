"""The filter language: a text to a tree and back. Pure: it knows neither runs nor files.

MLflow's language (its page "Search Runs"), so that a filter which works there works here::

    metrics.loss < 0.1 AND params.optimizer = 'adam' AND tags.`mlflow.note` LIKE '%try%' AND status = 'FINISHED'

and what it lacks: OR, NOT and parentheses; numbers and TRUE or FALSE beside params, which keep their type; times in
ISO 8601 beside ``start_time`` and ``end_time``; IS NULL; IN for everything. NOT binds tighter than AND, AND than OR.

::

    either     = both { OR both }
    both       = negated { AND negated }
    negated    = NOT negated | "(" either ")" | condition
    condition  = name sign value | name [NOT] (LIKE | ILIKE) text | name [NOT] IN "(" value { "," value } ")"
               | name IS [NOT] NULL
    name       = (metrics | params | tags | attributes) "." key | attribute
    value      = number | text in ' or " | TRUE | FALSE | NaN | Infinity

A key is quoted with ` or " where it holds more than letters, digits and ``_ . - / : @``; a quotation mark within its
own quotes is written twice. Words of the language are read in any case.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple, Union

from mini_mlflow.errors import InvalidFilterError
from mini_mlflow.reading.query_fields import ATTRIBUTES, METRICS, RUNS, Field, Subject, find_field, to_time_ms
from mini_mlflow.reading.query_tokens import (
    END,
    NAME,
    NUMBER,
    SIGN,
    TEXT,
    WORD,
    Token,
    quote_name,
    quote_text,
    split_tokens,
)

LESS = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
SIGNS = ("=", "!=", *LESS)
LIKES = ("LIKE", "ILIKE")
NAN = float("nan")

_SPELLED = {"==": "=", "<>": "!="}
_NAMED_NUMBERS = {"NAN": NAN, "INF": float("inf"), "INFINITY": float("inf")}
_BOOLS = {"TRUE": True, "FALSE": False}
_NUMBER_WORDS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
_RESERVED = frozenset("AND OR NOT LIKE ILIKE IN IS NULL TRUE FALSE".split())
# Deeper than anybody writes, and far from what the interpreter's stack takes.
_LIMIT_NESTING = 50

Value = Union[int, float, bool, str]


class Condition(NamedTuple):
    """One comparison.

    Attributes:
        operator: one of `SIGNS`, "LIKE", "ILIKE", "IN", "IS NULL", or one of the last four negated: "NOT LIKE",
            "NOT ILIKE", "NOT IN", "IS NOT NULL".
        value: what it is compared with; a tuple of such for IN, None for IS NULL.
    """

    field: Field
    operator: str
    value: Union[Value, Tuple[Value, ...], None]


class Junction(NamedTuple):
    """All (``word`` "AND") or any ("OR") of two or more."""

    word: str
    items: Tuple[Any, ...]


class Negation(NamedTuple):
    """Not this."""

    item: Any


Tree = Union[Condition, Junction, Negation]


def parse_filter(text: str, subject: Subject = RUNS) -> Optional[Tree]:
    """The tree of a filter; None for an empty one, which everything passes.

    Raises:
        InvalidFilterError: it does not follow the language; the error points at the first place that does not.
    """
    parser = _Parser(text, subject)
    if parser.token.kind == END:
        return None
    tree = parser.either(0)
    parser.expect_end("AND, OR or the end of the filter")
    return tree


class OrderKey(NamedTuple):
    """One key of an order: what is looked at, and whether the largest comes first."""

    field: Field
    descending: bool


def parse_order(text: str, subject: Subject = RUNS) -> OrderKey:
    """``metrics.loss DESC`` as a key; ASC is what holds without a word. Raises InvalidFilterError."""
    parser = _Parser(text, subject)
    field = parser.field()
    word = parser.take_word("ASC", "DESC")
    parser.expect_end("ASC, DESC or the end" if word is None else "the end")
    return OrderKey(field, word == "DESC")


class _Parser:
    """One walk through the tokens of a text."""

    def __init__(self, text: str, subject: Subject) -> None:
        self._text = text
        self._subject = subject
        self._tokens = split_tokens(text)
        self._next = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def either(self, depth: int) -> Tree:
        return self._joined("OR", depth)

    def _joined(self, word: str, depth: int) -> Tree:
        items: List[Tree] = []
        while True:
            items.append(self._joined("AND", depth) if word == "OR" else self._negated(depth))
            if self.take_word(word) is None:
                return items[0] if len(items) == 1 else Junction(word, tuple(items))

    def _negated(self, depth: int) -> Tree:
        if depth > _LIMIT_NESTING:
            raise self._error("nested deeper than %d levels" % _LIMIT_NESTING)
        if self.take_word("NOT"):
            return Negation(self._negated(depth + 1))
        if self._take_sign("("):
            inner = self.either(depth + 1)
            self._expect_sign(")", "AND, OR or a closing parenthesis")
            return inner
        return self._condition()

    def _condition(self) -> Condition:
        field = self.field()
        if self.take_word("IS"):
            negated = "NOT " if self.take_word("NOT") else ""
            self._expect_word("NULL", "NULL" if negated else "NULL or NOT NULL")
            return Condition(field, "IS %sNULL" % negated, None)
        negated = "NOT " if self.take_word("NOT") else ""
        here = self.token
        word = self.take_word("IN", *LIKES)
        if word == "IN":
            return Condition(field, negated + "IN", self._values(field))
        if word is not None:
            return Condition(field, negated + word, self._pattern(field, word, here))
        if negated:
            raise self._unexpected("LIKE, ILIKE or IN after NOT")
        return self._comparison(field)

    def _comparison(self, field: Field) -> Condition:
        sign = self.token
        if sign.kind != SIGN or sign.text in "(),":
            raise self._unexpected("a comparison (= != < <= > >= LIKE ILIKE IN IS NULL)")
        self._next += 1
        operator = _SPELLED.get(sign.text, sign.text)
        place = self.token
        value = self._value(field)
        if isinstance(value, bool) and operator in LESS:
            raise self._error("TRUE and FALSE are not ordered: use = or !=", place)
        return Condition(field, operator, value)

    def field(self) -> Field:
        """The name that comes next. Raises InvalidFilterError if there is none, or none that is known."""
        token = self.token
        if token.kind not in (NAME, WORD) or (token.kind == WORD and token.text.upper() in _RESERVED):
            raise self._unexpected("a name such as %s" % self._subject.such_as)
        field, problem = find_field(token.value[0], token.value[1], self._subject)
        if field is None:
            raise self._error(problem, token)
        self._next += 1
        return field

    def _values(self, field: Field) -> Tuple[Value, ...]:
        self._expect_sign("(", "a list in parentheses")
        values = [self._value(field)]
        while self._take_sign(","):
            values.append(self._value(field))
        self._expect_sign(")", "a comma or a closing parenthesis")
        return tuple(values)

    def _pattern(self, field: Field, word: str, here: Token) -> str:
        if field.kind == METRICS:
            raise self._error("%s compares texts, and a metric is a number: use = != < <= > >=" % word, here)
        if self.token.kind != TEXT:
            raise self._unexpected("a pattern in quotes, such as 'resnet%'")
        self._next += 1
        return str(self._tokens[self._next - 1].value)

    def _value(self, field: Field) -> Value:
        token = self.token
        value: Value
        if token.kind in (NUMBER, TEXT):
            value = token.value
        elif token.kind == WORD and token.text.upper() in _NAMED_NUMBERS:
            value = _NAMED_NUMBERS[token.text.upper()]
        elif token.kind == WORD and token.text.upper() in _BOOLS:
            value = _BOOLS[token.text.upper()]
        else:
            raise self._unexpected("a number, or a text in quotes" if field.kind != METRICS else "a number")
        if field.kind == METRICS and isinstance(value, (bool, str)):
            raise self._error("a metric is a number: expected one, without quotes, found %s" % _shown(token))
        if field.is_time and (isinstance(value, bool) or to_time_ms(value) is None):
            problem = "expected milliseconds since the epoch, or a time in UTC such as '2026-11-23T07:15:10', found %s"
            raise self._error(problem % _shown(token))
        self._next += 1
        return value

    # -- single tokens -----------------------------------------------------------------------------------------

    def take_word(self, *words: str) -> Optional[str]:
        """The word of the language that comes next, if it is one of these; else nothing is taken."""
        token = self.token
        found = token.text.upper() if token.kind == WORD else ""
        if found not in words:
            return None
        self._next += 1
        return found

    def _take_sign(self, sign: str) -> bool:
        taken = self.token.kind == SIGN and self.token.text == sign
        self._next += taken
        return taken

    def _expect_word(self, word: str, expected: str) -> None:
        if self.take_word(word) is None:
            raise self._unexpected(expected)

    def _expect_sign(self, sign: str, expected: str) -> None:
        if not self._take_sign(sign):
            raise self._unexpected(expected)

    def expect_end(self, expected: str) -> None:
        """Raises InvalidFilterError unless everything has been taken."""
        if self.token.kind != END:
            raise self._unexpected(expected)

    def _unexpected(self, expected: str) -> InvalidFilterError:
        return self._error("expected %s, found %s" % (expected, _shown(self.token)))

    def _error(self, problem: str, place: Optional[Token] = None) -> InvalidFilterError:
        return InvalidFilterError(self._text, (place or self.token).start, problem)


def _shown(token: Token) -> str:
    return "the end" if token.kind == END else token.text if len(token.text) <= 40 else token.text[:37] + "..."


def dump_filter(tree: Optional[Tree]) -> str:
    """A text that `parse_filter` makes the same tree of."""
    if tree is None:
        return ""
    if isinstance(tree, Junction):
        return (" %s " % tree.word).join(map(_dump_item, tree.items))
    if isinstance(tree, Negation):
        return "NOT " + _dump_item(tree.item)
    field = dump_field(tree.field)
    if tree.value is None:
        return "%s %s" % (field, tree.operator)
    if isinstance(tree.value, tuple):
        return "%s %s (%s)" % (field, tree.operator, ", ".join(map(_dump_value, tree.value)))
    return "%s %s %s" % (field, tree.operator, _dump_value(tree.value))


def _dump_item(tree: Tree) -> str:
    return "(%s)" % dump_filter(tree) if isinstance(tree, Junction) else dump_filter(tree)


def dump_field(field: Field) -> str:
    """A field as the language spells it: ``metrics.loss``; an attribute without its kind."""
    return field.key if field.kind == ATTRIBUTES else "%s.%s" % (field.kind, quote_name(field.key))


def _dump_value(value: Value) -> str:
    if isinstance(value, str):
        return quote_text(value)
    if isinstance(value, bool):
        return str(value).upper()
    text = repr(value)
    return _NUMBER_WORDS.get(text, text)
