"""Artifacts that belong to no run, on their way to where MLflow looks for them."""

from __future__ import annotations

from typing import List

from mini_mlflow.disk.layout import IMPORT_LOCK
from mini_mlflow.exchange.artifact_files import LINK, NONE, NewFile, find_new, measure
from mini_mlflow.exchange.report import Tally
from mini_mlflow.exchange.target import Target
from mini_mlflow.writing.loose_files import bring_files
from mini_mlflow.writing.tree_lock import held


def bring_loose(target: Target, folder: str, place: str, tally: Tally) -> None:
    """What is new of the files below ``folder`` stands below ``place``, relative to the tree, and is counted.

    Raises:
        LockTimeout, OSError: those before the one at which it happened stand.
    """
    if target.artifacts == NONE:
        return
    if target.dry_run:
        _count(target, folder, place, tally)
        return
    with held(target.root, IMPORT_LOCK, target.settings.lock_timeout_s):
        pairs = [(file.path, file.name) for file in _count(target, folder, place, tally)]
        sync = target.settings.fsync != "never"
        linked = bring_files(target.root, place, pairs, target.artifacts == LINK, sync)
    tally.add("linked_artifacts", linked)


def _count(target: Target, folder: str, place: str, tally: Tally) -> List[NewFile]:
    files = find_new(folder, "%s/%s" % (target.root, place), tally.tell)
    tally.add("artifacts", len(files))
    tally.add("artifact_bytes", measure(files))
    return files
