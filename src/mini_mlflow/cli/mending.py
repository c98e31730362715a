"""``repair`` and ``doctor``: a tree is mended, and the place where it stands is tried out."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Optional

from mini_mlflow.cli.addressing import find_run
from mini_mlflow.cli.command import RUN, Command, Request, add_experiments
from mini_mlflow.cli.exit_codes import DONE, NO
from mini_mlflow.cli.progress import Progress
from mini_mlflow.cli.tables import write_verdict

_MENDED, _WOULD, _LEFT = "mended", "would mend", "left"
_COLOURS = {_MENDED: "green", _WOULD: "cyan", _LEFT: "yellow"}
_VERDICTS = {"ok": "green", "warning": "yellow", "failure": "red"}


def _add_repair(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="tell what would be done, and change nothing")
    parser.add_argument("--run", action="append", dest="runs", metavar=RUN, help="mend this run only; may be repeated")
    parser.add_argument("--rule", action="append", dest="rules", metavar="RULE", help="mend what breaks this rule only")
    add_experiments(parser)


def _repair(request: Request) -> int:
    from mini_mlflow.upkeep import iter_repairs

    arguments = request.arguments
    counts: Dict[str, int] = dict.fromkeys(_COLOURS, 0)
    with Progress(request.output, "repairing", "runs") as progress:
        for repair in iter_repairs(
            request.root, arguments.dry_run, arguments.rules, _chosen_runs(request), progress.move
        ):
            state = _MENDED if repair.done else (_LEFT if repair.reason is not None else _WOULD)
            counts[state] += 1
            _write_repair(request, repair, state)
    told = ", ".join("%d %s" % (count, state) for state, count in counts.items() if count)
    request.output.message("%s: %s" % (request.root, told or "nothing to mend"))
    return NO if counts[_LEFT] else DONE


def _chosen_runs(request: Request) -> Optional[List[str]]:
    from mini_mlflow.errors import RunNotFoundError

    if not request.arguments.runs:
        return None
    found = []
    for run in request.arguments.runs:
        try:
            found.append(find_run(request, run).address.run_id)
        except RunNotFoundError:
            # Of a run that needs it most, not even meta.yaml may be left.
            found.append(run)
    return found


def _write_repair(request: Request, repair: Any, state: str) -> None:
    """A line at once, not a table at the end: who interrupts a repair wants to know what was done."""
    if request.as_json:
        rest = {"action": repair.action, "done": repair.done, "reason": repair.reason}
        request.write_json({**repair.finding._asdict(), **rest})
        return
    why = "" if repair.reason is None else " (%s)" % repair.reason
    text = "%s  %s: %s%s" % (repair.finding.rule, repair.finding.path, repair.action, why)
    write_verdict(request.output, state, _COLOURS, text)


REPAIR = Command(
    "repair",
    "mend what verify finds, one finding at a time; what cannot be read is kept in .quarantine",
    "mini-mlflow repair --dry-run",
    _add_repair,
    _repair,
)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    """It has no options but the common ones."""


def _examine(request: Request) -> int:
    from mini_mlflow.upkeep import doctor

    diagnosis = doctor(request.root)
    if request.as_json:
        checks = [check._asdict() for check in diagnosis.checks]
        request.write_json({**diagnosis._asdict(), "checks": checks})
    else:
        for check in diagnosis.checks:
            write_verdict(request.output, check.verdict, _VERDICTS, "%s: %s" % (check.name, check.message))
        request.output.line()
        write_verdict(request.output, diagnosis.verdict, _VERDICTS, "%s: %s" % (diagnosis.runs_dir, diagnosis.summary))
    return NO if diagnosis.verdict == "failure" else DONE


DOCTOR = Command(
    "doctor",
    "try out whether locks, renames and the rest do here what the guarantees need",
    "mini-mlflow doctor",
    _add_doctor,
    _examine,
)
