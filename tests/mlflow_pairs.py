"""MLflow's SQL store beside ours, and what either says, made comparable.

Nothing here is imported where MLflow is not installed: a test that uses it skips first (`pytest.importorskip`).
"""

from __future__ import annotations

import errno
import os
import warnings
from typing import Any, Callable, Dict, List, NamedTuple

import pytest
import sqlalchemy

with warnings.catch_warnings():
    # Of MLflow, about what it uses of others.
    warnings.simplefilter("ignore")
    import mlflow
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models
    from mlflow.entities import AssessmentSource, Feedback, TraceInfo
    from mlflow.entities.trace_location import TraceLocation
    from mlflow.entities.trace_state import TraceState
    from mlflow.exceptions import MlflowException
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from faults import Step, fail
from mini_mlflow.mlflow_plugin import open_store

VERSION = tuple(map(int, mlflow.__version__.split(".")[:2]))
#: For what MLflow's SQL store could not do before, or did otherwise.
SINCE_317 = pytest.mark.skipif(VERSION < (3, 17), reason="MLflow changed since")
HUMAN = AssessmentSource(source_type="HUMAN", source_id="somebody")


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


def told_by(call: Callable[[], Any]) -> Any:
    """What the call returns; code and text of the MlflowException that it raises."""
    try:
        return call()
    except MlflowException as error:
        return error.error_code, str(error)


def code_of(call: Callable[[], Any]) -> Any:
    """What the call returns; the code of the MlflowException that it raises."""
    try:
        return call()
    except MlflowException as error:
        return error.error_code


def make_trace(number: int = 0, experiment_id: str = "0", **told: Any) -> TraceInfo:
    """What a client says of a trace."""
    known: Dict[str, Any] = {
        "trace_id": "tr-%d" % number,
        "trace_location": TraceLocation.from_experiment_id(experiment_id),
        "request_time": 1_700_000_000_000 + number,
        "state": TraceState.ERROR if number % 3 == 2 else TraceState.OK,
        "request_preview": "question %d" % number,
        "response_preview": "answer",
        "client_request_id": "request-%d" % number,
        "execution_duration": None if number == 4 else 100 - number,
        "trace_metadata": {"mlflow.sourceRun": "r%d" % (number % 2), "a/b": "1"},
        "tags": {"mlflow.traceName": "name %d" % number, "parity": str(number % 2)},
    }
    return TraceInfo(**{**known, **told})


def make_feedback(value: Any = True, trace_id: str = "tr-0", **told: Any) -> Feedback:
    known: Dict[str, Any] = {"name": "quality", "source": HUMAN, "create_time_ms": 5, "last_update_time_ms": 5}
    return Feedback(value=value, trace_id=trace_id, **{**known, **told})


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
    """A trace without what differs from one store to another."""
    tags = dict(info.tags)
    assert tags.pop("mlflow.artifactLocation").endswith("/traces/%s/artifacts" % info.trace_id)
    return {
        "trace_id": info.trace_id,
        "experiment_id": info.experiment_id,
        "request_time": info.request_time,
        "execution_duration": info.execution_duration,
        "state": info.state.value,
        "request_preview": info.request_preview,
        "response_preview": info.response_preview,
        "client_request_id": info.client_request_id,
        "trace_metadata": dict(info.trace_metadata),
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
