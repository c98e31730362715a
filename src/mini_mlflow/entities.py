"""The vocabulary: statuses, settings, points and addresses, as values that cannot change."""

from __future__ import annotations

import operator
import os
from typing import Any, Dict, NamedTuple, Optional

from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show

RUNNING = "RUNNING"
FINISHED = "FINISHED"
FAILED = "FAILED"
KILLED = "KILLED"
#: What a reader reports of a run that says RUNNING although its owner is gone. Never written.
CRASHED = "CRASHED"
#: The same where this host cannot tell, since the owner lives on another one. Never written.
UNKNOWN = "UNKNOWN"

END_STATUSES = (FINISHED, FAILED, KILLED)

#: The stages of an experiment's life.
ACTIVE, DELETED = "active", "deleted"

#: The format that this version writes into ``meta.yaml`` and ``snapshot.json``.
FORMAT = 1

_BOOLS = ("bool", "bool_")
FSYNC_LEVELS = ("end", "always", "never")


class Point(NamedTuple):
    """One point of a metric's history.

    Attributes:
        step: the step it was logged with; its position in the history (from 0) where none was given.
        value: the value; NaN and the infinities are ordinary values.
        timestamp: milliseconds since the epoch, UTC.
    """

    step: int
    value: float
    timestamp: int


class Experiment(NamedTuple):
    """An experiment as a reader sees it.

    Attributes:
        experiment_id: its folder's name.
        name: unique in the tree, deleted experiments included; None if it has none: runs were started under the
            number alone.
        tags: key to value.
        creation_time: when the name was given, ISO 8601 in UTC; None if it has none, and for "Default".
        artifact_location: the URI below which MLflow keeps artifacts of new runs; None: in the tree.
        lifecycle_stage: "active" or "deleted".
        last_update_time: when it was last renamed, tagged, deleted or restored, as creation_time; None if never.
    """

    experiment_id: int
    name: Optional[str]
    tags: Dict[str, Any]
    creation_time: Optional[str]
    artifact_location: Optional[str] = None
    lifecycle_stage: str = ACTIVE
    last_update_time: Optional[str] = None


class DeletedRun(NamedTuple):
    """A run in the trash.

    Attributes:
        deleted_at: ISO 8601 in UTC; None if the file that says so cannot be read.
        name, status, start_time: as in its metadata, the status as it is stored; None where that cannot be read.
    """

    run_id: str
    experiment_id: int
    deleted_at: Optional[str]
    name: Optional[str] = None
    status: Optional[str] = None
    start_time: Optional[str] = None


class FileInfo(NamedTuple):
    """An artifact, as a listing shows it.

    Attributes:
        path: relative to the run's artifacts, with "/" between names, on every system.
        is_dir: True for a folder.
        file_size: in bytes; None for a folder.
    """

    path: str
    is_dir: bool
    file_size: Optional[int]


class RunAddress(NamedTuple):
    """Where a run stands: an absolute tree, an experiment's folder name, a run id. Already checked."""

    root: str
    experiment_id: int
    run_id: str


class Settings(NamedTuple):
    """How hard a run tries.

    Attributes:
        fsync: ``"end"`` (an ended run survives a power cut), ``"always"`` (every returned call does) or ``"never"``.
        lock_timeout_s: seconds that a call waits for the run's lock before it raises LockTimeout; always finite.
    """

    fsync: str = "end"
    lock_timeout_s: float = 60.0


def resolve_settings(fsync: Optional[str] = None, lock_timeout_s: Optional[float] = None) -> Settings:
    """The settings that hold: the arguments, else the environment, else the defaults.

    The variables are ``MINI_MLFLOW_FSYNC`` and ``MINI_MLFLOW_LOCK_TIMEOUT_S``; an empty one counts as not set.

    Raises:
        InvalidValueError: an unknown level, or a timeout that is not a finite number above zero.
        InvalidTypeError: ``fsync`` is not a str, or the timeout not a number.
    """
    level = fsync if fsync is not None else os.environ.get("MINI_MLFLOW_FSYNC") or "end"
    if not isinstance(level, str):
        raise InvalidTypeError("fsync must be a str, one of %s, not %s" % (FSYNC_LEVELS, type(level).__name__))
    if level not in FSYNC_LEVELS:
        raise InvalidValueError("fsync must be one of %s, not %r" % (", ".join(map(repr, FSYNC_LEVELS)), level))
    timeout = lock_timeout_s if lock_timeout_s is not None else os.environ.get("MINI_MLFLOW_LOCK_TIMEOUT_S") or 60.0
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float, str)):
        raise InvalidTypeError("lock_timeout_s must be a number of seconds, not %s" % type(timeout).__name__)
    try:
        seconds = float(timeout)
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0.0 < seconds < 1e9:
        raise InvalidValueError("lock_timeout_s must be a finite number of seconds above 0, not %r" % (timeout,))
    return Settings(level, seconds)


def check_int(value: Any, what: str) -> int:
    """``value`` as an int, if it is one or a numpy integer; ``what`` names it in the message.

    Raises:
        InvalidTypeError: anything else. A bool is none, nor is numpy's, which numpy 1 still lets pass for one.
    """
    if not hasattr(type(value), "__index__") or type(value).__name__ in _BOOLS:
        raise InvalidTypeError("%s must be an int, not %s: %s" % (what, type(value).__name__, show(value)))
    try:
        return int(operator.index(value))
    except TypeError:
        # An array of one has the method too, and refuses.
        raise InvalidTypeError("%s must be an int, not %s" % (what, type(value).__name__)) from None
