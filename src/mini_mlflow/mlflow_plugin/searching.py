"""Searching runs: MLflow's filters, orders and pages, over what stands on disk.

A run that is deleted, ended or resumed while a search looks is found whole, as it was before or after, or not at all.
A run that cannot be read is left out, with a warning, and hides no other.
"""

from __future__ import annotations

import bisect
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from mlflow.entities import LifecycleStage, Run, ViewType, _DatasetSummary
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.search_utils import SearchUtils

from mini_mlflow.entities import ACTIVE, Experiment
from mini_mlflow.formats.mlflow_records import read_records
from mini_mlflow.mlflow_plugin.arguments import check_max_results, to_known_number
from mini_mlflow.mlflow_plugin.candidates import Candidate, Place
from mini_mlflow.mlflow_plugin.experiments import ExperimentMethods
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.rendering import to_run
from mini_mlflow.mlflow_plugin.run_cache import RunCache
from mini_mlflow.mlflow_plugin.run_handles import RunHandles
from mini_mlflow.mlflow_plugin.shelves import Look
from mini_mlflow.mlflow_plugin.sieves import Sieve
from mini_mlflow.reading.experiments import read_experiment

_SUMMARIES_AT_MOST = 1000
_NONE: FrozenSet[str] = frozenset()


class SearchMethods(ExperimentMethods):
    """Looks through experiments. Takes no lock and changes nothing."""

    handles: RunHandles
    cache: RunCache

    @told_as_mlflow
    def _search_runs(
        self,
        experiment_ids: Iterable[Any],
        filter_string: Optional[str],
        run_view_type: int,
        max_results: Optional[int],
        order_by: Optional[List[str]],
        page_token: Optional[str],
    ) -> Tuple[List[Run], Optional[str]]:
        """The page of runs that pass the filter, in order, and the token of the next page (None: the last)."""
        _check_comparators(filter_string)
        check_max_results(max_results, may_be_none=True)
        _check_order(order_by)
        # Before anything is read: a mistake is told also where there are no runs.
        sieve = Sieve(SearchUtils.parse_search_filter(filter_string))
        found = self._find(experiment_ids, run_view_type, sieve, filter_string)
        if order_by or len(found) > 1:
            found = [SearchUtils.sort([run for runs in found for run in runs], order_by)]
        runs = found[0] if found else []
        page, token = SearchUtils.paginate(runs, page_token, len(runs) if max_results is None else max_results)
        return [_to_run(one) for one in page], token

    def _find(
        self, experiment_ids: Iterable[Any], view_type: int, sieve: Sieve, filter_string: Optional[str]
    ) -> List[List[Candidate]]:
        """The runs that pass, those of each folder in SearchUtils' natural order; only of folders that have any."""
        found = []
        for look, hidden in self._looks(experiment_ids, view_type):
            runs = SearchUtils.filter(_all_but(hidden, sieve.pick(look.ended)), filter_string)
            for other in SearchUtils.filter(_all_but(hidden, look.others), filter_string):
                # SearchUtils' sort would ask each of thousands where it belongs, for the few that are open.
                bisect.insort(runs, other)
            if runs:
                found.append(runs)
        return found

    @told_as_mlflow
    def _search_datasets(self, experiment_ids: Iterable[Any]) -> List[_DatasetSummary]:
        """The datasets that the runs of the experiments used, each once for each context; 1,000 at the most."""
        summaries: Dict[Tuple[str, str, str, Optional[str]], None] = {}
        looks = self._looks(experiment_ids, ViewType.ALL)
        for candidate in (one for look, hidden in looks for one in _all_but(hidden, [*look.ended.items, *look.others])):
            for one in read_records(candidate.run.tags).dataset_inputs:
                context = one.tags.get(MLFLOW_DATASET_CONTEXT)
                summaries[candidate.info.experiment_id, one.name, one.digest, context] = None
            candidate.run.forget_parts()
            if len(summaries) >= _SUMMARIES_AT_MOST:
                break
        return [_DatasetSummary(*one) for one in list(summaries)[:_SUMMARIES_AT_MOST]]

    def _looks(self, experiment_ids: Iterable[Any], view_type: int) -> Iterator[Tuple[Look, FrozenSet[str]]]:
        """What stands in each folder, and which ids of it are not to be found there."""
        stages = LifecycleStage.view_type_to_stages(view_type)
        for number in dict.fromkeys(map(to_known_number, experiment_ids)):
            experiment = None if number is None else read_experiment(self.root, number)
            if experiment is not None:
                yield from self._looks_at(experiment, stages)

    def _looks_at(self, experiment: Experiment, stages: List[str]) -> Iterator[Tuple[Look, FrozenSet[str]]]:
        number, seen = experiment.experiment_id, _NONE
        if experiment.lifecycle_stage in stages:
            place = Place(experiment.lifecycle_stage != ACTIVE, self.artifact_location(experiment))
            look = self.cache.look(number, False, place)
            seen = look.names
            yield look, _NONE
        if LifecycleStage.DELETED in stages:
            look = self.cache.look(number, True, Place(True, self.artifact_location(experiment, in_trash=True)))
            # What is deleted or restored meanwhile is found at one place or at both, and shown once.
            yield look, look.names & seen


def _all_but(hidden: FrozenSet[str], runs: List[Candidate]) -> List[Candidate]:
    return [run for run in runs if run.info.run_id not in hidden] if hidden else runs


def _to_run(candidate: Candidate) -> Run:
    place = candidate.info.place
    run = to_run(candidate.run, place.is_deleted, place.artifact_location)
    candidate.run.forget_parts()
    return run


def _check_comparators(filter_string: Optional[str]) -> None:
    # SearchUtils would find fault with them only where there is a run to compare.
    for one in SearchUtils.parse_search_filter(filter_string):
        kind, key, comparator = one["type"], one["key"], one["comparator"].upper()
        SearchUtils.is_string_attribute(kind, key, comparator)
        SearchUtils.is_numeric_attribute(kind, key, comparator)
        for check in (SearchUtils.is_metric, SearchUtils.is_param, SearchUtils.is_tag, SearchUtils.is_dataset):
            check(kind, comparator)


def _check_order(order_by: Optional[List[str]]) -> None:
    parsed = [SearchUtils.parse_order_by_for_search_runs(clause)[:2] for clause in order_by or []]
    for kind, _ in parsed:
        if kind not in ("metric", "parameter", "tag", "attribute"):
            raise MlflowException.invalid_parameter_value("Invalid identifier type '%s'" % kind)
    keys = [(kind, SearchUtils.translate_key_alias(key)) for kind, key in parsed]
    if len(set(keys)) < len(keys):
        raise MlflowException("`order_by` contains duplicate fields: %s" % (order_by,))
