"""``experiment.yaml``: flat lines as in ``meta.yaml``, whose writer and parser it shares."""

from __future__ import annotations

from mini_mlflow.entities import FORMAT, Experiment
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.documents import dump_meta, parse_meta


def dump_experiment(experiment: Experiment) -> bytes:
    """The file of an experiment that has a name."""
    return dump_meta(
        {
            "name": experiment.name,
            "experiment_id": experiment.experiment_id,
            "creation_time": experiment.creation_time,
            "tags": experiment.tags,
            "format": FORMAT,
        }
    )


def parse_experiment(data: bytes, path: str, experiment_id: int) -> Experiment:
    """The experiment in whose folder ``experiment_id`` the file stands.

    Raises:
        DamagedFileError: torn, foreign, of a later format, or of another experiment (a copied folder).
    """
    fields = parse_meta(data, path)
    name, told, tags = fields.get("name"), fields.get("format"), fields.get("tags")
    if not isinstance(name, str) or not name:
        raise DamagedFileError(path, "names no experiment")
    if told != FORMAT:
        raise DamagedFileError(path, "has format %.80r, this version reads %d" % (told, FORMAT))
    if str(fields.get("experiment_id")) != str(experiment_id):
        raise DamagedFileError(path, "is that of experiment %.80r" % (fields.get("experiment_id"),))
    created = fields.get("creation_time")
    return Experiment(
        experiment_id, name, tags if isinstance(tags, dict) else {}, created if isinstance(created, str) else None
    )
