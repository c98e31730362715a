"""An ext4 with a journal, in a file, mounted for as long as the bench needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import Iterator, List

from stress.bench.places import Ground, kind_of
from stress.children import CannotRun

#: Sparse: it takes what is written to it.
SIZE_BYTES = 8 << 30
#: 10,000 runs are 350,000 small files; by default there is one inode for 16 kB.
BYTES_PER_INODE = 8192


@contextmanager
def mounted_ext4() -> Iterator[Ground]:
    """A fresh ext4, mounted from an image beside the other temporary files; afterwards it is gone in any case.

    Raises:
        CannotRun: it cannot be made or mounted here; nothing is left.
    """
    folder = tempfile.mkdtemp(prefix="mini-mlflow-ext4-")
    image, point = os.path.join(folder, "image"), os.path.join(folder, "mounted")
    try:
        os.mkdir(point)
        with open(image, "wb") as file:
            file.truncate(SIZE_BYTES)
        # Without lazy initialisation, which writes to the image while others measure.
        inodes = ["-i", str(BYTES_PER_INODE)]
        _run(["mkfs.ext4", "-q", "-F", *inodes, "-E", "lazy_itable_init=0,lazy_journal_init=0", image])
        _run(["mount", "-o", "loop", image, point])
        try:
            kind = kind_of(point)
            yield Ground(point, kind, f"{kind} (loop image)")
        finally:
            _unmount(point)
    finally:
        # Not through a mount that would not go: removing the image's name is all that is left then.
        if os.path.ismount(point):
            os.unlink(image)
        else:
            shutil.rmtree(folder)


def _unmount(point: str) -> None:
    try:
        _run(["umount", point])
    except CannotRun:
        # Somebody stands in it: it goes when they do.
        _run(["umount", "--lazy", point])


def _run(command: List[str]) -> None:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise CannotRun(f"there is no {command[0]}")
    done = subprocess.run(
        [program] + command[1:],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        said = done.stdout.strip().splitlines() or [f"status {done.returncode}"]
        raise CannotRun(f"{command[0]}: {said[0]}")
