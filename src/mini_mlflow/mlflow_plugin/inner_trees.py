"""The logged models and the traces of a tree: runs of two trees of their own inside it.

A logged model, or a trace, is one run of such a tree, under the experiment that it belongs to: its tags and params
are those of the run, and what else MLflow knows of it stands in one tag, its record. A trace ends as soon as it is
made, and a model when it is finalized: from then on it lists and searches from one small file, and is amended, by any
number of threads and processes, each change whole or not at all. What is changed of a run that has ended is a new
snapshot, and grows with it; so where a change is one of many (the metrics of a model) the run goes on, and stays open.

The commit that brings the record is what makes it: a run without one, which a kill may leave, is none, and whoever
makes one of that id again moves in. Deleted ones lie in the inner tree's own trash.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Iterable, Iterator, List, Optional

from mini_mlflow.disk.keys import check_run_id, quote_key, unquote_name
from mini_mlflow.disk.layout import TAGS, RunPaths, inner_trees
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import FINISHED, DeletedRun, RunAddress, Settings
from mini_mlflow.errors import (
    InvalidKeyError,
    RunDeletedError,
    RunEndedError,
    RunNotFoundError,
)
from mini_mlflow.formats.mlflow_records import MODEL, TRACE, to_fields
from mini_mlflow.mlflow_plugin.arguments import to_known_number
from mini_mlflow.mlflow_plugin.run_cache import RunCache
from mini_mlflow.reading.addresses import iter_addresses, list_experiment_ids
from mini_mlflow.reading.experiments import is_deleted
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.run_view import RunView, read_run
from mini_mlflow.reading.search import iter_runs
from mini_mlflow.reading.trash import find_deleted, has_lain, list_deleted
from mini_mlflow.writing import lifecycle, trash
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.operations import Submission
from mini_mlflow.writing.run_state import not_found
from mini_mlflow.writing.start_request import StartRequest

#: Makes the changes from what stands, under the lock: nothing changes in between. What it raises, the call raises.
Decide = Callable[[RunView], Submission]


class InnerTree:
    """One of them.

    Args:
        root: where it stands.
        record: the key of the tag without which a run is none.
    """

    def __init__(self, root: str, record: str, settings: Settings) -> None:
        self.root = root
        self._record = record
        self._settings = settings

    def address(self, experiment_id: int, item_id: str) -> RunAddress:
        """Where the one of that id stands, or would. Raises InvalidKeyError if it cannot be a file's name."""
        return RunAddress(self.root, experiment_id, check_run_id(quote_key(item_id)))

    def find(self, item_id: str) -> Optional[RunAddress]:
        """Where it stands, in whatever experiment; None if there is none, or it is deleted."""
        try:
            run_id = self.address(0, item_id).run_id
        except InvalidKeyError:
            return None
        for number in list_experiment_ids(self.root):
            address = RunAddress(self.root, number, run_id)
            paths = RunPaths.of(address)
            if exists(paths.snapshot) or exists(paths.meta):
                return address
        return None

    def read(self, address: RunAddress, deleted: bool = False) -> Optional[RunView]:
        """It as it stands, or with ``deleted`` lies in the trash; None if it does not."""
        try:
            view = read_run(RunPaths.in_trash(address) if deleted else RunPaths.of(address))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return view if to_fields(view.tags.get(self._record)) else None

    def iterate(self, experiment_ids: Optional[Iterable[int]]) -> Iterator[FoundRun]:
        """Those of the experiments (None: of all), in no order."""
        numbers = list_experiment_ids(self.root) if experiment_ids is None else list(dict.fromkeys(experiment_ids))
        for run in iter_runs(self.root, numbers):
            if to_fields(run.tags.get(self._record)):
                yield run

    def search(self, cache: RunCache, experiment_ids: Optional[Iterable[int]]) -> List[Any]:
        """The same, but what the tree's cache makes of each, in no order."""
        numbers = list_experiment_ids(self.root) if experiment_ids is None else list(dict.fromkeys(experiment_ids))
        found: List[Any] = []
        for number in numbers:
            if not is_deleted(self.root, number):
                look = cache.look(number)
                found += look.ended.items
                found += look.others
        return found

    def create(self, address: RunAddress, request: StartRequest, decide: Decide) -> None:
        """It stands, open, with what ``decide`` made of what stood there (an empty view, or one of that id), whole.

        Raises:
            RunDeletedError: one of that id lies in the trash.
            LockTimeout, OSError: nothing that shows was stored, or what stood there is as it was.
        """
        run = self._start(address, request)
        self._amend(address, lambda: decide(read_run(run.paths)))

    def end(self, address: RunAddress) -> None:
        """It lists and searches from one file, if that can be had; what is stored of it is stored either way."""
        try:
            run = self._start(address, StartRequest(create=False))
            if not run.ended:
                lifecycle.end(run, FINISHED)
        except (RunNotFoundError, RunEndedError, OSError):
            # Somebody else was faster, or the disk refuses, which costs time alone.
            pass

    def _start(self, address: RunAddress, request: StartRequest) -> OpenRun:
        return lifecycle.start(address, request._replace(take_ownership=False, end_at_exit=False), self._settings)

    def add(self, item_id: str, submission: Submission) -> bool:
        """What is submitted, which does not depend on what stands, is stored too. False if there is no such one.

        One that has ended goes on: whoever adds once adds again.
        """
        address = self.find(item_id)
        if address is None:
            return False
        paths = RunPaths.of(address)
        # Not read as a whole unless a kill has left the record in the log: it may have thousands of tags.
        if not exists(paths.document(TAGS, self._record)) and self.read(address) is None:
            return False
        try:
            if exists(paths.snapshot):
                self._start(address, StartRequest(create=False, resume=True))
            amend_at(address, self._settings, submission)
        except (RunNotFoundError, RunDeletedError):
            return False
        return True

    def change(self, item_id: str, decide: Decide) -> Optional[RunAddress]:
        """What ``decide`` made of it is stored, whole. None if there is no such one, and nothing was stored."""
        address = self.find(item_id)
        if address is None:
            return None
        try:
            self._amend(address, partial(self._decide, address, decide))
        except (RunNotFoundError, RunDeletedError):
            return None
        return address

    def _decide(self, address: RunAddress, decide: Decide) -> Submission:
        return decide(self._require(address))

    def _require(self, address: RunAddress) -> RunView:
        view = self.read(address)
        if view is None:
            raise not_found(address)
        return view

    def _amend(self, address: RunAddress, make: Callable[[], Submission]) -> None:
        amend_at(address, self._settings, compute=lambda _: make())

    # -- the trash ---------------------------------------------------------------------------------------------

    def list_deleted(self, older_than_s: float = 0.0) -> List[DeletedRun]:
        """Those in the trash for at least so many seconds."""
        return [one for one in list_deleted(self.root) if has_lain(self.root, one, older_than_s)]

    def find_deleted(self, item_id: str) -> Optional[DeletedRun]:
        """The one of that id in the trash; None if there is none."""
        try:
            addresses = [self.address(number, item_id) for number in list_experiment_ids(self.root)]
        except InvalidKeyError:
            return None
        return next((one for one in map(find_deleted, addresses) if one is not None), None)

    def delete(self, address: RunAddress) -> bool:
        """True if it lies in the trash now; False if somebody else has deleted it."""
        try:
            trash.delete(address, self._settings)
        except RunNotFoundError:
            return False
        return True

    def empty(self, experiment_id: int) -> None:
        """All of the experiment are gone for good, those in the trash too."""
        for address in iter_addresses(self.root, experiment_id):
            self.delete(address)
        self.remove(list_deleted(self.root, experiment_id))

    def remove(self, deleted: Iterable[DeletedRun]) -> None:
        """Those are gone for good."""
        trash.gc(self.root, deleted, self._settings)


def id_of(run_id: str) -> str:
    """The id that MLflow knows it by, of the name of its folder."""
    return unquote_name(run_id) or run_id


def numbers_of(experiment_ids: Iterable[Any]) -> List[int]:
    """The experiments that may have such an id. Raises MlflowException: one is no number."""
    return [number for number in map(to_known_number, experiment_ids) if number is not None]


def models_of(root: str, settings: Settings) -> InnerTree:
    """The logged models of the tree ``root``."""
    return InnerTree(inner_trees(root)[0], MODEL, settings)


def traces_of(root: str, settings: Settings) -> InnerTree:
    """The traces of the tree ``root``."""
    return InnerTree(inner_trees(root)[1], TRACE, settings)
