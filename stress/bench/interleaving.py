"""Times of single calls, taken in small blocks that alternate in shuffled order."""

from __future__ import annotations

import time
from random import Random
from typing import Callable, Dict, List

Loop = Callable[[], object]


def interleave(
    loops: Dict[str, Loop], block: int, rounds: int, seed: int, show: Callable[[str], None]
) -> Dict[str, List[int]]:
    """The nanoseconds of each call, by loop; a first round warms up and does not count."""
    times: Dict[str, List[int]] = {name: [] for name in loops}
    order = list(loops)
    shuffle = Random(seed).shuffle
    for number in range(rounds + 1):
        show(f"round {number} of {rounds}")
        shuffle(order)
        for name in order:
            taken = time_calls(loops[name], block)
            if number:
                times[name] += taken
    return times


def time_calls(loop: Loop, calls: int) -> List[int]:
    """The nanoseconds of each of so many calls."""
    clock, taken = time.perf_counter_ns, []
    for _ in range(calls):
        begun = clock()
        loop()
        taken.append(clock() - begun)
    return taken
