"""A run that comes in stands here, through the same commits as a run that is logged here.

A run that is new is started with nobody as its owner, filled in large commits, and ended with the time at which it
ended; a run that is here is compared, and gets what it does not have yet. So a second import adds nothing, one that
was killed is completed by the next, and a run that went on since goes on here.

Per run, one import at a time is at work in a tree: the comparing and the storing are one step for any other.

Where both sides have a value for one key, the later one counts. Points are never changed and never removed, nor is
anything that only stands here.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, Optional

from mini_mlflow.disk.layout import IMPORT_LOCK, PARAMS, TAGS, RunPaths
from mini_mlflow.entities import CRASHED, END_STATUSES, RUNNING, UNKNOWN, Point, RunAddress
from mini_mlflow.errors import DamagedFileError, ExperimentDeletedError, LockTimeout, RunEndedError
from mini_mlflow.exchange.artifact_files import LINK, NONE, find_new, measure
from mini_mlflow.exchange.filling import Filler
from mini_mlflow.exchange.incoming import IncomingRun, Values
from mini_mlflow.exchange.report import Tally
from mini_mlflow.exchange.seen_points import SeenPoints
from mini_mlflow.exchange.target import Target
from mini_mlflow.exchange.values_here import choose_new
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.history_pieces import iter_history
from mini_mlflow.reading.run_view import RunView, read_run
from mini_mlflow.writing import trash
from mini_mlflow.writing.artifacts import log_files
from mini_mlflow.writing.lifecycle import start
from mini_mlflow.writing.start_request import StartRequest
from mini_mlflow.writing.tree_lock import held

# Stands in the metadata of a run that was deleted when it came in: a kill may leave it standing.
_DELETED = "deleted"
_NAME_TAG = "mlflow.runName"
_CHANGES = ("points", "params", "tags", "artifacts", "ends")
_UNTOLD = ("new", "ends")


def store_run(target: Target, address: RunAddress, run: IncomingRun, tally: Tally, what: str = "runs") -> None:
    """All of ``run`` stands at ``address``, and what happened is counted.

    Args:
        address: where it stands already, or is to stand.
        what: the field of the report that counts it if it is new or has got something new: "runs", or of what MLflow
            keeps beside its runs, "models" or "traces".

    Raises:
        OSError: the disk refused. What was stored until then stands, and the next import goes on from there.
    """
    mine = Tally()
    try:
        if target.dry_run:
            _Storing(target, address, run, mine).store()
        else:
            with held(target.root, IMPORT_LOCK, target.settings.lock_timeout_s):
                _Storing(target, address, run, mine).store()
        _count(mine, what)
    except LockTimeout as error:
        mine.tell(run.source, "another import or writer was at work on it all the time: %s" % error)
    except (DamagedFileError, RunEndedError, ExperimentDeletedError, FileNotFoundError) as error:
        # Of ours: `verify` tells more. Or it, or its experiment, was deleted.
        mine.tell(run.source, "cannot be brought up to date here: %s" % error)
    for name in _UNTOLD:
        mine.counts.pop(name, None)
    tally.absorb(mine)


def _count(mine: Tally, what: str) -> None:
    is_new = bool(mine.counts.get("new"))
    has_changed = any(mine.counts.get(name) for name in _CHANGES)
    if what != "runs":
        # Their values are records of ours: no user has counted them as tags.
        mine.counts = {name: count for name, count in mine.counts.items() if name.startswith("artifact")}
        if is_new or has_changed:
            mine.add(what)
    elif is_new:
        mine.add("runs")
    elif has_changed:
        mine.add("updated_runs")
    else:
        mine.add("unchanged_runs")


class _Storing:
    """The storing of one run."""

    def __init__(self, target: Target, address: RunAddress, run: IncomingRun, tally: Tally) -> None:
        self._target, self._address, self._incoming, self._tally = target, address, run, tally
        self._paths = RunPaths.of(address)
        self._view: Optional[RunView] = None
        self._filler = Filler(tally)

    def store(self) -> None:
        if not os.path.lexists(self._paths.folder) and os.path.lexists(self._paths.trashed):
            if not self._incoming.is_deleted:
                self._tally.tell(self._incoming.source, "it lies in the trash here, and is left there")
            return
        self._open()
        self._fill()
        self._bring_artifacts()
        self._end()
        if self._incoming.is_deleted:
            self._delete()

    def _open(self) -> None:
        try:
            self._view = read_run(self._paths)
        except FileNotFoundError:
            self._tally.add("new")
        if self._target.dry_run:
            return
        run = self._incoming
        request = StartRequest(
            name=run.name,
            version=run.meta.get("version"),
            parent_run_id=run.parent_run_id,
            start_time=run.start_time,
            meta=dict(run.meta, imported_as=_DELETED) if run.is_deleted else run.meta,
            take_ownership=False,
            end_at_exit=False,
        )
        self._filler.run = start(self._address, request, self._target.settings)

    def _fill(self) -> None:
        run, view = self._incoming, self._view
        params = self._choose(PARAMS, run.params, {} if view is None else view.params)
        tags = self._choose(TAGS, run.tags, {} if view is None else view.tags)
        self._filler.add_values(params, tags)
        for key, points in run.metrics():
            self._fill_metric(key, points)
        self._filler.flush()
        if view is not None:
            self._rename(tags)

    def _choose(self, kind: str, values: Values, here: Dict[str, Any]) -> Dict[str, Any]:
        paths = None if self._view is None else self._paths
        return choose_new(kind, values, here, paths, self._incoming.source, self._tally)

    def _fill_metric(self, key: str, points: Iterator[Point]) -> None:
        run = self._incoming
        with SeenPoints(run.is_distinct, run.has_times) as seen:
            if self._view is not None:
                # Also what was rewound here: that it is hidden is no reason to bring it again.
                for piece in iter_history(self._paths, key, hidden=True):
                    seen.add(piece)
            for point in seen.select_new(points):
                self._filler.add_point(key, point)
            if self._view is None:
                self._tally.add("duplicates", seen.known)

    def _rename(self, new_tags: Dict[str, Any]) -> None:
        """The run has the name that it has got since in the source, which MLflow keeps in a tag too."""
        assert self._view is not None
        name, here = self._incoming.name, self._view.metadata.get("name")
        if name is not None and name != here and (here is None or new_tags.get(_NAME_TAG) == name):
            self._filler.amend({"name": name})

    def _bring_artifacts(self) -> None:
        run, target = self._incoming, self._target
        if run.artifacts is None or target.artifacts == NONE:
            return
        files = find_new(run.artifacts, self._paths.artifacts, self._tally.tell)
        if not files:
            return
        if self._filler.run is not None:
            pairs = ((file.path, file.name) for file in files)
            try:
                linked = log_files(self._filler.run, pairs, target.artifacts == LINK, measure(files), None)
            except FileNotFoundError as error:
                if os.path.lexists(self._paths.folder):
                    self._tally.tell(run.artifacts, "changed while it was read; the next import has them: %s" % error)
                    return
                raise
            self._tally.add("linked_artifacts", linked)
        self._tally.add("artifacts", len(files))
        self._tally.add("artifact_bytes", measure(files))

    def _end(self) -> None:
        """The run has ended as in the source, unless it goes on here."""
        run, here = self._incoming, {} if self._view is None else self._view.metadata
        status = here.get("status", RUNNING)
        if status == RUNNING and (self._view is None or here.get("owned") is False):
            if run.status in END_STATUSES:
                self._tally.add("ends")
                self._filler.end(run.status, run.end_time)
            elif run.status in (CRASHED, UNKNOWN):
                # Started to have an owner, and now without: that is what readers tell it by.
                self._tally.add("ends")
                self._filler.amend({"owned": None})
        elif status in END_STATUSES and run.status in END_STATUSES and _is_later(run.end_time, here.get("end_time")):
            # It was resumed there, and has ended anew.
            self._tally.add("ends")
            self._filler.amend({"status": run.status, "end_time": run.end_time})

    def _delete(self) -> None:
        """The run lies in the trash, unless it stood here before any import knew that it was deleted."""
        if self._view is not None and self._view.metadata.get("imported_as") != _DELETED:
            self._tally.tell(self._incoming.source, "it is deleted there; here it stays, as it was here before")
            return
        self._tally.add("deleted_runs")
        if not self._target.dry_run:
            trash.delete(self._address, self._target.settings)


def _is_later(time: Optional[str], other: Any) -> bool:
    time_ms, other_ms = iso_to_ms(time), iso_to_ms(other)
    return time_ms is not None and (other_ms is None or time_ms > other_ms)
