"""Runs as a search of MLflow's looks at them: nothing of a run is parsed but what the filter and the order ask for.

A `Candidate` has those attributes of MLflow's Run that its SearchUtils reads, so that filters and orders are MLflow's
own. What was asked for is kept, of few keys, and not the parsed parts, which take ten times the memory.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

from mlflow.entities import LifecycleStage

from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.mlflow_plugin.locations import run_artifact_uri
from mini_mlflow.mlflow_plugin.rendering import (
    to_end_time,
    to_inputs,
    to_run_name,
    to_status,
    to_tags,
    to_text,
    to_user_id,
)
from mini_mlflow.mlflow_plugin.shelves import Kind
from mini_mlflow.reading.found_run import FoundRun

_KEYS_AT_MOST = 8


class Place(NamedTuple):
    """What a run has from where it stands."""

    is_deleted: bool
    artifact_location: str


class Candidate:
    """A run that may be found."""

    __slots__ = ("_values", "info", "run")

    def __init__(self, run: FoundRun, place: Place) -> None:
        self.run = run
        self.info = _Info(run, place)
        self._values: Dict[Tuple[str, str], Any] = {}

    def __lt__(self, other: Candidate) -> bool:
        return natural_rank(self) < natural_rank(other)

    @property
    def data(self) -> Candidate:
        return self

    @property
    def metrics(self) -> _Column:
        return _Column(self, "metrics")

    @property
    def params(self) -> _Column:
        return _Column(self, "params")

    @property
    def tags(self) -> _Column:
        return _Column(self, "tags")

    @property
    def inputs(self) -> Any:
        inputs = to_inputs(self.run)
        self.run.forget_parts()
        return inputs

    def value(self, kind: str, key: str) -> Any:
        """The value of a metric (a float), a param or a tag (texts); None if the run has none."""
        place = (kind, key)
        if place not in self._values:
            if len(self._values) >= _KEYS_AT_MOST:
                self._values.clear()
            self._values[place] = _read_value(self.run, kind, key)
            self.run.forget_parts()
        return self._values[place]


def _read_value(run: FoundRun, kind: str, key: str) -> Any:
    if kind == "metrics":
        point = run.latest_metric(key)
        return None if point is None else point.value
    if kind == "params":
        value = run.params.get(key)
        return None if value is None and key not in run.params else to_text(value)
    return to_tags(run).get(key)


class _Column:
    """One kind of what was logged to a run, as a mapping of which one asks for a key."""

    __slots__ = ("_candidate", "_kind")

    def __init__(self, candidate: Candidate, kind: str) -> None:
        self._candidate = candidate
        self._kind = kind

    def get(self, key: str, default: Optional[Any] = None) -> Any:
        value = self._candidate.value(self._kind, key)
        return default if value is None else value


class _Info:
    """What a RunInfo has."""

    __slots__ = (
        "end_time",
        "experiment_id",
        "place",
        "run_id",
        "run_name",
        "start_time",
        "status",
        "user_id",
    )

    def __init__(self, run: FoundRun, place: Place) -> None:
        metadata = run.metadata
        self.place = place
        self.run_id = run.run_id
        self.experiment_id = str(run.experiment_id)
        self.run_name = to_run_name(run)
        self.user_id = to_user_id(metadata)
        self.status = to_status(metadata)
        self.start_time = iso_to_ms(metadata.get("start_time")) or 0
        self.end_time = to_end_time(metadata)
        run.forget_parts()

    @property
    def lifecycle_stage(self) -> str:
        return str(LifecycleStage.DELETED if self.place.is_deleted else LifecycleStage.ACTIVE)

    @property
    def artifact_uri(self) -> str:
        return run_artifact_uri(self.place.artifact_location, self.run_id)


def natural_rank(candidate: Candidate) -> Tuple[int, str]:
    """The key of the order in which SearchUtils puts runs that no other order tells apart."""
    return -candidate.info.start_time, candidate.info.run_id


CANDIDATES = Kind(Candidate, natural_rank)
