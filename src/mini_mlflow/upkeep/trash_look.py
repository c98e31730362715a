"""What stands in the trash, and what deleting leaves behind: runs, the times of their deletion, remains of a gc."""

from __future__ import annotations

import os
from typing import Iterator

from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from mini_mlflow.disk.layout import DELETION
from mini_mlflow.disk.regular import exists
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.deletions import parse_deletion
from mini_mlflow.upkeep.confirming import iter_confirmed
from mini_mlflow.upkeep.entries import iter_entries
from mini_mlflow.upkeep.findings import Finding, Look
from mini_mlflow.upkeep.run_look import RunLook


def look_at_deletion(look: RunLook) -> None:
    """A run in the trash says when it was deleted, and stands nowhere else; no other run says so."""
    path = look.paths.deletion
    if not look.is_deleted:
        if DELETION in look.names:
            message = "a deletion or a restore was cut short and left it; the run is not deleted, its end sweeps this"
            look.doubt(path, "deletion-left", message)
        return
    if not os.path.lexists(look.paths.folder):
        return
    if exists("%s/%d/%s/meta.yaml" % look.paths.address):
        message = "a run of the same id stands in the experiment; restoring this one is refused: move one of them away"
        look.doubt(look.paths.folder, "deleted-twice", message)
    data = look.read(path)
    try:
        if data is not None:
            parse_deletion(data, path)
        elif path not in look.refused:
            look.doubt(path, "deletion-time", "it is missing; gc goes by the time of the folder's last change instead")
    except DamagedFileError as error:
        message = "it %s; gc goes by the time of the folder's last change instead" % error.reason
        look.note(path, "deletion-time", message)


def iter_remains(look: Look, folder: str, lock: str, message: str) -> Iterator[Finding]:
    """The temporaries in ``folder`` that are nobody's work in progress, since the lock file ``lock`` was seen free."""

    def look_once() -> Look:
        one = Look(look.root)
        for entry in iter_entries(one, folder):
            if entry.name.startswith(TEMPORARY_PREFIX):
                one.doubt(entry.path, "remains", message)
        return one

    yield from iter_confirmed(look_once(), lock, look_once)
