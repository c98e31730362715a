"""Which kind of file system a folder is on, so far as that changes what may be relied on."""

from __future__ import annotations

import os
import re
from typing import Dict, Iterator, NamedTuple, Optional

#: Where a client may answer stat(2) from its cache, as named in /proc/self/mountinfo.
_NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph lustre gpfs beegfs glusterfs pvfs2 orangefs fuse.sshfs fuse.glusterfs "
    "fuse.ceph fuse.s3fs fuse.gcsfuse fuse.juicefs fuse.rclone virtiofs".split()
)

_known: Dict[str, bool] = {}
_MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of ``/proc/self/mountinfo``.

    Attributes:
        device: major and minor number, ``8:1``.
        point: where it is mounted.
        kind: the file system's type, ``ext4``.
        options: all of its options.
    """

    device: str
    point: str
    kind: str
    options: str

    @property
    def is_network(self) -> bool:
        """Whether other hosts change the file system too."""
        return self.kind in _NETWORK_TYPES


def is_network_file_system(path: str) -> bool:
    """True if ``path`` is on a file system that other hosts change too; False also where the system does not tell.

    Linux only: the mount is found by its device number in ``/proc/self/mountinfo`` (proc(5)). Asked once a path.
    """
    if path not in _known:
        _known[path] = _look_up(path)
    return _known[path]


def _look_up(path: str) -> bool:
    try:
        device = os.stat(path).st_dev
        mounts = list(_iter_mounts())
    except OSError:
        return False
    number = "%d:%d" % (os.major(device), os.minor(device))
    return next((mount.is_network for mount in mounts if mount.device == number), False)


def find_mount(path: str) -> Optional[Mount]:
    """The mount that ``path`` is on; None where the system does not tell."""
    real = os.path.realpath(path)
    try:
        mounts = [mount for mount in _iter_mounts() if (real + "/").startswith(mount.point.rstrip("/") + "/")]
    except OSError:
        return None
    # Of several at one place, the last is on top.
    return max(enumerate(mounts), key=lambda pair: (len(pair[1].point), pair[0]))[1] if mounts else None


def _iter_mounts() -> Iterator[Mount]:
    with open(_MOUNTS, "rb") as file:
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in lines:
        fields = line.split(" ")
        if len(fields) > 6 and "-" in fields:
            rest = fields[fields.index("-") + 1 :]
            point = _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), fields[4])
            yield Mount(fields[2], point, rest[0], ",".join([fields[5], *rest[2:]]))
