"""A server that is only asked: what would change it is swallowed, and the rest goes on as if it had been done."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional, Sequence

from mini_mlflow.entities import RUNNING
from mini_mlflow.exchange.server_answers import ServerExperiment, ServerRun


class DryRun:
    """In front of a server as `mlflow_server.MlflowServer`; reading goes through."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.to = server.to

    def __getattr__(self, name: str) -> Any:
        if name == "read_history":
            return self._server.read_history
        if name.startswith("__"):
            raise AttributeError(name)
        return _do_nothing

    def find_experiment(self, name: str) -> Optional[ServerExperiment]:
        return self._server.find_experiment(name) or ServerExperiment("", name, False, {})

    def create_run(self, experiment_id: str, start_ms: Optional[int], name: str, tags: Dict[str, str]) -> ServerRun:
        where = "mlflow-artifacts:/"
        told: Any = (RUNNING, start_ms, None, False, where, {}, dict(tags), frozenset(), frozenset())
        return ServerRun("", experiment_id, name, *told)

    def get_run(self, run_id: str) -> Optional[ServerRun]:
        found: Optional[ServerRun] = self._server.get_run(run_id) if run_id else None
        return found

    def find_runs(self, experiment_ids: Sequence[str], run_id: Optional[str]) -> Iterator[ServerRun]:
        # What would be made has no id yet, and nothing in it.
        yield from self._server.find_runs([one for one in experiment_ids if one], run_id)


def _do_nothing(*_: Any, **__: Any) -> None:
    return None
