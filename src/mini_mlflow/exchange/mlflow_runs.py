"""One run of MLflow's file store as it comes in.

Its datasets, the models that it used and those that it made become tags (`formats.mlflow_records`). What MLflow keeps
as tags alone (the user, the script, the commit) stands in the run's metadata too, where our own readers look for it.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, Mapping, Optional

from mini_mlflow.disk.keys import check_run_id, check_text
from mini_mlflow.entities import FAILED, FINISHED, KILLED, RUNNING
from mini_mlflow.errors import InvalidKeyError, InvalidValueError
from mini_mlflow.exchange.incoming import ORIGIN, IncomingRun, IncomingValue, Metric, Values
from mini_mlflow.exchange.mlflow_files import (
    META,
    Tell,
    changed_ms,
    iter_metrics,
    read_meta_or_tell,
    read_values,
    to_iso,
)
from mini_mlflow.exchange.mlflow_tree import MlflowExperiment, find_artifacts, iter_things, read_dataset
from mini_mlflow.formats.mlflow_records import DatasetInput, ModelOutput, dump_input, dump_model_input, dump_output

_SCHEDULED = "SCHEDULED"
_STATUSES = {1: RUNNING, 2: _SCHEDULED, 3: FINISHED, 4: FAILED, 5: KILLED}
_BY_NAME = {name: name for name in _STATUSES.values()}


def read_run(run_id: str, folder: str, experiment: MlflowExperiment, tell: Tell) -> Optional[IncomingRun]:
    """The run in ``folder``; None, and told, if nothing says that it is one, or its id cannot be one here."""
    fields = read_meta_or_tell(folder, tell)
    if fields is None:
        return None
    try:
        check_run_id(run_id)
    except InvalidKeyError as error:
        tell(folder, error)
        return None
    told_id = fields.get("run_id") or fields.get("run_uuid")
    if told_id is not None and str(told_id) != run_id:
        tell(folder, "its meta.yaml is that of the run %r; it comes in under the name of its folder" % told_id)
    tags = read_values(os.path.join(folder, "tags"), tell)
    records = _read_records(folder, experiment.folder, tell)
    status = _to_status(fields.get("status"), folder, tell)
    end_time = to_iso(fields.get("end_time"))
    is_open = status in (RUNNING, _SCHEDULED)
    path = os.path.join(folder, META)
    return IncomingRun(
        run_id,
        folder,
        _find_name(fields, tags, folder, tell),
        RUNNING if is_open else status,
        to_iso(fields.get("start_time")) or to_iso(changed_ms(path)),
        None if is_open else end_time or to_iso(changed_ms(path)),
        _text_of(tags, "mlflow.parentRunId"),
        _describe_origin(fields, tags, status),
        read_values(os.path.join(folder, "params"), tell),
        {**tags, **records},
        lambda: _iter_metrics(folder, tell),
        find_artifacts(folder, fields.get("artifact_uri"), tell),
        experiment.experiment.is_deleted or str(fields.get("lifecycle_stage", "active")) == "deleted",
    )


def _iter_metrics(folder: str, tell: Tell) -> Iterator[Metric]:
    return iter_metrics(os.path.join(folder, "metrics"), tell)


def _to_status(status: Any, folder: str, tell: Tell) -> str:
    if status is None:
        return RUNNING
    found = _STATUSES.get(status) if type(status) is int else _BY_NAME.get(str(status))
    if found is None:
        tell(os.path.join(folder, META), "has the status %.80r, which MLflow does not know; taken for FAILED" % status)
    return found or FAILED


def _find_name(fields: Mapping[str, Any], tags: Values, folder: str, tell: Tell) -> Optional[str]:
    """The run's name: the field that MLflow has had since 1.30, or before that the tag; None if both are empty."""
    given = fields.get("run_name")
    name = str(given) if given not in (None, "") else _text_of(tags, "mlflow.runName") or None
    try:
        return check_text(name, "run_name")
    except InvalidValueError as error:
        tell(folder, "%s; the run comes in without a name" % error)
        return None


def _text_of(tags: Values, key: str) -> Optional[str]:
    return str(tags[key].value) if key in tags else None


def _describe_origin(fields: Mapping[str, Any], tags: Values, status: str) -> Dict[str, Any]:
    user = fields.get("user_id")
    meta: Dict[str, Any] = dict.fromkeys(ORIGIN)
    meta.update(
        user=str(user) if user not in (None, "") else _text_of(tags, "mlflow.user"),
        script=_text_of(tags, "mlflow.source.name"),
        git_commit=_text_of(tags, "mlflow.source.git.commit"),
        made_by="mlflow",
    )
    if status == _SCHEDULED:
        meta["mlflow_status"] = _SCHEDULED
    return meta


# -- datasets and models -------------------------------------------------------------------------------------------


def _read_records(folder: str, experiment_folder: str, tell: Tell) -> Values:
    """The tags that stand for what is in ``inputs`` and ``outputs``."""
    found: Dict[str, Any] = {}
    for _, path in iter_things(folder, "inputs"):
        fields = read_meta_or_tell(path, tell)
        if fields is None:
            continue
        # Not its destination, in which MLflow writes the source a second time.
        kind, source_id = fields.get("source_type"), str(fields.get("source_id"))
        if kind == "MODEL":
            key, value = dump_model_input(source_id)
            found[key] = value
        elif kind == "DATASET":
            found.update(_read_dataset_input(experiment_folder, source_id, fields.get("tags"), tell))
        else:
            tell(path, "has a source of a kind that is not known: %.80r" % (kind,))
    for model_id, path in iter_things(folder, "outputs"):
        fields = read_meta_or_tell(path, tell)
        if fields is not None:
            step = fields.get("step")
            key, value = dump_output(ModelOutput(model_id, step if type(step) is int else 0))
            found[key] = value
    return {key: IncomingValue(value) for key, value in found.items()}


def _read_dataset_input(experiment_folder: str, dataset_id: str, tags: Any, tell: Tell) -> Dict[str, Any]:
    fields = read_dataset(experiment_folder, dataset_id, tell)
    if fields is None:
        return {}
    texts = {name: None if value is None else str(value) for name, value in fields.items()}
    dataset = DatasetInput(
        texts.get("name") or "",
        texts.get("digest") or "",
        texts.get("source_type") or "",
        texts.get("source") or "",
        texts.get("schema"),
        texts.get("profile"),
        {str(key): str(value) for key, value in tags.items()} if isinstance(tags, Mapping) else {},
    )
    return dump_input(dataset)
