"""The words, names, numbers and texts of a filter, each with its place. Pure.

A name may be quoted in parts: ``metrics.`val loss` `` and ``tags."a b"``, as MLflow takes them. Within quotes, the
quotation mark itself is written twice, as in SQL.
"""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple

from mini_mlflow.errors import InvalidFilterError

NAME, WORD, NUMBER, TEXT, SIGN, END = "name", "word", "number", "text", "sign", "end"

_SPACE = re.compile(r"\s*")
# A part in quotes, or a plain one; behind the dot a key may hold more than a word does, and quotes of two kinds.
_NAME = re.compile(
    r"""(?P<first>`(?:[^`]|``)+`|[^\W\d]\w*)(?:\.(?P<key>`(?:[^`]|``)+`|"(?:[^"]|"")+"|[\w./:@-]+))?""",
)
_PLAIN_KEY = re.compile(r"[\w./:@-]+\Z")
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?<=[+-])(?:inf(?:inity)?)\b)", re.I)
_TEXT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_SIGN = re.compile(r"<=|>=|!=|<>|==|[=<>(),]")
_RUNS_ON = re.compile(r"[\w.]+")
# int() refuses more digits than 4,300 (CVE-2020-10735).
_LIMIT_DIGITS = 4000


class Token(NamedTuple):
    """One of them.

    Attributes:
        kind: NAME (with a dot), WORD (without), NUMBER, TEXT, SIGN or END.
        text: as it stands in the filter.
        value: the number, the unquoted text; of a name or a word the pair of its parts, "" being no first part.
        start: where it begins.
    """

    kind: str
    text: str
    value: Any
    start: int


def split_tokens(text: str) -> List[Token]:
    """The tokens of ``text``, the last of kind END. Raises InvalidFilterError at what can be none."""
    tokens: List[Token] = []
    while True:
        start = _end_of_space(text, tokens[-1].start + len(tokens[-1].text) if tokens else 0)
        if start == len(text):
            tokens.append(Token(END, "", None, start))
            return tokens
        tokens.append(_next_token(text, start))


def _end_of_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match is not None else start


def _next_token(text: str, start: int) -> Token:
    number = _NUMBER.match(text, start)
    if number is not None:
        runs_on = _RUNS_ON.match(text, number.end())
        if runs_on is not None:
            raise InvalidFilterError(text, number.end(), "expected a number to end here; texts stand in quotes")
        return Token(NUMBER, number.group(), _to_number(number.group()), start)
    for pattern, make in ((_NAME, _name), (_TEXT, _text), (_SIGN, _sign)):
        match = pattern.match(text, start)
        if match is not None:
            return make(match, start)
    raise _error_at(text, start)


def _error_at(text: str, start: int) -> InvalidFilterError:
    behind_name = start > 0 and text[start] == "." and (text[start - 1].isalnum() or text[start - 1] in "_`")
    # A key's quote, too, is what one looks for when it is not closed.
    place = start + 1 if behind_name and text[start + 1 : start + 2] in ("`", '"') else start
    if text[place] in "'\"`":
        problem = "the quote that begins here is not closed, or holds nothing"
    elif behind_name:
        problem = "expected a key right after the dot, in backticks if it has more than letters, digits and _ . - / : @"
    else:
        problem = "expected a name, a comparison or a value; this character begins none of them"
    return InvalidFilterError(text, place, problem)


def _to_number(text: str) -> Any:
    if text.lstrip("+-").isdigit() and len(text) <= _LIMIT_DIGITS:
        return int(text)
    return float(text)


def _name(match: Any, start: int) -> Token:
    first, key = _unquote(match.group("first")), match.group("key")
    if key is None:
        kind = NAME if match.group("first")[0] == "`" else WORD
        return Token(kind, match.group(), ("", first), start)
    return Token(NAME, match.group(), (first, _unquote(key)), start)


def _text(match: Any, start: int) -> Token:
    return Token(TEXT, match.group(), _unquote(match.group()), start)


def _sign(match: Any, start: int) -> Token:
    return Token(SIGN, match.group(), None, start)


def _unquote(text: str) -> str:
    mark = text[0]
    return text[1:-1].replace(mark * 2, mark) if mark in "`'\"" else text


def quote_name(key: str) -> str:
    """The key as a name has it: in backticks where it needs them."""
    return key if _PLAIN_KEY.match(key) else "`%s`" % key.replace("`", "``")


def quote_text(text: str) -> str:
    """The text as a value."""
    return "'%s'" % text.replace("'", "''")
