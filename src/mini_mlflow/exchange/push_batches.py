"""Params, tags and points on their way: as many in one request as a server takes, and singled out if it refuses them.

A server refuses a request as a whole. So a refused one is halved until what it does not take stands alone, which is
noted in the server's words and left out; the rest arrives.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.exchange.push_report import SKIPPED
from mini_mlflow.exchange.push_rules import Fitting
from mini_mlflow.exchange.server_answers import RefusedError

PARAM, TAG, METRIC = "param", "tag", "metric"
#: How many of a kind one request may hold, and how many in all.
LIMITS = {PARAM: 100, TAG: 100, METRIC: 1000}
_LIMIT_ALL = 1000
# Servers and what stands before them refuse requests of more than a megabyte.
_LIMIT_CHARACTERS = 500_000
_POINT_CHARACTERS = 100
# What says nothing of the single items: another half would fare no better.
_OF_THE_WHOLE = frozenset(["RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "INTERNAL_ERROR", "ENDPOINT_NOT_FOUND"])


class Item(NamedTuple):
    """A param or a tag with its text, or a metric with a point."""

    kind: str
    key: str
    value: Any


class Batches:
    """What is sent of one run. Raises ServerError, and RefusedError where it is the run that is refused.

    Args:
        server: as `mlflow_server.MlflowServer`.
        run_id: of the run on the server.
        fitting: takes the notes.
        on_points: told of every so many points that have arrived.
    """

    def __init__(self, server: Any, run_id: str, fitting: Fitting, on_points: Callable[[int], None]) -> None:
        self._server, self._run_id, self._fitting, self._on_points = server, run_id, fitting, on_points
        self._items: List[Item] = []
        self._room: Dict[str, int] = {}
        self._characters = 0
        self._when_sent: List[Callable[[], None]] = []
        self.sent = {PARAM: 0, TAG: 0, METRIC: 0}
        self._refused: Dict[Tuple[str, str, str], int] = {}
        self._begin()

    def _begin(self) -> None:
        self._items, self._characters, self._when_sent = [], 0, []
        self._room = dict(LIMITS)

    def add(self, kind: str, key: str, value: Any) -> None:
        """It goes with the next request, which is sent first if it has no room."""
        size = _POINT_CHARACTERS + len(key) if kind == METRIC else len(key) + len(value)
        if not self._room[kind] or len(self._items) == _LIMIT_ALL or self._characters + size > _LIMIT_CHARACTERS:
            self.flush()
        self._items.append(Item(kind, key, value))
        self._room[kind] -= 1
        self._characters += size

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Called once everything that was added before has arrived."""
        self._when_sent.append(callback)

    def flush(self) -> None:
        """All that was added has arrived, or is noted as refused."""
        if self._items:
            self._send(self._items)
            self._on_points(sum(item.kind == METRIC for item in self._items))
        for callback in self._when_sent:
            callback()
        self._begin()

    def note_refused(self) -> None:
        """What was refused is noted: items of one key and one reason together."""
        for (kind, key, message), count in self._refused.items():
            many = "%d points: " % count if kind == METRIC else ""
            self._fitting.note(kind, key, many + "the server refused: " + message, SKIPPED)
        self._refused.clear()

    def _send(self, items: List[Item]) -> None:
        told: Dict[str, Dict[str, str]] = {PARAM: {}, TAG: {}}
        points: List[Tuple[str, Point]] = []
        for item in items:
            if item.kind == METRIC:
                points.append((item.key, item.value))
            else:
                told[item.kind][item.key] = item.value
        try:
            self._server.log_batch(self._run_id, told[PARAM], told[TAG], points)
        except RefusedError as error:
            self._halve(items, error)
            return
        for item in items:
            self.sent[item.kind] += 1

    def _halve(self, items: List[Item], error: RefusedError) -> None:
        if error.code in _OF_THE_WHOLE or not self._is_there():
            raise error
        if len(items) == 1:
            place = (items[0].kind, items[0].key, error.message)
            self._refused[place] = self._refused.get(place, 0) + 1
            return
        middle = len(items) // 2
        self._send(items[:middle])
        self._send(items[middle:])

    def _is_there(self) -> bool:
        run = self._server.get_run(self._run_id)
        return run is not None and not run.is_deleted
