"""Progress of long work: a line on a terminal's standard error, drawn over and gone at the end; elsewhere nothing."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Callable, Iterable, Iterator, Optional, Type, TypeVar

from mini_mlflow.cli.terminal import Output

_EVERY_S = 0.1
_BAR = 24
Item = TypeVar("Item")


class Progress:
    """How far work has come, for the length of a ``with`` block.

    Args:
        what: what is done, such as "verifying".
        unit: what is counted, in the plural.
        total: how many there are; None if nobody knows.
        show: how a number is written.
    """

    def __init__(
        self,
        output: Output,
        what: str,
        unit: str,
        total: Optional[int] = None,
        show: Callable[[int], str] = str,
    ) -> None:
        self._show = show
        self._output, self._what, self._unit, self._total = output, what, unit, total
        self._done = 0
        # Nothing is drawn of what is done at once.
        self._next_s = monotonic() + _EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._output.draw_over("")

    @property
    def step_if_shown(self) -> Optional[Callable[[], None]]:
        """`step`, for what is done a hundred thousand times; None where nobody would see it."""
        return self.step if self._output.shows_progress else None

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self.move(self._done + count, self._total)

    def move(self, done: int, total: Optional[int]) -> None:
        """So many of so many are done."""
        self._done, self._total = done, total
        if self._output.shows_progress and monotonic() >= self._next_s:
            self._output.draw_over(self._describe())
            self._next_s = monotonic() + _EVERY_S

    def _describe(self) -> str:
        if not self._total:
            return ("%s: %s %s" % (self._what, self._show(self._done), self._unit)).rstrip()
        filled = min(_BAR, self._done * _BAR // self._total)
        bar = "#" * filled + "-" * (_BAR - filled)
        counted = "%s of %s %s" % (self._show(self._done), self._show(self._total), self._unit)
        return ("%s [%s] %s" % (self._what, bar, counted)).rstrip()

    def count(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each a step when it has been dealt with."""
        for item in items:
            yield item
            self.step()
