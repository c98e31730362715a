"""What a reader finds of the run after a power cut: where it is, and all that it holds."""

from __future__ import annotations

import os
import warnings
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow import DamagedFileError, DamagedFileWarning, ExperimentTracker, RunNotFoundError
from mini_mlflow.disk.keys import unquote_name
from mini_mlflow.disk.layout import METRICS, RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_folder import documents, list_log, read_log
from mini_mlflow.reading.run_view import read_run
from stress.power.diary import IN_TRASH, KEPT, NAMES, RUN_ID, STANDS

#: In the place of a file that is not there.
NOTHING = "nothing"

History = List[Tuple[int, float]]
#: Number to name and stage.
Experiments = Dict[str, Tuple[Optional[str], str]]


class Found(NamedTuple):
    """A run as a reader sees it; histories are (step, value), those in ``logged`` with the points that are hidden;
    artifacts are the text of a file or of a folder's files."""

    run: Dict[str, Any]
    histories: Dict[str, History]
    logged: Dict[str, History]
    artifacts: Dict[str, str] = {}
    place: str = STANDS
    experiments: Experiments = {}


def read(root: str) -> Optional[Found]:
    """The run as it stands; None if there is no readable one. Damage is warned of only."""
    tracker = ExperimentTracker(runs_dir=root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedFileWarning)
        experiments = _read_experiments(tracker)
        listed = tracker.list_runs()
        deleted = [one.run_id for one in tracker.list_deleted_runs(0)]
        try:
            run = tracker.get_run(RUN_ID)
        except (RunNotFoundError, DamagedFileError):
            assert listed == [], "a run is listed that cannot be read"
            found = _read_deleted(root) if deleted else None
            return None if found is None else found._replace(experiments=experiments)
        assert listed == [RUN_ID], "a run is not listed that can be read"
        assert deleted == [], "a run is in two places"
        keys = sorted({*run["metrics"], *_list_metrics(root)})
        histories, logged = ({key: _read_history(tracker, key, hidden) for key in keys} for hidden in (False, True))
        artifacts = dict(_read_artifacts(tracker))
    return Found(
        run, {key: points for key, points in histories.items() if points}, logged, artifacts, experiments=experiments
    )


def _read_experiments(tracker: ExperimentTracker) -> Experiments:
    found: Experiments = {}
    for one in tracker.search_experiments(lifecycle_stage="all")[1:]:
        number = one.experiment_id
        found[str(number)] = (one.name, one.lifecycle_stage)
        deleted = [run.run_id for run in tracker.list_deleted_runs(number)]
        assert not set(deleted) & set(tracker.list_runs(number)), "a run of an experiment is in two places"
        assert one.lifecycle_stage == "active" or not tracker.list_runs(number), "a deleted experiment has runs"
    return found


def _read_history(tracker: ExperimentTracker, key: str, hidden: bool) -> History:
    return [(point.step, point.value) for point in tracker.get_metric_history(RUN_ID, key, hidden=hidden)]


def _list_metrics(root: str) -> Iterator[str]:
    """The keys of metrics, also of those that no reader shows since all of their points are hidden."""
    paths = RunPaths.of(RunAddress(root, 0, RUN_ID))
    for _, changes in read_log(paths, list_log(paths)):
        yield from (change.key for change in changes if isinstance(change, MetricChange))
    for _, stem in documents(paths, METRICS):
        yield unquote_name(stem) or stem


def _read_artifacts(tracker: ExperimentTracker) -> Iterator[Tuple[str, str]]:
    for info in tracker.list_artifacts(RUN_ID):
        path = tracker.artifact_path(RUN_ID, info.path)
        if not info.is_dir:
            yield info.path, _read_text(path)
            continue
        texts = {_read_text(os.path.join(path, name)) for name in NAMES}
        if texts != {NOTHING}:
            yield info.path, " and ".join(sorted(texts))
        if os.path.exists(os.path.join(path, KEPT)):
            yield f"{info.path}/{KEPT}", _read_text(os.path.join(path, KEPT))


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return NOTHING


def _read_deleted(root: str) -> Optional[Found]:
    paths = RunPaths.in_trash(RunAddress(root, 0, RUN_ID))
    try:
        run = read_run(paths)._asdict()
    except (FileNotFoundError, DamagedFileError):
        return None
    found = {key: read_history(paths, key) for key in run["metrics"]}
    shown = {key: [(point.step, point.value) for point in history.shown] for key, history in found.items()}
    logged = {key: [(point.step, point.value) for point in history.stored] for key, history in found.items()}
    return Found(run, shown, logged, {}, IN_TRASH)
