"""Where artifacts are gathered before they appear, and how to tell whose maker is dead.

Copying may take minutes, and the run's lock is not held that long. So each call has a folder of its own beside the
run's files, ``.tmp-<process>-<n>/``: in it ``content``, which becomes the artifacts by a rename, and ``lock``, which
the call holds from before the folder shows to others until it is gone. The folder is made, and dead ones are swept,
under the run's lock alone: whoever has that finds each such folder either locked, and its maker at work, or dead.

The kernel drops the lock of a process that dies, however it dies. A forked child closes its copy of the descriptor,
or it would keep its killed parent's folder from being swept (`disk.locks` says why). Where locks do not reach across
hosts, two hosts must not write to one run in any case.

What a kill leaves is swept by the next call for an artifact of the run, and by its end. Of a run that is moved away
meanwhile, deleted say, the folder moves along; the call fails, and what it leaves is swept if the run comes back.
"""

from __future__ import annotations

import os
import stat
from weakref import WeakValueDictionary

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from mini_mlflow.disk.layout import RunPaths, staging_lock
from mini_mlflow.disk.locks import KeptLock, is_held
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.disk.removing import remove_tree

# Weak: of a call that an interrupt cut short in its last lines, only the lock may outlive its frame, and no longer.
_live: WeakValueDictionary[str, Staging] = WeakValueDictionary()


class Staging:
    """One call's folder. Nothing is made before `open`."""

    def __init__(self, paths: RunPaths) -> None:
        self.folder = atomic.name_temporary(paths.folder)
        self.content = "%s/content" % self.folder
        self._lock = KeptLock(staging_lock(self.folder))

    def open(self, timeout_s: float) -> None:
        """The folder stands and is nobody else's; its content is yet to be made. For the holder of the run's lock.

        Raises:
            OSError: with ``filename`` set; what was made is still to be removed.
        """
        # Before it stands: a signal handler that comes in here sweeps too, and the lock is not taken yet.
        _live[self.folder] = self
        atomic.create_folder(self.folder)
        self._lock.acquire(timeout_s)

    def make_folder(self, below: str) -> str:
        """The path of the folder ``below`` ("": the top) in the content; made, with those on the way to it.

        One by one, and never the folder of this call: if the run was moved away (deleted, say), folders made anew in
        its place would keep it from coming back.

        Raises:
            FileNotFoundError: the run was moved away.
            OSError: with ``filename`` set.
        """
        path = self.content
        atomic.create_folder(path)
        for name in below.split("/") if below else ():
            path = "%s/%s" % (path, name)
            atomic.create_folder(path)
        return path

    def empty(self) -> None:
        """The content is gone, or left for the next sweep. No lock is needed: the folder itself stays."""
        remove_tree(self.content)

    def remove(self) -> None:
        """The folder is gone with all that is in it, or left for the next sweep. For the holder of the run's lock.

        Who looks on would else find it for a moment without its lock, as a dead call leaves it.
        """
        try:
            remove_tree(self.folder)
        finally:
            self.close()

    def close(self) -> None:
        """Nobody is at work in the folder any more, should it still stand."""
        self._lock.close()
        _live.pop(self.folder, None)

    @property
    def is_open(self) -> bool:
        """Whether `open` was called and not yet `close`."""
        return _live.get(self.folder) is self

    def forget(self) -> None:
        """In a forked child: the folder is its parent's."""
        self._lock.forget()


def sweep_stagings(paths: RunPaths) -> None:
    """The folders of dead calls are gone. For the holder of the run's lock.

    Raises:
        OSError: the run's folder cannot be listed.
    """
    for name in list_folder(paths.folder):
        path = "%s/%s" % (paths.folder, name)
        if name.startswith(TEMPORARY_PREFIX) and path not in _live and is_dead(path):
            remove_tree(path)


def is_dead(folder: str) -> bool:
    """Whether ``folder`` is one that a call has left, and nobody is at work in."""
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return False
    except OSError:
        return False
    lock = staging_lock(folder)
    held = is_held(lock)
    # Not to be told also means that another user's lock may not be opened.
    return held is False or (held is None and not os.path.lexists(lock))


def _renew_after_fork() -> None:
    for staging in list(_live.values()):
        staging.forget()
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
