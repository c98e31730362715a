"""A commit: one file of the log, holding changes of a run in their order.

::

    {"commit": 17, "changes": [
    ["metric", "loss", 0.5, null, 1763882110123],
    ["params", "lr", 0.01, "2026-11-23T07:15:10.123456Z"],
    ["rewind", 1200, 1763882110131]
    ]}

The kinds of change are closed: what is not among them is refused when it is written and reported when it is read.
Each change is rendered by the thread that asks for it, before anybody waits for a lock.
"""

from __future__ import annotations

import json
from typing import Any, List, NamedTuple, Optional, Sequence, Union

from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.history import parse_json
from mini_mlflow.formats.values import Encoded, dump_number, encode_text, to_nonfinite

METRIC = "metric"
REWIND = "rewind"
#: The kinds whose last value wins; also the names of their folders.
VALUE_KINDS = ("params", "tags")


class MetricChange(NamedTuple):
    """One point; ``step`` None stands for its position in the history, which folding settles."""

    key: str
    value: float
    step: Optional[int]
    timestamp: int

    def dump(self) -> str:
        step = "null" if self.step is None else str(self.step)
        return '["metric", %s, %s, %s, %d]' % (encode_text(self.key), dump_number(self.value), step, self.timestamp)


class ValueChange(NamedTuple):
    """A param or a tag (``kind``, one of `VALUE_KINDS`) set to a value; ``timestamp`` is ISO 8601."""

    kind: str
    key: str
    encoded: Encoded
    timestamp: str

    def dump(self) -> str:
        nonfinite = ", " + self.encoded.nonfinite if self.encoded.nonfinite else ""
        return '["%s", %s, %s, "%s"%s]' % (
            self.kind,
            encode_text(self.key),
            self.encoded.json,
            self.timestamp,
            nonfinite,
        )


class RewindChange(NamedTuple):
    """Of every metric of the run, the points that stand before this and have a step above ``step`` are hidden.

    Versions that do not know it take its commit for damaged: they warn, pass over it, and show those points.
    """

    step: int
    timestamp: int

    @property
    def kind(self) -> str:
        """Not that of any document: it has no document of its own, and no key."""
        return REWIND

    @property
    def key(self) -> str:
        return ""

    def dump(self) -> str:
        return '["rewind", %d, %d]' % self


Change = Union[MetricChange, ValueChange, RewindChange]


def dump_commit(number: int, lines: Sequence[str]) -> bytes:
    """The file of commit ``number``; ``lines`` are rendered changes."""
    return ('{"commit": %d, "changes": [\n%s\n]}\n' % (number, ",\n".join(lines))).encode("utf-8")


def parse_commit(data: bytes, path: str) -> List[Change]:
    """The changes of a commit's file, in order.

    Raises:
        DamagedFileError: torn (a power cut leaves such files), or not a commit of this format.
    """
    changes = parse_json(data, path).get("changes")
    if not isinstance(changes, list):
        raise DamagedFileError(path, "has no list of changes")
    return [_parse_change(change, path) for change in changes]


def _parse_change(change: Any, path: str) -> Change:
    try:
        kind, key, value = change[:3]
        if kind == METRIC:
            step, timestamp = change[3:]
            number = to_nonfinite(value)
            if (
                isinstance(key, str)
                and type(timestamp) is int
                and type(step) in (int, type(None))
                and type(number) in (int, float)
            ):
                return MetricChange(key, float(number), step, timestamp)
        elif kind == REWIND:
            if len(change) == 3 and type(key) is type(value) is int:
                return RewindChange(key, value)
        elif kind in VALUE_KINDS and isinstance(key, str) and isinstance(change[3], str):
            nonfinite = json.dumps(change[4]) if len(change) > 4 else ""
            return ValueChange(kind, key, Encoded(json.dumps(value), nonfinite), change[3])
    except (TypeError, ValueError, LookupError, OverflowError):
        pass
    raise DamagedFileError(path, "holds a change that this version does not know: %.200r" % (change,))
