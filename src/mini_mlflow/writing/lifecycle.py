"""A run's life: create, attach, resume, end; each whole or not at all, under the run's lock.

The commit point of each is one rename: of ``meta.yaml`` when a run is created or resumed, of ``snapshot.json`` when
it is ended. What fails before it is undone; what a kill leaves before it shows nowhere. A run with a snapshot has
ended, whatever its ``meta.yaml`` says: other processes look for it before each commit, so that nothing is logged
after an end, also when who ended it was killed a moment later. It is a new name, too, so taking it back when a
later step fails needs neither space nor a descriptor.

The owner lock is taken before a run says RUNNING and given up after it says something else, all under the run's lock.
So a reader that finds RUNNING, then the owner lock free, and then still RUNNING, knows that the owner has died, unless
the run was ended and resumed in between.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Dict, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import META, METRICS, PARAMS, SNAPSHOT, TAGS
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import FAILED, FINISHED, RUNNING, RunAddress, Settings
from mini_mlflow.errors import MiniMlflowError, RunDeletedError, RunEndedError, UnfinishedRunWarning
from mini_mlflow.formats.documents import dump_meta
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing.commit_log import draw_number
from mini_mlflow.writing.exits import call_at_exit, is_crashing
from mini_mlflow.writing.experiment_files import refuse_deleted
from mini_mlflow.writing.metadata import replace_meta, sync_way_down
from mini_mlflow.writing.open_runs import OpenRun, get_open_run, owned_runs
from mini_mlflow.writing.origin import collect_origin
from mini_mlflow.writing.reopening import remove_snapshot, restore
from mini_mlflow.writing.run_state import explain, last_commit, not_found, read_state
from mini_mlflow.writing.seen import Seen
from mini_mlflow.writing.snapshots import gather_documents
from mini_mlflow.writing.start_request import StartRequest, compose_meta


def start(address: RunAddress, request: StartRequest, settings: Settings) -> OpenRun:
    """The run at ``address``, open in this process: created, attached to or resumed. Of two processes that create one
    id at once, one creates and the other attaches.

    Raises:
        RunNotFoundError: it does not exist and is not to be created; nothing was made.
        RunDeletedError, ExperimentDeletedError: it lies in the trash, or its experiment is deleted; nothing was made.
        DamagedFileError: its ``meta.yaml`` cannot be read.
        TreeBusyError: this is a signal handler, and the interrupted frame is about to be done with the ended run.
        LockTimeout, OSError: the tree is as it was (the lock files may be new).
    """
    run = get_open_run(address, settings)
    if not request.create and not os.path.lexists(run.paths.folder):
        raise explain(run.paths, not_found(address))
    if request.create:
        atomic.create_folders(address.root)
    run.group.run_alone(lambda: _start(run, request))
    if run.is_owner:
        call_at_exit(end_left_open)
    return run


def _start(run: OpenRun, request: StartRequest) -> None:
    refuse_deleted(*run.paths.address[:2])
    try:
        run.meta = read_state(run.paths, run.files.seen)
    except FileNotFoundError:
        if not request.create:
            raise not_found(run.paths.address) from None
        _create(run, request)
        return
    if run.meta.get("status", RUNNING) == RUNNING:
        # Nobody becomes the owner of a run that was started to have none: its exit would end the run.
        is_for_owners = request.take_ownership and run.meta.get("owned") is not False
        if is_for_owners and not run.is_owner and run.take_ownership():
            run.end_at_exit = request.end_at_exit
            _record_owner(run)
    elif request.resume:
        _resume(run, request)
    else:
        run.end_with(run.meta)


def _create(run: OpenRun, request: StartRequest) -> None:
    paths = run.paths
    # Who made a run of this id before may still have it open, and know of its log what would be wrong of this one's:
    # in a log that is there, with numbers that no former one had, it finds out before it stores anything.
    is_reborn = exists(paths.owner_lock)
    meta = compose_meta(paths.address, request)
    if is_reborn:
        meta["commit"] = draw_number()
    run.take_ownership()
    inside = False
    try:
        atomic.create_folder(paths.experiment)
        atomic.create_folder(paths.folder)
        # A real folder, whoever made it: one that was killed here before may have.
        inside = True
        if is_reborn:
            run.claim_ownership()
            atomic.create_folder(paths.log)
        durable, data = run.settings.fsync == "always", dump_meta(meta)
        atomic.write_file(paths.folder, META, data, durable)
        if durable:
            sync_way_down(run)
        # Once more: who deletes the experiment meanwhile may have gone through its runs before this one stood there.
        refuse_deleted(*paths.address[:2])
        run.files.note_creation(data, meta)
    except BaseException:
        run.give_up_ownership()
        if inside:
            _undo_creation(run)
        raise
    run.meta, run.end_at_exit = meta, request.end_at_exit
    if not request.take_ownership:
        # Not earlier, and taken all the same: the lock's file tells whoever makes a run of this id anew.
        run.give_up_ownership()


def _undo_creation(run: OpenRun) -> None:
    try:
        atomic.remove_file(run.paths.meta)
        atomic.remove_folder(run.paths.log)
        atomic.remove_folder(run.paths.folder)
    except OSError:
        # An empty folder shows nowhere, and the next run of that id moves in.
        pass


def take_back(run: OpenRun) -> None:
    """The run is gone again, which the caller has just made, which nobody else knows, and to which nothing was logged.

    Raises:
        LockTimeout, OSError: it may stand as it did.
    """
    run.group.run_alone(lambda: _take_back(run))


def _take_back(run: OpenRun) -> None:
    run.files.forget()
    run.give_up_ownership()
    for kind in (PARAMS, METRICS, TAGS):
        atomic.remove_folder(run.paths.kind_folder(kind))
    _undo_creation(run)


def _record_owner(run: OpenRun) -> None:
    owner = _owner()
    if any(run.meta.get(name) != value for name, value in owner.items()):
        try:
            replace_meta(run, dict(run.meta, **owner))
        except BaseException:
            run.give_up_ownership()
            raise


def _owner() -> Dict[str, Any]:
    origin = collect_origin()
    return {name: origin.get(name) for name in ("user", "host", "pid")}


def _resume(run: OpenRun, request: StartRequest) -> None:
    meta = {name: value for name, value in run.meta.items() if name != "owned"}
    if request.take_ownership:
        meta.update(_owner())
        run.claim_ownership()
    else:
        meta["owned"] = False
    try:
        restore(run)
        # While a snapshot stands, readers take the run for ended: it goes first, for good, and the status follows.
        remove_snapshot(run)
        replace_meta(run, dict(meta, status=RUNNING, end_time=None))
    except BaseException:
        run.give_up_ownership()
        raise
    run.ended, run.end_at_exit = False, request.end_at_exit


def end(run: OpenRun, status: str, end_time: Optional[str] = None) -> None:
    """The run has ended with ``status``; what was logged is in its documents and in its snapshot.

    Args:
        end_time: ISO 8601 in UTC; None is now.

    Raises:
        RunEndedError: it had ended already ("already ended"), or (RunDeletedError) lies in the trash.
        LockTimeout, OSError: it has not ended; everything logged is still there, and `end` may be called again.
    """
    if run.ended:
        raise _already_ended(run)
    try:
        run.group.run_alone(lambda: end_alone(run, status, end_time))
    except RunEndedError:
        run.note_end()
        raise
    run.let_go()


def _already_ended(run: OpenRun) -> RunEndedError:
    return RunEndedError("Run %r is already ended with status %s" % (run.paths.address.run_id, run.meta.get("status")))


def end_alone(run: OpenRun, status: str, end_time: Optional[str] = None) -> None:
    """As `end`, for the holder of the run's lock; ``end_time`` None is now."""
    while not _end_unless_overtaken(run, status, end_time or now_iso()):
        pass
    if not run.files.reentered:
        _remove_log(run)
    # Under the lock still: whoever resumes the run next must find the owner lock free.
    run.end_with(run.meta)


def _end_unless_overtaken(run: OpenRun, status: str, end_time: str) -> bool:
    """True if the run has ended; False if a signal handler logged, or ended it, before the snapshot stood."""
    files, sync = run.files, run.settings.fsync != "never"
    generation = files.generation
    before = read_state(run.paths, run.files.seen)
    if before.get("status", RUNNING) != RUNNING:
        # Here and not later: who resumes it in between would not own it, and this process may be at its exit.
        run.end_with(before)
        raise _already_ended(run)
    in_log = files.refresh_all()
    documents = gather_documents(run.paths, run.files.seen)
    last = max(in_log, documents.commit, last_commit(before))
    after = dict(before, status=status, end_time=end_time, commit=last)
    if sync:
        files.folding.make_durable(documents.beside_snapshot())
    # What needs space or a descriptor fails here, before the commit point.
    with atomic.staged(run.paths.folder, SNAPSHOT, documents.dump(after)) as snapshot:
        # Not synced, which would cost as much again as an end: beside a snapshot, nobody needs it.
        with atomic.staged(run.paths.folder, META, dump_meta(after)) as meta:
            snapshot.publish()
            # From here on a handler is refused. What one logged until now is not in this snapshot.
            if files.generation != generation:
                _take_back_end(run, sync)
                return False
            try:
                if sync:
                    # After the rename, as `new_files` says: until it is synced, the log and the documents tell all.
                    atomic.sync_file(run.paths.snapshot)
                    sync_way_down(run)
                meta.publish()
            except OSError:
                _take_back_end(run, sync)
                raise
    run.meta = after
    return True


def _take_back_end(run: OpenRun, sync: bool) -> None:
    run.files.forget()
    atomic.remove_file(run.paths.snapshot)
    if sync:
        run.files.taken_back = True
        try:
            run.files.confirm_taking_back()
        except OSError:
            # The first error is the one to tell. The next call tries again before it stores anything.
            pass


def _remove_log(run: OpenRun) -> None:
    try:
        run.files.remove_log()
    except OSError:
        # The run has ended; commits that are in its documents already cost a reader time, and change nothing.
        run.files.forget()


def end_left_open() -> None:
    """The runs that this process owns and has left open are ended: FAILED if an uncaught exception is what ends the
    process, else FINISHED. A run that cannot be ended stays RUNNING, with a warning, and shows as CRASHED. One that
    another process has ended and resumed meanwhile is that one's to end, and one that was started so is left open."""
    status = FAILED if is_crashing() else FINISHED
    for run in owned_runs():
        if not run.end_at_exit:
            continue
        try:
            now = read_state(run.paths, Seen())
            if any(now.get(name) != run.meta.get(name) for name in ("host", "pid", "owned")):
                run.give_up_ownership()
            else:
                end(run, status)
        except RunDeletedError:
            run.give_up_ownership()
        except RunEndedError:
            continue
        except (OSError, MiniMlflowError) as error:
            if isinstance(error, FileNotFoundError) and exists(os.path.dirname(run.paths.trashed)):
                # Where runs have been deleted, it is gc that took this one, which is nobody's to end.
                run.give_up_ownership()
                continue
            warnings.warn("a run was left open: %s" % error, UnfinishedRunWarning, stacklevel=2)
