"""``experiments``: which there are, and how many runs are in each; they are made, changed, deleted and restored."""

from __future__ import annotations

import argparse
import collections
import os
from typing import Any, Dict, List, NamedTuple, Optional

from mini_mlflow.cli.command import Command, CommandError, Request, UsageError
from mini_mlflow.cli.exit_codes import DONE
from mini_mlflow.cli.figures import show_time
from mini_mlflow.cli.tables import Column, Row
from mini_mlflow.cli.text import printable

_COLUMNS = (
    Column("experiment", right=True),
    Column("name", may_be_cut=True),
    Column("runs", right=True),
    Column("deleted", right=True),
    Column("created (UTC)"),
)
#: The verbs, and what each takes after it.
_VERBS = {
    "create": "NAME...",
    "rename": "EXPERIMENT NEW_NAME",
    "delete": "EXPERIMENT...",
    "restore": "EXPERIMENT...",
    "tag": "EXPERIMENT KEY=VALUE...",
    "untag": "EXPERIMENT KEY...",
}
_DONE = {"create": "created", "rename": "renamed", "delete": "deleted", "restore": "restored"}
_DONE.update(tag="tagged", untag="untagged")


class Counted(NamedTuple):
    """An experiment, with the numbers of its runs and of its deleted runs."""

    experiment_id: int
    name: Optional[str]
    tags: Dict[str, Any]
    creation_time: Optional[str]
    artifact_location: Optional[str]
    lifecycle_stage: str
    last_update_time: Optional[str]
    runs: int
    deleted_runs: int


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb",
        nargs="?",
        choices=tuple(_VERBS),
        help="what is done; without it, experiments are listed. %s"
        % "; ".join("%s %s" % pair for pair in _VERBS.items()),
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="what it is done to: an experiment is an id or a name")
    parser.add_argument(
        "-f",
        "--filter",
        metavar="FILTER",
        help="list only experiments that it lets pass, such as \"name LIKE 'vision%%'\"",
    )
    stages = parser.add_mutually_exclusive_group()
    stages.add_argument("--deleted", action="store_true", help="list the deleted experiments instead")
    stages.add_argument("-a", "--all", action="store_true", help="list deleted experiments too")


def _execute(request: Request) -> int:
    arguments = request.arguments
    if arguments.verb != "create" and not os.path.isdir(request.root):
        raise CommandError("there is no tree at %s: name one with --runs-dir" % request.root)
    if arguments.verb is None:
        return _list(request)
    if arguments.filter is not None or arguments.deleted or arguments.all:
        raise UsageError("--filter, --deleted and --all are for listing, not for %s" % arguments.verb)
    words = arguments.words
    asked = _VERBS[arguments.verb].split()
    if len(words) < len(asked) or (len(words) > len(asked) and not asked[-1].endswith("...")):
        raise UsageError("experiments %s takes %s" % (arguments.verb, _VERBS[arguments.verb]))
    _ACTIONS[arguments.verb](request, words)
    return DONE


# -- listing -------------------------------------------------------------------------------------------------------


def _list(request: Request) -> int:
    from mini_mlflow.reading.trash import list_deleted
    from mini_mlflow.tracker import ExperimentTracker

    arguments = request.arguments
    stage = "all" if arguments.all else "deleted" if arguments.deleted else "active"
    tracker = ExperimentTracker(runs_dir=request.root)
    found = tracker.search_experiments(arguments.filter or "", lifecycle_stage=stage)
    deleted = collections.Counter(run.experiment_id for run in list_deleted(request.root))
    counted = (
        Counted(*one, runs=_count_runs(request.root, one.experiment_id), deleted_runs=deleted[one.experiment_id])
        for one in found
    )
    columns = (*_COLUMNS, Column("stage")) if stage == "all" else _COLUMNS
    request.answer(counted, columns, lambda one: _row_of(one)[: len(columns)])
    return DONE


def _count_runs(root: str, experiment_id: int) -> int:
    from mini_mlflow.disk.layout import RunPaths
    from mini_mlflow.disk.regular import exists
    from mini_mlflow.reading.addresses import iter_addresses

    found = map(RunPaths.of, iter_addresses(root, experiment_id))
    return sum(exists(paths.meta) or exists(paths.snapshot) for paths in found)


def _row_of(one: Counted) -> Row:
    created = show_time(one.creation_time)
    counts = str(one.runs), str(one.deleted_runs)
    return (str(one.experiment_id), one.name or "", *counts, created, one.lifecycle_stage)


# -- changing ------------------------------------------------------------------------------------------------------


def _create(request: Request, names: List[str]) -> None:
    for name in names:
        _tell(request, _tracker(request).create_experiment(name))


def _rename(request: Request, words: List[str]) -> None:
    (number,) = _find(request, words[:1])
    _tracker(request).rename_experiment(number, words[1])
    _tell(request, number)


def _delete(request: Request, words: List[str]) -> None:
    for number in _find(request, words):
        _tracker(request).delete_experiment(number)
        _tell(request, number)


def _restore(request: Request, words: List[str]) -> None:
    for number in _find(request, words):
        _tracker(request).restore_experiment(number)
        _tell(request, number)


def _tag(request: Request, words: List[str]) -> None:
    pairs = [word.partition("=") for word in words[1:]]
    if not all(sign for _, sign, _ in pairs):
        raise UsageError("experiments tag takes %s" % _VERBS["tag"])
    (number,) = _find(request, words[:1])
    _tracker(request).set_experiment_tags(number, {key: value for key, _, value in pairs})
    _tell(request, number)


def _untag(request: Request, words: List[str]) -> None:
    (number,) = _find(request, words[:1])
    for key in words[1:]:
        _tracker(request).delete_experiment_tag(number, key)
    _tell(request, number)


_ACTIONS = {
    "create": _create,
    "rename": _rename,
    "delete": _delete,
    "restore": _restore,
    "tag": _tag,
    "untag": _untag,
}


def _tracker(request: Request) -> Any:
    from mini_mlflow.tracker import ExperimentTracker

    return ExperimentTracker(runs_dir=request.root)


def _find(request: Request, words: List[str]) -> List[int]:
    """The ids of the experiments that the words name, by id or by name; all are there before the first is touched."""
    from mini_mlflow.reading.experiments import find_experiments

    tracker = _tracker(request)
    found: List[int] = []
    for word in words:
        if word.isdecimal():
            found.append(tracker.get_experiment(word).experiment_id)
        else:
            found += find_experiments(request.root, word)
    return list(dict.fromkeys(found))


def _tell(request: Request, experiment_id: int) -> None:
    """At once, one by one: should the next one fail, it is known which were dealt with."""
    name, done = _tracker(request).get_experiment(experiment_id).name, _DONE[request.arguments.verb]
    if request.as_json:
        request.write_json({"experiment_id": experiment_id, "name": name, "done": done})
    else:
        request.output.line(printable("%s experiment %d%s" % (done, experiment_id, ": " + name if name else "")))


EXPERIMENTS = Command(
    "experiments",
    "list experiments, or create, rename, delete, restore, tag or untag them",
    "mini-mlflow experiments rename 3 vision-2",
    _add_arguments,
    _execute,
    needs_tree=False,
)
