"""Text that may be shown: nothing that moves a cursor.

Names, params and tags are anybody's text. Raw, an escape sequence in one could hide rows, fake others or rename the
window, and a bidirectional override could turn a line around. So whatever is not printable is shown as its escape.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line, with whatever is not printable (`str.isprintable`) as ``\\x1b``, ``\\n`` or ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
