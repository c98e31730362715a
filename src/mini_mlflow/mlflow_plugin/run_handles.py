"""The runs that a store has to do with: where each stands, and those that are open for writing in this process.

MLflow names a run by its id alone. Which experiment it belongs to is looked for once and remembered, since no run ever
changes it; whether it lies in the trash is looked at each time.

Runs stay open after a call, as the next one comes a moment later. How many is bounded: each keeps two descriptors. A
run that has to make room and is owned by this process is marked as owned by nobody first: it would read as CRASHED
else. Nothing here needs a lock: of two threads that open one run at once both get the same.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import List, NamedTuple, Optional

from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.regular import exists, read_file
from mini_mlflow.entities import RunAddress, Settings
from mini_mlflow.errors import (
    ExperimentDeletedError,
    InvalidKeyError,
    InvalidTypeError,
    MiniMlflowError,
    RunDeletedError,
)
from mini_mlflow.mlflow_plugin.refusals import run_is_deleted, run_not_found
from mini_mlflow.reading.addresses import list_experiment_ids
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.run_view import read_run
from mini_mlflow.writing import lifecycle
from mini_mlflow.writing.amending import amend
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.start_request import StartRequest

_OPEN_AT_MOST = 100
_REMEMBERED_AT_MOST = 100_000
# A run is hardly deleted and restored as often in the time of as many looks.
_MOVED_AT_MOST = 5


class Standing(NamedTuple):
    """Where a run stands: its folder is in its experiment, or in the trash."""

    address: RunAddress
    is_deleted: bool

    @property
    def paths(self) -> RunPaths:
        return RunPaths.in_trash(self.address) if self.is_deleted else RunPaths.of(self.address)


class RunHandles:
    """What one store knows of the runs of its tree.

    Args:
        is_server: runs that it opens are not owned by this process.
    """

    def __init__(self, root: str, settings: Settings, is_server: bool) -> None:
        self._root = root
        self._settings = settings
        self._is_server = is_server
        self._experiments: OrderedDict[str, int] = OrderedDict()
        self._open: OrderedDict[str, OpenRun] = OrderedDict()

    # -- where they stand --------------------------------------------------------------------------------------

    def find(self, run_id: str) -> Standing:
        """Where the run stands. Raises MlflowException: nowhere."""
        try:
            checked = check_run_id(run_id)
        except (InvalidKeyError, InvalidTypeError):
            raise run_not_found(run_id) from None
        known = self._experiments.get(checked)
        found = None if known is None else self._look(checked, [known])
        if found is None:
            found = self._look(checked, list_experiment_ids(self._root))
        if found is None:
            raise run_not_found(run_id)
        self._remember(found.address)
        return found

    def _look(self, run_id: str, numbers: List[int]) -> Optional[Standing]:
        for is_deleted in (False, True):
            for number in numbers:
                standing = Standing(RunAddress(self._root, number, run_id), is_deleted)
                paths = standing.paths
                if exists(paths.meta) or exists(paths.snapshot):
                    return standing
        return None

    def _remember(self, address: RunAddress) -> None:
        self._experiments[address.run_id] = address.experiment_id
        if len(self._experiments) > _REMEMBERED_AT_MOST:
            self._experiments.popitem(last=False)

    # -- reading -----------------------------------------------------------------------------------------------

    def read(self, run_id: str) -> tuple[FoundRun, bool]:
        """The run as it stands, and whether it lies in the trash.

        Raises:
            MlflowException: there is no such run.
            DamagedFileError, OSError: it cannot be read.
        """
        for _ in range(_MOVED_AT_MOST):
            standing = self.find(run_id)
            try:
                return read_standing(standing), standing.is_deleted
            except FileNotFoundError:
                # Deleted or restored in between.
                continue
        raise run_not_found(run_id)

    # -- writing -----------------------------------------------------------------------------------------------

    def start(self, address: RunAddress, request: StartRequest) -> OpenRun:
        """A run that is made, or goes on after its end, open from now on. Raises as `lifecycle.start`."""
        asked = request._replace(take_ownership=not self._is_server, end_at_exit=False)
        run = lifecycle.start(address, asked, self._settings)
        self._remember(address)
        self._keep(run)
        return run

    def if_open(self, run_id: str) -> Optional[OpenRun]:
        """The run, if it is open here, so far as this process knows; None if not."""
        run = self._open.get(run_id)
        return None if run is None or run.ended else run

    def open(self, run_id: str) -> OpenRun:
        """The run, for logging. One that has ended comes as that (``ended``), and is opened anew each time.

        Raises:
            MlflowException: there is no such run, or it is deleted.
            DamagedFileError, OSError: as `lifecycle.start`.
        """
        run = self.if_open(run_id)
        if run is not None:
            return run
        standing = self.find(run_id)
        if standing.is_deleted:
            raise run_is_deleted(run_id)
        try:
            return self.start(standing.address, StartRequest(create=False))
        except (RunDeletedError, ExperimentDeletedError):
            raise run_is_deleted(run_id) from None
        except FileNotFoundError:
            raise run_not_found(run_id) from None

    def forget(self, run_id: str) -> None:
        """The run is looked for anew at the next call."""
        self._open.pop(run_id, None)
        self._experiments.pop(run_id, None)

    def _keep(self, run: OpenRun) -> None:
        run_id = run.paths.address.run_id
        if run.ended:
            self._open.pop(run_id, None)
            return
        self._open[run_id] = run
        while len(self._open) > _OPEN_AT_MOST:
            _let_go(self._open.popitem(last=False)[1])


def _let_go(run: OpenRun) -> None:
    if run.is_owner:
        try:
            amend(run, meta={"owned": False})
            run.give_up_ownership()
        except (OSError, MiniMlflowError):
            # Ended, deleted or unwritable meanwhile: it stays open, which is what its owner lock says.
            return
    run.close_lock()


def read_standing(standing: Standing) -> FoundRun:
    """The run, from its snapshot where it has ended.

    Raises:
        FileNotFoundError: it does not stand there any more.
        DamagedFileError, OSError: it cannot be read.
    """
    paths = standing.paths
    try:
        run = FoundRun.of_snapshot(standing.address, read_file(paths.snapshot))
    except FileNotFoundError:
        run = None
    return run or FoundRun(standing.address, None, read_run(paths))
