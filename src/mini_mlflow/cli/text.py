"""Text as a terminal may be given it: nothing that moves a cursor, and of a known width.

Names, params and tags are anybody's text. Raw, an escape sequence in one could hide rows, fake others or rename the
window, and a bidirectional override could turn a line around. So whatever is not printable is shown as its escape.
"""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """``text`` on one line, with whatever is not printable (`str.isprintable`) as ``\\x1b``, ``\\n`` or ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


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
