"""What a power cut may leave of a tree: a model of a file system that keeps nothing but what was synced.

`RecordedDisk` stands in for the module ``os`` of `mini_mlflow.disk.atomic`, the only one that changes the file system.
It carries every step out and writes down what it did. Afterwards `build_state` makes, for a cut after any step, a tree
that could then be found on the medium:

- What was written to a file since its last fsync is there, is missing, is zeros, or is there in part.
- What happened to a name in a folder since that folder's last fsync has happened or not, each name for itself: a later
  rename may have survived and an earlier one not, a file may still be there that was removed.
- What was synced is there. Syncing a file says nothing about its name, and syncing a folder nothing about its own
  name in the folder above or about the content of its files.

No real file system is that careless (most keep the order of changes to one folder), so that what holds here holds on
all of them. Two cuts in a row are a state of which another recording is made. Not modelled: a medium that loses what
it has confirmed, and renames of folders with something in them.
"""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

Value = TypeVar("Value")
#: Of the values that could stand there, oldest first, the one that does.
Chooser = Callable[[Sequence[Any]], Any]


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

    def since_sync(self, events: List[Tuple[int, Value]], cut: int) -> Tuple[Optional[Value], List[Value]]:
        """The value that is safe at the cut (None: none is), and those that came after it."""
        synced = max([step for step in self.syncs if step <= cut], default=-1)
        safe = [value for step, value in events if step <= synced]
        return safe[-1] if safe else None, [value for step, value in events if synced < step <= cut]


class _Opened(NamedTuple):
    inode: Inode
    path: str


class RecordedDisk:
    """Stands in for ``os``: carries every change below ``base`` out and remembers it. For one thread.

    Args:
        base: an existing folder; what it holds now counts as synced.
    """

    def __init__(self, base: str) -> None:
        self.base = os.path.abspath(base)
        self.step = 0
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
    def _next_step(self) -> Iterator[int]:
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

    # -- what atomic calls -------------------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        with self._next_step() as step:
            descriptor = os.open(path, flags, mode)
            inode = self._find(path)
            if inode is None and flags & os.O_CREAT:
                inode = Inode(is_folder=False)
                self._name(path, inode, step)
            if inode is not None:
                self._opened[descriptor] = _Opened(inode, path)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        with self._next_step() as step:
            written = os.write(descriptor, data)
            if descriptor in self._opened:
                inode = self._opened[descriptor].inode
                before = inode.contents[-1][1] if inode.contents else b""
                inode.contents.append((step, before + bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        # Written down alone: no test depends on it, and a disk takes milliseconds for each.
        with self._next_step() as step:
            if descriptor in self._opened:
                self._opened[descriptor].inode.syncs.append(step)

    def close(self, descriptor: int) -> None:
        self._opened.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source: str, target: str) -> None:
        with self._next_step() as step:
            os.replace(source, target)
            inode = self._find(source)
            self._name(source, None, step)
            self._name(target, inode, step)

    def unlink(self, path: str) -> None:
        with self._next_step() as step:
            os.unlink(path)
            self._name(path, None, step)

    def rmdir(self, path: str) -> None:
        with self._next_step() as step:
            os.rmdir(path)
            self._name(path, None, step)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        with self._next_step() as step:
            os.mkdir(path, mode)
            self._name(path, Inode(is_folder=True), step)

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            self.makedirs(parent, mode, exist_ok=True)
        if not (exist_ok and os.path.isdir(path)):
            self.mkdir(path, mode)


class Loss(NamedTuple):
    """How careless the file system was.

    Attributes:
        choose_name: of a name's states since its folder was synced, the one that survived.
        choose_content: of a file's contents since it was synced, torn ones among them, the one that survived.
    """

    choose_name: Chooser
    choose_content: Chooser


def make_losses(seed: int) -> Dict[str, Loss]:
    """Ways to lose, by name: the extremes, which catch most mistakes, and random ones."""
    dice = random.Random(seed)
    kept = dice.choice((0.2, 0.5, 0.8))

    def first(choices: Sequence[Any]) -> Any:
        return choices[0]

    def last(choices: Sequence[Any]) -> Any:
        return choices[-1]

    def mostly_last(choices: Sequence[Any]) -> Any:
        return choices[-1] if dice.random() < kept else dice.choice(choices)

    return {
        "only what was synced": Loss(first, first),
        "names but no content": Loss(last, first),
        "names and torn content": Loss(last, dice.choice),
        "content but no names": Loss(first, last),
        "any": Loss(mostly_last, mostly_last),
        "anything": Loss(dice.choice, dice.choice),
    }


def build_state(disk: RecordedDisk, cut: int, loss: Loss, target: str) -> None:
    """``target``, which must not exist, is what may be left of the base when the power goes after step ``cut``."""
    _build(disk.root, cut, loss, target)


def _build(inode: Inode, cut: int, loss: Loss, target: str) -> None:
    if inode.entries is None:
        with open(target, "wb") as file:
            file.write(_choose_content(inode, cut, loss))
        return
    os.mkdir(target)
    for name, events in sorted(inode.entries.items()):
        safe, later = inode.since_sync(events, cut)
        found = loss.choose_name([safe, *later])
        if found is not None:
            _build(found, cut, loss, os.path.join(target, name))


def _choose_content(inode: Inode, cut: int, loss: Loss) -> bytes:
    safe, later = inode.since_sync(inode.contents, cut)
    if not later:
        return safe or b""
    whole = later[-1]
    half = len(whole) // 2
    torn = [safe or b"", b"\0" * len(whole), whole[:half], whole[:half] + b"\0" * (len(whole) - half)]
    return bytes(loss.choose_content([*torn, whole]))
