"""Searching runs: MLflow's filters, orders and pages, over what stands on disk.

A run that is deleted, ended or resumed while a search looks is found whole, as it was before or after, or not at all.
A run that cannot be read is left out, with a warning, and hides no other.
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from mlflow.entities import LifecycleStage, Run, ViewType, _DatasetSummary
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.search_utils import SearchUtils

from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import trash_folder
from mini_mlflow.disk.regular import iter_folders
from mini_mlflow.entities import ACTIVE, Experiment, RunAddress
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, InvalidKeyError
from mini_mlflow.formats.mlflow_records import read_records
from mini_mlflow.mlflow_plugin.arguments import check_max_results, to_known_number
from mini_mlflow.mlflow_plugin.candidates import Candidate
from mini_mlflow.mlflow_plugin.experiments import ExperimentMethods
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.mlflow_plugin.rendering import to_run
from mini_mlflow.mlflow_plugin.run_cache import RunCache
from mini_mlflow.mlflow_plugin.run_handles import RunHandles, Standing
from mini_mlflow.reading.addresses import iter_standing
from mini_mlflow.reading.experiments import read_experiment

_SUMMARIES_AT_MOST = 1000


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
        SearchUtils.parse_search_filter(filter_string)
        candidates = list(self._candidates(experiment_ids, run_view_type))
        found = SearchUtils.sort(SearchUtils.filter(candidates, filter_string), order_by)
        wanted = len(found) if max_results is None else max_results
        page, token = SearchUtils.paginate(found, page_token, wanted)
        return [self._to_run(one) for one in page], token

    def _to_run(self, candidate: Candidate) -> Run:
        run = to_run(candidate.run, candidate.info.is_deleted, candidate.info.artifact_location)
        candidate.run.forget_parts()
        return run

    @told_as_mlflow
    def _search_datasets(self, experiment_ids: Iterable[Any]) -> List[_DatasetSummary]:
        """The datasets that the runs of the experiments used, each once for each context; 1,000 at the most."""
        summaries: Dict[Tuple[str, str, str, Optional[str]], None] = {}
        for candidate in self._candidates(experiment_ids, ViewType.ALL):
            for one in read_records(candidate.run.tags).dataset_inputs:
                context = one.tags.get(MLFLOW_DATASET_CONTEXT)
                summaries[candidate.info.experiment_id, one.name, one.digest, context] = None
            candidate.run.forget_parts()
            if len(summaries) >= _SUMMARIES_AT_MOST:
                break
        return [_DatasetSummary(*one) for one in list(summaries)[:_SUMMARIES_AT_MOST]]

    def _candidates(self, experiment_ids: Iterable[Any], view_type: int) -> Iterator[Candidate]:
        stages = LifecycleStage.view_type_to_stages(view_type)
        for number in dict.fromkeys(map(to_known_number, experiment_ids)):
            experiment = None if number is None else read_experiment(self.root, number)
            if experiment is not None:
                locations = [self.artifact_location(experiment, in_trash) for in_trash in (False, True)]
                for standing in self._standings(experiment, stages):
                    candidate = self._read_candidate(standing)
                    if candidate is not None:
                        candidate.info.is_deleted = standing.is_deleted or experiment.lifecycle_stage != ACTIVE
                        candidate.info.artifact_location = locations[standing.is_deleted]
                        yield candidate

    def _standings(self, experiment: Experiment, stages: List[str]) -> Iterator[Standing]:
        number = experiment.experiment_id
        seen: Set[str] = set()
        if experiment.lifecycle_stage in stages:
            for address in iter_standing(self.root, number):
                if address.run_id not in seen:
                    seen.add(address.run_id)
                    yield Standing(address, False)
        if LifecycleStage.DELETED in stages:
            # What is deleted or restored meanwhile is found at one place or at both, and shown once.
            for name, is_real in iter_folders(trash_folder(self.root, number)):
                if is_real and name not in seen:
                    seen.add(name)
                    try:
                        yield Standing(RunAddress(self.root, number, check_run_id(name)), True)
                    except InvalidKeyError:
                        continue

    def _read_candidate(self, standing: Standing) -> Optional[Candidate]:
        try:
            return self.cache.read(standing)
        except (FileNotFoundError, NotADirectoryError):
            # No run, or one that is moved away.
            return None
        except (DamagedFileError, OSError) as error:
            warnings.warn("skipped a run: %s" % error, DamagedFileWarning, stacklevel=2)
            return None


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
