"""Searching runs, the best of them, and what sets some of them apart: methods of `ExperimentTracker`."""

from __future__ import annotations

from typing import Any, Optional, Sequence

from mini_mlflow.errors import InvalidTypeError, InvalidValueError, show
from mini_mlflow.reading.addresses import check_experiment_ids, find_run
from mini_mlflow.reading.comparing import Comparison, compare_runs
from mini_mlflow.reading.experiment_names import find_experiments
from mini_mlflow.reading.found_run import FoundRun, FoundRuns
from mini_mlflow.reading.search import best_run, parse_query, search_runs

LIMIT_RESULTS = 100_000
_LARGEST = {"max": True, "min": False}


def choose_experiments(
    root: str, default: int, experiment_ids: Any, experiment_names: Any, everywhere: bool
) -> Optional[Sequence[int]]:
    """The experiments that a search looks at, as its arguments say; None for all. Raises as `search_runs`."""
    given = [experiment_ids is not None, experiment_names is not None, bool(everywhere)]
    if sum(given) > 1:
        raise InvalidValueError("give one of experiment_ids, experiment_names and search_all_experiments, not several")
    if everywhere:
        return None
    if experiment_names is not None:
        return find_experiments(root, experiment_names)
    return [default] if experiment_ids is None else check_experiment_ids(experiment_ids)


class SearchMethods:
    """Looks through a tree. Takes no lock, changes nothing, works while others log, end and delete runs."""

    runs_dir: str
    experiment_id: int

    def search_runs(
        self,
        filter_string: str = "",
        order_by: Any = None,
        max_results: Optional[int] = LIMIT_RESULTS,
        experiment_ids: Any = None,
        *,
        experiment_names: Any = None,
        search_all_experiments: bool = False,
    ) -> FoundRuns:
        """The runs that the filter lets pass, in order: a list of `FoundRun`, with ``to_dicts()`` and ``to_pandas()``.

        Args:
            filter_string: MLflow's filter language, and more: ``"metrics.loss < 0.1 AND (params.lr >= 0.01 OR
                tags.stage = 'final')"``. See README. Empty lets all pass. A comparison with something that a run does
                not have is true of no run.
            order_by: texts such as ``"metrics.loss DESC"``, the first counting most; a str is one of them. Runs
                without the value, or with NaN, come last in both directions; what is equal comes newest start first.
            max_results: an int >= 0; None for all.
            experiment_ids: where to look, ints or decimal strs; None for this tracker's experiment.
            experiment_names: the same by name, instead of by id.
            search_all_experiments: with True, look everywhere.

        Raises:
            InvalidFilterError: (a ValueError) the filter or the order does not follow the language; the message points
                at the place.
            ValueError, TypeError: another bad argument, such as the name of no experiment.
            OSError: an experiment's folder cannot be listed.
        """
        query = parse_query(filter_string, order_by, max_results)
        return search_runs(self.runs_dir, query, self._where(experiment_ids, experiment_names, search_all_experiments))

    def best_run(
        self,
        metric: str,
        mode: str = "max",
        filter_string: str = "",
        experiment_ids: Any = None,
        *,
        experiment_names: Any = None,
        search_all_experiments: bool = False,
    ) -> Optional[FoundRun]:
        """The run with the largest last value of the metric (``mode="min"``: the smallest); None if no run has one.

        NaN never wins. Of several runs with that value, the one that was started last. The other arguments and the
        errors are those of `search_runs`.
        """
        if not isinstance(metric, str):
            raise InvalidTypeError("metric must be a str, not %s: %s" % (type(metric).__name__, show(metric)))
        if mode not in _LARGEST:
            raise InvalidValueError("mode must be 'max' or 'min', not %s" % show(mode))
        matches = parse_query(filter_string).matches
        where = self._where(experiment_ids, experiment_names, search_all_experiments)
        return best_run(self.runs_dir, metric, _LARGEST[mode], matches, where)

    def compare(
        self,
        run_ids: Sequence[str],
        experiment_ids: Any = None,
        all: bool = False,  # noqa: A002 - a word of the interface
    ) -> Comparison:
        """What differs between runs: params, tags, code, environment, and where their curves part.

        Args:
            run_ids: two or more ids, or beginnings of ids that only one run has.
            experiment_ids: where to look for them; None for the whole tree.
            all: with True, what is printed and what ``to_dict()`` gives also has what is equal.

        Raises:
            RunNotFoundError, AmbiguousRunError: an id names no run, or several.
            ValueError, TypeError: fewer than two runs, or something that is no id.
        """
        if isinstance(run_ids, str):
            raise InvalidTypeError("run_ids must be a list of ids, not the str %s" % show(run_ids))
        where = None if experiment_ids is None else check_experiment_ids(experiment_ids)
        addresses = [find_run(self.runs_dir, run_id, where) for run_id in run_ids]
        return compare_runs(addresses, all)

    def _where(self, experiment_ids: Any, experiment_names: Any, everywhere: bool) -> Optional[Sequence[int]]:
        return choose_experiments(self.runs_dir, self.experiment_id, experiment_ids, experiment_names, everywhere)
