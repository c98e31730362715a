"""A change through MLflow's store, cut short at one step of the disk after another: by a kill, and by a full disk.

Each cut happens to a copy of its own of the tree that was prepared, so that what is left can be looked at, and gone on
with, as by whoever comes next.
"""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any, Callable, Iterator, NamedTuple, Tuple

from concurrency import in_child
from faults import MOST_STEPS, FaultyOs, kill
from mini_mlflow.mlflow_plugin import open_store
from mlflow_pairs import code_of, full


class Change(NamedTuple):
    """What is cut short, and how it is looked at.

    Attributes:
        act: makes the change in a store.
        see: what a store shows that is opened anew at a root, without what differs from one call to the next.
        go_on: what somebody does there afterwards, and sees, given what the whole change shows.
        may_be_done: the change may have come about also where a full disk was told of.
    """

    act: Callable[[Any], None]
    see: Callable[[str], Any]
    go_on: Callable[[str, Any], None]
    may_be_done: bool = False


def kill_at_each_step(disk: FaultyOs, prepared: str, change: Change, stride: int) -> None:
    """Killed at any step, every ``stride``-th is tried, the change is whole or not there, and holds up nobody."""
    before, after = _see_both(prepared, change)
    assert before != after
    seen = []
    for at, root in _copies(prepared, stride):

        def act_and_die(root: str = root, at: int = at) -> None:
            with disk.armed(kill, at):
                change.act(open_store(root))

        status = in_child(act_and_die)
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        shown = change.see(root)
        assert shown in ((before, after) if status else (after,)), "killed at step %d" % at
        seen.append(shown)
        change.go_on(root, after)
        if status == 0:
            break
    assert before in seen
    assert status == 0


def fill_at_each_step(disk: FaultyOs, prepared: str, change: Change, stride: int) -> None:
    """Where the disk is full from any step on, the change is refused and not there, or there; then all goes on."""
    before, after = _see_both(prepared, change)
    refused = 0
    for at, root in _copies(prepared, stride):
        store = open_store(root)
        with disk.armed(full, at, lasting=True):
            code = code_of(lambda: change.act(store))  # noqa: B023
        assert code in (None, "INTERNAL_ERROR")
        allowed = [before] if code else [after]
        assert change.see(root) in allowed + [after] * change.may_be_done, "full at step %d" % at
        refused += code is not None
        if disk.struck is None:
            break
        change.go_on(root, after)
    assert refused


def _see_both(prepared: str, change: Change) -> Tuple[Any, Any]:
    whole = shutil.copytree(prepared, prepared + "-whole")
    before = change.see(whole)
    change.act(open_store(whole))
    return before, change.see(whole)


def _copies(prepared: str, stride: int) -> Iterator[Tuple[int, str]]:
    return ((at, shutil.copytree(prepared, "%s-%d" % (prepared, at))) for at in range(1, MOST_STEPS, stride))
