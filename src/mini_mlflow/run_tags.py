"""The tags of a run: the part of `Run` that sets and deletes them."""

from __future__ import annotations

from typing import Any, Mapping

from mini_mlflow.writing.amending import amend
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.operations import Submission, batch_submission, value_submission, values_submission


class TagMethods:
    """What `Run` has of it."""

    def set_tag(self, key: str, value: Any) -> None:
        """The tag ``key`` is ``value``, on disk; the last write wins. Values and errors as `Run.log_param`."""
        self._submit(value_submission("tags", key, value))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """All of ``tags`` are on disk, in one commit. Values and errors as `Run.log_param`."""
        self._submit(values_submission("tags", tags))

    def delete_tag(self, key: str) -> None:
        """The run has no tag ``key`` any more, on disk, until it is set again.

        Raises:
            TagNotFoundError: (a KeyError) it had none; nothing was changed.
            ValueError, TypeError, RunEndedError, OSError: as `Run.log_param`. Of a run that has ended,
                `ExperimentTracker.delete_tag` deletes tags.
        """
        amend(self._opened(), batch_submission(deleted_tags=[key]), ended_too=False)

    def _submit(self, submission: Submission) -> None:
        raise NotImplementedError

    def _opened(self) -> OpenRun:
        raise NotImplementedError
