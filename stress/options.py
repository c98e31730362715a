"""What the command line asks for."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Sequence, Tuple


class Size(NamedTuple):
    """What a scenario takes where the command line says nothing.

    Attributes:
        seconds: of writing, at scale 1.
        round_seconds: the longest that it writes before it is judged: bounds the memory of the judge.
    """

    seconds: float
    processes: int = 4
    threads: int = 4
    round_seconds: float = 60.0


@dataclass(frozen=True)
class Options:
    """One invocation of the program.

    Attributes:
        threads, processes, seconds: None: what each scenario has by itself.
        environments: where mixed_versions keeps its Pythons; None: in a temporary folder.
        install: it may make those that are not there.
    """

    scenarios: Tuple[str, ...]
    threads: Optional[int]
    processes: Optional[int]
    seconds: Optional[float]
    seed: int
    scale: float
    keep: bool
    json: bool
    runs_dir: Optional[str]
    environments: Optional[str]
    install: bool

    def size(self, usual: Size) -> Size:
        """The size of a scenario that has that one by itself."""
        return Size(
            self.seconds or usual.seconds,
            self.processes or usual.processes,
            self.threads or usual.threads,
            usual.round_seconds,
        )

    def rounds(self, size: Size) -> List[float]:
        """The seconds of each round: ``seconds * scale`` in all, cut where a round would be too long."""
        total = size.seconds * self.scale
        number = max(1, -int(-total // size.round_seconds))
        return [total / number] * number

    def command(self, scenario: str, size: Size, seed: int, seconds: float) -> str:
        """The command that repeats one round of one scenario, or all of them."""
        words = ["python", "-m", "stress", "--scenario", scenario, "--seed", str(seed)]
        words += ["--threads", str(size.threads), "--processes", str(size.processes), "--seconds", f"{seconds:g}"]
        for option, value in (("--runs-dir", self.runs_dir), ("--environments", self.environments)):
            words += [option, shlex.quote(value)] if value is not None else []
        return " ".join(words + ([] if self.install else ["--no-install"]))


def parse_options(arguments: Sequence[str], known_scenarios: Sequence[str], random_seed: int) -> Options:
    """The options of a command line; leaves the process with status 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m stress",
        description="Threads, processes, kills and forks on one tree, judged against the guarantees of mini_mlflow.",
        epilog="Exit status: 0 all guarantees held (what was skipped is named), 1 one was broken, 2 could not run, "
        "130 interrupted. More: python -m stress bench --help, python -m stress without --help.",
    )
    parser.add_argument("--scenario", action="append", choices=list(known_scenarios), help="only this one; repeatable")
    parser.add_argument("--threads", type=_at_least_one, help="threads a process (default: 4)")
    parser.add_argument("--processes", type=_at_least_one, help="writing processes (default: 4, one_run 8)")
    parser.add_argument("--seconds", type=_positive, help="seconds of writing (default: each scenario has its own)")
    parser.add_argument("--scale", type=_positive, default=1.0, help="multiplies the seconds (default 1)")
    parser.add_argument("--seed", type=int, default=random_seed, help="default: a random one, printed")
    parser.add_argument("--keep", action="store_true", help="keep trees and acknowledgements also where all held")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--runs-dir", help="folder for the scratch trees (default: a temporary one)")
    parser.add_argument(
        "--environments", help="folder where mixed_versions keeps its Pythons (default: a temporary one)"
    )
    parser.add_argument("--no-install", action="store_true", help="mixed_versions: use such Pythons, make none")
    chosen = parser.parse_args(arguments)
    if (chosen.threads or 1) > 90:
        parser.error("--threads: at most 90, a value names its thread with two digits")
    return Options(
        scenarios=tuple(chosen.scenario or known_scenarios),
        threads=chosen.threads,
        processes=chosen.processes,
        seconds=chosen.seconds,
        seed=chosen.seed,
        scale=chosen.scale,
        keep=chosen.keep,
        json=chosen.json,
        runs_dir=chosen.runs_dir and os.path.abspath(chosen.runs_dir),
        environments=chosen.environments and os.path.abspath(chosen.environments),
        install=not chosen.no_install,
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e7:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number
