"""From the command line of ``python -m stress power`` to its exit status."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Dict, List

from stress.power.options import PowerOptions, parse_power_options
from stress.power.searching import Search, Tally, make_variants, without_warnings
from stress.progress import Progress
from stress.report import align

HELD, BROKEN, COULD_NOT_RUN = 0, 1, 2
#: States of one variant before the next one has its turn.
TURN = 20
_COUNTS = ("steps", "built", "distinct", "continued", "cut_again")


def main(arguments: List[str]) -> int:
    """Search, or repeat a state; the exit status."""
    options = parse_power_options(arguments, random.randrange(10**6))
    progress = Progress()
    without_warnings()
    try:
        scratch = Path(tempfile.mkdtemp(prefix="mini-mlflow-power-", dir=options.runs_dir))
        tallies = search(options, scratch, progress)
        broken = any(tally.findings for tally in tallies)
        if not broken and not options.keep:
            shutil.rmtree(str(scratch))
    except Exception:  # noqa: BLE001  (no traceback may end in status 1, which says that a promise was broken)
        progress.say(traceback.format_exc())
        return COULD_NOT_RUN
    print(format_json(tallies, options.seed) if options.json else format_report(tallies))
    if options.keep:
        progress.say(f"kept in {scratch}")
    return BROKEN if broken else HELD


def search(options: PowerOptions, scratch: Path, progress: Progress) -> List[Tally]:
    """What was found in each variant, in turns, until there is no time left or there are enough states."""
    deadline = time.monotonic() + options.seconds
    variants = make_variants(options.levels, options.workloads, options.rations, options.seed)
    searches = []
    for variant in variants:
        place = scratch / "-".join([variant.workload, variant.level, variant.ration])
        searches.append(Search(variant, place, options.keep))
        progress.show(f"power: recorded {len(searches)} of {len(variants)} workloads")
    if options.state:
        searches[0].try_state(options.state[0], True, 0, *options.state[1:2])
        return [searches[0].tally]
    going = list(searches)
    while going:
        for one in list(going):
            built = sum(other.tally.built for other in searches)
            left = TURN if options.states is None else min(TURN, options.states - built)
            if left <= 0 or time.monotonic() >= deadline:
                going = []
                break
            if not one.advance(left):
                going.remove(one)
                progress.say(f"power: {one.tally.findings[0].command()}: BROKEN")
                if options.first:
                    return [other.tally for other in searches]
            progress.show(f"power: {built:,} states, {max(0.0, deadline - time.monotonic()):.0f} s left")
    progress.show("")
    return [one.tally for one in searches]


def format_report(tallies: List[Tally]) -> str:
    """A line for each workload and level, the sums, and what broke."""
    rows = [["workload", "fsync", "verdict", "steps", "states", "distinct", "continued", "cut again"]]
    joined: Dict[Any, List[Tally]] = {}
    for tally in tallies:
        joined.setdefault((tally.variant.workload, tally.variant.level), []).append(tally)
    for (workload, level), some in joined.items():
        rows.append([workload, level, _verdict(some), *_sums(some)])
    rows.append(["all", "", _verdict(tallies), *_sums(tallies)])
    lines = align(rows)
    for finding in [finding for tally in tallies for finding in tally.findings]:
        lines += ["", f"broken: {finding.command()}", *(f"  {line}" for line in finding.error.strip().split("\n"))]
        lines += ["  what the power cut left:", *(f"    {line}" for line in finding.told), f"  kept in {finding.kept}"]
    return "\n".join(lines)


def _verdict(tallies: List[Tally]) -> str:
    return "FAIL" if any(tally.findings for tally in tallies) else "PASS"


def _sums(tallies: List[Tally]) -> List[str]:
    return [f"{sum(getattr(tally, name) for tally in tallies):,}" for name in _COUNTS]


def format_json(tallies: List[Tally], seed: int) -> str:
    """The same as plain values, one entry a variant."""
    content = [
        {
            **tally.variant._asdict(),
            **{name: getattr(tally, name) for name in _COUNTS},
            "verdict": _verdict([tally]),
            "broken": [dict(finding._asdict(), command=finding.command(), states=[]) for finding in tally.findings],
        }
        for tally in tallies
    ]
    for entry in content:
        for broken in entry["broken"]:
            del broken["variant"], broken["states"]
    return json.dumps({"seed": seed, "variants": content}, indent=1)
