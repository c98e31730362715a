"""What a line of the table of mechanisms is made of."""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union


class Edit(NamedTuple):
    """In ``path`` (below ``src/mini_mlflow``), ``old`` is replaced by ``new``."""

    path: str
    old: str
    new: str


class Fails(NamedTuple):
    """A test that fails: its pytest id."""

    test: str

    def __str__(self) -> str:
        return self.test


class Breaks(NamedTuple):
    """A scenario that breaks one of these guarantees, with these options."""

    scenario: str
    guarantees: Tuple[str, ...]
    options: Tuple[str, ...] = ("--seconds", "4")

    def __str__(self) -> str:
        return f"scenario {self.scenario}: {' or '.join(self.guarantees)}"


class Mechanism(NamedTuple):
    """One mechanism: its name, how it is taken out, and what notices."""

    name: str
    edits: Tuple[Edit, ...]
    proof: Union[Fails, Breaks]
