"""Artifacts of a run: files and folders of the user's, and what the library makes into files for them.

A call goes: look at the source, make a folder to stage in (`writing.staging`), copy, sync, and let it take its place
(`writing.placing`). Only the second step and the last are under the run's lock, and both are short: other threads and
processes log meanwhile. The last is one rename. So an artifact is there whole or not at all, and of a folder all or
nothing, but where `placing` says that the system cannot do that.

What a call has logged is synced before it returns, unless the level is "never": under "end", which promises it
only for the end, an end need not go through all artifacts for that.

A run that has ended takes artifacts too: nothing in its snapshot speaks of them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Optional, Tuple

from mini_mlflow.disk import atomic, copying
from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.disk.layout import ARTIFACTS
from mini_mlflow.writing.open_runs import OpenRun, get_open_run
from mini_mlflow.writing.placing import place, sync_files, sync_folders
from mini_mlflow.writing.run_state import deleted_meanwhile, read_state
from mini_mlflow.writing.sources import identify_own, iter_source, measure_file, resolve_source
from mini_mlflow.writing.staging import Staging, sweep_stagings

#: Is told how many bytes are copied, and of how many, as the source was when the call began.
Progress = Callable[[int, int], Any]


class _Counter:
    """Adds up pieces for a `Progress`; None: for nobody."""

    def __init__(self, total_bytes: int, progress: Optional[Progress]) -> None:
        self._done = 0
        self._total = total_bytes
        self._progress = progress

    def count(self, size_bytes: int) -> None:
        self._done += size_bytes
        if self._progress is not None:
            self._progress(self._done, max(self._total, self._done))


def log_path(run: OpenRun, local_path: Any, artifact_path: Any, progress: Optional[Progress]) -> None:
    """The file or folder ``local_path`` stands under its own name in the folder ``artifact_path`` (None: at the top).

    Raises:
        InvalidPathError, InvalidTypeError: a path or a source that cannot be logged.
        FileNotFoundError: there is no such source, or no such run.
        OSError: what `placing.place` raises, what the system does, or LockTimeout. Nothing was stored in any case.
    """
    source = resolve_source(local_path, "local_path")
    name = check_artifact_path(os.path.basename(source), "the name of a file to log")
    target = _join(artifact_path, name)
    if os.path.isdir(source):
        _log_folder(run, source, target, progress)
        return
    counter = _Counter(measure_file(source), progress)
    with _staged(run) as staging:
        folder = staging.make_folder(os.path.dirname(target))
        copying.copy_file(source, "%s/%s" % (folder, os.path.basename(target)), counter.count)


def log_folder(run: OpenRun, local_dir: Any, artifact_path: Any, progress: Optional[Progress]) -> None:
    """All that is in the folder ``local_dir`` stands in the folder ``artifact_path`` (None: at the top).

    Raises:
        NotADirectoryError: it is no folder.
        InvalidPathError, InvalidTypeError, OSError: as `log_path`.
    """
    source = resolve_source(local_dir, "local_dir")
    _log_folder(run, source, _join(artifact_path, None), progress)


def _log_folder(run: OpenRun, source: str, target: str, progress: Optional[Progress]) -> None:
    refused = identify_own(run.paths)
    # Looked through once before anything is made: what cannot be logged costs no copy of the rest.
    total = sum(max(entry.size_bytes, 0) for entry in iter_source(source, refused))
    counter = _Counter(total, progress)
    with _staged(run) as staging:
        top = staging.make_folder(target)
        for entry in iter_source(source, refused):
            path = "%s/%s" % (top, entry.name)
            if entry.is_folder:
                atomic.create_folder(path)
            else:
                copying.copy_file(entry.path, path, counter.count)


def log_files(
    run: OpenRun, files: Iterable[Tuple[str, str]], link: bool, total_bytes: int, progress: Optional[Progress]
) -> int:
    """Files of anybody's stand among the artifacts, all in one step: ``(path, artifact)`` for each.

    Args:
        files: each a regular file or a link to one, and its place relative to the artifacts.
        link: by a second name for the file itself, where the file system can do that, and not by a copy.
        total_bytes: what they come to, for ``progress``.

    Returns:
        How many of them are such second names.

    Raises:
        InvalidPathError, OSError: as `log_path`.
    """
    counter = _Counter(total_bytes, progress)
    linked = 0
    with _staged(run) as staging:
        for source, artifact in files:
            below, name = os.path.split(check_artifact_path(artifact, "the name of a file to log"))
            path = "%s/%s" % (staging.make_folder(below), name)
            linked += copying.link_or_copy(source, path, link, counter.count)
    return linked


def log_bytes(run: OpenRun, data: bytes, artifact_file: Any) -> None:
    """The artifact ``artifact_file`` holds exactly ``data``. Raises as `log_path`."""
    target = check_artifact_path(artifact_file, "artifact_file")
    with _staged(run) as staging:
        folder = staging.make_folder(os.path.dirname(target))
        atomic.write_file(folder, os.path.basename(target), data, sync=False)


def _join(artifact_path: Any, name: Optional[str]) -> str:
    checked = None if artifact_path is None else check_artifact_path(artifact_path)
    return "/".join(part for part in (checked, name) if part is not None)


@contextmanager
def _staged(run: OpenRun) -> Iterator[Staging]:
    """A folder to make and to fill within the block; all that it holds then are artifacts afterwards.

    Raises:
        RunDeletedError: the run was deleted meanwhile, also if it was restored since.
        FileNotFoundError: the run is gone, or its folder was moved away by other means.
        OSError: with ``filename`` set, to where the file would have come to stand; nothing was stored.
    """
    has_ended = run.ended
    if has_ended:
        # One that is known to the hooks of a fork, as one that has let go of its run is not.
        run = get_open_run(run.paths.address, run.settings)
    sync = run.settings.fsync != "never"
    staging = Staging(run.paths)
    try:
        run.group.run_alone(lambda: _open(run, staging))
        yield staging
        if sync:
            sync_files(staging.content)
            sync_folders(staging.content)
        run.group.run_alone(lambda: _place(run, staging, sync))
    except OSError as error:
        if isinstance(error.filename, str) and error.filename.startswith(staging.content):
            error.filename = run.paths.artifacts + error.filename[len(staging.content) :]
            if isinstance(error, FileNotFoundError) and _was_deleted(run, staging):
                raise deleted_meanwhile(run.paths) from None
        raise
    finally:
        _clear_away(run, staging)
        if has_ended:
            run.note_end()


def _open(run: OpenRun, staging: Staging) -> None:
    read_state(run.paths, run.files.seen)
    sweep_stagings(run.paths)
    staging.open(run.settings.lock_timeout_s)


def _place(run: OpenRun, staging: Staging, sync: bool) -> None:
    # It may have been deleted meanwhile.
    read_state(run.paths, run.files.seen)
    run.files.folding.durability.sync_way_to(ARTIFACTS)
    place(staging.content, run.paths.artifacts, sync)
    if not os.path.lexists(staging.content):
        # Nothing is left that would take time to remove.
        staging.remove()


def _was_deleted(run: OpenRun, staging: Staging) -> bool:
    """Whether a deletion is why the staged content is not where it was: nothing else moves a run back and forth."""
    # The trash once more: it may have gone there between the first look and the second.
    return any(os.path.lexists(path) for path in (run.paths.trashed, staging.folder, run.paths.trashed))


def _clear_away(run: OpenRun, staging: Staging) -> None:
    try:
        if staging.is_open:
            staging.empty()
            run.group.run_alone(staging.remove)
    except OSError:
        # The lock cannot be had: whoever gets it next sweeps.
        pass
    finally:
        staging.close()
