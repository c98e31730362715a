"""DVCLive: a folder a run, TSV files of points, a summary rewritten at each step."""

from __future__ import annotations

import csv
import json
import os
import uuid
from typing import Any, Dict, List, Optional

from stress.bench.peers.contract import Peer


class Adapter(Peer):
    """``Live``, ``log_metric``, then ``next_step``, as in https://dvc.org/doc/dvclive/live; ``resume`` joins a run.

    Experiments are not saved to Git (``save_dvc_exp=False``): many runs at once share one work tree here. Analytics of
    DVC are off by ``DVC_NO_ANALYTICS``: https://dvc.org/doc/user-guide/analytics
    """

    label = "DVCLive"
    environment = "dvclive"
    requirements = ("dvclive",)
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_STUDIO_OFFLINE": "1"}
    imports = "from dvclive import Live"

    def __init__(self, folder: str) -> None:
        from dvclive import Live

        self._live: Any = Live
        self._folder = folder

    def _open(self, name: str, resume: bool) -> Any:
        folder = os.path.join(self._folder, name)
        return self._live(dir=folder, resume=resume, save_dvc_exp=False, dvcyaml=os.path.join(folder, "dvc.yaml"))

    def start(self, params: Dict[str, Any]) -> Any:
        live = self._open(uuid.uuid4().hex, False)
        for key, value in params.items():
            live.log_param(key, value)
        return live

    def name(self, run: Any) -> str:
        return str(os.path.basename(run.dir))

    def attach(self, name: str) -> Any:
        return self._open(name, True)

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.log_metric(key, value)
        run.next_step()

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        for key, value in values.items():
            run.log_metric(key, value)
        run.next_step()

    def end(self, run: Any) -> None:
        run.end()

    def names(self) -> List[str]:
        return os.listdir(self._folder)

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        from dvc.utils.serialize import load_yaml

        with open(os.path.join(self._folder, name, "metrics.json"), encoding="utf-8") as file:
            metrics = json.load(file)
        metrics.pop("step", None)
        return {"params": load_yaml(os.path.join(self._folder, name, "params.yaml")), "metrics": metrics}

    def points(self, name: str, key: str) -> List[float]:
        try:
            with open(os.path.join(self._folder, name, "plots", "metrics", f"{key}.tsv"), encoding="utf-8") as file:
                cells = [row.get(key) for row in csv.DictReader(file, delimiter="\t")]
        except FileNotFoundError:
            return []
        return [value for value in map(_number, cells) if value is not None]


def _number(cell: Optional[str]) -> Optional[float]:
    """None where writers that did not know of each other have left half a row, or the heads once more."""
    try:
        return float(cell or "")
    except ValueError:
        return None
