"""A tree mended: `repair` does something about each finding of `verify`, one at a time, or says why it cannot.

A run is mended under its lock, as its writers change it (in this process through the same turn), in short passes:
look, mend what is due first, let go, and again, until a look finds nothing that can be mended. So writers come in
between, and nothing is done about what a living writer has just put right. What stands outside of runs is mended first.

Nothing that may hold data is deleted: it is moved into ``.quarantine`` (`upkeep.quarantine`), and so is the original of
each file that is written anew. A kill at any step leaves all readable that was, and a tree that a second repair mends.

Not mended, with a reason: what this process has no permission for, what another host or another version must tell,
and what a living owner may still need.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import METRICS, RunPaths, resolve_root
from mini_mlflow.entities import resolve_settings
from mini_mlflow.errors import InvalidValueError, MiniMlflowError
from mini_mlflow.upkeep.entries import Entry
from mini_mlflow.upkeep.findings import RULES, Finding, Look
from mini_mlflow.upkeep.inner_trees import list_inner_trees, seen_from
from mini_mlflow.upkeep.mending import AlreadyMendedError, Case, Repair, Tree, describe_error
from mini_mlflow.upkeep.mending_table import DOCUMENTS, FOLD, MENDINGS, RANKS, WHOLE_RUN
from mini_mlflow.upkeep.mending_trash import IN_TRASH, mend_in_trash
from mini_mlflow.upkeep.quarantine import Quarantine
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.upkeep.verify import find_in_run, look_at_run, note_no_run, walk
from mini_mlflow.writing.open_runs import OpenRun, get_open_run

#: Of a place and a rule, so many mends are tried.
_TRIES = 2
_GONE = "nothing more: it went with what was done before"
_CAME_BACK = "it was mended, and is as it was again"

#: A finding's path and rule.
Identity = Tuple[str, str]


def repair(
    runs_dir: Any,
    dry_run: bool = False,
    rules: Optional[Iterable[str]] = None,
    run_ids: Optional[Iterable[str]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> List[Repair]:
    """What became of everything that is wrong with a tree, in the order in which it was done; [] if nothing is wrong.

    Args:
        runs_dir: the tree's path, a str or a path.
        dry_run: nothing is done, and no lock taken; what mends would bring to light is not told.
        rules: names of `RULES`; findings of others are left alone. None: all.
        run_ids: ids; what stands in other runs, and outside of runs, is left alone. None: the whole tree.
        progress: is called with the number of runs that were seen to, and of all that will be.

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: there is no such folder, or it cannot be listed.
        InvalidTypeError, InvalidValueError, InvalidKeyError: a bad path, rule or run id, or bad settings in the
            environment. What a mend raises is its `Repair.reason`.
    """
    return list(iter_repairs(runs_dir, dry_run, rules, run_ids, progress))


def iter_repairs(
    runs_dir: Any,
    dry_run: bool = False,
    rules: Optional[Iterable[str]] = None,
    run_ids: Optional[Iterable[str]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Iterator[Repair]:
    """The same, one at a time. Whoever stops in between leaves the tree as it is by then; no lock is held meanwhile."""
    root = resolve_root(runs_dir)
    settings = resolve_settings()
    quarantine = Quarantine(root, settings.fsync != "never")
    trees = [Tree(path, settings, quarantine) for path in (root, *list_inner_trees(root))]
    wanted = set(RULES if rules is None else rules)
    if not wanted <= set(RULES):
        raise InvalidValueError("unknown rules: %s; see RULES" % ", ".join(sorted(map(str, wanted - set(RULES)))))
    chosen = None if run_ids is None else set(map(check_run_id, run_ids))
    for tree in trees if chosen is None else ():
        yield from _seen_from(root, tree, _repair_outside_of_runs(tree, wanted, dry_run))
    runs = [(tree, *run) for tree in trees for run in _list_runs(tree.root)]
    runs = [run for run in runs if chosen is None or run[1].address.run_id in chosen]
    for number, (tree, paths, entry) in enumerate(runs):
        if progress is not None:
            progress(number, len(runs))
        yield from _seen_from(root, tree, _RunRepair(tree, paths, entry, wanted, dry_run).go_through())
    if progress is not None:
        progress(len(runs), len(runs))


def _seen_from(root: str, tree: Tree, repairs: Iterable[Repair]) -> Iterator[Repair]:
    return (one._replace(finding=seen_from(root, tree.root, one.finding)) for one in repairs)


def _list_runs(root: str) -> List[Tuple[RunPaths, Entry]]:
    runs: List[Tuple[RunPaths, Entry]] = []

    def note(paths: RunPaths, entry: Entry) -> Iterator[Finding]:
        runs.append((paths, entry))
        return iter(())

    for _ in walk(Look(root), note):
        pass
    return runs


def _repair_outside_of_runs(tree: Tree, wanted: Set[str], dry_run: bool) -> Iterator[Repair]:
    tries: Counter[Identity] = Counter()
    is_over = False
    while not is_over:
        is_over = True
        look = Look(tree.root)
        found = [(finding, look.places[finding.path]) for finding in walk(look, lambda paths, entry: iter(()))]
        for finding, path in sorted(found, key=lambda pair: (RANKS[pair[0].rule], pair[0])):
            identity = (finding.path, finding.rule)
            if finding.rule in wanted and tries[identity] < _TRIES:
                made = _mend(Case(tree, finding, path), dry_run)
                yield made
                # What a mend brings to light (in a folder that could not be listed) is for another look.
                is_over = is_over and not made.done
                tries[identity] += 1 if made.done else _TRIES


def _mend(case: Case, dry_run: bool) -> Repair:
    action = "mend it"
    try:
        is_left = case.look is not None and case.look.is_deleted and case.finding.rule not in IN_TRASH
        plan = mend_in_trash(case) if is_left else MENDINGS[case.finding.rule].plan(case)
        action = plan.action
        if plan.carry_out is None or dry_run:
            return Repair(case.finding, action, False, plan.reason)
        more = plan.carry_out()
        return Repair(case.finding, action if more is None else "%s; %s" % (action, more), True)
    except AlreadyMendedError:
        return Repair(case.finding, _GONE, True)
    except (OSError, MiniMlflowError) as error:
        return Repair(case.finding, action, False, describe_error(error))


class _Pass(NamedTuple):
    """What one pass through a run did; ``is_last`` if nothing is left that could be mended."""

    repairs: List[Repair]
    is_last: bool


class _RunRepair:
    """The repair of one run."""

    def __init__(self, tree: Tree, paths: RunPaths, entry: Entry, wanted: Set[str], dry_run: bool) -> None:
        self._tree, self._paths, self._entry = tree, paths, entry
        self._wanted, self._dry_run = wanted, dry_run
        self._tries: Counter[Identity] = Counter()
        # What was found and is not told yet: it may go with the mend of another finding.
        self._open: Dict[Identity, Finding] = {}

    def go_through(self) -> Iterator[Repair]:
        # Without the lock: most runs have nothing, and a lock file would be made for each.
        found = [finding for finding in find_in_run(self._paths, self._entry) if finding.rule in self._wanted]
        if not found:
            return
        if self._dry_run:
            look = look_at_run(self._paths, deep=False)
            yield from (self._mend(look, finding, None) for finding in _in_order(found))
            return
        self._note(found)
        is_over = False
        while not is_over:
            made = self._pass_under_lock()
            yield from made.repairs
            is_over = made.is_last

    def _pass_under_lock(self) -> _Pass:
        try:
            run = get_open_run(self._paths.address, self._tree.settings)
            try:
                made: _Pass = run.group.run_alone(lambda: self._pass(run))
                return made
            finally:
                run.let_go()
                run.close_lock()
        except (OSError, MiniMlflowError) as error:
            left = _in_order(self._open.values())
            return _Pass(
                [Repair(finding, "mend it under the run's lock", False, describe_error(error)) for finding in left],
                True,
            )

    def _pass(self, run: OpenRun) -> _Pass:
        if not os.path.lexists(self._paths.folder):
            return _Pass(self._tell_of_gone([]), True)
        # Whatever this process knew of the run, others have changed, and the mends will.
        run.files.forget()
        look = look_at_run(self._paths, deep=True)
        note_no_run(look, self._entry)
        found = [*look.findings, *(doubt.finding for doubt in look.doubts)]
        found = _in_order(finding for finding in found if finding.rule in self._wanted)
        self._note(found)
        repairs = self._tell_of_gone(found)
        due = self._choose(found)
        for finding in due:
            repairs.append(self._mend(look, finding, run))
        run.files.forget()
        return _Pass(repairs, not due)

    def _note(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if not self._tries[finding[:2]]:
                self._open.setdefault(finding[:2], finding)

    def _tell_of_gone(self, found: List[Finding]) -> List[Repair]:
        gone = set(self._open) - {finding[:2] for finding in found}
        return [
            Repair(self._open.pop(identity), "nothing: it is gone, with what was done before or by somebody else", True)
            for identity in sorted(gone)
        ]

    def _choose(self, found: List[Finding]) -> List[Finding]:
        """What is due in this pass: of the first stage that has any, one for each place."""
        able = [finding for finding in found if self._tries[finding[:2]] < _TRIES]
        if not able:
            return []
        stage = MENDINGS[able[0].rule].stage
        chosen: Dict[str, Finding] = {}
        for finding in able:
            if MENDINGS[finding.rule].stage == stage:
                chosen.setdefault(self._name_place(finding, stage), finding)
        return list(chosen.values())

    def _name_place(self, finding: Finding, stage: int) -> str:
        parts = finding.path.split(os.sep)
        # A metric's document and its sealed files are written anew together.
        if stage in WHOLE_RUN or (stage == FOLD and finding.rule != "document-missing"):
            return ""
        if stage == DOCUMENTS and len(parts) > 3 and parts[2] == METRICS:
            return os.path.splitext(parts[3])[0]
        return finding.path

    def _mend(self, look: RunLook, finding: Finding, run: Optional[OpenRun]) -> Repair:
        path = look.places.get(finding.path) or os.path.join(self._tree.root, finding.path)
        made = _mend(Case(self._tree, finding, path, look, run), self._dry_run)
        identity = finding[:2]
        self._open.pop(identity, None)
        self._tries[identity] += 1 if made.done else _TRIES
        return made


def _in_order(found: Iterable[Finding]) -> List[Finding]:
    return sorted(found, key=lambda finding: (MENDINGS[finding.rule].stage, RANKS[finding.rule], finding))
