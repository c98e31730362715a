"""What ``python -m stress power`` is asked for."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from stress.power.searching import LEVELS
from stress.power.states import State
from stress.power.workloads import RATIONS, WORKLOADS

_SHARED_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class PowerOptions:
    """One invocation.

    Attributes:
        states: so many are built at most; None for no limit.
        seconds: the search begins nothing new after so many.
        first: stop at the first broken promise.
        state: one state to repeat, or two: the first cut and the second; empty for a search.
        runs_dir: where the scratch folder is made.
    """

    workloads: Tuple[str, ...]
    levels: Tuple[str, ...]
    rations: Tuple[str, ...]
    states: Optional[int]
    seconds: float
    seed: int
    first: bool
    state: Tuple[State, ...]
    keep: bool
    json: bool
    runs_dir: Optional[str]


def parse_power_options(arguments: Sequence[str], random_seed: int) -> PowerOptions:
    """The options of a command line; leaves the process with status 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m stress power",
        description="What a power cut may leave of a tree: built, read, gone on from, cut again, and judged.",
        epilog="Exit status: 0 every promise was kept, 1 one was broken, 2 could not run.",
    )
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="only this one; repeatable")
    parser.add_argument("--fsync", action="append", choices=LEVELS, help="only this level; repeatable")
    parser.add_argument("--ration", action="append", choices=list(RATIONS), help="only so; repeatable")
    parser.add_argument("--states", type=_at_least_one, help="states to build (default: as many as there is time for)")
    parser.add_argument("--seconds", type=float, default=50.0, help="seconds to search (default 50)")
    parser.add_argument("--seed", type=int, default=random_seed, help="default: a random one, printed")
    parser.add_argument("--first", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--state", action="append", type=State.parse, help="repeat this one; given twice, two cuts")
    parser.add_argument("--keep", action="store_true", help="keep the trees that held, too")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--runs-dir", help="folder for the scratch trees (default: in memory, or a temporary one)")
    chosen = parser.parse_args(arguments)
    if chosen.state and not all(len(given or ()) == 1 for given in (chosen.workload, chosen.fsync, chosen.ration)):
        parser.error("--state is of one --workload, --fsync and --ration")
    if chosen.runs_dir is not None and not os.path.isdir(chosen.runs_dir):
        parser.error(f"--runs-dir: {chosen.runs_dir!r} is no folder")
    return PowerOptions(
        workloads=tuple(chosen.workload or WORKLOADS),
        levels=tuple(chosen.fsync or LEVELS),
        rations=tuple(chosen.ration or RATIONS),
        states=chosen.states,
        seconds=chosen.seconds,
        seed=chosen.seed,
        first=chosen.first,
        state=tuple(chosen.state or ()),
        keep=chosen.keep,
        json=chosen.json,
        runs_dir=chosen.runs_dir or (_SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None),
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number
