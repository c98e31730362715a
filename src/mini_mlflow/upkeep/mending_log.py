"""Mends of the log, and of documents that are behind it or ahead of it.

A commit that cannot be read is moved away whole: the values of a call are all there or none. Not while the run's
owner lives, which may have made it, and still fold it from memory.
"""

from __future__ import annotations

import json
from typing import List, Optional

from mini_mlflow.disk.layout import commit_number, document_name
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import MiniMlflowError
from mini_mlflow.formats.commits import Change, ValueChange, dump_commit, parse_commit
from mini_mlflow.formats.documents import dump_meta
from mini_mlflow.formats.values import decode_value, encode_value
from mini_mlflow.upkeep.change_look import is_ahead
from mini_mlflow.upkeep.mending import Case, Plan, Told, move_away, refuse
from mini_mlflow.writing.run_state import last_commit
from mini_mlflow.writing.snapshots import restore_documents

_AFTER_THE_OWNER = "flush() in the owner, end the run, or repair again when it is over"
_OWNER_LIVES = "the owner of the run is alive, and may still have in memory what the commit held"


def mend_torn_commit(case: Case) -> Plan:
    if case.owner_lives:
        return refuse(_AFTER_THE_OWNER, _OWNER_LIVES)
    return move_away(case)


def mend_commit(case: Case) -> Plan:
    """The commit is strict JSON, carries its number, and changes what it changed."""
    number = commit_number(case.parts[-1]) or 0
    changes = parse_commit(read_file(case.path), case.path)
    lines = [_dump_strictly(change, case.path) for change in changes]
    action = "write it anew as commit %d, with the same changes" % number
    return Plan(action, lambda: case.replace(case.path, dump_commit(number, lines)))


def _dump_strictly(change: Change, path: str) -> str:
    if not isinstance(change, ValueChange):
        return change.dump()
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    value = decode_value(json.loads(change.encoded.json), nonfinite)
    return change._replace(encoded=encode_value(value, path)).dump()


def mend_gap(case: Case) -> Plan:
    """What there is of the log is in the documents; only the newest commit is left."""
    if case.owner_lives:
        return refuse(_AFTER_THE_OWNER, _OWNER_LIVES)
    return Plan("fold the log; what the missing commit changed is lost", lambda: fold(case))


def mend_by_folding(case: Case) -> Plan:
    return Plan("bring the documents up to date from the log", lambda: fold(case))


def fold(case: Case) -> Optional[str]:
    """The documents hold every commit; of a run that has ended, the log is gone. Raises OSError: nothing is lost."""
    files = case.open.files
    with Told() as told:
        if case.in_run.has_ended:
            files.fold()
            files.remove_log()
        else:
            files.flush()
    return "; ".join(told.messages) or None


def mend_document_ahead(case: Case) -> Plan:
    """No document is ahead of the snapshot; or ``meta.yaml`` knows the number, so that no commit to come is taken for
    one that the document holds."""
    look = case.in_run
    if look.snapshot is not None and any(is_ahead(look, place[0], one) for place, one in look.documents.items()):
        snapshot, number = look.snapshot, last_commit(look.snapshot.metadata)
        action = "take back what a change after the end, which was cut short, has left"
        return Plan(action, lambda: restore_documents(case.paths, snapshot, number, case.tree.sync))
    numbers: List[int] = [document.commit for document in look.documents.values()]
    number = max(numbers)
    if number >= 10**17:
        return refuse("correct the number in the document", "no run has %d commits" % number)
    if not look.meta:
        raise MiniMlflowError("%s cannot be read" % look.paths.meta)
    meta = dict(look.meta, commit=max(number, last_commit(look.meta)))
    action = "note in meta.yaml that commit %d was made" % number
    return Plan(action, lambda: case.replace(case.paths.meta, dump_meta(meta)))


def is_in_log(case: Case) -> bool:
    """Whether a commit of the log changes the key whose document is missing."""
    kind, name = case.parts[0], case.parts[-1]
    return any(kind == found and document_name(key) == name for found, key in case.in_run.commits)
