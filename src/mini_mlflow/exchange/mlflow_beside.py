"""What MLflow keeps beside its runs, logged models and traces, on its way into the small trees and to its artifacts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional

from mini_mlflow.disk.keys import check_run_id, quote_key
from mini_mlflow.disk.layout import MODELS, TRACES, small_root
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import InvalidKeyError
from mini_mlflow.exchange.artifact_files import NONE
from mini_mlflow.exchange.beside import bring_loose
from mini_mlflow.exchange.incoming import IncomingRun
from mini_mlflow.exchange.mlflow_files import Tell, read_meta_or_tell
from mini_mlflow.exchange.mlflow_models import read_model
from mini_mlflow.exchange.mlflow_traces import LOCATION, read_trace
from mini_mlflow.exchange.mlflow_tree import find_artifacts, iter_things
from mini_mlflow.exchange.report import Tally
from mini_mlflow.exchange.storing import store_run
from mini_mlflow.exchange.target import Standing, Target, locate_runs

Read = Callable[[str, str, str, Tell], Optional[IncomingRun]]
_KINDS: Dict[str, Read] = {MODELS: read_model, TRACES: read_trace}


class _Small(NamedTuple):
    """A small tree of the target, and what stands in it."""

    kind: str
    target: Target
    standing: Dict[str, Standing]


class BesideRuns:
    """The logged models and the traces that come in."""

    def __init__(self, target: Target, tally: Tally) -> None:
        self._target, self._tally = target, tally
        self._trees = [self._look(kind) for kind in _KINDS]

    def _look(self, kind: str) -> _Small:
        root = small_root(self._target.root, kind)
        return _Small(kind, self._target._replace(root=root), locate_runs(root))

    def store(self, folder: str, experiment_id: int) -> None:
        """Those of the source's experiment in ``folder`` stand here, in the experiment of that id.

        Raises:
            OSError: the disk refused. What was stored until then stands.
        """
        for small in self._trees:
            for item_id, path in iter_things(folder, small.kind):
                self._store_one(small, item_id, path, experiment_id)

    def _store_one(self, small: _Small, item_id: str, folder: str, experiment_id: int) -> None:
        try:
            run_id = check_run_id(quote_key(item_id))
        except InvalidKeyError as error:
            self._tally.tell(folder, error)
            return
        known = small.standing.get(run_id)
        address = RunAddress(small.target.root, experiment_id, run_id) if known is None else known.address
        uri = _find_location(folder, small.kind)
        artifacts = find_artifacts(folder, uri, self._tally.tell)
        place = "%d/%s/%s/artifacts" % (address.experiment_id, small.kind, item_id)
        location = self._choose_location(place, artifacts, uri)
        run = _KINDS[small.kind](run_id, folder, location, self._tally.tell)
        if run is None:
            return
        # First the files: what says where they are must not be there without them.
        if artifacts is not None and self._target.artifacts != NONE:
            bring_loose(self._target, artifacts, place, self._tally)
        store_run(small.target, address, run, self._tally, small.kind)

    def _choose_location(self, place: str, artifacts: Optional[str], uri: Any) -> str:
        here = Path(self._target.root, place).as_uri()
        if artifacts is not None and self._target.artifacts == NONE:
            return Path(os.path.abspath(artifacts)).as_uri()
        is_remote = isinstance(uri, str) and "://" in uri and not uri.startswith("file:")
        return str(uri) if is_remote and artifacts is None else here


def _find_location(folder: str, kind: str) -> Any:
    """The URI at which the source has the artifacts; None if it does not say."""
    if kind == MODELS:
        return (read_meta_or_tell(folder, lambda *_: None) or {}).get("artifact_location")
    try:
        return Path(folder, "tags", LOCATION).read_text("utf-8")
    except (OSError, ValueError):
        return None
