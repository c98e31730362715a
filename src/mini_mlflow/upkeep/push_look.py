"""What pushes remember of servers: a lock and a folder a server, and in it a file a run.

What a file says is not judged: it saves time where it is right, and is passed over where it is not.
"""

from __future__ import annotations

from typing import Iterator

from mini_mlflow.disk.keys import TEMPORARY_PREFIX, check_experiment_id
from mini_mlflow.errors import InvalidValueError
from mini_mlflow.upkeep.entries import Entry, is_file, is_folder, iter_entries, note_foreign
from mini_mlflow.upkeep.findings import Finding, Look
from mini_mlflow.upkeep.trash_look import iter_remains

_LOCK = ".lock"
_WHERE = "the folder of pushes"


def look_at_pushes(look: Look, folder: str) -> Iterator[Finding]:
    """The findings of the folder ``folder``; a temporary in it is told only while nobody pushes."""
    for entry in iter_entries(look, folder):
        if entry.name.endswith(_LOCK):
            if is_file(look, entry, lock=True) and entry.size_bytes:
                message = "it holds %d bytes that nobody reads; empty it while nobody pushes" % entry.size_bytes
                look.note(entry.path, "lock-not-empty", message)
        elif is_folder(look, entry):
            for experiment in iter_entries(look, entry.path):
                yield from _look_at_experiment(look, experiment, entry.path + _LOCK)
        yield from look.drain()


def _look_at_experiment(look: Look, experiment: Entry, lock: str) -> Iterator[Finding]:
    try:
        check_experiment_id(experiment.name)
    except InvalidValueError:
        note_foreign(look, experiment, _WHERE)
        return
    if not is_folder(look, experiment):
        return
    for entry in iter_entries(look, experiment.path):
        if entry.name.startswith(TEMPORARY_PREFIX):
            continue
        if is_file(look, entry) and not entry.name.endswith(".json"):
            note_foreign(look, entry, _WHERE)
    message = "a push that was killed left it; the next push to that server sweeps it"
    yield from iter_remains(look, experiment.path, lock, message)
