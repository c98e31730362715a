"""The bench's peers: what adapters say of themselves, and that what a peer loses is seen, shown on small fakes."""

from __future__ import annotations

import ast
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List

import pytest

from stress.bench import environments, peer_losses
from stress.bench.options import BenchOptions, parse_bench_options
from stress.bench.peer_calls import BARE, measure_peer_calls
from stress.bench.peer_crowds import SHARED_LOST, SHARED_PARAMS_LOST, SHARED_REFUSED, measure_peer_crowds
from stress.bench.peer_losses import measure_peer_losses
from stress.bench.peer_process import PeerFailed, PeerPlace, last_line, session_of
from stress.bench.peer_reading import measure_peer_reading
from stress.bench.peer_results import Results
from stress.bench.peer_table import lay_out
from stress.bench.peers import ADAPTERS, OURS, dvclive_folders, load
from stress.bench.peers.contract import KILL, ONE, PROCESSES, READ, SHARED, TEN, THREADS, Peer
from stress.bench.peers.wandb_offline import BLOCK, read_log
from stress.children import CannotRun

pytestmark = pytest.mark.program

#: A store of lines; one that forgets what it has not been told to keep; one that raises at
#: every third call, from the first on, although the value is stored by then.
FAKES = """
import json, os, uuid
from stress.bench.peers.contract import Peer

class Adapter(Peer):
    label = "{name}"
    imports = "import json"

    def __init__(self, folder):
        self._folder = folder

    def start(self, params):
        run = self.attach(uuid.uuid4().hex)
        self._write(run, [["param", key, value] for key, value in params.items()] + [["metric", "nothing", 0.0]])
        return run

    def name(self, run):
        return run["name"]

    def attach(self, name):
        return {{"name": name, "waiting": [], "calls": 0}}

    def log_metric(self, run, key, value, step):
        run["calls"] += 1
        run["waiting"].append(["metric", key, value])
        if not {forgets}:
            self._write(run, run["waiting"])
            run["waiting"] = []
        if {refuses} and run["calls"] % 3 == 1:
            raise OSError("refused")

    def _write(self, run, lines):
        descriptor = os.open(os.path.join(self._folder, run["name"]), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(descriptor, "".join(json.dumps(line) + chr(10) for line in lines).encode())
        os.close(descriptor)

    def end(self, run):
        self._write(run, run["waiting"])

    def names(self):
        return os.listdir(self._folder)

    def _lines(self, name):
        with open(os.path.join(self._folder, name)) as file:
            return [json.loads(line) for line in file]

    def read(self, name):
        lines = self._lines(name)
        return {{kind + "s": {{key: value for its, key, value in lines if its == kind and key != "nothing"}}
                for kind in ("param", "metric")}}

    def points(self, name, key):
        return [value for kind, its, value in self._lines(name) if its == key]
"""
QUICK = replace(
    parse_bench_options(["--quick"], ["calls"]),
    peer_rounds=1, peer_block=3, peer_seconds=0.02, peer_runs=2, peer_kills=1, peer_repeats=1,
)  # fmt: skip


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of this process and of those that it starts, with the fakes as modules."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, forgets, refuses in (("whole", 0, 0), ("forgetful", 1, 0), ("refusing", 0, 1)):
        (folder / f"{name}_fake.py").write_text(FAKES.format(name=name, forgets=forgets, refuses=refuses))
    (folder / "broken_fake.py").write_text(
        FAKES.format(name="broken", forgets=0, refuses=0).replace(
            "self._folder = folder", "raise ValueError('no store')"
        )
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(peer_losses, "GRACE_S", 0.0)
    monkeypatch.setattr(peer_losses, "SHORTEST_S", 0.02)
    monkeypatch.setattr(peer_losses, "LONGEST_S", 0.05)
    yield folder
    for name in ("whole", "forgetful", "refusing", "broken"):
        sys.modules.pop(f"{name}_fake", None)


def place_of(name: str, tmp_path: Path) -> PeerPlace:
    return PeerPlace(f"{name}_fake", sys.executable, tmp_path / "scratch")


def quiet(_line: str) -> None:
    """No progress."""


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_adapter_says_what_the_bench_needs_without_its_peer(name: str) -> None:
    peer = load(name)
    assert peer.label
    ast.parse(peer.imports)
    assert bool(peer.environment) == bool(peer.requirements) == (name != OURS)
    assert set(peer.cannot) <= {ONE, TEN, THREADS, PROCESSES, SHARED, READ, KILL}
    needed = {"__init__", "start", "name", "log_metric", "end", "names", "read", "points"}
    needed |= set() if SHARED in peer.cannot else {"attach"}
    assert [method for method in needed if getattr(peer, method) is getattr(Peer, method)] == []
    assert name in (OURS, "mini-mlflow-0.1.0") or "https://" in (peer.__doc__ or "")


def test_every_workload_of_a_peer_that_keeps_all(fakes: Path, tmp_path: Path) -> None:
    place, results = place_of("whole", tmp_path), Results()
    (tmp_path / "scratch").mkdir()
    measure_peer_calls([place], tmp_path / "scratch", QUICK, results, quiet)
    measure_peer_crowds([place], QUICK, results, quiet)
    measure_peer_reading([place], QUICK, results, quiet)
    assert results.complaints(place.name) == {}
    lost = [results.cell(place.name, kind) for kind in (SHARED_LOST, SHARED_REFUSED, SHARED_PARAMS_LOST)]
    assert lost == [0.0, 0.0, 0.0]
    cells = [results.cell(place.name, workload) for workload in (ONE, TEN, THREADS, PROCESSES, SHARED, READ)]
    assert all(isinstance(cell, float) and cell > 0 for cell in cells)
    assert all(isinstance(results.cell(name, ONE), float) for name in BARE)


@pytest.mark.parametrize(("name", "loses"), [("whole", False), ("forgetful", True)])
def test_kill_shows_what_was_acknowledged_and_is_gone(fakes: Path, tmp_path: Path, name: str, loses: bool) -> None:
    results = Results()
    measure_peer_losses([place_of(name, tmp_path)], QUICK, results, quiet)
    (lost,) = results.all_of(f"{name}_fake", KILL)
    assert (lost > 0) == loses


def test_calls_that_raise_on_a_shared_run_are_counted_and_are_no_losses(fakes: Path, tmp_path: Path) -> None:
    place = place_of("refusing", tmp_path)
    with place.start(place.fresh()) as process:
        name = process.ready().ask("open")
        process.ask("attach", name=name)
        made = process.ask("log_shared", first_slot=0, threads=1, seconds=0.05, at=time.monotonic())
        assert len(made["refused"]) == (made["made"] + len(made["refused"]) + 2) // 3 > 0
        assert "OSError: refused" in made["errors"][0]
        assert process.ask("count_shared", name=name, refused=made["refused"]) == {
            "points": made["made"],
            "params_lost": 0,
        }


def test_points_that_a_crowd_was_promised_and_are_gone_are_counted(fakes: Path, tmp_path: Path) -> None:
    place = place_of("forgetful", tmp_path)
    with place.start(place.fresh()) as process:
        name = process.ready().ask("open")
        process.ask("attach", name=name)
        made = process.ask("log_shared", first_slot=0, threads=2, seconds=0.0, at=0.0)
        assert made["made"] == 2
        assert process.ask("count_shared", name=name, refused=[])["points"] == 0


def test_peer_that_fails_is_a_cell_of_the_table_and_leaves_no_process(fakes: Path, tmp_path: Path) -> None:
    place, results = place_of("broken", tmp_path), Results()
    (tmp_path / "scratch").mkdir()
    measure_peer_calls([place], tmp_path / "scratch", QUICK, results, quiet)
    measure_peer_losses([place], QUICK, results, quiet)
    table = lay_out([place.name], results, {}, {}, QUICK)
    assert table.rows[0][:3] == ("broken", "fails", "fails")
    assert "- broken, lost on kill -9: `ValueError: no store`" in table.to_markdown()
    process = place.start(place.fresh())
    with pytest.raises(PeerFailed, match="no store"):
        process.ready()
    process.end(0.0)
    assert session_of(process.pid) == []


def test_table_says_what_each_peer_lost_and_who_is_missing() -> None:
    results = Results()
    for name, kills in ((OURS, [0.0]), ("sacred", [7.0, 90.0, 8.0])):
        for lost in kills:
            results.add(name, KILL, lost)
        results.add(name, ONE, 40.0)
    results.add(BARE[0], ONE, 20.0)
    results.add(OURS, SHARED_LOST, 0.0)
    results.add(OURS, SHARED_REFUSED, 3.0)
    results.add(OURS, SHARED_PARAMS_LOST, 10.0)
    results.fail("sacred", (SHARED, SHARED_LOST), load("sacred").cannot[SHARED])
    table = lay_out([OURS, "sacred"], results, {"sacred": "0.8"}, {"aim": "no such package"}, QUICK)
    rows = {row[0]: row for row in table.rows}
    assert rows["mini_mlflow"][1] == "40 (2.0 x)"
    assert rows["mini_mlflow"][-2:] == ("0 (max 0)", "0, 3 calls raised, 10 params lost")
    assert rows["Sacred, files 0.8 *"][-2:] == ("8 (max 90)", "a run belongs to one process")
    assert rows["Aim"][1] == "not installed"
    assert "Aim: not installed: no such package" in table.notes
    assert table.figures["peer.sacred.kill"] == 8.0


def test_environment_is_made_once_and_again_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: List[List[str]] = []
    failing = [CannotRun("ERROR: no such package")]

    def run(command: List[str]) -> None:
        commands.append(command)
        Path(tmp_path / f"sacred-{sys.version_info[0]}.{sys.version_info[1]}").mkdir(exist_ok=True)
        if "install" in command and failing:
            raise failing.pop()

    monkeypatch.setattr(environments, "_run", run)
    with pytest.raises(CannotRun, match="no such package"):
        environments.interpreter_for(load("sacred"), tmp_path, quiet)
    python = environments.interpreter_for(load("sacred"), tmp_path, quiet)
    assert (len(commands), commands[-1][-2:]) == (4, list(load("sacred").requirements))
    assert environments.interpreter_for(load("sacred"), tmp_path, quiet) == python
    assert len(commands) == 4
    assert environments.interpreter_for(load(OURS), tmp_path, quiet) == sys.executable


def chunk(kind: int, payload: bytes) -> bytes:
    return b"crc!" + len(payload).to_bytes(2, "little") + bytes([kind]) + payload


def test_log_of_blocks_reads_as_far_as_it_is_whole() -> None:
    head = b"header."
    first = b"a" * (BLOCK - len(head) - 7 - 3)
    content = head + chunk(1, first) + b"\0" * 3 + chunk(2, b"split ") + chunk(3, b"in ") + chunk(4, b"three")
    assert list(read_log(content + chunk(1, b"last"))) == [first, b"split in three", b"last"]
    assert list(read_log(content + chunk(1, b"torn")[:-1])) == [first, b"split in three"]
    assert list(read_log(content + b"\0" * 20)) == [first, b"split in three"]


def test_rows_that_writers_tore_for_each_other_are_no_points(tmp_path: Path) -> None:
    peer = object.__new__(dvclive_folders.Adapter)
    peer._folder = str(tmp_path)
    file = tmp_path / "run" / "plots" / "metrics" / "metric-shared.tsv"
    file.parent.mkdir(parents=True)
    file.write_text("step\tmetric-shared\n0\t1.0\nstep\tmetric-shared\n1\t2.0\n2\n")
    assert peer.points("run", "metric-shared") == [1.0, 2.0]
    assert peer.points("run", "another") == []


def test_complaint_names_no_folder_of_this_machine() -> None:
    assert last_line("Traceback\nOSError: 'no /tmp/x-1/store/0/run'\n\n") == "OSError: 'no store/0/run'"


def test_peers_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    def peers(*arguments: str) -> BenchOptions:
        return parse_bench_options(list(arguments), ["calls", "peers"])

    assert peers().peers == ()
    assert peers().only == ("calls",)
    assert peers("--peers").peers == tuple(name for name in ADAPTERS if name != OURS)
    assert peers("--peers", "aim", "a.module").peers == ("aim", "a.module")
    assert peers("--peers", "aim").only == ("calls", "peers")
    for wrong in (["--peers", "nobody"], ["--only", "peers"]):
        with pytest.raises(SystemExit):
            peers(*wrong)
        assert "--peers" in capsys.readouterr().err
