"""Files that belong to no run of ours and stand in the tree all the same: artifacts of MLflow's models and traces.

They stand where MLflow looks for them, in ``<experiment>/models/<id>/artifacts`` and the same with ``traces``. No lock
guards these folders and no reader of ours goes there. Each file appears whole, by one rename, so a copy that was cut
short may be repeated; what a kill leaves is a ``.tmp-*`` file, which the next call for that folder sweeps.
"""

from __future__ import annotations

import os
from typing import Iterable, List, Tuple

from mini_mlflow.disk import atomic, copying
from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.disk.regular import list_folder


def bring_files(root: str, place: str, files: Iterable[Tuple[str, str]], link: bool, sync: bool) -> int:
    """Each file stands below the folder ``place`` of the tree.

    Only one caller at a time may be at work in one place.

    Args:
        root: the tree.
        place: names with "/" between them, made where they are missing; no link is followed on the way.
        files: ``(path, name)``: a regular file or a link to one, and where it goes, relative to ``place``.
        link: by a second name, where the file system can do that.
        sync: what was brought survives a power cut.

    Returns:
        How many of the files are second names.

    Raises:
        InvalidPathError, OutsideTreeError, OSError: those before stand whole, this one not at all.
    """
    linked = 0
    swept = set()
    for path, name in files:
        folder = _make_way(root, "%s/%s" % (place, check_artifact_path(name, "the name of a file")))
        if folder not in swept:
            swept.add(folder)
            atomic.remove_temporaries(folder, list_folder(folder))
        temporary = atomic.name_temporary(folder)
        try:
            linked += copying.link_or_copy(path, temporary, link, lambda _: None)
            if sync:
                atomic.sync_file(temporary)
            atomic.move(temporary, "%s/%s" % (folder, os.path.basename(name)))
        except BaseException:
            atomic.remove_temporaries(folder, [os.path.basename(temporary)])
            raise
    for folder in swept if sync else ():
        atomic.sync_folder(folder)
    return linked


def _make_way(root: str, path: str) -> str:
    """The folder in which ``path``, relative to the tree, is to stand."""
    folder = root
    names: List[str] = path.split("/")[:-1]
    for name in names:
        folder = "%s/%s" % (folder, name)
        atomic.create_folder(folder)
    return folder
