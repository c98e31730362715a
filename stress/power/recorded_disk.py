"""The file system steps of a workload, written down where the project changes files.

`RecordedDisk` stands in for the module ``os`` of `mini_mlflow.disk.atomic` and `mini_mlflow.disk.copying`. It carries
every step out and remembers it; `stress.power.states` makes of that what a power cut may leave. What is taken for
granted of a file system:

- A name points at what it was last made to point at, or at what it pointed at before, never at anything else: one
  entry of a folder changes as a whole. (Journals and logs give that; "atomic directory operations" in Pillai et al.,
  "All File Systems Are Not Created Equal", OSDI 2014, which calls this model ALICE and finds it in each one tested.)
- A folder that is renamed is in one of the two places, whichever folders they are in: journals keep both sides of a
  rename or none, and in order. So syncing one of the two folders keeps the rename in the other as well.
- fsync(2) of a file keeps its bytes and its length, fsync(2) of a folder its entries. As the manual page says, syncing
  a file does not keep its name; here syncing a folder does not keep its own name in the folder above either.
- Bytes that were not synced are missing, or zeros, or there in part. Not somebody else's: ext3 and ext4 with
  ``data=writeback`` may show what a freed block held before, and nothing is promised there.

An exchange of two names is two changes, of which each may be lost without the other.

Nothing else is: no order between two names, between names and bytes, or between two files. No file system is that
careless (ext4 keeps the order of changes of names, and syncs a new file's name with it), so what holds here holds on
all of them. Not modelled: a medium that loses what it has confirmed, an fsync that fails and has lost the bytes
(a failing fsync here has done nothing yet).
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, TypeVar

from mini_mlflow.disk import linux

Value = TypeVar("Value")


class Inode:
    """A file or a folder: what it held after which step, and the steps that synced it.

    Attributes:
        entries: for a folder, name to (step, inode or None), oldest first; None for a file.
        contents: for a file, (step, bytes), oldest first.
        syncs: steps; step 0 is the state that the recording began with.
    """

    def __init__(self, is_folder: bool) -> None:
        self.entries: Optional[Dict[str, List[Tuple[int, Optional[Inode]]]]] = {} if is_folder else None
        self.contents: List[Tuple[int, bytes]] = []
        self.syncs: List[int] = []

    def look_up(self, name: str) -> Optional[Inode]:
        """What stands under the name now."""
        events = (self.entries or {}).get(name)
        return events[-1][1] if events else None

    def since_sync(
        self, events: List[Tuple[int, Value]], cut: int, kept: int = -1
    ) -> Tuple[Optional[Value], List[Tuple[int, Value]]]:
        """The value that is safe at the cut (None: none is), and with their steps those that came after it.

        Args:
            kept: what happened up to this step is safe in any case.
        """
        synced = max([kept, *(step for step in self.syncs if step <= cut)])
        safe = [value for step, value in events if step <= synced]
        return safe[-1] if safe else None, [event for event in events if synced < event[0] <= cut]


class Move(NamedTuple):
    """A folder was renamed: at which step, which, and its places before and after, each a folder and a name in it."""

    step: int
    inode: Inode
    places: Tuple[Tuple[Inode, str], ...]


class _Opened(NamedTuple):
    inode: Inode
    path: str


class RecordedDisk:
    """Stands in for ``os``: carries every change below ``base`` out and remembers it. For one thread.

    Attributes:
        step: how many steps were done.
        strike: called before each step with its name and its path; what it raises, the step raises. None: nothing is.

    Args:
        base: an existing folder; what it holds now counts as synced.
    """

    def __init__(self, base: str) -> None:
        self.base = os.path.abspath(base)
        self.step = 0
        self.strike: Optional[Callable[[str, str], None]] = None
        self.moves: List[Move] = []
        self._opened: Dict[int, _Opened] = {}
        self.root = self._scan(self.base)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _scan(self, path: str) -> Inode:
        inode = Inode(is_folder=os.path.isdir(path))
        inode.syncs.append(0)
        if inode.entries is None:
            with open(path, "rb") as file:
                inode.contents.append((0, file.read()))
        else:
            for name in os.listdir(path):
                inode.entries[name] = [(0, self._scan(os.path.join(path, name)))]
        return inode

    @contextmanager
    def _next_step(self, name: str, path: str) -> Iterator[int]:
        if self.strike is not None:
            self.strike(name, path)
        # Counted once it is done: what failed has changed nothing.
        yield self.step + 1
        self.step += 1

    def _find(self, path: str) -> Optional[Inode]:
        inode: Optional[Inode] = self.root
        relative = os.path.relpath(os.path.abspath(path), self.base)
        if relative.startswith(os.pardir):
            return None
        for name in [] if relative == os.curdir else relative.split(os.sep):
            inode = inode.look_up(name) if inode is not None else None
        return inode

    def _name(self, path: str, inode: Optional[Inode], step: int) -> None:
        folder = self._find(os.path.dirname(path))
        if folder is not None and folder.entries is not None:
            folder.entries.setdefault(os.path.basename(path), []).append((step, inode))

    def _path_of(self, descriptor: int) -> str:
        opened = self._opened.get(descriptor)
        return opened.path if opened is not None else ""

    # -- what atomic and copying call --------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        with self._next_step("open", path) as step:
            descriptor = os.open(path, flags, mode)
            inode = self._find(path)
            if inode is None and flags & os.O_CREAT:
                inode = Inode(is_folder=False)
                self._name(path, inode, step)
            if inode is not None:
                self._opened[descriptor] = _Opened(inode, path)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        with self._next_step("write", self._path_of(descriptor)) as step:
            written = os.write(descriptor, data)
            if descriptor in self._opened:
                inode = self._opened[descriptor].inode
                before = inode.contents[-1][1] if inode.contents else b""
                inode.contents.append((step, before + bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        # Written down alone: nothing here depends on it, and a disk takes milliseconds for each.
        with self._next_step("fsync", self._path_of(descriptor)) as step:
            if descriptor in self._opened:
                self._opened[descriptor].inode.syncs.append(step)

    def close(self, descriptor: int) -> None:
        self._opened.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source: str, target: str) -> None:
        with self._next_step("replace", target) as step:
            os.replace(source, target)
            inode = self._find(source)
            self._name(source, None, step)
            self._name(target, inode, step)
            if inode is not None and inode.entries is not None:
                found = [(self._find(os.path.dirname(path)), os.path.basename(path)) for path in (source, target)]
                places = tuple((folder, name) for folder, name in found if folder is not None)
                self.moves.append(Move(step, inode, places))

    def link(self, source: str, target: str, *, follow_symlinks: bool = True) -> None:
        with self._next_step("link", target) as step:
            os.link(source, target, follow_symlinks=follow_symlinks)
            self._name(target, self._find(source), step)

    def exchange(self, one: str, other: str) -> None:
        """As `mini_mlflow.disk.linux.exchange`."""
        with self._next_step("exchange", other) as step:
            linux.exchange(one, other)
            first, second = self._find(one), self._find(other)
            self._name(one, second, step)
            self._name(other, first, step)

    def _refuse(self, *arguments: Any) -> Any:
        # What copies inside the kernel leaves the same states as write(2), whose bytes are seen here.
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    clone = copy_file_range = sendfile = _refuse

    def unlink(self, path: str) -> None:
        with self._next_step("unlink", path) as step:
            os.unlink(path)
            self._name(path, None, step)

    def rmdir(self, path: str) -> None:
        with self._next_step("rmdir", path) as step:
            os.rmdir(path)
            self._name(path, None, step)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        with self._next_step("mkdir", path) as step:
            os.mkdir(path, mode)
            self._name(path, Inode(is_folder=True), step)

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            self.makedirs(parent, mode, exist_ok=True)
        if not (exist_ok and os.path.isdir(path)):
            self.mkdir(path, mode)
