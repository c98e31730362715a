"""Weights & Biases offline: a log file a run, written by the service process that the library starts."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterator, List

from stress.bench.peers.contract import SHARED, Peer

BLOCK = 32768


class Adapter(Peer):
    """``init``, ``log`` of a dict, ``finish``: https://docs.wandb.ai/support/run_wandb_offline/

    Several runs in a process are ``reinit="create_new"``. System metrics, console capture and its own error reports
    are off. Offline there is no reader but ``wandb sync``: the records are taken from the log file by its own classes.
    """

    label = "W&B, offline"
    environment = "wandb"
    requirements = ("wandb",)
    settings = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    imports = "import wandb"
    cannot = {SHARED: "not offline"}
    queues = True

    def __init__(self, folder: str) -> None:
        os.environ["WANDB_DIR"] = folder
        import wandb

        self._wandb: Any = wandb
        self._folder = folder

    def start(self, params: Dict[str, Any]) -> Any:
        settings = self._wandb.Settings(
            console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True
        )
        return self._wandb.init(project="bench", config=params, reinit="create_new", settings=settings)

    def name(self, run: Any) -> str:
        return str(run.id)

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.log({key: value}, step=step)

    def log_metrics(self, run: Any, values: Dict[str, float], step: int) -> None:
        run.log(values, step=step)

    def end(self, run: Any) -> None:
        run.finish()

    def _files(self) -> Dict[str, str]:
        root = os.path.join(self._folder, "wandb")
        folders = [name for name in os.listdir(root) if name.startswith("offline-run-")]
        return {name[-8:]: os.path.join(root, name, f"run-{name[-8:]}.wandb") for name in folders}

    def names(self) -> List[str]:
        return list(self._files())

    def _records(self, name: str) -> Iterator[Any]:
        from wandb.proto.wandb_internal_pb2 import Record

        with open(self._files()[name], "rb") as file:
            content = file.read()
        for payload in read_log(content):
            record = Record()
            record.ParseFromString(payload)
            yield record

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        params: Dict[str, Any] = {}
        metrics: Dict[str, Any] = {}
        for record in self._records(name):
            kind = record.WhichOneof("record_type")
            if kind in ("run", "config"):
                update = record.run.config.update if kind == "run" else record.config.update
                params.update({item.key: json.loads(item.value_json) for item in update})
            elif kind == "history":
                metrics.update(_history(record))
        return {"params": _own(params), "metrics": _own(metrics)}

    def points(self, name: str, key: str) -> List[float]:
        if name not in self._files():
            return []
        rows = [_history(record) for record in self._records(name) if record.WhichOneof("record_type") == "history"]
        return [row[key] for row in rows if key in row]


def _history(record: Any) -> Dict[str, Any]:
    return {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}


def _own(entry: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in entry.items() if key.startswith(("param", "metric"))}


def read_log(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format after a header of seven bytes, as far as they are whole.

    Args:
        content: the file. Chunks in blocks of 32 KiB, each with a checksum (4 bytes), a length (2) and a type (1: the
            whole record, 2, 3, 4: its first, a middle and its last part).
    """
    at, parts = 7, b""
    while at + 7 <= len(content):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        chunk = content[at + 7 : at + 7 + length]
        if len(chunk) < length or kind == 0:
            return
        at += 7 + length
        parts = chunk if kind in (1, 2) else parts + chunk
        if kind in (1, 4):
            yield parts
