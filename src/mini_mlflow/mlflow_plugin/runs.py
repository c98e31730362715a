"""The life of a run as MLflow tells it: made, renamed, ended, gone on with, deleted and restored.

MLflow sets a status and an end time, at any time and in any order; here a run is open or has ended. So a status that
ends a run ends it, RUNNING makes one that has ended go on, and what else MLflow may say stands in ``meta.yaml`` beside.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from mlflow.entities import Run, RunInfo, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_SOURCE_NAME,
)
from mlflow.utils.name_utils import _generate_random_name

from mini_mlflow.disk.keys import new_run_id
from mini_mlflow.entities import ACTIVE, END_STATUSES, RUNNING, RunAddress
from mini_mlflow.errors import MiniMlflowError, RunDeletedError, RunEndedError
from mini_mlflow.formats.times import FIRST_MS, LIMIT_MS, ms_to_iso, now_iso
from mini_mlflow.mlflow_plugin.batches import BatchMethods
from mini_mlflow.mlflow_plugin.experiments import ExperimentMethods
from mini_mlflow.mlflow_plugin.refusals import run_is_deleted, told_as_mlflow
from mini_mlflow.mlflow_plugin.rendering import (
    MADE_BY,
    MLFLOW,
    MLFLOW_END_TIME,
    MLFLOW_STATUS,
    MLFLOW_USER_ID,
    to_end_time,
    to_run,
    to_run_info,
    to_text,
)
from mini_mlflow.writing import lifecycle, trash
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest


class RunMethods(BatchMethods, ExperimentMethods):
    """Runs, one at a time."""

    is_server: bool

    @told_as_mlflow
    def create_run(
        self,
        experiment_id: Any,
        user_id: Optional[str],
        start_time: Optional[int],
        tags: Optional[List[RunTag]],
        run_name: Optional[str],
    ) -> Run:
        """A new run, on disk. In a client, this process owns it; outside of MLflow it shows as CRASHED if that dies."""
        experiment = self.find_experiment(experiment_id)
        self.check_active(experiment, "Could not create run under non-active experiment with ID %s.")
        experiment = self.settle_artifact_location(experiment)
        texts = {tag.key: "" if tag.value is None else to_text(tag.value) for tag in tags or []}
        name = _agree_on_name(run_name, texts.get(MLFLOW_RUN_NAME))
        texts[MLFLOW_RUN_NAME] = name
        request = StartRequest(
            name=name,
            parent_run_id=texts.get(MLFLOW_PARENT_RUN_ID),
            start_time=None if start_time is None else _to_iso(start_time, "start_time"),
            meta={"user": user_id or "", MLFLOW_USER_ID: user_id or "", MADE_BY: MLFLOW, **self._origin(texts)},
        )
        address = RunAddress(self.root, experiment.experiment_id, new_run_id())
        run = self.handles.start(address, request)
        try:
            run.submit(batch_submission(tags=texts))
        except BaseException:
            # Half a run is none: nobody has its id yet.
            self.handles.forget(address.run_id)
            try:
                lifecycle.take_back(run)
            except (OSError, MiniMlflowError):
                # The first error is the one to tell.
                pass
            raise
        made = self.get_run(address.run_id)
        # MLflow's answer to this call says nothing of outputs.
        return Run(made.info, made.data, made.inputs)

    def _origin(self, tags: Mapping[str, str]) -> Dict[str, Any]:
        if not self.is_server:
            return {}
        # What this process is says nothing about the one that the run is made for.
        told = {"script": tags.get(MLFLOW_SOURCE_NAME), "git_commit": tags.get(MLFLOW_GIT_COMMIT)}
        return dict(told, host=None, pid=None, python=None, git_dirty=None)

    @told_as_mlflow
    def get_run(self, run_id: str) -> Run:
        """The run, also a deleted one."""
        run, is_deleted = self.handles.read(run_id)
        experiment = self.find_experiment(run.experiment_id)
        location = self.artifact_location(experiment, in_trash=is_deleted)
        return to_run(run, is_deleted or experiment.lifecycle_stage != ACTIVE, location)

    @told_as_mlflow
    def update_run_info(
        self, run_id: str, run_status: Optional[int], end_time: Optional[int], run_name: Optional[str]
    ) -> RunInfo:
        """The run has the status, end time and name; None leaves each as it is."""
        run, is_deleted = self.handles.read(run_id)
        if is_deleted:
            raise run_is_deleted(run_id)
        status = None if run_status is None else RunStatus.to_string(run_status)
        told_end = to_end_time(run.metadata) if end_time is None else end_time
        if run_name:
            self.commit(run_id, batch_submission(tags={MLFLOW_RUN_NAME: run_name}), {"name": run_name})
        if status in END_STATUSES:
            self._end(run_id, status, told_end)
        elif status is not None:
            self._go_on(run_id, status, run.metadata, told_end)
        elif end_time is not None:
            self._note_end_time(run_id, run.metadata, end_time)
        run, is_deleted = self.handles.read(run_id)
        experiment = self.find_experiment(run.experiment_id)
        return to_run_info(run, is_deleted, self.artifact_location(experiment, in_trash=is_deleted))

    def _end(self, run_id: str, status: str, end_time: Optional[int]) -> None:
        ended_at = None if end_time is None else _to_iso(end_time, "end_time")
        run = self.handles.open(run_id)
        if not run.ended:
            at = ended_at or now_iso()
            if ended_at is None:
                # Before it ends: in a run that is open the field says nothing yet.
                self.commit(run_id, batch_submission(), {MLFLOW_END_TIME: at})
            try:
                lifecycle.end(run, status, at)
                self.handles.forget(run_id)
                return
            except RunDeletedError:
                raise run_is_deleted(run_id) from None
            except RunEndedError:
                pass
        meta: Dict[str, Any] = {"status": status}
        if ended_at is not None:
            meta["end_time"] = ended_at
        self.commit(run_id, batch_submission(), meta)

    def _go_on(self, run_id: str, status: str, before: Mapping[str, Any], end_time: Optional[int]) -> None:
        run = self.handles.open(run_id)
        # Another worker of the server may have ended it, of which one that has it open knows nothing yet.
        if run.ended or before.get("status") in END_STATUSES:
            try:
                self.handles.start(run.paths.address, StartRequest(create=False, resume=True))
            except RunDeletedError:
                raise run_is_deleted(run_id) from None
        # MLflow keeps the end time of a run that goes on, where ours has none then.
        wanted = {
            MLFLOW_STATUS: status if status != RUNNING else None,
            MLFLOW_END_TIME: end_time,
        }
        changed = {field: value for field, value in wanted.items() if before.get(field) != value}
        if changed:
            self.commit(run_id, batch_submission(), changed)

    def _note_end_time(self, run_id: str, before: Mapping[str, Any], end_time: int) -> None:
        text = _to_iso(end_time, "end_time")
        if before.get("status") in END_STATUSES:
            self.commit(run_id, batch_submission(), {"end_time": text})
        else:
            self.commit(run_id, batch_submission(), {MLFLOW_END_TIME: end_time})

    @told_as_mlflow
    def delete_run(self, run_id: str) -> None:
        """The run is in the trash, whole; one that is there already stays there."""
        standing = self.handles.find(run_id)
        if not standing.is_deleted:
            trash.delete(standing.address, self.settings)

    @told_as_mlflow
    def restore_run(self, run_id: str) -> None:
        """The run is back from the trash; one that is not there stays where it is."""
        standing = self.handles.find(run_id)
        if standing.is_deleted:
            trash.restore(standing.address, self.settings)


def _agree_on_name(run_name: Optional[str], tag: Optional[str]) -> str:
    if run_name and tag and run_name != tag:
        raise MlflowException(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            "(run_name='%s', mlflow.runName='%s')." % (run_name, tag),
            INVALID_PARAMETER_VALUE,
        )
    return run_name or tag or str(_generate_random_name())


def _to_iso(time_ms: Any, what: str) -> str:
    if isinstance(time_ms, bool) or not isinstance(time_ms, (int, float)) or not FIRST_MS <= time_ms <= LIMIT_MS:
        raise MlflowException.invalid_parameter_value(
            "%s must be milliseconds since the epoch, from %d to %d, not %r" % (what, FIRST_MS, LIMIT_MS, time_ms)
        )
    return ms_to_iso(int(time_ms))
