"""Sacred with its FileStorageObserver: JSON files, rewritten every ten seconds and at the end."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, Dict, List

from stress.bench.peers.contract import SHARED, Peer


class _Running:
    """A run, inside the thread that Sacred runs its main function in."""

    def __init__(self, experiment: Any) -> None:
        self.run: Any = None
        self._started, self._over = threading.Event(), threading.Event()
        self._experiment = experiment

        # Sacred sets attributes on the function that it is given: a bound method takes none.
        def main(_run: Any) -> None:
            self.run = _run
            self._started.set()
            self._over.wait()

        experiment.main(main)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        self._started.wait()
        if self.run is None:
            raise RuntimeError("the run did not start")

    def _work(self) -> None:
        try:
            self._experiment.run()
        finally:
            self._started.set()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


class Adapter(Peer):
    """``log_scalar`` on the run, https://sacred.readthedocs.io/en/stable/collected_information.html#metrics-api

    A run is the call of a main function and params are its config, fixed when it starts. What is printed is not
    captured, as its settings advise for threads. Its files are JSON and are read as such. It sends no telemetry.
    """

    label = "Sacred, files"
    environment = "sacred"
    requirements = ("sacred", "setuptools<81")
    imports = "import sacred"
    cannot = {SHARED: "a run belongs to one process"}
    queues = True

    def __init__(self, folder: str) -> None:
        import sacred
        from sacred.observers import FileStorageObserver

        sacred.SETTINGS.CAPTURE_MODE = "no"
        self._experiment: Any = sacred.Experiment
        self._observer: Any = FileStorageObserver
        self._folder = folder

    def start(self, params: Dict[str, Any]) -> Any:
        experiment = self._experiment("bench", interactive=True, save_git_info=False)
        experiment.observers.append(self._observer(self._folder))
        experiment.add_config(params)
        return _Running(experiment)

    def name(self, run: Any) -> str:
        return str(run.run._id)

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.run.log_scalar(key, value, step)

    def end(self, run: Any) -> None:
        run.end()

    def names(self) -> List[str]:
        return [name for name in os.listdir(self._folder) if name.isdigit()]

    def _load(self, name: str, file_name: str) -> Dict[str, Any]:
        with open(os.path.join(self._folder, name, file_name), encoding="utf-8") as file:
            content: Dict[str, Any] = json.load(file)
        return content

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        params = {key: value for key, value in self._load(name, "config.json").items() if key != "seed"}
        metrics = {key: metric["values"][-1] for key, metric in self._load(name, "metrics.json").items()}
        self._load(name, "run.json")
        return {"params": params, "metrics": metrics}

    def points(self, name: str, key: str) -> List[float]:
        try:
            return list(self._load(name, "metrics.json").get(key, {"values": []})["values"])
        except (OSError, ValueError):
            return []
