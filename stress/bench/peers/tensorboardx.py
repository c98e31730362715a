"""tensorboardX: event files, written by a thread of each writer."""

from __future__ import annotations

import os
import uuid
from typing import Any, Dict, List

from stress.bench.peers.contract import Peer


class Adapter(Peer):
    """``SummaryWriter`` with its defaults, a folder a run: https://tensorboardx.readthedocs.io/en/latest/tutorial.html

    Params are ``add_hparams``, in the run's own folder. Other processes join with a writer of their own on the same
    folder. Read back with TensorBoard's ``EventAccumulator``. It sends no telemetry.
    """

    label = "tensorboardX"
    environment = "tensorboardx"
    requirements = ("tensorboardX", "tensorboard", "setuptools<81")
    imports = "import tensorboardX"
    queues = True

    def __init__(self, folder: str) -> None:
        import tensorboardX

        self._writer: Any = tensorboardX.SummaryWriter
        self._folder = folder

    def start(self, params: Dict[str, Any]) -> Any:
        writer = self.attach(uuid.uuid4().hex)
        if params:
            writer.add_hparams(params, {}, name="hparams")
        return writer

    def name(self, run: Any) -> str:
        return str(os.path.basename(run.logdir))

    def attach(self, name: str) -> Any:
        return self._writer(os.path.join(self._folder, name))

    def leave(self, run: Any) -> None:
        run.close()

    def log_metric(self, run: Any, key: str, value: float, step: int) -> None:
        run.add_scalar(key, value, step)

    def end(self, run: Any) -> None:
        run.close()

    def names(self) -> List[str]:
        return os.listdir(self._folder)

    def read(self, name: str) -> Dict[str, Dict[str, Any]]:
        from tensorboard.plugins.hparams import metadata

        folder = os.path.join(self._folder, name)
        content = self._events(os.path.join(folder, "hparams")).SummaryMetadata(metadata.SESSION_START_INFO_TAG)
        info = metadata.parse_session_start_info_plugin_data(content.plugin_data.content)
        events = self._events(folder)
        metrics = {key: events.Scalars(key)[-1].value for key in events.Tags()["scalars"]}
        return {"params": {key: value.number_value for key, value in info.hparams.items()}, "metrics": metrics}

    def points(self, name: str, key: str) -> List[float]:
        events = self._events(os.path.join(self._folder, name))
        return [event.value for event in events.Scalars(key)] if key in events.Tags()["scalars"] else []

    @staticmethod
    def _events(folder: str) -> Any:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        # Its default keeps a sample of 10,000 points; 0 is all.
        events = EventAccumulator(folder, size_guidance={"scalars": 0})
        events.Reload()
        return events
