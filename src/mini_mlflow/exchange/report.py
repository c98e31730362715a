"""What an import has done, and what it has left out and why."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple


class Problem(NamedTuple):
    """Something of the source that was left out, or does not stand as it did there.

    Attributes:
        path: the file or folder of the source.
        reason: what is wrong with it, or what was done instead.
    """

    path: str
    reason: str


class ImportReport(NamedTuple):
    """What an import has brought; with ``dry_run``, what it would bring.

    Attributes:
        source: the path that was read.
        runs_dir: the tree.
        dry_run: nothing was changed.
        experiments: those that are new here.
        runs: those that are new here, the deleted ones among them.
        deleted_runs: those that went to the trash.
        updated_runs: those that were here, and have got something new.
        unchanged_runs: those that were here, whole.
        points, params, tags: those that are new here, params and tags also where they have got a new value.
        duplicates: points that stood in the source more than once.
        models, traces: logged models and traces of MLflow that are new or have got something new.
        artifacts, artifact_bytes: files that are new here.
        linked_artifacts: those of them that are hard links.
        problems: what was left out, in the order of the source.
    """

    source: str
    runs_dir: str
    dry_run: bool = False
    experiments: int = 0
    runs: int = 0
    deleted_runs: int = 0
    updated_runs: int = 0
    unchanged_runs: int = 0
    points: int = 0
    params: int = 0
    tags: int = 0
    duplicates: int = 0
    models: int = 0
    traces: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    linked_artifacts: int = 0
    problems: List[Problem] = []

    def to_dict(self) -> Dict[str, Any]:
        """The same as a dict of JSON values."""
        return {**self._asdict(), "problems": [problem._asdict() for problem in self.problems]}


class Tally:
    """Counts while an import is at work."""

    def __init__(self) -> None:
        self.counts: Dict[str, int] = {}
        self.problems: List[Problem] = []

    def add(self, what: str, count: int = 1) -> None:
        """So many more of ``what``, a field of `ImportReport`."""
        self.counts[what] = self.counts.get(what, 0) + count

    def tell(self, path: str, reason: object) -> None:
        """Something was left out, or is not as it was."""
        self.problems.append(Problem(path, str(reason)))

    def absorb(self, other: Tally) -> None:
        """What another one has counted is counted here."""
        for what, count in other.counts.items():
            self.add(what, count)
        self.problems += other.problems

    def report(self, source: str, runs_dir: str, dry_run: bool) -> ImportReport:
        """The whole of it."""
        return ImportReport(source, runs_dir, dry_run, problems=self.problems, **self.counts)
