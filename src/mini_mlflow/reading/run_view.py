"""One run as it stands, read without a lock while others write.

The order makes it right: first the log, then the documents. A commit at or below a document's number is in it
already; a commit file that is gone between listing and opening has been folded into documents that were not read yet;
and a sealed file that is gone has been merged, so the metric's document is read again. An ended run stands in its
snapshot, one small file.

What stood together must be seen together: a run is read again if a document is ahead of the log that was read (of
the number in ``meta.yaml``, where there is no log), or if the names of the documents changed meanwhile (the first
value of a key may be a document at once, and no commit). And its folder is held, so that a run which is deleted
meanwhile, and perhaps restored, is read whole or not at all.

While a rewind waits in the log, what it leaves of a metric stands in no first line, and the last visible value is
looked for in the whole history. That is so for a moment, or until the next writer after a kill: a rewind is folded at
once.

Damaged files are skipped, with a warning that names them; everything else is read all the same.
"""

from __future__ import annotations

import json
import platform
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.layout import METRICS, RunPaths
from mini_mlflow.disk.locks import is_held
from mini_mlflow.disk.regular import read_file, read_first_line
from mini_mlflow.entities import CRASHED, RUNNING, UNKNOWN, Point
from mini_mlflow.formats.commits import VALUE_KINDS, MetricChange, RewindChange, ValueChange
from mini_mlflow.formats.documents import Snapshot, parse_meta, parse_value_document
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line
from mini_mlflow.formats.latest import find_latest, parse_all_latest, unless_last
from mini_mlflow.formats.points import NewPoint
from mini_mlflow.formats.values import DELETED, decode_value, to_nonfinite
from mini_mlflow.reading.metric_history import History, bring_up
from mini_mlflow.reading.run_folder import (
    Commits,
    check_folders,
    documents,
    held,
    last_commit,
    list_log,
    read_document,
    read_late_snapshot,
    read_log,
    read_snapshot,
    read_snapshot_metadata,
)

Listed = List[Tuple[str, str]]
#: Kind to key to value.
Values = Dict[str, Dict[str, Any]]
# Documents are replaced ten times a second at the most; a reader is not overtaken this often in a row.
_OVERTAKEN_AT_MOST = 20
# Nor is a run ended and resumed so often in the time of as many looks.
_RESUMED_AT_MOST = 3


class RunView(NamedTuple):
    """A run as a reader sees it.

    Attributes:
        metadata: what ``meta.yaml`` says; "status" is CRASHED or UNKNOWN where the owner is gone or out of sight.
        params, tags: key to value.
        metrics: key to last value.
        summaries: key to ``{"value", "step", "timestamp", "count", "min", "max"}`` of the same metrics, the timestamp
            in milliseconds; of an ended run with its numbers as JSON says them. Also "hidden" and "latest", where a
            snapshot has them.
    """

    metadata: Dict[str, Any]
    params: Dict[str, Any]
    metrics: Dict[str, Any]
    tags: Dict[str, Any]
    summaries: Dict[str, Dict[str, Any]]

    def latest_metrics(self) -> Dict[str, Point]:
        """Key to latest point, as MLflow means it: the visible one of the highest step, then timestamp, then value
        (`formats.latest`). A metric that another writer put no number into is left out."""
        return parse_all_latest(self.summaries)


def read_run(paths: RunPaths) -> RunView:
    """The run as it stands.

    Raises:
        FileNotFoundError: there is no such run (no folder, or none with a ``meta.yaml``).
        OutsideTreeError: its folder is a symbolic link.
        DamagedFileError: its ``meta.yaml`` cannot be read; what else there is then belongs to nobody.
    """
    check_folders(paths)
    snapshot = read_snapshot(paths)
    if snapshot is not None:
        return _view_of(snapshot)
    with held(paths) as standing:
        view = _read_documents_and_log(standing)
        # A run that ended meanwhile, or was amended after its end, has no log any more that would tell of what the
        # documents were read in the middle of.
        snapshot = read_late_snapshot(standing)
        return view if snapshot is None else _view_of(snapshot)


def _view_of(snapshot: Snapshot) -> RunView:
    metrics = {key: to_nonfinite(summary.get("value")) for key, summary in snapshot.metrics.items()}
    return RunView(snapshot.metadata, snapshot.params, metrics, snapshot.tags, snapshot.metrics)


def _read_documents_and_log(paths: RunPaths) -> RunView:
    before: Any = None
    for attempt in range(_OVERTAKEN_AT_MOST):
        metadata = _read_live_metadata(paths)
        numbers = list_log(paths)
        commits = read_log(paths, numbers)
        listed = _list_documents(paths)
        rewound = _last_rewind(commits)
        found = {kind: _read_documents(paths, kind, listed[kind], rewound) for kind in listed}
        summaries = _sum_up(paths, commits, found[METRICS], rewound, attempt == _OVERTAKEN_AT_MOST - 1)
        # Without a log: a run that has ended, or was resumed and has not logged since. It may have done both meanwhile.
        last = numbers[-1] if numbers else last_commit(metadata)
        ahead = [document.commit for documents in found.values() for document in documents if document.commit > last]
        is_whole = summaries is not None and (not ahead or before == (metadata, numbers, ahead))
        if is_whole and _list_documents(paths) == listed and (numbers or not list_log(paths)):
            break
        # Where nothing moves, nobody overtakes: a log is missing that should be there.
        before = (metadata, numbers, ahead)
    values = {kind: {document.key: document.value for document in found[kind]} for kind in VALUE_KINDS}
    _apply(commits, found, values)
    _leave_out_deleted(values)
    assert summaries is not None
    metrics = {key: summary["value"] for key, summary in summaries.items()}
    return RunView(metadata, values["params"], metrics, values["tags"], summaries)


def read_stored_metadata(paths: RunPaths) -> Dict[str, Any]:
    """What `read_run` has as metadata, without asking whether the owner lives; of a run whose folders are folders.

    For listings, which know that already. Raises FileNotFoundError and DamagedFileError as `read_run`.
    """
    metadata = read_snapshot_metadata(paths)
    return metadata if metadata is not None else parse_meta(read_file(paths.meta), paths.meta)


def _read_live_metadata(paths: RunPaths) -> Dict[str, Any]:
    metadata = parse_meta(read_file(paths.meta), paths.meta)
    for _ in range(_RESUMED_AT_MOST):
        if metadata.get("status") != RUNNING or metadata.get("owned") is False:
            # A run that nobody owns is open until somebody ends it.
            return metadata
        if is_held(paths.owner_lock) is not False:
            return metadata
        # The run may have ended since: then its owner gave up the lock after saying so. And it may have been resumed
        # since that: then RUNNING says nothing of the lock that was free before, and the lock is looked at again.
        snapshot = read_snapshot(paths)
        metadata = snapshot.metadata if snapshot is not None else parse_meta(read_file(paths.meta), paths.meta)
    if metadata.get("status") == RUNNING and metadata.get("owned") is not False:
        here = metadata.get("host") in (None, platform.node())
        metadata["status"] = CRASHED if here else UNKNOWN
    return metadata


def _list_documents(paths: RunPaths) -> Dict[str, Listed]:
    return {kind: documents(paths, kind) for kind in (*VALUE_KINDS, METRICS)}


def _last_rewind(commits: Commits) -> int:
    """The number of the last commit with a rewind; 0 if there is none."""
    return max((number for number, changes in commits for one in changes if isinstance(one, RewindChange)), default=0)


def _read_documents(paths: RunPaths, kind: str, listed: Listed, rewound: int) -> List[Any]:
    """The documents of a kind, one a key; of metrics, only those at a commit below ``rewound`` with their points."""
    found: Dict[str, Any] = {}
    for path, stem in listed:
        if kind == METRICS:
            document = read_document(path, stem, parse_first_line, read_first_line)
            if document is not None and document.commit < rewound:
                document = read_document(path, stem, parse_document)
        else:
            document = read_document(path, stem, parse_value_document)
        # 0.1.0 puts a key such as "a%20b" into another file than we do. Where both stand, ours is the newer.
        if document is not None and (document.key not in found or paths.document(kind, document.key) == path):
            found[document.key] = document
    return list(found.values())


def _apply(commits: Commits, found: Dict[str, List[Any]], values: Values) -> None:
    """``values`` hold the params and tags that the commits say and the documents do not hold yet."""
    folded = {(kind, document.key): document.commit for kind in values for document in found[kind]}
    for number, changes in commits:
        for change in changes:
            if isinstance(change, ValueChange) and number > folded.get((change.kind, change.key), 0):
                values[change.kind][change.key] = _value_of(change)


def _leave_out_deleted(values: Values) -> None:
    for kind in VALUE_KINDS:
        values[kind] = {key: value for key, value in values[kind].items() if value is not DELETED}


def _sum_up(
    paths: RunPaths, commits: Commits, documents: List[MetricDocument], rewound: int, give_up: bool
) -> Optional[Dict[str, Dict[str, Any]]]:
    """Of each metric with a visible point its summary, with what the commits say and its document does not hold yet.

    None if a history was merged meanwhile.
    """
    summed = {document.key: document for document in documents}
    new = _gather_new(commits, summed)
    summaries: Dict[str, Dict[str, Any]] = {}
    for key in {**summed, **new}:
        document = summed.get(key, MetricDocument(key))
        if document.commit < rewound:
            history = bring_up(paths, document, commits, give_up)
            if history is None:
                return None
            if history.shown:
                summaries[key] = _summary_of(history)
            if history.stored:
                continue
            # 0.1.0 took anything for a metric; what is no number is no point that a rewind could hide.
        document = document.appended(new[key], 0) if key in new else document
        if not document.is_hidden:
            summaries[key] = _summary(document)
    return summaries


def _gather_new(commits: Commits, known: Dict[str, MetricDocument]) -> Dict[str, List[NewPoint]]:
    """Of each metric the points that the commits bring to what its document holds."""
    new: Dict[str, List[NewPoint]] = {}
    for number, changes in commits:
        for change in changes:
            if isinstance(change, MetricChange):
                document = known.get(change.key)
                if number > (document.commit if document is not None else 0):
                    new.setdefault(change.key, []).append((change.value, change.step, change.timestamp))
    return new


def _summary_of(history: History) -> Dict[str, Any]:
    last, count = history.shown[-1], len(history.stored)
    numbers = [point.value for point in history.shown if point.value == point.value]
    summary: Dict[str, Any] = {"value": last.value, "step": last.step, "timestamp": last.timestamp, "count": count}
    summary.update(min=min(numbers, default=None), max=max(numbers, default=None))
    return _with_rare(summary, count - len(history.shown), unless_last(find_latest(history.shown), last))


def _summary(document: MetricDocument) -> Dict[str, Any]:
    summary = {
        "value": document.value,
        "step": document.step,
        "timestamp": document.timestamp,
        "count": document.count,
        "min": document.minimum,
        "max": document.maximum,
    }
    return _with_rare(summary, document.hidden, document.latest)


def _with_rare(summary: Dict[str, Any], hidden: int, latest: Optional[Point]) -> Dict[str, Any]:
    """``summary`` with what only few have, as a snapshot has it."""
    if hidden:
        summary["hidden"] = hidden
    if latest is not None:
        summary["latest"] = list(latest)
    return summary


def _value_of(change: ValueChange) -> Any:
    nonfinite = json.loads(change.encoded.nonfinite) if change.encoded.nonfinite else None
    return decode_value(json.loads(change.encoded.json), nonfinite)
