"""What the command line asks for."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

#: The longest that one round of a scenario writes before it is judged: bounds the memory of the judge.
ROUND_SECONDS = 240.0


@dataclass(frozen=True)
class Options:
    """One invocation of the program."""

    scenarios: Tuple[str, ...]
    threads: int
    processes: int
    seconds: float
    seed: int
    scale: float
    keep: bool
    json: bool
    runs_dir: Optional[str]

    def rounds(self) -> List[float]:
        """The seconds of each round of a scenario: ``seconds * scale`` in all, cut where a round would be too long."""
        total = self.seconds * self.scale
        number = max(1, -int(-total // ROUND_SECONDS))
        return [total / number] * number

    def command(self, scenario: str, seed: int, seconds: float) -> str:
        """The command that repeats one round of one scenario."""
        words = ["python", "-m", "stress", "--scenario", scenario, "--seed", str(seed)]
        words += ["--threads", str(self.threads), "--processes", str(self.processes), "--seconds", f"{seconds:g}"]
        if self.runs_dir is not None:
            words += ["--runs-dir", shlex.quote(self.runs_dir)]
        return " ".join(words)


def parse_options(arguments: Sequence[str], known_scenarios: Sequence[str], random_seed: int) -> Options:
    """The options of a command line; leaves the process with status 2 where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m stress",
        description="Threads, processes, kills and forks on one tree, judged against the guarantees of mini_mlflow.",
        epilog="Exit status: 0 all guarantees held, 1 one was broken, 2 could not run. Speed: python -m stress bench.",
    )
    parser.add_argument("--scenario", action="append", choices=list(known_scenarios), help="only this one; repeatable")
    parser.add_argument("--threads", type=_at_least_one, default=4, help="threads a process (default 4)")
    parser.add_argument("--processes", type=_at_least_one, default=4, help="writing processes (default 4)")
    parser.add_argument("--seconds", type=_positive, default=10.0, help="seconds of writing a scenario (default 10)")
    parser.add_argument("--scale", type=_positive, default=1.0, help="multiplies --seconds (default 1)")
    parser.add_argument("--seed", type=int, default=random_seed, help="default: a random one, printed")
    parser.add_argument("--keep", action="store_true", help="keep trees and acknowledgements also where all held")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--runs-dir", help="folder for the scratch trees (default: a temporary one)")
    chosen = parser.parse_args(arguments)
    if chosen.threads > 90:
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
        runs_dir=chosen.runs_dir,
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
