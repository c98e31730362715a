"""What the file system itself takes: bare system calls from Python, with a payload like that of one point."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Deque

PAYLOAD = b'{"value": 0.123456, "timestamp": "2026-11-23T07:15:10.123Z"}'
#: New names that stand before the oldest is removed: as many as commits may wait to be folded.
STANDING = 256


class ReplacingLoop:
    """Temporary file and rename over one and the same old file: the usual way to update a small file safely."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._temporary = str(folder / "temporary")
        self._target = str(folder / "target")

    def __call__(self) -> None:
        write_new(self._temporary)
        os.replace(self._temporary, self._target)


class NewNameLoop:
    """Temporary file and rename to a new name, and the removal of the one made 256 calls ago."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = str(folder)
        self._temporary = str(folder / "temporary")
        self._number = 0
        self._standing: Deque[str] = deque()

    def __call__(self) -> None:
        self._number += 1
        name = f"{self._folder}/{self._number}"
        write_new(self._temporary)
        os.replace(self._temporary, name)
        self._standing.append(name)
        if len(self._standing) > STANDING:
            os.unlink(self._standing.popleft())


class AppendLoop:
    """One write to the end of an open file: cheap, and torn by a kill, a full disk or a second writer."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._descriptor = os.open(str(folder / "lines"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def __call__(self) -> None:
        os.write(self._descriptor, PAYLOAD)

    def close(self) -> None:
        """No more calls; what is dropped unclosed is closed too."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def write_new(path: str) -> None:
    """The payload in a new file."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(descriptor, PAYLOAD)
    os.close(descriptor)
