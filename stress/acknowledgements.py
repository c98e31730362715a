"""One file a thread and run, a line a call that has returned: what the store is held to.

A line is written by one ``os.write`` after the call returned, so a thread that is killed leaves a whole line for
every call that had returned, and no line for the one under way. Lines have a fixed width: the number of
acknowledged calls is the size of the file divided by it, and progress costs a stat.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, NamedTuple

LINE_BYTES = 22
#: The number that stands for the end of the run, behind that of every log call.
ENDED = 999_999_999


class Acknowledged(NamedTuple):
    """The calls of one thread on one run that returned."""

    writer: int
    thread: int
    calls: int
    durations_ns: List[int]
    ended: bool


class AcknowledgementFile:
    """Where one thread acknowledges its calls on one run."""

    def __init__(self, folder: Path, run_id: str, writer: int, thread: int) -> None:
        self.run_id = run_id
        self.thread = thread
        path = folder / run_id / f"{writer}-{thread}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)

    def acknowledge(self, number: int, duration_ns: int) -> None:
        """The call has returned. Never buffered: a kill right after this must find the line written."""
        os.write(self._descriptor, b"%9d %11d\n" % (number, min(duration_ns, 10**11 - 1)))

    def close(self) -> None:
        os.close(self._descriptor)


def read_acknowledged(path: Path) -> Acknowledged:
    """What one file acknowledges.

    Raises:
        ValueError: the lines are not 0, 1, 2, …: the program itself is at fault.
    """
    writer, thread = (int(part) for part in path.name.split("-"))
    lines = path.read_bytes()
    lines = lines[: len(lines) // LINE_BYTES * LINE_BYTES]
    words = [int(word) for word in lines.split()]
    numbers, durations = words[::2], words[1::2]
    ended = bool(numbers) and numbers[-1] == ENDED
    if ended:
        numbers.pop()
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{path}: acknowledgements out of order")
    return Acknowledged(writer, thread, len(numbers), durations[: len(numbers)], ended)


def count_acknowledged(folder: Path) -> int:
    """About how many calls have been acknowledged, from file sizes alone."""
    sizes = 0
    for run in os.scandir(str(folder)):
        sizes += sum(entry.stat().st_size for entry in os.scandir(run.path))
    return sizes // LINE_BYTES
