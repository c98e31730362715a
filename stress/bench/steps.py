"""A bar on stderr for a program of known steps."""

from __future__ import annotations

from stress.progress import Progress

WIDTH = 24


class StepBar(Progress):
    """The line on a terminal begins with a bar of the steps that are done; elsewhere nothing is shown."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = max(1, steps)
        self._done = 0

    def show(self, line: str) -> None:
        super().show(f"{bar(self._done, self._steps)} {line}" if line else "")

    def step(self) -> None:
        """One more is done."""
        self._done += 1


def bar(done: int, steps: int) -> str:
    """``done`` of ``steps``, drawn."""
    filled = min(WIDTH, WIDTH * done // steps)
    return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{steps}"
