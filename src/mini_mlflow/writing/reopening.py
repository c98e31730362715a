"""What stands between an ended run and one whose log and documents tell all: its snapshot. For the holder of the lock.

The snapshot is synced, and what it holds whole need not be; so before it goes, the documents and ``meta.yaml`` are made
to say what it says. A run without a snapshot is as ended as before, and as readable, only slower.
"""

from __future__ import annotations

from mini_mlflow.disk import atomic
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.run_state import last_commit, read_snapshot
from mini_mlflow.writing.snapshots import restore_documents, restore_meta


def restore(run: OpenRun) -> None:
    """The documents and ``meta.yaml`` say what the snapshot says, which still stands; nothing is done without one.

    ``run.meta`` is what the snapshot says of the run.

    Raises:
        OSError: with ``filename`` set; nothing is lost.
    """
    sync = run.settings.fsync != "never"
    snapshot = read_snapshot(run.paths)
    if snapshot is not None:
        restore_documents(run.paths, snapshot, last_commit(run.meta), sync)
        restore_meta(run.paths, run.meta, run.files.seen, sync)


def remove_snapshot(run: OpenRun) -> None:
    """No snapshot stands, nor comes back. Raises OSError: one may stand, or come back with a power cut."""
    atomic.remove_file(run.paths.snapshot)
    if run.settings.fsync != "never":
        atomic.sync_folder(run.paths.folder)
