"""Points that come in by rows, given out by metrics, in memory that does not grow with their number.

A table of SQLite in a temporary file without a name: up to a few megabytes it stays in memory.
"""

from __future__ import annotations

import errno
from typing import Dict, Iterator, List, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.exchange.incoming import Metric

_BATCH = 10_000


class Spool:
    """The points of several runs, for the length of a ``with`` block.

    Attributes:
        spans: of each run the earliest and the latest timestamp of its points.
    """

    def __init__(self) -> None:
        import sqlite3

        self._table = sqlite3.connect("", isolation_level=None)
        for line in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE"):
            self._table.execute(line)
        # The value is text: SQLite has no NaN. The step is text: it has no integers of more than 64 bits.
        self._table.execute("CREATE TABLE points (run TEXT, key TEXT, step TEXT, value TEXT, time_ms INTEGER)")
        self._table.execute("BEGIN")
        self._waiting: List[Tuple[str, str, str, str, int]] = []
        self._is_indexed = False
        self.spans: Dict[str, Tuple[int, int]] = {}

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add(self, run: str, key: str, point: Point) -> None:
        """The point comes after those that the metric has already."""
        first, last = self.spans.get(run, (point.timestamp, point.timestamp))
        self.spans[run] = (min(first, point.timestamp), max(last, point.timestamp))
        self._waiting.append((run, key, str(point.step), repr(point.value), point.timestamp))
        if len(self._waiting) >= _BATCH:
            self._store()

    def _store(self) -> None:
        import sqlite3

        waiting, self._waiting = self._waiting, []
        try:
            self._table.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", waiting)
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, "gathering points in a temporary file: %s" % error) from error

    def metrics(self, run: str) -> Iterator[Metric]:
        """The metrics of the run, sorted by key, each with its points as they were added."""
        self._store()
        if not self._is_indexed:
            self._table.execute("CREATE INDEX by_metric ON points (run, key)")
            self._is_indexed = True
        for (key,) in self._table.execute(
            "SELECT DISTINCT key FROM points WHERE run = ? ORDER BY key", (run,)
        ).fetchall():
            yield key, self._points(run, key)

    def _points(self, run: str, key: str) -> Iterator[Point]:
        line = "SELECT step, value, time_ms FROM points WHERE run = ? AND key = ? ORDER BY rowid"
        for step, value, time_ms in self._table.execute(line, (run, key)):
            yield Point(int(step), float(value), time_ms)
