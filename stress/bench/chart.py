"""A picture of the figures: horizontal bars, a panel a workload, a bar a peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence

from stress.bench.document import Document, machine
from stress.bench.peer_calls import REPLACING
from stress.bench.peer_crowds import SHARED_LOST, SHARED_PARAMS_LOST
from stress.bench.peers import ADAPTERS, OURS, load
from stress.bench.peers.contract import KILL, ONE, PROCESSES, READ, SHARED, TEN, THREADS
from stress.bench.places import JOURNAL
from stress.children import CannotRun

OWN, SAFE, LOSING, UNTRIED = "#0b6e4f", "#8a94a0", "#e8b08a", "#d5dae0"
LOSING_MEANS = "lost acknowledged values on kill -9 or on a shared run, or keeps last values only"
INK, FAINT = "#20262d", "#6b7480"


@dataclass(frozen=True)
class Panel:
    """One workload.

    Attributes:
        unit: of all its numbers, told in its title.
        better: which way is better.
    """

    workload: str
    title: str
    unit: str
    better: str


PANELS = (
    Panel(ONE, "One metric a call", "us", "shorter is better"),
    Panel(TEN, "Ten metrics a step", "us", "shorter is better"),
    Panel(READ, "Cold read of a finished run", "us", "shorter is better"),
    Panel(THREADS, "8 threads, own runs", "runs/s", "longer is better"),
    Panel(PROCESSES, "4 processes, own runs", "runs/s", "longer is better"),
    Panel(SHARED, "4 x 4 on one run", "points/s", "longer is better"),
)


def load_matplotlib() -> Any:
    """The module that draws, without a display.

    Raises:
        CannotRun: it is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise CannotRun("--chart needs matplotlib: pip install -e '.[bench]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw(document: Document, path: str) -> None:
    """A PNG of the peers on one file system: on ext4 with a journal where that was measured.

    Raises:
        CannotRun: there are no figures of peers, or nothing to draw with.
    """
    by_kind = {kind: figures for kind, figures in document.figures().items() if f"peer.{OURS}.{ONE}" in figures}
    if not by_kind:
        raise CannotRun("--chart draws what --peers measures, and there is nothing of that")
    kind = JOURNAL if JOURNAL in by_kind else list(by_kind)[-1]
    figures = by_kind[kind]
    names = [name for name in ADAPTERS if f"peer.{name}.{ONE}" in figures]
    pyplot = load_matplotlib()
    with pyplot.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        picture, axes = pyplot.subplots(2, 3, figsize=(14, 3.2 + 0.62 * len(names)), sharey=True)
        for axis, panel in zip(axes.flat, PANELS):
            _draw_panel(axis, panel, names, figures)
        _label(picture, axes, names, kind, figures)
        picture.savefig(path, dpi=130)
        pyplot.close(picture)


def _draw_panel(axis: Any, panel: Panel, names: Sequence[str], figures: Mapping[str, float]) -> None:
    values = [figures.get(f"peer.{name}.{panel.workload}") for name in names]
    known = [value for value in values if value]
    bare = figures.get(f"peer.{REPLACING}.{ONE}") if panel.workload == ONE else None
    axis.set_xscale("log")
    low, high = _decades(known + ([bare] if bare else []))
    # Room for the number behind the longest bar.
    axis.set_xlim(low, high * 6)
    for row, (name, value) in enumerate(zip(names, values)):
        weight = "bold" if name == OURS else "normal"
        if value is None:
            axis.text(
                low * 1.15, row, load(name).cannot.get(panel.workload, "fails"), va="center", color=FAINT, fontsize=9
            )
            continue
        axis.barh(row, value - low, left=low, height=0.66, color=colour_of(name, figures))
        # A ground of its own: the line of the bare loop may run through it.
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axis.text(value * 1.12, row, number(value), va="center", fontsize=9.5, fontweight=weight, bbox=ground, zorder=3)
    if bare:
        axis.axvline(bare, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axis.text(
            bare * 1.08, len(names) - 0.42, f"bare replacing loop {number(bare)}", fontsize=8.5, color=INK, va="top"
        )
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_title(f"{panel.title}, {panel.unit}", loc="left", fontsize=11.5, fontweight="bold", pad=18)
    axis.text(0, 1.015, panel.better, transform=axis.transAxes, fontsize=9, color=FAINT)
    axis.xaxis.set_visible(False)
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)
    axis.spines["left"].set_color("#c8ced5")


def _label(picture: Any, axes: Any, names: Sequence[str], kind: str, figures: Mapping[str, float]) -> None:
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(names)))
        axis.set_yticklabels([load(name).label for name in names], fontsize=10.5)
        for label, name in zip(axis.get_yticklabels(), names):
            label.set_fontweight("bold" if name == OURS else "normal")
    picture.subplots_adjust(left=0.125, right=0.985, top=0.86, bottom=0.085, wspace=0.06, hspace=0.26)
    picture.text(0.012, 0.962, "mini_mlflow beside other trackers, all on local files", fontsize=16, fontweight="bold")
    own = "mini_mlflow, " + ("lost points" if loses(OURS, figures) else "lost nothing")
    meanings = {OWN: own, SAFE: "lost nothing", LOSING: LOSING_MEANS, UNTRIED: "could not be tried"}
    left = 0.012
    used = {colour_of(name, figures) for name in names}
    for colour in [colour for colour in meanings if colour in used]:
        meaning = meanings[colour]
        picture.text(left, 0.925, "\u25a0", color=colour, fontsize=13)
        picture.text(left + 0.014, 0.926, meaning, fontsize=10)
        left += 0.03 + 0.0063 * len(meaning)
    caption = f"{machine()}, {kind}. Medians, interleaved in one run; logarithmic scales, each panel its own."
    picture.text(0.012, 0.028, caption, fontsize=9.5, color=FAINT)


def loses(name: str, figures: Mapping[str, float]) -> bool:
    """True for a peer that lost a point here, or cannot keep one."""
    lost = [figures.get(f"peer.{name}.{workload}", 0.0) for workload in (KILL, SHARED_LOST, SHARED_PARAMS_LOST)]
    return any(lost) or not load(name).keeps_history


def colour_of(name: str, figures: Mapping[str, float]) -> str:
    """Ours has one of its own; the others' says what they lost."""
    if name == OURS:
        return OWN
    if loses(name, figures):
        return LOSING
    return SAFE if f"peer.{name}.{KILL}" in figures else UNTRIED


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _decades(values: List[float]) -> Any:
    """The scale: from well below the lowest value to the highest."""
    if not values:
        return 1.0, 10.0
    return min(values) / 3, max(values)
