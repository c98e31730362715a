"""``--peers``: the same work through what people use today, in one table with what each of them loses."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from stress.bench.environments import interpreter_for, version_of
from stress.bench.options import BenchOptions
from stress.bench.peer_calls import BARE, REPLACING, measure_peer_calls
from stress.bench.peer_crowds import SHARED_LOST, SHARED_PARAMS_LOST, SHARED_REFUSED, measure_peer_crowds
from stress.bench.peer_losses import measure_peer_losses
from stress.bench.peer_process import PeerPlace
from stress.bench.peer_reading import IMPORT_MS, PEAK_MB, measure_peer_imports, measure_peer_reading
from stress.bench.peer_results import Cell, Results
from stress.bench.peers import OURS, load
from stress.bench.peers.contract import KILL, ONE, PROCESSES, READ, SHARED, TEN, THREADS
from stress.bench.tables import Table
from stress.children import CannotRun
from stress.progress import Progress

#: Workload to the head of its column, and the decimals of a figure.
COLUMNS: Dict[str, Tuple[str, int]] = {
    ONE: ("one metric, us", 0),
    TEN: ("ten metrics, us", 0),
    THREADS: ("8 threads, runs/s", 1),
    PROCESSES: ("4 processes, runs/s", 1),
    SHARED: ("4 x 4 on one run, points/s", 0),
    READ: ("cold read, us a run", 0),
    IMPORT_MS: ("import, ms", 0),
    PEAK_MB: ("peak, MB", 0),
    KILL: ("lost on kill -9", 0),
    SHARED_LOST: ("lost on a shared run", 0),
}


class Installed:
    """The peers that can be measured, by the interpreters that have them; made once, for all file systems.

    Attributes:
        anywhere: results that do not depend on the file system: kills and imports. Empty until the first table.
    """

    def __init__(self, options: BenchOptions, show: Callable[[str], None]) -> None:
        self.pythons: Dict[str, str] = {}
        self.versions: Dict[str, str] = {}
        self.missing: Dict[str, str] = {}
        self.anywhere: Optional[Results] = None
        for name in dict.fromkeys((OURS,) + options.peers):
            try:
                self.pythons[name] = interpreter_for(load(name), Path(options.peers_cache), show)
                self.versions[name] = version_of(load(name), self.pythons[name])
            except CannotRun as reason:
                self.missing[name] = str(reason)


def measure_peers(scratch: Path, options: BenchOptions, progress: Progress, installed: Installed) -> Table:
    """The table of peers, ours first, and the bare loops below."""
    results = Results()
    # TMPDIR and the like are the peers' own: stores alone stand on the file system under test.
    peers = [PeerPlace(name, python, scratch) for name, python in installed.pythons.items()]
    measure_peer_calls(peers, scratch, options, results, progress.show)
    measure_peer_crowds(peers, options, results, progress.show)
    measure_peer_reading(peers, options, results, progress.show)
    if installed.anywhere is None:
        installed.anywhere = Results()
        measure_peer_losses(peers, options, installed.anywhere, progress.show)
        measure_peer_imports(peers, scratch, options, installed.anywhere, progress.show)
    results.take(installed.anywhere)
    return lay_out([place.name for place in peers], results, installed.versions, installed.missing, options)


def lay_out(
    names: Sequence[str],
    results: Results,
    versions: Dict[str, str],
    missing: Dict[str, str],
    options: BenchOptions,
) -> Table:
    """The table of what was measured: a row a peer, then those that are not installed, then the bare loops."""
    table = Table("Beside others", ("",) + tuple(head for head, _ in COLUMNS.values()))
    bare = results.cell(REPLACING, ONE)
    for name in names:
        peer = load(name)
        title = " ".join(filter(None, [peer.label, versions.get(name, "")])) + (" *" if peer.queues else "")
        # 0.1.0 has its version in its name.
        title = title.replace("0.1.0 0.1.0", "0.1.0")
        table.rows.append((title,) + tuple(_cell(results, name, workload, bare) for workload in COLUMNS))
    for name, reason in missing.items():
        table.rows.append((load(name).label, "not installed") + ("",) * (len(COLUMNS) - 1))
        table.notes.append(f"{load(name).label}: not installed: {reason}")
    for name in BARE:
        table.rows.append((name, _cell(results, name, ONE, bare)) + ("",) * (len(COLUMNS) - 1))
    table.figures.update(results.figures())
    table.notes += _notes(names, results, options)
    return table


def _cell(results: Results, name: str, workload: str, bare: Cell) -> str:
    value = results.cell(name, workload)
    if isinstance(value, str):
        if not value:
            return ""
        known = value in load(name).cannot.values() or value.startswith("keeps ")
        return value if known else "fails"
    text = f"{value:,.{COLUMNS[workload][1]}f}"
    if workload == ONE and isinstance(bare, float):
        return f"{text} ({value / bare:,.1f} x)"
    if workload == KILL:
        return f"{text} (max {max(results.all_of(name, KILL)):,.0f})"
    if workload == SHARED_LOST:
        beside = {SHARED_REFUSED: "calls raised", SHARED_PARAMS_LOST: "params lost"}
        counts = {meaning: results.cell(name, figure) or 0.0 for figure, meaning in beside.items()}
        return ", ".join([text] + [f"{count:,.0f} {meaning}" for meaning, count in counts.items() if count])
    return text


def _notes(names: Sequence[str], results: Results, options: BenchOptions) -> List[str]:
    notes = [
        "one metric, ten metrics: median of a call in one thread; in brackets, to the bare replacing loop",
        "runs: 10 params and 20 metrics each, one call each, started and ended; points: all acknowledged ones",
        "cold read: list all finished runs (20 params, 10 metrics of 20 points) and read each, in a fresh process",
        f"lost on kill -9: acknowledged points that a fresh process cannot read, median of {options.peer_kills} kills",
        "lost on a shared run: the same after 4 processes of 4 threads each logged to one run and left in order",
        "* returns before the value has left the process, or its thread: the time is the caller's alone",
    ]
    for name in names:
        cannot = load(name).cannot.values()
        for workload, reason in results.complaints(name).items():
            if reason not in cannot and not reason.startswith("keeps "):
                notes.append(f"{load(name).label}, {COLUMNS.get(workload, (workload,))[0]}: `{reason}`")
    return notes
