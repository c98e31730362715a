"""``show``: one run, all of it."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from mini_mlflow.cli.addressing import find_run
from mini_mlflow.cli.artifacts import COLUMNS, iter_artifacts, to_row
from mini_mlflow.cli.command import Command, Request, add_experiments, add_run
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import colour_of_status, show_duration, show_number, show_time, show_value
from mini_mlflow.cli.plots import draw_sparkline, show_step
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import Column, Row, write_table

_CURVE = 24
_METRICS = (
    Column("metric", may_be_cut=True),
    Column("last", right=True),
    Column("step", right=True),
    Column("points", right=True),
    Column("min", right=True),
    Column("max", right=True),
    Column("curve"),
)
# The first lines, in this order; what else meta.yaml holds follows as it stands there.
_TIMES = ("start_time", "end_time")
_FIRST = ("run_id", "experiment_id", "name", "version", "status", *_TIMES)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_experiments(parser)
    parser.add_argument("--no-curves", action="store_true", help="do not read the points of the metrics")


def _execute(request: Request) -> int:
    from mini_mlflow.reading.found_run import FoundRun

    write_run(request, FoundRun.read(find_run(request, request.arguments.run).address), not request.arguments.no_curves)
    return DONE


def write_run(request: Request, run: Any, curves: bool = False) -> None:
    """A run that was found is the result: all that it has, with the curves of its metrics if these are wanted."""
    from mini_mlflow.disk.layout import RunPaths

    artifacts = list(iter_artifacts(RunPaths.of(run.address)))
    if request.as_json:
        files = [artifact._asdict() for artifact in artifacts]
        request.write_json({**run.to_dict(), "metadata": run.metadata, "artifacts": files})
        return
    _write_metadata(request, {**run.metadata, "run_id": run.run_id, "experiment_id": run.experiment_id})
    _write_pairs(request, "param", run.params)
    _write_pairs(request, "tag", run.tags)
    if run.metrics:
        request.output.line()
        write_table(request.output, _METRICS if curves else _METRICS[:-1], list(_metric_rows(request, run, curves)))
    if artifacts:
        request.output.line()
        write_table(request.output, COLUMNS, map(to_row, artifacts))


def _write_metadata(request: Request, metadata: Mapping[str, Any]) -> None:
    from mini_mlflow.formats.times import now_ms

    rows: List[Row] = []
    for key in [*_FIRST, *(key for key in metadata if key not in _FIRST)]:
        value = metadata.get(key)
        if value is not None:
            rows.append((str(key), show_time(value) + " UTC" if key in _TIMES else show_value(value)))
    lasted = show_duration(metadata, now_ms())
    if lasted:
        rows.append(("lasted", lasted))
    status = show_value(metadata.get("status"))
    colour = colour_of_status(status)
    columns = (Column("key"), Column("value", may_be_cut=True, colour=lambda text: colour if text == status else ""))
    write_table(request.output, columns, rows, header=False)


def _write_pairs(request: Request, title: str, pairs: Dict[str, Any]) -> None:
    if pairs:
        request.output.line()
        columns = (Column(title, may_be_cut=True), Column("value", may_be_cut=True))
        write_table(request.output, columns, [(key, show_value(pairs[key])) for key in sorted(pairs)])


def _metric_rows(request: Request, run: Any, curves: bool) -> Iterator[Row]:
    keys = sorted(run.metrics)
    with Progress(request.output, "reading", "metrics", len(keys)) as progress:
        for key in progress.count(keys):
            summary = run.metric_summary(key)
            step, count = summary["step"], summary["count"]
            yield (
                key,
                *(show_number(summary["value"]), "" if step is None else show_step(step), show_value(count)),
                *(show_number(summary["min"]), show_number(summary["max"])),
                *((_draw(request, run, key),) if curves else ()),
            )


def _draw(request: Request, run: Any, key: str) -> str:
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.reading.metric_history import read_history

    values: Sequence[float] = [point.value for point in read_history(RunPaths.of(run.address), key).shown]
    return draw_sparkline(values, _CURVE, request.output.can_draw)


SHOW = Command(
    "show",
    "show one run: metadata, params, tags, artifacts, and its metrics with their curves",
    "mini-mlflow show 3f2a",
    _add_arguments,
    _execute,
)
