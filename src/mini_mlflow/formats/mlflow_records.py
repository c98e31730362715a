"""What MLflow knows of a run, a logged model or a trace and we have no field for: records that stand as tags.

Each is one tag, whose key begins with `PREFIX` and names the thing, and whose value is a JSON object. So it is stored,
synced, verified, copied and deleted as any tag is, and two processes that record different things never meet. MLflow's
own lists of tags leave these out; ours show them.

::

    mini_mlflow:input/<md5 of name and digest>   a dataset that a run used
    mini_mlflow:input_part/<sha1 of the text>    a part of a long profile of such a dataset
    mini_mlflow:model_input/<model_id>           a logged model that a run used
    mini_mlflow:output/<model_id>                a logged model that a run made
    mini_mlflow:model                            of a logged model, what is no tag, param or metric of it
    mini_mlflow:metric/<sha1 of the record>      a metric of a logged model
    mini_mlflow:trace                            of a trace, what is no tag, metadata or assessment of it
    mini_mlflow:assessment/<id>                  an assessment of a trace
    mini_mlflow:linked_trace/<trace_id>          a trace that was linked to a run
    mini_mlflow:linked_prompt/<name>/<version>   a prompt that was linked to a trace

Pure: a record that is not as it should be is told by None, and nothing is raised.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from mini_mlflow.formats.mlflow_profiles import cut_profile, join_profile
from mini_mlflow.formats.values import dump_number, to_nonfinite

_Record = TypeVar("_Record")

PREFIX = "mini_mlflow:"
INPUT = PREFIX + "input/"
INPUT_PART = PREFIX + "input_part/"
MODEL_INPUT = PREFIX + "model_input/"
OUTPUT = PREFIX + "output/"
MODEL = PREFIX + "model"
METRIC = PREFIX + "metric/"
TRACE = PREFIX + "trace"
ASSESSMENT = PREFIX + "assessment/"
LINKED_TRACE = PREFIX + "linked_trace/"
LINKED_PROMPT = PREFIX + "linked_prompt/"


class DatasetInput(NamedTuple):
    """A dataset that a run used; ``schema`` and ``profile`` are texts or None, ``tags`` key to text."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: Optional[str]
    profile: Optional[str]
    tags: Dict[str, str]


class ModelOutput(NamedTuple):
    """A logged model that a run made, at a step."""

    model_id: str
    step: int


class ModelMetric(NamedTuple):
    """A point of a logged model's metric; the run that logged it and the dataset that it was measured on, or None."""

    key: str
    value: float
    timestamp: int
    step: int
    run_id: Optional[str]
    dataset_name: Optional[str]
    dataset_digest: Optional[str]


class ModelRecord(NamedTuple):
    """Of a logged model, what is no name, tag, param or metric; times in ms, ``status`` as MLflow numbers it."""

    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    status: int = 1
    status_message: Optional[str] = None
    model_type: Optional[str] = None
    source_run_id: Optional[str] = None


class TraceRecord(NamedTuple):
    """Of a trace, what is no tag, metadata or assessment; times in milliseconds, ``state`` by its name."""

    trace_id: str
    request_time: int
    state: str
    execution_duration: Optional[int] = None
    request_preview: Optional[str] = None
    response_preview: Optional[str] = None
    client_request_id: Optional[str] = None


class AssessmentRecord(NamedTuple):
    """An assessment of a trace; ``kind`` is feedback, expectation or issue, ``value`` any JSON, times in ms."""

    assessment_id: str
    kind: str
    name: str
    value: Any
    source_type: str
    create_time_ms: int
    last_update_time_ms: int
    source_id: Optional[str] = None
    error: Optional[Dict[str, Any]] = None
    run_id: Optional[str] = None
    span_id: Optional[str] = None
    rationale: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    overrides: Optional[str] = None
    valid: bool = True


def is_record(key: str) -> bool:
    """Whether a tag of that key is one of ours, which MLflow's lists leave out."""
    return key.startswith(PREFIX)


def input_key(name: str, digest: str) -> str:
    """The key of a dataset's record: one a run for each pair of name and digest."""
    return INPUT + _hash("md5", json.dumps([name, digest]))


def dump_input(dataset: DatasetInput) -> Dict[str, Any]:
    """The tags: one, and those of the parts of a long profile."""
    fields, parts = dict(dataset._asdict()), cut_profile(dataset.profile, INPUT_PART)
    if parts:
        fields.update(profile=None, profile_parts=[key for key, _ in parts])
    return {input_key(dataset.name, dataset.digest): fields, **dict(parts)}


def parse_input(value: Any, tags: Mapping[str, Any] = MappingProxyType({})) -> Optional[DatasetInput]:
    """The dataset of a tag's value; ``tags`` has the parts of a long profile."""
    fields = to_fields(value)
    if fields is None or not isinstance(fields.get("name"), str) or not isinstance(fields.get("digest"), str):
        return None
    texts, parts = fields.get("tags"), fields.get("profile_parts")
    return DatasetInput(
        fields["name"],
        fields["digest"],
        str(fields.get("source_type") or ""),
        str(fields.get("source") or ""),
        _to_text(fields.get("schema")),
        join_profile(parts, tags) if isinstance(parts, list) else _to_text(fields.get("profile")),
        {str(key): str(text) for key, text in texts.items()} if isinstance(texts, Mapping) else {},
    )


def dump_model_input(model_id: str) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return MODEL_INPUT + model_id, {"model_id": model_id, "tags": {}}


def dump_output(model: ModelOutput) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return OUTPUT + model.model_id, {"model_id": model.model_id, "step": model.step}


def dump_metric(metric: ModelMetric) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag; the same point twice is the same tag."""
    # As in a metric's document: strict JSON has no NaN, and the hash must not depend on how another JSON spells it.
    fields = dict(metric._asdict(), value=json.loads(dump_number(metric.value)))
    return METRIC + _hash("sha1", json.dumps(fields, sort_keys=True)), fields


def parse_metric(value: Any) -> Optional[ModelMetric]:
    """The point of a tag's value."""
    fields = to_fields(value)
    if fields is None or not isinstance(fields.get("key"), str):
        return None
    number = to_nonfinite(fields.get("value"))
    timestamp, step = fields.get("timestamp"), fields.get("step")
    if type(number) not in (int, float) or type(timestamp) is not int or type(step) is not int:
        return None
    told = (fields.get(name) for name in ("run_id", "dataset_name", "dataset_digest"))
    run_id, name, digest = map(_to_text, told)
    return ModelMetric(fields["key"], float(number), timestamp, step, run_id, name, digest)


def dump_model(model: ModelRecord) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return MODEL, dict(model._asdict())


def parse_model(value: Any) -> Optional[ModelRecord]:
    """The logged model of a tag's value."""
    return _parse(ModelRecord, value, artifact_location=str, creation_timestamp=int, last_updated_timestamp=int)


def dump_trace(trace: TraceRecord) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return TRACE, dict(trace._asdict())


def parse_trace(value: Any) -> Optional[TraceRecord]:
    """The trace of a tag's value."""
    return _parse(TraceRecord, value, trace_id=str, request_time=int, state=str)


def dump_assessment(assessment: AssessmentRecord) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return ASSESSMENT + assessment.assessment_id, dict(assessment._asdict())


def parse_assessment(value: Any) -> Optional[AssessmentRecord]:
    """The assessment of a tag's value."""
    times = {"create_time_ms": int, "last_update_time_ms": int}
    return _parse(AssessmentRecord, value, assessment_id=str, kind=str, name=str, source_type=str, **times)


def _parse(record: Callable[..., _Record], value: Any, **required: type) -> Optional[_Record]:
    fields = to_fields(value)
    if fields is None or any(type(fields.get(name)) is not kind for name, kind in required.items()):
        return None
    known: Sequence[str] = record._fields  # type: ignore[attr-defined]
    try:
        # Fields that a later version has added are passed over.
        return record(**{name: fields[name] for name in known if name in fields})
    except TypeError:
        return None


class RunRecords(NamedTuple):
    """All records of a run, sorted by name and digest, or by model id."""

    dataset_inputs: List[DatasetInput]
    model_inputs: List[str]
    model_outputs: List[ModelOutput]


_NOTHING = RunRecords([], [], [])


def read_records(tags: Mapping[str, Any]) -> RunRecords:
    """The records among the tags of a run; what is not as it should be is left out."""
    # Nearly every run has none, and a search asks this of each.
    keys = [key for key in tags if key.startswith(PREFIX)]
    if not keys:
        return _NOTHING
    inputs = [parse_input(tags[key], tags) for key in keys if key.startswith(INPUT)]
    return RunRecords(
        sorted((one for one in inputs if one is not None), key=lambda dataset: (dataset.name, dataset.digest)),
        sorted(key[len(MODEL_INPUT) :] for key in keys if key.startswith(MODEL_INPUT)),
        sorted(_parse_outputs(tags, keys)),
    )


def _parse_outputs(tags: Mapping[str, Any], keys: List[str]) -> Iterator[ModelOutput]:
    for key in keys:
        if key.startswith(OUTPUT):
            step = (to_fields(tags[key]) or {}).get("step")
            yield ModelOutput(key[len(OUTPUT) :], step if type(step) is int else 0)


def to_fields(value: Any) -> Optional[Dict[str, Any]]:
    """The JSON object of a tag's value, also where it was stored as text; None if it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _to_text(value: Any) -> Optional[str]:
    return None if value is None else str(value)


def _hash(name: str, text: str) -> str:
    import hashlib  # 2 ms that nobody needs who has no such record

    return hashlib.new(name, text.encode("utf-8", "surrogatepass")).hexdigest()
