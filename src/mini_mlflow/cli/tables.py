"""Tables: columns that line up, whatever script their texts are in.

On a terminal a table is cut to its width, the widest of the columns that may be cut first. Elsewhere nothing is.
"""

from __future__ import annotations

import itertools
from typing import Callable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from mini_mlflow.cli.terminal import Output
from mini_mlflow.cli.text import cut, pad, printable, width_of

_GAP = "  "
_NARROWEST = 6
# Widths are settled a block at a time: so many rows stand in memory, however many there are.
_BLOCK_ROWS = 10_000

Row = Sequence[str]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: what stands above it.
        right: its texts end together: numbers.
        may_be_cut: it gives way where the terminal is too narrow.
        colour: the colour of a text in it, as `Output.paint` takes it; None for no colours.
    """

    title: str
    right: bool = False
    may_be_cut: bool = False
    colour: Optional[Callable[[str], str]] = None


def write_table(output: Output, columns: Sequence[Column], rows: Iterable[Row], header: bool = True) -> int:
    """The rows stand in the result, below a line of titles; how many they were. Texts may hold anything."""
    widths = [width_of(column.title) if header else 0 for column in columns]
    count = 0
    for block in _blocks(rows):
        # Column by column: what a column needs no care for (it is ASCII, it fits) is found out once for all its texts.
        texts = [_to_printable(column) for column in zip(*block)]
        widths = [max(width, _width_of_all(column)) for width, column in zip(widths, texts)]
        fitted = fit(widths, columns, output.width)
        if header and not count:
            titles = [_lay_out([column.title], column, width, output) for column, width in zip(columns, fitted)]
            output.line(_GAP.join(output.paint(title, "bold") for (title,) in titles).rstrip())
        cells = [_lay_out(*of_column, output) for of_column in zip(texts, columns, fitted)]
        cells = [_paint(*of_column, output) for of_column in zip(cells, texts, columns)]
        for line in zip(*cells):
            output.line(_GAP.join(line).rstrip())
        count += len(block)
    return count


def _to_printable(texts: Row) -> Row:
    return texts if "".join(texts).isprintable() else [printable(text) for text in texts]


def _width_of_all(texts: Row) -> int:
    return max(map(len if "".join(texts).isascii() else width_of, texts))


def _lay_out(texts: Row, column: Column, width: int, output: Output) -> Row:
    """The texts of a column, all of its width."""
    if "".join(texts).isascii() and max(map(len, texts)) <= width:
        return [text.rjust(width) if column.right else text.ljust(width) for text in texts]
    mark = "…" if output.can_draw else "~"
    return [pad(cut(text, width, mark), width, column.right) for text in texts]


def _paint(cells: Row, texts: Row, column: Column, output: Output) -> Row:
    if column.colour is None or not output.has_colours:
        return cells
    return [_paint_word(cell, column.colour(text), output) for cell, text in zip(cells, texts)]


def _paint_word(cell: str, colour: str, output: Output) -> str:
    word = cell.strip()
    return cell.replace(word, output.paint(word, colour), 1) if word else cell


def _blocks(rows: Iterable[Row]) -> Iterator[List[Row]]:
    remaining = iter(rows)
    while True:
        block = list(itertools.islice(remaining, _BLOCK_ROWS))
        if not block:
            return
        yield block


def fit(widths: Sequence[int], columns: Sequence[Column], available: Optional[int]) -> List[int]:
    """The widths, made smaller until they fit, where a column may be cut first; as they are if there is no limit."""
    fitted = list(widths)
    if available is None:
        return fitted
    excess = sum(fitted) + len(_GAP) * (len(fitted) - 1) - available
    flexible = [index for index, column in enumerate(columns) if column.may_be_cut]
    while excess > 0:
        widest = max(flexible, key=fitted.__getitem__, default=None)
        if widest is None or fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
        excess -= 1
    for index in reversed(range(len(fitted))):
        taken = max(0, min(excess, fitted[index]))
        fitted[index] -= taken
        excess -= taken
    return fitted


def write_verdict(output: Output, word: str, colours: Mapping[str, str], text: str) -> None:
    """One of a few words, in its colour, and what there is to say, on a line that is never cut: it may hold advice."""
    word = pad(word, max(map(len, colours)))
    output.line("%s  %s" % (output.paint(word, colours.get(word.rstrip(), "")), printable(text)))
