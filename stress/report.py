"""The report: a table for people, JSON for programs."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence

from stress.guarantees import GUARANTEES, sentence
from stress.rounds import Outcome

_HEADS = ("scenario", "verdict", "calls", "seconds", "calls/s", "p50 us", "p99 us", "max us", "repeat with")


def percentile_us(sorted_ns: Sequence[int], share: float) -> float:
    """The duration that ``share`` of all calls stayed within; 0 where there were none."""
    if not sorted_ns:
        return 0.0
    return sorted_ns[min(len(sorted_ns) - 1, int(len(sorted_ns) * share))] / 1000


def describe(outcome: Outcome) -> Dict[str, Any]:
    """One outcome as plain values."""
    durations = sorted(outcome.durations_ns)
    return {
        "scenario": outcome.scenario,
        "verdict": "PASS" if outcome.held else "FAIL",
        "calls": len(durations),
        "seconds": round(outcome.seconds, 2),
        "calls_per_second": round(len(durations) / outcome.seconds) if outcome.seconds else 0,
        "p50_us": round(percentile_us(durations, 0.5)),
        "p99_us": round(percentile_us(durations, 0.99)),
        "max_us": round(percentile_us(durations, 1.0)),
        "kills": outcome.kills,
        "forks": outcome.forks,
        "reads": outcome.reads,
        "command": outcome.command,
        "broken": [broken._asdict() for broken in outcome.broken],
        "kept": outcome.kept,
    }


def format_json(outcomes: List[Outcome], seed: int) -> str:
    """The whole report, with the sentence of every guarantee that was judged."""
    sentences = {guarantee.__name__: sentence(guarantee) for guarantee in GUARANTEES}
    content = {"seed": seed, "guarantees": sentences, "scenarios": [describe(outcome) for outcome in outcomes]}
    return json.dumps(content, indent=1)


def format_table(outcomes: List[Outcome]) -> str:
    """The table, and below it what broke and where the evidence is."""
    described = [describe(outcome) for outcome in outcomes]
    rows = [list(_HEADS)] + [
        [
            row["scenario"],
            row["verdict"],
            f"{row['calls']:,}",
            f"{row['seconds']:.1f}",
            f"{row['calls_per_second']:,}",
            f"{row['p50_us']:,}",
            f"{row['p99_us']:,}",
            f"{row['max_us']:,}",
            row["command"],
        ]
        for row in described
    ]
    lines = align(rows)
    lines += [line for row in described for line in _describe_more(row)]
    return "\n".join(lines)


def align(rows: List[List[str]]) -> List[str]:
    """Columns under each other: words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = {0, 1, len(widths) - 1}
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def _describe_more(row: Dict[str, Any]) -> List[str]:
    counted = [f"{row[name]:,} {name}" for name in ("kills", "forks", "reads") if row[name]]
    lines = [f"{row['scenario']}: {', '.join(counted)}"] if counted else []
    for broken in row["broken"]:
        lines += ["", f"{row['scenario']} broke {broken['guarantee']}: {broken['sentence']}"]
        lines += [f"  {line}" for detail in broken["details"] for line in detail.strip().split("\n")]
    lines += [f"{row['scenario']}: kept in {folder}" for folder in row["kept"]]
    return lines
