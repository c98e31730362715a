"""Which sealed files a metric has, by the positions they hold; when they are merged, and into what. Pure.

A sealed file is named by the first and the last position in it, ``0-8191.jsonl``, a point a line, and never changed.
When enough of one size have gathered they are merged into the next size, so that the number of files grows with the
logarithm of the history up to `LARGEST` points a file, and each point is rewritten at most twice. (The idea is O'Neil
et al., "The Log-Structured Merge-Tree", 1996.) A metric of 1,000,000 points has at most 64 files.
"""

from __future__ import annotations

from typing import Any, Iterable, List, NamedTuple, Sequence, Tuple

from mini_mlflow.errors import DamagedFileError

#: A document is sealed when it has gathered this many points.
SEAL_AT = 1024
FAN = 8
LARGEST = SEAL_AT * FAN * FAN

Range = Tuple[int, int]


class Sealing(NamedTuple):
    """What sealing comes to.

    Attributes:
        new: the range of the new sealed file.
        merged: the files (oldest first) whose content goes into it before the document's own points, and which
            nobody needs once the document is on disk.
        sealed: all ranges afterwards.
    """

    new: Range
    merged: Tuple[Range, ...]
    sealed: Tuple[Range, ...]


def plan_sealing(sealed: Sequence[Range], count: int) -> Sealing:
    """What to do with the points after the sealed ones, of ``count`` in all."""
    kept = list(sealed)
    first = kept[-1][1] + 1 if kept else 0
    size = SEAL_AT * FAN
    while size <= LARGEST:
        smaller = _count_trailing(kept, size)
        if smaller < FAN - 1:
            break
        first = kept[len(kept) - smaller][0]
        kept = kept[: len(kept) - smaller]
        size *= FAN
    new = (first, count - 1)
    return Sealing(new, tuple(sealed[len(kept) :]), (*kept, new))


def _count_trailing(ranges: Sequence[Range], below: int) -> int:
    count = 0
    for first, last in reversed(ranges):
        if last - first + 1 >= below:
            break
        count += 1
    return count


def parse_range(text: Any) -> Range:
    """``"0-8191"`` as (0, 8191). Raises ValueError or TypeError for anything else."""
    if not isinstance(text, str):
        raise TypeError("%r is no range" % (text,))
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()) or max(len(first), len(last)) > 18 or int(last) < int(first):
        raise ValueError("%.80r is no range" % text)
    return int(first), int(last)


def parse_ranges(texts: Sequence[Any]) -> Tuple[Range, ...]:
    """The ranges that a document lists. Raises ValueError or TypeError if they do not follow one another from 0."""
    ranges = tuple(map(parse_range, texts))
    if [first for first, _ in ranges] != [0, *(last + 1 for _, last in ranges)][: len(ranges)]:
        raise ValueError("the sealed files do not follow one another")
    return ranges


def join_ranges(texts: Iterable[str]) -> Tuple[Range, ...]:
    """Of the ranges that files are named by, those that follow one another from position 0, the longest first.

    For a metric whose document is lost: while files are merged, the result and its parts both stand for a moment.
    """
    ranges = []
    for text in texts:
        try:
            ranges.append(parse_range(text))
        except ValueError:
            continue
    joined: List[Range] = []
    for first, last in sorted(ranges, key=lambda pair: (pair[0], -pair[1])):
        if first == (joined[-1][1] + 1 if joined else 0):
            joined.append((first, last))
    return tuple(joined)


def check_sealed(data: bytes, wanted: Range, path: str) -> bytes:
    """``data`` as it is, if it has a line for each position. Raises DamagedFileError."""
    lines = data.count(b"\n")
    if lines != wanted[1] - wanted[0] + 1 or b"\0" in data:
        raise DamagedFileError(path, "does not hold the %d lines that its name promises" % (wanted[1] - wanted[0] + 1))
    return data
