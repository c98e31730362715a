"""What a mend is: it says what it would do about a finding, and does it when it is told to.

A mend is planned and carried out by the holder of the run's lock, who looked at the run under the same hold: nobody
changes the run meanwhile, and each doubt of that look is certain. What stands outside of runs is nobody's to change
but a person's. Of a living owner (`Case.owner_lives`) all is safe that another process logging to the run may do too:
documents and sealed files are replaced, commits folded. What the owner may still have in memory is left alone.

Each mend leaves, at every step, a tree in which everything can be read that could be before; and where it was cut
short, the next one finds what is left to do. A file that is replaced, or moved away, is kept in the quarantine.
"""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any, Callable, List, NamedTuple, Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.locks import is_held
from mini_mlflow.entities import Settings
from mini_mlflow.errors import DamagedFileWarning
from mini_mlflow.upkeep.findings import Finding
from mini_mlflow.upkeep.quarantine import Quarantine
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.writing.open_runs import OpenRun


class Repair(NamedTuple):
    """What became of a finding.

    Attributes:
        finding: what `upkeep.verify` tells.
        action: what was done, or would be, and what is lost by it; what should be done where nothing can.
        done: True if it was done.
        reason: why it could not be; None if it was, or would be (a dry run).
    """

    finding: Finding
    action: str
    done: bool
    reason: Optional[str] = None


class Plan(NamedTuple):
    """What a mend would do.

    Attributes:
        action: in words.
        carry_out: does it, and returns what more there is to tell, if anything. Raises OSError or MiniMlflowError.
        reason: why nothing can be done; ``carry_out`` is None then.
    """

    action: str
    carry_out: Optional[Callable[[], Optional[str]]] = None
    reason: Optional[str] = None


class AlreadyMendedError(Exception):
    """Somebody else has done it since it was found: outside of runs, no lock is held from the look to the mend."""


def refuse(action: str, reason: str) -> Plan:
    """Nothing is done: ``action`` is what somebody else should do."""
    return Plan(action, None, reason)


class Tree(NamedTuple):
    """The tree that is mended, and how."""

    root: str
    settings: Settings
    quarantine: Quarantine

    @property
    def sync(self) -> bool:
        return self.settings.fsync != "never"


class Case(NamedTuple):
    """A finding, and where it was found.

    Attributes:
        path: absolute, as the system spells it.
        look: what the run looked like, under its lock; None outside of runs.
        run: the run, whose lock is held; None outside of runs, and in a dry run.
    """

    tree: Tree
    finding: Finding
    path: str
    look: Optional[RunLook] = None
    run: Optional[OpenRun] = None

    @property
    def in_run(self) -> RunLook:
        assert self.look is not None
        return self.look

    @property
    def open(self) -> OpenRun:
        assert self.run is not None
        return self.run

    @property
    def paths(self) -> RunPaths:
        return self.in_run.paths

    @property
    def parts(self) -> List[str]:
        """The names from the run's folder, or else from the tree, down to the place."""
        start = self.tree.root if self.look is None else self.paths.folder
        return os.path.relpath(self.path, start).split(os.sep)

    @property
    def owner_lives(self) -> bool:
        return is_held(self.paths.owner_lock) is True

    def move(self, path: Optional[str] = None) -> str:
        """The file or folder (None: the place of the finding) is in the quarantine; returns where."""
        return self.tree.quarantine.move(path or self.path)

    def replace(self, path: str, data: bytes) -> None:
        """The file holds ``data``, on the medium; what it held before is in the quarantine.

        Raises:
            OSError: with ``filename`` set; it holds what it held before.
        """
        if os.path.lexists(path):
            self.tree.quarantine.keep(path)
        folder, name = os.path.split(path)
        atomic.create_folder(folder)
        atomic.write_file(folder, name, data, self.tree.sync)
        if self.tree.sync:
            atomic.sync_folder(folder)


def describe_error(error: Exception) -> str:
    """What the system, or this package, says of it, and where."""
    if isinstance(error, OSError) and error.strerror:
        return "%s: %s" % (error.strerror, error.filename)
    return str(error)


def move_away(case: Case) -> Plan:
    """The mend of what nobody can make anything of."""
    return Plan("move it into .quarantine", lambda: "it is %s now" % case.move())


# What is shown and what is gathered is settled for a whole process: two that gather at once would undo each other.
_gathering = threading.RLock()


class Told:
    """Within the block, what readers and writers warn of is gathered instead of shown.

    Attributes:
        messages: once the block is left, what was said of damaged files, each once.
    """

    def __init__(self) -> None:
        self.messages: List[str] = []

    def __enter__(self) -> Told:
        _gathering.acquire()
        self._catching: Any = warnings.catch_warnings(record=True)
        self._caught: Any = self._catching.__enter__()
        warnings.simplefilter("always", DamagedFileWarning)
        return self

    def __exit__(self, *error: Any) -> None:
        self._catching.__exit__(*error)
        _gathering.release()
        self.messages = sorted({str(one.message) for one in self._caught if one.category is DamagedFileWarning})
        for one in self._caught:
            if one.category is not DamagedFileWarning:
                # Another thread's, or none of ours to keep.
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
