"""Runs and points as Parquet: the only import of pyarrow."""

from __future__ import annotations

import itertools
from typing import Any, Iterable, Iterator, List, Sequence

from mini_mlflow.cli.command import CommandError
from mini_mlflow.cli.exporting import ATTRIBUTES, find_columns, iter_points, values_of
from mini_mlflow.cli.strict_json import dump_line
from mini_mlflow.errors import MissingExtraError

_BATCH = 50_000


def _load() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of("Parquet", "pyarrow", "pyarrow", "arrow") from None
    return pyarrow


def write_points(stream: Any, runs: Iterable[Any]) -> None:
    """A row a point: run_id, experiment_id, key, step (64 bits), value, timestamp (milliseconds, UTC).

    Raises:
        MissingExtraError: pyarrow is not installed.
        CommandError: a step does not fit into 64 bits.
    """
    pyarrow = _load()
    kinds = (
        ("run_id", pyarrow.string()),
        ("experiment_id", pyarrow.int64()),
        ("key", pyarrow.string()),
        ("step", pyarrow.int64()),
        ("value", pyarrow.float64()),
        ("timestamp", pyarrow.timestamp("ms", "UTC")),
    )
    schema = pyarrow.schema(kinds)
    rows = itertools.chain.from_iterable(map(iter_points, runs))
    with pyarrow.parquet.ParquetWriter(stream, schema) as writer:
        for batch in _batches(rows):
            try:
                arrays = [pyarrow.array(values, kind) for values, (_, kind) in zip(zip(*batch), kinds)]
            except OverflowError:
                raise CommandError("a step does not fit into 64 bits: export CSV or JSON lines") from None
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _batches(rows: Iterator[Sequence[Any]]) -> Iterator[List[Sequence[Any]]]:
    while True:
        batch = list(itertools.islice(rows, _BATCH))
        if not batch:
            return
        yield batch


def write_runs(stream: Any, runs: Sequence[Any], counted: Iterable[Any]) -> None:
    """A row a run. A column whose values are all numbers, all bool or all text has that type; else it is JSON text.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pyarrow = _load()
    columns = find_columns(runs)
    rows = []
    for run in counted:
        rows.append([*(getattr(run, name) for name in ATTRIBUTES), *values_of(run, columns)])
        run.forget_parts()
    names = [*ATTRIBUTES, *("%s.%s" % column for column in columns)]
    values = zip(*rows) if rows else [()] * len(names)
    arrays = [_to_array(pyarrow, column, name) for name, column in zip(names, values)]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), stream)


def _to_array(pyarrow: Any, values: Sequence[Any], name: str) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str} or name in ATTRIBUTES:
        return pyarrow.array(values, pyarrow.int64() if name == "experiment_id" else pyarrow.string())
    if kinds == {bool}:
        return pyarrow.array(values, pyarrow.bool_())
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pyarrow.array(values, pyarrow.int64())
    if kinds <= {int, float} and float in kinds:
        try:
            return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())
        except OverflowError:
            pass
    return pyarrow.array([None if value is None else dump_line(value) for value in values], pyarrow.string())
