"""Where a repair puts what it cannot read, does not know or is about to replace: it deletes nothing that may hold data.

``.quarantine/<time>-<n>/<path in the tree>``, one such folder a repair, made when the first file goes there. It is in
the tree's own file system, so a rename puts whole folders there, and a link keeps a file that a rename is about to
replace. Nobody reads it: whoever made sure that nothing is missing may remove it.
"""

from __future__ import annotations

import os
import time
from typing import List

from mini_mlflow.disk import atomic, in_place
from mini_mlflow.disk.layout import QUARANTINE
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import OutsideTreeError


class Quarantine:
    """The folder of one repair.

    Args:
        root: the tree.
        sync: what is put there is on the medium before anything is done to its original.
    """

    def __init__(self, root: str, sync: bool) -> None:
        self._root = root
        self._sync = sync
        self._folder = ""
        self._made: List[str] = []

    def move(self, path: str) -> str:
        """What stood at ``path``, of whatever kind, stands in the quarantine.

        Returns:
            Where, relative to the tree.

        Raises:
            OSError: with ``filename`` set; it stands where it stood, and no empty folder was left.
        """
        target = self._prepare(path)
        try:
            atomic.move(path, target)
            self._sync_way(target)
            if self._sync:
                atomic.sync_folder(os.path.dirname(path), missing_ok=True)
        except BaseException:
            self._undo()
            raise
        return os.path.relpath(target, self._root)

    def keep(self, path: str) -> str:
        """The regular file ``path`` stands in the quarantine too, as it is now. Returns and raises as `move`.

        A second name for the same bytes where the file system has such; so it must not be changed in place afterwards.
        """
        target = self._prepare(path)
        try:
            try:
                in_place.link_file(path, target)
            except FileNotFoundError:
                raise
            except OSError:
                self._write_copy(path, target)
            self._sync_way(target)
        except BaseException:
            self._undo()
            raise
        return os.path.relpath(target, self._root)

    def copy(self, path: str) -> str:
        """The same by a copy, for a file that is about to be changed in place."""
        target = self._prepare(path)
        try:
            self._write_copy(path, target)
            self._sync_way(target)
        except BaseException:
            self._undo()
            raise
        return os.path.relpath(target, self._root)

    def _write_copy(self, path: str, target: str) -> None:
        folder, name = os.path.split(target)
        atomic.write_file(folder, name, read_file(path), self._sync)

    def _prepare(self, path: str) -> str:
        """The place for ``path``, where nothing stands, in a folder that does."""
        self._made = []
        relative = os.path.relpath(path, self._root)
        try:
            while True:
                if not self._folder:
                    self._folder = self._make_folder()
                target = os.path.join(self._folder, relative)
                try:
                    self._make_parents(relative)
                except OutsideTreeError:
                    # A file that was moved here before stands where this one's folder should.
                    self._folder = ""
                    continue
                if not os.path.lexists(target):
                    return target
                self._folder = ""
        except BaseException:
            self._undo()
            raise

    def _make_folder(self) -> str:
        quarantine = os.path.join(self._root, QUARANTINE)
        self._create(quarantine)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        number = 1
        # mkdir(2) tells who made it: two repairs never share one.
        while not self._create(os.path.join(quarantine, "%s-%d" % (moment, number))):
            number += 1
        return os.path.join(quarantine, "%s-%d" % (moment, number))

    def _make_parents(self, relative: str) -> None:
        folder = self._folder
        for part in relative.split(os.sep)[:-1]:
            folder = os.path.join(folder, part)
            self._create(folder)

    def _create(self, folder: str) -> bool:
        made = atomic.create_folder(folder)
        if made:
            self._made.append(folder)
        return made

    def _sync_way(self, target: str) -> None:
        if self._sync:
            for folder in [target, *reversed(self._made)]:
                atomic.sync_folder(os.path.dirname(folder))

    def _undo(self) -> None:
        """Of the folders that were made for nothing, none is left."""
        for folder in reversed(self._made):
            try:
                if not atomic.remove_folder(folder):
                    break
            except OSError:
                break
            if folder == self._folder:
                self._folder = ""
