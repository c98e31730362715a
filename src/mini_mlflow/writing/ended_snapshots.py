"""Changing a run that has ended, and stays so, by one new snapshot. For the holder of its lock.

Who reads an ended run goes by its snapshot, so the rename that replaces it is the commit point of all of the change,
and a kill leaves what was before or what is after it. Two syncs make it last: of the bytes before the rename, of the
run's folder after it. Around it:

1. what the snapshot does not hold whole is on the medium before: a metric of more than one point, and that a tag was
   deleted. Such a document is ahead of the snapshot, by its number, until that is replaced. Nobody minds it: readers
   of its points pass over those that the snapshot does not count, and who changes or resumes the run next takes them
   back (`reopening.restore`; it finds the tag in the snapshot);
2. what the snapshot holds whole follows: params, tags, metrics of one point and at last ``meta.yaml``. They are not
   synced, as they are not when a run ends: they may be missing, torn or old until `reopening.restore` brings them up.

What the level "end" promises of the run is what it was ended with: of one that was ended at the level "never", the
folder itself may be lost to a power cut, and the change with it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keeping import kept
from mini_mlflow.disk.layout import META, METRICS, SNAPSHOT, RunPaths, document_name
from mini_mlflow.disk.regular import exists, read_file
from mini_mlflow.errors import DamagedFileError, OutsideTreeError
from mini_mlflow.formats.commits import VALUE_KINDS, Change, MetricChange, ValueChange
from mini_mlflow.formats.documents import Snapshot, dump_meta, dump_snapshot, parse_snapshot
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.points import NewPoint
from mini_mlflow.formats.values import DELETION, Encoded, encode_value, to_nonfinite
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.pending import Place, dump_value
from mini_mlflow.writing.run_state import last_commit, read_meta
from mini_mlflow.writing.snapshots import restore_documents, take_back_points
from mini_mlflow.writing.sweeping import sweep

_Documents = List[Tuple[Place, bytes]]


class _Plan(NamedTuple):
    """All of a change, before anything of it is on disk.

    Attributes:
        snapshot: the new one.
        before, after: the documents that are written before it stands, and those that follow.
        is_first_history: a metric that was whole in the snapshot is not any more, and of its folder, which nobody need
            have synced, the name has to be on the medium.
    """

    snapshot: bytes
    before: _Documents
    after: _Documents
    is_first_history: bool


def change_snapshot(run: OpenRun, snapshot: Optional[Snapshot], meta: Dict[str, Any], changes: List[Change]) -> bool:
    """The run is what ``meta`` and its snapshot with ``changes`` say, on the medium, and ``run.meta`` is ``meta``.

    Args:
        snapshot: the one that stands; None if there is none.
        meta: with the number of the change as its "commit", which follows all that are known.

    Returns:
        False if it takes a fold (`ended_runs`): nothing has changed then.

    Raises:
        OSError: with ``filename`` set; all is as it was.
    """
    # What is ahead of the snapshot has to be taken back first, or its number would be below that of the new one.
    if snapshot is None or last_commit(meta) != last_commit(snapshot.metadata) + 1:
        return False
    plan = _make_plan(run, snapshot, meta, changes)
    if plan is None:
        return False
    paths, sync = run.paths, run.settings.fsync != "never"
    # A change that was cut short after its snapshot stood, or a power cut.
    others_behind = _are_behind(run, snapshot)
    with ExitStack() as staging:
        new = staging.enter_context(atomic.staged(paths.folder, SNAPSHOT, plan.snapshot, sync))
        put_back = staging.enter_context(kept(paths.folder, SNAPSHOT, sync))
        try:
            _write(paths, plan.before, sync)
            if plan.is_first_history and sync:
                atomic.sync_folder(paths.folder)
            new.publish()
            if sync:
                atomic.sync_folder(paths.folder)
        except BaseException:
            _take_back(paths, snapshot, put_back, sync)
            raise
    run.meta = meta
    _follow(run, plan, meta, others_behind)
    return True


def _are_behind(run: OpenRun, snapshot: Snapshot) -> bool:
    try:
        return last_commit(read_meta(run.paths, run.files.seen)) != last_commit(snapshot.metadata)
    except (FileNotFoundError, DamagedFileError, OutsideTreeError):
        return True


def _take_back(paths: RunPaths, snapshot: Snapshot, put_back: Callable[[], None], sync: bool) -> None:
    try:
        put_back()
        take_back_points(paths, snapshot, sync)
        restore_documents(paths, snapshot, last_commit(snapshot.metadata), sync=False)
        if sync:
            atomic.sync_folder(paths.folder)
    except OSError:
        # The first error is the one to tell. Whoever changes or resumes the run next does what is left to do.
        pass


def _follow(run: OpenRun, plan: _Plan, meta: Dict[str, Any], others_behind: bool) -> None:
    paths = run.paths
    try:
        _write(paths, plan.after, sync=False)
        if others_behind:
            restore_documents(paths, parse_snapshot(plan.snapshot, paths.snapshot), last_commit(meta), sync=False)
        # The last: while its number is not the snapshot's, what the documents say may be old.
        atomic.write_file(paths.folder, META, dump_meta(meta), sync=False)
        if exists(paths.log):
            # What a kill left while the run ended.
            run.files.remove_log()
        else:
            sweep(paths)
    except (OSError, DamagedFileError):
        # The change is made. The documents tell it once the run is resumed, repaired or changed anew.
        pass


def _write(paths: RunPaths, documents: _Documents, sync: bool) -> None:
    for (kind, key), data in documents:
        atomic.create_folder(paths.kind_folder(kind))
        atomic.write_file(paths.kind_folder(kind), document_name(key), data, sync)
    for kind in sorted({kind for (kind, _), _ in documents}) if sync else ():
        atomic.sync_folder(paths.kind_folder(kind))


# -- the plan ------------------------------------------------------------------------------------------------------


def _make_plan(run: OpenRun, snapshot: Snapshot, meta: Dict[str, Any], changes: List[Change]) -> Optional[_Plan]:
    number, before, after = last_commit(meta), [], []
    values = _encode(snapshot)
    newest: Dict[Place, ValueChange] = {}
    points: Dict[str, List[NewPoint]] = {}
    for change in changes:
        if isinstance(change, ValueChange):
            newest[change.kind, change.key] = change
        elif isinstance(change, MetricChange):
            points.setdefault(change.key, []).append((change.value, change.step, change.timestamp))
        else:
            return None
    for (kind, key), value in newest.items():
        if value.encoded != DELETION:
            values[kind][key] = value.encoded
            after.append(((kind, key), dump_value(value, number)[0]))
        elif values[kind].pop(key, None) is not None:
            before.append(((kind, key), dump_value(value, number)[0]))
    metrics: Dict[str, Any] = dict(snapshot.metrics)
    for key, new in points.items():
        document = _read_metric(run.paths, snapshot, key)
        document = None if document is None else document.appended(new, number)
        if document is None or run.files.folding.is_long(document):
            return None
        if document.count > 1 and key not in snapshot.metrics:
            # Where the snapshot has nothing of it, it cannot tell how many points are ahead.
            return None
        metrics[key] = document
        (before if document.count > 1 else after).append(((METRICS, key), document.dump()))
    was_whole = [key for key in points if snapshot.metrics.get(key, {}).get("count", 0) < 2]
    is_first = any(metrics[key].count > 1 for key in was_whole)
    return _Plan(dump_snapshot(meta, values, metrics), before, after, is_first)


def _encode(snapshot: Snapshot) -> Dict[str, Dict[str, Encoded]]:
    told = zip(VALUE_KINDS, (snapshot.params, snapshot.tags))
    return {kind: {key: encode_value(value, key) for key, value in values.items()} for kind, values in told}


def _read_metric(paths: RunPaths, snapshot: Snapshot, key: str) -> Optional[MetricDocument]:
    """The metric's document, which says what the snapshot does; None where it does not, or cannot be read."""
    path, told = paths.document(METRICS, key), snapshot.metrics.get(key)
    if paths.legacy_document(METRICS, key) is not None:
        return None
    try:
        document = parse_document(read_file(path), path, key)
    except FileNotFoundError:
        return MetricDocument(key) if told is None and not exists(paths.history_folder(key)) else None
    except (DamagedFileError, OutsideTreeError):
        return None
    if told is None or document.key != key:
        # Of one that has a document but is not in the snapshot, all points are hidden, and it does not say how many.
        return None
    figures = (document.count, document.step, repr(document.value), document.timestamp)
    wanted = (told["count"], told["step"], repr(to_nonfinite(told["value"])), told["timestamp"])
    return document if figures == wanted else None
