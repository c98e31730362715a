"""A table in Markdown, and the few statistics that go into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple


@dataclass
class Table:
    """Title, heads and rows; notes stand below.

    Attributes:
        figures: the numbers behind the cells that something is compared with, by name; times in nanoseconds unless the
            name says otherwise.
    """

    title: str
    heads: Tuple[str, ...]
    rows: List[Tuple[str, ...]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    figures: Dict[str, float] = field(default_factory=dict)

    def to_markdown(self) -> str:
        """With padded cells, so that it reads as it is too."""
        lines = [self.heads] + self.rows
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heads))]
        marks = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
        cells = [
            [
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths))
            ]
            for line in [self.heads, tuple(marks)] + self.rows
        ]
        table = ["| " + " | ".join(line) + " |" for line in cells]
        notes = [""] + [f"- {note}" for note in self.notes] if self.notes else []
        return "\n".join(["", f"### {self.title}", ""] + table + notes)

    def to_json(self) -> Dict[str, Any]:
        """As plain values."""
        return {
            "title": self.title,
            "heads": list(self.heads),
            "rows": [list(row) for row in self.rows],
            "notes": self.notes,
            "figures": self.figures,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of all values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def us(value_ns: float) -> str:
    """Nanoseconds as microseconds, for a cell."""
    return f"{value_ns / 1000:,.1f}"


def ratio(value: float, beside: float) -> str:
    """How many times ``beside`` the value is, for a cell."""
    return f"{value / beside:.2f}" if beside else "-"
