"""Deleting a run, bringing it back, and removing it for good; each whole or not at all, under the run's lock.

A run is deleted by one rename, of ``<experiment>/<run_id>`` to ``.trash/<experiment>/<run_id>``, and restored by the
same the other way: that is the commit point of each. Its lock files stay where they are, so whoever has the run open
meets the same lock before, while and after it lies in the trash; it finds the folder gone then, raises
RunDeletedError, and makes nothing, since only the creation of a run makes a run's folder, and that refuses an id
that lies in the trash.

**When** it was deleted must be exact, for gc goes by it. It stands in ``deleted.json``, written into the folder before
the rename. (A folder's times follow from copies and from the system; a list of deletions beside the trash would be a
second truth.) A kill in between leaves that file in a run that is not deleted, as does one between the rename of a
restore and the file's removal: nobody reads it there, the next deletion replaces it, the end of the run sweeps it.

gc renames a run out of the trash to ``.trash/.tmp-*`` (the commit point) and only then removes it, file by file. What
a kill leaves of that has no name any more, and the next gc removes it. One gc at a time works in a tree.

Power cuts: at the levels "end" and "always", the folder that is to hold the run is on the medium, and the way down to
it, before the rename; the rename itself is when the call returns. A file system that journals keeps both sides of a
rename or none, so the run is in one place, the old or the new. With "never" nothing is promised: a run that gc was
removing may be back in the trash with some of its files.

Not guaranteed: that a restored run is exactly where a cut finds it if the processes that log to it ask for more
(``fsync="always"``) than the one that restored it; what they stored is then in the trash, with the run.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Iterable, List, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.keys import TEMPORARY_PREFIX
from mini_mlflow.disk.layout import DELETION, GC_LOCK, RunPaths, trash_folder
from mini_mlflow.disk.regular import exists, list_folder, read_file
from mini_mlflow.disk.removing import remove_tree
from mini_mlflow.entities import DeletedRun, RunAddress, Settings
from mini_mlflow.errors import DamagedFileError, RunExistsError, RunNotFoundError
from mini_mlflow.formats.deletions import dump_deletion, parse_deletion
from mini_mlflow.formats.times import now_iso
from mini_mlflow.writing.experiment_files import is_deleted, refuse_deleted
from mini_mlflow.writing.open_runs import OpenRun, get_open_run
from mini_mlflow.writing.run_state import not_found
from mini_mlflow.writing.tree_lock import held


def delete(address: RunAddress, settings: Settings) -> None:
    """The run is in the trash, whole, with everything that was logged to it.

    Raises:
        RunNotFoundError: there is no such run (any more).
        RunExistsError: another run of that id lies in the trash already.
        OutsideTreeError, LockTimeout, OSError: the run stands where it stood (unless the disk refuses to undo).
    """
    run = get_open_run(address, settings)
    if not os.path.lexists(run.paths.folder):
        raise not_found(address)
    run.group.run_alone(lambda: _delete(run))


def _delete(run: OpenRun) -> None:
    paths, sync = run.paths, run.settings.fsync != "never"
    try:
        atomic.check_folder(paths.experiment)
        atomic.check_folder(paths.folder)
    except FileNotFoundError:
        raise not_found(paths.address) from None
    if not (exists(paths.meta) or exists(paths.snapshot)):
        raise not_found(paths.address)
    if exists(paths.trashed):
        raise _exists(paths, paths.trashed, "lies in the trash already; gc() removes it, or move it away")
    trash, shelf = trash_folder(paths.address.root), os.path.dirname(paths.trashed)
    atomic.create_folder(trash)
    atomic.create_folder(shelf)
    if sync:
        # Whoever made them: with the run in a folder that a cut takes, the run would be gone.
        for folder in (trash, paths.address.root):
            atomic.sync_folder(folder)
    try:
        atomic.write_file(paths.folder, DELETION, dump_deletion(now_iso()), sync)
        move_synced(paths.folder, paths.trashed, sync)
    except BaseException:
        _remove_mark(paths)
        raise
    finally:
        run.files.forget()


def restore(address: RunAddress, settings: Settings, with_experiment: bool = False) -> None:
    """The run stands in its experiment again, as it was; whoever had it open goes on logging to it.

    Args:
        with_experiment: the experiment is deleted, and all of its runs are brought back before it is itself.

    Raises:
        RunNotFoundError: it is not in the trash.
        RunExistsError: a run of that id stands in the experiment.
        ExperimentDeletedError: the experiment is deleted, and not about to be restored; it lies in the trash.
        OutsideTreeError, LockTimeout, OSError: it lies in the trash as it did.
    """
    run = get_open_run(address, settings)
    if not os.path.lexists(run.paths.trashed):
        raise _not_in_trash(run.paths)
    run.group.run_alone(lambda: _restore(run, with_experiment))


def _restore(run: OpenRun, with_experiment: bool) -> None:
    paths, sync = run.paths, run.settings.fsync != "never"
    if not with_experiment:
        refuse_deleted(*paths.address[:2])
    try:
        atomic.check_folder(trash_folder(paths.address.root))
        atomic.check_folder(os.path.dirname(paths.trashed))
        atomic.check_folder(paths.trashed)
    except FileNotFoundError:
        raise _not_in_trash(paths) from None
    atomic.create_folder(paths.experiment)
    if sync:
        atomic.sync_folder(paths.address.root)
    try:
        move_synced(paths.trashed, paths.folder, sync)
        if not with_experiment and is_deleted(*paths.address[:2]):
            # It was marked as deleted before this run stood in it: whoever did so may have gone through its runs.
            move_synced(paths.folder, paths.trashed, sync)
            refuse_deleted(*paths.address[:2])
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _exists(paths, paths.folder, "stands there; delete it first, or move it away") from None
        raise
    finally:
        run.files.forget()
    _remove_mark(paths)


def _remove_mark(paths: RunPaths) -> None:
    try:
        atomic.remove_file(paths.deletion)
    except OSError:
        # The end of the run sweeps it.
        pass


def move_synced(path: str, target: str, sync: bool) -> None:
    """The folder stands at ``target``, and with ``sync`` does after a power cut. Else raises, and it is at ``path``."""
    atomic.move(path, target)
    if sync:
        try:
            # The new name first: where a cut could tear the two apart, twice there is better than nowhere.
            atomic.sync_folder(os.path.dirname(target))
            atomic.sync_folder(os.path.dirname(path))
        except OSError:
            atomic.move(target, path)
            raise


def _not_in_trash(paths: RunPaths) -> RunNotFoundError:
    text = "Run %r of experiment %d is not in the trash; list_deleted_runs() tells what is"
    return RunNotFoundError(errno.ENOENT, text % paths.address[2:0:-1], paths.trashed)


def _exists(paths: RunPaths, where: str, what: str) -> RunExistsError:
    return RunExistsError(errno.EEXIST, "A run %r of experiment %d %s" % (*paths.address[2:0:-1], what), where)


# -- gc ------------------------------------------------------------------------------------------------------------


def gc(root: str, due: Iterable[DeletedRun], settings: Settings) -> List[str]:
    """The runs that are ``due`` are gone for good, and so is what a gc that was killed left.

    One that was restored since it was found due is left alone, also if it was deleted anew.

    Returns:
        The ids of the runs that this call removed, in order.

    Raises:
        LockTimeout, OSError: the run at which it happened and those after it are in the trash as they were; those
            before it are gone.
    """
    trash, removed = trash_folder(root), []
    if not exists(trash):
        return []
    with held(root, GC_LOCK, settings.lock_timeout_s):
        for name in list_folder(trash):
            if name.startswith(TEMPORARY_PREFIX):
                remove_tree(os.path.join(trash, name))
        for one in due:
            temporary = atomic.name_temporary(trash)
            run = get_open_run(RunAddress(root, one.experiment_id, one.run_id), settings)
            if run.group.run_alone(functools.partial(_take_out, run, one, temporary)):
                removed.append(one.run_id)
                remove_tree(temporary)
    return removed


def _take_out(run: OpenRun, deleted: DeletedRun, temporary: str) -> bool:
    paths = RunPaths.in_trash(run.paths.address)
    if not exists(paths.folder) or _deleted_at(paths) != deleted.deleted_at:
        return False
    # Synced before anything of it is removed, or a cut would bring half a run back into the trash.
    move_synced(paths.folder, temporary, run.settings.fsync != "never")
    return True


def _deleted_at(paths: RunPaths) -> Optional[str]:
    try:
        return parse_deletion(read_file(paths.deletion), paths.deletion)
    except (OSError, DamagedFileError):
        return None
