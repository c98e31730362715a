"""The line on stderr that says how far it is."""

from __future__ import annotations

import sys
import time
from typing import Callable

from stress.acknowledgements import count_acknowledged
from stress.place import Place

#: Counting reads a folder a run, on the processors that the writers need.
INTERVAL_S = 1.0


class Progress:
    """One line, overwritten on a terminal; elsewhere only what is worth a line of its own."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def show(self, line: str) -> None:
        """Replace the line; an empty one clears it."""
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def say(self, line: str) -> None:
        """A line that stays."""
        self.show("")
        print(line, file=sys.stderr, flush=True)

    def watch(self, scenario: str, place: Place, seconds: float) -> Callable[[], None]:
        """A function to call often while the scenario runs."""
        begun = shown = time.monotonic()
        self.show(f"{scenario}: starting")

        def tick() -> None:
            nonlocal shown
            now = time.monotonic()
            if self._terminal and now - shown >= INTERVAL_S:
                shown = now
                done = count_acknowledged(place.acknowledgements)
                self.show(f"{scenario}: {now - begun:.0f} s of {seconds:.0f} s, {done:,} calls acknowledged")

        return tick
