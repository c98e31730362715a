"""The snapshot of a run as a look finds it, beside the documents and ``meta.yaml`` that it was gathered from."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Tuple

from mini_mlflow.disk.layout import METRICS, PARAMS, SNAPSHOT, TAGS
from mini_mlflow.entities import END_STATUSES, FORMAT
from mini_mlflow.errors import DamagedFileError, MiniMlflowError
from mini_mlflow.formats.documents import parse_snapshot
from mini_mlflow.formats.history import MetricDocument, parse_json
from mini_mlflow.formats.latest import parse_latest
from mini_mlflow.formats.values import DELETED, encode_value, to_nonfinite
from mini_mlflow.upkeep.change_look import CUT_SHORT, is_ahead, is_behind
from mini_mlflow.upkeep.findings import DAMAGE, LEFTOVER
from mini_mlflow.upkeep.run_look import RunLook, check_format
from mini_mlflow.upkeep.strictness import find_laxness

_DO = "resuming the run and ending it writes it anew"


def look_at_snapshot(look: RunLook) -> None:
    """The snapshot is whole, or there is none because the run has not ended."""
    path = look.paths.snapshot
    data = look.read(path) if SNAPSHOT in look.names else None
    if data is None:
        if SNAPSHOT not in look.names and look.has_ended and not look.is_of_0_1_0:
            message = "a kill came between it and meta.yaml, or it was removed; %s" % _DO
            look.doubt(path, "snapshot-missing", message, look.stamp)
        return
    try:
        if check_format(look, path, parse_json(data, path).get("format", FORMAT)):
            look.snapshot = parse_snapshot(data, path)
            look.note_laxness(path, find_laxness(data))
    except DamagedFileError as error:
        look.note(path, "torn-snapshot", "it %s; readers go to the documents instead; %s" % (error.reason, _DO))


def compare_snapshot(look: RunLook) -> None:
    """The snapshot says what ``meta.yaml`` and the documents say."""
    snapshot, path = look.snapshot, look.paths.snapshot
    if snapshot is None:
        return
    if snapshot.metadata.get("status") not in END_STATUSES:
        message = "it says that the run is %.80r; %s" % (snapshot.metadata.get("status"), _DO)
        look.doubt(path, "snapshot-disagrees", message, look.stamp, "status")
    elif look.meta and look.meta.get("status") not in END_STATUSES:
        message = "it says %.80r beside a snapshot; a kill came between the two, and the run has ended: resuming works"
        look.doubt(look.paths.meta, "end-half-done", message % look.meta.get("status"), look.stamp)
    elif is_behind(look):
        look.doubt(look.paths.meta, "change-half-done", "%s; resuming the run works" % CUT_SHORT, look.stamp)
    elif look.meta and repr(sorted(look.meta.items(), key=repr)) != repr(sorted(snapshot.metadata.items(), key=repr)):
        names = sorted(_differing(look.meta, snapshot.metadata))
        message = "it has another %s than meta.yaml; %s" % (", ".join(map(str, names)), _DO)
        look.doubt(path, "snapshot-disagrees", message, look.stamp, "meta")
    for kind, values in ((PARAMS, snapshot.params), (TAGS, snapshot.tags)):
        told = {(kind, key): _encode(value, path) for key, value in values.items()}
        _compare(look, kind, told)
    _compare(look, METRICS, {(METRICS, key): _summarize_told(told) for key, told in snapshot.metrics.items()})


def _differing(one: Dict[str, Any], other: Dict[str, Any]) -> Iterator[str]:
    for name in {*one, *other}:
        if name not in one or name not in other or repr(one[name]) != repr(other[name]):
            yield name


def _compare(look: RunLook, kind: str, told: Dict[Tuple[str, str], Any]) -> None:
    for place, document in look.documents.items():
        if place[0] != kind:
            continue
        found = _summarize(document) if kind == METRICS else _encode(document.value, look.paths.snapshot)
        # What another writer made too large or too deep for a snapshot is left out of it, and so is what is hidden, or
        # was deleted.
        is_gone = document.is_hidden if kind == METRICS else document.value is DELETED
        if is_ahead(look, kind, document):
            # That is a finding of its own (`log_look`).
            continue
        if place in told if is_gone else (found is not None and told.get(place) != found):
            message = "it %s %.220r; %s" % (
                "lacks" if place not in told else "has another value than the document of",
                place[1],
                _DO,
            )
            rule = "change-half-done" if kind != METRICS and is_behind(look) else "snapshot-disagrees"
            look.doubt(look.paths.snapshot, rule, message, look.stamp, *place)
    for place in told:
        if place not in look.documents and not look.is_unread(*place):
            is_whole = kind != METRICS or told[place][2] == 1
            message = "there is none for %.220r of the snapshot, which %s" % (
                place[1],
                "has its value: resuming the run makes it" if is_whole else "has its last value; its history is lost",
            )
            severity = LEFTOVER if is_whole else DAMAGE
            look.doubt(look.paths.document(*place), "document-missing", message, look.stamp, severity=severity)


def _encode(value: Any, what: str) -> Any:
    try:
        return encode_value(value, what)
    except MiniMlflowError:
        return None


def _summarize(document: MetricDocument) -> Any:
    if document.count and not isinstance(document.value, float):
        return None
    figures = (document.step, document.timestamp, document.count, repr(document.value))
    return (*figures, document.minimum, document.maximum, document.hidden, repr(document.latest_point))


def _summarize_told(told: Dict[str, Any]) -> Any:
    low, high = (to_nonfinite(told.get(name)) for name in ("min", "max"))
    figures = (told["step"], told["timestamp"], told["count"], repr(to_nonfinite(told["value"])))
    return (*figures, low, high, told.get("hidden", 0), repr(parse_latest(told)))
