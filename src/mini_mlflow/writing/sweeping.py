"""What killed and interrupted writers leave in a run's folders, swept by the next one that ends the run."""

from __future__ import annotations

import os

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import DELETION, METRICS, PARAMS, TAGS, RunPaths, document_of_history, sealed_range
from mini_mlflow.disk.regular import list_folder, read_file
from mini_mlflow.errors import DamagedFileError, OutsideTreeError
from mini_mlflow.formats.history import parse_first_line
from mini_mlflow.writing.staging import sweep_stagings


def sweep(paths: RunPaths) -> None:
    """Temporaries are gone, and sealed files that no document lists; what is being copied stays. Under the run's lock.

    Raises:
        OSError: a folder cannot be listed; what was found until then is gone.
    """
    sweep_stagings(paths)
    names = list_folder(paths.folder)
    atomic.remove_temporaries(paths.folder, names)
    if DELETION in names:
        # Of a deletion that did not come about, or of a restore that was cut short.
        atomic.remove_file(paths.deletion)
    for kind in (PARAMS, METRICS, TAGS):
        folder = paths.kind_folder(kind)
        names = list_folder(folder)
        atomic.remove_temporaries(folder, names)
        for name in names if kind == METRICS else ():
            document = document_of_history(name)
            if document is not None:
                _sweep_history(os.path.join(folder, name), os.path.join(folder, document))


def _sweep_history(folder: str, document_path: str) -> None:
    names = list_folder(folder)
    atomic.remove_temporaries(folder, names)
    try:
        document = parse_first_line(read_file(document_path), document_path, "")
    except (DamagedFileError, OutsideTreeError, FileNotFoundError):
        # Then the sealed files are all there is.
        return
    listed = {"%d-%d" % pair for pair in document.sealed}
    for name in names:
        text = sealed_range(name)
        if text and text not in listed:
            atomic.remove_file(os.path.join(folder, name))
