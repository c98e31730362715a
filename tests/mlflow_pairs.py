"""MLflow's SQL store beside ours, and what either says, made comparable.

Nothing here is imported where MLflow is not installed: a test that uses it skips first (`pytest.importorskip`).
"""

from __future__ import annotations

import errno
import os
import warnings
from typing import Any, Callable, Dict, List, NamedTuple

import sqlalchemy

with warnings.catch_warnings():
    # Of MLflow, about what it uses of others.
    warnings.simplefilter("ignore")
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models  # noqa: F401 - both, so that all tables are known
    from mlflow.exceptions import MlflowException
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from faults import Step, fail
from mini_mlflow.mlflow_plugin import open_store


class Stores(NamedTuple):
    """Ours, and MLflow's own, each in a folder of its own."""

    ours: Any
    sql: Any


def open_stores(folder: Any) -> Stores:
    """Both stores, empty, below ``folder``."""
    path = os.path.join(str(folder), "mlflow.db")
    make_tables(path)
    sql = SqlAlchemyStore("sqlite:///" + path, "file://" + os.path.join(str(folder), "artifacts"))
    return Stores(open_store(os.path.join(str(folder), "mlruns")), sql)


def make_tables(path: str) -> None:
    """MLflow's database at ``path``, empty: what it would make itself in the five seconds of its 70 migrations."""
    for table in Base.metadata.tables.values():
        # SQLAlchemy 2.1 leaves MLflow's indexes on columns of another class without any.
        table.indexes = {index for index in table.indexes if len(index.expressions)}
    engine = sqlalchemy.create_engine("sqlite:///" + path)
    for table in Base.metadata.tables.values():
        _make_referable(table)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        revision = {"revision": _get_latest_schema_revision()}
        connection.execute(sqlalchemy.text("INSERT INTO alembic_version VALUES (:revision)"), revision)
    engine.dispose()


def _make_referable(table: Any) -> None:
    # What other tables refer to must be unique, which MLflow's migrations see to and its classes do not say.
    for constraint in table.foreign_key_constraints:
        columns = [element.column for element in constraint.elements]
        target = columns[0].table
        if {column.name for column in target.primary_key} != {column.name for column in columns}:
            sqlalchemy.UniqueConstraint(*columns)


def full(step: Step) -> Any:
    """On a full disk, what takes space fails; reading, renaming and removing go on."""
    takes_space = step.name in ("write", "mkdir", "makedirs") or (
        step.name == "open" and bool(step.arguments[1] & os.O_CREAT)
    )
    return fail(errno.ENOSPC)(step) if takes_space else step.carry_out()


class Ids:
    """Ids that a store draws, replaced by the order in which they are met: ``m-0``, ``m-1``, …"""

    def __init__(self) -> None:
        self._known: Dict[str, Dict[str, str]] = {}

    def tame(self, kind: str, drawn: Any) -> Any:
        known = self._known.setdefault(kind, {})
        return None if drawn is None else known.setdefault(drawn, "%s-%d" % (kind, len(known)))


def code_of(call: Callable[[], Any]) -> Any:
    """What the call returns; the code of the MlflowException that it raises."""
    try:
        return call()
    except MlflowException as error:
        return error.error_code


def show_model(model: Any, ids: Ids) -> Dict[str, Any]:
    """A logged model without what differs from one store to another."""
    shown = model.to_dictionary()
    model_id = ids.tame("m", shown["model_id"])
    location = shown["artifact_location"].rsplit("/", 3)[1:]
    assert location == ["models", shown["model_id"], "artifacts"]
    created, updated = shown.pop("creation_timestamp"), shown.pop("last_updated_timestamp")
    assert 0 < created <= updated
    shown.update(model_id=model_id, artifact_location=None, source_run_id=ids.tame("run", shown["source_run_id"]))
    shown["metrics"] = sorted((show_metric(metric, ids) for metric in model.metrics or []), key=repr)
    return shown


def show_metric(metric: Any, ids: Ids) -> Dict[str, Any]:
    """A metric of a logged model, the same way."""
    shown = dict(metric)
    shown.update(model_id=ids.tame("m", metric.model_id), run_id=ids.tame("run", metric.run_id))
    return shown


def show_trace(info: Any) -> Dict[str, Any]:
    """A trace without what differs from one store to another, and without what MLflow's SQL store adds for itself."""
    tags = dict(info.tags)
    assert tags.pop("mlflow.artifactLocation").endswith("/traces/%s/artifacts" % info.trace_id)
    metadata = {key: value for key, value in info.trace_metadata.items() if key != "mlflow.trace.infoFinalized"}
    return {
        "trace_id": info.trace_id,
        "experiment_id": info.experiment_id,
        "request_time": info.request_time,
        "execution_duration": info.execution_duration,
        "state": info.state.value,
        "request_preview": info.request_preview,
        "response_preview": info.response_preview,
        "client_request_id": info.client_request_id,
        "trace_metadata": metadata,
        "tags": tags,
        "assessments": [show_assessment(one) for one in info.assessments],
    }


def show_assessment(assessment: Any, ids: Any = None) -> Dict[str, Any]:
    """An assessment, the same way; with ``ids``, its own and that of the one that it overrides are tamed."""
    told: List[str] = "name trace_id run_id rationale metadata span_id create_time_ms valid value".split()
    shown = {name: getattr(assessment, name) for name in told}
    shown.update(kind=type(assessment).__name__, source=assessment.source, error=getattr(assessment, "error", None))
    if ids is not None:
        shown["assessment_id"] = ids.tame("a", assessment.assessment_id)
        shown["overrides"] = ids.tame("a", assessment.overrides)
    return shown
