"""Taking a run back to a step: the part of `Run` for jobs that are stopped and repeat steps when they start again."""

from __future__ import annotations

from mini_mlflow.writing.operations import Submission, rewind_submission


class RewindMethods:
    """What `Run` has of it."""

    def rewind(self, step: int) -> None:
        """Of all metrics of the run, the points logged so far that have a step above ``step`` are hidden.

        For who resumes a run from a checkpoint of that step: what was logged after the checkpoint, and is about to be
        logged again, does not stand twice. Nothing is deleted: ``get_metric_history(..., hidden=True)`` has all points.
        Hidden from then on are those logged before this call returns, whoever logged them; what is logged later is
        visible, whatever its step, and so goes on with the position after the last visible point where it is logged
        without one. Params and tags stay as they are.

        It is one commit, for all metrics or none, and survives what a log call survives. A metric without a visible
        point left has no value, and is not among the metrics of `ExperimentTracker.get_run`.

        It takes the time of reading all points of the run's metrics once (some four seconds for a million), and other
        calls to the run wait for it.

        Args:
            step: any int; the step of the checkpoint, which stays visible. -1 hides all of a run that counts from 0.

        Raises:
            ValueError, TypeError: not an int, or one of more than 4,200 digits; nothing is hidden.
            RunEndedError: "Cannot log": the run has ended, and ``start_run(run_id=...)`` resumes it; nothing is hidden.
            OSError: the disk refused, or LockTimeout; nothing is hidden.
        """
        self._submit(rewind_submission(step))

    def _submit(self, submission: Submission) -> None:
        raise NotImplementedError
