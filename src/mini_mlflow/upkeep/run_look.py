"""One look at a run, in an order that a living writer cannot make contradict itself.

``meta.yaml`` and the snapshot first, for whether the run has ended; then the log, then the documents (what the log
says is in them, or will be as soon as the run's lock is free); then, if a document seems to be ahead of all,
``meta.yaml`` again. What rests on more than one of these reads is doubted, and is true if a second look finds it too
although the run's lock was free in between: every writer leaves the lock with the run in order, but for what it could
not do. `upkeep.verify` looks twice.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Hashable, Optional, Set, Tuple

from mini_mlflow.disk.keys import quote_key
from mini_mlflow.disk.layout import ARTIFACTS, DELETION, LOG, META, METRICS, PARAMS, SNAPSHOT, TAGS, RunPaths
from mini_mlflow.entities import END_STATUSES, FORMAT, RUNNING
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.documents import Snapshot, parse_meta
from mini_mlflow.upkeep.entries import is_file, is_folder, is_temporary, list_entries, note_foreign
from mini_mlflow.upkeep.findings import Look, identify

KINDS = (PARAMS, METRICS, TAGS)
_FIELDS = ("run_id", "experiment_id", "name", "version", "status", "start_time", "end_time")


class RunLook(Look):
    """One look at one run, and what its parts have seen so far.

    Attributes:
        deep: sealed files are read. False for a second look, which is after doubts alone.
        names: what stands in the run's folder.
        is_run: False for a folder that holds other things, and nothing of a run.
        is_known: this version knows the run's format.
        meta: what ``meta.yaml`` says; {} if it cannot be read.
        snapshot: None if there is none, or none that is whole.
        stamp: tells this life of the run from the one after the next end or resume.
        commits: kind and key to the number of the last commit in the log that changes it.
        rewound: the number of the last commit in the log that rewinds the run; 0 if none does.
        highest: the highest number in the log; 0 if it is empty.
        documents: kind and key to what the document says, without points.
        unread: the quoted keys, by kind, of the documents that cannot be read.
    """

    def __init__(self, paths: RunPaths, deep: bool) -> None:
        super().__init__(paths.address.root)
        self.paths = paths
        self.deep = deep
        self.names: Set[str] = set()
        self.is_run = True
        self.is_known = True
        self.meta: Dict[str, Any] = {}
        self.snapshot: Optional[Snapshot] = None
        self.stamp: Tuple[Hashable, ...] = (identify(paths.meta), identify(paths.snapshot))
        self.commits: Dict[Tuple[str, str], int] = {}
        self.rewound = 0
        self.highest = 0
        self.documents: Dict[Tuple[str, str], Any] = {}
        self.unread: Set[Tuple[str, str]] = set()

    @property
    def has_ended(self) -> bool:
        """As writers and readers see it: what has a snapshot has ended, whatever its ``meta.yaml`` says."""
        return SNAPSHOT in self.names or self.meta.get("status") in END_STATUSES

    @property
    def is_deleted(self) -> bool:
        """It stands in the trash."""
        return self.paths.folder == self.paths.trashed

    @property
    def is_of_0_1_0(self) -> bool:
        return "format" not in self.meta

    def is_unread(self, kind: str, key: str) -> bool:
        """Whether the key may have a document that could not be read."""
        is_hidden = self.paths.kind_folder(kind) in self.refused
        return is_hidden or not self.unread.isdisjoint({(kind, key), (kind, quote_key(key))})


def look_at_entries(look: RunLook) -> Set[str]:
    """The run's folder holds what belongs there. Returns the names of the parts that are of the right kind."""
    parts, foreign = set(), []
    for entry in list_entries(look, look.paths.folder):
        if entry.name not in (META, SNAPSHOT, DELETION, LOG, ARTIFACTS, *KINDS):
            if not is_temporary(look, entry):
                foreign.append(entry)
            continue
        look.names.add(entry.name)
        if is_file(look, entry) if entry.name in (META, SNAPSHOT, DELETION) else is_folder(look, entry):
            parts.add(entry.name)
    look.is_run = bool(look.names or not foreign)
    if look.is_run:
        for entry in foreign:
            note_foreign(look, entry, "a run's folder")
    return parts


def look_at_meta(look: RunLook) -> None:
    """``meta.yaml`` is there, is whole, and says what it must."""
    path = look.paths.meta
    data = look.read(path)
    if data is None:
        if META not in look.names:
            _doubt_missing_meta(look)
        return
    try:
        meta = look.meta = parse_meta(data, path)
    except DamagedFileError as error:
        look.note(path, "torn-meta", "it %s; the run does not show: write it anew from snapshot.json" % error.reason)
        return
    missing = [name for name in _FIELDS if name not in meta]
    if missing:
        look.note(path, "meta-fields", "it lacks %s; add what is missing, null if nothing else" % ", ".join(missing))
    _check_names(look, meta)
    status = meta.get("status", RUNNING)
    if status not in (RUNNING, *END_STATUSES):
        message = "its status is %.80r; set it to one of %s" % (status, ", ".join((RUNNING, *END_STATUSES)))
        look.note(path, "meta-status", message)
    look.is_known = check_format(look, path, meta.get("format", FORMAT))


def _doubt_missing_meta(look: RunLook) -> None:
    folder = look.paths.folder
    if not os.path.lexists(folder):
        # Deleted, or restored, since it was listed.
        return
    # In a run that is made anew under its id, the log comes first.
    if not look.names or (look.names == {LOG} and not list_entries(look, look.paths.log)):
        message = "a writer that was killed while it made the run left it empty; starting a run of that id moves in"
        look.doubt(folder, "empty-run", message)
        return
    message = "without it the run does not show; write it anew, from snapshot.json where that stands"
    look.doubt(look.paths.meta, "meta-missing", message)


def _check_names(look: RunLook, meta: Dict[str, Any]) -> None:
    run_id, experiment_id = look.paths.address.run_id, str(look.paths.address.experiment_id)
    for name, wanted in (("run_id", run_id), ("experiment_id", experiment_id)):
        if name in meta and str(meta[name]) != wanted:
            message = "its %s is %.80r instead of %.80r; correct it, or move the folder" % (name, meta[name], wanted)
            look.note(look.paths.meta, "meta-identity", message)


def check_format(look: RunLook, path: str, told: Any) -> bool:
    """True if this version knows the format that a file carries."""
    if type(told) is int and 1 <= told <= FORMAT:
        return True
    message = "its format is %.80r, this version knows %d; verify it with the version that wrote it" % (told, FORMAT)
    look.note(path, "unknown-format", message)
    return False
