"""One reading process: ``python -m stress.reader '<work as JSON>'``.

Its threads list and search runs, read runs and read histories for as long as others write. Each look is compared with
the one before; the last one goes into the report, so that the judge can compare it with what the tree holds at the
end. As every look extends the one before, whatever any reader ever saw is judged so, value by value.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Dict, List

from mini_mlflow import DamagedFileWarning, ExperimentTracker, RunNotFoundError
from stress.acknowledgements import ENDED, LINE_BYTES
from stress.collecting import read_history
from stress.evidence import Histories, ReaderRecord
from stress.place import Place
from stress.plan import POINTS, calls, param_value
from stress.points import decode
from stress.reader_guarantees import describe_loss
from stress.writer import together

#: A thread that saw so many errors leaves: one would do.
ERRORS = 20
#: Runs of which one thread remembers what it saw: the memory of a reader is bounded.
SIGHTS = 200


@dataclass(frozen=True)
class Work:
    """What one reader is to do: read until the stop file is there, ``limit_s`` seconds at most.

    Attributes:
        nobody_dies: no process is killed while it reads, so no run may read as CRASHED.
        runs_vanish: runs are deleted and restored while it reads: one that is not there is no error, half of one is.
    """

    folder: str
    seed: int
    reader: int
    threads: int
    limit_s: float
    nobody_dies: bool = True
    runs_vanish: bool = False

    def to_json(self) -> Dict[str, Any]:
        return asdict(self)


class Promise:
    """The newest acknowledged value of each metric of one thread on one run: what a reader must see from now on."""

    def __init__(self, seed: int, path: Path) -> None:
        writer, thread = (int(part) for part in path.name.split("-"))
        self._path = path
        self._plan = calls(seed, path.parent.name, writer, thread)
        self._calls = 0
        self._newest: Dict[str, float] = {}

    def newest(self) -> Dict[str, float]:
        """By key, as of now."""
        with self._path.open("rb") as file:
            file.seek(self._calls * LINE_BYTES)
            lines = file.read().split(b"\n")[:-1]
        for line in lines:
            if int(line.split()[0]) == ENDED:
                break
            call = next(self._plan)
            self._calls += 1
            if call.kind in POINTS:
                self._newest.update(call.values)
        return self._newest


class Reading:
    """One reading thread: what it has seen, and what was wrong with it."""

    def __init__(self, work: Work, thread: int) -> None:
        self.record = ReaderRecord()
        self._place = Place(Path(work.folder))
        self._tracker = ExperimentTracker(runs_dir=str(self._place.tree))
        self._random = Random(f"{work.seed}/reader/{work.reader}/{thread}")
        self._seed = work.seed
        self._nobody_dies, self._runs_vanish = work.nobody_dies, work.runs_vanish
        self._deadline = time.monotonic() + work.limit_s
        self._listed: List[str] = []
        self._promises: Dict[Path, Promise] = {}

    def read_on(self) -> None:
        """Read until the writers have finished, and at least once."""
        while True:
            try:
                self._look()
            except RunNotFoundError:
                if not self._runs_vanish:
                    self.record.errors.append(traceback.format_exc(limit=-4))
            except Exception:  # noqa: BLE001  (whatever a read raises is what is looked for)
                self.record.errors.append(traceback.format_exc(limit=-4))
            if len(self.record.errors) > ERRORS or self._place.stop_file.exists() or time.monotonic() > self._deadline:
                return

    def _look(self) -> None:
        if not self._listed or self._random.random() < 0.1:
            self._look_at_listing()
        if not self._listed:
            return
        sights = self.record.sights
        run_id = self._random.choice(self._listed if len(sights) < SIGHTS else sorted(sights))
        if "shared" in self._listed and self._random.random() < 0.2:
            # The one run that many write to; not more often, since its histories are long.
            run_id = "shared"
        self._look_at_run(run_id)

    def _look_at_listing(self) -> None:
        listed = self._tracker.list_runs()
        self.record.reads += 1
        lost = set() if self._runs_vanish else set(self._listed) - set(listed)
        if lost or len(set(listed)) != len(listed):
            self.record.shrunk.append(f"list_runs: {len(listed)} runs, {sorted(lost)[:3]} were listed before")
        self._listed = listed
        if self._random.random() < 0.5:
            self._look_at_search()

    def _look_at_search(self) -> None:
        """What is listed is found, once each, with params that are whole."""
        found = {run.run_id: run for run in self._tracker.search_runs("status != 'NONE'", ["metrics.m0 DESC", "name"])}
        self.record.reads += 1
        lost = set() if self._runs_vanish else set(self._listed) - set(found)
        if lost:
            self.record.shrunk.append(f"search_runs: {len(found)} runs, without {sorted(lost)[:3]}, listed before")
        for run in found.values():
            if self._nobody_dies and run.status == "CRASHED":
                self.record.declared_dead.append(f"run {run.run_id} was found as CRASHED, and nobody had died")
            if not all(_is_whole(value) for value in run.params.values()):
                self.record.torn.append(f"run {run.run_id}: found with params {str(run.params)[:80]}")

    def _look_at_run(self, run_id: str) -> None:
        promised = self._promised(run_id)
        run = self._tracker.get_run(run_id)
        self.record.reads += 1
        if self._nobody_dies and run["metadata"]["status"] == "CRASHED":
            self.record.declared_dead.append(f"run {run_id} read as CRASHED, and nobody had died")
        for key, value in run["params"].items():
            if not _is_whole(value):
                self.record.torn.append(f"run {run_id}: param {key} was {str(value)[:80]}")
        keys = sorted(run["metrics"])
        unseen = [key for key in promised if key not in run["metrics"]]
        if unseen:
            self.record.unseen.append(f"run {run_id}: metrics {unseen[:3]} were acknowledged and not there")
        for key in self._random.sample(keys, min(2, len(keys))):
            self._look_at_history(run_id, key, promised.get(key, []), run["metrics"][key])

    def _look_at_history(self, run_id: str, key: str, promised: List[float], last_value: float) -> None:
        history = read_history(self._tracker, run_id, key)
        self.record.reads += 1
        sight: Histories = self.record.sights.setdefault(run_id, {})
        loss = describe_loss(sight.get(key, []), history)
        if loss:
            self.record.shrunk.append(f"run {run_id}: {key}: {loss}")
        sight[key] = history
        # From the end: what is looked for is among the newest points of a history that may be long.
        newest_first = [value for _, value in reversed(history)]
        if last_value not in newest_first:
            self.record.torn.append(f"run {run_id}: {key} showed {last_value}, which its history lacks")
        for value in promised:
            if value not in newest_first:
                self.record.unseen.append(f"run {run_id}: {key} lacks {value}, acknowledged before the read began")

    def _promised(self, run_id: str) -> Dict[str, List[float]]:
        newest: Dict[str, List[float]] = {}
        folder = self._place.acknowledgements / run_id
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            promise = self._promises.setdefault(path, Promise(self._seed, path))
            for key, value in promise.newest().items():
                newest.setdefault(key, []).append(value)
        return newest


def _is_whole(param: object) -> bool:
    logged = param.get("logged") if isinstance(param, dict) else None
    return isinstance(logged, float) and decode(logged) is not None and param == param_value(logged)


def main(arguments: Dict[str, Any]) -> None:
    # Nobody damages files here: a reader that skips one with a warning has found a torn one.
    warnings.simplefilter("error", DamagedFileWarning)
    work = Work(**arguments)
    readings = [Reading(work, thread) for thread in range(work.threads)]
    together([reading.read_on for reading in readings])
    Place(Path(work.folder)).report(f"reader-{work.reader}", {"threads": [asdict(one.record) for one in readings]})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
