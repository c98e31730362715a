"""The runs of a tree: which there are, which of them a filter lets pass, and in what order.

An ended run is one small file, its snapshot, of which no more is parsed than the question needs. Any other run is read
from its log and documents (`reading.run_view`). Nothing is locked and nothing is written, and no index is kept: what
is found is what stands on disk. One damaged run never hides another.

A run that is deleted, ended or resumed while a search looks is found whole, as it was before or after, or not at all;
one that is started meanwhile may be missed. Memory grows with the number of runs that are found, never with what they
have logged, nor with the runs that are looked at.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.regular import read_file
from mini_mlflow.entities import RunAddress, check_int
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, InvalidValueError
from mini_mlflow.reading.addresses import iter_addresses, list_experiment_ids
from mini_mlflow.reading.found_run import FoundRun, FoundRuns
from mini_mlflow.reading.matching import Test, compile_filter
from mini_mlflow.reading.query import OrderKey
from mini_mlflow.reading.query_fields import METRICS, Field
from mini_mlflow.reading.ranking import Ranking, compile_order
from mini_mlflow.reading.run_view import read_stored_metadata

_NOT_A_RUN = (FileNotFoundError, NotADirectoryError)


def list_run_metadata(root: str, experiment_id: int) -> List[Tuple[str, Dict[str, Any]]]:
    """``(run_id, metadata)`` of every readable run of the experiment, newest start first; [] if there is none.

    Runs that cannot be read are skipped, with a DamagedFileWarning that names the file. The status in the metadata is
    the stored one.
    """
    found = dict(_readable_runs(root, experiment_id))
    return sorted(found.items(), key=_newest_first, reverse=True)


def _newest_first(run: Tuple[str, Dict[str, Any]]) -> Tuple[str, str]:
    start = run[1].get("start_time")
    # Without the Z a time to the second sorts before the same second's fractions.
    return (start.rstrip("Z") if isinstance(start, str) else "", run[0])


def _readable_runs(root: str, experiment_id: int) -> Iterator[Tuple[str, Dict[str, Any]]]:
    for address in iter_addresses(root, experiment_id):
        try:
            yield address.run_id, read_stored_metadata(RunPaths.of(address))
        except _NOT_A_RUN:
            # Not a run: a folder without meta.yaml (being made, or left by a kill).
            continue
        except (DamagedFileError, OSError) as error:
            _skip(error)


def _skip(error: Exception) -> None:
    warnings.warn("skipped a run: %s" % error, DamagedFileWarning, stacklevel=4)


def iter_runs(root: str, experiment_ids: Optional[Sequence[int]] = None) -> Iterator[FoundRun]:
    """The runs of the experiments (None: of all), in no order, each once, each read when it is its turn.

    Runs that cannot be read are skipped, with a DamagedFileWarning that names the file.

    Raises:
        OSError: an experiment cannot be listed.
    """
    for number in list_experiment_ids(root) if experiment_ids is None else experiment_ids:
        seen: Set[str] = set()
        for address in iter_addresses(root, number):
            if address.run_id not in seen:
                seen.add(address.run_id)
                run = _look_at(address)
                if run is not None:
                    yield run


def _look_at(address: RunAddress) -> Optional[FoundRun]:
    try:
        try:
            run = FoundRun.of_snapshot(address, read_file(RunPaths.of(address).snapshot))
        except FileNotFoundError:
            run = None
        return run or FoundRun.read(address)
    except _NOT_A_RUN:
        return None
    except (DamagedFileError, OSError) as error:
        _skip(error)
        return None


class Query(NamedTuple):
    """What is searched for.

    Attributes:
        matches: tells whether a run is wanted; None: all are.
        order: the keys that results are ordered by, before the newest start.
        limit: how many are wanted at most; None: all.
    """

    matches: Optional[Test] = None
    order: Sequence[OrderKey] = ()
    limit: Optional[int] = None


def parse_query(filter_string: Any = "", order_by: Any = None, max_results: Any = None) -> Query:
    """The arguments of a search, checked.

    Raises:
        InvalidFilterError: the filter, or a key of the order, does not follow the language; the error points at it.
        InvalidTypeError, InvalidValueError: they are no texts, or ``max_results`` is no int >= 0.
    """
    matches = None if filter_string is None else compile_filter(filter_string)
    limit = None if max_results is None else check_int(max_results, "max_results")
    if limit is not None and limit < 0:
        raise InvalidValueError("max_results must be an int >= 0 or None, not %d" % limit)
    return Query(matches, compile_order(order_by), limit)


def search_runs(
    root: str,
    query: Query,
    experiment_ids: Optional[Sequence[int]] = None,
    on_run: Optional[Callable[[], None]] = None,
) -> FoundRuns:
    """What is found in the experiments (None: in all), in order; ``on_run`` is called for each run looked at.

    Raises:
        OSError: an experiment cannot be listed.
    """
    ranking = Ranking(query.order, query.limit)
    if query.limit == 0:
        return FoundRuns()
    for number in list_experiment_ids(root) if experiment_ids is None else experiment_ids:
        for address in iter_addresses(root, number):
            run = _look_at(address)
            if on_run is not None:
                on_run()
            if run is not None and (query.matches is None or query.matches(run)):
                ranking.add(run)
                run.forget_parts()
    return FoundRuns(ranking.runs())


def best_run(
    root: str,
    metric: str,
    largest: bool,
    matches: Optional[Test] = None,
    experiment_ids: Optional[Sequence[int]] = None,
    on_run: Optional[Callable[[], None]] = None,
) -> Optional[FoundRun]:
    """The run whose metric has the largest (or smallest) last value; of several the newest; None if none has a number.

    Raises:
        OSError: an experiment cannot be listed.
    """
    order = [OrderKey(Field(METRICS, metric), descending=largest)]
    found = search_runs(root, Query(matches, order, 1), experiment_ids, on_run)
    # Runs without the metric, and NaN, come last.
    value = found[0].last_value(metric) if found else None
    return found[0] if value is not None and value == value else None
