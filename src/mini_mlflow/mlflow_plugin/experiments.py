"""Experiments through MLflow: our numbers as its ids, and where each keeps its artifacts.

An experiment that says nothing of its artifacts keeps them in the tree, wherever the tree is moved to. What a store was
told of another place (a bucket, say) is written into an experiment before the first run that relies on it, so that
whoever opens the tree without being told finds them too.

An experiment without a name, in which runs were started by number, goes by its number in MLflow.
"""

from __future__ import annotations

import threading
from typing import Any, Dict, Iterable, List, Optional, Tuple

from mlflow.entities import Experiment, ExperimentTag, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, INVALID_STATE
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.utils.search_utils import SearchExperimentsUtils
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local
from mlflow.utils.validation import (
    _validate_experiment_artifact_location_length,
    _validate_experiment_name,
    _validate_experiment_tag,
)

from mini_mlflow.disk.layout import TRASH
from mini_mlflow.entities import ACTIVE, Settings
from mini_mlflow.entities import Experiment as OurExperiment
from mini_mlflow.formats.experiments import DEFAULT_ID
from mini_mlflow.formats.times import now_iso
from mini_mlflow.mlflow_plugin.arguments import check_max_results, to_number
from mini_mlflow.mlflow_plugin.locations import default_artifact_root
from mini_mlflow.mlflow_plugin.refusals import (
    experiment_is_deleted,
    experiment_is_taken,
    experiment_not_found,
    in_both_words,
    tag_not_found,
    told_as_mlflow,
)
from mini_mlflow.mlflow_plugin.rendering import experiment_name, to_experiment, to_text
from mini_mlflow.reading.experiments import list_experiments, read_experiment
from mini_mlflow.tracker import ExperimentTracker
from mini_mlflow.writing.experiments import create_unless_found, update_experiment

_DEFAULT_ORDER = ("creation_time DESC", "experiment_id ASC")


class Misses(threading.local):
    """The name that each thread has just looked for in vain.

    MLflow's ``set_experiment`` looks for a name and then makes the experiment. If another process makes it in between,
    it is told so, and then forgets to make it the active one (3.17): the runs of that process go to "Default". So who
    has just been told that there is none gets the one that somebody else was faster to make.
    """

    name: Optional[str] = None

    def note(self, name: Optional[str]) -> None:
        self.name = name

    def take(self, name: str) -> bool:
        """Whether this thread's last look was for that name, and in vain; true once."""
        missed, self.name = self.name == name, None
        return missed


class ExperimentMethods:
    """Experiments: made, found, renamed, tagged, deleted and restored."""

    #: Programs ask both of MLflow's stores for it.
    DEFAULT_EXPERIMENT_ID = str(DEFAULT_ID)

    misses: Misses
    root: str
    artifact_root_uri: str
    settings: Settings

    @told_as_mlflow
    def create_experiment(
        self, name: str, artifact_location: Optional[str] = None, tags: Optional[List[ExperimentTag]] = None
    ) -> str:
        """The id of a new experiment. Raises MlflowException (RESOURCE_ALREADY_EXISTS, for one): none was made."""
        _validate_experiment_name(name)
        location = resolve_uri_if_local(artifact_location) if artifact_location else None
        if location:
            _validate_experiment_artifact_location_length(location)
        for tag in tags or []:
            _validate_experiment_tag(tag.key, tag.value)
        texts = {tag.key: to_text(tag.value) for tag in tags or []}
        missed = not (location or texts) and self.misses.take(name)
        made = create_unless_found(
            self.root, name, texts, lambda: self._find_taken(name, missed), self.settings, artifact_location=location
        )
        self.settle_artifact_location(made)
        return str(made.experiment_id)

    def _find_taken(self, name: str, missed: bool) -> Optional[OurExperiment]:
        """The experiment of that name, if this thread may have it; None: there is none. Else raises MlflowException."""
        taken = self._find_by_name(name)
        if taken is None or (missed and taken.lifecycle_stage == ACTIVE):
            return taken
        raise experiment_is_taken(name, is_deleted=taken.lifecycle_stage != ACTIVE)

    @told_as_mlflow
    def get_experiment(self, experiment_id: Any) -> Experiment:
        """The experiment, also a deleted one; None stands for the default one."""
        return self._to_entity(self.find_experiment(experiment_id))

    @told_as_mlflow
    def get_experiment_by_name(self, experiment_name: str) -> Optional[Experiment]:
        """The experiment of that name, also a deleted one; None if there is none."""
        found = self._find_by_name(experiment_name)
        self.misses.note(experiment_name if found is None else None)
        return None if found is None else self._to_entity(found)

    @told_as_mlflow
    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: Optional[str] = None,
        order_by: Optional[List[str]] = None,
        page_token: Optional[str] = None,
    ) -> PagedList:
        """The experiments of that stage which pass the filter, in order: a page of them, and the token of the next."""
        check_max_results(max_results)
        stages = LifecycleStage.view_type_to_stages(view_type)
        shown = [one for one in list_experiments(self.root) if one.lifecycle_stage in stages]
        found = SearchExperimentsUtils.filter(list(map(self._to_entity, shown)), filter_string)
        ordered = _sort(found, order_by or _DEFAULT_ORDER)
        return PagedList(*SearchExperimentsUtils.paginate(ordered, page_token, max_results))

    @told_as_mlflow
    def rename_experiment(self, experiment_id: Any, new_name: str) -> None:
        """The experiment has the name. Raises MlflowException: it has the one that it had."""
        _validate_experiment_name(new_name)
        number = self.find_experiment(experiment_id).experiment_id

        def rename(experiment: OurExperiment) -> OurExperiment:
            if experiment.lifecycle_stage != ACTIVE:
                raise MlflowException(
                    in_both_words(
                        "Cannot rename a non-active experiment.",
                        "Cannot rename experiment in non-active lifecycle stage. Current stage: deleted",
                    ),
                    INVALID_STATE,
                )
            if experiment_name(experiment) == new_name:
                return experiment
            self._find_taken(new_name, missed=False)
            return experiment._replace(name=new_name, last_update_time=now_iso())

        update_experiment(self.root, number, rename, self.settings)

    @told_as_mlflow
    def delete_experiment(self, experiment_id: Any) -> None:
        """The experiment is deleted, and its runs are in the trash."""
        experiment = self.find_experiment(experiment_id)
        if experiment.lifecycle_stage != ACTIVE:
            raise experiment_not_found(experiment_id)
        if experiment.experiment_id == DEFAULT_ID:
            raise MlflowException(
                "Cannot delete the default experiment '0'. This is an internally reserved experiment.",
                INVALID_PARAMETER_VALUE,
            )
        self._tracker().delete_experiment(experiment.experiment_id)

    @told_as_mlflow
    def restore_experiment(self, experiment_id: Any) -> None:
        """The experiment is active, and all of its runs are back."""
        experiment = self.find_experiment(experiment_id)
        if experiment.lifecycle_stage == ACTIVE:
            raise experiment_not_found(experiment_id, "deleted experiment")
        self._tracker().restore_experiment(experiment.experiment_id)

    @told_as_mlflow
    def set_experiment_tag(self, experiment_id: Any, tag: ExperimentTag) -> None:
        """The tag is set, on disk."""
        _validate_experiment_tag(tag.key, tag.value)
        number = self.find_experiment(experiment_id).experiment_id

        def set_tag(experiment: OurExperiment) -> OurExperiment:
            self.check_active(experiment, "The experiment %s must be in the 'active' lifecycle_stage to set tags")
            return experiment._replace(
                tags={**experiment.tags, tag.key: to_text(tag.value)}, last_update_time=now_iso()
            )

        update_experiment(self.root, number, set_tag, self.settings)

    @told_as_mlflow
    def delete_experiment_tag(self, experiment_id: Any, key: str) -> None:
        """The experiment has no such tag any more. Raises MlflowException if it had none."""
        number = self.find_experiment(experiment_id).experiment_id

        def delete_tag(experiment: OurExperiment) -> OurExperiment:
            self.check_active(experiment, "The experiment %s must be in the 'active' lifecycle_stage to delete tags")
            if key not in experiment.tags:
                raise tag_not_found(key, "experiment", str(experiment_id))
            left = {one: value for one, value in experiment.tags.items() if one != key}
            return experiment._replace(tags=left, last_update_time=now_iso())

        update_experiment(self.root, number, delete_tag, self.settings)

    # -- what they share ---------------------------------------------------------------------------------------

    def find_experiment(self, experiment_id: Any) -> OurExperiment:
        """The experiment, deleted or not; None stands for the default one. Raises MlflowException: there is none."""
        found = read_experiment(self.root, to_number(experiment_id))
        if found is None:
            raise experiment_not_found(experiment_id)
        return found

    def check_active(self, experiment: OurExperiment, file_store: str) -> None:
        """Raises MlflowException if the experiment is deleted; ``file_store`` as for `experiment_is_deleted`."""
        if experiment.lifecycle_stage != ACTIVE:
            raise experiment_is_deleted(experiment.experiment_id, file_store)

    def artifact_location(self, experiment: OurExperiment, in_trash: bool = False) -> str:
        """The URI below which its runs have their artifacts. Where that is in the tree, those in the trash have them
        there: written to where the run was, they would be a folder that keeps it from coming back."""
        in_tree = default_artifact_root(self.root)
        number = str(experiment.experiment_id)
        location = experiment.artifact_location or str(append_to_uri_path(self.artifact_root_uri, number))
        if in_trash and location == append_to_uri_path(in_tree, number):
            return str(append_to_uri_path(in_tree, TRASH, number))
        return location

    def settle_artifact_location(self, experiment: OurExperiment) -> OurExperiment:
        """The experiment, which says itself where its artifacts stand if that is not in the tree."""
        if experiment.artifact_location or self.artifact_root_uri == default_artifact_root(self.root):
            return experiment
        location = self.artifact_location(experiment)

        def settle(found: OurExperiment) -> OurExperiment:
            return found if found.artifact_location else found._replace(artifact_location=location)

        return update_experiment(self.root, experiment.experiment_id, settle, self.settings)

    def _find_by_name(self, name: str) -> Optional[OurExperiment]:
        experiments = list_experiments(self.root)
        # One that is called "7" comes before the nameless one of that number.
        by_name: Dict[str, OurExperiment] = {experiment_name(one): one for one in reversed(experiments)}
        by_name.update((one.name, one) for one in reversed(experiments) if one.name is not None)
        return by_name.get(name)

    def _to_entity(self, experiment: OurExperiment) -> Experiment:
        return to_experiment(experiment, self.artifact_location(experiment))

    def _tracker(self) -> ExperimentTracker:
        return ExperimentTracker(
            runs_dir=self.root, fsync=self.settings.fsync, lock_timeout_s=self.settings.lock_timeout_s
        )


def _sort(experiments: List[Experiment], order_by: Iterable[str]) -> List[Experiment]:
    # By hand: as texts, which is how MLflow's own sort takes ids, experiment 10 comes before 9.
    keys: List[Tuple[str, bool]] = []
    for clause in order_by:
        kind, key, ascending = SearchExperimentsUtils.parse_order_by_for_search_experiments(clause)
        if kind != "attribute":
            raise MlflowException.invalid_parameter_value("Invalid order_by entity: %s" % kind)
        keys.append((key, ascending))
    if not any(key == "experiment_id" for key, _ in keys):
        keys.append(("experiment_id", False))
    ordered = experiments
    for key, ascending in reversed(keys):
        told = [one for one in ordered if getattr(one, key) is not None]
        told.sort(key=lambda one: _sort_value(one, key), reverse=not ascending)
        ordered = told + [one for one in ordered if getattr(one, key) is None]
    return ordered


def _sort_value(experiment: Experiment, key: str) -> Any:
    value = getattr(experiment, key)
    return int(value) if key == "experiment_id" else value
