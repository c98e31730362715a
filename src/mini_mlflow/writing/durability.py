"""What of a run's documents is on the medium, as far as this process knows. For the holder of the run's lock.

Who replaces a document syncs it before the rename; a document that is made under a new name need not be synced, since
it risks nothing old. So what is yet to be synced are new names: before a commit is removed that they hold, and when
somebody asks for it (`flush`). A name that was synced once stays, whoever replaces the document behind it.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional, Set

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import METRICS, RunPaths, document_stem
from mini_mlflow.disk.regular import list_folder
from mini_mlflow.formats.commits import VALUE_KINDS
from mini_mlflow.writing.pending import Place


class Durability:
    """One run's documents. ``sync`` False (fsync="never") makes every method do nothing.

    Attributes:
        named: for `new_files.publish`, the folders whose names it has synced. Whoever finds that others were at work
            clears it: who ends and resumes a run makes the log's folder anew.
    """

    def __init__(self, paths: RunPaths, sync: bool) -> None:
        self._paths = paths
        self.sync = sync
        # place -> commit number of the version that is known to be on the medium
        self._versions: Dict[Place, int] = {}
        self._names: Set[str] = set()
        self.named: Set[str] = set()
        # The kinds whose folders, and the way down to them, are on the medium.
        self._kinds: Set[str] = set()

    def forget(self) -> None:
        """Nothing is known any more."""
        self._versions.clear()
        self._names.clear()
        self.named.clear()
        self._kinds.clear()

    def note(self, place: Place, commit: int) -> None:
        """The document of ``place`` was synced, as it is at ``commit``."""
        self._versions[place] = commit

    def knows(self, place: Place) -> bool:
        """Whether some version of the document is known to be on the medium."""
        return place in self._versions

    def note_new_folder(self, kind: str) -> None:
        """The folder of ``kind`` was made."""
        self._kinds.discard(kind)

    def sync_document(self, place: Place, commit: Optional[int]) -> None:
        """The document of ``place`` is on the medium, as it is at ``commit`` (None: however it is now).

        Raises:
            OSError: it may not be.
        """
        if self.sync and (commit is None or self._versions.get(place) != commit):
            path = self._paths.document(*place)
            atomic.sync_file(path)
            self._names.add(path)
            if commit is not None:
                self._versions[place] = commit

    def sync_all(self) -> None:
        """Every document is on the medium, whoever made it. Raises OSError: not all may be."""
        if not self.sync:
            return
        touched = set()
        for kind in (*VALUE_KINDS, METRICS):
            folder = self._paths.kind_folder(kind)
            for name in list_folder(folder):
                path = "%s/%s" % (folder, name)
                if document_stem(name) is not None and path not in self._names:
                    atomic.sync_file(path)
                    self._names.add(path)
                    touched.add(kind)
        self.sync_folders(touched)

    def sync_folders(self, kinds: Iterable[str]) -> None:
        """The names of the documents of ``kinds`` are on the medium, and the way down to them.

        Raises:
            OSError: they may not be.
        """
        if not self.sync:
            return
        wanted = set(kinds)
        for kind in sorted(wanted):
            atomic.sync_folder(self._paths.kind_folder(kind))
        # Each kind for itself: another process may have made the folder of one since.
        if not wanted <= self._kinds:
            self._sync_run()
            self._kinds |= wanted

    def sync_way_to(self, kind: str) -> None:
        """What leads to the folder of ``kind`` is on the medium, from the run's own folder upwards. Raises OSError."""
        if self.sync and kind not in self._kinds:
            self._sync_run()
            self._kinds.add(kind)

    def _sync_run(self) -> None:
        # What makes the folder a run, and leads to it: without these, a power cut takes what is in it along.
        # meta.yaml was a new name, and need not have been synced until now.
        if self.sync:
            atomic.sync_file(self._paths.meta)
            for folder in self._paths.ancestors():
                atomic.sync_folder(folder)
