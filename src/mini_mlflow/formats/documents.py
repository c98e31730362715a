"""The documents of a run: ``meta.yaml``, a param's or a tag's JSON, and the snapshot of an ended run.

``meta.yaml`` is what a person reads first. We write it as flat ``key: value`` lines with JSON scalars, which are
YAML too, and read such lines without PyYAML: a listing of live runs would spend most of its time there. Whatever else
stands in the file (an editor's hand, 0.1.0, a nested value) goes through PyYAML's safe loader. Unknown keys are kept.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timezone
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple

from mini_mlflow.entities import FORMAT
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.history import parse_json
from mini_mlflow.formats.points import dump_point
from mini_mlflow.formats.values import Encoded, decode_value, dump_number, encode_text, to_nonfinite

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*): (.+)\Z")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# JSON leaves these as they are, YAML 1.1 takes them for line breaks, byte order marks or nothing printable.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_NONFINITE = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
# A snapshot as `dump_snapshot` lays it out, from its first byte to its metadata; and how it ends, if it is whole.
_METADATA = b'{"format": %d,\n"metadata": ' % FORMAT
_SNAPSHOT_END = b"}}\n"
_LIMIT_BYTES = 200_000
_LIMIT_NESTING = 100


def dump_meta(meta: Mapping[str, Any]) -> bytes:
    """``meta.yaml`` with the given keys, in their order."""
    lines = ["%s: %s\n" % (_dump_meta_key(key), _to_yaml(value)) for key, value in meta.items()]
    return "".join(lines).encode("utf-8")


def _dump_meta_key(key: Any) -> str:
    if isinstance(key, str) and _PLAIN_KEY.match(key) and key.lower() not in _WORDS:
        return key
    return _to_yaml(key)


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        # Another writer's YAML may hold what JSON cannot say (a date, a set, bytes): kept as text, not lost.
        return json.dumps(str(value), ensure_ascii=False)


def _to_yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (_to_yaml(key), _to_yaml(item)) for key, item in value.items())
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(_to_yaml, value))
    text = _to_json(value)
    if isinstance(value, float):
        # PyYAML takes 1e-05 for text, and knows no NaN of that name.
        return _NONFINITE.get(text) or (text if "." in text else text.replace("e", ".0e"))
    return _escape(text)


def _escape(text: str) -> str:
    return _NOT_IN_YAML.sub(lambda match: "\\u%04x" % ord(match.group()), text)


def parse_meta(data: bytes, path: str, limit_bytes: int = _LIMIT_BYTES) -> Dict[str, Any]:
    """The mapping in a ``meta.yaml``; dates and times come as ISO 8601 text.

    Raises:
        DamagedFileError: empty, torn, larger than ``limit_bytes`` (of ours 200 kB), not a mapping, or YAML that only an
            unsafe loader would take.
    """
    if len(data) > limit_bytes:
        raise DamagedFileError(path, "is larger than %d bytes" % limit_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFileError(path, "is not UTF-8: %s" % error) from None
    meta = _parse_flat(text)
    if meta is None:
        meta = _parse_yaml(text, path)
    if not isinstance(meta, dict) or not meta:
        raise DamagedFileError(path, "holds no mapping" if text.strip("\0 \n") else "is empty")
    return {key: _to_text(value) for key, value in meta.items()}


def dump_yaml(value: Any) -> bytes:
    """A plain JSON value as YAML for people, keys in their order."""
    import yaml  # as above

    text: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=False)
    return text.encode("utf-8")


def _parse_flat(text: str) -> Any:
    meta: Dict[str, Any] = {}
    # Not splitlines(): it also breaks at U+2028 and the like, which may stand within a JSON string of another writer.
    for line in text.split("\n")[:-1]:
        match = _LINE.match(line)
        if match is None or match.group(1).lower() in _WORDS or match.group(1) in meta:
            return None
        try:
            meta[match.group(1)] = json.loads(match.group(2))
        except (ValueError, RecursionError):
            return None
    return meta if text.endswith("\n") else None


def _parse_yaml(text: str, path: str) -> Any:
    import yaml  # 20 ms, and not needed for what we wrote ourselves

    # libyaml recurses on the C stack, where too deep a nesting kills the process; Python's own loader raises.
    shallow = sum(text.count(mark) for mark in ("[", "{", "- ", "? ", "-\n", "?\n")) < _LIMIT_NESTING
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if shallow else yaml.SafeLoader
    # A few hundred bytes of aliases can stand for more than any memory holds. No run's meta.yaml has a use for one.
    if "*" in text and any(isinstance(token, yaml.AliasToken) for token in _scan(yaml, text, path)):
        raise DamagedFileError(path, "has YAML aliases, which are not read")
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as error:
        first_line = str(error).partition("\n")[0]
        raise DamagedFileError(path, "is not the YAML of a run: %s" % first_line) from None


def _scan(yaml: Any, text: str, path: str) -> Iterator[Any]:
    try:
        yield from yaml.scan(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DamagedFileError(path, "is not YAML: %s" % str(error).partition("\n")[0]) from None


def salvage_meta(data: bytes) -> Dict[str, Any]:
    """What can still be read of a damaged ``meta.yaml`` that we wrote: its whole lines of one scalar each."""
    found: Dict[str, Any] = {}
    for line in data.decode("utf-8", "replace").split("\n")[:-1]:
        match = _LINE.match(line)
        try:
            value = json.loads(match.group(2)) if match is not None else []
        except (ValueError, RecursionError):
            continue
        if match is not None and not isinstance(value, (list, dict)) and "\ufffd" not in line:
            found[match.group(1)] = value
    return found


def _to_text(value: Any) -> Any:
    if isinstance(value, datetime):
        # PyYAML gives a time without an offset as it stands, which means UTC.
        naive = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo is not None else value
        return naive.isoformat() + "Z"
    return value.isoformat() if isinstance(value, date) else value


class ValueDocument(NamedTuple):
    """A param or a tag as its document says it."""

    key: str
    value: Any
    timestamp: str
    commit: int


def dump_value_document(key: str, encoded: Encoded, timestamp: str, commit: int) -> bytes:
    """The document of a param or a tag."""
    nonfinite = ', "nonfinite": ' + encoded.nonfinite if encoded.nonfinite else ""
    text = '{"value": %s, "timestamp": "%s", "key": %s, "commit": %d%s}\n'
    return (text % (encoded.json, timestamp, encode_text(key), commit, nonfinite)).encode("utf-8")


def parse_value_document(data: bytes, path: str, key: str) -> ValueDocument:
    """The param or tag in ``data``; ``key`` is what its file's name says. Raises DamagedFileError."""
    fields = parse_json(data, path)
    if "value" not in fields:
        raise DamagedFileError(path, 'has no field "value"')
    commit, own_key, timestamp = fields.get("commit", 0), fields.get("key", key), fields.get("timestamp", "")
    return ValueDocument(
        own_key if isinstance(own_key, str) else key,
        decode_value(fields["value"], fields.get("nonfinite")),
        timestamp if isinstance(timestamp, str) else "",
        commit if isinstance(commit, int) else 0,
    )


class Snapshot(NamedTuple):
    """An ended run in one file.

    Attributes:
        metadata: what ``meta.yaml`` says.
        params, tags: key to value.
        metrics: key to ``{"value", "step", "timestamp", "count", "min", "max"}``, the timestamp in milliseconds. Of a
            metric that was rewound also "hidden": so many of its "count" points are, and the rest of the summary is
            of the others. A metric with no visible point is left out. Where the latest point (`formats.latest`) is
            another than the last, also "latest": ``[step, value, timestamp]``.
    """

    metadata: Dict[str, Any]
    params: Dict[str, Any]
    tags: Dict[str, Any]
    metrics: Dict[str, Dict[str, Any]]


def dump_snapshot(
    metadata: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Encoded]],
    metrics: Mapping[str, Any],
) -> bytes:
    """``snapshot.json``; ``values``: encoded, of "params" and "tags"; ``metrics``: documents, or what one said."""
    parts = ['"format": %d' % FORMAT, '"metadata": ' + _escape(_to_json(dict(metadata)))]
    for kind in ("params", "tags"):
        pairs = ("%s: %s" % (encode_text(key), encoded.json) for key, encoded in values[kind].items())
        parts.append('"%s": {%s}' % (kind, ", ".join(pairs)))
    shown = ((key, one) for key, one in metrics.items() if isinstance(one, dict) or not one.is_hidden)
    lines = ("%s: %s" % (encode_text(key), _dump_summary(one)) for key, one in shown)
    parts.append('"metrics": {%s}' % ", ".join(lines))
    marked = (
        '"%s/%s' % (kind, encode_text(key)[1:] + ": " + encoded.nonfinite)
        for kind in ("params", "tags")
        for key, encoded in values[kind].items()
        if encoded.nonfinite
    )
    parts.append('"nonfinite": {%s}' % ", ".join(marked))
    return ("{%s}\n" % ",\n".join(parts)).encode("utf-8")


def _dump_summary(document: Any) -> str:
    if isinstance(document, dict):
        return json.dumps(document)
    numbers = [
        dump_number(item) if isinstance(item, float) else json.dumps(item)
        for item in (document.value, document.minimum, document.maximum)
    ]
    hidden = ', "hidden": %d' % document.hidden if document.hidden else ""
    # A list: a reader that looks for one key takes the first closing brace for the summary's end.
    latest = ', "latest": %s' % dump_point(*document.latest).decode("ascii") if document.latest else ""
    text = '{"value": %s, "step": %d, "timestamp": %d, "count": %d, "min": %s, "max": %s%s}'
    figures = (document.step, document.timestamp, document.count)
    return text % (numbers[0], *figures, numbers[1], numbers[2], hidden + latest)


def parse_snapshot(data: bytes, path: str) -> Snapshot:
    """The snapshot in ``data``. Raises DamagedFileError; a snapshot is derived, so its reader goes to the documents."""
    fields = parse_json(data, path)
    if fields.get("format") != FORMAT:
        raise DamagedFileError(path, "has format %r, this version reads %d" % (fields.get("format"), FORMAT))
    parts = [fields.get(name) for name in ("metadata", "params", "tags", "metrics", "nonfinite")]
    if not all(isinstance(part, dict) for part in parts) or not are_summaries(fields["metrics"].values()):
        raise DamagedFileError(path, "lacks a part, or has one of the wrong kind")
    for place, nonfinite in fields["nonfinite"].items():
        kind, _, key = place.partition("/")
        values = fields[kind] if kind in ("params", "tags") else {}
        if key in values:
            values[key] = decode_value(values[key], nonfinite)
    return Snapshot(fields["metadata"], fields["params"], fields["tags"], fields["metrics"])


def are_summaries(found: Iterable[Any]) -> bool:
    """True if each is what a snapshot says of a metric."""
    # By hand, one after the other: this is passed for each metric of each run of a search.
    try:
        for summary in found:
            count, value = summary["count"], summary["value"]
            if not (type(summary["step"]) is type(summary["timestamp"]) is type(count) is int):
                return False
            if count == 1 and type(value) is not float and type(to_nonfinite(value)) not in (int, float):
                return False
            if "latest" in summary and not _is_point(*summary["latest"]):
                return False
    except (TypeError, LookupError):
        return False
    return True


def _is_point(step: Any, value: Any, timestamp: Any) -> bool:
    is_number = type(value) is float or type(to_nonfinite(value)) in (int, float)
    return type(step) is type(timestamp) is int and is_number


def parse_snapshot_metadata(data: bytes, path: str) -> Dict[str, Any]:
    """What the snapshot in ``data`` has as metadata; the rest of it is not parsed. Raises as `parse_snapshot`."""
    if data.startswith(_METADATA) and data.endswith(_SNAPSHOT_END):
        try:
            metadata = json.loads(data[len(_METADATA) : data.index(b",\n", len(_METADATA))].decode("utf-8"))
        except (ValueError, RecursionError):
            metadata = None
        if isinstance(metadata, dict):
            return metadata
    return parse_snapshot(data, path).metadata
