"""What a batch becomes: one new file, which one rename gives its name. For the holder of the run's lock.

Most batches are a commit of the log. A single change to a key that has no document needs none: its document is made
at once, whole, and is the commit. It costs one new file where a commit and its document would cost two, and nothing
is left to fold or to remove. Its rename is as atomic, and risks nothing old either.

Where a file must survive a power cut, it is synced after its rename, and then its folder: a journal that takes the
file takes its new name along, so both cost one wait (fsync before the rename, and the folder's after it, are two). A
cut in between may leave a torn file under the name. Nobody has been told of it, and readers pass over it.

Such a document claims the number of the last commit, and takes no number itself. That is right exactly if no commit
that waits to be folded holds a change of its key (who plans it makes sure of that, under the lock): then it holds all
that was logged for the key up to that number, and every later commit has a higher one. Who knows the log's numbers
need not learn of it.
"""

from __future__ import annotations

import os
from typing import Any, List, NamedTuple, Optional, Set

from mini_mlflow.disk import atomic
from mini_mlflow.disk.regular import read_file
from mini_mlflow.formats.commits import Change
from mini_mlflow.writing.operations import Submission


class NewFile(NamedTuple):
    """A file in the making; whole before it is made, so that whoever comes next can finish it.

    Attributes:
        folder, name: where it will stand; nothing stands there when it is planned.
        data: all of its bytes.
        batch, changes: what it holds.
        number: the commit's number; None if it is a document.
        meaning: what the document says; None if it is a commit.
    """

    folder: str
    name: str
    data: bytes
    batch: List[Submission]
    changes: List[Change]
    number: Optional[int] = None
    meaning: Any = None

    @property
    def path(self) -> str:
        return "%s/%s" % (self.folder, self.name)

    def stands(self) -> bool:
        """Whether it has been made, and not been changed since."""
        try:
            return read_file(self.path) == self.data
        except OSError:
            return False


def publish(folder: str, name: str, data: bytes, named: Optional[Set[str]]) -> bool:
    """``folder/name`` stands. Twice gives the same file.

    Args:
        named: the folders whose own names are known to be on the medium, and then this one too: a power cut does not
            take the file. None: it may. (A fold that made the folder need not have synced its name, nor a process
            that was killed then, or that promises less.)

    Returns:
        True if the folder was missing: it was made, in a run's folder that is there.

    Raises:
        OSError: with ``filename`` set; the file does not stand.
    """
    made = False
    try:
        atomic.write_file(folder, name, data, sync=False)
    except FileNotFoundError:
        # The first of its kind. A run that was deleted has no folder either: then this fails as it should.
        made = atomic.create_folder(folder)
        atomic.write_file(folder, name, data, sync=False)
    if named is not None:
        path = "%s/%s" % (folder, name)
        try:
            atomic.sync_file(path)
            atomic.sync_folder(folder)
            if made or folder not in named:
                atomic.sync_folder(os.path.dirname(folder))
                named.add(folder)
        except OSError:
            # The caller is told that nothing was stored, so nothing may be.
            atomic.remove_file(path)
            raise
    return made


def try_to_make_durable(file: NewFile) -> Optional[OSError]:
    """``file``, which stands, is on the medium, and its name; else the error that says why not."""
    try:
        atomic.sync_file(file.path)
        for folder in (file.folder, os.path.dirname(file.folder)):
            atomic.sync_folder(folder)
    except OSError as error:
        return error
    return None
