"""``export``: a tree's data for other programs, on standard output: CSV, JSON lines or Parquet.

Either a row a run (its attributes, then ``params.*``, ``tags.*`` and ``metrics.*``, the last values), or with
``--points`` a row a point of every metric. Runs come newest first. Memory holds the snapshots of the runs, and the
points of one metric.
"""

from __future__ import annotations

import argparse
from typing import Any, Dict, Iterator, List, Sequence

from mini_mlflow.cli.addressing import search
from mini_mlflow.cli.command import Command, CommandError, Request, add_experiments
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.searching import add_filter
from mini_mlflow.cli.strict_json import dump_line
from mini_mlflow.cli.text import printable

ATTRIBUTES = ("run_id", "experiment_id", "name", "version", "status", "start_time", "end_time", "parent_run_id")
KINDS = ("params", "tags", "metrics")
POINT_FIELDS = ("run_id", "experiment_id", "key", "step", "value", "timestamp")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet"),
        help="csv (the default), jsonl (the default with --json), or parquet (needs pyarrow)",
    )
    parser.add_argument("--points", action="store_true", help="a row a point of every metric, instead of a row a run")
    add_filter(parser)
    add_experiments(parser)


def _execute(request: Request) -> int:
    from mini_mlflow.reading.search import parse_query

    wanted = request.arguments.format or ("jsonl" if request.as_json else "csv")
    if wanted == "parquet" and request.output.is_terminal:
        raise CommandError("Parquet is nothing for a terminal: redirect it, as in `mini-mlflow export > x.parquet`")
    runs = search(request, parse_query(request.arguments.filter))
    write = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}[wanted]
    with Progress(request.output, "exporting", "runs", len(runs)) as progress:
        write(request, runs, progress.count(runs))
    return DONE


def _write_csv(request: Request, runs: Sequence[Any], counted: Iterator[Any]) -> None:
    import csv

    writer = csv.writer(request.output, lineterminator="\n")
    to_cell = _to_safe_cell if request.output.is_terminal else _to_cell
    if request.arguments.points:
        writer.writerow(POINT_FIELDS)
        for run in counted:
            writer.writerows(map(to_cell, point) for point in iter_points(run))
        return
    columns = find_columns(runs)
    writer.writerow(map(to_cell, [*ATTRIBUTES, *("%s.%s" % column for column in columns)]))
    for run in counted:
        writer.writerow(map(to_cell, [*(getattr(run, name) for name in ATTRIBUTES), *values_of(run, columns)]))
        run.forget_parts()


def _to_cell(value: Any) -> Any:
    """Text and numbers as they are; true, false, lists and objects as JSON; None as nothing."""
    return value if value is None or type(value) in (str, int, float) else dump_line(value)


def _to_safe_cell(value: Any) -> Any:
    """The same for a terminal, which no file's text may steer."""
    return printable(value) if isinstance(value, str) else _to_cell(value)


def _write_jsonl(request: Request, runs: Sequence[Any], counted: Iterator[Any]) -> None:
    for run in counted:
        if request.arguments.points:
            for point in iter_points(run):
                request.write_json(dict(zip(POINT_FIELDS, point)))
        else:
            request.write_json(run.to_dict())
            run.forget_parts()


def _write_parquet(request: Request, runs: Sequence[Any], counted: Iterator[Any]) -> None:
    from mini_mlflow.cli.parquet import write_points, write_runs

    request.output.flush()
    if request.arguments.points:
        write_points(request.output.binary, counted)
    else:
        write_runs(request.output.binary, runs, counted)


def find_columns(runs: Sequence[Any]) -> List[Any]:
    """``(kind, key)`` of every param, tag and metric that any of the runs has, sorted by kind and key."""
    found: Dict[str, Dict[str, None]] = {kind: {} for kind in KINDS}
    for run in runs:
        for kind, keys in found.items():
            keys.update(dict.fromkeys(getattr(run, kind)))
        run.forget_parts()
    return [(kind, key) for kind, keys in found.items() for key in sorted(keys)]


def values_of(run: Any, columns: Sequence[Any]) -> List[Any]:
    """What a run has in these columns; None where it has nothing."""
    parts = {kind: getattr(run, kind) for kind in KINDS}
    return [parts[kind].get(key) for kind, key in columns]


def iter_points(run: Any) -> Iterator[Sequence[Any]]:
    """All points of all metrics of a run, as POINT_FIELDS; the timestamp in milliseconds since the epoch."""
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.reading.metric_history import read_history

    for key in sorted(run.metrics):
        try:
            points = read_history(RunPaths.of(run.address), key).shown
        except FileNotFoundError:
            # Deleted since the search.
            return
        for point in points:
            yield (run.run_id, run.experiment_id, key, point.step, point.value, point.timestamp)


EXPORT = Command(
    "export",
    "print the runs, or all points of their metrics, as CSV, JSON lines or Parquet",
    "mini-mlflow export --points --format parquet > points.parquet",
    _add_arguments,
    _execute,
)
