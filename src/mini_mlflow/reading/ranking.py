"""In what order the runs of a search come, and the first few of many in little memory."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mini_mlflow.errors import InvalidTypeError, show
from mini_mlflow.reading.matching import getter
from mini_mlflow.reading.query import OrderKey, parse_order
from mini_mlflow.reading.query_fields import RUNS, Subject


class Candidate(NamedTuple):
    """A run that may be among the results, with what its place among them depends on.

    Attributes:
        keys: one a key of the order; None where the run has nothing there.
        start: its start time as text that sorts.
    """

    keys: Tuple[Any, ...]
    start: str
    run: Any


def compile_order(order_by: Any, subject: Subject = RUNS) -> List[OrderKey]:
    """The keys of an order: a str is one, None is none. Raises InvalidFilterError, InvalidTypeError."""
    texts = [order_by] if isinstance(order_by, str) else list(order_by or ())
    for text in texts:
        if not isinstance(text, str):
            raise InvalidTypeError("order_by must be texts, not %s: %s" % (type(text).__name__, show(text)))
    return [parse_order(text, subject) for text in texts]


class Ranking:
    """The first ``limit`` runs of an order, of all that are added; no more than some multiple of that are kept.

    Runs without a value, or with NaN, come last in both directions; ties go by the newest start, then by id as
    `list_runs` has them. Numbers come before texts, texts before everything else.
    """

    #: Candidates are sorted and cut when there are twice as many as wanted, but not below this: a sort of few is cheap.
    CUT_AT = 512

    def __init__(self, order: Sequence[OrderKey], limit: Optional[int]) -> None:
        self._order = order
        self._limit = limit
        self._cut_at = max(2 * limit, self.CUT_AT) if limit is not None else 0
        self._getters = [getter(key.field) for key in order]
        self._candidates: List[Candidate] = []

    def add(self, run: Any) -> None:
        """The run takes part."""
        start = run.metadata.get("start_time")
        # Without the Z a time to the second sorts before the same second's fractions.
        text = start.rstrip("Z") if isinstance(start, str) else ""
        self._candidates.append(Candidate(tuple(rank(get(run)) for get in self._getters), text, run))
        if self._cut_at and len(self._candidates) >= self._cut_at:
            self._cut()

    def runs(self) -> List[Any]:
        """The runs in order."""
        self._cut()
        return [candidate.run for candidate in self._candidates]

    def _cut(self) -> None:
        found = self._candidates
        # The key that counts least first; each further sort keeps the order of what is equal to it.
        found.sort(key=lambda candidate: (candidate.start, candidate.run.run_id), reverse=True)
        for index in reversed(range(len(self._order))):
            found = self._sorted_by(index, found)
        self._candidates = _without_twins(found)[: self._limit]

    def _sorted_by(self, index: int, found: List[Candidate]) -> List[Candidate]:
        there = [candidate for candidate in found if candidate.keys[index] is not None]
        there.sort(key=lambda candidate: candidate.keys[index], reverse=self._order[index].descending)
        return there + [candidate for candidate in found if candidate.keys[index] is None]


def rank(value: Any) -> Optional[Tuple[int, Any]]:
    """What a value of any JSON type is sorted by; None for what is missing, and for NaN."""
    if value is None or value != value:
        return None
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, json.dumps(value, sort_keys=True))


def _without_twins(found: List[Candidate]) -> List[Candidate]:
    # A run that is deleted and restored while its folder is read may be given twice (readdir(3)). A twin may have
    # changed meanwhile and stand elsewhere; the first is as good as the second.
    kept: Dict[Tuple[int, str], Candidate] = {}
    for candidate in found:
        kept.setdefault((candidate.run.experiment_id, candidate.run.run_id), candidate)
    return list(kept.values())
