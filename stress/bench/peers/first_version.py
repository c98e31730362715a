"""mini-mlflow 0.1.0, the older package of the same name in the package index."""

from __future__ import annotations

from typing import Any, Dict, List

from stress.bench.peers.contract import Peer


class Adapter(Peer):
    """As the docstring of its package shows: ``Run`` with ``log_param`` and ``log_metric``; it has no batches.

    It keeps one value a metric. A ``Run`` with an id that exists starts it anew: all that it has for attaching.
    """

    label = "mini-mlflow 0.1.0"
    environment = "mini-mlflow-0.1.0"
    requirements = ("mini-mlflow==0.1.0",)
    imports = "import mini_mlflow"
    keeps_history = False

    def __init__(self, folder: str) -> None:
        import mini_mlflow

        self._run: Any = mini_mlflow.Run
        self._folder = folder
        self._tracker: Any = mini_mlflow.ExperimentTracker(runs_dir=folder)

    def start(self, params: Dict[str, Any]) -> Any:
        run = self._run(runs_dir=self._folder)
        for key, value in params.items():
            run.log_param(key, value)
        return run

    def name(self, run: Any) -> str:
        return str(run.run_id)

    def attach(self, name: str) -> Any:
        return self._run(run_id=name, runs_dir=self._folder)

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.log_metric(key, value)

    def end(self, run: Any) -> None:
        run.end()

    def names(self) -> List[str]:
        return list(self._tracker.list_runs())

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        run: Dict[str, Dict[str, Any]] = self._tracker.get_run(name)
        return run

    def points(self, name: str, key: str) -> List[float]:
        metrics = self.read(name)["metrics"]
        return [metrics[key]] if key in metrics else []
