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
"""

from __future__ import annotations

import os
import warnings
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import METRICS, RunPaths, sealed_name, sealed_range
from mini_mlflow.disk.regular import exists, list_folder, read_file, read_head
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, OutsideTreeError
from mini_mlflow.formats.commits import Change, MetricChange, ValueChange
from mini_mlflow.formats.documents import dump_value_document, parse_value_document
from mini_mlflow.formats.history import (
    MetricDocument,
    parse_document,
    salvage_document,
)
from mini_mlflow.formats.points import NewPoint, as_new, drop_known, salvage_points, to_points, to_sealed
from mini_mlflow.formats.tiers import SEAL_AT, Sealing, check_sealed, join_ranges, plan_sealing

#: (folder, key): which document.
Place = Tuple[str, str]
Commits = Dict[int, Sequence[Change]]


class _Pending(NamedTuple):
    place: Place
    changes: List[Tuple[int, Change]]


class Folding:
    """The documents of one run, as this process knows them. Everything known is checked before it is relied on."""

    def __init__(self, paths: RunPaths, sync: bool) -> None:
        self._paths = paths
        self.sync = sync
        self._metrics: Dict[str, MetricDocument] = {}
        self._existing: Set[Place] = set()
        # place -> commit number of the version that this process knows to be on the medium
        self._synced: Dict[Place, int] = {}
        # kinds whose folders, and the way down to them, are on the medium
        self._kinds_synced: Set[str] = set()

    def forget(self) -> None:
        """Nothing is known any more; what is needed is read again."""
        self._metrics.clear()
        self._existing.clear()
        self._synced.clear()
        self._kinds_synced.clear()

    def missing(self, changes: Iterable[Change]) -> Set[Place]:
        """The places of those changes that have no document yet."""
        missing = set()
        for change in changes:
            place = place_of(change)
            if place not in self._existing and place not in missing:
                if exists(self._paths.document(*place)):
                    self._existing.add(place)
                else:
                    missing.add(place)
        return missing

    def refresh(self, commits: Commits, places: Optional[Set[Place]] = None) -> None:
        """The documents (of ``places``; None: all) hold ``commits``. Nothing is removed, no document is sealed."""
        for pending in _by_place(commits, places):
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
        for pending in _by_place(commits, None):
            if pending.place[0] == METRICS:
                merged += self._bring_up_metric(pending, seal=True)
            else:
                self._bring_up_value(pending)
            self._make_durable(pending.place)
            touched.add(pending.place[0])
        self._sync_folders(touched)
        return merged

    # -- one document ------------------------------------------------------------------------------------------

    def _bring_up_metric(self, pending: _Pending, seal: bool) -> List[str]:
        key = pending.place[1]
        known = self._current_metric(key)
        new: Sequence[NewPoint] = [
            (change.value, change.step, change.timestamp)
            for number, change in pending.changes
            if (known is None or number > known.commit) and isinstance(change, MetricChange)
        ]
        lost = known is None
        if known is None:
            known, new = self._rebuild(key, new)
        document = known.appended(new, pending.changes[-1][0]) if new or lost else known
        if seal and document.count - document.sealed_count >= SEAL_AT:
            return self._seal(document)
        if document is not known:
            self._write(pending.place, document.dump(), document.commit)
            self._metrics[key] = document
        return []

    def _bring_up_value(self, pending: _Pending) -> None:
        number, change = pending.changes[-1]
        assert isinstance(change, ValueChange)
        if number > self._value_commit(pending.place):
            data = dump_value_document(change.key, change.encoded, change.timestamp, number)
            self._write(pending.place, data, number)

    def _write(self, place: Place, data: bytes, commit: int, relied_on: bool = False) -> None:
        kind, key = place
        path = self._paths.document(kind, key)
        folder, name = os.path.split(path)
        # A name that is new need not be synced yet, unless it is all that knows of points elsewhere.
        sync = self.sync and (relied_on or place in self._existing or exists(path))
        try:
            atomic.check_folder(folder)
            atomic.write_file(folder, name, data, sync)
        except FileNotFoundError:
            atomic.create_folder(folder)
            self._kinds_synced.discard(kind)
            atomic.write_file(folder, name, data, sync)
        self._existing.add(place)
        if sync:
            self._synced[place] = commit

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
            if not exists(self._paths.history_folder(key)):
                return self._legacy_metric(key)
            # With "never", a power cut may have kept the sealed files and not what lists them. Readers see them.
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

    def _rebuild(self, key: str, new: Sequence[NewPoint]) -> Tuple[MetricDocument, Sequence[NewPoint]]:
        """What is left of a metric whose document is damaged, and what of ``new`` is not in it already.

        That is its sealed files, which stay as they are, and those of the document's points that can be read.
        """
        sealed = join_ranges(map(sealed_range, list_folder(self._paths.history_folder(key))))
        older: List[Point] = []
        for path in (self._paths.sealed(key, *pair) for pair in sealed):
            older += salvage_points(read_file(path), path)
        path = self._paths.document(METRICS, key)
        try:
            newer = drop_known(older, as_new(salvage_document(read_file(path), path)))
        except (FileNotFoundError, OutsideTreeError):
            newer = []
        all_points = MetricDocument(key).appended([*as_new(older), *newer], 0)
        count = sealed[-1][1] + 1 if sealed else 0
        document = MetricDocument(key, count=count, sealed=sealed).appended(newer, 0)
        document = document._replace(minimum=all_points.minimum, maximum=all_points.maximum, value=all_points.value)
        document = document._replace(step=all_points.step, timestamp=all_points.timestamp)
        return document, drop_known([*older, *to_points(newer, count)], new)

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
        if (self.sync and place not in self._synced) or not exists(self._paths.document(*place)):
            # Else a power cut could leave the sealed file and no document at all. Or one has: with "never", it may also
            # have taken the folder that both are in.
            self._write(place, document.dump(), document.commit, relied_on=True)
        folder = self._paths.history_folder(key)
        if (atomic.create_folder(folder) or not document.sealed) and self.sync:
            # The document's name, too. Also where the folder stood already: who made it may have been killed then.
            atomic.sync_folder(os.path.dirname(folder))
        data = b"".join([*parts, to_sealed(document.points)])
        atomic.write_file(folder, sealed_name(*plan.new), data, self.sync)
        if self.sync:
            atomic.sync_folder(folder)
        sealed = document._replace(sealed=plan.sealed, points=b"")
        try:
            self._write(place, sealed.dump(), sealed.commit, relied_on=True)
        except OSError:
            atomic.remove_file(self._paths.sealed(key, *plan.new))
            raise
        self._metrics[key] = sealed
        return sources

    # -- power cuts --------------------------------------------------------------------------------------------

    def _make_durable(self, place: Place) -> None:
        if self.sync:
            kind, key = place
            number = self._metrics[key].commit if kind == METRICS and key in self._metrics else None
            if number is None or self._synced.get(place) != number:
                atomic.sync_file(self._paths.document(kind, key))
                if number is not None:
                    self._synced[place] = number

    def make_histories_durable(self, keys: Sequence[str]) -> None:
        """The documents of these metrics are on the medium, and their names."""
        for key in keys:
            self._make_durable((METRICS, key))
        if keys:
            atomic.sync_folder(self._paths.kind_folder(METRICS))

    def _sync_folders(self, kinds: Set[str]) -> None:
        if not self.sync:
            return
        for kind in sorted(kinds):
            atomic.sync_folder(self._paths.kind_folder(kind))
        # Each kind for itself: another process may have made the folder of one since.
        if not kinds <= self._kinds_synced:
            # The way down to the documents, and what makes the folder a run: without these, a power cut takes the
            # documents with it. meta.yaml was a new name, and need not have been synced until now.
            atomic.sync_file(self._paths.meta)
            for folder in self._paths.ancestors():
                atomic.sync_folder(folder)
            self._kinds_synced |= kinds


def place_of(change: Change) -> Place:
    """The document that a change goes into."""
    return (METRICS, change.key) if isinstance(change, MetricChange) else (change.kind, change.key)


def _by_place(commits: Commits, places: Optional[Set[Place]]) -> List[_Pending]:
    found: Dict[Place, List[Tuple[int, Change]]] = {}
    for number in sorted(commits):
        for change in commits[number]:
            place = place_of(change)
            if places is None or place in places:
                found.setdefault(place, []).append((number, change))
    return [_Pending(place, changes) for place, changes in found.items()]
