"""What traces are linked to: runs and prompts.

A link to a run is a record among the run's own tags, so up to a hundred traces are linked in one commit, and a trace
may be linked before it is there, as it is where it is stored by a thread of its own.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List

from mlflow.exceptions import MlflowException

from mini_mlflow.formats.mlflow_records import LINKED_PROMPT, LINKED_TRACE
from mini_mlflow.mlflow_plugin.assessments import AssessmentMethods
from mini_mlflow.mlflow_plugin.refusals import told_as_mlflow
from mini_mlflow.writing.operations import batch_submission

_LINKED_AT_MOST = 100


class TraceLinks(AssessmentMethods):
    """The part of the store that links traces."""

    @told_as_mlflow
    def link_traces_to_run(self, trace_ids: List[str], run_id: str) -> None:
        """A search for the run's traces finds these too. Raises MlflowException: too many at once, or no such run."""
        if not trace_ids:
            return
        if len(trace_ids) > _LINKED_AT_MOST:
            raise MlflowException.invalid_parameter_value(
                "Cannot link more than %d traces to a run in a single request. Provided %d traces."
                % (_LINKED_AT_MOST, len(trace_ids))
            )
        self.record(run_id, {LINKED_TRACE + one: {"trace_id": one} for one in trace_ids})

    @told_as_mlflow
    def unlink_traces_from_run(self, trace_ids: List[str], run_id: str) -> None:
        """A search for the run's traces finds these only if they were made in it. MlflowException: no such run."""
        keys = [LINKED_TRACE + one for one in trace_ids]
        run, _ = self.handles.read(run_id)
        if any(key in run.tags for key in keys):
            # Those that are linked still: somebody else may be at it, too.
            self.commit(run_id, compute=lambda current: batch_submission(deleted_tags=current.tags(keys)))

    def _linked_traces(self, run_id: str) -> FrozenSet[str]:
        try:
            run, _ = self.handles.read(run_id)
        except MlflowException:
            return frozenset()
        return frozenset(key[len(LINKED_TRACE) :] for key in run.tags if key.startswith(LINKED_TRACE))

    @told_as_mlflow
    def link_prompts_to_trace(self, trace_id: str, prompt_versions: List[Any]) -> None:
        """The trace is linked to these versions of prompts. Raises MlflowException if there is no such trace."""
        told: Dict[str, Any] = {
            "%s%s/%s" % (LINKED_PROMPT, one.name, one.version): {"name": one.name, "version": one.version}
            for one in prompt_versions
        }
        if told:
            self._change_trace(trace_id, lambda _: batch_submission(tags=told))
