"""``import``: trees of MLflow, event files of TensorBoard, CSV files and other trees of ours come in."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, List

from mini_mlflow.cli.command import Command, Request, UsageError
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.cli.figures import count_of, show_size
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import write_verdict
from mini_mlflow.cli.text import printable

_NOTE = {"note": "yellow"}
_MLFLOW, _TENSORBOARD, _CSV, _TREE = "mlflow", "tensorboard", "csv", "mini-mlflow"
#: Which options each kind of source knows, besides those that all know.
_OPTIONS = {
    _MLFLOW: ("artifacts",),
    _TENSORBOARD: ("experiment",),
    _CSV: ("experiment", "run_column", "step_column", "time_column", "params"),
    _TREE: ("artifacts",),
}
_ALL = tuple(dict.fromkeys(name for names in _OPTIONS.values() for name in names))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=tuple(_OPTIONS), help="mlflow, tensorboard, csv or mini-mlflow")
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a tree or a folder; of csv also several files")
    parser.add_argument("-n", "--dry-run", action="store_true", help="tell what would come in, and change nothing")
    parser.add_argument(
        "--artifacts",
        choices=("copy", "link", "none"),
        help="copy them (the default), give them a second name that takes no space, or leave them; mlflow, mini-mlflow",
    )
    parser.add_argument(
        "--experiment", metavar="NAME", help="the experiment, made if there is none (default: 0); tensorboard, csv"
    )
    parser.add_argument("--run-column", metavar="COLUMN", help="it names the run of each row; csv")
    parser.add_argument("--step-column", metavar="COLUMN", help="it holds the steps; csv")
    parser.add_argument("--time-column", metavar="COLUMN", help="it holds the times; csv")
    parser.add_argument("--params", metavar="COLUMN,…", help="these hold params, not metrics; csv")


def _execute(request: Request) -> int:
    arguments = request.arguments
    options = _gather_options(arguments)
    take = _find_import(arguments.kind)
    source = arguments.paths if arguments.kind == _CSV else _only(arguments.paths, arguments.kind)
    unit = "files" if arguments.kind == _CSV else "runs"
    with Progress(request.output, "importing", unit) as progress:
        report = take(source, request.root, dry_run=arguments.dry_run, progress=progress.move, **options)
    _write(request, report)
    return NO if report.problems else DONE


def _find_import(kind: str) -> Callable[..., Any]:
    if kind == _MLFLOW:
        from mini_mlflow.exchange.importing_mlflow import import_mlflow

        return import_mlflow
    if kind == _TENSORBOARD:
        from mini_mlflow.exchange.importing_tensorboard import import_tensorboard

        return import_tensorboard
    if kind == _CSV:
        from mini_mlflow.exchange.importing_csv import import_csv

        return import_csv
    from mini_mlflow.exchange.importing_tree import import_tree

    return import_tree


def _gather_options(arguments: Any) -> Dict[str, Any]:
    given = {name: getattr(arguments, name) for name in _ALL if getattr(arguments, name) is not None}
    for name in given:
        if name not in _OPTIONS[arguments.kind]:
            raise UsageError("import %s knows no --%s" % (arguments.kind, name.replace("_", "-")))
    if "params" in given:
        given["params"] = [name.strip() for name in given["params"].split(",") if name.strip()]
    return given


def _only(paths: List[str], kind: str) -> str:
    if len(paths) > 1:
        raise UsageError("import %s takes one PATH" % kind)
    return paths[0]


def _write(request: Request, report: Any) -> None:
    if request.as_json:
        request.write_json(report.to_dict())
        return
    for problem in report.problems:
        write_verdict(request.output, "note", _NOTE, "%s: %s" % problem)
    would = "would " if report.dry_run else ""
    request.output.line(printable("%s: %scome into %s" % (report.source, would, report.runs_dir)))
    for line in _describe(report):
        request.output.line("  " + line)


def _describe(report: Any) -> List[str]:
    runs = "%d new, %d brought up to date, %d as they were" % (report.runs, report.updated_runs, report.unchanged_runs)
    lines = ["runs         " + runs]
    if report.deleted_runs:
        lines.append("trash        %s" % count_of(report.deleted_runs, "run"))
    lines += [
        "experiments  %d new" % report.experiments,
        "points       %d new" % report.points
        + (", %d stood there twice" % report.duplicates if report.duplicates else ""),
        "params       %d new" % report.params,
        "tags         %d new" % report.tags,
    ]
    if report.artifacts:
        linked = ", %d of them hard links" % report.linked_artifacts if report.linked_artifacts else ""
        lines.append(
            "artifacts    %s, %s%s" % (count_of(report.artifacts, "file"), show_size(report.artifact_bytes), linked)
        )
    if report.models or report.traces:
        lines.append("MLflow       %s, %s" % (count_of(report.models, "model"), count_of(report.traces, "trace")))
    return lines


IMPORT = Command(
    "import",
    "take in runs of MLflow, TensorBoard, CSV files, or another tree; repeated, it adds what is new",
    "mini-mlflow import mlflow ./old/mlruns --runs-dir runs",
    _add_arguments,
    _execute,
    needs_tree=False,
)
