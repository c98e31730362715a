"""The tree that things come into: what stands there already, and how hard to try."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from mini_mlflow import fluent
from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.disk.layout import RunPaths, resolve_root, trash_folder
from mini_mlflow.disk.regular import iter_folders
from mini_mlflow.entities import RunAddress, Settings, resolve_settings
from mini_mlflow.errors import InvalidKeyError, InvalidValueError
from mini_mlflow.exchange.artifact_files import check_choice

#: Is told how many runs are dealt with, and of how many; None: nobody knows.
Progress = Callable[[int, Optional[int]], object]


class Target(NamedTuple):
    """Where to, and how.

    Attributes:
        root: the absolute path of the tree.
        settings: as for a run.
        artifacts: one of `artifact_files.CHOICES`.
        dry_run: everything is compared, and nothing changed.
    """

    root: str
    settings: Settings
    artifacts: str = "copy"
    dry_run: bool = False

    def check_apart(self, source: str) -> None:
        """Raises InvalidValueError if ``source`` is this very tree."""
        if os.path.realpath(source) == os.path.realpath(self.root):
            raise InvalidValueError(
                "%s cannot come into itself: name another tree, as in --runs-dir runs or runs_dir='runs'" % source
            )


def make_target(
    runs_dir: Any, artifacts: str, dry_run: bool, fsync: Optional[str], lock_timeout_s: Optional[float]
) -> Target:
    """The target of these arguments; ``runs_dir`` None is the tree of `start_run`. Raises ValueError, TypeError."""
    root = fluent.tree_root() if runs_dir is None else resolve_root(runs_dir)
    return Target(root, resolve_settings(fsync, lock_timeout_s), check_choice(artifacts), dry_run)


class Standing(NamedTuple):
    """Where a run stands in the tree."""

    address: RunAddress
    in_trash: bool

    @property
    def paths(self) -> RunPaths:
        return RunPaths.in_trash(self.address) if self.in_trash else RunPaths.of(self.address)


def locate_runs(root: str) -> Dict[str, Standing]:
    """Where each run of the tree stands, by its id; of two with one id, the one that is not deleted."""
    found: Dict[str, Standing] = {}
    for in_trash, top in ((True, trash_folder(root)), (False, root + "/.")):
        for number, folder in _experiments(top):
            for name, is_real in iter_folders(folder):
                try:
                    address = RunAddress(root, number, check_run_id(name))
                except InvalidKeyError:
                    continue
                if is_real:
                    found[name] = Standing(address, in_trash)
    return {run_id: standing for run_id, standing in found.items() if _is_run(standing)}


def _experiments(top: str) -> Iterator[Tuple[int, str]]:
    for name, is_real in iter_folders(top):
        try:
            number = check_experiment_id(name)
        except InvalidValueError:
            continue
        if is_real:
            yield number, os.path.join(top, name)


def _is_run(standing: Standing) -> bool:
    # An empty folder is what a killed start has left, and the folders of MLflow's models and traces are no runs.
    paths = standing.paths
    return os.path.exists(paths.meta) or os.path.exists(paths.snapshot)
