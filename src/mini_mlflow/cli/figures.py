"""Numbers, times and values as a person reads them in a table. Exact ones are in ``--json`` and in the files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Mapping, Optional

from mini_mlflow.formats.times import iso_to_ms

_COLOURS = {"RUNNING": "cyan", "FINISHED": "green", "FAILED": "red", "CRASHED": "red", "KILLED": "yellow"}
_OUR_LENGTH = len("2026-11-23T07:15:10.123456Z")
_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def colour_of_status(status: str) -> str:
    return _COLOURS.get(status, "yellow")


def show_number(value: Any) -> str:
    """A metric's value in six digits; "" for none."""
    if isinstance(value, float):
        return "%.6g" % value
    return "" if value is None else str(value)


def show_value(value: Any) -> str:
    """A param's or a tag's value: text as it is, anything else as JSON; "" for none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return show_number(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def show_time(text: Any) -> str:
    """``2026-11-23 07:15:10`` of a time in ISO 8601; "" for none."""
    return text[:19].replace("T", " ") if isinstance(text, str) else show_value(text)


def show_duration(metadata: Mapping[str, Any], now_ms: int) -> str:
    """How long a run took, or has been running for; "" if nobody knows, as of a run that has crashed."""
    start_ms, end_ms = _to_ms(metadata.get("start_time")), _to_ms(metadata.get("end_time"))
    if end_ms is None and metadata.get("status") in ("RUNNING", "UNKNOWN"):
        end_ms = now_ms
    if start_ms is None or end_ms is None:
        return ""
    return show_seconds(max(0.0, end_ms - start_ms) / 1000)


def _to_ms(text: Any) -> Optional[float]:
    # What we write ourselves goes past the regular expression, which would be a third of the time of a listing.
    if isinstance(text, str) and len(text) == _OUR_LENGTH and text[-1] == "Z":
        try:
            return (datetime.fromisoformat(text[:-1]) - _EPOCH) / _MILLISECOND
        except ValueError:
            pass
    return iso_to_ms(text)


def show_seconds(seconds: float) -> str:
    """``12.3 s``, ``5 m 04 s``, ``2 h 13 m`` or ``3 d 04 h``."""
    if seconds < 59.95:
        return "%.1f s" % seconds
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return "%d m %02d s" % (minutes, rest)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return "%d h %02d m" % (hours, minutes)
    return "%d d %02d h" % divmod(hours, 24)


def show_size(size_bytes: Optional[int]) -> str:
    """``512 B``, ``1.5 kB``: in powers of 1,000; "" for none."""
    if size_bytes is None:
        return ""
    size, unit = float(size_bytes), 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return "%d B" % size_bytes if unit == 0 else "%.1f %s" % (size, _UNITS[unit])


def count_of(number: int, singular: str, plural: Optional[str] = None) -> str:
    """``1 run``, ``2 runs``."""
    return "%d %s" % (number, singular if number == 1 else plural or singular + "s")
