"""The log of a run as a look finds it, and how far the documents are behind it or ahead of it."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from mini_mlflow.disk.layout import METRICS, SNAPSHOT, commit_number
from mini_mlflow.disk.regular import exists
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import MetricChange, RewindChange, parse_commit
from mini_mlflow.formats.documents import parse_meta
from mini_mlflow.upkeep.change_look import CUT_SHORT, is_ahead
from mini_mlflow.upkeep.entries import is_file, is_temporary, list_entries, note_foreign
from mini_mlflow.upkeep.findings import DAMAGE, LEFTOVER
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.upkeep.strictness import find_laxness

# More numbers than this between two commits mean that one of the names is somebody's own.
_LONGEST_GAP = 100_000


def look_at_log(look: RunLook) -> None:
    """Every commit is whole, carries its number, and follows the one before it."""
    numbers = []
    for entry in list_entries(look, look.paths.log):
        number = commit_number(entry.name)
        if is_temporary(look, entry):
            continue
        # "07.json" names no commit: everybody goes by the number.
        if number is None or entry.path != look.paths.commit(number):
            note_foreign(look, entry, "the log")
        elif is_file(look, entry):
            numbers.append(number)
            _look_at_commit(look, number)
    numbers.sort()
    look.highest = numbers[-1] if numbers else 0
    _doubt_gaps(look, numbers)
    if look.has_ended:
        message = "the run has ended and a kill kept its log from being removed; resuming and ending the run does it"
        look.doubt(look.paths.log, "log-left", message, look.stamp)


def _look_at_commit(look: RunLook, number: int) -> None:
    path = look.paths.commit(number)
    data = look.read(path)
    if data is None:
        return
    try:
        changes = parse_commit(data, path)
    except DamagedFileError as error:
        look.note(path, "torn-commit", "it %s; its changes are lost to readers: save it and remove it" % error.reason)
        return
    look.note_laxness(path, find_laxness(data))
    told = json.loads(data.decode("utf-8")).get("commit")
    if type(told) is not int or told != number:
        look.note(path, "commit-number", "it says that it is commit %.80r; it was renamed or copied" % (told,))
    if not changes:
        look.note(path, "torn-commit", "it holds no changes; nobody writes such a commit: remove it")
    for change in changes:
        if isinstance(change, RewindChange):
            look.rewound = max(number, look.rewound)
            continue
        place = (METRICS if isinstance(change, MetricChange) else change.kind, change.key)
        look.commits[place] = max(number, look.commits.get(place, 0))


def _doubt_gaps(look: RunLook, numbers: List[int]) -> None:
    for before, after in zip(numbers, numbers[1:]):
        if after - before < 2:
            continue
        # A listing may miss a name that was made meanwhile; and what was there goes from the oldest up, so that the
        # one before a gap is gone before what was in the gap.
        missing = before + 1
        while missing < after and missing - before < _LONGEST_GAP and exists(look.paths.commit(missing)):
            missing += 1
        if missing < after and exists(look.paths.commit(before)):
            message = "there is none, though %d and %d are there; what it changed is lost" % (before, after)
            look.doubt(look.paths.commit(missing), "commit-gap", message)


def look_for_documents_of_log(look: RunLook) -> None:
    """Every key in the log has its document; of a run that has ended, one that holds all of it.

    An ended run without a snapshot may have been amended by somebody who was killed then: its log is to be read still.
    """
    severity = LEFTOVER if SNAPSHOT not in look.names else DAMAGE
    wanted = dict(look.commits)
    for place, document in look.documents.items():
        if place[0] == METRICS and look.rewound and document.count:
            wanted[place] = max(look.rewound, wanted.get(place, 0))
    for (kind, key), number in sorted(wanted.items()):
        path = look.paths.document(kind, key)
        document = look.documents.get((kind, key))
        if document is None:
            if not look.is_unread(kind, key):
                message = "there is none for %.220r of commit %d; the next flush() makes it" % (key, number)
                look.doubt(path, "document-missing", message, look.stamp, severity=severity)
        elif look.has_ended and document.commit < number:
            message = "it holds commits up to %d, and %d changed it too; resume the run and end it" % (
                document.commit,
                number,
            )
            look.doubt(path, "document-behind-log", message, look.stamp, document.commit, severity=severity)


def look_for_documents_ahead(look: RunLook) -> None:
    """No document holds a commit that nobody has made."""
    if not look.meta and look.snapshot is None:
        # Of a run without either, nobody can tell.
        return
    snapshot = look.snapshot.metadata if look.snapshot is not None else {}
    known = max(look.highest, _last_in(look.meta), _last_in(snapshot))
    if all(document.commit <= known for document in look.documents.values()):
        return
    # A commit that two looks find in a document was there before the second listed the log, where the newest stays;
    # but for the end of the run, which writes its number into meta.yaml before the log goes.
    known = max(known, _last_in(_read_meta_again(look)))
    for (kind, key), document in sorted(look.documents.items()):
        if document.commit > known and is_ahead(look, kind, document):
            message = "%s before its snapshot stood, and shows nowhere; the next one takes it back" % CUT_SHORT
            path = look.paths.document(kind, key)
            look.doubt(path, "document-ahead", message, document.commit, severity=LEFTOVER)
        elif document.commit > known:
            message = "it holds commits up to %d, but the last that is known is %d; what else they changed is lost" % (
                document.commit,
                known,
            )
            look.doubt(look.paths.document(kind, key), "document-ahead", message, document.commit)


def _read_meta_again(look: RunLook) -> Dict[str, Any]:
    data = look.read(look.paths.meta)
    try:
        return parse_meta(data, look.paths.meta) if data is not None else {}
    except DamagedFileError:
        return {}


def _last_in(meta: Dict[str, Any]) -> int:
    commit = meta.get("commit", 0)
    return commit if isinstance(commit, int) else 0
