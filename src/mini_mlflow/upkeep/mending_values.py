"""Mends of the documents of params and tags, and of documents that go by another key's name.

A value that cannot be read is taken from the log, else from the snapshot, else from what is left of its document:
``{"value": `` comes first in the file, so that what was cut off, or flipped further on, costs the value nothing.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Iterator, NamedTuple, Optional, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import quote_key, unquote_name
from mini_mlflow.disk.layout import METRICS, PARAMS, TAGS, document_name, document_stem
from mini_mlflow.disk.regular import read_file
from mini_mlflow.formats.commits import ValueChange, parse_commit
from mini_mlflow.formats.documents import Snapshot, dump_value_document, parse_value_document
from mini_mlflow.formats.history import parse_document
from mini_mlflow.formats.times import iso_to_ms, ms_to_iso
from mini_mlflow.formats.values import decode_value, encode_value
from mini_mlflow.upkeep.mending import Case, Plan, move_away
from mini_mlflow.upkeep.signs_of_life import find_signs
from mini_mlflow.writing.run_state import last_commit

_VALUE = b'{"value": '
_AFTER_VALUE = re.compile(rb',\s*"timestamp":\s*"([^"]*)"')
_COMMIT = re.compile(rb'"commit": (\d{1,17})[,}]')
_NONFINITE = re.compile(r'"(?:NaN|-?Infinity)"')


class Value(NamedTuple):
    """A value that was found, and where; ``timestamp`` may be no time at all."""

    value: Any
    timestamp: str
    commit: int
    source: str


def find_key(case: Case, kind: str, stem: str) -> str:
    """The key of a document whose file is called ``stem``: its own, unless only a hash of that is left."""
    unquoted = unquote_name(stem)
    return _find_known(case, kind, stem) or (stem if unquoted is None else unquoted)


def _find_known(case: Case, kind: str, stem: str) -> Optional[str]:
    """The key of that name which the log or the snapshot speaks of."""
    look = case.in_run
    known = [key for found, key in look.commits if found == kind]
    known += list(_of_kind(look.snapshot, kind)) if look.snapshot is not None else []
    return next((key for key in known if quote_key(key) == stem), None)


def _of_kind(snapshot: Snapshot, kind: str) -> Any:
    return {PARAMS: snapshot.params, METRICS: snapshot.metrics}.get(kind, snapshot.tags)


def _name(case: Case) -> Tuple[str, str]:
    """The kind of the document that the finding is about, and its file's name without the extension."""
    stem = document_stem(case.parts[-1])
    assert stem is not None
    return case.parts[0], stem


def mend_value(case: Case) -> Plan:
    """The document is whole and holds what is known of its value; without that, it is moved away."""
    kind, stem = _name(case)
    key = find_key(case, kind, stem)
    values = list(_iter_values(case, kind, key))
    if not values:
        return move_away(case)._replace(action="move it into .quarantine; its value is lost")
    value = values[0]
    return Plan("write it anew from %s" % value.source, lambda: write_value(case, kind, key, value, case.path))


def _iter_values(case: Case, kind: str, key: str) -> Iterator[Value]:
    """The key's value as each source has it, the best first."""
    look = case.in_run
    # A snapshot is what readers go by.
    if look.snapshot is not None and key in _of_kind(look.snapshot, kind):
        told = look.snapshot.metadata
        yield Value(_of_kind(look.snapshot, kind)[key], str(told.get("end_time")), last_commit(told), "the snapshot")
    number = look.commits.get((kind, key))
    change = _find_change(case, number, kind, key) if number is not None else None
    if change is not None and number is not None:
        nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
        yield Value(decode_value(json.loads(change.encoded.json), nonfinite), change.timestamp, number, "the log")
    try:
        salvaged = _salvage(read_file(case.path))
    except OSError:
        salvaged = None
    # That a tag was deleted stands at the end, too, and reads as null without that.
    if salvaged is not None and (kind != TAGS or salvaged.value is not None):
        yield salvaged


def _find_change(case: Case, number: int, kind: str, key: str) -> Optional[ValueChange]:
    path = case.paths.commit(number)
    changes = [change for change in parse_commit(read_file(path), path) if isinstance(change, ValueChange)]
    return next((change for change in reversed(changes) if (change.kind, change.key) == (kind, key)), None)


def _salvage(data: bytes) -> Optional[Value]:
    if not data.startswith(_VALUE):
        return None
    rest = data[len(_VALUE) :].decode("utf-8", "replace")
    try:
        value, end = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    # What follows tells that the value was not cut; whether "NaN" is a text stands at the end, which is not there.
    after = _AFTER_VALUE.match(rest[end:].encode("utf-8"))
    if after is None or _NONFINITE.search(rest[:end]) or "\ufffd" in rest[:end]:
        return None
    commit = _COMMIT.search(data)
    number = int(commit.group(1)) if commit else 0
    return Value(value, after.group(1).decode("utf-8"), number, "what is left of it")


def write_value(case: Case, kind: str, key: str, value: Value, path: Optional[str] = None) -> None:
    """The document of the key holds the value. Raises as `Case.replace`, and what `encode_value` does."""
    path = path or case.paths.document(kind, key)
    encoded = encode_value(value.value, path)
    timestamp = value.timestamp if iso_to_ms(value.timestamp) is not None else _guess_time(case, path)
    case.replace(path, dump_value_document(key, encoded, timestamp, value.commit))


def _guess_time(case: Case, path: str) -> str:
    try:
        return ms_to_iso(os.lstat(path).st_mtime_ns // 1_000_000)
    except OSError:
        return find_signs(case.in_run).last


def mend_value_form(case: Case) -> Plan:
    """The document says the same, as strict JSON and with a time; where its own cannot be read, that of the file."""
    kind, stem = _name(case)
    document = parse_value_document(read_file(case.path), case.path, stem)
    value = Value(document.value, document.timestamp, document.commit, "itself")
    return Plan("write it anew, with the same value", lambda: write_value(case, kind, document.key, value, case.path))


def mend_missing_value(case: Case) -> Plan:
    """A document that only the snapshot, or the log, still speaks of is made."""
    kind, stem = _name(case)
    key = find_key(case, kind, stem)
    value = next(_iter_values(case, kind, key))
    return Plan("make it from %s" % value.source, lambda: write_value(case, kind, key, value))


def mend_wrong_key(case: Case) -> Plan:
    """The key and the name of the document are one: of a key that was flipped, a file that was renamed, or a copy."""
    kind, stem = _name(case)
    data = read_file(case.path)
    parse: Any = parse_document if kind == METRICS else parse_value_document
    document = parse(data, case.path, stem)
    own = find_key(case, kind, stem)
    has_document = os.path.lexists(case.paths.document(kind, document.key))
    if _is_flipped(case, kind, stem, document.key, has_document):
        return Plan("write it anew with the key %.80r" % own, lambda: _write_with_key(case, kind, own, document))
    if has_document:
        return move_away(case)._replace(action="move it into .quarantine; %.80r has its own document" % document.key)
    action = "give it the name %s" % document_name(document.key)
    return Plan(action, lambda: _rename(case, kind, stem, document.key))


def _is_flipped(case: Case, kind: str, stem: str, key: str, has_document: bool) -> bool:
    """Whether the name is right and the key is not, so far as anything else tells."""
    if _find_known(case, kind, stem) is not None:
        return True
    if has_document:
        return kind == METRICS and os.path.lexists(os.path.join(case.paths.kind_folder(kind), stem + ".history"))
    return _find_known(case, kind, quote_key(key)) is None and _differ_in_one(key, find_key(case, kind, stem))


def _differ_in_one(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(mine != its for mine, its in zip(one, other)) == 1


def _write_with_key(case: Case, kind: str, key: str, document: Any) -> None:
    if kind == METRICS:
        case.replace(case.path, document._replace(key=key).dump())
    else:
        value = Value(document.value, document.timestamp, document.commit, "itself")
        write_value(case, kind, key, value, case.path)


def _rename(case: Case, kind: str, stem: str, key: str) -> None:
    if kind == METRICS:
        mine, wanted = os.path.join(case.paths.kind_folder(kind), stem + ".history"), case.paths.history_folder(key)
        # First: a document without its sealed files would be one that has lost them.
        if os.path.isdir(mine) and not os.path.lexists(wanted):
            atomic.move(mine, wanted)
    path = case.paths.document(kind, key)
    atomic.move(case.path, path)
    if case.tree.sync:
        atomic.sync_folder(os.path.dirname(path))
