"""``--json``: one JSON object a line, strict (RFC 8259), and safe to look at.

NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity", as in the files. Whatever is not printable
is escaped, so that a name cannot reach the terminal raw here either.
"""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def dump_line(value: Any) -> str:
    """``value`` as a line of JSON without its end. What JSON does not know (a date, a key that is no str) is text."""
    try:
        text = _encode(value)
    except (ValueError, TypeError):
        text = _encode(_to_strict(value))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _to_strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _to_strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_strict(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0.0 else _name_nonfinite(value)
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _name_nonfinite(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
