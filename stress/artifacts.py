"""What a planned call logs as artifacts, and how to tell that it is there, whole.

A call of kind `FILE` logs a text, one of kind `FOLDER` a folder of a few files: half of them to a folder of their own,
which then appears as a whole, and half to one that other threads log to as well, which then is merged. The texts
follow from the call's value, as all else does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from mini_mlflow import ExperimentTracker
from stress.points import decode

FILE = "artifact"
FOLDER = "artifacts"
#: Files that one folder brings.
FILES = 3
#: So many sequence numbers of each thread go to one shared folder: each merge costs a link for every file there.
SHARED_FOR = 400

#: Path of an artifact to the hash of its bytes.
Hashes = Dict[str, str]


class Logged(NamedTuple):
    """What one call logs: the texts by path, all of them below ``folder`` ("": at the top)."""

    folder: str
    texts: Dict[str, str]

    def hashes(self) -> Hashes:
        """What must be found."""
        return {path: hash_bytes(text.encode()) for path, text in self.texts.items()}


def plan_artifacts(kind: str, value: float) -> Logged:
    """What a call of that kind with that value logs."""
    origin = decode(value)
    assert origin is not None
    name = f"{origin.writer}-{origin.thread}-{origin.sequence}"
    if kind == FILE:
        return Logged("", {f"texts/{name}.txt": make_text(value, 0)})
    folder = f"shared/{origin.sequence // SHARED_FOR}" if origin.sequence % 2 else f"folders/{name}"
    return Logged(folder, {f"{folder}/{number}/{name}.txt": make_text(value, number) for number in range(FILES)})


def make_text(value: float, number: int) -> str:
    """Long enough at times for a file to take several blocks."""
    return f"{value!r} {number}\n" * (int(value) % 997)


def hash_bytes(data: bytes) -> str:
    """What stands for the bytes in the evidence."""
    return hashlib.sha1(data).hexdigest()


def log_artifacts(kind: str, value: float, target: Any, sources: Path) -> None:
    """Makes the planned call, on a Run or on the package itself.

    Args:
        sources: a folder for the user's side of a copy.
    """
    logged = plan_artifacts(kind, value)
    if kind == FILE:
        ((path, text),) = logged.texts.items()
        target.log_text(text, path)
        return
    source = sources / f"{value:.0f}"
    # A call that was refused is made again.
    if not source.exists():
        for path, text in logged.texts.items():
            file = source / os.path.relpath(path, logged.folder)
            file.parent.mkdir(parents=True)
            file.write_text(text)
    target.log_artifacts(source, logged.folder)
    shutil.rmtree(str(source))


def read_artifacts(tracker: ExperimentTracker, run_id: str) -> Hashes:
    """All artifacts of a run, as the library lists them."""
    found: Hashes = {}
    waiting: List[Any] = [None]
    while waiting:
        for info in tracker.list_artifacts(run_id, waiting.pop()):
            if info.is_dir:
                waiting.append(info.path)
            else:
                found[info.path] = hash_bytes(Path(tracker.artifact_path(run_id, info.path)).read_bytes())
    return found
