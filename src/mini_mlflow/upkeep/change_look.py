"""What a kill may leave of a change of a run that has ended (`writing.ended_snapshots`), beside its snapshot.

Before the new snapshot stood, documents that are ahead of it; after that, documents and a ``meta.yaml`` behind it.
"""

from __future__ import annotations

from typing import Any

from mini_mlflow.disk.layout import METRICS
from mini_mlflow.entities import END_STATUSES
from mini_mlflow.formats.values import DELETED
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.writing.run_state import last_commit

CUT_SHORT = "a change after the end was cut short"


def is_ahead(look: RunLook, kind: str, document: Any) -> bool:
    """Whether the document has what the snapshot, which stands, has not come to hold."""
    snapshot = look.snapshot
    if snapshot is None or document.commit <= last_commit(snapshot.metadata):
        return False
    if kind == METRICS:
        told = snapshot.metrics.get(document.key)
        return told is not None and document.count > told["count"]
    return document.value is DELETED and document.key in snapshot.tags


def is_behind(look: RunLook) -> bool:
    """Whether ``meta.yaml``, which follows the documents, has not come to say what the snapshot does."""
    snapshot = look.snapshot
    if snapshot is None or look.meta.get("status") not in END_STATUSES:
        return False
    return last_commit(look.meta) < last_commit(snapshot.metadata)
