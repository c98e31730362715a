"""The parts of a snapshot, each parsed when it is asked for.

`formats.documents.dump_snapshot` gives each part a line, and JSON has no bare line breaks within its strings, so the
lines are found without parsing them. A search parses no more than its question needs.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Dict, List, Optional

from mini_mlflow.entities import FORMAT
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.documents import are_summaries
from mini_mlflow.formats.values import decode_value, encode_text

METADATA, PARAMS, TAGS, METRICS, NONFINITE = "metadata", "params", "tags", "metrics", "nonfinite"

_FIRST = b'{"format": %d,' % FORMAT
_LEADS = tuple(b'"%s": {' % name.encode("ascii") for name in (METADATA, PARAMS, TAGS, METRICS, NONFINITE))
_LINES = 7
_NUMBERS = {METADATA: 1, PARAMS: 2, TAGS: 3, METRICS: 4, NONFINITE: 5}
_VALUE = b'{"value": '
_NO_MARKS = b'"nonfinite": {}}'
# json.loads() itself only chooses among what may be given to it.
_decode = json.JSONDecoder().decode


def split_snapshot(data: bytes) -> Optional[List[bytes]]:
    """The lines of a snapshot that is laid out as we write it; None for any other content, torn ones among it."""
    lines = data.split(b"\n")
    if len(lines) != _LINES or lines[0] != _FIRST or lines[6]:
        return None
    if not (lines[1].startswith(_LEADS[0]) and lines[2].startswith(_LEADS[1]) and lines[3].startswith(_LEADS[2])):
        return None
    if not (lines[4].startswith(_LEADS[3]) and lines[5].startswith(_LEADS[4]) and lines[5].endswith(b"}}")):
        return None
    return lines


def parse_part(lines: List[bytes], name: str, path: str) -> Dict[str, Any]:
    """One part, as `formats.documents.Snapshot` has it.

    Args:
        lines: what `split_snapshot` gave.
        name: METADATA, PARAMS, TAGS or METRICS.
        path: the file, for the message.

    Raises:
        DamagedFileError: the part is no JSON object, or not of its kind.
    """
    part = _parse_line(lines, name, path)
    if name == METRICS and not are_summaries(part.values()):
        raise DamagedFileError(path, "has metrics of the wrong kind")
    if name in (PARAMS, TAGS) and lines[5] != _NO_MARKS:
        for place, nonfinite in _parse_line(lines, NONFINITE, path).items():
            kind, _, key = place.partition("/")
            if kind == name and key in part:
                part[key] = decode_value(part[key], nonfinite)
    return part


def find_summary(lines: List[bytes], key: str) -> Optional[Dict[str, Any]]:
    """One metric's summary, without parsing the others; None if it cannot be told that way, or is not there.

    The text that is looked for may also stand within a longer key that has quotes; then a backslash is before it.
    """
    line, mark = lines[_NUMBERS[METRICS]], _mark(key)
    start = line.find(mark)
    if start < 0 or line[start - 1 : start] not in (b"{", b" "):
        return None
    try:
        # A key may hold a brace, a summary of ours holds none but its own.
        end = line.index(b"}", start + len(mark)) + 1
        summary: Dict[str, Any] = _decode(line[start + len(mark) - len(_VALUE) : end].decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return summary if are_summaries((summary,)) else None


@functools.lru_cache(maxsize=64)
def _mark(key: str) -> bytes:
    return encode_text(key).encode("utf-8") + b": " + _VALUE


def _parse_line(lines: List[bytes], name: str, path: str) -> Dict[str, Any]:
    # Behind the name and its colon, before the comma or the last brace.
    line = lines[_NUMBERS[name]]
    try:
        # It begins with a brace, as `split_snapshot` has seen, so it is an object or no JSON.
        part: Dict[str, Any] = _decode(line[len(name) + 4 : -1].decode("utf-8"))
        return part
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, "has %s that are not JSON: %s" % (name, error)) from None
