"""What a tracking server answers, as a push wants it: experiments, runs, and that it does not take something."""

from __future__ import annotations

from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple

from mini_mlflow.errors import MiniMlflowError


class RefusedError(MiniMlflowError, ValueError):
    """The server answered that it does not take something; the message is the server's."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message

    @property
    def may_pass(self) -> bool:
        """Whether it is the server that is to blame, which may do better another time."""
        return self.code == "INTERNAL_ERROR" or self.code.startswith("HTTP 5")


class ServerExperiment(NamedTuple):
    """An experiment of the server."""

    experiment_id: str
    name: str
    is_deleted: bool
    tags: Dict[str, str]


class ServerRun(NamedTuple):
    """A run of the server, without its histories; times in milliseconds since the epoch."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_ms: Optional[int]
    end_ms: Optional[int]
    is_deleted: bool
    artifact_uri: str
    params: Dict[str, str]
    tags: Dict[str, str]
    metric_keys: FrozenSet[str]
    inputs: FrozenSet[Tuple[str, str]]
