"""A run is filled in large commits: a commit costs the same for one change as for thousands."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from mini_mlflow.entities import Point
from mini_mlflow.exchange.report import Tally
from mini_mlflow.writing.amending import amend
from mini_mlflow.writing.lifecycle import end
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.operations import batch_submission

#: So many points are a commit; about a megabyte of memory, and so much of a file.
_BATCH = 5_000
#: So many commits are folded at once. The log would else keep hundreds, and the writer what is in them.
_FOLD_EVERY = 4


class Filler:
    """What is new of one run, on its way to the disk.

    Attributes:
        run: the run, open; None: nothing is stored, only counted.
    """

    def __init__(self, tally: Tally) -> None:
        self.run: Optional[OpenRun] = None
        self._tally = tally
        self._points: List[Tuple[str, float, Optional[int], int]] = []
        self._params: Dict[str, Any] = {}
        self._tags: Dict[str, Any] = {}
        self._commits = 0

    def add_values(self, params: Dict[str, Any], tags: Dict[str, Any]) -> None:
        """These go with the next commit. All of them at once: a run has few, and they belong together."""
        self._tally.add("params", len(params))
        self._tally.add("tags", len(tags))
        self._params, self._tags = params, tags

    def add_point(self, key: str, point: Point) -> None:
        """It goes with the next commit, which may be this one."""
        self._points.append((key, point.value, point.step, point.timestamp))
        if len(self._points) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """All that was added is on disk. Raises as `OpenRun.submit`: nothing of this commit is stored then."""
        points, params, tags = self._points, self._params, self._tags
        if not (points or params or tags):
            return
        self._points, self._params, self._tags = [], {}, {}
        self._tally.add("points", len(points))
        if self.run is None:
            return
        submission = batch_submission(points, params, tags)
        if self.run.ended:
            amend(self.run, submission)
            return
        self.run.submit(submission)
        self._commits += 1
        if self._commits % _FOLD_EVERY == 0:
            self.run.group.run_alone(self.run.files.flush)

    def amend(self, meta: Mapping[str, Any]) -> None:
        """The run's metadata has these fields."""
        if self.run is not None:
            amend(self.run, meta=meta)

    def end(self, status: str, end_time: Optional[str]) -> None:
        """The run has ended."""
        if self.run is not None:
            end(self.run, status, end_time)
