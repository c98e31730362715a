"""MLflow through our plugin beside MLflow's own stores: a call, a search, and a crowd in a fresh folder."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from stress.bench.environments import interpreter_for
from stress.bench.mlflow_process import FILES, OURS, SQLITE
from stress.bench.options import BenchOptions
from stress.bench.peers.mlflow_file import Adapter
from stress.bench.tables import Table, median, ratio
from stress.children import CannotRun, child_environment
from stress.progress import Progress

PROCESSES, THREADS = 8, 8
#: A crowd of MLflow's default spends most of a minute on making tables.
_LIMIT_S = 1800.0
_ROOT = Path(__file__).resolve().parent.parent.parent


def measure_mlflow(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table; what is compared is interleaved within one process, and the crowds take turns."""
    python = _find_python(options, progress)
    table = Table("MLflow, through the plugin and through its own stores", ("what", "ours", "its files", "its SQLite"))
    _add_calls(table, _run(python, scratch / "calls", "calls", rounds=options.rounds, block=25))
    for runs in options.runs[-1:]:
        progress.show(f"MLflow: searching {runs:,} runs")
        _add_searches(table, runs, _run(python, scratch / "searches", "searches", runs=runs, repeats=options.repeats))
    _add_crowds(table, python, scratch, options, progress)
    table.notes.append("log_metric: microseconds a call at the store, the median of blocks; times as many in brackets")
    table.notes.append(
        "searches: milliseconds, the median; the first of ours, with nothing remembered, after the semicolon"
    )
    table.notes.append(
        f"crowds: of {PROCESSES} processes of {THREADS} threads each that start together in a fresh folder with "
        "set_experiment, start_run and 20 metrics, rounds that all came through, and processes that did; "
        "SQLite is what MLflow takes by default"
    )
    return table


def _find_python(options: BenchOptions, progress: Progress) -> str:
    if importlib.util.find_spec("mlflow") is not None and importlib.util.find_spec("sqlalchemy") is not None:
        return sys.executable
    return interpreter_for(Adapter, Path(options.peers_cache), progress.show)


def _environment(folder: Path) -> Dict[str, str]:
    place = folder / "site" / "mini_mlflow_of_the_bench-0.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: mini-mlflow-of-the-bench\nVersion: 0\n")
    # As an installation has it: this may run from a checkout that is not installed.
    (place / "entry_points.txt").write_text(
        "[mlflow.tracking_store]\nmini-mlflow = mini_mlflow.mlflow_plugin:build_tracking_store\n"
    )
    environment = dict(child_environment(), MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ALLOW_FILE_STORE="true")
    environment["PYTHONPATH"] = os.pathsep.join([str(place.parent), environment.get("PYTHONPATH", ""), str(_ROOT)])
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        environment.pop(name, None)
    return environment


def _run(python: str, folder: Path, work: str, **arguments: Any) -> Any:
    folder.mkdir()
    try:
        text = json.dumps(dict(arguments, work=work, folder=str(folder)))
        return _ask([python, "-m", "stress.bench.mlflow_process", text], folder)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def _ask(command: List[str], folder: Path) -> Any:
    done = subprocess.run(
        command,
        env=_environment(folder),
        cwd=str(folder),
        check=False,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise CannotRun("MLflow could not be measured: %s" % done.stderr[-1000:])
    return json.loads(done.stdout.splitlines()[-1])


def _add_calls(table: Table, taken: Dict[str, List[float]]) -> None:
    medians = {name: median(values) for name, values in taken.items()}
    cells = [f"{medians[OURS]:,.0f}"]
    for name in (FILES, SQLITE):
        cells.append(_beside(medians.get(name), medians[OURS], "{:,.0f}"))
        if name in medians:
            table.figures[f"mlflow.log.{name}"] = medians[name] / medians[OURS]
    table.rows.append(("log_metric, us", *cells))


def _add_searches(table: Table, runs: int, taken: Dict[str, Dict[str, List[float]]]) -> None:
    for name, by_store in taken.items():
        ours, sqlite = median(by_store[OURS]), median(by_store[SQLITE])
        first = by_store[OURS][0]
        cells = (f"{ours:,.0f}; {first:,.0f}", "-", _beside(sqlite, ours, "{:,.0f}"))
        table.rows.append((f"search of {runs:,}: {name}, ms", *cells))
        table.figures[f"mlflow.search.{name}"] = sqlite / ours


def _add_crowds(table: Table, python: str, scratch: Path, options: BenchOptions, progress: Progress) -> None:
    rounds: Dict[str, List[Dict[str, Any]]] = {OURS: [], SQLITE: []}
    for number in range(options.crowd_rounds):
        for name, uri in ((OURS, "mini-mlflow:./mlruns"), (SQLITE, None)):
            progress.show(f"MLflow: crowd {number + 1} of {options.crowd_rounds}, {name}")
            rounds[name].append(_run_crowd(python, scratch / f"crowd-{name}-{number}", uri))
    cells = {}
    for name, found in rounds.items():
        whole = sum(one["whole"] == PROCESSES * THREADS and one["survived"] == PROCESSES for one in found)
        cells[name] = f"{whole} of {len(found)}; {sum(one['survived'] for one in found)} of {PROCESSES * len(found)}"
        table.figures[f"mlflow.crowd.{name}"] = whole / len(found)
    table.rows.append((f"crowd of {PROCESSES} x {THREADS} in a fresh folder", cells[OURS], "-", cells[SQLITE]))


def _run_crowd(python: str, folder: Path, uri: Optional[str]) -> Dict[str, Any]:
    folder.mkdir()
    try:
        work = {"folder": str(folder), "uri": uri, "processes": PROCESSES, "threads": THREADS}
        found: Dict[str, Any] = _ask([python, "-m", "stress.bench.mlflow_crowd", json.dumps(work)], folder)
        return found
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def _beside(value: Optional[float], ours: float, form: str) -> str:
    return "-" if value is None else f"{form.format(value)} ({ratio(value, ours)})"
