"""The locks: one file a lock, taken through filelock on a descriptor that stays open.

``<run_id>.lock`` guards every change of a run's folder, for the length of one batch. ``<run_id>.owner`` is held by
the process that started or resumed the run until it ends, so that a reader can tell a dead owner at once: the kernel
drops the locks of a process that dies, however it dies. It excludes nobody: where a run was ended and is resumed behind
its owner's back, the resumer puts a new file in its place (`take_over`), for readers to look at.

Facts this rests on (flock(2)): the lock belongs to the open file description, so taking it twice through one
descriptor succeeds, releasing it twice does no harm, and a forked child shares it: the child must close its copy
and never unlock it. Lock files are never deleted; should somebody do it all the same, the next acquire notices (the
inode has no name left) and opens the new file. Not guaranteed: exclusion across that deletion itself, nor on file
systems without working flock.

A `KeptLock` is not for two threads at a time: threads of a process meet in memory first (`writing.group_commit`).
"""

from __future__ import annotations

import errno
import os
import time
import weakref
from typing import Any, Optional

import filelock

from mini_mlflow.disk import atomic, turnstile
from mini_mlflow.disk.regular import open_regular
from mini_mlflow.errors import LockTimeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# filelock's own polling (50 ms) would be the latency between two processes on one run.
_FIRST_DELAY_S = 0.0002
_LONGEST_DELAY_S = 0.005
_HELD_ELSEWHERE = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)

# From 3.30 on filelock locks a descriptor of ours, in 5 us. Its FileLock would cost 100 there, more than all the rest
# of a commit. The versions for Python 3.7 to 3.9 have FileLock alone: see _KeptFileLock.
FILELOCK_VERSION = str(getattr(filelock, "__version__", "unknown"))
_lock_descriptor: Any = getattr(filelock, "lock_descriptor", None)
_unlock_descriptor: Any = getattr(filelock, "unlock_descriptor", None)


class KeptLock:
    """An exclusive lock on the file ``path``, whose descriptor stays open between two holds.

    Closing the descriptor (`close`, or the object's end) gives the lock up.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: Optional[int] = None
        self._old: Any = None
        self._finalizer: Any = None

    def acquire(self, timeout_s: float) -> None:
        """The lock is held by this object; at once if it was already.

        Raises:
            LockTimeout: others held it for ``timeout_s`` seconds. The message names the file.
            OSError: the lock file cannot be opened; ``filename`` is set.
        """
        if self.try_acquire():
            return
        turnstile.leave()
        deadline = time.monotonic() + timeout_s
        delay = _FIRST_DELAY_S
        while True:
            # Jitter from the clock's low bits: waiters that started together must not try together for ever.
            time.sleep(delay * (0.5 + (time.perf_counter_ns() >> 7 & 0xFF) / 512.0))
            if self.try_acquire():
                return
            if time.monotonic() >= deadline:
                raise LockTimeout(
                    errno.ETIMEDOUT,
                    "somebody else held the lock for %g s; find them with fuser or lsof, or set lock_timeout_s"
                    % timeout_s,
                    self.path,
                )
            delay = min(delay * 1.5, _LONGEST_DELAY_S)

    def try_acquire(self) -> bool:
        """True if the lock is held now; False if somebody else has it. Raises OSError as `acquire` does."""
        while True:
            descriptor = self._descriptor
            if descriptor is None:
                descriptor = self._open()
            if not self._try_native(descriptor):
                return False
            # Somebody may have deleted the file as "stale": who comes next would lock a new inode of that name.
            if os.fstat(descriptor).st_nlink:
                return True
            self.close()

    def release(self) -> None:
        """The lock is free; nothing happens if it was not held."""
        descriptor, old = self._descriptor, self._old
        if old is not None:
            old.free()
        elif descriptor is not None:
            _unlock_descriptor(descriptor)

    def close(self) -> None:
        """The lock is free and the descriptor closed; the object opens a new one when it is used again."""
        self.release()
        self.forget()

    def forget(self) -> None:
        """The descriptor is closed, and the lock stays with whoever shares it: for a forked child."""
        descriptor, self._descriptor = self._descriptor, None
        old, self._old = self._old, None
        if old is not None:
            old.drop()
        if descriptor is not None and self._finalizer.detach():
            os.close(descriptor)

    def take_over(self, folder: str) -> None:
        """The lock is held, on a new file under its name: who holds the old file keeps that, and nobody looks at it.

        For a lock that tells who lives, and excludes nobody: it must not be used where others wait for the holder.

        Args:
            folder: where the new file is made: one whose temporaries are swept if a kill leaves it there.

        Raises:
            OSError: with ``filename`` set; the old file stands.
        """
        self.close()
        temporary = atomic.name_temporary(folder)
        try:
            if not self._try_native(self._open(temporary)):
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), self.path)
            atomic.move(temporary, self.path)
        except BaseException:
            self.close()
            atomic.remove_file(temporary)
            raise

    def _open(self, path: Optional[str] = None) -> int:
        folder = os.path.dirname(self.path)
        atomic.create_folder(os.path.dirname(folder))
        atomic.create_folder(folder)
        descriptor = atomic.open_lock_file(path or self.path)
        if path is None and self._descriptor is not None:
            # A signal handler that came in between opened it, and may hold the lock for this frame.
            os.close(descriptor)
            return self._descriptor
        # Not __del__: it would also run for a lock that is closed, and what a signal handler raises in there (the
        # SystemExit of a SIGTERM) is dropped by the interpreter.
        self._finalizer = weakref.finalize(self, os.close, descriptor)
        self._finalizer.atexit = False
        if _lock_descriptor is None:
            old = _KeptFileLock(self.path, thread_local=False)
            old.kept = descriptor
            self._old = old
        # Last: whoever finds a descriptor here, after an interrupt too, relies on all of the above.
        self._descriptor = descriptor
        return descriptor

    def _try_native(self, descriptor: int) -> bool:
        try:
            if self._old is None:
                return bool(_lock_descriptor(descriptor, blocking=False))
            self._old.acquire(blocking=False)
            return True
        except filelock.Timeout:
            return False
        except OSError as error:
            error.filename = self.path
            raise


class _KeptFileLock(filelock.FileLock):
    """filelock's own lock, taught to lock the descriptor that it is given instead of opening one for each hold.

    For versions before 3.30. Beside the time it saves, an interrupt between flock and the noting of the descriptor
    would leave FileLock with a lock that nobody can release any more.
    """

    kept: int

    def _acquire(self) -> None:
        if fcntl is None:
            super()._acquire()
            return
        try:
            fcntl.flock(self.kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD_ELSEWHERE:
                raise
        else:
            self._context.lock_file_fd = self.kept

    def _release(self) -> None:
        if fcntl is None:
            super()._release()
            return
        self._context.lock_file_fd = None
        fcntl.flock(self.kept, fcntl.LOCK_UN)

    def __del__(self, *_: Any) -> None:
        # FileLock's own would unlock the descriptor, which by then is closed, or another file's. KeptLock closes it.
        pass

    def free(self) -> None:
        # An interrupt may have come between flock and the note of it, and release() goes by the note.
        if fcntl is not None:
            self._context.lock_file_fd = self.kept
        self.release(force=True)

    def drop(self) -> None:
        # Or a later release(), in a forked child, would free the parent's lock.
        if fcntl is not None:
            self._context.lock_file_fd = None


def is_held(path: str) -> Optional[bool]:
    """Whether anybody, this process included, holds the lock file ``path``; None if that cannot be told.

    For readers: creates nothing, works on a read-only tree, and asks for a shared lock, so that two readers never
    take each other for the owner. None means that there is no such file (a run of another writer) or no permission.
    """
    try:
        descriptor = open_regular(path)
    except OSError:
        return None
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # Unlocked, not just closed: a child forked this moment shares the lock, and would keep it for life.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        else:
            if not _lock_descriptor(descriptor, blocking=False):
                return True
            _unlock_descriptor(descriptor)
        return False
    except OSError as error:
        return True if error.errno in _HELD_ELSEWHERE else None
    finally:
        os.close(descriptor)
