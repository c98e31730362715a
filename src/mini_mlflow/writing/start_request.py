"""What is asked for when a run is started."""

from __future__ import annotations

from typing import NamedTuple, Optional


class StartRequest(NamedTuple):
    """What to do about a run id.

    Attributes:
        name, version, parent_run_id: recorded if the run is created; None where not given.
        resume: a run that has ended goes on (else it is attached to as it is).
        create: a run that does not exist is created (else RunNotFoundError).
    """

    name: Optional[str] = None
    version: Optional[str] = None
    parent_run_id: Optional[str] = None
    resume: bool = False
    create: bool = True
