"""A run: the object that everything is logged to. Safe to share between threads; pickles as what names it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Iterator, Mapping, Optional, Tuple, Type

from mini_mlflow import run_stack
from mini_mlflow.disk.keys import check_experiment_id, check_run_id, check_text, new_run_id
from mini_mlflow.disk.layout import resolve_root
from mini_mlflow.entities import END_STATUSES, FAILED, FINISHED, RUNNING, RunAddress, Settings, resolve_settings
from mini_mlflow.errors import (
    InvalidValueError,
    MiniMlflowError,
    RunEndedError,
    UnfinishedRunWarning,
)
from mini_mlflow.run_artifacts import ArtifactMethods
from mini_mlflow.run_rewinding import RewindMethods
from mini_mlflow.run_tags import TagMethods
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.operations import (
    Submission,
    metric_submission,
    metrics_submission,
    value_submission,
    values_submission,
)
from mini_mlflow.writing.run_state import read_state
from mini_mlflow.writing.seen import Seen
from mini_mlflow.writing.start_request import StartRequest


class Run(ArtifactMethods, RewindMethods, TagMethods):
    """A run on disk, open for logging.

    ``Run(...)`` creates the run; with the id of a run that exists it attaches to it: the same metadata, several
    processes may log to one run so. When a log call returns, the value is on disk, whole. A run that this process
    started and never ended is ended when the interpreter exits.

    Args:
        run_id: an id of your own (the rule is that of keys); None draws one.
        experiment_id: an int >= 0, or its decimal str.
        name: for people; None for no name.
        version: such as ``"v1.0"``; None for none.
        runs_dir: the tree; made if it is not there. The run keeps its absolute path.
        fsync: "end", "always" or "never": which power cuts a value survives (see README). None: the environment
            variable ``MINI_MLFLOW_FSYNC``, else "end".
        lock_timeout_s: seconds a call waits for other processes before LockTimeout. None:
            ``MINI_MLFLOW_LOCK_TIMEOUT_S``, else 60.

    Raises:
        ValueError, TypeError: a bad argument; nothing was made.
        OSError: the tree cannot be written (LockTimeout among them); no run was made.
    """

    def __init__(
        self,
        run_id: Optional[str] = None,
        experiment_id: Any = 0,
        name: Optional[str] = None,
        version: Optional[str] = None,
        runs_dir: Any = "mlruns",
        *,
        fsync: Optional[str] = None,
        lock_timeout_s: Optional[float] = None,
    ) -> None:
        address = RunAddress(
            resolve_root(runs_dir),
            check_experiment_id(experiment_id),
            new_run_id() if run_id is None else check_run_id(run_id),
        )
        request = StartRequest(check_text(name, "name"), check_text(version, "version"))
        settings = resolve_settings(fsync, lock_timeout_s)
        self._settle_down(address, settings, lifecycle.start(address, request, settings))

    @classmethod
    def start(cls, address: RunAddress, request: StartRequest, settings: Settings) -> Run:
        """The run at a checked address, as the request says; for the layers above. Raises as `lifecycle.start`."""
        run = cls.__new__(cls)
        run._settle_down(address, settings, lifecycle.start(address, request, settings))
        return run

    def _settle_down(self, address: RunAddress, settings: Settings, open_run: Optional[OpenRun]) -> None:
        self._address = address
        self._settings = settings
        self._open_run = open_run

    def __reduce__(self) -> Tuple[Any, ...]:
        return _reopen, (tuple(self._address), tuple(self._settings))

    def _opened(self) -> OpenRun:
        """The committer; a run that came through pickle attaches here, at its first use."""
        if self._open_run is None:
            self._open_run = lifecycle.start(self._address, StartRequest(create=False), self._settings)
        return self._open_run

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """The id; also the name of its folder."""
        return self._address.run_id

    @property
    def experiment_id(self) -> int:
        """The experiment's id."""
        return self._address.experiment_id

    @property
    def runs_dir(self) -> str:
        """The absolute path of the tree."""
        return self._address.root

    @property
    def name(self) -> Optional[str]:
        """The name for people; None if it has none."""
        return self._recorded("name")

    @property
    def version(self) -> Optional[str]:
        """The version; None if it has none."""
        return self._recorded("version")

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED, as this process last learned it (a log call learns of an end)."""
        return self._recorded("status") or RUNNING

    @property
    def start_time(self) -> str:
        """When it was created: ISO 8601, UTC."""
        return self._recorded("start_time") or ""

    @property
    def end_time(self) -> Optional[str]:
        """When it ended: ISO 8601, UTC; None while it runs."""
        return self._recorded("end_time")

    @property
    def parent_run_id(self) -> Optional[str]:
        """The run that was active when this one was started with ``nested=True``; None if there was none."""
        return self._recorded("parent_run_id")

    def _recorded(self, field: str) -> Optional[str]:
        value = self._opened().meta.get(field)
        return None if value is None else str(value)

    def __repr__(self) -> str:
        meta = self._open_run.meta if self._open_run is not None else {}
        return "Run(run_id=%r, experiment_id=%d, name=%r, status=%r)" % (
            self.run_id,
            self.experiment_id,
            meta.get("name"),
            meta.get("status"),
        )

    # -- logging -----------------------------------------------------------------------------------------------

    def log_param(self, key: str, value: Any) -> None:
        """The param ``key`` is ``value``, on disk; the last write wins.

        Args:
            key: a non-empty str that could name a file anywhere, at most 200 bytes.
            value: any JSON value, its type kept (a tuple becomes a list); numpy and torch scalars and arrays become
                their Python values.

        Raises:
            ValueError, TypeError: a bad key or value; nothing was stored.
            RunEndedError: "Cannot log": the run has ended, here or in another process; nothing was stored.
            OSError: the disk refused (``filename`` says what), or LockTimeout; the earlier state stands.
        """
        self._submit(value_submission("params", key, value))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """All of ``params`` are on disk, in one commit: all of them or none. Raises as `log_param`."""
        self._submit(values_submission("params", params))

    def log_metric(self, key: str, value: Any, step: Optional[int] = None, timestamp: Optional[int] = None) -> None:
        """The metric ``key`` has one more point, on disk.

        Args:
            key: as for `log_param`.
            value: a real number (int, float, numpy or torch scalar), stored as float; NaN and infinities are data.
            step: any int, need not increase; None is the point's position in the metric's history.
            timestamp: milliseconds since the epoch; None is now.

        Raises:
            ValueError, TypeError, RunEndedError, OSError: as `log_param`; no point was stored.
        """
        self._submit(metric_submission(key, value, step, timestamp))

    def log_metrics(
        self, metrics: Mapping[str, Any], step: Optional[int] = None, timestamp: Optional[int] = None
    ) -> None:
        """Each of ``metrics`` has one more point, on disk, in one commit: all of them or none. As `log_metric`."""
        self._submit(metrics_submission(metrics, step, timestamp))

    def _submit(self, submission: Submission) -> None:
        (self._open_run or self._opened()).submit(submission)

    def flush(self) -> None:
        """Every document under ``params/``, ``metrics/`` and ``tags/`` holds all that was logged until now.

        What was logged is on disk already; this is for programs that read those files on their own. With fsync
        "end" or "always", all of it survives a power cut from here on.

        Raises:
            RunEndedError: the run has ended; its documents are complete.
            OSError: a document could not be written; nothing that was logged is lost.
        """
        run = self._opened()
        if run.ended:
            raise RunEndedError("Cannot flush run %r: it has ended with status %s" % (self.run_id, self.status))
        run.group.run_alone(run.files.flush)

    # -- its end -----------------------------------------------------------------------------------------------

    def end(self, status: str = FINISHED) -> None:
        """The run has ended with ``status``; it is not any thread's active run any more.

        Args:
            status: "FINISHED", "FAILED" or "KILLED".

        Raises:
            ValueError: "Invalid status", or "already ended" (also when another process ended it).
            OSError: the disk refused, or LockTimeout; the run has not ended, and `end` may be called again.
        """
        if status not in END_STATUSES:
            raise InvalidValueError("Invalid status %r: use one of %s" % (status, ", ".join(END_STATUSES)))
        lifecycle.end(self._opened(), status)
        run_stack.discard(self)

    def is_open(self) -> bool:
        """False once this process knows that the run has ended."""
        return not self._opened().ended

    def lives_on_disk(self) -> bool:
        """False if the run has ended or is gone, whoever did it; asks the disk."""
        run = self._opened()
        try:
            return not run.ended and read_state(run.paths, Seen()).get("status", RUNNING) == RUNNING
        except (OSError, MiniMlflowError):
            return False

    @contextmanager
    def activate(self) -> Iterator[Run]:
        """For the ``with`` block, this run is the thread's active run, whatever was active before.

        For worker threads that are handed a run. The run is not ended by leaving the block.
        """
        opener = object()
        run_stack.push(self, opener)
        try:
            yield self
        finally:
            run_stack.pop_opened_by(opener)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """The run has ended, FAILED if an exception leaves the block; a run ended inside the block is left alone."""
        try:
            if self.is_open():
                self.end(FINISHED if exc_type is None else FAILED)
        except RunEndedError:
            pass
        except (OSError, MiniMlflowError) as error:
            if exc_type is None:
                raise
            # The exception that leaves the block is what the user must see.
            warnings.warn("run %r was left open: %s" % (self.run_id, error), UnfinishedRunWarning, stacklevel=2)
        finally:
            run_stack.discard(self)


def _reopen(address: Tuple[Any, ...], settings: Tuple[Any, ...]) -> Run:
    run = Run.__new__(Run)
    run._settle_down(RunAddress(*address), Settings(*settings), None)
    return run
