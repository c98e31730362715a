"""The folders to measure in, and which file systems they stand on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List, Tuple

JOURNAL, NO_JOURNAL = "ext4 with journal", "ext4 without journal"


@dataclass(frozen=True)
class Ground:
    """One folder to measure in.

    Attributes:
        kind: its file system, as targets and charts name it.
        label: the same in the titles of tables, with what tells it from others.
    """

    path: str
    kind: str
    label: str


def ground_at(path: str) -> Ground:
    """The folder with what the kernel tells about it."""
    return Ground(path, kind_of(path), f"{file_system_of(path)} ({path})")


def file_system_of(path: str) -> str:
    """The type of the file system that holds the path, such as ``ext4``; "unknown" where the kernel does not tell."""
    return _mount_of(path)[0]


def kind_of(path: str) -> str:
    """The type; for ext4 also whether it has a journal, which decides what a new name costs."""
    kind, device = _mount_of(path)
    if kind != "ext4":
        return kind
    try:
        journals = os.listdir("/proc/fs/jbd2")
    except OSError:
        return kind
    # The kernel's journal threads are named after device and inode: loop0-8.
    name = os.path.basename(os.path.realpath(device))
    return JOURNAL if any(journal.rpartition("-")[0] == name for journal in journals) else NO_JOURNAL


def _mount_of(path: str) -> Tuple[str, str]:
    real = os.path.realpath(path)
    # The last mount at the longest mount point that leads to the path: later mounts hide earlier ones.
    best: Tuple[int, str, str] = (-1, "unknown", "")
    for point, kind, device in _mounts():
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= best[0]:
            best = (len(point), kind, device)
    return best[1], best[2]


def _mounts() -> List[Tuple[str, str, str]]:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    mounts = []
    for line in lines:
        # proc(5): fields, any number of optional ones, " - ", then the type and the device.
        front, _, back = line.partition(" - ")
        point = front.split(" ")[4].replace("\\040", " ").replace("\\134", "\\")
        kind, device = back.split(" ")[:2]
        mounts.append((point, kind, device))
    return mounts
