"""What of the acknowledged points is gone after ``kill -9``."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Callable, List, Sequence

from stress.bench.options import BenchOptions
from stress.bench.peer_process import PeerFailed, PeerPlace
from stress.bench.peer_results import Results
from stress.bench.peers.contract import KILL

SHORTEST_S, LONGEST_S = 0.2, 1.5
#: For helpers that a peer has beside the process: what they still have to write counts as kept.
GRACE_S = 1.0
PATIENCE_S = 30.0


def measure_peer_losses(
    peers: Sequence[PeerPlace], options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    """Adds ``kill``: the points lost, one figure a kill."""
    random = Random(options.seed)
    for place in peers:
        for number in range(options.peer_kills):
            show(f"kill {number + 1} of {options.peer_kills}: {place.peer.label}")
            base = place.fresh()
            try:
                results.add(place.name, KILL, float(_kill_once(place, base, random.uniform(SHORTEST_S, LONGEST_S))))
            except PeerFailed as failure:
                results.fail(place.name, (KILL,), str(failure))
            place.remove(base)


def _kill_once(place: PeerPlace, base: Path, after_s: float) -> int:
    notes = base / "acknowledged"
    with place.start(base) as victim:
        victim.ready().send("log_until_killed", path=str(notes))
        deadline = time.monotonic() + PATIENCE_S
        while len(_lines(notes)) < 2:
            if time.monotonic() > deadline:
                raise PeerFailed("logged nothing")
            time.sleep(0.01)
        time.sleep(after_s)
        victim.kill_alone()
        time.sleep(GRACE_S)
    name, *acknowledged = _lines(notes)
    with place.start(base) as reader:
        found = set(reader.ready().ask("read_killed", name=name))
    numbers = {float(number) for number in acknowledged}
    if not place.peer.keeps_history:
        # The last value may be one more than was acknowledged: the call that the kill interrupted.
        return 0 if found and max(found) >= max(numbers) else 1
    return len(numbers - found)


def _lines(path: Path) -> List[str]:
    """The whole lines of the file; none where there is no file yet."""
    try:
        return path.read_text().rpartition("\n")[0].splitlines()
    except FileNotFoundError:
        return []
