"""What a push remembers of what a server has: an optimisation, never the truth; and the lock of one push at a time.

::

    mlruns/.mlflow/push/
    ├── <target>.lock
    └── <target>/<experiment_id>/<run_id>.json     {"server_run_id": ..., "points": ..., "artifacts": ..., "tags": ...}

The truth is on the server: the tag that names the run here, and the mark, another tag, that says what it was like when
all of it had been sent. What is remembered saves asking for the points that the server has, and sending files again.
Where it is lost, or goes with another mark than the server's run has, the points there are read and compared, and the
files sent again.

In the tree and not in a folder of the user's, for what two users, or two hosts, push is one tree's. Where the tree
cannot be written, nothing is remembered and nobody excluded.
"""

from __future__ import annotations

import errno
import json
import os
import re
import weakref
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import pushes_folder
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.entities import Point, RunAddress
from mini_mlflow.exchange.push_rules import hide_password, identity

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9.]+")
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_LOCK_SUFFIX = ".lock"

_held: Any = weakref.WeakSet()


def name_target(to: str) -> str:
    """A server's address as a file name: what a person knows it by, and a hash; without a password that it holds."""
    plain = hide_password(to).rstrip("/")
    shown = _NOT_PLAIN.sub("-", plain.partition("://")[2] or plain).strip("-.")[:60]
    import hashlib

    return "%s-%s" % (shown, hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:8])


class Memory(NamedTuple):
    """What is remembered of a run.

    Attributes:
        server_run_id: the run on the server that all this is about.
        points: metric to how many of its stored points were dealt with, and what the last of them was.
        artifacts: path to the stamp of the file that was sent.
        tags: keys of the tags that were sent.
        marks: what the server's mark may be if all this is so: it was put back from a copy if it has another.
        is_settled: no push was cut short since: nothing was sent that is not remembered.
    """

    server_run_id: str
    points: Dict[str, Tuple[int, str]]
    artifacts: Dict[str, Tuple[int, int]]
    tags: List[str]
    marks: List[Optional[str]]
    is_settled: bool

    @classmethod
    def empty(cls, server_run_id: str) -> Memory:
        return cls(server_run_id, {}, {}, [], [], False)

    def sent(self, key: str, stored: List[Point]) -> Optional[int]:
        """How many of the points were dealt with; None if that is not known."""
        count, last = self.points.get(key, (0, ""))
        # A repair may have put fewer points, or others, where those stood.
        if count and (count > len(stored) or describe(stored[count - 1]) != last):
            return None
        return count if count else None

    def note_sent(self, key: str, count: int, last: Point) -> None:
        self.points[key] = (count, describe(last))


def describe(point: Point) -> str:
    """A point as the memory has it."""
    return "%d %d %s" % identity(point)


class Memories:
    """What is remembered of the runs of a tree and one server; only for the holder of the push's lock.

    Args:
        is_kept: False where nothing can be written: then nothing is remembered.
    """

    def __init__(self, root: str, target: str, is_kept: bool) -> None:
        self._folder = os.path.join(pushes_folder(root), target)
        self._is_kept = is_kept
        #: Why it could not be remembered; None if it could.
        self.problem: Optional[str] = None

    def load(self, address: RunAddress, server_run_id: str, mark: Optional[str]) -> Memory:
        """What is remembered of the run; nothing if that cannot be read, or is about another state of the server's.

        Args:
            mark: what the server's run is marked with.
        """
        try:
            fields = json.loads(read_file(self._place(address)).decode("utf-8"))
            memory = Memory(
                str(fields["server_run_id"]),
                {str(key): (int(count), str(last)) for key, (count, last) in fields["points"].items()},
                {str(path): (int(size), int(time)) for path, (size, time) in fields["artifacts"].items()},
                [str(key) for key in fields["tags"]],
                [mark if mark is None else str(mark) for mark in fields["marks"]],
                fields["is_settled"] is True,
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return Memory.empty(server_run_id)
        is_right = memory.server_run_id == server_run_id and mark in memory.marks
        return memory if is_right else Memory.empty(server_run_id)

    def save(self, address: RunAddress, memory: Memory, is_settled: bool = False) -> None:
        """It is remembered, if it can be: a full disk does not stop a push.

        Args:
            is_settled: False while more is being sent.
        """
        if not self._is_kept:
            return
        folder, name = os.path.split(self._place(address))
        data = json.dumps(memory._replace(is_settled=is_settled)._asdict()).encode("ascii")
        try:
            atomic.create_folder(self._folder)
            atomic.create_folder(folder)
            # Not synced: what a power cut leaves of it is either this or no JSON, and then nothing is remembered.
            atomic.write_file(folder, name, data, sync=False)
        except OSError as error:
            self.problem = str(error)

    def sweep(self) -> None:
        """What a push that was killed left half written is gone."""
        if not self._is_kept:
            return
        for name in list_folder(self._folder):
            folder = os.path.join(self._folder, name)
            if os.path.isdir(folder):
                atomic.remove_temporaries(folder, list_folder(folder))

    def _place(self, address: RunAddress) -> str:
        return "%s/%d/%s.json" % (self._folder, address.experiment_id, address.run_id)


@contextmanager
def one_at_a_time(root: str, target: str, timeout_s: float) -> Iterator[Memories]:
    """For the length of the block, nobody else pushes this tree to that server.

    Two that look for a run at once would both make it: a server has no unique tags.

    Raises:
        LockTimeout: somebody else did so for ``timeout_s`` seconds.
        OSError: the lock cannot be made, for another reason than that the tree is read-only.
    """
    # The tree may stand behind a link, which a lock's folders may not.
    lock = KeptLock(os.path.join(pushes_folder(os.path.realpath(root)), target + _LOCK_SUFFIX))
    is_kept = True
    try:
        lock.acquire(timeout_s)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        is_kept = False
    _held.add(lock)
    try:
        memories = Memories(os.path.realpath(root), target, is_kept)
        memories.sweep()
        yield memories
    finally:
        _held.discard(lock)
        lock.close()


def _after_fork_in_child() -> None:
    # A push takes minutes, and a child that is forked meanwhile would keep the lock of a parent that is killed.
    for lock in list(_held):
        lock.forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
