"""Many threads and processes of each peer: runs a second, points a second on one run, and what is lost there."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, List, Sequence

from stress.bench.options import BenchOptions
from stress.bench.peer_process import PeerFailed, PeerPlace, PeerProcess, last_line
from stress.bench.peer_results import Results
from stress.bench.peers.contract import ONE, PROCESSES, SHARED, THREADS

THREADS_OWN, PROCESSES_OWN = 8, 4
SHARED_PROCESSES, SHARED_THREADS = 4, 4
#: Points acknowledged on the shared run that cannot be read back; calls that raised there.
SHARED_LOST, SHARED_REFUSED = "shared_lost", "shared_refused"
#: Params that the run had before the others joined, and has no longer.
SHARED_PARAMS_LOST = "shared_params_lost"
#: Until then every process has read its command.
HEAD_START_S = 0.05
#: For a first point on its way from a queue to the disk.
SETTLING_S = 1.5


def measure_peer_crowds(
    peers: Sequence[PeerPlace], options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    """Adds ``threads`` and ``processes`` (runs a second), ``shared`` (points a second), ``shared_lost`` and so on."""
    order = list(peers)
    shuffle = Random(options.seed).shuffle
    for number in range(options.peer_repeats):
        shuffle(order)
        for place in order:
            show(f"crowds, repeat {number + 1} of {options.peer_repeats}: {place.peer.label}")
            base = place.fresh()
            try:
                _measure(place, base, options, results)
            except PeerFailed as failure:
                results.fail(place.name, (THREADS, PROCESSES, SHARED), str(failure))
            place.remove(base)


def _measure(place: PeerPlace, base: Path, options: BenchOptions, results: Results) -> None:
    crowd = place.start_many(base, PROCESSES_OWN)
    name = ""
    refused: List[float] = []
    try:
        for workload, workers, threads in ((THREADS, crowd[:1], THREADS_OWN), (PROCESSES, crowd, 1)):
            made = _together(workers, "make_runs", options, threads=threads)
            _note_rate(place.name, workload, made, results)
        if SHARED in place.peer.cannot:
            results.fail(place.name, (SHARED, SHARED_LOST), place.peer.cannot[SHARED])
            return
        try:
            name = crowd[0].ask("open")
            # Some runs are there for others only once they hold something, and it is written.
            crowd[0].ask("calls", kind=ONE, calls=1, seconds=0.0)
            time.sleep(SETTLING_S if place.peer.queues else 0.0)
            for process in crowd:
                process.ask("attach", name=name)
            made = _together(crowd, "log_shared", options, threads=SHARED_THREADS)
            crowd[0].ask("close")
        except PeerFailed as failure:
            results.fail(place.name, (SHARED, SHARED_LOST), str(failure))
            return
    finally:
        for process in crowd:
            process.end(15.0)
    _note_rate(place.name, SHARED, made, results)
    refused = [value for part in made for value in part["refused"]]
    results.add(place.name, SHARED_REFUSED, float(len(refused)))
    try:
        with place.start(base) as reader:
            found = reader.ready().ask("count_shared", name=name, refused=refused)
    except PeerFailed as failure:
        results.fail(place.name, (SHARED_LOST,), str(failure))
        return
    results.add(place.name, SHARED_PARAMS_LOST, float(found["params_lost"]))
    if place.peer.keeps_history:
        results.add(place.name, SHARED_LOST, float(sum(part["made"] for part in made) - found["points"]))
    else:
        results.fail(place.name, (SHARED_LOST,), "keeps last values only")


def _together(workers: List[PeerProcess], do: str, options: BenchOptions, threads: int) -> List[Dict[str, Any]]:
    at = time.monotonic() + HEAD_START_S
    for number, process in enumerate(workers):
        slot = {"first_slot": number * SHARED_THREADS} if do == "log_shared" else {}
        process.send(do, threads=threads, seconds=options.peer_seconds, at=at, **slot)
    return [process.receive() for process in workers]


def _note_rate(name: str, workload: str, parts: List[Dict[str, Any]], results: Results) -> None:
    """All that was made, by the time from the first's begin to the last's end."""
    made = sum(part["made"] for part in parts)
    if made:
        seconds = max(part["ended"] for part in parts) - min(part["begun"] for part in parts)
        results.add(name, workload, made / seconds)
    errors = [error for part in parts for error in part["errors"]]
    if errors:
        results.fail(name, (workload,), last_line(errors[0]))
