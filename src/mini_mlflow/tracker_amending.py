"""The part of a tracker that changes runs which it has not started, and which may have ended."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from mini_mlflow.disk.keys import check_text
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import Settings
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import Submission, batch_submission, value_submission


class AmendingMethods:
    """A base of `ExperimentTracker`."""

    _settings: Settings

    def set_tag(self, run_id: str, key: str, value: Any, experiment_id: Any = None) -> None:
        """The run has the tag, on disk, whether it is open, here or elsewhere, or has ended; it stays what it is.

        Args:
            key, value: as for `Run.set_tag`.

        Raises:
            RunNotFoundError: there is no such run; RunDeletedError: it lies in the trash.
            ValueError, TypeError: a bad id, key or value.
            OSError: the disk refused, or LockTimeout. After any of these, nothing is changed.
        """
        self._amend(run_id, experiment_id, value_submission("tags", key, value))

    def delete_tag(self, run_id: str, key: str, experiment_id: Any = None) -> None:
        """The run has no such tag any more; otherwise as `set_tag`. Raises also TagNotFoundError: it had none."""
        self._amend(run_id, experiment_id, batch_submission(deleted_tags=[key]))

    def rename_run(self, run_id: str, name: Optional[str], experiment_id: Any = None) -> None:
        """The run has another name (None: none); otherwise as `set_tag`. Its id, and so its place, stay."""
        self._amend(run_id, experiment_id, meta={"name": check_text(name, "name")})

    def _amend(
        self, run_id: Any, experiment_id: Any, submission: Optional[Submission] = None, meta: Mapping[str, Any] = {}
    ) -> None:
        amend_at(self._paths(run_id, experiment_id).address, self._settings, submission, meta)

    def _paths(self, run_id: Any, experiment_id: Any) -> RunPaths:
        raise NotImplementedError
