"""A real small file system that fills up, again and again."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Callable, Iterator, List

from stress.acknowledgements import count_acknowledged
from stress.children import CannotTake, Child, Children
from stress.evidence import Evidence
from stress.place import Place
from stress.scenarios.setting import GRACE_S, Setting

RUN_ID = "shared"
#: The disk must be full because of the filler, never of what the writers leave: then no room could be made. An ended
#: run of a few dozen calls takes a page a file, some 70 KB, so threads with runs of their own rest between calls.
SIZE_MB_AT_LEAST, MB_A_SECOND = 48, 5
PAUSE_S = 0.01
CHUNK = b"\0" * (256 * 1024)
#: So many calls are refused before there is room again: by then each thread has met the full disk in some call.
REFUSALS_A_FILL = 30
#: So many calls are acknowledged before the disk is filled again.
CALLS_A_FILL = 200


def full_disk(setting: Setting) -> Evidence:
    """Writers fill a disk and are refused; room is made, and they go on with the same handles; again and again."""
    evidence = Evidence()
    with small_disk(setting.place, SIZE_MB_AT_LEAST + int(setting.seconds * MB_A_SECOND)):
        begun = time.monotonic()
        with setting.owned_run(RUN_ID, evidence), Children(setting.place) as children:
            tasks = [setting.work(n, RUN_ID if n % 2 == 0 else None) for n in range(setting.processes)]
            tasks = [replace(task, full_disk=True, pause_s=0.0 if task.run_id else PAUSE_S) for task in tasks]
            started = [setting.start_writer(children, task) for task in tasks]
            filler = Filler(setting, started)
            filler.fill_and_free(begun + setting.seconds)
            setting.gather_writers(started, evidence)
        evidence.seconds = time.monotonic() - begun
        evidence.notes.append(f"{setting.place.count_refusals():,} calls refused by a disk filled {filler.fills} times")
        return setting.read_back(evidence)


class Filler:
    """A file that takes what room there is, and gives it back."""

    def __init__(self, setting: Setting, writers: List[Child]) -> None:
        self.fills = 0
        self._setting = setting
        self._place = setting.place
        self._writers = writers
        self._path = setting.place.tree / "filler"

    def fill_and_free(self, deadline: float) -> None:
        """Until the time is up, and once at least, while any writer writes."""
        while not self.fills or time.monotonic() < deadline:
            self._wait(self._count_acknowledged, CALLS_A_FILL)
            if self._all_ended():
                return
            with self._path.open("ab", buffering=0) as file:
                self._wait(partial(self._fill, file.fileno()), REFUSALS_A_FILL)
            self._path.unlink()
            self.fills += 1

    def _all_ended(self) -> bool:
        return all(writer.ended() for writer in self._writers)

    def _count_acknowledged(self) -> int:
        return count_acknowledged(self._place.acknowledgements)

    def _fill(self, descriptor: int) -> int:
        """Take what room is left or was freed since; how many calls have been refused so far."""
        size = len(CHUNK)
        while size >= 1024:
            try:
                os.write(descriptor, CHUNK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
        return self._place.count_refusals()

    def _wait(self, count: Callable[[], int], more: int) -> None:
        """Wait until the count has grown by ``more``, or nobody is left who could make it grow."""
        # Writers that hang are told as such by those who wait for their end.
        enough, limit = count() + more, time.monotonic() + GRACE_S / 4
        while count() < enough and time.monotonic() < limit and not self._all_ended():
            self._setting.tick()
            time.sleep(0.002)


@contextmanager
def small_disk(place: Place, size_mb: int) -> Iterator[None]:
    """The tree stands on a file system of that size within the block, and its content in its place afterwards.

    Raises:
        CannotTake: this user may not mount one.
    """
    tree = str(place.tree)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "mini_mlflow-stress", tree]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise CannotTake(f"cannot mount a small file system: {error}") from None
    if done.returncode:
        raise CannotTake(f"cannot mount a small file system: {done.stdout.decode(errors='replace').strip()}")
    copy = place.folder / "copy"
    try:
        yield
    finally:
        try:
            shutil.copytree(tree, str(copy))
        finally:
            subprocess.run(["umount", "--lazy", tree], check=True)
    place.tree.rmdir()
    os.replace(str(copy), tree)
