"""What MLflow knows of a run, a logged model or a trace and we have no field for: records that stand as tags.

Each is one tag, whose key begins with `PREFIX` and names the thing, and whose value is a JSON object. So it is stored,
synced, verified, copied and deleted as any tag is, and two processes that record different things never meet. MLflow's
own lists of tags leave these out; ours show them.

::

    mini_mlflow:input/<md5 of name and digest>   a dataset that a run used
    mini_mlflow:model_input/<model_id>           a logged model that a run used
    mini_mlflow:output/<model_id>                a logged model that a run made
    mini_mlflow:model                            of a logged model, what is no tag, param or metric of it
    mini_mlflow:metric/<sha1 of the record>      a metric of a logged model
    mini_mlflow:trace                            of a trace, what is no tag, metadata or assessment of it
    mini_mlflow:assessment/<id>                  an assessment of a trace

Pure: a record that is not as it should be is told by None, and nothing is raised.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from mini_mlflow.formats.values import dump_number, to_nonfinite

PREFIX = "mini_mlflow:"
INPUT = PREFIX + "input/"
MODEL_INPUT = PREFIX + "model_input/"
OUTPUT = PREFIX + "output/"
MODEL = PREFIX + "model"
METRIC = PREFIX + "metric/"
TRACE = PREFIX + "trace"
ASSESSMENT = PREFIX + "assessment/"


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


def is_record(key: str) -> bool:
    """Whether a tag of that key is one of ours, which MLflow's lists leave out."""
    return key.startswith(PREFIX)


def input_key(name: str, digest: str) -> str:
    """The key of a dataset's record: one a run for each pair of name and digest."""
    return INPUT + _hash("md5", json.dumps([name, digest]))


def dump_input(dataset: DatasetInput) -> Tuple[str, Dict[str, Any]]:
    """Key and value of the tag."""
    return input_key(dataset.name, dataset.digest), dict(dataset._asdict())


def parse_input(value: Any) -> Optional[DatasetInput]:
    """The dataset of a tag's value."""
    fields = to_fields(value)
    if fields is None or not isinstance(fields.get("name"), str) or not isinstance(fields.get("digest"), str):
        return None
    tags = fields.get("tags")
    return DatasetInput(
        fields["name"],
        fields["digest"],
        str(fields.get("source_type") or ""),
        str(fields.get("source") or ""),
        _to_text(fields.get("schema")),
        _to_text(fields.get("profile")),
        {str(key): str(text) for key, text in tags.items()} if isinstance(tags, Mapping) else {},
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
    return RunRecords(
        sorted(
            (found for found in (parse_input(tags[key]) for key in keys if key.startswith(INPUT)) if found is not None),
            key=lambda dataset: (dataset.name, dataset.digest),
        ),
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
