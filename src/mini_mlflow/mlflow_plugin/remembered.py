"""Traces and logged models as a search looks at them: MLflow's objects, but built when something of them is asked for.

What was asked for is kept, of few names, and not the objects, which take many times the memory of the bytes they are
built from. Whoever gets one of the objects gets one of his own.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from mlflow.entities import LoggedModel, TraceInfo
from mlflow.tracing.constant import TraceMetadataKey

from mini_mlflow.formats.mlflow_records import LINKED_PROMPT, MODEL, TRACE, AssessmentRecord, to_fields
from mini_mlflow.mlflow_plugin.assessment_records import records_of
from mini_mlflow.mlflow_plugin.logged_models import to_model
from mini_mlflow.mlflow_plugin.shelves import Kind
from mini_mlflow.mlflow_plugin.traces import to_trace_info
from mini_mlflow.reading.found_run import FoundRun

_NAMES_AT_MOST = 12


class _Remembered:
    """One that may be found. Its attributes are those of MLflow's object; that has no ``None`` among its texts."""

    __slots__ = ("_values", "run")

    def __init__(self, run: FoundRun) -> None:
        self.run = run
        self._values: Dict[Tuple[str, str], Any] = {}

    def build(self) -> Any:
        """MLflow's object, a new one each time. Raises MlflowException: the run is none."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        return self.value("", name)

    def value(self, part: str, name: str) -> Any:
        """What the object has under the name; with ``part``, what its dict of that name has, or None."""
        place = (part, name)
        if place not in self._values:
            built = self.build()
            found = getattr(built, part).get(name) if part else getattr(built, name)
            if len(self._values) >= _NAMES_AT_MOST:
                self._values.clear()
            self._values[place] = found
        return self._values[place]


class _Texts:
    """One of the object's dicts, as a mapping of which one asks for a key."""

    __slots__ = ("_owner", "_part")

    def __init__(self, owner: _Remembered, part: str) -> None:
        self._owner, self._part = owner, part

    def get(self, key: str, default: Optional[str] = None) -> Optional[str]:
        found = self._owner.value(self._part, key)
        return default if found is None else found

    def __contains__(self, key: str) -> bool:
        return self._owner.value(self._part, key) is not None


class RememberedTrace(_Remembered):
    """A trace, with what a filter or an order may name and MLflow's object lacks."""

    __slots__ = ("timestamp_ms", "trace_id")

    def __init__(self, run: FoundRun) -> None:
        super().__init__(run)
        info = self.build()
        # Each search puts all of them in order by these.
        self.timestamp_ms, self.trace_id = int(info.timestamp_ms), str(info.trace_id)

    def build(self) -> TraceInfo:
        """What is known of the trace."""
        info = to_trace_info(self.run.address, self.run)
        self.run.forget_parts()
        return info

    @property
    def tags(self) -> _Texts:
        return _Texts(self, "tags")

    @property
    def trace_metadata(self) -> _Texts:
        return _Texts(self, "trace_metadata")

    @property
    def session(self) -> Optional[str]:
        return self.trace_metadata.get(TraceMetadataKey.TRACE_SESSION)

    @property
    def end_time_ms(self) -> int:
        return int(self.timestamp_ms + (self.execution_time_ms or 0))

    def assessments_of(self, kind: str, name: str) -> List[AssessmentRecord]:
        """Those of this kind and name, also what others have replaced."""
        found = [one for one in records_of(self.run.tags) if one.kind == kind and one.name == name]
        self.run.forget_parts()
        return found

    def is_linked_to(self, prompt: str) -> bool:
        """Whether the trace is linked to this version of a prompt, ``<name>/<version>``."""
        is_linked = LINKED_PROMPT + prompt in self.run.tags
        self.run.forget_parts()
        return is_linked


class RememberedModel(_Remembered):
    """A logged model."""

    __slots__ = ("creation_timestamp", "model_id")

    def __init__(self, run: FoundRun) -> None:
        super().__init__(run)
        model = self.build()
        self.creation_timestamp, self.model_id = int(model.creation_timestamp), str(model.model_id)

    def build(self) -> LoggedModel:
        """The model."""
        model = to_model(self.run.address, self.run)
        self.run.forget_parts()
        return model

    @property
    def tags(self) -> _Texts:
        return _Texts(self, "tags")

    @property
    def params(self) -> _Texts:
        return _Texts(self, "params")

    @property
    def metrics(self) -> Any:
        # Thousands, at times: not kept.
        return self.build().metrics


def _to_trace(run: FoundRun, _: Any) -> Optional[RememberedTrace]:
    return RememberedTrace(run) if _has_record(run, TRACE) else None


def _to_model(run: FoundRun, _: Any) -> Optional[RememberedModel]:
    return RememberedModel(run) if _has_record(run, MODEL) else None


def _has_record(run: FoundRun, key: str) -> bool:
    has_record = bool(to_fields(run.tags.get(key)))
    run.forget_parts()
    return has_record


def _rank_trace(trace: RememberedTrace) -> Tuple[int, str]:
    return -trace.timestamp_ms, trace.trace_id


def _rank_model(model: RememberedModel) -> Tuple[int, str]:
    return -model.creation_timestamp, model.model_id


#: The newest first, as both are found where no other order is asked for.
TRACES, MODELS = Kind(_to_trace, _rank_trace), Kind(_to_model, _rank_model)
