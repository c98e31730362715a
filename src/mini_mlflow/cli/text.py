"""Text as a terminal may be given it: printable (`formats.printable`), and of a known width."""

from __future__ import annotations

import unicodedata

from mini_mlflow.formats.printable import printable

__all__ = ["cut", "pad", "printable", "width_of"]


def width_of(text: str) -> int:
    """The columns that a printable text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(map(_width_of_char, text))


def _width_of_char(char: str) -> int:
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return 2
    return 0 if unicodedata.category(char) in ("Mn", "Me") else 1


def cut(text: str, columns: int, mark: str = "…") -> str:
    """As much of a printable text as fits, with a mark of one column at its end if that is not all of it."""
    if width_of(text) <= columns:
        return text
    if columns < 1:
        return ""
    used, kept = 1, []
    for char in text:
        used += _width_of_char(char)
        if used > columns:
            break
        kept.append(char)
    return "".join(kept) + mark


def pad(text: str, columns: int, right: bool = False) -> str:
    """A printable text with spaces up to ``columns``; with ``right`` they stand before it."""
    spaces = " " * (columns - width_of(text))
    return spaces + text if right else text + spaces
