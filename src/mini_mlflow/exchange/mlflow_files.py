"""The files of MLflow's file store, read: values of a key a file, lines of points, and flat YAML.

What MLflow 1.x to 3.x wrote, and whatever a kill, a full disk or a copy has made of it: a file that cannot be read is
told and passed over, and so is a line of a metric.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.regular import open_regular, read_file
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.exchange.incoming import IncomingValue, Metric, Values
from mini_mlflow.formats.documents import parse_meta
from mini_mlflow.formats.times import LIMIT_MS, ms_to_iso

#: Is told of a path and of what is wrong with it.
Tell = Callable[[str, object], None]

META = "meta.yaml"
# A schema or a profile of a dataset is one line of it.
_LIMIT_META_BYTES = 50_000_000
# No line that MLflow writes is as long, but for the names of datasets.
_LIMIT_LINE_BYTES = 10_000
# Larger than any step that somebody counts, smaller than any timestamp since 2001.
_LIMIT_TORN_STEP = 10**12


class MetricLine(NamedTuple):
    """A line of a metric's file: a point, and the words that stand behind it."""

    point: Point
    rest: List[str]


def read_meta(folder: str, name: str = META) -> Dict[str, Any]:
    """The fields of a YAML file in ``folder``.

    Raises:
        DamagedFileError: empty, torn, or no mapping.
        OSError: with ``filename`` set; FileNotFoundError if there is none.
    """
    path = os.path.join(folder, name)
    return parse_meta(read_file(path), path, _LIMIT_META_BYTES)


def read_meta_or_tell(folder: str, tell: Tell, name: str = META) -> Optional[Dict[str, Any]]:
    """The same; None, and told, if it cannot be read."""
    path = os.path.join(folder, name)
    try:
        return read_meta(folder, name)
    except DamagedFileError as error:
        tell(path, error.reason)
    except FileNotFoundError:
        tell(path, "is missing (MLflow was killed while it made the folder, or this is none of its folders)")
    except OSError as error:
        tell(path, error.strerror or error)
    return None


def iter_keys(folder: str, tell: Tell) -> Iterator[Tuple[str, str]]:
    """``(key, path)`` of each file below ``folder``, sorted: a key with slashes in it is a file in folders."""
    waiting = [(folder, "")]
    while waiting:
        path, prefix = waiting.pop()
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            tell(path, error.strerror or error)
            continue
        waiting += [
            (entry.path, prefix + entry.name + "/") for entry in reversed(found) if entry.is_dir(follow_symlinks=False)
        ]
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                yield prefix + entry.name, entry.path


def read_values(folder: str, tell: Tell) -> Values:
    """Key to the whole text of its file, below ``folder``; what cannot be read is told and left out."""
    values: Values = {}
    for key, path in iter_keys(folder, tell):
        try:
            text = read_file(path).decode("utf-8")
            values[key] = IncomingValue(text, int(os.lstat(path).st_mtime * 1000))
        except UnicodeDecodeError as error:
            tell(path, "is not UTF-8: %s" % error)
        except OSError as error:
            tell(path, error.strerror or error)
    return values


def to_texts(values: Values) -> Dict[str, str]:
    """The values without their times."""
    return {key: str(one.value) for key, one in values.items()}


def iter_metrics(folder: str, tell: Tell) -> Iterator[Metric]:
    """Each metric below ``folder`` with its points in the order of the file, duplicates among them."""
    for key, path in iter_keys(folder, tell):
        yield key, (line.point for line in iter_lines(path, tell))


def iter_lines(path: str, tell: Tell) -> Iterator[MetricLine]:
    """The lines of a metric's file. Those that cannot be read are told together, once, and left out.

    A last line without its end is left out too: MLflow writes a line in one go, so it is torn, and its last number may
    be a part of one that was longer. Memory holds one line.
    """
    bad: List[Tuple[int, str]] = []
    count = number = 0
    try:
        with open(open_regular(path), "rb") as stream:
            for number, line in enumerate(_split(stream), 1):
                try:
                    found = _parse_line(line)
                except ValueError as error:
                    count += 1
                    bad = bad or [(number, str(error))]
                    continue
                yield found
    except OSError as error:
        tell(path, error.strerror or error)
        return
    if not number:
        tell(path, "is empty: a metric without a point")
    for first, reason in bad:
        more = " (and %d lines more)" % (count - 1) if count > 1 else ""
        tell(path, "line %d %s%s" % (first, reason, more))


def _split(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        line = stream.readline(_LIMIT_LINE_BYTES)
        if not line:
            return
        if line.endswith(b"\n") or len(line) < _LIMIT_LINE_BYTES:
            yield line
            continue
        # No line of MLflow's. Its rest is passed over, and none of it is kept.
        while line and not line.endswith(b"\n"):
            line = stream.readline(_LIMIT_LINE_BYTES)
        yield b"\n"


def _parse_line(line: bytes) -> MetricLine:
    """A line as any version wrote it: ``timestamp value [step [name digest]]``. Raises ValueError: says why."""
    if not line.endswith(b"\n"):
        raise ValueError("is torn: it has no end")
    parts = line.decode("utf-8", "surrogateescape").split()
    if len(parts) < 2:
        raise ValueError("holds %d fields, not a timestamp, a value and a step" % len(parts))
    try:
        # Before MLflow 1.0 there were no steps.
        timestamp, value, step = int(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else 0
    except ValueError:
        raise ValueError("is not a timestamp, a value and a step: %.100r" % " ".join(parts)) from None
    if not 0 <= timestamp <= LIMIT_MS:
        raise ValueError("has a timestamp that is not from the years 1970 to 9999: %d" % timestamp)
    if len(parts) == 5 and step > _LIMIT_TORN_STEP and parts[4].isdecimal():
        # The end of a torn line is missing and the next one follows: its timestamp has become part of the step.
        raise ValueError("is two lines, the first of them torn: %.100r" % " ".join(parts))
    return MetricLine(Point(step, value, timestamp), parts[3:])


def to_iso(time_ms: Any) -> Optional[str]:
    """ISO 8601 of milliseconds since the epoch, to the microsecond as our own times; None for anything else."""
    if isinstance(time_ms, str) and time_ms.isdecimal():
        time_ms = int(time_ms)
    if type(time_ms) is not int or not 0 <= time_ms <= LIMIT_MS:
        return None
    return ms_to_iso(time_ms)[:-1] + "000Z"


def changed_ms(path: str) -> Optional[int]:
    """When the file ``path`` was changed last, in milliseconds since the epoch; None if it cannot be told."""
    try:
        return int(os.stat(path).st_mtime * 1000)
    except OSError:
        return None
