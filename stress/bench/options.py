"""What the bench is asked to measure, where, and how long."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

from stress.bench.environments import default_cache
from stress.bench.peers import ADAPTERS, OURS

_SHARED_MEMORY = "/dev/shm"
PEERS, MLFLOW = "peers", "mlflow"
REPEATS = 3


@dataclass(frozen=True)
class BenchOptions:
    """One invocation of the bench.

    Attributes:
        places: folders, each on the file system to measure.
        ext4: also on an image of ext4 with a journal, made for this.
        peers: names of adapters to measure beside ours; empty: none.
        rounds: rounds of interleaved blocks for call times.
        block: calls in a block.
        repeats: interleaved repeats where whole workloads are timed.
        points: length of the long history.
        runs: how many finished runs to read; a table has all of the sizes.
        many: search among 100,000, too.
        crowd_rounds: fresh folders that crowds of MLflow's meet in.
        crowd_points: points that a crowd logs to one run in one repeat.
        crowd_runs: runs that a crowd makes in one repeat.
        peer_rounds: rounds of interleaved blocks for the calls of peers.
        peer_block: calls in one of these blocks, at most.
        peer_block_s: seconds of one of these blocks, after which it is cut.
        peer_repeats: repeats of the crowds and reads of peers.
        peer_seconds: how long a crowd of a peer works.
        peer_runs: finished runs of a peer to read, at most.
        peer_fill_s: seconds in which a peer makes them, and in which it reads them: there are as many as fit.
        peer_kills: kills a peer.
    """

    places: Tuple[str, ...]
    ext4: bool
    only: Tuple[str, ...]
    peers: Tuple[str, ...]
    peers_cache: str
    markdown: Optional[str]
    json: Optional[str]
    chart: Optional[str]
    seed: int
    rounds: int
    block: int
    repeats: int
    points: int
    runs: Tuple[int, ...]
    crowd_points: int
    crowd_runs: int
    many: bool = False
    crowd_rounds: int = 20
    peer_rounds: int = 20
    peer_block: int = 50
    peer_block_s: float = 0.1
    peer_repeats: int = REPEATS
    peer_seconds: float = 1.5
    peer_runs: int = 1000
    peer_fill_s: float = 5.0
    peer_kills: int = REPEATS


def parse_bench_options(arguments: Sequence[str], known: Sequence[str]) -> BenchOptions:
    """The options of a command line; leaves the process with status 2 where they make no sense."""
    parser = _parser(known)
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    for place in chosen.places or []:
        if not os.path.isdir(place):
            parser.error(f"--dir: {place!r} is no folder")
    points = chosen.points or (20_000 if quick else 1_000_000)
    if points < 5_000:
        parser.error("--points: at least 5,000, to be told from the 1,000 that it is compared with")
    peers = () if chosen.peers is None else tuple(chosen.peers or (name for name in ADAPTERS if name != OURS))
    for name in peers:
        if name not in ADAPTERS and "." not in name:
            parser.error(f"--peers: {name!r} is none of {', '.join(ADAPTERS)}, and no module")
    if PEERS in (chosen.only or ()) and not peers:
        parser.error("--only peers: needs --peers")
    sizes = {"crowd_rounds": 2, "peer_rounds": 2, "peer_seconds": 0.3, "peer_runs": 20, "peer_fill_s": 2.0}
    repeats = chosen.peer_repeats or (1 if quick else REPEATS)
    return BenchOptions(
        places=tuple(chosen.places or _default_places(chosen.ext4)),
        ext4=chosen.ext4,
        # Where MLflow is not installed, it is half a minute's download.
        only=tuple(chosen.only or [name for name in known if name != MLFLOW and (name != PEERS or peers)]),
        peers=peers,
        peers_cache=chosen.peers_cache,
        markdown=chosen.markdown,
        json=chosen.json,
        chart=chosen.chart,
        seed=chosen.seed,
        rounds=8 if quick else 40,
        block=100 if quick else 200,
        repeats=3 if quick else 7,
        points=points,
        runs=tuple(chosen.runs or ([100] if quick else [1_000, 10_000])),
        many=chosen.many,
        crowd_points=4_000 if quick else 16_000,
        crowd_runs=32 if quick else 160,
        peer_repeats=repeats,
        peer_kills=repeats,
        **(sizes if quick else {}),  # type: ignore[arg-type]
    )


def _parser(known: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stress bench",
        description="Speed of mini_mlflow beside bare file system loops, interleaved in one run. Asserts nothing.",
    )
    add = parser.add_argument
    add(
        "--dir",
        action="append",
        dest="places",
        metavar="FOLDER",
        help="measure on the file system of this folder; repeatable (default: /dev/shm, if there, and the current one)",
    )
    add("--ext4", action="store_true", help="also on a fresh ext4 with a journal, made and mounted for this (as root)")
    add("--only", action="append", choices=list(known), help="only this table; repeatable")
    add("--quick", action="store_true", help="a tenth of the work, for a first look")
    add("--points", type=int, help="length of the long history (default 1,000,000; quick 20,000)")
    add(
        "--runs",
        type=int,
        action="append",
        help="finished runs to read; repeatable (default 1,000 and 10,000; quick 100)",
    )
    add("--many", action="store_true", help="search among 100,000 finished runs, too (about a gigabyte of files)")
    add("--seed", type=int, default=0, help="of the shuffled order of blocks (default 0)")
    add("--markdown", metavar="FILE", help="write the tables there too")
    add("--json", metavar="FILE", help="write the tables and all figures there")
    add("--chart", metavar="FILE", help="draw a PNG; needs the extra bench")
    _add_peers(add)
    return parser


def _add_peers(add: Callable[..., object]) -> None:
    add(
        "--peers",
        nargs="*",
        metavar="NAME",
        help="the same work through others, each in an environment of its own that pip fills on the first use; "
        f"without a name all of them: {', '.join(name for name in ADAPTERS if name != OURS)}",
    )
    add(
        "--peers-cache",
        default=str(default_cache()),
        metavar="FOLDER",
        help="where these are kept (default %(default)s)",
    )
    add("--peer-repeats", type=int, help="repeats of what takes long there, and kills (default 3; quick 1)")


def _default_places(ext4: bool) -> List[str]:
    here = [] if ext4 else [os.getcwd()]
    return [_SHARED_MEMORY] + here if os.access(_SHARED_MEMORY, os.W_OK) else here or [os.getcwd()]
