"""``compare``: what differs between runs, and the step at which their curves part."""

from __future__ import annotations

import argparse
from typing import Any, Dict, Iterator, List, Sequence

from mini_mlflow.cli.addressing import find_run, shorten_id
from mini_mlflow.cli.command import Command, Request, UsageError, add_experiments, add_run
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import show_number, show_value
from mini_mlflow.cli.plots import show_step
from mini_mlflow.cli.tables import Column, Row, write_table

_NONE = "-"
_FIGURES = ("last", "min", "max")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, several=True)
    parser.add_argument("-a", "--all", action="store_true", help="print what is equal, too")
    add_experiments(parser)


def _execute(request: Request) -> int:
    from mini_mlflow.reading.comparing import compare_runs

    runs = request.arguments.runs
    if len(runs) < 2:
        raise UsageError("compare takes two runs or more (see mini-mlflow compare --help)")
    comparison = compare_runs([find_run(request, run).address for run in runs], request.arguments.all)
    found = comparison.to_dict()
    if request.as_json:
        request.write_json(found)
        return DONE
    columns = [Column("", may_be_cut=True)]
    columns += [Column(shorten_id(request, run_id), may_be_cut=True) for run_id in found["run_ids"]]
    columns.append(Column("parts at"))
    write_table(request.output, columns, _rows(found))
    return DONE


def _rows(found: Dict[str, Any]) -> Iterator[Row]:
    blank = [""] * len(found["run_ids"])
    if any(found["names"]) and "name" not in found["differing"].get("run", ()):
        yield ["name", *map(_show, found["names"]), ""]
    yield from _sections(found["differing"], blank)
    for key, metric in found["metrics"].items():
        parting = metric["parts_at"]
        yield ["metrics." + key, *blank, "" if parting is None else "step %s" % show_step(parting)]
        for figure in _FIGURES:
            yield ["  " + figure, *map(_show_number, metric[figure]), ""]
    if "equal" in found:
        yield ["the same in all:", *blank, ""]
        yield from _sections(found["equal"], blank)


def _sections(sections: Dict[str, Dict[str, List[Any]]], blank: Sequence[str]) -> Iterator[Row]:
    for section, values in sections.items():
        yield [section, *blank, ""]
        for key, row in values.items():
            yield ["  " + key, *map(_show, row), ""]


def _show(value: Any) -> str:
    return _NONE if value is None else show_value(value)


def _show_number(value: Any) -> str:
    return _NONE if value is None else show_number(value)


COMPARE = Command(
    "compare",
    "tell what differs between runs, and the step at which their curves part",
    "mini-mlflow compare 3f2a 77b0",
    _add_arguments,
    _execute,
)
