"""Mends of how a run has ended: its snapshot, and what ``meta.yaml`` and the documents say beside it.

Readers go by the snapshot of a run that has one, and so does a resume; so where a param or a tag is another one in the
two, the snapshot's is right. The history of a metric stands in its document alone: there the document is right, with
the snapshot's last point after it if the document has fewer. A snapshot that is older than ``meta.yaml`` (a power cut
may bring back such a one, with fsync="never") is right in nothing.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from mini_mlflow.disk.layout import METRICS, PARAMS, TAGS
from mini_mlflow.disk.regular import read_file
from mini_mlflow.entities import END_STATUSES
from mini_mlflow.errors import MiniMlflowError
from mini_mlflow.formats.documents import Snapshot, dump_meta
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.formats.values import encode_value
from mini_mlflow.upkeep.mending import Case, Plan, Told, move_away
from mini_mlflow.upkeep.mending_meta import complete
from mini_mlflow.upkeep.mending_values import Value, write_value
from mini_mlflow.upkeep.rebuilding import rebuild
from mini_mlflow.writing.run_state import last_commit
from mini_mlflow.writing.seen import Seen
from mini_mlflow.writing.snapshots import gather_documents


def mend_end(case: Case) -> Plan:
    """``snapshot.json``, ``meta.yaml`` and the documents say the same; nothing of it says more than the files did."""
    look = case.in_run
    if look.meta.get("status") not in END_STATUSES and not _is_ended(look.snapshot):
        return move_away(case)._replace(action="move the snapshot into .quarantine: the run has not ended")
    return Plan("write snapshot.json and meta.yaml so that they agree with the documents", lambda: _reconcile(case))


def _is_ended(snapshot: Optional[Snapshot]) -> bool:
    return snapshot is not None and snapshot.metadata.get("status") in END_STATUSES


def _reconcile(case: Case) -> Optional[str]:
    look = case.in_run
    snapshot = look.snapshot if _is_ended(look.snapshot) and not _is_stale(look.snapshot, look.meta) else None
    told: List[str] = []
    if snapshot is not None:
        for kind, key, value in _iter_differing(case, snapshot):
            write_value(case, kind, key, value)
            told.append("%s/%.80s was that of the snapshot" % (kind, key))
        for key in _shorter_metrics(case, snapshot):
            rebuild(case, key)
            told.append("%.80r had fewer points than the snapshot says" % key)
    with Told() as warned:
        documents = gather_documents(case.paths, Seen())
    meta = complete(case, snapshot.metadata if snapshot is not None else look.meta)
    commits = [documents.commit, last_commit(look.meta), last_commit(meta)]
    if "format" in meta:
        meta["commit"] = max(commits)
    _replace_if_other(case, case.paths.snapshot, documents.dump(meta))
    _replace_if_other(case, case.paths.meta, dump_meta(meta))
    return "; ".join(told + warned.messages) or None


def _is_stale(snapshot: Optional[Snapshot], meta: Dict[str, Any]) -> bool:
    """Whether ``meta.yaml`` tells of a later end than the snapshot."""
    if snapshot is None or meta.get("status") not in END_STATUSES:
        return False
    mine, its = iso_to_ms(meta.get("end_time")), iso_to_ms(snapshot.metadata.get("end_time"))
    return mine is not None and its is not None and mine > its


def _iter_differing(case: Case, snapshot: Snapshot) -> Iterator[Tuple[str, str, Value]]:
    time_text = str(snapshot.metadata.get("end_time"))
    for kind, values in ((PARAMS, snapshot.params), (TAGS, snapshot.tags)):
        for key, value in values.items():
            document = case.in_run.documents.get((kind, key))
            if document is not None and not _are_same(document.value, value):
                yield kind, key, Value(value, time_text, last_commit(snapshot.metadata), "the snapshot")


def _are_same(one: Any, other: Any) -> bool:
    try:
        return encode_value(one, "value") == encode_value(other, "value")
    except MiniMlflowError:
        # What another writer made too large for a snapshot is left to it.
        return True


def _shorter_metrics(case: Case, snapshot: Snapshot) -> Iterator[str]:
    for key, told in snapshot.metrics.items():
        document = case.in_run.documents.get((METRICS, key))
        if document is not None and document.count < told["count"]:
            yield key


def _replace_if_other(case: Case, path: str, data: bytes) -> None:
    try:
        if read_file(path) == data:
            return
    except OSError:
        pass
    case.replace(path, data)
