"""The bench's own parts: targets, tables and files of them, the chart, the image of ext4, places, the bar."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Dict

import pytest

from mini_mlflow import ExperimentTracker
from stress.bench import chart, ext4_image, places
from stress.bench.chart import LOSING, OWN, SAFE, UNTRIED, colour_of, load_matplotlib, number
from stress.bench.document import Document
from stress.bench.ext4_image import mounted_ext4
from stress.bench.finding import METRICS, PARAMS, POINTS, make_runs
from stress.bench.options import parse_bench_options
from stress.bench.peers import OURS
from stress.bench.places import JOURNAL, NO_JOURNAL, Ground, kind_of
from stress.bench.steps import WIDTH, bar
from stress.bench.tables import Table
from stress.bench.targets import MET, MISSED, NOT_MEASURED, TARGETS, judge
from stress.children import CannotRun

pytestmark = pytest.mark.program

PEER_FIGURES = {
    "peer.mini-mlflow.one": 50.0,
    "peer.mini-mlflow.ten": 60.0,
    "peer.mini-mlflow.kill": 0.0,
    "peer.mlflow-file.one": 400.0,
    "peer.mlflow-file.kill": 0.0,
    "peer.sacred.one": 1.5,
    "peer.sacred.kill": 1000.0,
    "peer.aim.one": 90.0,
    "peer.mini-mlflow-0.1.0.one": 100.0,
    "peer.mini-mlflow-0.1.0.kill": 0.0,
    "peer.bare: replacing rename.one": 40.0,
}


def verdicts(table: Table) -> Dict[str, str]:
    return {f"{row[0]}, {row[1]}": row[-1] for row in table.rows}


def test_target_is_judged_on_the_file_system_that_it_is_meant_for() -> None:
    figures = {"call.one.p50": 130.0, "call.bare.p50": 50.0, "call.one.mean": 200.0, "call.bare.mean": 50.0}
    found = judge([("tmpfs", figures), (JOURNAL, figures)])
    loop = "hot loop, to the bare replacing loop"
    assert verdicts(found)[f"{loop}, tmpfs"] == MET
    assert verdicts(found)[f"{loop}, {JOURNAL}"] == MISSED
    assert (loop, "tmpfs", "at most 3.5", "2.60", "4.00", MET) in found.rows
    assert verdicts(judge([(NO_JOURNAL, figures)]))[f"{loop}, {JOURNAL}"] == NOT_MEASURED


def test_lower_bounds_and_plain_figures_are_judged() -> None:
    figures = {"peer.mini-mlflow.threads": 50.0, "peer.mini-mlflow-0.1.0.threads": 25.0, "read.us": 61.0}
    found = verdicts(judge([("tmpfs", figures)]))
    assert found["8 threads, own runs a second, to mini-mlflow 0.1.0, tmpfs"] == MET
    assert found["cold read of a finished run, us, tmpfs"] == MISSED
    slower = dict(figures, **{"peer.mini-mlflow.threads": 49.0})
    assert verdicts(judge([("tmpfs", slower)]))["8 threads, own runs a second, to mini-mlflow 0.1.0, tmpfs"] == MISSED


def test_target_without_figures_says_so() -> None:
    table = judge([])
    assert len(table.rows) == len(TARGETS)
    assert {row[-1] for row in table.rows} == {NOT_MEASURED}


def test_document_writes_what_was_asked_for(tmp_path: Path) -> None:
    document = Document()
    table = Table("Calls, tmpfs", ("call", "us"), [("one", "40.0")], ["a note"], {"call.one.p50": 40_000.0})
    document.add(Ground("/dev/shm", "tmpfs", "tmpfs (/dev/shm)"), table)
    document.judge()
    files = [str(tmp_path / name) for name in ("table.md", "table.json")]
    options = parse_bench_options(["--quick", "--markdown", files[0], "--json", files[1]], ["calls"])
    document.write(options, None)
    markdown = Path(files[0]).read_text()
    assert markdown.startswith("Measured on ")
    assert "| one  | 40.0 |\n\n- a note\n\n### Targets\n" in markdown
    content = json.loads(Path(files[1]).read_text())
    assert content["figures"] == {"tmpfs": {"call.one.p50": 40_000.0}}
    assert content["tables"][0]["rows"] == [["one", "40.0"]]


def test_colours_tell_who_lost_something() -> None:
    names = (OURS, "mlflow-file", "sacred", "aim", "mini-mlflow-0.1.0")
    assert [colour_of(name, PEER_FIGURES) for name in names] == [OWN, SAFE, LOSING, UNTRIED, LOSING]
    assert colour_of("mlflow-file", dict(PEER_FIGURES, **{"peer.mlflow-file.shared_lost": 1.0})) == LOSING
    assert [number(value) for value in (21_345.6, 99.44, 1.234)] == ["21,346", "99.4", "1.23"]


def test_chart_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CannotRun, match=r"\[bench\]"):
        load_matplotlib()


def test_chart_without_peers_says_that_it_needs_them() -> None:
    with pytest.raises(CannotRun, match="--peers"):
        chart.draw(Document(), "chart.png")


def test_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    document = Document()
    document.add(Ground("/", JOURNAL, JOURNAL), Table("Beside others", ("",), figures=PEER_FIGURES))
    chart.draw(document, str(tmp_path / "chart.png"))
    assert (tmp_path / "chart.png").read_bytes()[:4] == b"\x89PNG"


def test_image_that_cannot_be_mounted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ext4_image.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ext4_image.shutil, "which", lambda *_args, **_kwargs: None)
    with pytest.raises(CannotRun, match=r"no mkfs\.ext4"), mounted_ext4():
        raise AssertionError("nothing to mount with")
    assert list(tmp_path.iterdir()) == []


def test_image_is_unmounted_and_removed_when_the_block_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(ext4_image.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ext4_image, "_run", lambda command: commands.append(command[0]))
    with pytest.raises(KeyError), mounted_ext4() as ground:
        assert Path(ground.path).is_dir()
        raise KeyError
    assert commands == ["mkfs.ext4", "mount", "umount"]
    assert list(tmp_path.iterdir()) == []


def test_journal_of_an_ext4_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_mounts", lambda: [("/", "ext4", "/dev/sda1"), ("/mem", "tmpfs", "tmpfs")])
    monkeypatch.setattr(places.os, "listdir", lambda _path: ["sda1-8", "sdb-8"])
    assert (kind_of("/x"), kind_of("/mem/x")) == (JOURNAL, "tmpfs")
    monkeypatch.setattr(places.os, "listdir", lambda _path: ["sda12-8"])
    assert kind_of("/x") == NO_JOURNAL


def test_runs_to_search_are_told_apart_and_alike(folder: str) -> None:
    """All of them are found, each with its own id, time, param and metrics."""
    make_runs(folder, 50)
    found = ExperimentTracker(runs_dir=folder).search_runs("status = 'FINISHED'", "params.param-0")
    assert [run.params["param-0"] for run in found] == list(range(50))
    assert len({run.start_time for run in found}) == len({run.metrics["metric-9"] for run in found}) == 50
    assert {(len(run.params), len(run.metrics), run.metric_summary("metric-1")["count"]) for run in found} == {
        (PARAMS, METRICS, POINTS)
    }
    assert [run.metadata["run_id"] for run in found] == [run.run_id for run in found]


def test_bar_fills_up() -> None:
    assert bar(0, 4) == f"[{'.' * WIDTH}] 0/4"
    assert bar(4, 4) == f"[{'#' * WIDTH}] 4/4"
    assert bar(1, 4).count("#") == WIDTH // 4
