"""A file that is about to be replaced, kept so that it can be put back by one rename.

It gets a second name; where the file system knows no such thing (FAT, some network file systems) a copy is made. So
what can fail for want of space fails before anything is replaced, and bytes that were synced need no sync again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Callable, Iterator

from mini_mlflow.disk import atomic, in_place
from mini_mlflow.disk.regular import read_file


@contextmanager
def kept(folder: str, name: str, sync: bool) -> Iterator[Callable[[], None]]:
    """Within the block, what is yielded puts the file ``folder/name`` back as it is now, whatever stands there then.

    Args:
        sync: where a copy is made, it is on the medium before anything else happens.

    Raises:
        OSError: with ``filename`` set; nothing has changed. So does what is yielded: nothing was put back.
    """
    path, second = os.path.join(folder, name), atomic.name_temporary(folder)
    try:
        in_place.link_file(path, second)
    except (OSError, NotImplementedError, AttributeError):
        with atomic.staged(folder, name, read_file(path), sync) as copy:
            yield copy.publish
        return
    try:
        yield lambda: atomic.move(second, path)
    finally:
        # Also after a rename: it leaves both names where they are of one file, which nothing had replaced then.
        atomic.remove_temporaries(folder, (os.path.basename(second),))
