"""What the columns of a CSV file mean: which is the step, the time, the run; which are params, and which metrics.

Recognised by their names, whatever their case: what W&B, TensorBoard, Lightning, Keras and people write. Two layouts
are not just one column a metric: the chart of W&B, in whose header run and metric stand together (``run-1 - loss``,
beside ``run-1 - loss__MIN``), and the download of TensorBoard, which is one metric, named by its file.
"""

from __future__ import annotations

import os
import re
from typing import Collection, Dict, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.errors import InvalidValueError

_STEPS = ("step", "_step", "global_step", "global step", "trainer/global_step", "iteration", "iter", "epoch")
_TIMES = ("wall time", "wall_time", "timestamp", "_timestamp", "timestamp_ms", "time", "datetime", "date")
_BOUNDS = ("__MIN", "__MAX")
_TENSORBOARD = ["wall time", "step", "value"]
_TENSORBOARD_FILE = re.compile(r"run-(.+?)-tag-(.+)\Z")


class Columns(NamedTuple):
    """The columns by their positions.

    Attributes:
        run, step, time: None if there is no such column.
        params: position to key.
        metrics: position to run and key; the run is "" where the row, or the file, says which.
    """

    run: Optional[int]
    step: Optional[int]
    time: Optional[int]
    params: Dict[int, str]
    metrics: Dict[int, Tuple[str, str]]


class Wanted(NamedTuple):
    """What a caller says of the columns, by their names; None: they are recognised."""

    run: Optional[str] = None
    step: Optional[str] = None
    time: Optional[str] = None
    params: Collection[str] = ()


def recognise(header: Sequence[str], path: str, wanted: Wanted) -> Columns:
    """The columns of a file.

    Raises:
        InvalidValueError: a column that is wanted is not there; or nothing is left for a metric.
    """
    names = [name.strip() for name in header]
    run = _find(names, wanted.run, path)
    step = _find(names, wanted.step, path) if wanted.step is not None else _guess(names, _STEPS, {run})
    time = _find(names, wanted.time, path) if wanted.time is not None else _guess(names, _TIMES, {run, step})
    params = {position: names[position] for name in wanted.params for position in [_find(names, name, path)]
              if position is not None}  # fmt: skip
    taken = {run, step, time, *params}
    rest = {position: name for position, name in enumerate(names) if position not in taken and name}
    bounds = {name + bound for name in names for bound in _BOUNDS}
    is_chart = any(name in bounds for name in rest.values())
    rest = {position: name for position, name in rest.items() if name not in bounds}
    if is_chart:
        metrics = {position: _split_chart(name) for position, name in rest.items()}
    elif sorted(name.lower() for name in names) == sorted(_TENSORBOARD):
        metrics = {position: _name_by_file(path) for position in rest}
    else:
        metrics = {position: ("", name) for position, name in rest.items()}
    if not metrics and not params:
        raise InvalidValueError("%s has no column that could be a metric: %s" % (path, ", ".join(map(repr, names))))
    return Columns(run, step, time, params, metrics)


def _find(names: Sequence[str], name: Optional[str], path: str) -> Optional[int]:
    if name is None:
        return None
    if name not in names:
        raise InvalidValueError("%s has no column %r, but %s" % (path, name, ", ".join(map(repr, names))))
    return names.index(name)


def _guess(names: Sequence[str], known: Sequence[str], taken: Collection[Optional[int]]) -> Optional[int]:
    lower = [name.lower() for name in names]
    for name in known:
        if name in lower and lower.index(name) not in taken:
            return lower.index(name)
    return None


def _split_chart(name: str) -> Tuple[str, str]:
    run, dash, key = name.rpartition(" - ")
    return (run, key) if dash and run and key else ("", name)


def _name_by_file(path: str) -> Tuple[str, str]:
    stem = os.path.splitext(os.path.basename(path))[0]
    match = _TENSORBOARD_FILE.match(stem)
    return (match.group(1), match.group(2)) if match is not None else ("", stem)
