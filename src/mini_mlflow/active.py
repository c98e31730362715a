"""This thread's active run: starting one, finding it, ending it."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from mini_mlflow import run_stack
from mini_mlflow.disk.keys import check_experiment_id, check_run_id, check_text, new_run_id
from mini_mlflow.entities import FINISHED, RunAddress, Settings
from mini_mlflow.errors import ActiveRunError, NoActiveRunError, RunEndedError
from mini_mlflow.run import Run
from mini_mlflow.writing.start_request import StartRequest


class Wish(NamedTuple):
    """The arguments of a start_run, as the user gave them."""

    run_name: Any = None
    experiment_id: Any = 0
    run_id: Any = None
    version: Any = None
    nested: bool = False


def current_run() -> Optional[Run]:
    """This thread's active run; None if there is none. Runs that this process knows to have ended do not count."""
    stack = run_stack.entries()
    while stack:
        run: Run = stack[-1].run
        if run.is_open():
            return run
        run_stack.discard(run)
    return None


def require_run() -> Run:
    """This thread's active run. Raises NoActiveRunError ("No active run")."""
    run = current_run()
    if run is None:
        raise NoActiveRunError("No active run in this thread: call start_run() first, or run.activate() in a worker")
    return run


def start(root: str, wish: Wish, settings: Settings, opened_by: Any = None) -> Run:
    """A new active run in this thread: created; or, where the id exists, attached to (resumed if it had ended).

    Raises:
        ActiveRunError: "already an active run", unless nested.
        ValueError, TypeError: a bad argument; nothing was made.
        OSError: no run was made, none is active.
    """
    name, version = check_text(wish.run_name, "run_name"), check_text(wish.version, "version")
    experiment_id = check_experiment_id(wish.experiment_id)
    run_id = new_run_id() if wish.run_id is None else check_run_id(wish.run_id)
    parent = _live_run()
    if parent is not None and not wish.nested:
        raise ActiveRunError(
            "There is already an active run in this thread (%s): end it with end_run(), or pass nested=True"
            % parent.run_id
        )
    request = StartRequest(name, version, parent.run_id if parent is not None else None, resume=True)
    run = Run.start(RunAddress(root, experiment_id, run_id), request, settings)
    run_stack.push(run, opened_by)
    return run


def _live_run() -> Optional[Run]:
    """The active run; one that somebody else has ended or removed does not stand in the way."""
    run = current_run()
    while run is not None and not run.lives_on_disk():
        run_stack.discard(run)
        run = current_run()
    return run


def end(status: str = FINISHED) -> None:
    """This thread's active run has ended.

    Raises:
        NoActiveRunError: there is none.
        ValueError: an invalid status, or another process has ended it already; then it is active no more.
        OSError: it has not ended, and is still active.
    """
    run = current_run()
    if run is None:
        raise NoActiveRunError("No active run to end in this thread")
    try:
        run.end(status)
    except RunEndedError:
        run_stack.discard(run)
        raise
