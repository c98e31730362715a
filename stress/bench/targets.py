"""What the project means to reach, as data; printed beside what was measured, and never asserted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Sequence, Tuple

from stress.bench.places import JOURNAL
from stress.bench.tables import Table

MET, MISSED, NOT_MEASURED = "met", "MISSED", "not measured"


@dataclass(frozen=True)
class Target:
    """One figure, or its ratio to another, and the bound that it should keep.

    Attributes:
        beside: the figure it is divided by; None: the figure counts by itself.
        at_least: the bound is a lower one.
        kind: the file system it is meant for; None: any.
        mean: the pair for the same ratio of means, which is shown too; None: there is none.
    """

    name: str
    figure: str
    beside: Optional[str]
    bound: float
    at_least: bool = False
    kind: Optional[str] = None
    mean: Optional[Tuple[str, str]] = None

    def value(self, figures: Mapping[str, float]) -> Optional[float]:
        """The ratio, or the figure; None where it was not measured."""
        return _divide(figures, self.figure, self.beside)

    def verdict(self, figures: Mapping[str, float]) -> str:
        value = self.value(figures)
        if value is None:
            return NOT_MEASURED
        return MET if (value >= self.bound if self.at_least else value <= self.bound) else MISSED


#: Medians of single calls, since that is what a call usually costs; the mean holds what comes seldom, such as a fold.
TARGETS: Tuple[Target, ...] = (
    Target(
        "hot loop, to the bare replacing loop",
        "call.one.p50",
        "call.bare.p50",
        1.3,
        kind=JOURNAL,
        mean=("call.one.mean", "call.bare.mean"),
    ),
    Target(
        "hot loop, to the bare replacing loop",
        "call.one.p50",
        "call.bare.p50",
        3.5,
        kind="tmpfs",
        mean=("call.one.mean", "call.bare.mean"),
    ),
    Target("ten metrics a step, to one", "call.ten.p50", "call.one.p50", 1.3, mean=("call.ten.mean", "call.one.mean")),
    Target(
        "8 threads, own runs a second, to mini-mlflow 0.1.0",
        "peer.mini-mlflow.threads",
        "peer.mini-mlflow-0.1.0.threads",
        2.0,
        at_least=True,
    ),
    Target(
        "4 processes, own runs a second, to mini-mlflow 0.1.0",
        "peer.mini-mlflow.processes",
        "peer.mini-mlflow-0.1.0.processes",
        2.0,
        at_least=True,
    ),
    Target(
        "4 x 4 on one run, points a second, to MLflow's file store",
        "peer.mini-mlflow.shared",
        "peer.mlflow-file.shared",
        3.0,
        at_least=True,
    ),
    Target("cold read of a finished run, us", "read.us", None, 60.0),
    Target("ls of finished runs, us a run", "find.ls.us", None, 60.0),
    Target("search of finished runs, filtered and ordered, us a run", "find.search.us", None, 60.0),
    Target("best of finished runs, us a run", "find.best.us", None, 60.0),
    Target("ls of 100,000, us a run, to 10,000", "find.ls.100000.us", "find.ls.10000.us", 1.1),
    Target("search of 100,000, us a run, to 10,000", "find.search.100000.us", "find.search.10000.us", 1.1),
    Target(
        "a call on a long history, to call 1,000",
        "history.long.p50",
        "history.short.p50",
        1.3,
        mean=("history.long.mean", "history.short.mean"),
    ),
    Target("MLflow's log_metric, its file store's time to ours", "mlflow.log.files", None, 3.0, at_least=True),
    Target("MLflow's log_metric, its SQLite's time to ours", "mlflow.log.sqlite", None, 20.0, at_least=True),
    Target(
        "MLflow's search of a default page, its SQLite's time to ours",
        "mlflow.search.the newest 1,000",
        None,
        1.0,
        at_least=True,
    ),
    Target("MLflow's crowds that come through", "mlflow.crowd.ours", None, 1.0, at_least=True),
    Target("import, to importing yaml and filelock", "import.ours.ms", "import.beside.ms", 1.3),
)


def judge(measured: Sequence[Tuple[str, Mapping[str, float]]]) -> Table:
    """The table of targets.

    Args:
        measured: for each place its kind of file system and its figures; those that do not depend on a file system may
            be in any of them.
    """
    table = Table("Targets", ("target", "file system", "bound", "measured", "mean", "verdict"))
    for target in TARGETS:
        places = [(kind, figures) for kind, figures in measured if target.kind in (None, kind)]
        found = [(kind, figures) for kind, figures in places if target.value(figures) is not None]
        for kind, figures in found or [(target.kind or "-", {})]:
            table.rows.append(_row(target, kind, figures))
    return table


def _row(target: Target, kind: str, figures: Mapping[str, float]) -> Tuple[str, ...]:
    value = target.value(figures)
    mean = _divide(figures, *target.mean) if target.mean else None
    place = "any" if target.figure.startswith("import.") else kind
    bound = f"{'at least' if target.at_least else 'at most'} {target.bound:g}"
    shown = tuple("-" if number is None else f"{number:,.2f}" for number in (value, mean))
    return (target.name, place, bound) + shown + (target.verdict(figures),)


def _divide(figures: Mapping[str, float], figure: str, beside: Optional[str]) -> Optional[float]:
    value = figures.get(figure)
    if value is None or beside is None:
        return value
    by = figures.get(beside)
    return value / by if by else None
