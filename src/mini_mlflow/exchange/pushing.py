"""Runs of a tree on an MLflow server: once, or again and again, each time only what is new.

::

    push("http://host:5000")                                   everything
    push("http://host:5000", filter_string="metrics.loss < 1") some of it

It may be cut short anywhere, by a kill, by a server that stops, by a connection that drops: the next push completes
what is missing and makes nothing twice. It reads the tree as a search does, without a lock and beside those who log,
and keeps its own memory and its lock in ``.mlflow/push`` (`push_state`).
"""

from __future__ import annotations

import os
from time import monotonic, sleep
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import FAILED, RUNNING, RunAddress, Settings, resolve_settings
from mini_mlflow.errors import InvalidTypeError, InvalidValueError, ServerError, show
from mini_mlflow.exchange.dry_run import DryRun
from mini_mlflow.exchange.mlflow_server import connect
from mini_mlflow.exchange.push_index import ServerIndex
from mini_mlflow.exchange.push_report import DONE, UNSENT, PushedRun, PushReport
from mini_mlflow.exchange.push_rules import hide_password
from mini_mlflow.exchange.push_run import RunPush
from mini_mlflow.exchange.push_source import Source, find_sources
from mini_mlflow.exchange.push_state import Memories, name_target, one_at_a_time
from mini_mlflow.fluent import tree_root
from mini_mlflow.reading.search import parse_query
from mini_mlflow.tracker_search import choose_experiments

#: Told how many runs are done, with a fraction for the one at work, and how many there are.
OnProgress = Callable[[float, int], None]


class Options(NamedTuple):
    """What is pushed, and how.

    Attributes:
        matches: tells whether a run is wanted; None: all are.
        experiment_ids: where to look; None: everywhere.
        deleted: those in the trash too, which are deleted there as well.
        crashed: the status that a run gets there whose owner died, FAILED or RUNNING.
        dry_run: nothing is sent.
    """

    matches: Any = None
    experiment_ids: Optional[Sequence[int]] = None
    deleted: bool = False
    crashed: str = FAILED
    dry_run: bool = False


def push(
    to: str,
    runs_dir: Any = None,
    filter_string: str = "",
    experiment_ids: Any = None,
    *,
    experiment_names: Any = None,
    deleted: bool = False,
    crashed: str = FAILED,
    dry_run: bool = False,
    on_progress: Optional[OnProgress] = None,
) -> PushReport:
    """The runs that the filter lets pass are on the server, as far as it takes them; what it does not is in the report.

    Args:
        to: the server: ``http://host:5000``, or whatever else MLflow takes for a tracking URI.
        runs_dir: the tree; None for the one of the module's functions.
        filter_string: as in `search_runs`.
        experiment_ids, experiment_names: where to look, one of the two; None for all experiments.
        deleted: with True, runs in the trash too: they are deleted on the server as well.
        crashed: the status there of runs whose owner died: "FAILED", or "RUNNING" for those that are to be resumed.
        dry_run: with True, nothing is sent or written, and the report tells what would be.
        on_progress: told how many runs are done, and of how many.

    Raises:
        MissingExtraError: (an ImportError) MLflow is not installed.
        ServerError: (a ConnectionError) nothing answers there, or it lets this client do nothing; no run was looked
            at. Once some were, it is the report that tells.
        LockTimeout: another push of this tree to that server is at work, for longer than the lock's timeout.
        InvalidFilterError, ValueError, TypeError: a bad argument; nothing was sent.
        OSError: the tree cannot be listed.
    """
    root = tree_root() if runs_dir is None else resolve_root(runs_dir)
    options = read_options(root, filter_string, experiment_ids, experiment_names, deleted, crashed, dry_run)
    if not isinstance(to, str) or not to:
        raise InvalidTypeError("to must be the address of a server, such as http://host:5000, not %s" % show(to))
    return Pusher(connect(to), root, options, resolve_settings()).push(on_progress)


def read_options(
    root: str,
    filter_string: str = "",
    experiment_ids: Any = None,
    experiment_names: Any = None,
    deleted: bool = False,
    crashed: str = FAILED,
    dry_run: bool = False,
) -> Options:
    """The arguments of `push`, checked. Raises as that does."""
    if crashed not in (FAILED, RUNNING):
        raise InvalidValueError("crashed must be 'FAILED' or 'RUNNING', not %s" % show(crashed))
    everywhere = experiment_ids is None and experiment_names is None
    chosen = choose_experiments(root, 0, experiment_ids, experiment_names, everywhere)
    return Options(parse_query(filter_string).matches, chosen, bool(deleted), crashed, bool(dry_run))


class Pusher:
    """Pushes one tree to one server, as often as it is asked to.

    Args:
        server: as `mlflow_server.MlflowServer`.
    """

    def __init__(self, server: Any, root: str, options: Options, settings: Settings) -> None:
        self._server = DryRun(server) if options.dry_run else server
        self.root, self._options, self._settings = root, options, settings
        self._index = ServerIndex(self._server, root)

    def push(
        self, on_progress: Optional[OnProgress] = None, skip: Optional[Callable[[Source], bool]] = None
    ) -> PushReport:
        """What became of all runs; those that ``skip`` names are passed over. Raises as the function `push`."""
        sources = find_sources(self.root, self._options.matches, self._options.experiment_ids, self._options.deleted)
        sources = [source for source in sources if skip is None or not skip(source)]
        target = name_target(self._server.to)
        if self._options.dry_run:
            return self._push_all(sources, Memories(self.root, target, is_kept=False), on_progress)
        with one_at_a_time(self.root, target, self._settings.lock_timeout_s) as memories:
            return self._push_all(sources, memories, on_progress)

    def _push_all(self, sources: List[Source], memories: Memories, on_progress: Optional[OnProgress]) -> PushReport:
        runs: List[PushedRun] = []
        error: Optional[str] = None
        self._index.begin(sources)
        try:
            for number, source in enumerate(sources):

                def on_part(part: float, number: int = number) -> None:
                    if on_progress is not None:
                        on_progress(number + part, len(sources))

                runs.append(RunPush(self._server, source, self._options.crashed, on_part).push(self._index, memories))
                source.run.forget_parts()
                on_part(1.0)
        except ServerError as stopped:
            error = str(stopped)
            runs += [_unsent(source) for source in sources[len(runs) :]]
        return PushReport(hide_password(self._server.to), runs, self._index.notes, error, self._options.dry_run)


def _unsent(source: Source) -> PushedRun:
    run = source.run
    return PushedRun(run.run_id, run.experiment_id, run.name, None, UNSENT)


class _Seen:
    """Ended runs that are on the server, by what their snapshots were like when they were found."""

    def __init__(self) -> None:
        self._looked: Dict[RunAddress, Any] = {}
        self._known: Dict[RunAddress, Any] = {}

    def is_known(self, source: Source) -> bool:
        address = source.run.address
        try:
            status = os.lstat(source.paths.snapshot)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino, source.is_deleted)
        except OSError:
            # Open, or ended by a version that made none.
            self._looked.pop(address, None)
            return False
        self._looked[address] = stamp
        return self._known.get(address) == stamp

    def add(self, root: str, report: PushReport) -> None:
        for run in report.runs:
            address = RunAddress(root, run.experiment_id, run.run_id)
            if run.outcome in DONE and address in self._looked:
                self._known[address] = self._looked[address]


def keep_pushing(
    pusher: Pusher,
    interval_s: float,
    for_s: Optional[float] = None,
    on_progress: Optional[OnProgress] = None,
) -> Iterator[PushReport]:
    """A report a push, ``interval_s`` seconds after the end of the last; for ever, or until ``for_s`` have passed.

    A run that has ended and is on the server is not looked at again in this loop, unless it is resumed or changed.
    Between two pushes the lock is free, and another push may have its turn.
    """
    deadline = None if for_s is None else monotonic() + for_s
    seen = _Seen()
    while True:
        report = pusher.push(on_progress, seen.is_known)
        seen.add(pusher.root, report)
        yield report
        left_s = interval_s if deadline is None else min(interval_s, deadline - monotonic())
        if left_s <= 0.0:
            return
        sleep(left_s)
