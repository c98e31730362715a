"""What a doctor says: a verdict for each check, and one for the place."""

from __future__ import annotations

from typing import List, NamedTuple

OK, WARNING, FAILURE = "ok", "warning", "failure"

_SUMMARIES = {
    OK: "This place does what the guarantees need.",
    WARNING: "This place can be used, but not everything that is guaranteed elsewhere is guaranteed here.",
    FAILURE: "Do not keep a tree here that more than one process writes to, until what fails is put right.",
}


class Check(NamedTuple):
    """One thing that was tried.

    Attributes:
        name: what, in a word or two.
        verdict: "ok"; "warning", of what costs time or a convenience; "failure", of what may cost data.
        message: what was seen, and what can be done about it.
    """

    name: str
    verdict: str
    message: str


class Diagnosis(NamedTuple):
    """What was found out about a place.

    Attributes:
        runs_dir: its absolute path.
        verdict: the worst of the checks.
        summary: the verdict in a sentence.
        checks: each check, in the order in which they were made.
    """

    runs_dir: str
    verdict: str
    summary: str
    checks: List[Check]


def conclude(runs_dir: str, checks: List[Check]) -> Diagnosis:
    """The diagnosis that the checks come to."""
    verdicts = {check.verdict for check in checks}
    verdict = next((verdict for verdict in (FAILURE, WARNING) if verdict in verdicts), OK)
    return Diagnosis(runs_dir, verdict, _SUMMARIES[verdict], checks)
