"""Event files of TensorBoard come in through the tensorboard package; without it, the import says what to install."""

from __future__ import annotations

import builtins
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

from mini_mlflow import ExperimentTracker, ImportReport, InvalidValueError, MissingExtraError, Point, import_tensorboard

T0 = 1700000000


def take_in(path: str = "logs", **options: Any) -> ImportReport:
    return import_tensorboard(path, "runs", **options)


def write_events(folder: str, name: str, events: List[Any]) -> Path:
    """An event file with these events, whose names say when they were begun."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = Path("logs", folder, "events.out.tfevents.%s" % name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
        writer.flush()
    return path


def old_scalar(tag: str, value: float, step: int, seconds: float = 0.0) -> Any:
    """As writers before TensorFlow 2, tensorboardX and PyTorch put it."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    value_of = Summary.Value(tag=tag, simple_value=value)
    return Event(wall_time=T0 + seconds, step=step, summary=Summary(value=[value_of]))


def new_scalar(tag: str, value: float, step: int, first: bool = True) -> Any:
    """As TensorFlow 2 puts it: a tensor, and only the first one says that it is a scalar."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    one = Summary.Value(tag=tag, tensor=TensorProto(dtype=1, float_val=[value]))
    if first:
        one.metadata.plugin_data.plugin_name = "scalars"
    return Event(wall_time=T0, step=step, summary=Summary(value=[one]))


def session(tag: str, data: Any) -> Any:
    """An event of the plugin for hyperparameters."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    one = Summary.Value(tag=tag)
    one.metadata.plugin_data.plugin_name = "hparams"
    one.metadata.plugin_data.content = data.SerializeToString()
    return Event(wall_time=T0, summary=Summary(value=[one]))


def read_all() -> Dict[str, Any]:
    tracker = ExperimentTracker(runs_dir="runs")
    found = {}
    for run_id in tracker.list_runs():
        run = tracker.get_run(run_id)
        histories = {key: tracker.get_metric_history(run_id, key) for key in run["metrics"]}
        found[run["metadata"]["name"]] = (run["metadata"], run["params"], histories)
    return found


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install tensorboard \(the extra"):
        take_in()
    assert not os.path.exists("runs")


def test_each_folder_with_event_files_is_a_run() -> None:
    """All points, of old and of new writers, of several files of one run, with their own times."""
    pytest.importorskip("tensorboard")
    write_events("train", "1.host", [old_scalar("loss", 0.5, step, step) for step in range(3)])
    write_events("train", "2.host", [old_scalar("loss", 0.25, 3, 3.5)])
    write_events("deep/eval", "1.host", [new_scalar("a/b", 0.5, 0), new_scalar("a/b", 0.75, 1, first=False)])
    report = take_in()
    assert (report.runs, report.points, report.problems) == (2, 6, [])
    found = read_all()
    assert found["train"][2]["loss"] == [Point(step, 0.5, (T0 + step) * 1000) for step in range(3)] + [
        Point(3, 0.25, T0 * 1000 + 3500)
    ]
    assert [(point.step, point.value) for point in found["deep/eval"][2]["a/b"]] == [(0, 0.5), (1, 0.75)]
    metadata = found["train"][0]
    assert (metadata["status"], metadata["end_time"]) == ("FINISHED", "2023-11-14T22:13:23.500000Z")


def test_what_is_written_since_comes_along_wherever_the_folder_stands() -> None:
    pytest.importorskip("tensorboard")
    write_events("train", "1.host", [old_scalar("loss", 0.5, 0)])
    take_in()
    write_events("train", "1.host", [old_scalar("loss", 0.25, 1, 9.0)])
    shutil.copytree("logs", "moved/logs")
    report = take_in("moved")
    assert (report.updated_runs, report.points) == (1, 1)
    assert take_in("moved/logs/train").unchanged_runs == 1


def test_hyperparameters_are_params_and_a_failed_session_is_a_failed_run() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

    started = SessionStartInfo()
    started.hparams["lr"].number_value = 0.5
    started.hparams["opt"].string_value = "adam"
    started.hparams["on"].bool_value = True
    # 2 stands for STATUS_FAILURE.
    write_events(
        "r",
        "1.host",
        [
            session("_hparams_/session_start_info", HParamsPluginData(session_start_info=started)),
            session("_hparams_/session_end_info", HParamsPluginData(session_end_info=SessionEndInfo(status=2))),
        ],
    )
    take_in()
    metadata, params, _ = read_all()["r"]
    assert (metadata["status"], params) == ("FAILED", {"lr": 0.5, "opt": "adam", "on": True})


def test_other_summaries_and_torn_files_are_told_and_the_rest_comes_in() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Value(tag="picture", image=Summary.Image(height=1, width=1, encoded_image_string=b"x"))
    events = [
        old_scalar("loss", 0.5, 0),
        Event(wall_time=T0, summary=Summary(value=[image])),
        old_scalar("loss", 1.0, 1),
    ]
    path = write_events("r", "1.host", events)
    path.write_bytes(path.read_bytes()[:-5])
    report = take_in()
    assert report.points == 1
    assert any("images" in problem.reason for problem in report.problems)


def test_folder_without_event_files_is_refused() -> None:
    pytest.importorskip("tensorboard")
    Path("logs").mkdir()
    with pytest.raises(InvalidValueError, match="no event files"):
        take_in()
