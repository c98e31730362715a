"""Folding: bringing ``params/``, ``metrics/`` and ``tags/`` up to date from the log. For the holder of the run's lock.

Each document carries the number of the last commit it holds, so folding twice, or dying half way, changes nothing.
Two ways: `refresh` rewrites documents and leaves the log alone; `fold` rewrites what is behind, seals what has grown
long, makes sure that all of it survives a power cut, and only then removes commits.

What must not be lost to a power cut, in the order in which it is done:

1. a sealed file is synced, and its folder, before a document relies on it;
2. a document that replaces another is synced before its rename;
3. documents that were created (a new name needs no sync then) are synced, and the folders of all of them,
4. before a commit or a merged sealed file is removed.

With ``fsync="never"`` nothing is synced and the order is all there is.

A rewind is a change of every metric. Each document takes it in at its turn, and from then on its number tells that it
has: so of a fold that dies half way, some documents have the rewind, the others find it in the log, which is not
removed before all of them have it. What it leaves visible is counted from the whole history, once.
"""

from __future__ import annotations

import os
import warnings
from typing import Dict, Iterable, List, Optional, Sequence, Set

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import METRICS, RunPaths, document_name, sealed_name
from mini_mlflow.disk.regular import exists, read_file, read_head
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, OutsideTreeError
from mini_mlflow.formats.commits import Change, ValueChange
from mini_mlflow.formats.documents import parse_value_document
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.points import to_sealed
from mini_mlflow.formats.rewinds import NewItem
from mini_mlflow.formats.tiers import SEAL_AT, Sealing, check_sealed, plan_sealing
from mini_mlflow.writing.durability import Durability
from mini_mlflow.writing.pending import REWOUND, Commits, Pending, Place, by_place, dump_value, place_of
from mini_mlflow.writing.seen import Seen
from mini_mlflow.writing.stored_metrics import bring_forward, list_keys, rebuild


class Folding:
    """The documents of one run, as this process knows them. Everything known is checked before it is relied on."""

    def __init__(self, paths: RunPaths, sync: bool, seen: Seen) -> None:
        self._paths = paths
        self._seen = seen
        self.durability = Durability(paths, sync)
        self._metrics: Dict[str, MetricDocument] = {}
        self._existing: Set[Place] = set()
        # The kinds whose folders are folders: through a link, writes would leave the tree.
        self._checked: Set[str] = set()

    def forget(self) -> None:
        """Nothing is known any more; what is needed is read again."""
        self._metrics.clear()
        self._existing.clear()
        self._checked.clear()
        self.durability.forget()

    def missing(self, changes: Iterable[Change]) -> Set[Place]:
        """The places of those changes that have no document yet; that of a rewind never has one."""
        known = self._existing
        return {place for place in map(place_of, changes) if place not in known and not self.exists(place)}

    def exists(self, place: Place) -> bool:
        """Whether there is such a document."""
        if place in self._existing:
            return True
        found = exists(self._paths.document(*place))
        if found:
            self._existing.add(place)
        return found

    def has_history(self, key: str) -> bool:
        """Whether sealed files may stand, also without a document that lists them: with "never", a power cut may keep
        the ones and not the other."""
        return exists(self._paths.history_folder(key))

    def may_be_new(self, place: Place) -> bool:
        """Whether a place that has no document may get one that holds its first value alone."""
        if place == REWOUND or self._paths.legacy_document(*place):
            # What 0.1.0 may have left under another name is for the folding to find.
            return False
        return place[0] != METRICS or not self.has_history(place[1])

    def check_folder(self, kind: str) -> None:
        """Returns if the folder of ``kind`` is one. Raises OutsideTreeError, or FileNotFoundError if there is none."""
        if kind not in self._checked:
            atomic.check_folder(self._paths.kind_folder(kind))
            self._checked.add(kind)

    def note_created(self, place: Place, in_new_folder: bool) -> None:
        """The document of ``place`` was made, by the commit of its first value."""
        self._existing.add(place)
        if in_new_folder:
            self.durability.note_new_folder(place[0])

    def create(self, commits: Commits, missing: Set[Place]) -> None:
        """The documents of ``missing``, none of which exists, are made and hold ``commits``."""
        for pending in by_place(commits, missing):
            (kind, key), (number, change) = pending.place, pending.changes[-1]
            if kind == METRICS and self.has_history(key):
                self._bring_up_metric(pending, seal=False)
            elif kind == METRICS:
                legacy = self._legacy_metric(key)
                document = bring_forward(self._paths, legacy, pending.items_after(None), number)
                self._write(pending.place, document.dump(), number, new=True)
                self._metrics[key] = document
            else:
                assert isinstance(change, ValueChange)
                self._write_value(change, number, new=True)

    def refresh(self, commits: Commits) -> None:
        """The documents hold ``commits``. Nothing is removed, no document is sealed."""
        for pending in by_place(commits, list_metrics=self._list_metrics):
            if pending.place[0] == METRICS:
                self._bring_up_metric(pending, seal=False)
            else:
                self._bring_up_value(pending)

    def fold(self, commits: Commits) -> List[str]:
        """All documents hold ``commits``, long ones are sealed, and all of that is on the medium.

        Returns:
            The sealed files that nobody needs any more, to be removed once the caller has no way back.
        """
        merged: List[str] = []
        touched: Set[str] = set()
        for pending in by_place(commits, list_metrics=self._list_metrics):
            if pending.place[0] == METRICS:
                merged += self._bring_up_metric(pending, seal=True)
            else:
                self._bring_up_value(pending)
            self.durability.sync_document(pending.place, self._version(pending.place))
            touched.add(pending.place[0])
        self.durability.sync_folders(touched)
        return merged

    # -- one document ------------------------------------------------------------------------------------------

    def _list_metrics(self) -> List[str]:
        return list_keys(self._paths)

    def _bring_up_metric(self, pending: Pending, seal: bool) -> List[str]:
        key, commit = pending.place[1], pending.changes[-1][0]
        known = self._current_metric(key)
        new: Sequence[NewItem] = pending.items_after(None if known is None else known.commit)
        lost = known is None
        if known is None:
            known, new = rebuild(self._paths, key, new)
        # Also where a rewind hides nothing: that it does not is found out but once.
        document = bring_forward(self._paths, known, new, commit) if new or lost else known
        if seal and self.is_long(document):
            return self._seal(document)
        if document is not known:
            self._write(pending.place, document.dump(), document.commit)
            self._metrics[key] = document
        return []

    def is_long(self, document: MetricDocument) -> bool:
        """Whether a fold seals what stands in it."""
        return document.count - document.sealed_count >= SEAL_AT

    def _bring_up_value(self, pending: Pending) -> None:
        number, change = pending.changes[-1]
        assert isinstance(change, ValueChange)
        if number > self._value_commit(pending.place):
            self._write_value(change, number, new=False)

    def _write_value(self, change: ValueChange, number: int, new: bool) -> None:
        data, meaning = dump_value(change, number)
        self._write((change.kind, change.key), data, number, new=new)
        self._seen.note(self._paths.document(change.kind, change.key), data, meaning)

    def _write(self, place: Place, data: bytes, commit: int, relied_on: bool = False, new: bool = False) -> None:
        kind, key = place
        folder, name = self._paths.kind_folder(kind), document_name(key)
        # A name that is new need not be synced yet, unless it is all that knows of points elsewhere.
        sync = self.durability.sync and (relied_on or (not new and self.exists(place)))
        try:
            self.check_folder(kind)
            atomic.write_file(folder, name, data, sync)
        except FileNotFoundError:
            atomic.create_folder(folder)
            self.durability.note_new_folder(kind)
            atomic.write_file(folder, name, data, sync)
        self._existing.add(place)
        if sync:
            self.durability.note(place, commit)

    def _version(self, place: Place) -> Optional[int]:
        document = self._metrics.get(place[1]) if place[0] == METRICS else None
        return None if document is None else document.commit

    def _value_commit(self, place: Place) -> int:
        path = self._paths.document(*place)
        try:
            return parse_value_document(read_file(path), path, place[1]).commit
        except FileNotFoundError:
            return -1
        except (DamagedFileError, OutsideTreeError):
            # It is about to be replaced by a value that is whole; a link is replaced itself.
            return -1

    def _current_metric(self, key: str) -> Optional[MetricDocument]:
        """The metric's document as it stands, None if it is damaged.

        What is remembered counts only if its first line is the file's.
        """
        path = self._paths.document(METRICS, key)
        known = self._metrics.get(key)
        try:
            if known is not None:
                line = known.first_line()
                if read_head(path, len(line)) == line:
                    return known
            document = parse_document(read_file(path), path, key)
        except FileNotFoundError as error:
            if not self.has_history(key):
                return self._legacy_metric(key)
            # Readers see the sealed files, so what comes after them must not start anew.
            damage: Exception = error
        except (DamagedFileError, OutsideTreeError) as error:
            damage = error
        else:
            self._metrics[key] = document
            return document
        warnings.warn("a metric's document is rebuilt: %s" % damage, DamagedFileWarning, stacklevel=2)
        return None

    def _legacy_metric(self, key: str) -> MetricDocument:
        """What 0.1.0 left of a metric whose file name it spelled differently; a blank document where it left none."""
        path = self._paths.legacy_document(METRICS, key)
        try:
            return parse_document(read_file(path), path, key) if path else MetricDocument(key)
        except (OSError, DamagedFileError):
            return MetricDocument(key)

    # -- sealing -----------------------------------------------------------------------------------------------

    def _seal(self, document: MetricDocument) -> List[str]:
        key = document.key
        plan = plan_sealing(document.sealed, document.count)
        sources = [self._paths.sealed(key, *pair) for pair in plan.merged]
        try:
            parts = [check_sealed(read_file(path), pair, path) for pair, path in zip(plan.merged, sources)]
        except (DamagedFileError, OSError) as error:
            # Merging is a convenience. The damaged file stays for whoever can mend it; this one is sealed alone.
            warnings.warn("sealed files are not merged: %s" % error, DamagedFileWarning, stacklevel=2)
            alone = (document.sealed_count, document.count - 1)
            plan, parts, sources = Sealing(alone, (), (*document.sealed, alone)), [], []
        place = (METRICS, key)
        if (self.durability.sync and not self.durability.knows(place)) or not exists(self._paths.document(*place)):
            # Else a power cut could leave the sealed file and no document at all. Or one has: with "never", it may also
            # have taken the folder that both are in.
            self._write(place, document.dump(), document.commit, relied_on=True)
        folder = self._paths.history_folder(key)
        if (atomic.create_folder(folder) or not document.sealed) and self.durability.sync:
            # The document's name, too. Also where the folder stood already: who made it may have been killed then.
            atomic.sync_folder(os.path.dirname(folder))
        data = b"".join([*parts, to_sealed(document.points)])
        atomic.write_file(folder, sealed_name(*plan.new), data, self.durability.sync)
        if self.durability.sync:
            atomic.sync_folder(folder)
        sealed = document._replace(sealed=plan.sealed, points=b"")
        try:
            self._write(place, sealed.dump(), sealed.commit, relied_on=True)
        except OSError:
            atomic.remove_file(self._paths.sealed(key, *plan.new))
            raise
        self._metrics[key] = sealed
        return sources

    def make_durable(self, places: Sequence[Place]) -> None:
        """The documents of these places are on the medium, and their names. Raises OSError: they may not be."""
        for place in places:
            self.durability.sync_document(place, self._version(place))
        if self.durability.sync:
            for kind in sorted({kind for kind, _ in places}):
                atomic.sync_folder(self._paths.kind_folder(kind))
