"""trackio without a Space: a SQLite database in ``TRACKIO_DIR``, written by a thread of each run."""

from __future__ import annotations

import os
import uuid
from typing import Any, Dict, List

from stress.bench.peers.contract import Peer

PROJECT = "bench"


class Adapter(Peer):
    """``init``, ``log`` of a dict, ``finish``, as in https://huggingface.co/docs/trackio/track; it sends no telemetry.

    Other processes join by ``init(name=..., resume="allow")``, as its reference has it. Params are the run's config.
    Histories are read through the storage class that its own ``Api`` and command line use.
    """

    label = "trackio"
    environment = "trackio"
    requirements = ("trackio",)
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    imports = "import trackio"
    queues = True

    def __init__(self, folder: str) -> None:
        os.environ["TRACKIO_DIR"] = folder  # read when it is imported
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        self._trackio: Any = trackio
        self._storage: Any = SQLiteStorage

    def _init(self, name: str, config: Dict[str, Any]) -> Any:
        # System metrics are off: they are not part of the work.
        return self._trackio.init(
            project=PROJECT, name=name, config=config, resume="allow", auto_log_gpu=False, auto_log_cpu=False
        )

    def start(self, params: Dict[str, Any]) -> Any:
        return self._init(uuid.uuid4().hex, params)

    def name(self, run: Any) -> str:
        return str(run.name)

    def attach(self, name: str) -> Any:
        return self._init(name, {})

    def leave(self, run: Any) -> None:
        run.finish()

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.log({key: value}, step=step)

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        run.log(values, step=step)

    def end(self, run: Any) -> None:
        run.finish()

    def names(self) -> List[str]:
        return [run.name for run in self._trackio.Api().runs(PROJECT)]

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        config = self._storage.get_run_config(PROJECT, name) or {}
        metrics: Dict[str, Any] = {}
        for entry in self._storage.get_logs(PROJECT, name):
            metrics.update(entry)
        return {"params": _own(config), "metrics": _own(metrics)}

    def points(self, name: str, key: str) -> List[float]:
        return [entry[key] for entry in self._storage.get_logs(PROJECT, name) if key in entry]


def _own(entry: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in entry.items() if key.startswith(("param", "metric"))}
