"""What one process alone finds out about the file system of a tree and about itself, in a folder of the doctor's."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import Iterator, Optional

from mini_mlflow.disk import atomic, in_place
from mini_mlflow.disk.locks import FILELOCK_VERSION
from mini_mlflow.disk.mounts import Mount, find_mount
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import OutsideTreeError
from mini_mlflow.upkeep.diagnosis import FAILURE, OK, WARNING, Check

_LONG_NAME = "n" * 230 + ".history"
_LITTLE_BYTES, _NO_BYTES = 1 << 30, 1 << 22
_FEW_INODES, _FEW_DESCRIPTORS = 10_000, 256
_2020_S, _SKEW_S = 1577836800, 60.0
#: filelock versions that unlink the lock file on release: two processes hold "the" lock then.
_UNLINKING = ((3, 20, 4), (3, 29, 4))

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
_NO_LOCKS_ACROSS = "its locks exclude the processes of this host alone: let one host write to a run"
_NETWORK = {
    "nfs": "locks reach other hosts unless it is mounted with nolock or local_lock; a stat may be out of date",
    "cifs": "locks reach other hosts unless it is mounted with nobrl",
    "smb": "locks reach other hosts unless it is mounted with nobrl",
    "9p": _NO_LOCKS_ACROSS,
    "virtiofs": "locks reach other guests only if the host's daemon passes them on; else let one guest write to a run",
    "fuse.": _NO_LOCKS_ACROSS,
    "lustre": "locks reach other hosts only if it is mounted with flock, and not with localflock or noflock",
    "gpfs": "locks reach other hosts",
    "ceph": "locks reach other hosts",
    "afs": "locks reach other hosts, for whole files",
}
_LOCAL_LOCKS = frozenset("nolock nobrl localflock noflock local_lock=all local_lock=flock".split())


def check_versions() -> Iterator[Check]:
    python = "Python %d.%d.%d" % sys.version_info[:3]
    yield Check("python", OK, "%s, on %s" % (python, sys.platform))
    if not sys.platform.startswith("linux"):
        yield Check("platform", WARNING, "this library is tested under Linux alone")
    version = tuple(int(part) for part in FILELOCK_VERSION.split(".")[:3] if part.isdigit())
    if _UNLINKING[0] <= version <= _UNLINKING[1]:
        message = "filelock %s removes lock files that others wait for: install another version" % FILELOCK_VERSION
        yield Check("filelock", FAILURE, message)
    else:
        yield Check("filelock", OK, "filelock %s" % FILELOCK_VERSION)


def check_file_system(root: str) -> Iterator[Check]:
    mount = find_mount(root)
    if mount is None:
        yield Check("file system", OK, "this system does not tell which it is; what follows was tried out")
    elif mount.is_network:
        yield _check_network(mount)
    elif mount.kind in _IN_MEMORY:
        message = "%s keeps everything in memory: all of it is gone when the machine stops; copy what is to stay"
        yield Check("file system", WARNING, message % mount.kind)
    else:
        yield Check("file system", OK, "%s, of this host" % mount.kind)


def _check_network(mount: Mount) -> Check:
    meaning = next((text for name, text in _NETWORK.items() if mount.kind.startswith(name)), _NO_LOCKS_ACROSS)
    local = sorted(_LOCAL_LOCKS & set(mount.options.split(",")))
    if local:
        message = "%s, mounted with %s: %s" % (mount.kind, ", ".join(local), _NO_LOCKS_ACROSS)
        return Check("file system", FAILURE, message)
    return Check("file system", WARNING, "%s, a network file system: %s" % (mount.kind, meaning))


def check_syncing(folder: str) -> Iterator[Check]:
    atomic.write_file(folder, "synced", b"x", sync=True)
    started_s = time.perf_counter()
    atomic.sync_file(os.path.join(folder, "synced"))
    took_ms = (time.perf_counter() - started_s) * 1000.0
    yield Check("fsync of files", OK, "works; the second of one file took %.1f ms" % took_ms)
    if atomic.sync_folder(folder):
        yield Check("fsync of folders", OK, "works")
    else:
        message = "is not to be had here: what was written just before a power cut may be gone with its name"
        yield Check("fsync of folders", WARNING, message)


def check_names(folder: str) -> Iterator[Check]:
    atomic.write_file(folder, "case", b"x", sync=False)
    if os.path.lexists(os.path.join(folder, "CASE")):
        message = "upper and lower case are one here: metrics called Loss and loss would share a file; do not use both"
        yield Check("case of names", WARNING, message)
    else:
        yield Check("case of names", OK, "kept apart")
    atomic.write_file(folder, "caf\u00e9", b"x", sync=False)
    if os.path.lexists(os.path.join(folder, "cafe\u0301")) or "caf\u00e9" not in os.listdir(folder):
        message = "spellings of one letter are taken for the same: use keys in ASCII"
        yield Check("Unicode names", WARNING, message)
    else:
        yield Check("Unicode names", OK, "kept as they are")
    try:
        atomic.write_file(folder, _LONG_NAME, b"x", sync=False)
    except OSError as error:
        message = "a name of %d bytes is refused (%s): use keys of at most 100 bytes" % (
            len(_LONG_NAME),
            error.strerror,
        )
        yield Check("long names", WARNING, message)
    else:
        yield Check("long names", OK, "of %d bytes are taken" % len(_LONG_NAME))


def check_links(folder: str) -> Iterator[Check]:
    path = os.path.join(folder, "link")
    try:
        in_place.make_symbolic_link(path, "case")
    except (OSError, NotImplementedError):
        yield Check("links", OK, "cannot be made here, so none leads out of the tree")
        return
    try:
        read_file(path)
    except OutsideTreeError:
        yield Check("links", OK, "are told from files when they are opened")
    else:
        message = (
            "are followed (no O_NOFOLLOW): let nobody make links in the tree whom you would not let read your files"
        )
        yield Check("links", WARNING, message)


def check_listing(folder: str) -> Iterator[Check]:
    atomic.write_file(folder, "typed", b"x", sync=False)
    path = os.path.join(folder, "typed")
    with os.scandir(folder) as found:
        entry = next(entry for entry in found if entry.name == "typed")
    atomic.remove_file(path)
    # Once the file is gone, only the listing can have told what it was.
    if entry.is_file(follow_symlinks=False):
        yield Check("listings", OK, "tell files from folders")
    else:
        yield Check("listings", WARNING, "do not tell files from folders (no d_type): listing runs takes longer")


def check_modes(root: str, folder: str) -> Iterator[Check]:
    atomic.write_file(folder, "mode", b"x", sync=False)
    made = stat.S_IMODE(os.lstat(os.path.join(folder, "mode")).st_mode)
    above = os.stat(root).st_mode
    is_shared = above & stat.S_IWGRP and not above & stat.S_ISVTX
    if made & 0o600 != 0o600:
        message = "a new file has the mode %04o, which locks its owner out: set the umask to 022" % made
        yield Check("umask", FAILURE, message)
    elif is_shared and made & 0o060 != 0o060:
        message = "the group may write to the tree, but a new file has the mode %04o: set the umask to 002" % made
        yield Check("umask", WARNING, "%s, or others of the group cannot take your locks" % message)
    else:
        yield Check("umask", OK, "a new file has the mode %04o" % made)


def check_clock(folder: str) -> Iterator[Check]:
    now_s = time.time()
    atomic.write_file(folder, "clock", b"x", sync=False)
    skew_s = os.lstat(os.path.join(folder, "clock")).st_mtime - now_s
    if now_s < _2020_S:
        yield Check("clock", WARNING, "it says %s; set it, timestamps come from it" % time.strftime("%Y-%m-%d %H:%M"))
    elif abs(skew_s) > _SKEW_S:
        yield Check("clock", WARNING, "the file system's differs from this host's by %.0f s; set them" % skew_s)
    else:
        yield Check("clock", OK, "that of the file system agrees with this host's")


def check_room(folder: str) -> Iterator[Check]:
    if not hasattr(os, "statvfs"):
        return
    status = os.statvfs(folder)
    free_bytes = status.f_bavail * status.f_frsize
    verdict = FAILURE if free_bytes < _NO_BYTES else WARNING if free_bytes < _LITTLE_BYTES else OK
    yield Check("space", verdict, "%.1f GB are free" % (free_bytes / 1e9))
    if status.f_files:
        few = status.f_favail < _FEW_INODES
        message = "%d more files can be made; a run takes some dozens" % status.f_favail
        yield Check("files", WARNING if few else OK, message)


def check_descriptors() -> Iterator[Check]:
    limit = _read_limit()
    if limit is not None:
        message = "%d may be open at once; an open run takes two" % limit
        if limit < _FEW_DESCRIPTORS:
            yield Check("descriptors", WARNING, message + ": raise it with ulimit -n")
        else:
            yield Check("descriptors", OK, message)


def _read_limit() -> Optional[int]:
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
