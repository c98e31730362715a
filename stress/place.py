"""The folder of one round: the tree, what was acknowledged, and what each process reported."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional


class Place:
    """One round's folder. ``tree`` is the store under test; all else is the evidence beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.acknowledgements = folder / "acknowledgements"
        self.reports = folder / "reports"
        self.holds = folder / "holds"
        self.sources = folder / "sources"
        for path in (self.tree, self.acknowledgements, self.reports, self.holds, self.sources):
            path.mkdir(parents=True, exist_ok=True)

    def report(self, process: str, content: Dict[str, Any]) -> None:
        """What a process has to say at its end; it is killed before it gets here, or the report is whole."""
        unfinished = self.reports / f"{process}.unfinished"
        unfinished.write_text(json.dumps(content))
        os.replace(str(unfinished), str(self.reports / f"{process}.json"))

    def read_report(self, process: str) -> Optional[Dict[str, Any]]:
        """The report of a process; None if it left none."""
        try:
            content: Dict[str, Any] = json.loads((self.reports / f"{process}.json").read_text())
        except FileNotFoundError:
            return None
        return content

    def read_reports(self, pattern: str) -> List[Dict[str, Any]]:
        """The reports of all processes whose names match."""
        return [json.loads(path.read_text()) for path in sorted(self.reports.glob(f"{pattern}.json"))]

    def refusals(self, writer: int) -> Path:
        """A file with a byte for each call of the writer that a full disk refused."""
        return self.reports / f"refusals-{writer}"

    def count_refusals(self) -> int:
        """How many calls a full disk has refused so far."""
        return sum(path.stat().st_size for path in self.reports.glob("refusals-*"))

    @property
    def stop_file(self) -> Path:
        """Made when the writers have finished: readers leave."""
        return self.reports / "stop"

    @property
    def start_file(self) -> Path:
        """Made when all that wait for one another are there: they go."""
        return self.reports / "start"

    def home_of_packages(self, packages: List[Path]) -> Path:
        """A folder in which these packages stand alone, for interpreters that have dependencies of their own."""
        home = self.folder / "packages"
        home.mkdir(exist_ok=True)
        for package in packages:
            link = home / package.name
            if not link.exists():
                link.symlink_to(package)
        return home

    def litter(self) -> List[str]:
        """Temporary files of the store that are still in the tree."""
        return [
            os.path.relpath(os.path.join(folder, name), str(self.tree))
            for folder, folders, files in os.walk(str(self.tree))
            for name in folders + files
            if name.startswith(".tmp-")
        ]

    def remove(self) -> None:
        shutil.rmtree(str(self.folder))
