"""The artifacts of a run as a look finds them: whatever their names and bytes, files and folders that can be read."""

from __future__ import annotations

import stat

from mini_mlflow.upkeep.entries import is_file, is_folder, iter_entries
from mini_mlflow.upkeep.run_look import RunLook


def look_at_artifacts(look: RunLook) -> None:
    """Every artifact is a regular file or a folder; readers show no other, and no writer replaces one."""
    waiting = [look.paths.artifacts]
    while waiting:
        for entry in iter_entries(look, waiting.pop()):
            if not stat.S_ISDIR(entry.mode):
                is_file(look, entry)
            elif is_folder(look, entry):
                waiting.append(entry.path)
