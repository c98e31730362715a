"""A metric's document, its points and its sealed files; pure, bytes in and out.

A document is JSON laid out by lines, so that writers and readers can use its first line, or carry its points over,
without parsing them::

    {"value": 0.12, "step": 11999, ..., "count": 12000, "commit": 12040, "sealed": ["0-8191"], "points": [
    [8192, 0.13, 1763882110123],
    [11999, 0.12, 1763882110131]]}

The newest points stand in the document, older ones in sealed files (`formats.tiers`).

Of a metric that was rewound, the first line also has ``"rewinds": [[position, step], ...], "hidden": 3``: which points
are hidden (`formats.rewinds`), and how many. Its value, step, timestamp, min and max are then those of the visible
points (null and 0 if there are none), while ``count`` and the positions go on counting all of them. A version that
does not know the two fields shows every point in the history, and keeps the fields when it logs on.

Where the latest point, as MLflow means it (`formats.latest`), is another than the last, the first line also has
``"latest": [step, value, timestamp]``. It is one of the visible points, in a sealed file perhaps; what is logged later
is compared with it, so that no history is read for it.

A document at commit n holds exactly the points of the commits up to n. That makes folding idempotent.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.latest import find_latest, unless_last
from mini_mlflow.formats.points import NewPoint, as_new, dump_point, parse_points, salvage_points
from mini_mlflow.formats.rewinds import Batches, Rewinds, add_rewind, parse_rewinds, summarize
from mini_mlflow.formats.tiers import Range, parse_ranges
from mini_mlflow.formats.times import iso_to_ms, ms_to_iso
from mini_mlflow.formats.values import dump_number, encode_text, to_nonfinite

_OPENING = b'"points": ['
_CLOSING = b"]}\n"
_FIELDS_OF_0_1_0 = frozenset(("value", "timestamp", "key"))
_OWN_FIELDS = frozenset("value step timestamp count commit min max sealed rewinds hidden latest points key".split())


class MetricDocument(NamedTuple):
    """One metric as its document says it. ``points`` are the lines of the newest points, as they stand in the file;
    ``latest`` is the latest point where it is another than the last."""

    key: str
    count: int = 0  # type: ignore[assignment] # a tuple's own count() is of no use here
    commit: int = 0
    value: Any = None
    step: int = 0
    timestamp: int = 0
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    sealed: Tuple[Range, ...] = ()
    points: bytes = b""
    extra: Tuple[Tuple[str, Any], ...] = ()
    rewinds: Rewinds = ()
    hidden: int = 0
    latest: Optional[Point] = None

    @property
    def sealed_count(self) -> int:
        """How many of the points stand in sealed files."""
        return self.sealed[-1][1] + 1 if self.sealed else 0

    @property
    def is_hidden(self) -> bool:
        """Whether all of its points are, so that it has no value to show."""
        return 0 < self.hidden == self.count

    @property
    def last_point(self) -> Optional[Point]:
        """The last visible point; None if there is none, or what stands in its place is no number."""
        has_one = self.hidden < self.count and isinstance(self.value, float)
        return Point(self.step, self.value, self.timestamp) if has_one else None

    @property
    def latest_point(self) -> Optional[Point]:
        """The latest visible point; None as `last_point`."""
        return self.latest or self.last_point

    def appended(self, new: Sequence[NewPoint], commit: int) -> MetricDocument:
        """The same metric with further points, at ``commit``.

        A point without a step gets as its step its position among the visible points.
        """
        lines = [self.points] if self.points else []
        settled: List[Tuple[int, float, int]] = []
        count, low, high = self.count, self.minimum, self.maximum
        value, step, time_ms = self.value, self.step, self.timestamp
        # While steps rise, as they mostly do, the last point is the latest, and nothing need be compared.
        rising, previous = self.latest is None, self.step if self.hidden < self.count else -math.inf
        for value, given_step, time_ms in new:
            step = count - self.hidden if given_step is None else given_step
            lines.append(dump_point(step, value, time_ms))
            settled.append((step, value, time_ms))
            rising, previous = rising and step > previous, step
            count += 1
            if value == value:
                low = value if low is None or value < low else low
                high = value if high is None or value > high else high
        return self._replace(
            count=count,
            commit=commit,
            value=value,
            step=step,
            timestamp=time_ms,
            minimum=low,
            maximum=high,
            points=b",\n".join(lines),
            latest=self._find_latest(settled) if new and not rising else self.latest,
        )

    def _find_latest(self, new: List[Tuple[int, float, int]]) -> Optional[Point]:
        return unless_last(find_latest(new, self.latest_point), Point(*new[-1]))

    def rewound(self, step: int, batches: Batches) -> MetricDocument:
        """The same metric, of whose points (which are ``batches``) those with a step above ``step`` are hidden."""
        return self.summarized(add_rewind(self.rewinds, self.count, step), batches)

    def summarized(self, rewinds: Rewinds, batches: Batches) -> MetricDocument:
        """The same metric with ``rewinds``, if they hide more than its own, and what its visible points say of it."""
        seen = summarize(batches, rewinds, self.rewinds)
        return self._replace(
            value=None if seen.last is None else seen.last.value,
            step=0 if seen.last is None else seen.last.step,
            timestamp=0 if seen.last is None else seen.last.timestamp,
            minimum=seen.low,
            maximum=seen.high,
            rewinds=rewinds if seen.newly else self.rewinds,
            hidden=seen.hidden,
            latest=unless_last(seen.latest, seen.last),
        )

    def first_line(self) -> bytes:
        """The document's first line; two documents of one metric with the same first line are the same."""
        sealed = ", ".join('"%d-%d"' % pair for pair in self.sealed)
        extra = "".join("%s: %s, " % (json.dumps(name), json.dumps(value)) for name, value in self.extra)
        rewinds = ", ".join("[%d, %d]" % pair for pair in self.rewinds)
        rewound = '"rewinds": [%s], "hidden": %d, ' % (rewinds, self.hidden) if self.rewinds else ""
        latest = '"latest": %s, ' % dump_point(*self.latest).decode("ascii") if self.latest else ""
        text = (
            '{"value": %s, "step": %d, "timestamp": "%s", "count": %d, "commit": %d, "min": %s, "max": %s, '
            '"sealed": [%s], %s%s"key": %s, %s"points": [\n'
        )
        return (
            text
            % (
                _dump_any(self.value),
                self.step,
                ms_to_iso(self.timestamp),
                self.count,
                self.commit,
                _dump_any(self.minimum),
                _dump_any(self.maximum),
                sealed,
                rewound,
                latest,
                encode_text(self.key),
                extra,
            )
        ).encode("utf-8")

    def dump(self) -> bytes:
        """The whole file."""
        return b"".join((self.first_line(), self.points, _CLOSING))


def _dump_any(value: Any) -> str:
    return dump_number(value) if isinstance(value, float) else json.dumps(value)


def parse_document(data: bytes, path: str, key: str) -> MetricDocument:
    """The document in ``data``; its points stay bytes if they are laid out as `MetricDocument.dump` does.

    Also reads what 0.1.0 wrote (``{"value": ..., "timestamp": ...}``): one point, at commit 0.

    Args:
        data: the file's content.
        path: the file, for the message.
        key: the key that the file's name says; a document that carries its key overrides it.

    Raises:
        DamagedFileError: not such a document.
    """
    first, newline, rest = data.partition(b"\n")
    if newline and first.endswith(_OPENING) and rest.endswith(_CLOSING):
        fields = parse_json(first + b"]}", path)
        points = rest[: -len(_CLOSING)]
        document = _from_fields(fields, path, key, points)
        expected = document.count - document.sealed_count
        if b"\0" in points or (points.count(b"\n") + 1 if points else 0) != expected:
            raise DamagedFileError(path, "its points are not the %d that its first line announces" % expected)
        return document
    fields = parse_json(data, path)
    return _from_fields(fields, path, key, None)


def parse_first_line(data: bytes, path: str, key: str) -> MetricDocument:
    """The document without its points, from at least its first line."""
    first, newline, _ = data.partition(b"\n")
    if newline and first.endswith(_OPENING):
        return _from_fields(parse_json(first + b"]}", path), path, key, b"")
    return parse_document(data, path, key)


def parse_json(data: bytes, path: str) -> Dict[str, Any]:
    """The JSON object in ``data``. Raises DamagedFileError if it holds anything else."""
    try:
        fields = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "is empty (a power cut leaves such files)" if not data.strip(b"\0") else "is not JSON: %s" % error
        raise DamagedFileError(path, reason) from None
    if not isinstance(fields, dict):
        raise DamagedFileError(path, "holds a JSON %s where an object should be" % type(fields).__name__)
    return fields


def _from_fields(fields: Dict[str, Any], path: str, key: str, points: Optional[bytes]) -> MetricDocument:
    if "value" not in fields:
        raise DamagedFileError(path, 'has no field "value"')
    own_key = fields.get("key", key)
    blank = MetricDocument(
        own_key if isinstance(own_key, str) else key,
        value=_parse_value(fields["value"], path),
        timestamp=iso_to_ms(fields.get("timestamp")) or 0,
        extra=tuple((name, item) for name, item in fields.items() if name not in _OWN_FIELDS),
    )
    if not _OWN_FIELDS & fields.keys() - _FIELDS_OF_0_1_0:
        new: List[NewPoint] = [(blank.value, None, blank.timestamp)] if isinstance(blank.value, float) else []
        return blank.appended(new, 0)
    try:
        rewinds = parse_rewinds(fields["rewinds"], _int(fields["count"])) if "rewinds" in fields else ()
        document = blank._replace(
            count=_int(fields["count"]),
            commit=_int(fields["commit"]),
            step=_int(fields["step"]),
            minimum=_float_or_none(fields.get("min")),
            maximum=_float_or_none(fields.get("max")),
            sealed=parse_ranges(fields["sealed"]),
            points=points or b"",
            rewinds=rewinds,
            hidden=_hidden(fields) if rewinds else 0,
            latest=parse_points([fields["latest"]], path)[0] if "latest" in fields else None,
        )
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise DamagedFileError(path, "has a first line of the wrong kind: %r" % error) from None
    if points is not None:
        return document
    lines = parse_points(fields.get("points"), path)
    if document.sealed_count + len(lines) != document.count:
        raise DamagedFileError(path, "does not hold the points that it announces")
    return document._replace(points=blank.appended(as_new(lines), document.commit).points)


def _parse_value(value: Any, path: str) -> Any:
    # Other writers may have put anything there; what is no number is shown, but is no point of the history.
    value = to_nonfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise DamagedFileError(path, "holds an int too large for a metric") from None
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("%r is no int" % (value,))
    return value


def _hidden(fields: Dict[str, Any]) -> int:
    hidden = _int(fields["hidden"])
    if not 0 <= hidden <= fields["count"]:
        raise ValueError("%d points cannot be hidden" % hidden)
    return hidden


def _float_or_none(value: Any) -> Optional[float]:
    return None if value is None else float(value)


def salvage_rewinds(data: bytes) -> Rewinds:
    """The rewinds in the first line of a damaged document; none if that cannot be read."""
    try:
        fields = parse_json(data.partition(b"\n")[0] + b"]}", "")
        return parse_rewinds(fields["rewinds"], _int(fields["count"]))
    except (DamagedFileError, TypeError, ValueError, LookupError):
        return ()


def salvage_document(data: bytes, path: str) -> List[Point]:
    """The points that can still be read from a damaged document."""
    return salvage_points(data.partition(b"\n")[2], path)
