"""Changing a run that has ended, and stays so, through its log. For the holder of its lock.

That is for where a new snapshot alone (`ended_snapshots`) does not do: there is none that is whole, or a document is
ahead of it, damaged, hidden or about to be sealed. It costs a sync of every document.

Each state on the way is one that readers and writers know, since a kill while a run ends leaves it too:

1. documents and ``meta.yaml`` are made to say what the snapshot says, on the medium (`reopening.restore`);
2. the log's folder is made. Another process may have the run open and not know that it has ended; where it finds a
   log, it looks at ``meta.yaml`` before it stores anything, and where there is none, it goes by the snapshot alone;
3. the snapshot goes: readers read the documents and the log;
4. ``meta.yaml`` is replaced: it knows the number of the commit to come, and this is the commit point of its fields;
5. the commit gets its name: the commit point of the rest. Until then, whatever fails is undone, which takes no space;
   from then on, nothing fails the caller any more. Unless the level is "never", all is on the medium by now;
6. the log is folded, a new snapshot stands, the log is removed. What fails here costs readers time, and no value.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, ContextManager, Dict

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import META, SNAPSHOT, RunPaths
from mini_mlflow.disk.regular import exists, read_file
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.commits import dump_commit
from mini_mlflow.writing.metadata import replace_meta, sync_way_down
from mini_mlflow.writing.new_files import publish
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.operations import Submission
from mini_mlflow.writing.reopening import remove_snapshot, restore
from mini_mlflow.writing.run_state import highest_in_documents, read_snapshot
from mini_mlflow.writing.snapshots import gather_documents


def last_number(run: OpenRun, state: Dict[str, Any]) -> int:
    """The highest number of a commit that anything knows of. Raises OSError."""
    log = run.files.log
    numbers = log.look(sweep=True)
    highest = max([*numbers, highest_in_documents(run.paths, state)])
    return log.note_highest(highest, is_empty=not numbers)


def change_ended(run: OpenRun, after: Dict[str, Any], submission: Submission) -> None:
    """The change is made, and on the medium; the run has no snapshot, and its log and documents tell all.

    Raises:
        OSError: with ``filename`` set; all is as it was.
    """
    paths, sync = run.paths, run.settings.fsync != "never"
    before, commit = run.meta, paths.commit(after["commit"])
    restore(run)
    if read_snapshot(paths) is not None:
        # What a kill left of it while the run ended is in the documents. Whoever made its newest commit, and has not
        # learned of the end, would take it for the log of a run that goes on.
        run.files.remove_log()
    with ExitStack() as staging:
        # To be put back by renames alone, in this order: while the snapshot stands, nobody reads meta.yaml.
        standing = [name for name in (SNAPSHOT, META) if exists(_in(paths, name))]
        kept = [staging.enter_context(_staged_copy(paths, name, sync)) for name in standing]
        try:
            atomic.create_folder(paths.log)
            remove_snapshot(run)
            replace_meta(run, after)
            if submission.changes:
                data = dump_commit(after["commit"], submission.lines)
                publish(paths.log, os.path.basename(commit), data, set() if sync else None)
            elif sync:
                atomic.sync_folder(paths.folder)
        except BaseException:
            run.meta = before
            if submission.changes:
                # What an interrupt has left.
                atomic.remove_file(commit)
            for file in kept:
                file.publish()
            _remove_empty_log(paths)
            raise


def _remove_empty_log(paths: RunPaths) -> None:
    try:
        atomic.remove_folder(paths.log)
    except OSError:
        # The first error is the one to tell, and an empty log means nothing.
        pass


def _in(paths: RunPaths, name: str) -> str:
    return os.path.join(paths.folder, name)


def _staged_copy(paths: RunPaths, name: str, sync: bool) -> ContextManager[atomic.StagedFile]:
    return atomic.staged(paths.folder, name, read_file(_in(paths, name)), sync)


def end_again(run: OpenRun, meta: Dict[str, Any]) -> None:
    """The run is as any that has ended: one snapshot, no log. Where the system refuses, it is not; nothing is lost."""
    files, sync = run.files, run.settings.fsync != "never"
    try:
        files.fold()
        documents = gather_documents(run.paths, files.seen)
        if sync:
            files.folding.make_durable(documents.beside_snapshot())
        with atomic.staged(run.paths.folder, SNAPSHOT, documents.dump(meta)) as snapshot:
            snapshot.publish()
        try:
            if sync:
                atomic.sync_file(run.paths.snapshot)
                sync_way_down(run)
        except OSError:
            atomic.remove_file(run.paths.snapshot)
            raise
        if not files.reentered:
            files.remove_log()
    except (OSError, DamagedFileError):
        pass
