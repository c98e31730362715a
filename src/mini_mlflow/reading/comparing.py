"""What differs between runs, and the step at which their curves part."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import Point, RunAddress
from mini_mlflow.errors import InvalidValueError, RunNotFoundError
from mini_mlflow.reading.comparison_text import write_comparison
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.metric_history import read_history

Values = Tuple[Any, ...]
Sections = Dict[str, Dict[str, Values]]

_CODE = ("script", "git_commit", "git_dirty")
_RUN = ("name", "version", "status", "experiment_id", "parent_run_id")
# No two runs share these, or ought to.
_LEFT_OUT = ("run_id", "start_time", "end_time", "pid", "format", "commit")


class MetricComparison(NamedTuple):
    """One metric beside itself; each tuple has an item a run, None where the run does not have it.

    Attributes:
        last, minimum, maximum: values.
        parts_at: the first step at which two runs have different values, of the last points logged with that step;
            None if there is none, or fewer than two runs have the metric.
    """

    last: Values
    minimum: Values
    maximum: Values
    parts_at: Optional[int]


class Comparison:
    """Some runs beside each other; `str` of it is a table.

    Attributes:
        run_ids: in the order in which they were given.
        names: of the same runs; None where a run has none.
        differing: section ("params", "tags", "code", "environment", "run") to key to one value a run, None where a run
            has none; only what is not the same in all runs, only sections with something in them.
        equal: the same for what all runs share.
        metrics: key to `MetricComparison`, of every metric that any of the runs has.
        all: whether `to_dict` and `str` have what is equal, too.
    """

    def __init__(self, runs: Sequence[FoundRun], metrics: Dict[str, MetricComparison], show_all: bool) -> None:
        self.run_ids = tuple(run.run_id for run in runs)
        self.names = tuple(run.name for run in runs)
        self.metrics = metrics
        self.all = bool(show_all)
        self.differing: Sections = {}
        self.equal: Sections = {}
        for section, columns in _collect(runs).items():
            # In the order in which the runs have them, those of the first run first.
            for key in dict.fromkeys(key for column in columns for key in column):
                values = tuple(column.get(key) for column in columns)
                target = self.equal if all(_same(values[0], value) for value in values[1:]) else self.differing
                target.setdefault(section, {})[key] = values

    def to_dict(self) -> Dict[str, Any]:
        """``{"run_ids", "names", "differing", "metrics"}``, with "equal" if that was asked for; tuples as lists."""
        found: Dict[str, Any] = {"run_ids": list(self.run_ids), "names": list(self.names)}
        found["differing"] = _listed(self.differing)
        found["metrics"] = {key: _metric_dict(metric) for key, metric in self.metrics.items()}
        if self.all:
            found["equal"] = _listed(self.equal)
        return found

    def __str__(self) -> str:
        return write_comparison(self.to_dict())

    def __repr__(self) -> str:
        return "Comparison(run_ids=%r, differing=%r)" % (self.run_ids, self.differing)


def compare_runs(addresses: Sequence[RunAddress], show_all: bool) -> Comparison:
    """The runs at these addresses, side by side.

    Reads the whole history of each metric that two of them have.

    Raises:
        InvalidValueError: fewer than two runs, or one of them twice.
        RunNotFoundError: one of them is not there any more.
        DamagedFileError, OSError: one of them cannot be read.
    """
    if len(addresses) < 2:
        raise InvalidValueError("compare takes two runs or more, not %d" % len(addresses))
    if len(set(addresses)) < len(addresses):
        raise InvalidValueError("compare was given a run twice: %s" % ", ".join(one.run_id for one in addresses))
    try:
        runs = [FoundRun.read(address) for address in addresses]
        return Comparison(runs, _compare_metrics(runs), show_all)
    except FileNotFoundError as error:
        raise RunNotFoundError(error.errno, "a run has gone while it was compared", error.filename) from None


def _collect(runs: Sequence[FoundRun]) -> Dict[str, List[Dict[str, Any]]]:
    return {
        "params": [run.params for run in runs],
        "tags": [run.tags for run in runs],
        "code": [_pick(run.metadata, _CODE) for run in runs],
        "environment": [_rest(run.metadata) for run in runs],
        "run": [_pick(dict(run.metadata, experiment_id=run.experiment_id), _RUN) for run in runs],
    }


def _pick(metadata: Dict[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    return {name: metadata[name] for name in names if metadata.get(name) is not None}


def _rest(metadata: Dict[str, Any]) -> Dict[str, Any]:
    """User, host, Python; and whatever another writer has recorded."""
    named = (*_CODE, *_RUN, *_LEFT_OUT)
    return {name: value for name, value in metadata.items() if name not in named and value is not None}


def _same(one: Any, other: Any) -> bool:
    # 1 and 1.0 are the same, 1 and True are not; as texts, so are NaN and NaN, at any depth.
    if one == other:
        return isinstance(one, bool) == isinstance(other, bool)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _listed(sections: Sections) -> Dict[str, Dict[str, List[Any]]]:
    return {name: {key: list(values) for key, values in rows.items()} for name, rows in sections.items()}


def _metric_dict(metric: MetricComparison) -> Dict[str, Any]:
    return {
        "last": list(metric.last),
        "min": list(metric.minimum),
        "max": list(metric.maximum),
        "parts_at": metric.parts_at,
    }


# -- metrics -------------------------------------------------------------------------------------------------------


def _compare_metrics(runs: Sequence[FoundRun]) -> Dict[str, MetricComparison]:
    return {key: _compare_metric(key, runs) for key in dict.fromkeys(key for run in runs for key in run.metrics)}


def _compare_metric(key: str, runs: Sequence[FoundRun]) -> MetricComparison:
    summaries = [run.metric_summary(key) for run in runs]
    last, low, high = (
        tuple(None if summary is None else summary[name] for summary in summaries) for name in ("value", "min", "max")
    )
    sharing = [run for run, summary in zip(runs, summaries) if summary is not None]
    parts_at = find_parting([read_history(RunPaths.of(run.address), key).shown for run in sharing])
    return MetricComparison(last, low, high, parts_at)


def find_parting(histories: Sequence[Sequence[Point]]) -> Optional[int]:
    """The lowest step at which two of the histories have different values; None if there is none.

    A step that one of them does not have tells nothing: a run may log more seldom, or have ended earlier. Of several
    points of a step, the one logged last counts (a job that was restarted has logged some steps again).
    """
    found: Dict[int, float] = {}
    parting: Optional[int] = None
    for history in histories:
        for step, value in {point.step: point.value for point in history}.items():
            other = found.setdefault(step, value)
            # NaN is not equal to itself, and here it is.
            if other != value and (other == other or value == value) and (parting is None or step < parting):
                parting = step
    return parting
