"""One call of each peer beside the others' and the bare loops', in small blocks that alternate in shuffled order."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Callable, Dict, List, Sequence, Tuple

from stress.bench.bare_loops import AppendLoop, NewNameLoop, ReplacingLoop
from stress.bench.interleaving import Loop, time_calls
from stress.bench.options import BenchOptions
from stress.bench.peer_process import PeerFailed, PeerPlace, PeerProcess
from stress.bench.peer_results import Results
from stress.bench.peers.contract import ONE, TEN
from stress.bench.tables import median

REPLACING, NEW_NAME, APPEND = "bare: replacing rename", "bare: rename to a new name", "bare: append"
BARE = (REPLACING, NEW_NAME, APPEND)

#: One block: the nanoseconds of each call.
Block = Callable[[], List[int]]


def measure_peer_calls(
    peers: Sequence[PeerPlace], scratch: Path, options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    """Adds ``one`` and ``ten``, the median microseconds of a call, for each peer; and ``one`` for the bare loops."""
    with ExitStack() as stack:
        append = AppendLoop(scratch / "append")
        stack.callback(append.close)
        bare: Dict[str, Loop] = {
            REPLACING: ReplacingLoop(scratch / "replacing"),
            NEW_NAME: NewNameLoop(scratch / "new-names"),
            APPEND: append,
        }
        blocks: Dict[Tuple[str, str], Block] = {
            (name, ONE): lambda loop=loop: time_calls(loop, options.peer_block)  # type: ignore[misc]
            for name, loop in bare.items()
        }
        opened: List[PeerProcess] = []
        for place in peers:
            show(f"starting {place.peer.label}")
            process = stack.enter_context(place.start(place.fresh()))
            try:
                process.ready().ask("open")
            except PeerFailed as failure:
                results.fail(place.name, (ONE, TEN), str(failure))
                continue
            opened.append(process)
            for kind in (ONE, TEN):
                blocks[place.name, kind] = _block(process, kind, options)
        _alternate(blocks, options, results, show)
        for process in opened:
            try:
                process.ask("close")
            except PeerFailed:
                pass


def _block(process: PeerProcess, kind: str, options: BenchOptions) -> Block:
    def block() -> List[int]:
        taken: List[int] = process.ask("calls", kind=kind, calls=options.peer_block, seconds=options.peer_block_s)
        return taken

    return block


def _alternate(
    blocks: Dict[Tuple[str, str], Block], options: BenchOptions, results: Results, show: Callable[[str], None]
) -> None:
    times: Dict[Tuple[str, str], List[int]] = {key: [] for key in blocks}
    order = list(blocks)
    shuffle = Random(options.seed).shuffle
    for number in range(options.peer_rounds + 1):
        shuffle(order)
        for key in list(order):
            show(f"calls, round {number} of {options.peer_rounds}: {key[0]}")
            try:
                taken = blocks[key]()
            except PeerFailed as failure:
                order.remove(key)
                results.fail(key[0], (key[1],), str(failure))
                continue
            if number:
                times[key] += taken
    for (name, kind), taken in times.items():
        if taken and (name, kind) in order:
            results.add(name, kind, median(taken) / 1000)
