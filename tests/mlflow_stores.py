"""Two MLflow stores side by side, ours and MLflow's SQL store on a fresh SQLite file, and what a scenario saw of each.

A scenario is a function of a `Witness`: it calls the store and notes what came back, errors too. What the two have to
differ in (ids, paths, times of now) is told apart by the order in which it came up, so what is left must be equal.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Tuple

from mlflow.entities import Experiment, Metric, Run, RunInfo, RunTag, ViewType
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException

from mini_mlflow.mlflow_plugin import open_store

#: MLflow's database has no infinities; it keeps these instead.
LARGEST = 1.7976931348623157e308
NOW_MS = 1_700_000_000_000
#: The words of MLflow's file store, which stand in our messages after those of its SQL store.
_FILE_STORES_WORDS = re.compile(
    r" \((?:Run|Model|Experiment|The (?:run|experiment)|Could not (?:find|create)|Cannot rename|Invalid) [^()]*\)$"
)


def sql_words(message: str) -> str:
    """The message without what it says in the words of the file store, which `test_mlflow_like_stores` is about."""
    return _FILE_STORES_WORDS.sub("", message)


@functools.lru_cache(maxsize=1)
def _template() -> str:
    # Its 71 migrations take seconds; a copy of the file takes none.
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tempfile.mkdtemp(prefix="mlflow-template-")
    path = os.path.join(folder, "mlflow.db")
    SqlAlchemyStore("sqlite:///" + path, folder)
    return path


def copy_database(folder: str) -> str:
    """The path of a database of MLflow's in the folder, which is made, with nothing in it."""
    os.makedirs(folder, exist_ok=True)
    return str(shutil.copy(_template(), os.path.join(folder, "mlflow.db")))


def open_sql_store(folder: str) -> Any:
    """MLflow's SQL store on a fresh file in the folder."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = copy_database(folder)
    return SqlAlchemyStore("sqlite:///" + path, "file://" + os.path.join(folder, "artifacts"))


class Witness:
    """A store, and what a scenario noted of it.

    Attributes:
        store: the store.
        notes: name and normalized value of each note, in order.
    """

    def __init__(self, store: Any, artifact_root: str) -> None:
        self.store = store
        self.notes: List[Tuple[str, Any]] = []
        self._names: Dict[str, str] = {}
        self._artifact_root = artifact_root

    def name(self, thing: str, name: str) -> str:
        """``thing``, an id, which is called ``name`` in the notes from now on."""
        self._names[thing] = name
        return thing

    def note(self, name: str, value: Any) -> None:
        """The value as both stores must have it."""
        self.notes.append((name, self._plain(value)))

    def refused(self, name: str, call: Callable[[], Any], text: bool = True) -> None:
        """The code of the MlflowException that the call raises, and its text unless that is the database's own."""
        try:
            value = call()
        except MlflowException as error:
            self.note(name, (error.error_code, sql_words(str(error)) if text else ""))
        else:
            self.note(name, ("passed", value))

    # -- short forms of what scenarios do all the time ---------------------------------------------------------

    def experiment(self, name: str, **kwargs: Any) -> str:
        found = self.store.create_experiment(name, kwargs.get("artifact_location"), kwargs.get("tags"))
        return self.name(found, "<%s>" % name)

    def run(self, experiment_id: str, name: str, start_time: int = NOW_MS, **tags: str) -> str:
        given = [RunTag(key, value) for key, value in tags.items()]
        run = self.store.create_run(experiment_id, "somebody", start_time, given, name)
        return self.name(run.info.run_id, "<%s>" % name)

    def search(self, experiment_ids: List[str], filter_string: str = "", **kwargs: Any) -> List[str]:
        """The names of the runs that are found."""
        found = self.store.search_runs(
            experiment_ids,
            filter_string,
            kwargs.pop("view", ViewType.ACTIVE_ONLY),
            kwargs.pop("max_results", 1000),
            kwargs.pop("order_by", None),
            kwargs.pop("page_token", None),
        )
        return [self._names[run.info.run_id] for run in found]

    # -- what is equal in both ---------------------------------------------------------------------------------

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Run):
            return self._plain(
                {
                    "info": value.info,
                    "metrics": sorted(value.data._metric_objs, key=lambda metric: metric.key),
                    "params": dict(value.data.params),
                    "tags": dict(value.data.tags),
                    "inputs": sorted(map(_plain_input, value.inputs.dataset_inputs)),
                }
            )
        if isinstance(value, (RunInfo, Experiment)):
            return self._plain({name: field for name, field in value if not name.startswith("workspace")})
        if isinstance(value, Metric):
            return self._plain((value.key, value.value, value.step, value.timestamp))
        if isinstance(value, MetricWithRunId):
            return self._plain((value.run_id, value.key, value.value, value.step, value.timestamp))
        if isinstance(value, dict):
            return {self._plain(key): self._plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(item) for item in value]
        if isinstance(value, float):
            return {LARGEST: "inf", -LARGEST: "-inf"}.get(value, repr(value))
        return self._without_ids(value) if isinstance(value, str) else value

    def _without_ids(self, text: str) -> str:
        text = text.replace(self._artifact_root, "<artifacts>")
        if text in self._names:
            return self._names[text]
        for thing, name in self._names.items():
            if len(thing) == 32:
                text = text.replace(thing, name)
            else:
                text = re.sub(r"(?<=[/= '])%s(?=[/ '.]|\Z)" % re.escape(thing), name, text)
        return text


def _plain_input(one: Any) -> Any:
    dataset = one.dataset
    fields = (dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile)
    return [str(field) for field in fields] + sorted("%s=%s" % (tag.key, tag.value) for tag in one.tags)


def compare(scenario: Callable[[Witness], None], folder: str) -> None:
    """The scenario saw the same of our store and of MLflow's SQL store. Raises AssertionError: where they differ."""
    root = os.path.join(folder, "mlruns")
    # A folder of its own for artifacts: MLflow's store has none beside its runs.
    places = [os.path.join(folder, "ours"), os.path.join(folder, "artifacts")]
    ours = Witness(open_store(root, "file://" + places[0]), "file://" + places[0])
    theirs = Witness(open_sql_store(folder), "file://" + places[1])
    for witness in (ours, theirs):
        scenario(witness)
    assert [name for name, _ in ours.notes] == [name for name, _ in theirs.notes]
    for (name, mine), (_, wanted) in zip(ours.notes, theirs.notes):
        assert mine == wanted, "%s: ours %r, MLflow's %r" % (name, mine, wanted)
