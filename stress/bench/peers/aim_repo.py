"""Aim with a repository on disk."""

from __future__ import annotations

from typing import Any, Dict, List

from stress.bench.peers.contract import Peer


class Adapter(Peer):
    """``Run`` and ``track``, https://aimstack.readthedocs.io/en/latest/using/manage_runs.html, joined by ``run_hash``.

    System metrics and the capture of the terminal are off, by the arguments of that page. The library itself sends no
    telemetry (3.29); its older switch is set all the same. Read back through ``Repo``.
    """

    label = "Aim"
    environment = "aim"
    requirements = ("aim", "setuptools<81")
    settings = {"AIM_UI_TELEMETRY_ENABLED": "0"}
    imports = "from aim import Run"

    def __init__(self, folder: str) -> None:
        import aim

        self._run: Any = aim.Run
        self._repo: Any = aim.Repo
        self._folder = folder
        if not aim.Repo.exists(folder):
            aim.Repo.from_path(folder, init=True)

    def _open(self, **which: Any) -> Any:
        return self._run(repo=self._folder, system_tracking_interval=None, capture_terminal_logs=False, **which)

    def start(self, params: Dict[str, Any]) -> Any:
        run = self._open()
        for key, value in params.items():
            run[key] = value
        return run

    def name(self, run: Any) -> str:
        return str(run.hash)

    def attach(self, name: str) -> Any:
        return self._open(run_hash=name)

    def leave(self, run: Any) -> None:
        run.close()

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.track(value, name=key, step=step)

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        run.track(values, step=step)

    def end(self, run: Any) -> None:
        run.close()

    def prepare_reading(self) -> None:
        # `aim storage reindex`, which the server of `aim up` does for each run: runs are found by this index alone.
        from aim.sdk.index_manager import RepoIndexManager

        repo = self._repo.from_path(self._folder)
        manager = RepoIndexManager.get_index_manager(repo)
        for name in repo.list_all_runs():
            manager.index(name)

    def names(self) -> List[str]:
        return [run.hash for run in self._repo.from_path(self._folder).iter_runs()]

    def _read_only(self, name: str) -> Any:
        return self._run(name, repo=self._folder, read_only=True)

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        run = self._read_only(name)
        metrics = {metric.name: metric.values.last_value() for metric in run.metrics()}
        params = {key: value for key, value in run[...].items() if key.startswith("param")}
        return {"params": params, "metrics": metrics}

    def points(self, name: str, key: str) -> List[float]:
        for metric in self._read_only(name).metrics():
            if metric.name == key:
                return [float(value) for value in metric.values.values_list()]
        return []
