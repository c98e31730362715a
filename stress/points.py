"""A value that says who logged it: writer, thread and sequence number, exactly, in one float.

``writer * 10**10 + thread * 10**8 + sequence``. Decimal, so that a person who reads a damaged file sees at
once whose point it is; below 2**53, so that a float holds it exactly on the way to disk and back.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

THREADS = 100
SEQUENCES = 10**8
WRITERS = 900_000


class Origin(NamedTuple):
    """Who logged a value, and as its how-manieth."""

    writer: int
    thread: int
    sequence: int


def encode(writer: int, thread: int, sequence: int) -> float:
    """The value that stands for the thread's ``sequence``-th value.

    Raises:
        OverflowError: a part is out of its range, so that two origins would share one value.
    """
    if not (0 <= writer < WRITERS and 0 <= thread < THREADS and 0 <= sequence < SEQUENCES):
        raise OverflowError(f"writer {writer}, thread {thread}, sequence {sequence} do not fit into one exact float")
    return float((writer * THREADS + thread) * SEQUENCES + sequence)


def decode(value: object) -> Optional[Origin]:
    """Who logged the value; None where no writer can have."""
    if not isinstance(value, float) or not value.is_integer() or not 0 <= value < WRITERS * THREADS * SEQUENCES:
        return None
    logger, sequence = divmod(int(value), SEQUENCES)
    writer, thread = divmod(logger, THREADS)
    return Origin(writer, thread, sequence)
