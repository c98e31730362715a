"""One process that deletes and restores: ``python -m stress.trasher '<work as JSON>'``, or a fork.

Each of its threads does what those of `stress.resumer` do, and now and then deletes the run that it logs to, and
restores it when it meets it in the trash. A call that finds the run there is told so by a RunDeletedError and has
stored nothing: it is made again, as the same call, and acknowledged once it has returned. Beside that, each makes runs
in an experiment of their own that are deleted and removed for good, and now and then an experiment with a run, which is
tagged, deleted, restored, renamed, and removed for good.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Dict

from mini_mlflow import ExperimentTracker, RunDeletedError, RunEndedError, RunNotFoundError
from stress.acknowledgements import AcknowledgementFile
from stress.plan import Call
from stress.resumer import Resumer, ResumingThread
from stress.writer import Work, set_up

#: A thread deletes its run before about one call in so many, and has a short-lived one before one in so many more.
CALLS_A_DELETION = 15
CALLS_A_SHORT_LIFE = 60
CALLS_AN_EXPERIMENT = 150
SHORT_LIVED = "short-lived"


class TrashingThread(ResumingThread):
    """One thread, and the handle that it has on its run."""

    def make(self, call: Call, done: AcknowledgementFile, tracker: ExperimentTracker) -> None:
        """As there, whatever deletions it met on its way."""
        if self._dice.random() * CALLS_A_DELETION < 1:
            self._note(lambda: tracker.delete_run(done.run_id), "deletions")
        if self._dice.random() * CALLS_A_SHORT_LIFE < 1:
            self._live_shortly(done, call, ExperimentTracker(runs_dir=tracker.runs_dir))
        if self._dice.random() * CALLS_AN_EXPERIMENT < 1:
            self._lead_through_life(call, ExperimentTracker(runs_dir=tracker.runs_dir))
        super().make(call, done, tracker)

    def _lose(self, error: RunEndedError, run_id: str, tracker: ExperimentTracker) -> None:
        if isinstance(error, RunDeletedError):
            # It has not ended: the same handle goes on once it is restored.
            self._restore(run_id, tracker)
        else:
            super()._lose(error, run_id, tracker)

    def _resume(self, run_id: str, tracker: ExperimentTracker) -> None:
        while True:
            try:
                super()._resume(run_id, tracker)
                return
            except RunDeletedError:
                self._restore(run_id, tracker)

    def _restore(self, run_id: str, tracker: ExperimentTracker) -> None:
        self._note(lambda: tracker.restore_run(run_id), "restorations")

    def _note(self, action: Any, name: str) -> None:
        try:
            action()
            self.counts[name] = self.counts.get(name, 0) + 1
        except RunNotFoundError:
            # Another one was first.
            self.counts["lost"] += 1

    def _live_shortly(self, done: AcknowledgementFile, call: Call, tracker: ExperimentTracker) -> None:
        tracker.set_experiment(SHORT_LIVED)
        run_id = f"{done.run_id}-{self._resumer._work.writer}-{self.number}-{call.number}"
        with tracker.start_run(run_id=run_id, nested=True) as run:
            run.log_metric("loss", 1.0)
        tracker.delete_run(run_id)
        self.counts["removed"] = self.counts.get("removed", 0) + len(tracker.gc(experiment_id=tracker.experiment_id))

    def _lead_through_life(self, call: Call, tracker: ExperimentTracker) -> None:
        name = f"own-{self._resumer._work.writer}-{self.number}-{call.number}"
        number = tracker.create_experiment(name)
        with tracker.start_run(run_id="r", experiment_id=number, nested=True) as run:
            run.log_metric("loss", 1.0)
        tracker.set_experiment_tag(number, "call", call.number)
        tracker.delete_experiment(number)
        assert tracker.list_runs(number) == [], f"{name} is deleted, and has runs"
        assert [one.run_id for one in tracker.list_deleted_runs(number)] == ["r"], f"the run of {name} is not deleted"
        tracker.restore_experiment(number)
        tracker.rename_experiment(number, name + "-renamed")
        found = tracker.get_experiment(number)
        assert (found.name, found.tags) == (name + "-renamed", {"call": call.number}), f"{name} became {found}"
        assert tracker.get_run("r", number)["metrics"] == {"loss": 1.0}, f"the run of {name} has lost its point"
        tracker.delete_experiment(number)
        assert tracker.gc(experiment_id=number) == ["r"], f"the run of {name} stays"
        assert tracker.get_experiment_by_name(name + "-renamed") is None, f"{name} stays"
        self.counts["experiments"] = self.counts.get("experiments", 0) + 1


def main(work: Dict[str, Any]) -> None:
    set_up(work["folder"])
    Resumer(Work(**work), TrashingThread).work()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
