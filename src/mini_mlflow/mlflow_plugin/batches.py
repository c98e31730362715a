"""Logging to a run through MLflow: each call is one commit, whole or not at all.

A run that is open takes metrics and tags the shortest way: what waits in all threads goes into one file. With params,
which MLflow does not let change, what stands is compared under the run's lock first; the same way is taken by what is
logged to a run that has ended, which MLflow allows and which leaves it ended.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

from mlflow.entities import DatasetInput, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS, MLFLOW_RUN_NAME
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_dataset_inputs,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from mini_mlflow.entities import Settings
from mini_mlflow.errors import RunDeletedError, RunEndedError, TagNotFoundError
from mini_mlflow.formats import mlflow_records
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.formats.times import LIMIT_MS
from mini_mlflow.mlflow_plugin.refusals import (
    check_told,
    param_changed,
    run_is_deleted,
    run_not_found,
    tag_not_found,
    told_as_mlflow,
)
from mini_mlflow.mlflow_plugin.rendering import to_text
from mini_mlflow.mlflow_plugin.run_handles import RunHandles
from mini_mlflow.writing.amending import Compute, Current, amend, amend_at
from mini_mlflow.writing.operations import Submission, batch_submission

#: Is called with the stored values of the params that are logged anew, and raises if they may not be.
Check = Callable[[Dict[str, Any]], None]


_valid_metric_names: Dict[str, None] = {}
_VALID_AT_MOST = 10_000


def _remember(name: str) -> None:
    if len(_valid_metric_names) >= _VALID_AT_MOST:
        _valid_metric_names.clear()
    _valid_metric_names[name] = None


class BatchMethods:
    """Metrics, params, tags and inputs of a run."""

    handles: RunHandles
    settings: Settings

    @told_as_mlflow
    def log_batch(self, run_id: str, metrics: List[Metric], params: List[Param], tags: List[RunTag]) -> None:
        """All of it is on disk, in one commit. Raises MlflowException: none of it is."""
        _validate_run_id(run_id)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        self._log(run_id, metrics, params, tags, lambda stored: _refuse_changes(run_id, params, stored))

    @told_as_mlflow
    def log_metric(self, run_id: str, metric: Metric) -> None:
        """The metric has one more point, on disk."""
        key, value, time_ms, step = metric.key, metric.value, metric.timestamp, metric.step
        # Nearly every call is the like of one before: for these, the checks below are a fifth of the whole.
        if type(value) is float and type(time_ms) is int and type(step) is int and key in _valid_metric_names:
            run = self.handles.if_open(run_id)
            if run is not None and 0 <= time_ms <= LIMIT_MS and metric.model_id is None:
                change = MetricChange(key, value, step, time_ms)
                try:
                    run.submit(Submission([change], [change.dump()]))
                    return
                except (RunEndedError, FileNotFoundError):
                    # Nothing was stored; below is found out what may be.
                    pass
        _validate_metric(key, value, time_ms, step)
        _remember(key)
        self._log(run_id, [metric])

    @told_as_mlflow
    def log_param(self, run_id: str, param: Param) -> None:
        """The param is logged, once for all, on disk."""
        checked = _validate_param(param.key, param.value)
        self._log(run_id, (), [checked], (), lambda stored: _refuse_change(run_id, checked, stored))

    @told_as_mlflow
    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """The tag is set, on disk."""
        self._log(run_id, (), (), [_validate_tag(tag.key, tag.value)])

    @told_as_mlflow
    def delete_tag(self, run_id: str, key: str) -> None:
        """The run has no such tag any more, on disk. Raises MlflowException if it had none."""
        if mlflow_records.is_record(key):
            raise tag_not_found(key, "run", run_id)
        # With a check, though there is nothing to refuse: then the tag is looked for under the run's lock.
        try:
            self.commit(run_id, batch_submission(deleted_tags=[key]), check=_let_pass)
        except TagNotFoundError:
            raise tag_not_found(key, "run", run_id) from None

    @told_as_mlflow
    def log_inputs(
        self,
        run_id: str,
        datasets: Optional[List[DatasetInput]] = None,
        models: Optional[List[LoggedModelInput]] = None,
    ) -> None:
        """The run has used these datasets and logged models. Of a dataset of one name and digest, the first counts."""
        _validate_run_id(run_id)
        if datasets is not None:
            if not isinstance(datasets, list):
                raise TypeError("Argument 'datasets' should be a list, got '%s'" % type(datasets))
            _validate_dataset_inputs(datasets)
        records: Dict[str, Any] = {}
        for dataset in reversed(datasets or []):
            records.update(_to_records(dataset))
        records.update(mlflow_records.dump_model_input(model.model_id) for model in models or [])
        self.record(run_id, records)

    @told_as_mlflow
    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """One more model in the tag in which MLflow before 3 listed the models of a run."""
        from mlflow.models import Model

        if not isinstance(mlflow_model, Model):
            raise TypeError("Argument 'mlflow_model' should be mlflow.models.Model, got '%s'" % type(mlflow_model))

        def append(current: Current) -> Submission:
            known = to_text(current.tags([MLFLOW_LOGGED_MODELS]).get(MLFLOW_LOGGED_MODELS, "[]"))
            models = [*json.loads(known), mlflow_model.get_tags_dict()]
            tag = _validate_tag(MLFLOW_LOGGED_MODELS, json.dumps(models))
            return batch_submission(tags={tag.key: to_text(tag.value)})

        self.commit(run_id, compute=append)

    # -- what they share ---------------------------------------------------------------------------------------

    def record(self, run_id: str, records: Mapping[str, Any]) -> None:
        """Records of `formats.mlflow_records` are on disk, in one commit; those that are there stay as they are.

        Raises MlflowException, or errors of this package and of the disk, as `commit`.
        """

        def add(current: Current) -> Submission:
            known = current.tags(records)
            return batch_submission(tags={key: value for key, value in records.items() if key not in known})

        self.commit(run_id, compute=add)

    def _log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        check: Optional[Check] = None,
    ) -> None:
        if not (metrics or params or tags) and self.handles.find(run_id).is_deleted:
            raise run_is_deleted(run_id)
        of_models = [metric for metric in metrics if metric.model_id is not None]
        points = [(metric.key, metric.value, int(metric.step), int(metric.timestamp)) for metric in metrics]

        def log_to_models(stored: Dict[str, Any]) -> None:
            if check is not None and params:
                check(stored)
            self._log_model_metrics(run_id, of_models)

        # Before the run has its points, and once nothing speaks against that, under its lock.
        first = log_to_models if of_models else check if params else None
        if params or tags:
            self._log_values(run_id, points, params, tags, first)
        else:
            self.commit(run_id, batch_submission(points), check=first)

    def _log_values(
        self,
        run_id: str,
        points: Sequence[Any],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        check: Optional[Check],
    ) -> None:
        texts = {tag.key: "" if tag.value is None else to_text(tag.value) for tag in tags}
        # MLflow leaves both the name and the tag as they are if the name is to be empty.
        name = texts.get(MLFLOW_RUN_NAME) or texts.pop(MLFLOW_RUN_NAME, None)
        values = {param.key: check_told(param.key, param.value) for param in params}
        submission = batch_submission(points, values, texts)
        self.commit(run_id, submission, {"name": name} if name else {}, check)

    def _log_model_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """For the methods about logged models, whose metrics these are as well."""

    def commit(
        self,
        run_id: str,
        submission: Optional[Submission] = None,
        meta: Optional[Mapping[str, Any]] = None,
        check: Optional[Check] = None,
        compute: Optional[Compute] = None,
    ) -> None:
        """The submission, or what ``compute`` makes of it all, is on disk, and ``meta.yaml`` has what is in ``meta``.

        The run may be open or have ended.

        Raises:
            MlflowException: there is no such run, or it is deleted; nothing was stored.
            Exception: what ``check`` or ``compute`` raises; nothing was stored.
            TagNotFoundError: a tag is to be deleted that is not there; nothing was stored.
            MiniMlflowError, OSError: as `amend`; nothing was stored.
        """
        run = self.handles.open(run_id)
        try:
            if submission is not None and not (run.ended or meta or check):
                try:
                    run.submit(submission)
                    return
                except RunDeletedError:
                    raise
                except RunEndedError:
                    # Ended elsewhere since: nothing was stored, and the submission is spent.
                    submission = Submission(submission.changes, submission.lines)
            if run.ended:
                amend_at(run.paths.address, self.settings, submission, meta or {}, check, compute)
            else:
                amend(run, submission, meta or {}, check, compute=compute)
        except RunDeletedError:
            raise run_is_deleted(run_id) from None
        except FileNotFoundError:
            # Removed for good while it was open here.
            self.handles.forget(run_id)
            raise run_not_found(run_id) from None


def _to_records(one: DatasetInput) -> Dict[str, Any]:
    dataset, tags = one.dataset, {tag.key: tag.value for tag in one.tags}
    return mlflow_records.dump_input(
        mlflow_records.DatasetInput(
            dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile, tags
        )
    )


def _let_pass(stored: Mapping[str, Any]) -> None:
    pass


def _changed(params: Iterable[Param], stored: Mapping[str, Any]) -> List[tuple[Param, str]]:
    known = [(param, to_text(stored[param.key])) for param in params if param.key in stored]
    return [(param, old) for param, old in known if old != param.value]


def _refuse_change(run_id: str, param: Param, stored: Mapping[str, Any]) -> None:
    for _, old in _changed([param], stored):
        raise param_changed(run_id, param.key, old, param.value)


def _refuse_changes(run_id: str, params: Iterable[Param], stored: Mapping[str, Any]) -> None:
    changed = _changed(params, stored)
    if changed:
        told = [{"key": param.key, "old_value": old, "new_value": param.value} for param, old in changed]
        raise MlflowException(
            "Changing param values is not allowed. Params were already logged='%s' for run ID='%s'." % (told, run_id),
            INVALID_PARAMETER_VALUE,
        )
