"""Replacing ``meta.yaml``. For the holder of the run's lock."""

from __future__ import annotations

from typing import Any, Dict

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import META
from mini_mlflow.formats.documents import dump_meta
from mini_mlflow.writing.open_runs import OpenRun


def replace_meta(run: OpenRun, meta: Dict[str, Any]) -> None:
    """``meta.yaml`` says ``meta``, and so does ``run.meta``, which is what it said before.

    Its bytes are on the medium before it stands, and at the level "always" its name once this returns.

    Raises:
        OSError: with ``filename`` set; it says what it said before.
    """
    before = run.meta
    atomic.write_file(run.paths.folder, META, dump_meta(meta), run.settings.fsync != "never")
    if run.settings.fsync == "always":
        try:
            atomic.sync_folder(run.paths.folder)
        except OSError:
            atomic.write_file(run.paths.folder, META, dump_meta(before), sync=True)
            raise
    run.meta = meta


def sync_way_down(run: OpenRun) -> None:
    """The names in the run's folder are on the medium, and all that lead to it. Raises OSError: they may not be."""
    for folder in run.paths.ancestors():
        atomic.sync_folder(folder)
