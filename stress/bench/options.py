"""What the bench is asked to measure, where, and how long."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import List, Sequence, Tuple

_SHARED_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class BenchOptions:
    """One invocation of the bench.

    Attributes:
        places: folders, each on the file system to measure.
        rounds: rounds of interleaved blocks for call times.
        block: calls in a block.
        repeats: interleaved repeats where whole workloads are timed.
        points: length of the long history.
        runs: finished runs to read.
        crowd_points: points that a crowd logs to one run in one repeat.
        crowd_runs: runs that a crowd makes in one repeat.
    """

    places: Tuple[str, ...]
    only: Tuple[str, ...]
    seed: int
    rounds: int
    block: int
    repeats: int
    points: int
    runs: int
    crowd_points: int
    crowd_runs: int


def parse_bench_options(arguments: Sequence[str], known: Sequence[str]) -> BenchOptions:
    """The options of a command line; leaves the process with status 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m stress bench",
        description="Speed of mini_mlflow beside bare file system loops, interleaved in one run. Asserts nothing.",
    )
    parser.add_argument(
        "--dir",
        action="append",
        dest="places",
        metavar="FOLDER",
        help="measure on the file system of this folder; repeatable (default: /dev/shm, if there, and the current one)",
    )
    parser.add_argument("--only", action="append", choices=list(known), help="only this table; repeatable")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for a first look")
    parser.add_argument("--points", type=int, help="length of the long history (default 1,000,000; quick 20,000)")
    parser.add_argument("--runs", type=int, help="finished runs to read (default 1,000; quick 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffled order of blocks (default 0)")
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    for place in chosen.places or []:
        if not os.path.isdir(place):
            parser.error(f"--dir: {place!r} is no folder")
    points = chosen.points or (20_000 if quick else 1_000_000)
    if points < 5_000:
        parser.error("--points: at least 5,000, to be told from the 1,000 that it is compared with")
    return BenchOptions(
        places=tuple(chosen.places or _default_places()),
        only=tuple(chosen.only or known),
        seed=chosen.seed,
        rounds=8 if quick else 40,
        block=100 if quick else 200,
        repeats=3 if quick else 7,
        points=points,
        runs=chosen.runs or (100 if quick else 1_000),
        crowd_points=4_000 if quick else 16_000,
        crowd_runs=32 if quick else 160,
    )


def _default_places() -> List[str]:
    here = os.getcwd()
    return [_SHARED_MEMORY, here] if os.access(_SHARED_MEMORY, os.W_OK) else [here]
