"""A logged model of MLflow's file store as a run of the small tree that keeps them here.

What is no name, tag or param of it stands in tags (`formats.mlflow_records`), as the plugin for MLflow has it.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from mini_mlflow.entities import FINISHED
from mini_mlflow.exchange.incoming import IncomingRun, IncomingValue, Values
from mini_mlflow.exchange.mlflow_files import (
    META,
    Tell,
    changed_ms,
    iter_keys,
    iter_lines,
    read_meta_or_tell,
    read_values,
    to_iso,
)
from mini_mlflow.formats.mlflow_records import ModelMetric, ModelRecord, dump_metric, dump_model

_PENDING = 1


def read_model(run_id: str, folder: str, location: str, tell: Tell) -> Optional[IncomingRun]:
    """The model in ``folder``; None, and told, if nothing says that it is one.

    Args:
        run_id: its id, as it may name a run's folder here.
        location: the URI of its artifacts here.
    """
    fields = read_meta_or_tell(folder, tell)
    if fields is None:
        return None
    created = _to_int(fields.get("creation_timestamp"), 0)
    updated = _to_int(fields.get("last_updated_timestamp"), created)
    record = ModelRecord(
        location,
        created,
        updated,
        _to_int(fields.get("status"), _PENDING),
        _to_text(fields.get("status_message")),
        _to_text(fields.get("model_type")),
        _to_text(fields.get("source_run_id")),
    )
    key, value = dump_model(record)
    tags = read_values(os.path.join(folder, "tags"), tell)
    tags[key] = IncomingValue(value, changed_ms(os.path.join(folder, META)))
    return IncomingRun(
        run_id,
        folder,
        _to_text(fields.get("name")),
        FINISHED,
        to_iso(created),
        to_iso(updated) or to_iso(created),
        None,
        {"made_by": "mlflow"},
        read_values(os.path.join(folder, "params"), tell),
        {**tags, **_read_metrics(os.path.join(folder, "metrics"), tell)},
        lambda: iter(()),
        is_deleted=str(fields.get("lifecycle_stage", "active")) == "deleted",
    )


def _read_metrics(folder: str, tell: Tell) -> Values:
    """A tag for each point: ``timestamp value step [run_id [dataset_name dataset_digest]]`` is a line."""
    found: Dict[str, Any] = {}
    for key, path in iter_keys(folder, tell):
        for (step, number, timestamp), rest in iter_lines(path, tell):
            run_id = rest[0] if rest else None
            # The name of a dataset may have blanks in it.
            name, digest = (" ".join(rest[1:-1]), rest[-1]) if len(rest) > 2 else (None, None)
            tag, value = dump_metric(ModelMetric(key, number, timestamp, step, run_id, name, digest))
            found[tag] = value
    return {tag: IncomingValue(value) for tag, value in found.items()}


def _to_int(value: Any, otherwise: int) -> int:
    return value if type(value) is int else otherwise


def _to_text(value: Any) -> Optional[str]:
    return None if value is None else str(value)
