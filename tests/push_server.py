"""An MLflow server in memory, as `exchange.mlflow_server` shows one to a push, which can be cut off at any request.

It is stricter than MLflow's own: a point that is sent twice is there twice, and whatever breaks one of its rules
refuses the whole request.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from mini_mlflow import ServerError
from mini_mlflow.exchange.server_answers import RefusedError, ServerExperiment, ServerRun

KEY = re.compile(r"[/\w.\- :]{1,250}\Z")
READS = frozenset("find_experiment get_run find_runs read_history".split())


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class FakeServer:
    """All of it is public, to be looked at.

    Attributes:
        runs: id to what a run has: a dict of its fields.
        calls: the names of the requests, in their order.
        cut: called with the number of a request and whether it has been done; may raise.
    """

    def __init__(self) -> None:
        self.to = "http://fake:5000"
        self.experiments: Dict[str, Dict[str, Any]] = {}
        self.runs: Dict[str, Dict[str, Any]] = {}
        self.calls: List[str] = []
        self.cut: Callable[[int, bool], None] = lambda number, done: None
        self.refused_keys: Sequence[str] = ()
        self.artifact_root = "mlflow-artifacts:/"

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or not callable(found) or name == "cut":
            return found

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            number = len(self.calls)
            self.cut(number, False)
            result = found(*arguments)
            self.cut(number, True)
            return result

        return call

    @property
    def writes(self) -> List[str]:
        return [name for name in self.calls if name not in READS]

    def state(self) -> Any:
        """What is on the server, without the ids that it drew."""
        names = {run_id: run["tags"].get("mini_mlflow.run_id") for run_id, run in self.runs.items()}

        def plain(run: Dict[str, Any]) -> Any:
            told = dict(run, metrics={key: sorted(map(repr, points)) for key, points in run["metrics"].items()})
            told["tags"] = {key: names.get(value, value) for key, value in run["tags"].items()}
            return sorted(told.items(), key=lambda item: item[0])

        return sorted(map(plain, self.runs.values()), key=repr), self.experiments

    def run_of(self, run_id: str) -> Dict[str, Any]:
        """The one run that was pushed from a run of that id."""
        (found,) = [run for run in self.runs.values() if run["tags"]["mini_mlflow.run_id"] == run_id]
        return found

    def id_of(self, run_id: str) -> str:
        (found,) = [there for there, run in self.runs.items() if run["tags"]["mini_mlflow.run_id"] == run_id]
        return found

    # -- requests ----------------------------------------------------------------------------------------------

    def find_experiment(self, name: str) -> Optional[ServerExperiment]:
        found = self.experiments.get(name)
        return None if found is None else ServerExperiment(found["id"], name, found["deleted"], dict(found["tags"]))

    def create_experiment(self, name: str) -> None:
        self.experiments.setdefault(name, {"id": "e%d" % len(self.experiments), "deleted": False, "tags": {}})

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        (found,) = [one for one in self.experiments.values() if one["id"] == experiment_id]
        found["tags"][key] = value

    def get_run(self, run_id: str) -> Optional[ServerRun]:
        return _answer(run_id, self.runs[run_id]) if run_id in self.runs else None

    def find_runs(self, experiment_ids: Sequence[str], run_id: Optional[str]) -> Iterator[ServerRun]:
        found = [
            _answer(there, run)
            for there, run in self.runs.items()
            if run["experiment"] in experiment_ids and run_id in (None, run["tags"].get("mini_mlflow.run_id"))
        ]
        return iter(found)

    def create_run(self, experiment_id: str, start_ms: Optional[int], name: str, tags: Dict[str, str]) -> ServerRun:
        run_id = "server%d" % len(self.runs)
        self.runs[run_id] = {
            "experiment": experiment_id, "name": name, "status": "RUNNING", "start": start_ms, "end": None,
            "deleted": False, "params": {}, "tags": dict(tags), "metrics": {}, "inputs": {}, "artifacts": {},
            "artifact_uri": self.artifact_root,
        }  # fmt: skip
        return _answer(run_id, self.runs[run_id])

    def update_run(self, run_id: str, status: str, end_ms: Optional[int]) -> None:
        self._open(run_id).update(status=status, end=end_ms)

    def rename_run(self, run_id: str, name: str) -> None:
        self._open(run_id)["name"] = name

    def delete_run(self, run_id: str) -> None:
        self._open(run_id)["deleted"] = True

    def restore_run(self, run_id: str) -> None:
        self.runs[run_id]["deleted"] = False

    def log_batch(self, run_id: str, params: Any, tags: Any, points: Sequence[Tuple[str, Any]]) -> None:
        run = self._open(run_id)
        assert len(params) <= 100
        assert len(tags) <= 100
        assert len(points) <= 1000
        assert len(params) + len(tags) + len(points) <= 1000
        assert sum(map(len, [*params.values(), *tags.values()])) <= 1_000_000
        for key in [*params, *tags, *(key for key, _ in points)]:
            if not KEY.match(key) or key in self.refused_keys:
                raise RefusedError("bad key %s" % key, "INVALID_PARAMETER_VALUE")
        for key, value in params.items():
            assert isinstance(value, str)
            assert len(value) <= 6000
            if run["params"].get(key, value) != value:
                raise RefusedError("Changing param values is not allowed", "INVALID_PARAMETER_VALUE")
        run["params"].update(params)
        run["tags"].update(tags)
        for key, point in points:
            assert abs(point.value) != float("inf")
            assert -(2**63) <= point.step < 2**63
            run["metrics"].setdefault(key, []).append(point)

    def delete_tag(self, run_id: str, key: str) -> None:
        self._open(run_id)["tags"].pop(key, None)

    def read_history(self, run_id: str, key: str) -> List[Any]:
        return list(self.runs[run_id]["metrics"].get(key, []))

    def log_inputs(self, run_id: str, datasets: Any) -> None:
        for dataset in datasets:
            self._open(run_id)["inputs"][dataset.name, dataset.digest] = dataset

    def log_artifact(self, run_id: str, place: str, folder: Optional[str]) -> None:
        path = "/".join(filter(None, [folder, os.path.basename(place)]))
        if path in self.refused_keys:
            raise RefusedError("bad path %s" % path, "HTTP 400")
        with open(place, "rb") as file:
            self._open(run_id)["artifacts"][path] = file.read()

    def _open(self, run_id: str) -> Dict[str, Any]:
        run = self.runs[run_id]
        if run["deleted"]:
            raise RefusedError("The run must be in the 'active' state", "INVALID_PARAMETER_VALUE")
        return run


def _answer(run_id: str, run: Dict[str, Any]) -> ServerRun:
    return ServerRun(
        run_id, run["experiment"], run["name"], run["status"], run["start"], run["end"], run["deleted"],
        run["artifact_uri"], dict(run["params"]), dict(run["tags"]), frozenset(run["metrics"]),
        frozenset(run["inputs"]),
    )  # fmt: skip


def cut_at(wanted: int, wanted_done: bool, error: BaseException) -> Callable[[int, bool], None]:
    """Cuts off the request of that number: before it is done, or once it is, with its answer lost."""

    def cut(number: int, done: bool) -> None:
        # A server that is gone stays gone.
        if (number, done) == (wanted, wanted_done) or (number > wanted and isinstance(error, ServerError)):
            raise error

    return cut
