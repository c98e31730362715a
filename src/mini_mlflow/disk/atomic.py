"""The module that changes the file system: every change is whole, or it did not happen. (`copying` is for artifacts.)

Protocol: bytes go into a temporary beside the target, ``.tmp-<process>-<n>``, under a name that nobody else uses;
then one rename puts them under the target's name (rename(2): atomic, whatever stood there before). A reader sees
the old file, the new file, or no file, never a part of one.

Who may call: the holder of the run's lock. Names of temporaries are unique all the same, so that a broken lock can
mix up the order of two writes, but not their bytes.

After a failure (ENOSPC, EIO, EACCES, EMFILE, an interrupt): the target is as it was, the temporary is gone, and the
error is the system's own OSError with ``filename`` set to the target. After SIGKILL a temporary may be left;
`remove_temporaries` sweeps, and no reader takes it for a document.

``sync=True`` adds fsync(2) before the rename. It is needed where a rename *replaces* a file: XFS, btrfs and at times
ext4 may otherwise leave an empty file after a power cut where hours of data stood. A new name risks nothing old.
Renames themselves survive a power cut only once their folder is synced: `sync_folder`.

Tests replace the name ``os`` of this module to fail, stall or kill at the n-th step of any operation.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from contextlib import contextmanager
from typing import Callable, Iterable, Iterator

from mini_mlflow.disk import turnstile
from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from mini_mlflow.errors import OutsideTreeError

_BINARY = getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | getattr(os, "O_CLOEXEC", 0)
_LOCK_FILE = os.O_RDWR | os.O_CREAT | _BINARY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
# A FIFO in a document's place must not make anybody wait, nor a link lead out of the tree.
_SYNCED = (
    os.O_RDONLY | _BINARY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
)
_CAN_SYNC_FOLDERS = hasattr(os, "O_DIRECTORY")
# Folders of some network and FUSE file systems cannot be synced; they say so, and promise nothing to rely on.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def _new_prefix() -> str:
    return TEMPORARY_PREFIX + os.urandom(6).hex() + "-"


_prefix = _new_prefix()
_next_serial: Callable[[], int] = itertools.count().__next__


def renew_after_fork() -> None:
    """A forked child draws its own prefix: with its parent's, both would count on through the same names."""
    global _prefix
    _prefix = _new_prefix()


def write_file(folder: str, name: str, data: bytes, sync: bool) -> None:
    """``folder/name`` holds exactly ``data``; with ``sync`` its bytes are on the medium before they get that name.

    Args:
        folder: an existing folder.
        name: the file's name; whatever stands there is replaced, a symbolic link itself and not what it points to.
        data: the whole content.
        sync: fsync before the rename. False only where nothing stands under that name, or nothing need survive.

    Raises:
        OSError: with ``filename`` set; the old file is whole and no temporary is left.
    """
    _write(folder, name, data, sync, publish=True)


def _write(folder: str, name: str, data: bytes, sync: bool, publish: bool) -> str:
    """The path of the temporary, which has the name already if it was to be published."""
    temporary = name_temporary(folder)
    descriptor = -1
    try:
        descriptor = os.open(temporary, _CREATE, 0o666)
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
        if sync:
            _wait_for_medium(descriptor)
        # close(2) may report what write(2) did not (NFS, quotas); it must not be called twice then.
        closing, descriptor = descriptor, -1
        os.close(closing)
        if publish:
            os.replace(temporary, "%s/%s" % (folder, name))
        return temporary
    except BaseException as error:
        _discard(temporary, descriptor)
        _name_path(error, os.path.join(folder, name))
        raise


class StagedFile:
    """A file that has all its bytes but not yet its name; see `staged`."""

    def __init__(self, folder: str, name: str, data: bytes, sync: bool) -> None:
        self._target = os.path.join(folder, name)
        self._staged = _write(folder, name, data, sync, publish=False)

    def publish(self) -> None:
        """The file stands under its name. Raises OSError (with ``filename``); it is still staged then."""
        try:
            os.replace(self._staged, self._target)
        except OSError as error:
            _name_path(error, self._target)
            raise
        self._staged = ""

    def discard(self) -> None:
        """The staged bytes are gone, or left for the next sweep; nothing happens after `publish`."""
        if self._staged:
            _discard(self._staged, -1)


@contextmanager
def staged(folder: str, name: str, data: bytes, sync: bool = False) -> Iterator[StagedFile]:
    """A file for `StagedFile.publish` to give its name to within the block; what can fail for want of space is done.

    Args, Raises: as `write_file`. What is not published by the end of the block is gone.
    """
    file = StagedFile(folder, name, data, sync)
    try:
        yield file
    finally:
        file.discard()


def _discard(temporary: str, descriptor: int) -> None:
    # The first error is the one to tell. What cannot be swept now is swept by the next holder of the lock.
    try:
        if descriptor >= 0:
            os.close(descriptor)
    except OSError:
        pass
    try:
        os.unlink(temporary)
    except OSError:
        pass


def _name_path(error: BaseException, path: str) -> None:
    # The path that the caller knows: write(2) and fsync(2) name none, open(2) names the temporary.
    if isinstance(error, OSError):
        error.filename = path
        error.filename2 = None


def sync_file(path: str) -> None:
    """The bytes of the file ``path`` are on the medium.

    Raises:
        OSError: with ``filename`` set. After EIO the kernel may have dropped the bytes: the caller must not rely on
            the file, a second fsync may report success (Rebello et al., "Can Applications Recover from fsync
            Failures?", USENIX ATC 2020).
    """
    _sync(path, _SYNCED)


def sync_folder(path: str, missing_ok: bool = False) -> bool:
    """The names in the folder ``path`` are on the medium: renames and removals in it survive a power cut.

    Args:
        path: a folder.
        missing_ok: nothing happens if there is no such folder.

    Raises:
        OSError: with ``filename`` set. Returns False, with nothing done, where folders cannot be synced (Windows).
    """
    if _CAN_SYNC_FOLDERS:
        try:
            _sync(path, os.O_RDONLY | _FOLDER)
            return True
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC and not (missing_ok and error.errno == errno.ENOENT):
                raise
    return False


def _sync(path: str, flags: int) -> None:
    try:
        descriptor = os.open(path, flags)
        try:
            _wait_for_medium(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        _name_path(error, path)
        raise


def _wait_for_medium(descriptor: int) -> None:
    inside = turnstile.leave()
    try:
        os.fsync(descriptor)
    finally:
        if inside:
            turnstile.enter()


def create_folder(path: str) -> bool:
    """``path`` is a real folder (not a link to one); True if this call made it. Its parent must exist.

    Raises:
        OutsideTreeError: a link or a file stands there.
        OSError: with ``filename`` set.
    """
    try:
        check_folder(path)
        return False
    except FileNotFoundError:
        pass
    try:
        os.mkdir(path, 0o777)
        return True
    except FileExistsError:
        check_folder(path)
        return False


def create_folders(path: str) -> None:
    """``path`` and its missing parents are folders; existing parents may be links (a tree may live behind one)."""
    os.makedirs(path, 0o777, exist_ok=True)


def check_folder(path: str) -> None:
    """Returns if ``path`` is a folder and no link to one: through a link, writes would leave the tree.

    Raises:
        OutsideTreeError: a symbolic link or something else stands there.
        FileNotFoundError: nothing does.
    """
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a folder"
        raise OutsideTreeError(errno.ENOTDIR, "is %s; remove it, it is not followed" % kind, path)


def open_lock_file(path: str) -> int:
    """A descriptor of the lock file ``path``, which exists from now on and is never written to.

    Raises:
        OSError: with ``filename`` set; ELOOP if a symbolic link stands there.
    """
    return os.open(path, _LOCK_FILE, 0o666)


def name_temporary(folder: str) -> str:
    """The path of a temporary in ``folder`` that nobody else uses; nothing is made."""
    return "%s/%s%d" % (folder, _prefix, _next_serial())


def move(path: str, target: str) -> None:
    """What stood at ``path`` stands at ``target``; a folder goes with all that is in it.

    Raises:
        OSError: with ``filename`` set; ENOTEMPTY where a folder meets one that holds something. All is as it was.
    """
    try:
        os.replace(path, target)
    except OSError as error:
        _name_path(error, target)
        raise


def remove_file(path: str) -> None:
    """No file stands at ``path``. Raises OSError (with ``filename``) if one stays."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_folder(path: str) -> bool:
    """The empty folder ``path`` is gone; False if it was not empty, True also if there was none."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def remove_temporaries(folder: str, names: Iterable[str]) -> None:
    """Of ``names`` in ``folder``, the temporaries are gone. Only for the holder of the run's lock: nobody else's
    temporary can be in use there, so each one found is what a killed writer left."""
    for name in names:
        if name.startswith(TEMPORARY_PREFIX):
            # Sweeping is a courtesy: a folder of that name, or a foreign owner, must not stop the writer.
            _discard(os.path.join(folder, name), -1)
