"""Changing a run from beside it, also one that has ended: its tags, its name, how it ended, what is added afterwards.

All of a change happens under one hold of the run's lock: what the caller checks is still so when the change is made.

A run that has ended gets a new snapshot, and is before it or after it, whatever happens (`ended_snapshots`); where that
does not do, see `ended_runs`. A live run gets a new ``meta.yaml``, and a commit as any other: a kill between the two
leaves the fields of ``meta.yaml`` changed and the rest not, and a reader in between sees that too.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import META, RunPaths
from mini_mlflow.disk.regular import exists, read_file
from mini_mlflow.entities import END_STATUSES, RUNNING, RunAddress, Settings
from mini_mlflow.errors import InvalidValueError, RunEndedError, TagNotFoundError, TreeBusyError
from mini_mlflow.formats.commits import ValueChange
from mini_mlflow.formats.documents import Snapshot
from mini_mlflow.formats.values import DELETION
from mini_mlflow.writing.current_values import read_current
from mini_mlflow.writing.ended_runs import change_ended, end_again, last_number
from mini_mlflow.writing.ended_snapshots import change_snapshot
from mini_mlflow.writing.metadata import replace_meta
from mini_mlflow.writing.open_runs import OpenRun, get_open_run
from mini_mlflow.writing.operations import Submission
from mini_mlflow.writing.run_state import (
    cannot_log,
    explain,
    not_found,
    read_snapshot,
    read_state,
)

#: Is told the current values of the params that are about to be set, of those that exist; what it raises refuses all.
Check = Callable[[Dict[str, Any]], None]
#: Kind and keys to the values of those that are set.
Reading = Callable[[str, List[str]], Dict[str, Any]]


class Current(NamedTuple):
    """What the run has, for who makes a change of it."""

    read: Reading

    def params(self, keys: Iterable[str]) -> Dict[str, Any]:
        """Of ``keys``, those that are set, with their values. Raises OSError."""
        return self.read("params", list(keys))

    def tags(self, keys: Iterable[str]) -> Dict[str, Any]:
        """As `params`."""
        return self.read("tags", list(keys))


#: Makes the changes of what stands; what it raises refuses all.
Compute = Callable[[Current], Submission]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
# What says which run it is, and how its files are to be read.
_FIXED = ("run_id", "experiment_id", "format", "commit")


class _Change(NamedTuple):
    """What is to become of a run; the arguments of `amend`."""

    submission: Submission
    meta: Mapping[str, Any]
    check: Optional[Check]
    compute: Optional[Compute]

    def resolved(self, read: Reading) -> _Change:
        """The same, with what ``compute``, if there is one, makes of what stands. Raises as that and `refuse_unfit`."""
        made = self if self.compute is None else self._replace(submission=self.compute(Current(read)))
        made.refuse_unfit(read)
        return made

    def keys(self, kind: str, deleted: bool = False) -> List[str]:
        """The keys of params or tags that are set, or are deleted."""
        values = (one for one in self.submission.changes if isinstance(one, ValueChange) and one.kind == kind)
        return [value.key for value in values if (value.encoded == DELETION) is deleted]

    def refuse_unfit(self, read: Reading) -> None:
        """Raises what ``check`` does, and TagNotFoundError if a tag is to be deleted that is not there."""
        if self.check is not None:
            self.check(read("params", self.keys("params")))
        deleted = self.keys("tags", deleted=True)
        known = {*read("tags", deleted), *self.keys("tags")} if deleted else set()
        for key in deleted:
            if key not in known:
                raise TagNotFoundError("there is no tag %r to delete" % key)


def amend(
    run: OpenRun,
    submission: Optional[Submission] = None,
    meta: Mapping[str, Any] = _NOTHING,
    check: Optional[Check] = None,
    ended_too: bool = True,
    compute: Optional[Compute] = None,
) -> None:
    """The submission's changes are on disk, in one commit, and ``meta.yaml`` has the fields of ``meta``.

    The run may be open, whoever owns it, or have ended, and then stays so: what is changed survives a power cut from
    here on, at the levels "end" and "always". Of a kill in between, see the module.

    Args:
        submission: None changes nothing that is logged.
        meta: such as the name; how it ended ("status", "end_time") only of a run that has.
        check: called under the same hold of the run's lock, before anything is changed.
        ended_too: False refuses a run that has ended.
        compute: instead of ``submission``: makes it of what stands, under the same hold, so that nothing that others
            do at the same time is lost. It may be called again.

    Raises:
        Exception: what ``check`` or ``compute`` raises.
        TagNotFoundError: a tag is to be deleted that the run does not have.
        InvalidValueError: a field of ``meta`` that cannot be changed so.
        RunDeletedError: it lies in the trash. RunEndedError: it has ended, and ``ended_too`` is False.
        TreeBusyError: this is a signal handler, the run has ended, and the interrupted frame is at work on it.
        FileNotFoundError: there is no such run.
        LockTimeout, DamagedFileError, OSError: with ``filename`` set. After any of these, all is as it was.
    """
    change = _Change(submission or Submission([], []), meta, check, compute)
    nested = run.group.turn._is_owned()
    try:
        run.group.run_alone(lambda: _amend(run, change, nested, ended_too))
    finally:
        run.let_go()


def amend_at(
    address: RunAddress,
    settings: Settings,
    submission: Optional[Submission] = None,
    meta: Mapping[str, Any] = _NOTHING,
    check: Optional[Check] = None,
    compute: Optional[Compute] = None,
) -> None:
    """The same for a run that need not be open here. Raises as `amend`, RunNotFoundError where there is none."""
    paths = RunPaths.of(address)
    if not os.path.lexists(paths.folder):
        raise explain(paths, not_found(address))
    try:
        # Not `lifecycle.start`: who is at work on the ended run here, in whatever thread, must be met in memory.
        amend(get_open_run(address, settings, ended_too=True), submission, meta, check, compute=compute)
    except FileNotFoundError:
        raise not_found(address) from None


def _amend(run: OpenRun, change: _Change, nested: bool, ended_too: bool) -> None:
    state = read_state(run.paths, run.files.seen)
    has_ended = state.get("status", RUNNING) != RUNNING
    if has_ended and not ended_too:
        run.end_with(state)
        raise cannot_log(run.paths, state.get("status"))
    if has_ended and nested:
        text = "this thread is in the middle of changing run %r; do it after the signal handler"
        raise TreeBusyError(text % run.paths.address.run_id)
    after = _merge(state, change.meta, has_ended)
    if has_ended:
        _amend_ended(run, state, after, change)
    elif not _amend_live(run, state, after, change):
        again = Submission(change.submission.changes, change.submission.lines)
        _amend(run, change._replace(submission=again), nested, ended_too)


def _merge(state: Dict[str, Any], meta: Mapping[str, Any], has_ended: bool) -> Dict[str, Any]:
    fixed = [name for name in _FIXED if name in meta]
    if fixed:
        raise InvalidValueError("the %s of a run cannot be changed" % fixed[0])
    if "status" in meta and (not has_ended or meta["status"] not in END_STATUSES):
        text = "status %r cannot be set like this: a run that %s"
        raise InvalidValueError(
            text % (meta["status"], "has ended can be resumed" if has_ended else "is open is ended")
        )
    return {**state, **meta}


# -- a live run ----------------------------------------------------------------------------------------------------


def _amend_live(run: OpenRun, state: Dict[str, Any], after: Dict[str, Any], change: _Change) -> bool:
    """False if the run is not what it was any more: in the middle of this, a signal handler has ended or deleted it."""
    files = run.files

    def read(kind: str, keys: List[str]) -> Dict[str, Any]:
        # What other processes have committed since this one last looked is to be read, too.
        files.log.last = files.next_number() - 1
        return read_current(files, kind, keys)

    submission = change.resolved(read).submission
    with ExitStack() as staging:
        before = None
        if after != state and submission.changes:
            old = read_file(run.paths.meta)
            before = staging.enter_context(atomic.staged(run.paths.folder, META, old, run.settings.fsync != "never"))
        run.meta = state
        if after != state:
            replace_meta(run, after)
            if exists(run.paths.snapshot):
                return False
        # Settled already if a handler has made its own way through.
        files.commit(lambda: [] if submission.settled or not submission.changes else [submission])
        if isinstance(submission.error, RunEndedError):
            return False
        if submission.error is not None:
            if before is not None:
                before.publish()
                run.meta = state
            raise submission.error
    return True


# -- a run that has ended ------------------------------------------------------------------------------------------


def _amend_ended(run: OpenRun, state: Dict[str, Any], after: Dict[str, Any], change: _Change) -> None:
    run.files.forget()
    # Before anything is changed: a handler must not resume in the middle of it what this process has open.
    run.end_with(state)
    try:
        snapshot = read_snapshot(run.paths)
        last = last_number(run, state)
        submission = change.resolved(lambda kind, keys: _read_ended(run, snapshot, kind, keys)).submission
        if after != state or submission.changes:
            after = dict(after, commit=last + 1)
            if not change_snapshot(run, snapshot, after, submission.changes):
                change_ended(run, after, submission)
                end_again(run, after)
    finally:
        run.files.forget()
        # Under the lock: whoever resumes the run next must find the owner lock free.
        run.end_with(run.meta)


def _read_ended(run: OpenRun, snapshot: Optional[Snapshot], kind: str, keys: List[str]) -> Dict[str, Any]:
    if snapshot is None:
        return read_current(run.files, kind, keys)
    known = snapshot.params if kind == "params" else snapshot.tags
    return {key: known[key] for key in keys if key in known}
