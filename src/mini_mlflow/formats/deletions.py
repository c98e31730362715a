"""``deleted.json`` of a run in the trash: when it was deleted."""

from __future__ import annotations

from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.history import parse_json
from mini_mlflow.formats.times import iso_to_ms


def dump_deletion(time_text: str) -> bytes:
    """The file that says that a run was deleted at ``time_text`` (ISO 8601, UTC)."""
    return b'{"deleted_at": "%s"}\n' % time_text.encode("ascii")


def parse_deletion(data: bytes, path: str) -> str:
    """When the run was deleted: ISO 8601, UTC. Raises DamagedFileError."""
    time_text = parse_json(data, path).get("deleted_at")
    if not isinstance(time_text, str) or iso_to_ms(time_text) is None:
        raise DamagedFileError(path, 'has no time in "deleted_at"')
    return time_text
