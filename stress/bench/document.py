"""All that one invocation measured, and the files that are made of it."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from stress.bench.options import BenchOptions
from stress.bench.places import Ground
from stress.bench.tables import Table
from stress.bench.targets import judge

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


class Document:
    """Tables with the places that they were measured in, in order."""

    def __init__(self) -> None:
        self.measured: List[Tuple[Ground, Table]] = []
        self.targets: Optional[Table] = None

    def add(self, ground: Ground, table: Table) -> None:
        self.measured.append((ground, table))

    def judge(self) -> Table:
        """The table of targets, from all figures so far."""
        self.targets = judge(list(self.figures().items()))
        return self.targets

    def figures(self) -> Dict[str, Dict[str, float]]:
        """Figures by kind of file system; of two places of a kind, the last one counts."""
        found: Dict[str, Dict[str, float]] = {}
        for ground, table in self.measured:
            found.setdefault(ground.kind, {}).update(table.figures)
        return found

    def to_markdown(self) -> str:
        """The tables below each other, and what they were measured on."""
        tables = [table for _, table in self.measured] + ([self.targets] if self.targets else [])
        return "\n".join([f"Measured on {machine()}."] + [table.to_markdown() for table in tables]) + "\n"

    def to_json(self) -> Dict[str, Any]:
        """The same as plain values, with the figures behind them."""
        tables = [dict(table.to_json(), file_system=ground.kind) for ground, table in self.measured]
        targets = self.targets.to_json() if self.targets else None
        return {"machine": machine(), "figures": self.figures(), "tables": tables, "targets": targets}

    def write(self, options: BenchOptions, draw: Optional[Callable[[Document, str], None]]) -> None:
        """The files that the command line asks for."""
        if options.markdown:
            with open(options.markdown, "w", encoding="utf-8") as file:
                file.write(self.to_markdown())
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=1)
        if options.chart and draw is not None:
            draw(self, options.chart)


def machine() -> str:
    """What a figure depends on, and nothing that names this machine."""
    cores = os.cpu_count() or 0
    count = _NUMBERS[cores] if cores < len(_NUMBERS) else str(cores)
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    return f"{count} core{'' if cores == 1 else 's'}, {platform.system()}, {python}"
