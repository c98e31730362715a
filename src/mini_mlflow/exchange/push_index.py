"""Which experiment and which run of the server an experiment and a run of the tree are: the server is asked.

An experiment is found by its name; a run by its tag ``mini_mlflow.run_id`` in that experiment, deleted or not. Where
many runs of an experiment are to be pushed, all that were ever pushed to it are listed once, a thousand a request.

Ids that were drawn are one run's alone. One that somebody chose, such as ``job-17``, may name another run of another
tree: there the time of the start must be the same too.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from mini_mlflow.disk.layout import experiment_folder
from mini_mlflow.exchange.push_report import CHANGED, Note
from mini_mlflow.exchange.push_rules import LIMIT_EXPERIMENT_TAG, PUSHED_TAG, RUN_ID_TAG, Fitting, fit_name, is_taken
from mini_mlflow.exchange.push_source import Source, local_folder
from mini_mlflow.exchange.server_answers import RefusedError, ServerExperiment, ServerRun
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.experiments import read_experiment

_DRAWN_ID = re.compile(r"[0-9a-f]{32}\Z")
#: Of more runs than this, asking for each takes longer than listing all that the experiment has.
_ASKED_SINGLY = 20
_Key = Tuple[int, str]


class ServerIndex:
    """For one push after another of a tree to a server, which may change meanwhile.

    Args:
        server: as `mlflow_server.MlflowServer`.
        root: the tree.
    """

    def __init__(self, server: Any, root: str) -> None:
        self._server, self._root = server, root
        self._ids: Dict[_Key, str] = {}
        self._experiments: Dict[int, ServerExperiment] = {}
        self._locations: Dict[int, Optional[str]] = {}
        self._listed: Dict[int, Dict[str, List[ServerRun]]] = {}
        self._many: Set[int] = set()
        #: Of experiments; taken over by whoever reports them.
        self.notes: List[Note] = []

    def begin(self, sources: Sequence[Source]) -> None:
        """These runs are looked for from now on; what the server had before is not trusted any longer."""
        self._experiments, self._locations, self._listed, self.notes = {}, {}, {}, []
        counts: Dict[int, int] = {}
        for source in sources:
            if source.run.address[1:] not in self._ids:
                counts[source.run.experiment_id] = counts.get(source.run.experiment_id, 0) + 1
        self._many = {number for number, count in counts.items() if count > _ASKED_SINGLY}

    def experiment(self, experiment_id: int) -> ServerExperiment:
        """The experiment of the server, which is made if it is not there.

        Raises:
            RefusedError: it was deleted there, or cannot be made.
            ServerError: the server does not answer.
        """
        if experiment_id not in self._experiments:
            self._experiments[experiment_id] = self._settle(experiment_id)
        return self._experiments[experiment_id]

    def _settle(self, experiment_id: int) -> ServerExperiment:
        here = read_experiment(self._root, experiment_id)
        fitting = Fitting()
        if here is not None and here.name:
            name = fit_name(fitting, "experiment", here.name)
        else:
            name = "experiment-%d" % experiment_id
            fitting.note("experiment", str(experiment_id), "it has no name, and the server asks for one", CHANGED, name)
        found: Optional[ServerExperiment] = self._server.find_experiment(name)
        is_new = found is None
        if found is None:
            self._server.create_experiment(name)
            found = self._server.find_experiment(name)
        # A dry run has made one without an id.
        is_new = is_new or (found is not None and not found.experiment_id)
        if found is None:
            raise RefusedError("the server made experiment %r, and does not know it" % name)
        if found.is_deleted:
            raise RefusedError("experiment %r was deleted on the server: restore it there, or rename one" % name)
        for key, value in ({} if here is None else here.tags).items():
            text = fitting.value("experiment", key, value, LIMIT_EXPERIMENT_TAG) if is_taken(key) else None
            if text is not None and found.tags.get(key) != text:
                self._server.set_experiment_tag(found.experiment_id, key, text)
                is_new = True
        if is_new:
            self.notes += fitting.notes
        return found

    def artifact_location(self, experiment_id: int) -> Optional[str]:
        """The URI below which MLflow keeps the artifacts of the experiment's runs; None: in the tree, with the runs."""
        if experiment_id not in self._locations:
            here = read_experiment(self._root, experiment_id)
            location = None if here is None else here.artifact_location
            folder = None if location is None else local_folder(location)
            same = folder is not None and os.path.realpath(folder) == os.path.realpath(
                experiment_folder(self._root, experiment_id)
            )
            self._locations[experiment_id] = None if same else location
        return self._locations[experiment_id]

    def find(self, source: Source, fitting: Fitting) -> Optional[ServerRun]:
        """The run of the server, as it stands now; None if there is none."""
        key = source.run.address[1:]
        known = self._ids.get(key)
        found: Optional[ServerRun] = self._server.get_run(known) if known is not None else None
        if found is None:
            candidates = [run for run in self._candidates(source) if _fits(run, source)]
            if len(candidates) > 1:
                problem = "%d runs of the server say that they are this one" % len(candidates)
                fitting.note("run", source.run.run_id, problem, CHANGED, "the first is used")
            found = min(candidates, key=_rank) if candidates else None
        if found is not None:
            self._ids[key] = found.run_id
        return found

    def _candidates(self, source: Source) -> List[ServerRun]:
        number, run_id = source.run.experiment_id, source.run.run_id
        experiment_id = self.experiment(number).experiment_id
        if number not in self._many:
            return list(self._server.find_runs([experiment_id], run_id))
        if number not in self._listed:
            listed: Dict[str, List[ServerRun]] = {}
            for run in self._server.find_runs([experiment_id], None):
                listed.setdefault(run.tags[RUN_ID_TAG], []).append(run)
            self._listed[number] = listed
        return self._listed[number].get(run_id, [])

    def find_made(self, source: Source) -> Optional[ServerRun]:
        """The run that was to be made a moment ago, if it was. Raises ServerError."""
        experiment_id = self.experiment(source.run.experiment_id).experiment_id
        found = [run for run in self._server.find_runs([experiment_id], source.run.run_id) if _fits(run, source)]
        if found:
            self.note_made(source, found[0].run_id)
        return found[0] if found else None

    def note_made(self, source: Source, run_id: str) -> None:
        """The run of the server is that one from now on."""
        self._ids[source.run.address[1:]] = run_id

    def find_parent(self, run_id: Optional[str]) -> Optional[str]:
        """The id on the server of a run that others are nested in; None if it is not there."""
        if run_id is None:
            return None
        for (_, known), found in self._ids.items():
            if known == run_id:
                return found
        experiment_ids = [one.experiment_id for one in self._experiments.values()]
        found_runs = [run for run in self._server.find_runs(experiment_ids, run_id) if not run.is_deleted]
        return min(found_runs, key=_rank).run_id if found_runs else None


def _fits(run: ServerRun, source: Source) -> bool:
    started = iso_to_ms(source.run.start_time)
    return bool(_DRAWN_ID.match(source.run.run_id)) or started is None or run.start_ms == started


def _rank(run: ServerRun) -> Any:
    return run.is_deleted, PUSHED_TAG not in run.tags, run.start_ms or 0, run.run_id
