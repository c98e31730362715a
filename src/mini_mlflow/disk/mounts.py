"""Which kind of file system a folder is on, so far as that changes what may be relied on."""

from __future__ import annotations

import os
from typing import Dict

#: Where a client may answer stat(2) from its cache, as named in /proc/self/mountinfo.
_NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph lustre gpfs beegfs glusterfs pvfs2 orangefs fuse.sshfs fuse.glusterfs "
    "fuse.ceph fuse.s3fs fuse.gcsfuse fuse.juicefs fuse.rclone virtiofs".split()
)

_known: Dict[str, bool] = {}


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
        with open("/proc/self/mountinfo", "rb") as mounts:
            lines = mounts.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return False
    number = "%d:%d" % (os.major(device), os.minor(device))
    for line in lines:
        fields = line.split(" ")
        if len(fields) > 6 and fields[2] == number and "-" in fields:
            return fields[fields.index("-") + 1] in _NETWORK_TYPES
    return False
