"""Whether the place where a tree stands does what the guarantees need: tried out there, not looked up.

`doctor` works in a folder of its own in the tree, ``.tmp-doctor-…``, with a second process, and takes both away again,
also when something fails. Should it be killed, `upkeep.verify` tells of the folder, and a repair removes it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import DOCTOR, DOCTOR_LOCK, resolve_root
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.errors import MiniMlflowError
from mini_mlflow.upkeep import place_checks
from mini_mlflow.upkeep.diagnosis import FAILURE, WARNING, Check, Diagnosis, conclude
from mini_mlflow.upkeep.pair_checks import check_in_pairs

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def doctor(runs_dir: Any) -> Diagnosis:
    """What was found out about the folder ``runs_dir``, which need not be a tree yet; in seconds, a minute at most.

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: there is no such folder, or it cannot be listed.
        InvalidTypeError, InvalidValueError: not a path.
    """
    root = resolve_root(runs_dir)
    with os.scandir(root):
        pass
    checks = [*place_checks.check_versions(), *place_checks.check_file_system(root)]
    try:
        with _folder_in(root) as folder:
            checks += _check_in(root, folder)
    except OSError as error:
        checks.append(_explain(error))
    return conclude(root, [*checks, *place_checks.check_descriptors()])


def _explain(error: OSError) -> Check:
    if error.errno in _READ_ONLY:
        message = "nothing can be written here (%s): runs can be read, and none can be made" % error.strerror
        return Check("writing", FAILURE, message)
    if error.errno in _FULL:
        return Check("writing", FAILURE, "it is full (%s): make room before a run is started" % error.strerror)
    return Check("writing", FAILURE, "the system refuses it: %s" % error)


@contextmanager
def _folder_in(root: str) -> Iterator[str]:
    """A folder in ``root`` whose lock is held; it is gone after the block. Raises OSError: there is none."""
    folder = os.path.join(root, DOCTOR + os.urandom(6).hex())
    lock = KeptLock(os.path.join(folder, DOCTOR_LOCK))
    try:
        lock.try_acquire()
        yield folder
    finally:
        # Before it is removed: a network file system keeps a file that is open under another name.
        lock.close()
        _remove(folder)


def _remove(folder: str) -> None:
    for name in list_folder(folder):
        path = os.path.join(folder, name)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            _remove(path)
        else:
            atomic.remove_file(path)
    atomic.remove_folder(folder)


def _check_in(root: str, folder: str) -> List[Check]:
    checks: List[Check] = []
    found: List[Callable[[], Iterator[Check]]] = [
        lambda: check_in_pairs(folder),
        lambda: place_checks.check_syncing(folder),
        lambda: place_checks.check_names(folder),
        lambda: place_checks.check_links(folder),
        lambda: place_checks.check_listing(folder),
        lambda: place_checks.check_modes(root, folder),
        lambda: place_checks.check_clock(folder),
        lambda: place_checks.check_room(folder),
    ]
    for check in found:
        try:
            checks += check()
        except (OSError, MiniMlflowError) as error:
            checks.append(_explain(error) if isinstance(error, OSError) else Check("writing", WARNING, str(error)))
    return checks
