"""Which points of a metric are there already, however many there are.

A set of what fits into some ten megabytes, then a table of SQLite in a temporary file that has no name: a metric of a
hundred million points is compared in the memory of a hundred thousand.
"""

from __future__ import annotations

import errno
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from mini_mlflow.entities import Point

_LIMIT_IN_MEMORY = 100_000
_BATCH = 1_000


class SeenPoints:
    """The points of one metric that stand here.

    Args:
        distinct: equal points are one point; False: each stands for itself.
        has_times: False: the timestamp is no part of a point.

    Attributes:
        known: how many points have come in that stood here.
    """

    def __init__(self, distinct: bool = True, has_times: bool = True) -> None:
        self._distinct = distinct
        self._has_times = has_times
        self._counts: Dict[bytes, int] = {}
        self._table: Any = None
        self._waiting: List[Tuple[bytes, int]] = []
        # Beyond it there is no point: what comes in order need not be looked up.
        self._highest_step: Optional[int] = None
        self.known = 0

    def __enter__(self) -> SeenPoints:
        return self

    def __exit__(self, *_: object) -> None:
        if self._table is not None:
            self._table.close()

    def add(self, points: Iterable[Point]) -> None:
        """These stand here."""
        for point in points:
            self._is_beyond(point.step)
            self._change(self._identify(point), 1)

    def select_new(self, points: Iterable[Point]) -> Iterator[Point]:
        """Of the points that come in, those that do not stand here yet, in their order."""
        for point in points:
            identity = self._identify(point)
            if self._is_beyond(point.step) or not self._count(identity):
                if self._distinct:
                    self._change(identity, 1)
                yield point
                continue
            self.known += 1
            if not self._distinct:
                self._change(identity, -1)

    def _is_beyond(self, step: int) -> bool:
        """Whether the step is higher than all before; it counts as one of them from now on."""
        if self._highest_step is None or step > self._highest_step:
            self._highest_step = step
            return True
        return False

    def _identify(self, point: Point) -> bytes:
        return b"%d %r %d" % (point.step, point.value, point.timestamp if self._has_times else 0)

    def _count(self, identity: bytes) -> int:
        if self._table is None:
            return self._counts.get(identity, 0)
        self._store_waiting()
        found = self._table.execute("SELECT count FROM seen WHERE point = ?", (identity,)).fetchone()
        return int(found[0]) if found else 0

    def _change(self, identity: bytes, by: int) -> None:
        if self._table is None:
            self._counts[identity] = self._counts.get(identity, 0) + by
            if len(self._counts) > _LIMIT_IN_MEMORY:
                self._spill()
        else:
            self._waiting.append((identity, by))
            if len(self._waiting) >= _BATCH:
                self._store_waiting()

    def _spill(self) -> None:
        import sqlite3  # for long histories only

        # "" is a file in the system's folder for temporary files, without a name, gone with the connection.
        table = sqlite3.connect("", isolation_level=None)
        for line in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE"):
            table.execute(line)
        table.execute("CREATE TABLE seen (point BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID")
        table.execute("BEGIN")
        self._table = table
        self._store(self._counts.items())
        self._counts = {}

    def _store_waiting(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._store(waiting)

    def _store(self, counts: Iterable[Any]) -> None:
        import sqlite3

        # Not ON CONFLICT DO UPDATE, which SQLite has since 3.24 and Python 3.7 need not have.
        line = "INSERT OR REPLACE INTO seen VALUES (?, ? + coalesce((SELECT count FROM seen WHERE point = ?), 0))"
        try:
            self._table.executemany(line, ((point, count, point) for point, count in counts))
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, "comparing the points of a long metric: %s" % error) from error
