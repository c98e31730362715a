"""Curves in characters: a line of blocks for a table's row, and a plot of several lines.

NaN and the infinities have no height. They are left out; where nothing else falls, a place stays blank.
"""

from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

from mini_mlflow.cli.figures import show_number
from mini_mlflow.cli.text import pad

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=+*%#"
_LABEL_CHARACTERS = 13

Span = Optional[Tuple[float, float]]


def draw_sparkline(values: Sequence[float], columns: int, can_draw: bool = True) -> str:
    """The values in at most so many characters, each the mean of its share of them; "" for no values."""
    blocks = _BLOCKS if can_draw else _ASCII_BLOCKS
    count = min(columns, len(values))
    shares = (values[index * len(values) // count : (index + 1) * len(values) // count] for index in range(count))
    means = [_mean([value for value in share if math.isfinite(value)]) for share in shares]
    heights = [mean for mean in means if mean is not None]
    if not heights:
        return " " * count
    low, high = min(heights), max(heights)
    top = len(blocks) - 1
    # A constant has no shape: it runs along the bottom.
    return "".join(" " if mean is None else blocks[round(_share(mean, low, high) * top)] for mean in means)


def _mean(values: Sequence[float]) -> Optional[float]:
    # Divided first: the sum of large values would be infinite.
    return sum(value / len(values) for value in values) if values else None


def _share(value: float, low: float, high: float) -> float:
    """Where from low to high a value lies, as 0.0 to 1.0. Halved first: high - low may be infinite."""
    span = high / 2 - low / 2
    return min(1.0, max(0.0, (value / 2 - low / 2) / span)) if span > 0 else 0.0


def draw_plot(
    steps: Sequence[int], values: Sequence[float], columns: int, lines: int, can_draw: bool = True
) -> List[str]:
    """The points as lines of text: values upwards, with their range at the left; steps to the right, with theirs below.

    Each column has a bar from the least to the greatest value that falls into it. [] if no value is finite.
    """
    points = [(step, value) for step, value in zip(steps, values) if math.isfinite(value)]
    if not points:
        return []
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    width = max(1, columns - _LABEL_CHARACTERS - 2)
    spans: List[Span] = [None] * width
    for step, value in points:
        # Whole numbers all the way: a step may have more digits than any float takes.
        column = (step - first) * (width - 1) // (last - first) if last > first else 0
        known = spans[column]
        spans[column] = (value, value) if known is None else (min(known[0], value), max(known[1], value))
    rows = [_row_of(spans, line, lines, low, high, can_draw) for line in reversed(range(lines))]
    labels = {0: show_number(high), lines - 1: show_number(low)}
    edge = " │" if can_draw else " |"
    drawn = [pad(labels.get(index, ""), _LABEL_CHARACTERS, right=True) + edge + row for index, row in enumerate(rows)]
    return [*drawn, " " * (_LABEL_CHARACTERS + 2) + _scale(show_step(first), show_step(last), width)]


def _row_of(spans: Sequence[Span], line: int, lines: int, low: float, high: float, can_draw: bool) -> str:
    mark, bar = ("•", "│") if can_draw else ("*", "|")
    row = []
    for span in spans:
        if span is None:
            row.append(" ")
            continue
        bottom, top = (round(_share(value, low, high) * (lines - 1)) for value in span)
        inside = bottom <= line <= top
        row.append((mark if bottom == top or line in (bottom, top) else bar) if inside else " ")
    return "".join(row).rstrip()


def _scale(first: str, last: str, width: int) -> str:
    if first == last:
        return first
    return first + last.rjust(max(width - len(first), len(last) + 1))


def show_step(step: int) -> str:
    """A step, in few characters however many digits it has."""
    text = str(step)
    return text if len(text) <= 20 else "%s…%s" % (text[:8], text[-4:])
