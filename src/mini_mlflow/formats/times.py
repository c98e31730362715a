"""Times as the files spell them: ISO 8601 in UTC with a trailing Z, and milliseconds since the epoch."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import Optional

_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?:Z|\+00:00)?\Z")

#: The beginning of the year 1, the first that ISO 8601 writes with four digits.
FIRST_MS = -62135596800000
#: The end of the year 9999, the last that ISO 8601 writes with four digits.
LIMIT_MS = 253402300799999


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000.0)


def now_iso() -> str:
    """The time now, to the microsecond: ``2026-11-23T07:15:10.123456Z``."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


def ms_to_iso(time_ms: int) -> str:
    """``2026-11-23T07:15:10.123Z`` of milliseconds from `FIRST_MS` to `LIMIT_MS`; metrics have none below 0."""
    if time_ms < 0:
        # On Windows, time.gmtime knows nothing before 1970. After that it is the faster one.
        return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds")[:-6] + "Z"
    seconds, ms = divmod(time_ms, 1000)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (*time.gmtime(seconds)[:6], ms)


def iso_to_ms(text: object) -> Optional[int]:
    """Milliseconds since the epoch of such a text; None for anything else."""
    match = _ISO.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        moment = datetime(*map(int, match.group(1, 2, 3, 4, 5, 6)), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    return (moment - _EPOCH) // _SECOND * 1000 + int((match.group(7) or "").ljust(6, "0")[:3])
