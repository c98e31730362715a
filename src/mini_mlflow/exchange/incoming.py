"""What comes in, whoever wrote it: experiments and runs as their readers hand them to `exchange.storing`.

Values of a run are in memory, its points are not: they come one by one, a metric after the other.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from mini_mlflow.entities import Point

#: What a run says of its process. Where nobody knows, None says so: what is left out is filled in by the import's own.
ORIGIN = ("user", "host", "pid", "python", "script", "git_commit", "git_dirty")

#: A metric's key and its points, which must be taken before the next metric is asked for.
Metric = Tuple[str, Iterator[Point]]


class IncomingValue(NamedTuple):
    """A param or a tag, and when it was set, in milliseconds since the epoch; None where nobody knows."""

    value: Any
    changed_ms: Optional[int] = None


Values = Dict[str, IncomingValue]


class IncomingExperiment(NamedTuple):
    """An experiment of the source.

    Attributes:
        number: the id that it has there, and is to have here; None where that is no number.
        name: None if it has none.
        tags: key to value.
        creation_time, last_update_time: ISO 8601; None where nobody knows.
        artifact_location: only where that is not on a file system (``s3://…``).
        is_deleted: it is to be deleted here too.
    """

    number: Optional[int]
    name: Optional[str]
    tags: Dict[str, Any]
    creation_time: Optional[str] = None
    last_update_time: Optional[str] = None
    artifact_location: Optional[str] = None
    is_deleted: bool = False


class IncomingRun(NamedTuple):
    """A run of the source.

    Attributes:
        run_id: the id that it has here.
        source: where it stands, for messages.
        name, parent_run_id: None if it has none.
        status: one of ours; CRASHED is stored as a run whose owner is gone.
        start_time, end_time: ISO 8601; end_time None while it is open.
        meta: further fields of its metadata.
        params, tags: its values.
        metrics: called to read its points from the start.
        artifacts: the folder of its artifacts; None if there is none.
        is_deleted: it is to lie in the trash.
        is_distinct: a point that comes twice is one point. False: it was logged twice.
        has_times: the timestamps of its points are its own; False: they mean nothing, and tell no two points apart.
    """

    run_id: str
    source: str
    name: Optional[str]
    status: str
    start_time: Optional[str]
    end_time: Optional[str]
    parent_run_id: Optional[str]
    meta: Dict[str, Any]
    params: Values
    tags: Values
    metrics: Callable[[], Iterator[Metric]]
    artifacts: Optional[str] = None
    is_deleted: bool = False
    is_distinct: bool = True
    has_times: bool = True
