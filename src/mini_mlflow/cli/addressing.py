"""Which runs and which experiments a command line means."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Sequence

from mini_mlflow.cli.command import Request
from mini_mlflow.cli.progress import Progress

# As much of an id that was drawn as names the run in nearly every tree.
_DRAWN_ID = re.compile(r"[0-9a-f]{32}\Z")
_SHORT_ID = 12


def find_run(request: Request, prefix: str) -> Any:
    """The paths of the run that ``prefix`` means: the run of that id, or the only one whose id begins so.

    Raises:
        RunNotFoundError, AmbiguousRunError: there is none, or several.
    """
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.reading.addresses import find_run as find_address

    return RunPaths.of(find_address(request.root, prefix, chosen_experiments(request)))


def chosen_experiments(request: Request) -> Optional[Sequence[int]]:
    """The experiments that the command line keeps to, named by id or by name; None for all.

    Raises:
        InvalidValueError: no experiment has such a name.
    """
    from mini_mlflow.reading.addresses import check_experiment_ids
    from mini_mlflow.reading.experiments import find_experiments

    chosen = getattr(request.arguments, "experiments", None)
    if not chosen:
        return None
    found: List[int] = []
    for text in chosen:
        found += check_experiment_ids(text) if text.isdecimal() else find_experiments(request.root, text)
    return list(dict.fromkeys(found))


def search(request: Request, query: Any) -> Any:
    """What a query finds in the experiments that the command line keeps to, with a line of progress meanwhile."""
    from mini_mlflow.reading.search import search_runs

    with Progress(request.output, "searching", "runs") as progress:
        return search_runs(request.root, query, chosen_experiments(request), progress.step_if_shown)


def shorten_id(request: Request, run_id: str) -> str:
    """A run id as a table has it: on a terminal the beginning of one that was drawn, elsewhere all of it."""
    return run_id[:_SHORT_ID] if request.output.is_terminal and _DRAWN_ID.match(run_id) else run_id
