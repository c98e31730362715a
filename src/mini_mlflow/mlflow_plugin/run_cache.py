"""Runs that have ended, remembered from one search to the next.

A search of MLflow's comes every few seconds while somebody looks at the UI, and asks for a page out of thousands of
runs. The snapshot of a run that has ended hardly ever changes; when it does, a new file is put in its place. So what
was read of a snapshot holds while the file is the same: its inode, size and times are what they were, and it had
settled when it was read: it was older than any file that the same tick of the clock, or a clock that is set back a
little, could put in its place unnoticed (git treats its index so). On a file system that other hosts change too, where
stat(2) may be answered from memory, nothing is remembered.

Bounded by the bytes of the snapshots; what does not fit is read anew each time.
"""

from __future__ import annotations

import os
import time
from typing import Dict, NamedTuple, Tuple

from mini_mlflow.disk.mounts import is_network_file_system
from mini_mlflow.disk.regular import read_file
from mini_mlflow.mlflow_plugin.candidates import Candidate
from mini_mlflow.mlflow_plugin.run_handles import Standing
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.run_view import read_run

_LIMIT_BYTES = 64_000_000
# The coarsest clock of a file system ticks every two seconds (FAT).
_SETTLED_NS = 3_000_000_000

Stamp = Tuple[int, int, int, int]


class _Entry(NamedTuple):
    stamp: Stamp
    candidate: Candidate
    size: int


class RunCache:
    """The runs of one tree. Safe to share between threads."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._entries: Dict[str, _Entry] = {}
        self._size = 0

    def read(self, standing: Standing) -> Candidate:
        """The run as it stands, open or ended.

        Raises:
            FileNotFoundError: there is no such run.
            DamagedFileError, OSError: it cannot be read.
        """
        path = standing.paths.snapshot
        try:
            # No link is followed here or below.
            stamp = _stamp_of(os.lstat(path))
        except FileNotFoundError:
            return Candidate(FoundRun(standing.address, None, read_run(standing.paths)))
        known = self._entries.get(path)
        if known is not None and known.stamp == stamp:
            return known.candidate
        return self._read_anew(standing, path, stamp)

    def _read_anew(self, standing: Standing, path: str, stamp: Stamp) -> Candidate:
        settled_ns = time.time_ns() - _SETTLED_NS
        try:
            data = read_file(path)
            run = FoundRun.of_snapshot(standing.address, data)
        except FileNotFoundError:
            run = None
        if run is None:
            return Candidate(FoundRun(standing.address, None, read_run(standing.paths)))
        candidate = Candidate(run)
        # What replaces the file between the two calls is younger than it, and younger than what has settled.
        if max(stamp[2:]) < settled_ns and not is_network_file_system(self._root):
            self._remember(path, _Entry(stamp, candidate, len(data)))
        return candidate

    def _remember(self, path: str, entry: _Entry) -> None:
        replaced = self._entries.get(path)
        size = self._size + entry.size - (replaced.size if replaced is not None else 0)
        if size <= _LIMIT_BYTES:
            self._entries[path] = entry
            # Of two threads at once one may not count: a bound need not be exact.
            self._size = size


def _stamp_of(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
