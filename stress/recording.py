"""What a writing process does below the calls: when it held which lock, and how many commits it made.

mini_mlflow knows nothing of this: two of its methods are wrapped from outside. A hold is noted as the times at which
it was certain: after the lock had been taken, and before it was given back. So two holds that overlap here have
overlapped in truth. The clock is the system's monotonic one, the same for all processes.

Notes go into a file that is mapped into memory: a process that is killed leaves all of them, and none costs a system
call. Such a file is of bounded size; when it is full, the next one is made.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Optional, Set

from mini_mlflow.disk.layout import LOG
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.writing import new_files, run_files

_COUNTS = struct.Struct("<QQ")
#: Which lock, since when, until when, by which thread.
_HOLD = struct.Struct("<QqqQ")
_START = 32
#: Most processes live for a moment: their file is a page. Others go on in larger ones.
_FIRST_BYTES, _NEXT_BYTES = 4096, 256 * 1024
#: Lines of a commit's file that hold no change.
_FRAME_LINES = 2


class Hold(NamedTuple):
    """One stretch of time for which a thread of a process held a lock; the times are nanoseconds."""

    acquired: int
    released: int
    process: str
    thread: int


class Recorded(NamedTuple):
    """What one file says."""

    commits: int
    changes: int
    holds: Dict[int, Any]


class Recording:
    """The notes of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start_afresh()

    def _start_afresh(self) -> None:
        # In a forked child, another thread of the parent may have held the old lock.
        self._lock = threading.Lock()
        self._name = f"{os.getpid()}-{time.monotonic_ns()}"
        self._files = 0
        self._map: Any = None
        self._at = self._commits = self._changes = 0

    def install(self) -> None:
        """From now on, until this process ends, every hold and every commit is noted; in forked children too."""
        _wrap_lock(self)
        _wrap_log(self)
        os.register_at_fork(after_in_child=self._start_afresh)

    def note_hold(self, lock: int, acquired: int, released: int) -> None:
        """This thread held the lock."""
        with self._lock:
            if self._map is None or self._at + _HOLD.size > len(self._map):
                self._start_file()
            # The lock's name last, as a whole: of a process killed in between, the note does not count.
            _HOLD.pack_into(self._map, self._at, 0, acquired, released, threading.get_ident())
            self._map[self._at : self._at + 8] = lock.to_bytes(8, "little")
            self._at += _HOLD.size

    def note_commit(self, changes: int) -> None:
        """A commit stands."""
        with self._lock:
            self._start_if_missing()
            self._commits += 1
            self._changes += changes
            _COUNTS.pack_into(self._map, 0, self._commits, self._changes)

    def _start_if_missing(self) -> None:
        if self._map is None:
            self._start_file()

    def _start_file(self) -> None:
        size = _NEXT_BYTES if self._files else _FIRST_BYTES
        path = self._folder / f"{self._name}.{self._files}"
        descriptor = os.open(str(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        try:
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self._files += 1
        self._at, self._commits, self._changes = _START, 0, 0


def name_lock(path: str) -> int:
    """The number that stands for a lock file in the notes; never 0."""
    return int.from_bytes(hashlib.sha1(path.encode()).digest()[:8], "little") or 1


def _wrap_lock(recording: Recording) -> None:
    try_acquire, release, forget = KeptLock.try_acquire, KeptLock.release, KeptLock.forget

    def noted_try_acquire(self: Any) -> bool:
        acquired = try_acquire(self)
        if acquired and getattr(self, "held_since", None) is None:
            self.held_since = time.monotonic_ns()
        return acquired

    def noted_release(self: Any) -> None:
        since: Optional[int] = getattr(self, "held_since", None)
        if since is not None:
            until, self.held_since = time.monotonic_ns(), None
            recording.note_hold(name_lock(self.path), since, until)
        release(self)

    def noted_forget(self: Any) -> None:
        # In a forked child: the hold is its parent's.
        self.held_since = None
        forget(self)

    wrapped: Any = KeptLock
    wrapped.try_acquire, wrapped.release, wrapped.forget = noted_try_acquire, noted_release, noted_forget


def _wrap_log(recording: Recording) -> None:
    publish = new_files.publish

    def noted_publish(folder: str, name: str, data: bytes, named: Optional[Set[str]]) -> bool:
        made = publish(folder, name, data, named)
        # What is no commit of the log is the document of a first value.
        recording.note_commit(data.count(b"\n") - _FRAME_LINES if os.path.basename(folder) == LOG else 1)
        return made

    wrapped: Any = run_files
    wrapped.publish = noted_publish


def read_recorded(path: Path) -> Recorded:
    """What one process noted in one of its files: the counts, and the holds of each lock in the order of their ends."""
    data = path.read_bytes()
    if len(data) < _START:
        # Its process was killed while it made the file.
        return Recorded(0, 0, {})
    commits, changes = _COUNTS.unpack_from(data)
    holds: Dict[int, Any] = {}
    process = path.name.partition(".")[0]
    for lock, acquired, released, thread in _read_holds(data):
        holds.setdefault(lock, []).append(Hold(acquired, released, process, thread))
    return Recorded(commits, changes, holds)


def _read_holds(data: bytes) -> Iterator[Any]:
    for at in range(_START, len(data) - _HOLD.size + 1, _HOLD.size):
        note = _HOLD.unpack_from(data, at)
        if not note[0]:
            return
        yield note
