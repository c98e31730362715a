"""Points as lines: ``[step, value, timestamp]``, comma-ended in a metric's document, line-ended in a sealed file."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, List, Optional, Sequence, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.values import dump_number, to_nonfinite

#: (value, step or None for "its position", timestamp in ms), in commit order.
NewPoint = Tuple[float, Optional[int], int]

_LINE = re.compile(rb"(\[[^\[\]]*\])(?:,|\]\})?\s*\Z")


def dump_point(step: int, value: float, time_ms: int) -> bytes:
    """A point's line, without its end."""
    return b"[%d, %s, %d]" % (step, dump_number(value).encode("ascii"), time_ms)


def parse_points(lines: Any, path: str) -> List[Point]:
    """The points in a decoded JSON list of ``[step, value, timestamp]``. Raises DamagedFileError."""
    try:
        if not lines:
            return []
        steps, values, timestamps = zip(*lines)
        if set(map(len, lines)) != {3} or {*map(type, steps), *map(type, timestamps)} != {int}:
            raise TypeError("a step or a timestamp is no int")
        if set(map(type, values)) != {float}:
            values = tuple(map(to_nonfinite, values))
            if not set(map(type, values)) <= {float, int}:
                raise TypeError("a value is no number")
            values = tuple(map(float, values))
        # By columns: a history of a million points is read in one call.
        return list(map(Point, steps, values, timestamps))
    except (TypeError, ValueError, OverflowError):
        raise DamagedFileError(path, "holds points that are not [step, value, timestamp]") from None


def decode_points(lines: bytes, path: str) -> List[Point]:
    """The points of a document's or of a sealed file's lines. Raises DamagedFileError if one cannot be read."""
    body = lines.strip()
    if b",\n" not in body:
        body = body.replace(b"\n", b",\n")
    try:
        decoded = json.loads((b"[%s]" % body).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, "holds points that are not JSON: %s" % error) from None
    return parse_points(decoded, path)


def salvage_points(lines: bytes, path: str) -> List[Point]:
    """The points of those lines that can be read; a torn or flipped line costs itself alone."""
    try:
        return decode_points(lines, path)
    except DamagedFileError:
        pass
    points = []
    for line in lines.split(b"\n"):
        # The last line of a document ends in "]]}". A line that was cut must not pass for a shorter number.
        match = _LINE.match(line)
        if match is not None:
            try:
                points += decode_points(match.group(1), path)
            except DamagedFileError:
                continue
    return points


def drop_known(older: Sequence[Point], new: Sequence[NewPoint]) -> List[NewPoint]:
    """``new`` without the points that ``older`` holds already; value and timestamp tell.

    For a metric whose document is lost, and with it the number of the commit up to which points were folded: the log
    may hold some of them still, and none may stand twice.
    """
    return [point for point, is_known in zip(new, find_known(older, new)) if not is_known]


def find_known(older: Sequence[Point], new: Sequence[NewPoint]) -> List[bool]:
    """For each of ``new``, whether ``older`` holds it already; value and timestamp tell."""
    unmatched = Counter((repr(point.value), point.timestamp) for point in older)
    known = []
    for value, _, timestamp in new:
        identity = (repr(value), timestamp)
        known.append(unmatched[identity] > 0)
        if known[-1]:
            unmatched[identity] -= 1
    return known


def to_sealed(lines: bytes) -> bytes:
    """A document's lines as a sealed file has them."""
    return lines.replace(b",\n", b"\n") + b"\n" if lines else b""


def as_new(points: Sequence[Point]) -> List[NewPoint]:
    """Points that were read, to be appended somewhere else as they are."""
    return [(point.value, point.step, point.timestamp) for point in points]


def to_points(new: Sequence[NewPoint], position: int) -> List[Point]:
    """New points with their steps settled, the first of them at ``position`` of the history."""
    return [
        Point(position + index if step is None else step, value, timestamp)
        for index, (value, step, timestamp) in enumerate(new)
    ]
