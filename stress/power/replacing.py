"""Names of the engine's modules, replaced for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Sequence, Tuple

#: A module or class, a name in it, and the value that it has meanwhile.
Setting = Tuple[Any, str, Any]


@contextmanager
def replaced(settings: Sequence[Setting]) -> Iterator[None]:
    """All of the settings hold within the block."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in settings]
    try:
        for owner, name, value in settings:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
