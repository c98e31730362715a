"""What a run is to be on the server: pure, of what its readers give.

The times, the status, the name and the user come as MLflow has them; what it has no field for are tags:
``mini_mlflow.run_id`` (which finds the run again), ``mini_mlflow.version``, ``.host``, ``.python``, ``.git_dirty``, and
``mini_mlflow.status`` of a run whose status MLflow does not know. A run without a name is called as its id: the server
would make a name up.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.entities import CRASHED, RUNNING, UNKNOWN
from mini_mlflow.exchange.push_report import CHANGED, SKIPPED
from mini_mlflow.exchange.push_rules import (
    DELETED_TAG,
    LIMIT_INPUT_TAG,
    LIMIT_INPUT_TAG_KEY,
    LIMIT_PARAM,
    LIMIT_TAG,
    LIMITS_DATASET,
    OWN,
    PUSHED_TAG,
    RUN_ID_TAG,
    Fitting,
    fit_name,
)
from mini_mlflow.exchange.push_source import PARENT_TAG, Artifact, Source
from mini_mlflow.formats.mlflow_records import DatasetInput, is_record, read_records
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.found_run import FoundRun

_STATUS_TAG = OWN + "status"
_NAME_TAG = "mlflow.runName"
_FIELD_TAGS = {
    "user": "mlflow.user",
    "script": "mlflow.source.name",
    "git_commit": "mlflow.source.git.commit",
    "git_dirty": OWN + "git_dirty",
    "version": OWN + "version",
    "host": OWN + "host",
    "python": OWN + "python",
}
# What the plugin writes into the metadata of runs that were started through MLflow.
_MADE_BY, _MLFLOW, _MLFLOW_USER = "made_by", "mlflow", "mlflow_user_id"
# Counted up when what is sent of a run changes: what older versions have sent is sent anew then.
_EDITION = 1


class Wanted(NamedTuple):
    """A run as the server is to have it.

    Attributes:
        name, status: as MLflow has them.
        start_ms, end_ms: milliseconds since the epoch; None where there is none.
        params, tags: key to text. The parent is not among the tags: only the server knows its id there.
        metrics: key here to key there.
        last: key here to what tells whether the metric has grown.
        datasets: those that it used.
        files: those among its artifacts.
    """

    name: str
    status: str
    start_ms: Optional[int]
    end_ms: Optional[int]
    params: Dict[str, str]
    tags: Dict[str, str]
    metrics: Dict[str, str]
    last: Dict[str, Any]
    datasets: Tuple[DatasetInput, ...]
    files: Tuple[Artifact, ...]

    def fingerprint(self) -> str:
        """Equal for two looks at a run between which nothing has changed that a server would have."""
        files = [(artifact.path, artifact.stamp) for artifact in self.files]
        told = json.dumps([_EDITION, *self._replace(files=())[:-1], files], sort_keys=True)
        import hashlib

        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def plan_run(source: Source, files: Sequence[Artifact], crashed: str, fitting: Fitting) -> Wanted:
    """The run as the server is to have it; ``fitting`` has notes of what it does not take as it is.

    Args:
        crashed: the status that a run gets there whose owner died, FAILED or RUNNING.
    """
    run = source.run
    name = run.name or run.tags.get(_NAME_TAG)
    status, end_ms = _settle_end(run, crashed, fitting)
    summaries = {key: run.metric_summary(key) for key in run.metrics}
    wanted = Wanted(
        fit_name(fitting, "run", name if isinstance(name, str) and name else run.run_id),
        status,
        iso_to_ms(run.start_time),
        end_ms,
        _fit_params(run, fitting),
        _fit_tags(run, fitting),
        fitting.keys("metric", summaries),
        summaries,
        tuple(_fit_datasets(run, fitting)),
        tuple(files),
    )
    wanted.tags[RUN_ID_TAG] = run.run_id
    if run.status in (CRASHED, UNKNOWN):
        wanted.tags[_STATUS_TAG] = run.status
    return wanted


def _settle_end(run: FoundRun, crashed: str, fitting: Fitting) -> Tuple[str, Optional[int]]:
    told = run.metadata.get("mlflow_status")
    if run.metadata.get(_MADE_BY) == _MLFLOW and run.status in (CRASHED, UNKNOWN):
        # As it is for MLflow: open until somebody ends it.
        return RUNNING, None
    if run.status == CRASHED:
        fitting.note("run", run.run_id, "its owner died, and the server has no status for that", CHANGED, crashed)
        return (crashed, _last_sign(run)) if crashed != RUNNING else (RUNNING, None)
    if run.status == UNKNOWN:
        fitting.note("run", run.run_id, "whether its owner lives cannot be told from this host", CHANGED, RUNNING)
        return RUNNING, None
    if run.status == RUNNING:
        return (told if isinstance(told, str) else RUNNING), None
    return run.status, iso_to_ms(run.end_time)


def _last_sign(run: FoundRun) -> Optional[int]:
    """When a run that crashed has last logged a point; else when it was started."""
    found = ((run.metric_summary(key) or {}).get("timestamp") for key in run.metrics)
    times = [time for time in found if isinstance(time, int)]
    started = iso_to_ms(run.start_time)
    return max(times + ([started] if started is not None else []), default=None)


def _fit_params(run: FoundRun, fitting: Fitting) -> Dict[str, str]:
    keys = fitting.keys("param", run.params)
    texts = {key: fitting.value("param", key, value, LIMIT_PARAM) for key, value in run.params.items()}
    return {keys[key]: text for key, text in texts.items() if text is not None}


def _fit_tags(run: FoundRun, fitting: Fitting) -> Dict[str, str]:
    # Our own records become what they record, and our own tags of an earlier journey say nothing of this one.
    left_out = (PARENT_TAG, _NAME_TAG, RUN_ID_TAG, PUSHED_TAG, DELETED_TAG)
    here = {key: value for key, value in run.tags.items() if not is_record(key) and key not in left_out}
    keys = fitting.keys("tag", here)
    texts = {key: fitting.value("tag", key, value, LIMIT_TAG) for key, value in here.items()}
    tags = {keys[key]: text for key, text in texts.items() if text is not None}
    # MLflow has said where its own runs come from, in tags.
    fields = {_MLFLOW_USER: "mlflow.user"} if run.metadata.get(_MADE_BY) == _MLFLOW else _FIELD_TAGS
    for field, key in fields.items():
        value = run.metadata.get(field)
        if value is not None and key not in tags:
            tags[key] = fitting.text("tag", key, str(value), LIMIT_TAG) or ""
    if "script" in fields and "mlflow.source.name" in tags:
        tags.setdefault("mlflow.source.type", "LOCAL")
    return tags


def _fit_datasets(run: FoundRun, fitting: Fitting) -> List[DatasetInput]:
    found = []
    for dataset in read_records(run.tags).dataset_inputs:
        long = [name for name, limit in LIMITS_DATASET.items() if len(getattr(dataset, name) or "") > limit]
        if long:
            problem = "its %s is longer than the server takes" % " and ".join(long)
            fitting.note("dataset", dataset.name, problem, SKIPPED)
            continue
        tags = {key: text[:LIMIT_INPUT_TAG] for key, text in dataset.tags.items() if len(key) <= LIMIT_INPUT_TAG_KEY}
        if tags != dataset.tags:
            fitting.note("dataset", dataset.name, "a tag of it is longer than the server takes", CHANGED, "cut")
        found.append(dataset._replace(tags=tags))
    return found
