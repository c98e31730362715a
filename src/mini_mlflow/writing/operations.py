"""The closed set of changes a run accepts, made from what a caller passes; and what waits for the disk.

All checking and rendering happens here, in the caller's thread and before anybody waits for a lock: a bad value
fails its own call and nobody else's, and nothing of it ever reaches the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterable, List, Optional, Tuple

from mini_mlflow.disk.keys import check_key
from mini_mlflow.errors import InvalidKeyError, InvalidTypeError, show
from mini_mlflow.formats.commits import Change, MetricChange, RewindChange, ValueChange
from mini_mlflow.formats.times import now_iso, now_ms
from mini_mlflow.formats.values import (
    DELETION,
    dump_number,
    encode_text,
    encode_value,
    to_int,
    to_number,
    to_step,
    to_timestamp,
)

_KIND_NAMES = {"params": "param", "tags": "tag"}
_LIMIT_KNOWN_KEYS = 10_000

# Keys come back at every call: their check and their JSON text are half of what rendering a point would cost.
_known_keys: Dict[str, str] = {}


def _checked(key: Any, kind: str) -> Tuple[str, str]:
    """The key and its JSON text."""
    text = _known_keys.get(key) if type(key) is str else None
    if text is not None:
        return key, text
    checked = check_key(key, "%s key" % kind)
    if len(_known_keys) >= _LIMIT_KNOWN_KEYS:
        _known_keys.clear()
    text = _known_keys[checked] = encode_text(checked)
    return checked, text


class Submission:
    """Changes that wait to be committed together, and what became of them.

    Attributes:
        changes: the changes, in order.
        lines: the same as they will stand in the commit's file.
        settled: True once they are on disk or have failed; from then on nothing here changes.
        error: why they failed; None if they did not.
        done: True once their caller may go on: settled, and the documents that they needed are made.
        gate: what their caller waits at; None if it never had to wait.
        withdrawn: their caller has gone (an interrupt): whoever commits next leaves them out.
    """

    __slots__ = ("changes", "done", "error", "gate", "lines", "settled", "withdrawn")

    def __init__(self, changes: List[Change], lines: List[str]) -> None:
        self.changes = changes
        self.lines = lines
        self.settled = False
        self.withdrawn = False
        self.done = False
        self.gate: Any = None
        self.error: Optional[BaseException] = None


def settle(batch: List[Submission], error: Optional[Exception]) -> None:
    """Those of the batch that are not settled yet are, with ``error``; None: their changes are on disk."""
    for submission in batch:
        if not submission.settled:
            submission.error = error
            submission.settled = True


def metric_submission(key: Any, value: Any, step: Any = None, timestamp: Any = None) -> Submission:
    """One point. Raises InvalidKeyError, InvalidTypeError or InvalidValueError; nothing has happened then."""
    return metrics_submission(
        {key: value} if isinstance(key, str) else {_checked(key, "metric"): value}, step, timestamp
    )


def metrics_submission(metrics: Any, step: Any = None, timestamp: Any = None) -> Submission:
    """A point for each key, all with one step and one timestamp (now, if None). Raises as `metric_submission`."""
    changes: List[Change] = []
    lines = []
    time_ms, step_number, rest = 0, None, ""
    for key, value in _items(metrics, "metrics"):
        # Looked up here and not by _checked: a call costs as much as the rest of a key.
        key_text = _known_keys.get(key) if type(key) is str else None
        if key_text is None:
            key, key_text = _checked(key, "metric")
        number = value if type(value) is float else to_number(value, key)
        if not rest:
            # The same for all; here, so that a bad one is told with a key.
            step_number = None if step is None else to_step(step, key)
            time_ms = now_ms() if timestamp is None else to_timestamp(timestamp, key)
            rest = ", %s, %d]" % ("null" if step_number is None else step_number, time_ms)
        changes.append(MetricChange(key, number, step_number, time_ms))
        lines.append('["metric", ' + key_text + ", " + dump_number(number) + rest)
    return Submission(changes, lines)


def value_submission(kind: str, key: Any, value: Any) -> Submission:
    """One param or tag (``kind``) set to a value. Raises as `metric_submission`."""
    return values_submission(kind, {_checked(key, _KIND_NAMES[kind])[0]: value})


def values_submission(kind: str, values: Any) -> Submission:
    """Params or tags (``kind``) set to values. Raises as `metric_submission`."""
    name = _KIND_NAMES[kind]
    timestamp = now_iso()
    changes: List[Change] = []
    for key, value in _items(values, kind):
        checked, _ = _checked(key, name)
        changes.append(ValueChange(kind, checked, encode_value(value, "%s %r" % (name, checked)), timestamp))
    return Submission(changes, [change.dump() for change in changes])


def rewind_submission(step: Any) -> Submission:
    """Points with a step above ``step``, of all metrics, hidden. Raises as `metric_submission`."""
    change = RewindChange(to_int(step, "step of a rewind"), now_ms())
    return Submission([change], [change.dump()])


def batch_submission(
    points: Iterable[Tuple[Any, Any, Any, Any]] = (),
    params: Any = None,
    tags: Any = None,
    deleted_tags: Iterable[Any] = (),
) -> Submission:
    """Points, params and tags together, for layers whose keys follow another rule: any text but "" is one here.

    Args:
        points: ``(key, value, step, timestamp_ms)``; a step None is the point's position in the history.
        params, tags: key to value; None for none.
        deleted_tags: the keys of tags that are no more; after ``tags``.

    Raises: as `metric_submission`.
    """
    timestamp = now_iso()
    changes: List[Change] = []
    for key, value, step, time_ms in points:
        key = _any_key(key, "metric")
        changes.append(MetricChange(key, to_number(value, key), to_step(step, key), to_timestamp(time_ms, key)))
    for kind, values in (("params", params), ("tags", tags)):
        for key, value in _items({} if values is None else values, kind):
            key = _any_key(key, _KIND_NAMES[kind])
            encoded = encode_value(value, "%s %r" % (_KIND_NAMES[kind], key))
            changes.append(ValueChange(kind, key, encoded, timestamp))
    changes += [ValueChange("tags", _any_key(key, "tag"), DELETION, timestamp) for key in deleted_tags]
    return Submission(changes, [change.dump() for change in changes])


def _any_key(key: Any, kind: str) -> str:
    if not isinstance(key, str):
        raise InvalidTypeError("%s key must be a str, not %s: %s" % (kind, type(key).__name__, show(key)))
    if not key:
        raise InvalidKeyError("%s key cannot be empty" % kind)
    return str.__str__(key)


def _items(values: Any, what: str) -> List[Tuple[Any, Any]]:
    if not isinstance(values, Mapping):
        raise InvalidTypeError("%s must be a dict of key to value, not %s" % (what, type(values).__name__))
    return list(values.items())
