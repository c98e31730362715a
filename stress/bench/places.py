"""Which file system a folder stands on."""

from __future__ import annotations

import os
from typing import List, Tuple


def file_system_of(path: str) -> str:
    """The type of the file system that holds the path, such as ``ext4``; "unknown" where the kernel does not tell."""
    real = os.path.realpath(path)
    # The last mount at the longest mount point that leads to the path: later mounts hide earlier ones.
    best: Tuple[int, str] = (-1, "unknown")
    for point, kind in _mounts():
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= best[0]:
            best = (len(point), kind)
    return best[1]


def _mounts() -> List[Tuple[str, str]]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    mounts = []
    for line in lines:
        # proc(5): fields, any number of optional ones, " - ", then the type.
        front, _, back = line.partition(" - ")
        point = front.split(" ")[4].replace("\\040", " ").replace("\\134", "\\")
        mounts.append((point, back.split(" ")[0]))
    return mounts
