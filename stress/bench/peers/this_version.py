"""mini_mlflow as it stands in this checkout."""

from __future__ import annotations

from typing import Any, Dict, List

from stress.bench.peers.contract import Peer


class Adapter(Peer):
    """As its README has it: runs of a tracker, attached to by id from other processes."""

    label = "mini_mlflow"
    imports = "from mini_mlflow import ExperimentTracker"

    def __init__(self, folder: str) -> None:
        import mini_mlflow

        self._package = mini_mlflow
        self._folder = folder
        self._tracker = mini_mlflow.ExperimentTracker(runs_dir=folder)

    def start(self, params: Dict[str, Any]) -> Any:
        run = self._package.Run(runs_dir=self._folder)
        for key, value in params.items():
            run.log_param(key, value)
        return run

    def name(self, run: Any) -> str:
        return str(run.run_id)

    def attach(self, name: str) -> Any:
        return self._package.Run(run_id=name, runs_dir=self._folder)

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.log_metric(key, value, step)

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        run.log_metrics(values, step)

    def end(self, run: Any) -> None:
        run.end()

    def names(self) -> List[str]:
        return list(self._tracker.list_runs())

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        return self._tracker.get_run(name)

    def points(self, name: str, key: str) -> List[float]:
        return [point.value for point in self._tracker.get_metric_history(name, key)]
