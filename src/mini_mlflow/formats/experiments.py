"""``experiment.yaml``: flat lines as in ``meta.yaml``, whose writer and parser it shares."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

from mini_mlflow.disk.keys import check_key
from mini_mlflow.entities import ACTIVE, DELETED, FORMAT, Experiment
from mini_mlflow.errors import DamagedFileError, InvalidTypeError, show
from mini_mlflow.formats.documents import dump_meta, parse_meta
from mini_mlflow.formats.values import decode_value, encode_value

DEFAULT_ID, DEFAULT_NAME = 0, "Default"
# Written only where they say something: most experiments are active, and keep the file that earlier versions wrote.
_OPTIONAL = {"artifact_location": None, "lifecycle_stage": ACTIVE, "last_update_time": None}


def without_file(experiment_id: int) -> Experiment:
    """What an experiment is that has no ``experiment.yaml``."""
    return Experiment(experiment_id, DEFAULT_NAME if experiment_id == DEFAULT_ID else None, {}, None)


def dump_experiment(experiment: Experiment) -> bytes:
    """The file of an experiment that is known for more than its number."""
    fields = experiment._asdict()
    return dump_meta(
        {
            **{name: fields[name] for name in ("name", "experiment_id", "creation_time", "tags")},
            **{name: fields[name] for name, without in _OPTIONAL.items() if fields[name] != without},
            "format": FORMAT,
        }
    )


def parse_experiment(data: bytes, path: str, experiment_id: int) -> Experiment:
    """The experiment in whose folder ``experiment_id`` the file stands.

    Raises:
        DamagedFileError: torn, foreign, of a later format, or of another experiment (a copied folder).
    """
    fields = parse_meta(data, path)
    name, told, tags = fields.get("name", ""), fields.get("format"), fields.get("tags")
    if name is not None and (not isinstance(name, str) or not name):
        raise DamagedFileError(path, "names no experiment")
    if told != FORMAT:
        raise DamagedFileError(path, "has format %.80r, this version reads %d" % (told, FORMAT))
    if str(fields.get("experiment_id")) != str(experiment_id):
        raise DamagedFileError(path, "is that of experiment %.80r" % (fields.get("experiment_id"),))
    stage = fields.get("lifecycle_stage", ACTIVE)
    if stage not in (ACTIVE, DELETED):
        raise DamagedFileError(path, "has the lifecycle_stage %.80r" % (stage,))
    return Experiment(
        experiment_id,
        name or without_file(experiment_id).name,
        tags if isinstance(tags, dict) else {},
        _text_or_none(fields.get("creation_time")),
        _text_or_none(fields.get("artifact_location")),
        stage,
        _text_or_none(fields.get("last_update_time")),
    )


def _text_or_none(value: Any) -> Any:
    return value if isinstance(value, str) else None


def says_deleted(data: bytes, path: str, experiment_id: int) -> bool:
    """Whether a file says that its experiment is deleted. One that cannot be read says nothing.

    It is asked for with each run that is started and each that is read, so most files are not parsed.
    """
    if b"lifecycle_stage" not in data:
        return False
    try:
        return parse_experiment(data, path, experiment_id).lifecycle_stage == DELETED
    except DamagedFileError:
        return False


def check_tags(tags: Any) -> Dict[str, Any]:
    """An experiment's tags as they are stored: keys as those of a run's tags, any JSON values; None is {}.

    Raises:
        InvalidTypeError, InvalidKeyError, InvalidValueError: they are no such tags.
    """
    if tags is not None and not isinstance(tags, Mapping):
        raise InvalidTypeError("tags must be a dict, not %s" % show(tags))
    checked = {}
    for key, value in (tags or {}).items():
        text = check_key(key, "tag key")
        encoded = encode_value(value, "tag %r" % text)
        nonfinite = json.loads(encoded.nonfinite) if encoded.nonfinite else None
        checked[text] = decode_value(json.loads(encoded.json), nonfinite)
    return checked
