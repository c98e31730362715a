"""MLflow with its file store, which is in maintenance mode and asks to be allowed."""

from __future__ import annotations

import time
from typing import Any, Dict, List

from stress.bench.peers.contract import Peer

SETTINGS = {
    # https://mlflow.org/docs/latest/community/usage-tracking
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # The exception that the file store raises from 3.13 on names this variable.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Adapter(Peer):
    """``MlflowClient``, for those who log to a run by its id, from several threads and processes.

    https://mlflow.org/docs/latest/python_api/mlflow.client.html
    """

    label = "MLflow, files"
    environment = "mlflow"
    # The newest whose parts are all on the index: 3.18.0 pins an mlflow-skinny that is not.
    requirements = ("mlflow==3.17.*",)
    settings = SETTINGS
    imports = "import mlflow"

    def __init__(self, folder: str) -> None:
        import mlflow

        self._entities: Any = mlflow.entities
        self._client: Any = mlflow.MlflowClient(tracking_uri=self.uri(folder))

    def uri(self, folder: str) -> str:
        """Where it stores."""
        return f"file://{folder}/mlruns"

    def start(self, params: Dict[str, Any]) -> Any:
        run = self._client.create_run("0")
        for key, value in params.items():
            self._client.log_param(run.info.run_id, key, value)
        return run.info.run_id

    def name(self, run: Any) -> str:
        return str(run)

    def attach(self, name: str) -> Any:
        return name

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        self._client.log_metric(run, key, value, step=step)

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metric = self._entities.Metric
        self._client.log_batch(run, metrics=[metric(key, value, now, step) for key, value in values.items()])

    def end(self, run: Any) -> None:
        self._client.set_terminated(run)

    def names(self) -> List[str]:
        found: List[str] = []
        token = None
        while True:
            page = self._client.search_runs(["0"], max_results=1000, page_token=token)
            found += [run.info.run_id for run in page]
            token = page.token
            if not token:
                return found

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        data = self._client.get_run(name).data
        return {"params": data.params, "metrics": data.metrics}

    def points(self, name: str, key: str) -> List[float]:
        return [point.value for point in self._client.get_metric_history(name, key)]
