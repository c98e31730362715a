"""What was measured of each peer: a figure, or why there is none."""

from __future__ import annotations

from typing import Dict, Iterable, List, Union

Cell = Union[float, str]


class Results:
    """Figures by peer and workload; several of one kind are repeats, of which the median counts."""

    def __init__(self) -> None:
        self._figures: Dict[str, Dict[str, List[float]]] = {}
        self._reasons: Dict[str, Dict[str, str]] = {}

    def add(self, name: str, workload: str, figure: float) -> None:
        self._figures.setdefault(name, {}).setdefault(workload, []).append(figure)

    def fail(self, name: str, workloads: Iterable[str], reason: str) -> None:
        """Why there is no figure; a figure of another repeat counts more."""
        for workload in workloads:
            self._reasons.setdefault(name, {}).setdefault(workload, reason)

    def take(self, other: Results) -> None:
        """Add all that another one holds."""
        for name, workloads in other._figures.items():
            for workload, figures in workloads.items():
                self._figures.setdefault(name, {}).setdefault(workload, []).extend(figures)
        for name, reasons in other._reasons.items():
            for workload, reason in reasons.items():
                self.fail(name, (workload,), reason)

    def all_of(self, name: str, workload: str) -> List[float]:
        """Every repeat, in the order in which they were made."""
        return self._figures.get(name, {}).get(workload, [])

    def cell(self, name: str, workload: str) -> Cell:
        """The median; the reason where there is none, "" where nobody asked."""
        figures = sorted(self.all_of(name, workload))
        if figures:
            return figures[len(figures) // 2]
        return self._reasons.get(name, {}).get(workload, "")

    def complaints(self, name: str) -> Dict[str, str]:
        """Workload to what went wrong with it, also where another repeat gave a figure."""
        return dict(self._reasons.get(name, {}))

    def figures(self) -> Dict[str, float]:
        """All medians, by ``peer.<name>.<workload>``."""
        return {
            f"peer.{name}.{workload}": float(self.cell(name, workload))
            for name, workloads in self._figures.items()
            for workload in workloads
        }
