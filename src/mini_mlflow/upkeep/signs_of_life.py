"""When a run began and when it last did something, as far as its files tell: for a run that cannot say so itself."""

from __future__ import annotations

import os
from typing import Any, Iterator, NamedTuple, Optional

from mini_mlflow.disk.layout import METRICS, commit_number
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange, parse_commit
from mini_mlflow.formats.history import salvage_document
from mini_mlflow.formats.points import salvage_points
from mini_mlflow.formats.times import LIMIT_MS, iso_to_ms, ms_to_iso
from mini_mlflow.upkeep.run_look import RunLook


class Signs(NamedTuple):
    """ISO 8601 in UTC."""

    first: str
    last: str


def find_signs(look: RunLook) -> Signs:
    """The earliest and the latest time in the run's documents, its log and what ``meta.yaml`` says.

    Where no file tells, the time of the folder itself.
    """
    times = [time_ms for time_ms in _iter_times(look) if time_ms is not None and 0 < time_ms <= LIMIT_MS]
    if not times:
        times = [os.stat(look.paths.folder).st_mtime_ns // 1_000_000]
    return Signs(ms_to_iso(min(times)), ms_to_iso(max(times)))


def _iter_times(look: RunLook) -> Iterator[Optional[int]]:
    yield iso_to_ms(look.meta.get("start_time"))
    for (kind, key), document in look.documents.items():
        if kind != METRICS:
            yield iso_to_ms(document.timestamp)
        else:
            yield document.timestamp
            yield _first_time(look, key, document)
    for number in map(commit_number, list_folder(look.paths.log)):
        if number is not None:
            yield from _times_in_commit(look.paths.commit(number))


def _first_time(look: RunLook, key: str, document: Any) -> Optional[int]:
    sealed = document.sealed
    path = look.paths.sealed(key, *sealed[0]) if sealed else look.paths.document(METRICS, key)
    try:
        data = read_file(path)
    except OSError:
        return None
    points = salvage_points(data.partition(b"\n")[0], path) if sealed else salvage_document(data, path)
    return points[0].timestamp if points else None


def _times_in_commit(path: str) -> Iterator[Optional[int]]:
    try:
        changes = parse_commit(read_file(path), path)
    except (OSError, DamagedFileError):
        return
    for change in changes:
        yield change.timestamp if isinstance(change, MetricChange) else iso_to_ms(change.timestamp)
