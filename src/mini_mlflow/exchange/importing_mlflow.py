"""`import_mlflow`: a tree of MLflow's file store, of any version from 1.x to 3.x, comes in."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import RunAddress
from mini_mlflow.exchange.artifact_files import COPY
from mini_mlflow.exchange.experiments_here import delete_if_empty, settle_experiment
from mini_mlflow.exchange.mlflow_beside import BesideRuns
from mini_mlflow.exchange.mlflow_files import read_meta_or_tell
from mini_mlflow.exchange.mlflow_runs import read_run
from mini_mlflow.exchange.mlflow_tree import (
    MlflowExperiment,
    check_tree,
    iter_run_folders,
    list_experiments,
    to_local_path,
)
from mini_mlflow.exchange.report import ImportReport, Tally
from mini_mlflow.exchange.storing import store_run
from mini_mlflow.exchange.target import Progress, Target, locate_runs, make_target

#: Run id and folder.
RunFolder = Tuple[str, str]


def import_mlflow(
    path: Any,
    runs_dir: Any = None,
    *,
    artifacts: str = COPY,
    dry_run: bool = False,
    progress: Optional[Progress] = None,
    fsync: Optional[str] = None,
    lock_timeout_s: Optional[float] = None,
) -> ImportReport:
    """All experiments and runs of a tree of MLflow's file store stand in a tree of ours; MLflow is not needed for it.

    Ids, names, statuses, times, params, tags, all points, nesting, datasets, logged models, traces and artifacts come
    along; what is deleted there lies in the trash here. Numbers of experiments are kept where they are free. Points
    that MLflow has written twice come once. What cannot be read is in the report, and everything else comes in.

    It may be repeated at any time, also after it was killed, and beside another import: only what is new is added.

    Args:
        path: the folder that ``mlflow.set_tracking_uri`` was given; a ``file:`` URI is taken too.
        runs_dir: the tree; None: that of `start_run`. Not ``path`` itself: both keep their runs in the same places.
        artifacts: "copy"; "link": by hard links where the file system can do that, so that they take no space, and
            whoever writes into such a file changes it in both trees; "none": they stay where they are.
        dry_run: nothing is changed; the report says what would be.
        progress: called as ``progress(done, total)``, in runs.
        fsync, lock_timeout_s: as for `Run`.

    Raises:
        ValueError, TypeError: a bad argument, or ``path`` is no such tree; nothing was changed.
        OSError: the disk refused. What had come in by then stands, and the next import goes on from there.
    """
    target = make_target(runs_dir, artifacts, dry_run, fsync, lock_timeout_s)
    source = resolve_root(path)
    if isinstance(path, str) and path.startswith("file:"):
        source = resolve_root(to_local_path(path) or path)
    target.check_apart(source)
    check_tree(source)
    tally = Tally()
    _Import(source, target, tally, progress).run()
    return tally.report(source, target.root, dry_run)


class _Import:
    """One import of one tree."""

    def __init__(self, source: str, target: Target, tally: Tally, progress: Optional[Progress]) -> None:
        self._source, self._target, self._tally, self._progress = source, target, tally, progress
        self._standing = locate_runs(target.root)
        self._beside = BesideRuns(target, tally)
        self._done = 0
        self._total = 0

    def run(self) -> None:
        experiments = list_experiments(self._source, self._tally.tell)
        folders = [list(iter_run_folders(experiment.folder)) for experiment in experiments]
        self._total = sum(map(len, folders))
        copies = set(_find_copies(experiments, folders))
        for experiment, found in zip(experiments, folders):
            for run_id, folder in found:
                if folder in copies:
                    self._tally.tell(folder, "is a copy: the run %s stands in another experiment too" % run_id)
            self._take_in(experiment, [one for one in found if one[1] not in copies])

    def _take_in(self, experiment: MlflowExperiment, found: List[RunFolder]) -> None:
        run_ids = [run_id for run_id, _ in found]
        here = settle_experiment(
            self._target, experiment.experiment, run_ids, self._standing, experiment.folder, self._tally
        )
        if experiment.experiment.number is None:
            self._tally.tell(experiment.folder, "its id is no number: it is experiment %d here" % here.experiment_id)
        for run_id, folder in found:
            run = read_run(run_id, folder, experiment, self._tally.tell)
            if run is not None:
                known = self._standing.get(run_id)
                address = RunAddress(self._target.root, here.experiment_id, run_id) if known is None else known.address
                store_run(self._target, address, run, self._tally)
            self._step()
        self._beside.store(experiment.folder, here.experiment_id)
        if experiment.experiment.is_deleted:
            # Last: nothing can be started in it from then on.
            delete_if_empty(self._target, here, experiment.folder, self._tally)

    def _step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _find_copies(experiments: List[MlflowExperiment], folders: List[List[RunFolder]]) -> Iterator[str]:
    """The folders of runs whose id stands in several experiments, but for the one in its own experiment of each."""
    places: Dict[str, List[Tuple[MlflowExperiment, str]]] = {}
    for experiment, found in zip(experiments, folders):
        for run_id, folder in found:
            places.setdefault(run_id, []).append((experiment, folder))
    for several in places.values():
        if len(several) > 1:
            kept = next((folder for one, folder in several if _is_at_home(one, folder)), several[0][1])
            yield from (folder for _, folder in several if folder != kept)


def _is_at_home(experiment: MlflowExperiment, folder: str) -> bool:
    fields = read_meta_or_tell(folder, lambda *_: None) or {}
    return str(fields.get("experiment_id")) == experiment.folder_id
