"""The report: a table for people, JSON for programs."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping

from stress.guarantees import GUARANTEES, sentence
from stress.rounds import Outcome

#: Column of the table: the name of the value in `describe`, and how it is shown.
_COLUMNS = (
    ("scenario", "scenario", "{}"),
    ("verdict", "verdict", "{}"),
    ("calls", "calls", "{:,}"),
    ("points", "points", "{:,}"),
    ("seconds", "seconds", "{:.1f}"),
    ("calls/s", "calls_per_second", "{:,}"),
    ("commits", "commits", "{:,}"),
    ("changes/commit", "changes_per_commit", "{:.1f}"),
    ("p50 us", "p50_us", "{:,}"),
    ("p99 us", "p99_us", "{:,}"),
    ("max us", "max_us", "{:,}"),
    ("kills", "kills", "{:,}"),
    ("forks", "forks", "{:,}"),
    ("reads", "reads", "{:,}"),
    ("repeat with", "command", "{}"),
)


def percentile_us(durations_ns: Mapping[int, int], share: float) -> float:
    """The duration that ``share`` of all calls stayed within; 0 where there were none."""
    wanted, seen = sum(durations_ns.values()) * share, 0
    for duration_ns in sorted(durations_ns):
        seen += durations_ns[duration_ns]
        if seen >= wanted:
            return duration_ns / 1000
    return 0.0


def describe(outcome: Outcome) -> Dict[str, Any]:
    """One outcome as plain values."""
    durations, calls = outcome.durations_ns, sum(outcome.durations_ns.values())
    return {
        "scenario": outcome.scenario,
        "verdict": outcome.verdict,
        "skipped": outcome.skipped,
        "calls": calls,
        "points": outcome.points,
        "seconds": round(outcome.seconds, 2),
        "calls_per_second": round(calls / outcome.seconds) if outcome.seconds else 0,
        "commits": outcome.commits,
        "changes_per_commit": round(outcome.changes / outcome.commits, 2) if outcome.commits else 0,
        "p50_us": round(percentile_us(durations, 0.5)),
        "p99_us": round(percentile_us(durations, 0.99)),
        "max_us": round(percentile_us(durations, 1.0)),
        "kills": outcome.kills,
        "forks": outcome.forks,
        "reads": outcome.reads,
        "notes": outcome.notes,
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
    rows = [[head for head, _, _ in _COLUMNS]]
    rows += [[form.format(row[name]) for _, name, form in _COLUMNS] for row in described]
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
    lines = [f"{row['scenario']}: {note}" for note in row["notes"]]
    lines += [f"{row['scenario']} was skipped: {row['skipped']}"] if row["skipped"] is not None else []
    for broken in row["broken"]:
        lines += ["", f"{row['scenario']} broke {broken['guarantee']}: {broken['sentence']}"]
        lines += [f"  {line}" for detail in broken["details"] for line in detail.strip().split("\n")]
    lines += [f"{row['scenario']}: kept in {folder}" for folder in row["kept"]]
    return lines
