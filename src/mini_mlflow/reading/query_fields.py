"""What a filter or an order may look at: metrics, params, tags and attributes, of runs or of something else. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.formats.times import iso_to_ms

METRICS, PARAMS, TAGS, ATTRIBUTES = "metrics", "params", "tags", "attributes"

#: The attributes; beside those of `FoundRun`, what `writing.origin` records.
NAMES = (
    "run_id experiment_id name version status start_time end_time parent_run_id "
    "user host pid python script git_commit git_dirty"
).split()
TIMES = ("start_time", "end_time", "creation_time", "last_update_time")

# What a name begins with, as MLflow takes it, and what that means.
_KINDS = {
    **dict.fromkeys(("metric", "metrics"), METRICS),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), PARAMS),
    **dict.fromkeys(("tag", "tags"), TAGS),
    **dict.fromkeys(("attr", "attribute", "attributes", "run"), ATTRIBUTES),
}
_ALIASES = {"run_name": "name", "run name": "name", "created": "start_time", "user_id": "user", "id": "run_id"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\Z")


class Subject(NamedTuple):
    """What is searched.

    Attributes:
        noun: what one of them is called.
        kinds: which of METRICS, PARAMS, TAGS and ATTRIBUTES they have.
        names: their attributes.
        such_as: examples of names, for messages.
    """

    noun: str
    kinds: Tuple[str, ...]
    names: Sequence[str]
    such_as: str


RUNS = Subject("a run", (METRICS, PARAMS, TAGS, ATTRIBUTES), NAMES, "metrics.loss, params.lr, tags.stage or status")


class Field(NamedTuple):
    """One thing to look at: its kind (METRICS, PARAMS, TAGS or ATTRIBUTES) and its key."""

    kind: str
    key: str

    @property
    def is_time(self) -> bool:
        """True for the attributes that are times."""
        return self.kind == ATTRIBUTES and self.key in TIMES


def find_field(kind: str, key: str, subject: Subject = RUNS) -> Tuple[Optional[Field], str]:
    """The field that a name means, or None and what is wrong with the name.

    Args:
        kind: what stands before the dot; "" where there is no dot, which makes it an attribute.
        key: what stands behind it.
    """
    known = _KINDS.get(kind.lower()) if kind else ATTRIBUTES
    if known not in subject.kinds:
        return None, "expected %s before the dot, found %.40s" % (_either(subject.kinds), kind)
    if known != ATTRIBUTES:
        return Field(known, key), ""
    lowered = key.lower()
    name = _ALIASES.get(lowered, lowered)
    if name in subject.names:
        return Field(ATTRIBUTES, name), ""
    import difflib  # 2 ms, for a message

    problem = "%.40s is no attribute of %s: " % (key, subject.noun)
    near = difflib.get_close_matches(name, subject.names, 1)
    if near:
        return None, problem + "did you mean %s?" % near[0]
    longer = ["%s.%.40s" % (kind, key) for kind in subject.kinds if kind != ATTRIBUTES]
    return None, problem + "write %s, or one of %s" % (_either(longer), ", ".join(subject.names))


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def to_time_ms(value: Any) -> Any:
    """Milliseconds since the epoch of a number of them, or of a text that is an ISO 8601 time in UTC; None of another.

    A date stands for its midnight, and seconds may be left out.
    """
    if isinstance(value, (int, float)):
        return value
    if _DAY.match(value):
        value += "T00:00"
    return iso_to_ms(value + ":00" if _MINUTE.match(value) else value)
