"""What is asked for when a run is started, and what is recorded of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional

from mini_mlflow.entities import FORMAT, RUNNING, RunAddress
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing.origin import collect_origin

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class StartRequest(NamedTuple):
    """What to do about a run id.

    Attributes:
        name, version, parent_run_id: recorded if the run is created; None where not given.
        resume: a run that has ended goes on (else it is attached to as it is).
        create: a run that does not exist is created (else RunNotFoundError).
        start_time: recorded if the run is created: ISO 8601 in UTC; None is now.
        meta: further fields of ``meta.yaml`` if the run is created; they override what is recorded without being asked.
        take_ownership: this process owns a run that it creates or resumes, or whose owner is dead: readers see RUNNING
            while it lives. With False nobody owns the run that is created or resumed; ``meta.yaml`` says ``owned:
            false``, and readers see RUNNING until somebody ends it.
        end_at_exit: this process, if it owns the run, ends it when it exits; with False, the run reads CRASHED then.
    """

    name: Optional[str] = None
    version: Optional[str] = None
    parent_run_id: Optional[str] = None
    resume: bool = False
    create: bool = True
    start_time: Optional[str] = None
    meta: Mapping[str, Any] = _NOTHING
    take_ownership: bool = True
    end_at_exit: bool = True


def compose_meta(address: RunAddress, request: StartRequest) -> Dict[str, Any]:
    """What ``meta.yaml`` says of the run that the request creates at ``address``."""
    return {
        "run_id": address.run_id,
        "experiment_id": address.experiment_id,
        "name": request.name,
        "version": request.version,
        "status": RUNNING,
        "start_time": request.start_time or now_iso(),
        "end_time": None,
        "parent_run_id": request.parent_run_id,
        **collect_origin(),
        **request.meta,
        **({} if request.take_ownership else {"owned": False}),
        "format": FORMAT,
    }
