"""`import_tree`: another tree of mini-mlflow comes in, and the two are one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.layout import (
    MODELS,
    PARAMS,
    TAGS,
    TRACES,
    TRASH,
    RunPaths,
    resolve_root,
    small_root,
    trash_folder,
)
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import DELETED, RUNNING, Experiment, RunAddress
from mini_mlflow.errors import DamagedFileError, InvalidValueError, MiniMlflowError
from mini_mlflow.exchange.artifact_files import COPY
from mini_mlflow.exchange.beside import bring_loose
from mini_mlflow.exchange.experiments_here import delete_if_empty, settle_experiment
from mini_mlflow.exchange.incoming import ORIGIN, IncomingExperiment, IncomingRun, IncomingValue, Metric, Values
from mini_mlflow.exchange.mlflow_traces import LOCATION
from mini_mlflow.exchange.report import ImportReport, Tally
from mini_mlflow.exchange.storing import store_run
from mini_mlflow.exchange.target import Progress, Target, locate_runs, make_target
from mini_mlflow.formats.documents import parse_value_document
from mini_mlflow.formats.mlflow_records import MODEL, to_fields
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.addresses import iter_addresses, list_experiment_ids
from mini_mlflow.reading.experiments import list_experiments, read_experiment
from mini_mlflow.reading.history_pieces import iter_history
from mini_mlflow.reading.run_folder import documents, read_document
from mini_mlflow.reading.run_view import RunView, read_run

# What is said of a run by where it stands, by what is passed along anyway, or for its own files alone.
_OWN_FIELDS = frozenset(
    "run_id experiment_id name status start_time end_time parent_run_id format commit owned imported_as".split()
)
_REGISTRY = "registry.db"


def import_tree(
    path: Any,
    runs_dir: Any = None,
    *,
    artifacts: str = COPY,
    dry_run: bool = False,
    progress: Optional[Progress] = None,
    fsync: Optional[str] = None,
    lock_timeout_s: Optional[float] = None,
) -> ImportReport:
    """All experiments and runs of another tree of mini-mlflow stand in this one too, with their ids.

    An experiment of the same name joins the one that is here. A run that is here already (of the same id, in the same
    experiment) gets the points that it does not have, and values that were set later; nothing else of it changes.
    Points that a rewind hides do not come along. It may be repeated at any time, also after it was killed.

    Args:
        path: the other tree.
        runs_dir, artifacts, dry_run, progress, fsync, lock_timeout_s: as for `import_mlflow`.

    Raises:
        ValueError, TypeError: a bad argument, or ``path`` is no such tree; nothing was changed.
        OSError: the disk refused. What had come in by then stands.
    """
    target = make_target(runs_dir, artifacts, dry_run, fsync, lock_timeout_s)
    source = resolve_root(path)
    target.check_apart(source)
    _check_tree(source)
    tally = Tally()
    _Merge(source, target, tally, progress).run()
    return tally.report(source, target.root, dry_run)


def _check_tree(source: str) -> None:
    if not os.path.isdir(source):
        raise InvalidValueError("%s is no folder" % source)
    numbers = list_experiment_ids(source)
    if not numbers and not exists(trash_folder(source)):
        raise InvalidValueError("%s is no tree of mini-mlflow: it has no experiment" % source)
    if any(exists(os.path.join(source, str(number), "meta.yaml")) for number in numbers):
        raise InvalidValueError("%s is a tree of MLflow's: `mini-mlflow import mlflow` takes it in" % source)


class _Source(NamedTuple):
    """A run of the other tree: its experiment there, and where it stands."""

    address: RunAddress
    is_deleted: bool

    @property
    def paths(self) -> RunPaths:
        """Of a deleted run as those of a run in a tree ``.trash``, where it lies just so."""
        root = os.path.join(self.address.root, TRASH) if self.is_deleted else self.address.root
        return RunPaths.of(self.address._replace(root=root))


def _iter_sources(root: str) -> Iterator[_Source]:
    for number in list_experiment_ids(root):
        for address in iter_addresses(root, number):
            if exists(RunPaths.of(address).meta) or exists(RunPaths.of(address).snapshot):
                yield _Source(address, False)
    trash = trash_folder(root)
    for number in list_experiment_ids(trash) if exists(trash) else ():
        for address in iter_addresses(trash, number):
            yield _Source(address._replace(root=root), True)


class _Merge:
    """One import of one tree."""

    def __init__(self, source: str, target: Target, tally: Tally, progress: Optional[Progress]) -> None:
        self._source, self._target, self._tally, self._progress = source, target, tally, progress
        self._numbers: Dict[int, int] = {}

    def run(self) -> None:
        found = list(_iter_sources(self._source))
        self._settle_experiments(found)
        for done, one in enumerate(found, 1):
            self._store(one, self._target, "runs")
            if self._progress is not None:
                self._progress(done, len(found))
        for kind in (MODELS, TRACES):
            self._store_small(kind)
        if exists(os.path.join(self._source, _REGISTRY)):
            self._tally.tell(os.path.join(self._source, _REGISTRY), "registered models of MLflow are not merged")
        self._delete_experiments()

    def _settle_experiments(self, found: List[_Source]) -> None:
        standing = locate_runs(self._target.root)
        ids: Dict[int, List[str]] = {}
        for one in found:
            ids.setdefault(one.address.experiment_id, []).append(one.address.run_id)
        self._experiments = {one.experiment_id: one for one in list_experiments(self._source)}
        for number in sorted({*self._experiments, *ids}):
            experiment = self._experiments.get(number) or Experiment(number, None, {}, None)
            folder = os.path.join(self._source, str(number))
            here = settle_experiment(
                self._target, self._to_incoming(experiment), ids.get(number, ()), standing, folder, self._tally
            )
            self._numbers[number] = here.experiment_id

    def _to_incoming(self, one: Experiment) -> IncomingExperiment:
        location = one.artifact_location
        if location is not None and location.startswith(Path(self._source).as_uri() + "/"):
            location = None
        return IncomingExperiment(
            one.experiment_id, one.name, one.tags, one.creation_time, one.last_update_time, location
        )

    def _delete_experiments(self) -> None:
        for number, one in self._experiments.items():
            here = read_experiment(self._target.root, self._numbers[number])
            if one.lifecycle_stage == DELETED and here is not None:
                delete_if_empty(self._target, here, os.path.join(self._source, str(number)), self._tally)

    def _store(self, one: _Source, target: Target, what: str) -> None:
        number = self._numbers.get(one.address.experiment_id, one.address.experiment_id)
        address = RunAddress(target.root, number, one.address.run_id)
        try:
            run = self._read(one, RunPaths.of(address), number)
        except (OSError, DamagedFileError, MiniMlflowError) as error:
            self._tally.tell(one.paths.folder, error)
            return
        store_run(target, address, run, self._tally, what)

    def _read(self, one: _Source, here: RunPaths, number: int) -> IncomingRun:
        paths = one.paths
        view = read_run(paths)
        metadata = view.metadata
        # Only where both sides have a value does it matter which is the later one.
        with_times = exists(here.folder)
        tags = _to_values(paths, TAGS, self._rebase(view.tags, one.address.experiment_id, number), with_times)
        return IncomingRun(
            one.address.run_id,
            paths.folder,
            metadata.get("name"),
            str(metadata.get("status", RUNNING)),
            metadata.get("start_time"),
            metadata.get("end_time"),
            metadata.get("parent_run_id"),
            {**dict.fromkeys(ORIGIN), **{name: metadata[name] for name in metadata if name not in _OWN_FIELDS}},
            _to_values(paths, PARAMS, view.params, with_times),
            tags,
            lambda: _iter_metrics(paths, view),
            paths.artifacts if os.path.isdir(paths.artifacts) else None,
            one.is_deleted,
            is_distinct=False,
        )

    # -- what MLflow keeps beside runs -----------------------------------------------------------------------------

    def _store_small(self, kind: str) -> None:
        source = small_root(self._source, kind)
        if not exists(source):
            return
        target = self._target._replace(root=small_root(self._target.root, kind), artifacts="none")
        for one in _iter_sources(source):
            there, here = self._place(one, kind), self._numbers.get(one.address.experiment_id)
            if here is not None and os.path.isdir(os.path.join(self._source, there)):
                place = "%d/%s" % (here, there.partition("/")[2])
                bring_loose(self._target, os.path.join(self._source, there), place, self._tally)
            self._store(one, target, kind)

    def _place(self, one: _Source, kind: str) -> str:
        return "%d/%s/%s/artifacts" % (one.address.experiment_id, kind, one.address.run_id)

    def _rebase(self, tags: Dict[str, Any], there: int, here: int) -> Dict[str, Any]:
        """The tags, where those that say where artifacts stand in the other tree say where they stand here."""
        before = Path(self._source, str(there)).as_uri() + "/"
        after = Path(self._target.root, str(here)).as_uri() + "/"
        rebased = dict(tags)
        location = tags.get(LOCATION)
        if isinstance(location, str) and location.startswith(before):
            rebased[LOCATION] = after + location[len(before) :]
        fields = to_fields(tags.get(MODEL))
        if fields is not None and str(fields.get("artifact_location")).startswith(before):
            rebased[MODEL] = dict(fields, artifact_location=after + fields["artifact_location"][len(before) :])
        return rebased


def _to_values(paths: RunPaths, kind: str, values: Dict[str, Any], with_times: bool) -> Values:
    times = dict(_read_times(paths, kind)) if with_times else {}
    return {key: IncomingValue(value, times.get(key)) for key, value in values.items()}


def _read_times(paths: RunPaths, kind: str) -> Iterator[Tuple[str, Optional[int]]]:
    for path, stem in documents(paths, kind):
        document = read_document(path, stem, parse_value_document)
        if document is not None:
            yield document.key, iso_to_ms(document.timestamp)


def _iter_metrics(paths: RunPaths, view: RunView) -> Iterator[Metric]:
    for key in view.summaries:
        yield key, (point for piece in iter_history(paths, key) for point in piece)
