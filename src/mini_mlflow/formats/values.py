"""What may be logged, and how JSON says it: params and tags of any JSON type, metrics as numbers.

The files are strict JSON (RFC 8259), which has no NaN and no infinities. In a metric they are the strings "NaN",
"Infinity" and "-Infinity". In a param or a tag, where a string may be meant, such a string is a float again only if
its place is listed: ``nonfinite`` holds the path of each (list indices and dict keys from the outside in; an empty
path is the whole value).
"""

from __future__ import annotations

import json
import math
import numbers
from typing import Any, List, NamedTuple, Optional, Set, Tuple, Union

from mini_mlflow.entities import check_int
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show
from mini_mlflow.formats.times import LIMIT_MS

#: The largest value of a param or a tag as JSON. Listings read params with every run: larger things are artifacts.
LIMIT_BYTES = 10_000_000
_LIMIT_DEPTH = 100
_LIMIT_NODES = 1_000_000
# Python refuses to read decimal ints of more than 4,300 digits (CVE-2020-10735), and would not read its own file.
_LIMIT_INT_BITS = 14_000
# What needs no walk: nearly every param is one of these.
_PLAIN = frozenset((bool, float, str))
_SMALL = 2**63

_encode_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False).encode

Path = Tuple[Union[str, int], ...]


class Encoded(NamedTuple):
    """A value as JSON text, and the JSON text of its ``nonfinite`` paths (empty if it has none)."""

    json: str
    nonfinite: str = ""


class _Deleted:
    def __repr__(self) -> str:
        return "DELETED"


#: What stands in the document of a tag that was deleted instead of a value. Readers show no such tag.
DELETED: Any = _Deleted()
# The mark stands where those of non-finite floats would. Versions that do not know it take it along unread: they show
# such a tag as null, where a kind of change that they do not know would make them lose the whole commit.
_DELETED_MARK = "deleted"
#: `DELETED`, encoded.
DELETION = Encoded("null", json.dumps(_DELETED_MARK))


def encode_text(text: str) -> str:
    """``text`` as a JSON string that encodes to UTF-8; lone surrogates are escaped."""
    encoded = _encode_strict(text)
    try:
        encoded.encode("utf-8")
    except UnicodeEncodeError:
        return _encode_ascii(text)
    return encoded


def encode_value(value: Any, what: str) -> Encoded:
    """The value of a param or a tag, ready for a file.

    Args:
        value: None, bool, int, float, str, list, tuple (stored as a list), dict with str keys, and numpy or torch
            scalars and arrays (stored as their Python values); nested at will.
        what: what the messages call it, such as ``param 'lr'``.

    Raises:
        InvalidTypeError: any other type, at any depth.
        InvalidValueError: deeper than 100 levels or containing itself, larger than 10 MB, an int of more than
            4,200 digits, or text that would not read back equal (surrogates that form a pair).
    """
    kind = type(value)
    if value is DELETED:
        return DELETION
    if kind is float and not math.isfinite(value):
        return Encoded('"%s"' % _name_nonfinite(value), "[[]]")
    if kind not in _PLAIN and value is not None and not (kind is int and -_SMALL < value < _SMALL):
        walk = _Walk(what)
        value = walk.plain(value, (), set())
        nonfinite = json.dumps(walk.nonfinite) if walk.nonfinite else ""
    else:
        nonfinite = ""
    encoded = _encode_strict(value)
    try:
        size = len(encoded.encode("utf-8"))
    except UnicodeEncodeError:
        encoded = _encode_ascii(value)
        size = len(encoded)
        if json.loads(encoded) != value:
            raise InvalidValueError("%s holds surrogates that no JSON file can keep apart" % what) from None
    if size > LIMIT_BYTES:
        raise InvalidValueError(
            "%s is too large: %d bytes of JSON, at most %d are stored; write it to a file of its own"
            % (what, size, LIMIT_BYTES)
        )
    return Encoded(encoded, nonfinite)


class _Walk:
    """One walk through a value: makes it plain, and finds what JSON cannot say."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.nodes = 0
        self.nonfinite: List[Path] = []

    def plain(self, value: Any, path: Path, above: Set[int]) -> Any:
        self.nodes += 1
        if self.nodes > _LIMIT_NODES:
            raise InvalidValueError("%s is too large: more than %d values" % (self.what, _LIMIT_NODES))
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            # str.__str__ and the like: an Enum member or a numpy scalar that is also a str stores as what it holds.
            return str.__str__(value)
        if isinstance(value, int):
            return self._int(value)
        if isinstance(value, float):
            return self._float(float.__float__(value), path)
        if isinstance(value, (list, tuple, dict)):
            return self._container(value, path, above)
        return self._foreign(value, path, above)

    def _int(self, value: int) -> int:
        if value.bit_length() > _LIMIT_INT_BITS:
            raise InvalidValueError("%s holds an int of more than 4,200 digits" % self.what)
        return int.__index__(value)

    def _float(self, value: float, path: Path) -> Union[float, str]:
        if math.isfinite(value):
            return value
        self.nonfinite.append(path)
        return _name_nonfinite(value)

    def _container(self, value: Any, path: Path, above: Set[int]) -> Any:
        if id(value) in above or len(path) >= _LIMIT_DEPTH:
            raise InvalidValueError("%s contains itself or is nested deeper than %d levels" % (self.what, _LIMIT_DEPTH))
        above.add(id(value))
        result: Any
        if isinstance(value, dict):
            result = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidTypeError(
                        "%s has a dict key of type %s; use str keys" % (self.what, type(key).__name__)
                    )
                plain_key = str.__str__(key)
                result[plain_key] = self.plain(item, (*path, plain_key), above)
        else:
            result = [self.plain(item, (*path, index), above) for index, item in enumerate(value)]
        above.discard(id(value))
        return result

    def _foreign(self, value: Any, path: Path, above: Set[int]) -> Any:
        # numpy and torch by what they offer, so that neither is imported: arrays and scalars have both names.
        if hasattr(value, "tolist") and hasattr(value, "dtype") and not isinstance(value, type):
            try:
                plain = value.tolist()
            except (TypeError, ValueError, RuntimeError):
                # A tensor on a device, a lazy array: what it says of itself is nothing to store.
                plain = None
            if type(plain) in (bool, int, float, str, list):
                return self.plain(plain, path, above)
        raise InvalidTypeError(
            "%s must be a JSON value (None, bool, int, float, str, list, dict), not %s"
            % (self.what, type(value).__name__)
        )


def _name_nonfinite(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def decode_value(value: Any, nonfinite: Any) -> Any:
    """The value that `encode_value` was given: listed strings become floats again. Paths that lead nowhere are left."""
    if not nonfinite or not isinstance(nonfinite, list):
        return DELETED if nonfinite == _DELETED_MARK else value
    for path in nonfinite:
        if path == []:
            return to_nonfinite(value)
        _restore_at(value, path)
    return value


def _restore_at(value: Any, path: Any) -> None:
    try:
        for part in path[:-1]:
            value = value[part]
        value[path[-1]] = to_nonfinite(value[path[-1]])
    except (LookupError, TypeError):
        pass


def to_nonfinite(value: Any) -> Any:
    """The float that one of the three strings names; anything else as it is."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def to_number(value: Any, key: str) -> float:
    """A metric's value as a float.

    Raises:
        InvalidTypeError: not a real number: bool, str, None, complex, an array of several.
        InvalidValueError: an int too large for a float.
    """
    try:
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            return float(value)
        return float(_scalar_item(value, key))
    except OverflowError:
        raise InvalidValueError("metric %r is too large for a float" % key) from None


def _scalar_item(value: Any, key: str) -> Union[int, float]:
    item = value
    if hasattr(value, "item") and not isinstance(value, type):
        try:
            item = value.item()
        except (TypeError, ValueError, RuntimeError):
            # An array of several.
            item = None
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        item = float(value)  # fractions.Fraction
    if isinstance(item, (int, float)) and not isinstance(item, bool):
        return item
    raise InvalidTypeError("metric %r must be a real number, not %s: %s" % (key, type(value).__name__, show(value)))


def dump_number(value: float) -> str:
    """A metric's value as strict JSON."""
    if value - value == 0.0:
        return repr(value)
    return '"%s"' % _name_nonfinite(value)


def to_step(step: Any, key: str) -> Optional[int]:
    """A step as an int; None stays None.

    Raises:
        InvalidTypeError: not an int (bool is none).
        InvalidValueError: more than 4,200 digits.
    """
    if step is None:
        return None
    return to_int(step, "step of metric %r" % key)


def to_timestamp(timestamp: Any, key: str) -> int:
    """A timestamp in milliseconds since the epoch.

    Raises:
        InvalidTypeError: not an int (bool is none).
        InvalidValueError: negative, or after the year 9999.
    """
    number = to_int(timestamp, "timestamp of metric %r" % key)
    if not 0 <= number <= LIMIT_MS:
        raise InvalidValueError(
            "timestamp of metric %r must be milliseconds since the epoch, from 0 to %d, not %.80r"
            % (key, LIMIT_MS, number)
        )
    return number


def to_int(value: Any, what: str) -> int:
    """``value`` as an int that can be read back; ``what`` names it in the message.

    Raises:
        InvalidTypeError: not an int (bool is none).
        InvalidValueError: more than 4,200 digits.
    """
    number = check_int(value, what)
    if number.bit_length() > _LIMIT_INT_BITS:
        raise InvalidValueError("%s has more than 4,200 digits" % what)
    return number
