"""Which steps of an operation a fault is tried at: those at which it can turn out otherwise than at one tried already.

An operation is done once, undisturbed, and each of its steps looked at. A process that is killed leaves the tree as it
stands then: steps before which the tree is what it was before the step before (most sync a file or close one) are left
out, and nothing with them. What a step that fails leads to depends on the way on which the engine has come to it: of a
loop the first and the last round are tried, and of ways that an operation above in the list takes too, one in four.
With ``--every-step`` all are, as a longer search wants it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple

import pytest

from concurrency import in_child
from faults import (
    OPERATIONS,
    PACKAGE,
    FaultyOs,
    Operation,
    Step,
    Stored,
    choose_lines,
    quick_folder,
    read_stored,
    set_up,
)

# Of the steps to which an operation above has come in the same way, one in so many is tried.
KNOWN_TRIED = 4


class Passed(NamedTuple):
    """A step that was taken.

    Attributes:
        step: it.
        where: the lines of the engine that it was taken from, the innermost first.
        changed: whether the tree differs from what it was before the step before it.
    """

    step: Step
    where: Tuple[Any, ...]
    changed: bool

    @property
    def way(self) -> Any:
        """How the engine came to it: without the API, of which each call has lines of its own."""
        inner = [line for line in self.where if os.path.dirname(line[0].co_filename) != PACKAGE]
        return (self.step.name, *inner)


class Course(NamedTuple):
    """An operation that nothing disturbed.

    Attributes:
        operation: it.
        before, after: what a reader sees; None where there is no run.
        passed: its steps.
        every: whether all steps are to be tried.
    """

    operation: Operation
    before: Optional[Stored]
    after: Optional[Stored]
    passed: List[Passed]
    every: bool

    @property
    def over(self) -> int:
        """The number after the last step's: what is to happen there does not."""
        return len(self.passed) + 1

    def changing(self) -> List[int]:
        """The numbers of the steps before which, or half way, a kill leaves a tree of its own; and `over`."""
        told = [at for at, one in enumerate(self.passed, 1) if self.every or one.changed or one.step.name == "write"]
        return [*told, self.over]

    def telling(self, strikes: Callable[[Step], bool] = lambda step: True) -> List[int]:
        """The numbers of the steps whose failing is worth a try; and `over`.

        Args:
            strikes: whether the fault does anything at a step; one that lasts waits for the next such step.
        """
        struck = [(at, one) for at, one in enumerate(self.passed, 1) if strikes(one.step)]
        first: Dict[Any, int] = {}
        last: Dict[Any, int] = {}
        for at, one in struck:
            first.setdefault((one.step.name, one.where), at)
            last[one.step.name, one.where] = at
        if self.every:
            return [*(at for at, _ in struck), self.over]
        told = sorted({*first.values(), *last.values()})
        above = _ways_above()[self.operation.name]
        known = [at for at in told if self.passed[at - 1].way in above]
        # Which of them differs from one operation to the next.
        start = OPERATIONS.index(self.operation) % KNOWN_TRIED % (len(known) or 1)
        left_out = set(known) - set(known[start::KNOWN_TRIED])
        return [*(at for at in told if at not in left_out), self.over]


def follow(operation: Operation, root: str, disk: FaultyOs, every: bool = False) -> Course:
    """The course of the operation in a new tree at ``root``."""
    with ExitStack() as stack:
        run = operation.prepare(root, stack)
        before = read_stored(root) if os.path.isdir(root) else None
        with _passing(root, disk) as passed:
            run = operation.act(root, run)
        after = read_stored(root)
        if run.is_open():
            run.end()
    return Course(operation, before, after, passed, every)


@lru_cache(maxsize=None)
def _ways_above() -> Dict[str, FrozenSet[Any]]:
    """Of each operation by its name, all ways on which those above it in the list come to their steps."""
    ways: Set[Any] = set()
    above: Dict[str, FrozenSet[Any]] = {}
    with quick_folder() as folder:
        for number, operation in enumerate(OPERATIONS):
            above[operation.name] = frozenset(ways)
            root = os.path.join(folder, str(number))
            with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
                disk = set_up(operation, patch)
                run = operation.prepare(root, stack)
                with _passing(root, disk) as passed:
                    run = operation.act(root, run)
                ways.update(one.way for one in passed)
                if run.is_open():
                    run.end()
    return above


def changing_when_forked(operation: Operation, root: str, disk: FaultyOs, every: bool = False) -> List[int]:
    """As `Course.changing`, of a child that was forked with the run open: it takes steps to have it for itself."""
    with ExitStack() as stack:
        run = operation.prepare(root, stack)
        reading, writing = os.pipe()

        def act() -> None:
            with _passing(root, disk) as passed:
                operation.act(root, run)
            os.write(writing, json.dumps(Course(operation, None, None, passed, every).changing()).encode())

        assert in_child(act) == 0
        os.close(writing)
        with open(reading, "rb") as file:
            told: List[int] = json.loads(file.read())
        if run is not None and read_stored(root).status == "RUNNING":  # type: ignore[union-attr]
            run.end()
    return told


@contextmanager
def _passing(root: str, disk: FaultyOs) -> Iterator[List[Passed]]:
    passed: List[Passed] = []
    trees: List[Any] = []

    def note(step: Step) -> Any:
        trees.append(_look(root))
        passed.append(Passed(step, _where(), trees[-1:] != trees[-2:-1]))
        return step.carry_out()

    with disk.armed(note, lasting=True):
        yield passed


def _look(root: str) -> List[Tuple[Any, ...]]:
    """What stands in a tree and when each file was last written to, so that no two states look the same."""
    found: List[Tuple[Any, ...]] = []
    for folder, names, files in os.walk(root):
        for name in names + files:
            told = os.lstat(os.path.join(folder, name))
            written = (told.st_size, told.st_mtime_ns, told.st_nlink) if name in files else ()
            found.append((folder, name, told.st_ino, told.st_mode, *written))
    return found


def _where() -> Tuple[Any, ...]:
    frame: Any = sys._getframe(1)
    lines = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            lines.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(lines)


def expect(operation: Operation, root: str) -> Optional[Stored]:
    """What the operation makes of a tree when nothing interrupts it."""
    with ExitStack() as stack:
        run = operation.act(root, operation.prepare(root, stack))
        stored = read_stored(root)
        if run.is_open():
            run.end()
    return stored


def lines_of(operation: Operation, root: str) -> List[int]:
    """The lines of the operation at which `at_line` is worth a try, found in a new tree at ``root``."""
    with ExitStack() as stack:
        run = operation.prepare(root, stack)
        numbers = choose_lines(lambda: operation.act(root, run))
        if run is not None and run.is_open():
            run.end()
    assert len(numbers) > 50
    return numbers
