"""What a push tells: of each run what was sent, and of each thing that a server cannot take what was done instead."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
#: Something of the run could not be sent, and the error says what; the next push goes on.
FAILED = "failed"
#: The run was deleted on the server, by somebody there: it is left so.
LEFT = "left"
#: The server stopped answering before it was the run's turn.
UNSENT = "unsent"
#: The server has all of these that it takes, or is to have.
DONE = (CREATED, UPDATED, UNCHANGED, LEFT)

#: What was done with something that a server does not take as it is. Only `SKIPPED` leaves something out.
CHANGED, CLAMPED, KEPT, RENAMED, SKIPPED, TRUNCATED = "changed", "clamped", "kept", "renamed", "skipped", "truncated"


class Note(NamedTuple):
    """Something that the server could not take as it is.

    Attributes:
        kind: "run", "experiment", "param", "tag", "metric", "artifact", "dataset" or "model".
        key: its key, path or name; that of the run for "run".
        problem: what the server does not take.
        done: what was done instead: one of the words above.
        instead: what it has become: the other key, the number; "" where the word says all.
    """

    kind: str
    key: str
    problem: str
    done: str
    instead: str = ""


class PushedRun(NamedTuple):
    """What became of one run.

    Attributes:
        run_id, experiment_id, name: of the run here.
        server_run_id: its id on the server, which draws its own; None while it has none.
        outcome: one of the words above.
        params, tags, points, artifacts, inputs: how many of each were sent now.
        notes: what the server could not take as it is, of what was looked at now.
        error: why the run failed; None if it did not.
    """

    run_id: str
    experiment_id: int
    name: Optional[str]
    server_run_id: Optional[str]
    outcome: str
    params: int = 0
    tags: int = 0
    points: int = 0
    artifacts: int = 0
    inputs: int = 0
    notes: Tuple[Note, ...] = ()
    error: Optional[str] = None

    def to_dict(self) -> Dict[str, Any]:
        """The fields as a dict that JSON can say."""
        return dict(self._asdict(), notes=[dict(note._asdict()) for note in self.notes])


class PushReport(NamedTuple):
    """What became of a push.

    Attributes:
        target: the server's address.
        runs: one entry a run, parents before their children.
        notes: of experiments.
        error: why the push stopped before its end; None if it did not.
        dry_run: nothing was sent; the runs say what would have been.
    """

    target: str
    runs: List[PushedRun]
    notes: List[Note]
    error: Optional[str] = None
    dry_run: bool = False

    def count(self, outcome: str) -> int:
        """How many runs have that outcome."""
        return sum(run.outcome == outcome for run in self.runs)

    @property
    def is_complete(self) -> bool:
        """Whether the server now has every run, as far as it takes them."""
        return self.error is None and not any(run.outcome in (FAILED, UNSENT) for run in self.runs)

    @property
    def left_out(self) -> List[Tuple[PushedRun, Note]]:
        """What the server does not have, and will not have from another push."""
        return [(run, note) for run in self.runs for note in run.notes if note.done == SKIPPED]

    def server_run_ids(self) -> Dict[str, str]:
        """Run id here to run id there, of the runs that have one there."""
        return {run.run_id: run.server_run_id for run in self.runs if run.server_run_id is not None}
