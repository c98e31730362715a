"""`import_tensorboard`: event files of TensorBoard come in, each folder with such files as a run.

They are read by the tensorboard package itself, one event after the other: its reader is what follows the format
(records with checksums, summaries as old and new writers put them), it needs no TensorFlow, and it does not thin the
points out as what stands on it does (`tbparse`, TensorBoard's own page). tbparse needs it too, and pandas besides.
"""

from __future__ import annotations

import collections
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import FAILED, FINISHED, Point, RunAddress
from mini_mlflow.errors import InvalidValueError, MissingExtraError
from mini_mlflow.exchange.importing_csv import name_run, settle_named
from mini_mlflow.exchange.incoming import IncomingRun, IncomingValue
from mini_mlflow.exchange.mlflow_files import Tell, to_iso
from mini_mlflow.exchange.report import ImportReport, Tally
from mini_mlflow.exchange.spool import Spool
from mini_mlflow.exchange.storing import store_run
from mini_mlflow.exchange.target import Progress, locate_runs, make_target
from mini_mlflow.formats.times import LIMIT_MS

_MARK = "tfevents"
_SCALARS, _HPARAMS = "scalars", "hparams"
_SESSION_START, _SESSION_END = "_hparams_/session_start_info", "_hparams_/session_end_info"


def import_tensorboard(
    path: Any,
    runs_dir: Any = None,
    *,
    experiment: Optional[str] = None,
    dry_run: bool = False,
    progress: Optional[Progress] = None,
    fsync: Optional[str] = None,
    lock_timeout_s: Optional[float] = None,
) -> ImportReport:
    """Each folder with event files is a run: its scalars are metrics, all points of them, its hyperparameters params.

    Repeated, it adds what was written since. Images, histograms, texts and graphs stay where they are, and the report
    says how many.

    Args:
        path: a folder, of which all folders below are looked at, as ``tensorboard --logdir`` does.
        runs_dir: the tree; None: that of `start_run`.
        experiment: the name of the experiment, which is made if there is none; None: experiment 0.
        dry_run, progress, fsync, lock_timeout_s: as for `import_mlflow`.

    Raises:
        MissingExtraError: the tensorboard package is not installed.
        ValueError, TypeError: a bad argument, or there are no event files; nothing was changed.
        OSError: the disk refused. What had come in by then stands.
    """
    load = _find_loader()
    target = make_target(runs_dir, "none", dry_run, fsync, lock_timeout_s)
    source = resolve_root(path)
    folders = _find_folders(source)
    tally = Tally()
    standing = locate_runs(target.root)
    number = settle_named(target, experiment, standing, tally)
    for done, (folder, files) in enumerate(folders, 1):
        with Spool() as spool:
            run = _read_run(source, folder, files, load, spool, tally.tell)
            known = standing.get(run.run_id)
            address = RunAddress(target.root, number, run.run_id) if known is None else known.address
            store_run(target, address, run, tally)
        if progress is not None:
            progress(done, len(folders))
    return tally.report(source, target.root, dry_run)


class _Reader(NamedTuple):
    """What is used of the tensorboard package."""

    events: Any
    to_array: Any
    parse_hparams: Any


def _find_loader() -> _Reader:
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise MissingExtraError.of(
            "import tensorboard", "the tensorboard package", "tensorboard", "tensorboard"
        ) from None
    return _Reader(EventFileLoader, make_ndarray, HParamsPluginData.FromString)


def _find_folders(source: str) -> List[Tuple[str, List[str]]]:
    """Each folder with event files, and these in the order in which they were begun, which their names say."""
    if os.path.isfile(source):
        return [(os.path.dirname(source), [source])]
    found = []
    for folder, below, names in os.walk(source):
        below.sort()
        files = sorted(name for name in names if _MARK in name)
        if files:
            found.append((folder, [os.path.join(folder, name) for name in files]))
    if not found:
        raise InvalidValueError("%s has no event files (events.out.tfevents.…) in it" % source)
    return found


def _read_run(source: str, folder: str, files: List[str], reader: _Reader, spool: Spool, tell: Tell) -> IncomingRun:
    gathered = _Gathered(reader, spool)
    for path in files:
        gathered.read(path, tell)
    for kind, count in sorted(gathered.others.items()):
        tell(folder, "%d summaries of %s stay where they are" % (count, kind))
    first, last = gathered.span or (0, 0)
    label = os.path.relpath(folder, source)
    return IncomingRun(
        # Not by the path: a folder of runs is moved, and looked at from above and from below.
        name_run("tensorboard", os.path.basename(folder), os.path.basename(files[0])),
        folder,
        os.path.basename(folder) if label == "." else label.replace(os.sep, "/"),
        FAILED if gathered.has_failed else FINISHED,
        to_iso(first),
        to_iso(last),
        None,
        {"script": None, "pid": None, "host": None, "python": None, "git_commit": None, "git_dirty": None},
        {key: IncomingValue(value, last) for key, value in gathered.params.items()},
        {},
        lambda: spool.metrics(""),
    )


class _Gathered:
    """What the event files of one run hold."""

    def __init__(self, reader: _Reader, spool: Spool) -> None:
        self._reader, self._spool = reader, spool
        self._kinds: Dict[str, str] = {}
        self.params: Dict[str, Any] = {}
        self.others: Dict[str, int] = collections.Counter()
        self.has_failed = False
        self.span: Optional[Tuple[int, int]] = None

    def read(self, path: str, tell: Tell) -> None:
        """All of a file is gathered, up to where it is torn."""
        try:
            for event in self._reader.events(path).Load():
                time_ms = max(0, min(LIMIT_MS, round(event.wall_time * 1000)))
                first, last = self.span or (time_ms, time_ms)
                self.span = (min(first, time_ms), max(last, time_ms))
                for value in event.summary.value:
                    self._take(value, event.step, time_ms)
        except Exception as error:  # noqa: BLE001 - whatever another package's reader makes of a damaged file
            tell(path, "cannot be read any further: %s" % (error or type(error).__name__))

    def _take(self, value: Any, step: int, time_ms: int) -> None:
        # Only the first summary of a tag says what it is.
        kind = value.metadata.plugin_data.plugin_name or self._kinds.get(value.tag, "")
        self._kinds[value.tag] = kind
        if kind == _HPARAMS:
            self._take_session(value)
        elif value.HasField("simple_value"):
            self._spool.add("", value.tag, Point(step, float(value.simple_value), time_ms))
        elif kind == _SCALARS and value.HasField("tensor"):
            for number in self._numbers(value.tensor):
                self._spool.add("", value.tag, Point(step, number, time_ms))
        else:
            self.others[kind or "an unknown kind"] += 1

    def _numbers(self, tensor: Any) -> Iterator[float]:
        array = self._reader.to_array(tensor)
        if array.size == 1 and array.dtype.kind in "fiub":
            yield float(array.item())

    def _take_session(self, value: Any) -> None:
        data = self._reader.parse_hparams(value.metadata.plugin_data.content)
        if value.tag == _SESSION_START:
            for key, told in data.session_start_info.hparams.items():
                self.params[key] = getattr(told, told.WhichOneof("kind")) if told.WhichOneof("kind") else None
        elif value.tag == _SESSION_END:
            # 2 is STATUS_FAILURE of the plugin's api.proto.
            self.has_failed = data.session_end_info.status == 2
