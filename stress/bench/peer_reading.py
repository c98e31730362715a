"""A cold read of each peer's finished runs, and what its import costs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random
from typing import Callable, Dict, Sequence, Tuple

from stress.bench.imports import import_cost
from stress.bench.options import BenchOptions
from stress.bench.peer_process import PeerFailed, PeerPlace, environment_of
from stress.bench.peer_results import Results
from stress.bench.peers.contract import READ

IMPORT_MS, PEAK_MB = "import_ms", "peak_mb"


def measure_peer_reading(
    peers: Sequence[PeerPlace], options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    """Adds ``read``, the microseconds a run to list all runs and read each, in a fresh process."""
    filled: Dict[str, Tuple[PeerPlace, Path]] = {}
    for place in peers:
        show(f"making finished runs: {place.peer.label}")
        base = place.fresh()
        try:
            with place.start(base) as process:
                process.ready().ask("fill", runs=options.peer_runs, seconds=options.peer_fill_s)
            filled[place.name] = place, base
        except PeerFailed as failure:
            results.fail(place.name, (READ,), str(failure))
    order = list(filled)
    shuffle = Random(options.seed).shuffle
    for _ in range(options.peer_repeats):
        shuffle(order)
        for name in order:
            place, base = filled[name]
            show(f"cold reads: {place.peer.label}")
            try:
                with place.start(base) as process:
                    read = process.ready().ask("read_all", seconds=options.peer_fill_s)
            except PeerFailed as failure:
                results.fail(name, (READ,), str(failure))
                continue
            if read["whole"] < read["runs"] or not read["runs"]:
                results.fail(name, (READ,), f"{read['whole']} of {read['runs']} runs read whole")
            else:
                results.add(name, READ, read["a_run_s"] * 1e6)
    for place, base in filled.values():
        place.remove(base)


def measure_peer_imports(
    peers: Sequence[PeerPlace], scratch: Path, options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    """Adds ``import_ms`` and ``peak_mb`` of a fresh process that has done nothing but the import."""
    for number in range(options.peer_repeats + 1):
        for place in peers:
            show(f"imports: {place.peer.label}")
            environment = environment_of(place.name, str(scratch))
            try:
                seconds, peak = import_cost(place.python, place.peer.imports, environment, scratch)
            except subprocess.CalledProcessError as error:
                results.fail(place.name, (IMPORT_MS, PEAK_MB), f"status {error.returncode}")
                continue
            if number:
                results.add(place.name, IMPORT_MS, seconds * 1000)
                results.add(place.name, PEAK_MB, peak)
