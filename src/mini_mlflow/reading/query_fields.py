"""What a filter or an order may look at: metrics, params, tags, and the attributes of a run. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional, Tuple

from mini_mlflow.formats.times import iso_to_ms

METRICS, PARAMS, TAGS, ATTRIBUTES = "metrics", "params", "tags", "attributes"

#: The attributes; beside those of `FoundRun`, what `writing.origin` records.
NAMES = (
    "run_id experiment_id name version status start_time end_time parent_run_id "
    "user host pid python script git_commit git_dirty"
).split()
TIMES = ("start_time", "end_time")

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


class Field(NamedTuple):
    """One thing to look at: its kind (METRICS, PARAMS, TAGS or ATTRIBUTES) and its key."""

    kind: str
    key: str

    @property
    def is_time(self) -> bool:
        """True for the attributes that are times."""
        return self.kind == ATTRIBUTES and self.key in TIMES


def find_field(kind: str, key: str) -> Tuple[Optional[Field], str]:
    """The field that a name means, or None and what is wrong with the name.

    Args:
        kind: what stands before the dot; "" where there is no dot, which makes it an attribute.
        key: what stands behind it.
    """
    known = _KINDS.get(kind.lower()) if kind else ATTRIBUTES
    if known is None:
        return None, "expected metrics, params, tags or attributes before the dot, found %.40s" % kind
    if known != ATTRIBUTES:
        return Field(known, key), ""
    lowered = key.lower()
    name = _ALIASES.get(lowered, lowered)
    if name in NAMES:
        return Field(ATTRIBUTES, name), ""
    import difflib  # 2 ms, for a message

    near = difflib.get_close_matches(name, NAMES, 1)
    if near:
        return None, "%.40s is no attribute of a run: did you mean %s?" % (key, near[0])
    problem = "{0:.40} is no attribute of a run: write metrics.{0:.40}, params.{0:.40} or tags.{0:.40}, or one of {1}"
    return None, problem.format(key, ", ".join(NAMES))


def to_time_ms(value: Any) -> Any:
    """Milliseconds since the epoch of a number of them, or of a text that is an ISO 8601 time in UTC; None of another.

    A date stands for its midnight, and seconds may be left out.
    """
    if isinstance(value, (int, float)):
        return value
    if _DAY.match(value):
        value += "T00:00"
    return iso_to_ms(value + ":00" if _MINUTE.match(value) else value)
