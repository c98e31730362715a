"""Runs and experiments of a tree as MLflow's entities.

What this package records by itself of a run that MLflow did not make (its name, user, script, commit, parent) shows as
the tags in which MLflow keeps the same, unless such tags were set. The name of a run is one thing in two places: the
tag ``mlflow.runName`` says what ``meta.yaml`` says.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    ExperimentTag,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from mini_mlflow.entities import CRASHED, END_STATUSES, FAILED, RUNNING, UNKNOWN
from mini_mlflow.entities import Experiment as OurExperiment
from mini_mlflow.formats.mlflow_records import PREFIX, read_records
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.mlflow_plugin.locations import run_artifact_uri
from mini_mlflow.reading.found_run import FoundRun

#: ``meta.yaml`` says so of a run that MLflow made, and what MLflow said of it that we have no field for.
MADE_BY, MLFLOW = "made_by", "mlflow"
MLFLOW_STATUS, MLFLOW_END_TIME, MLFLOW_USER_ID = "mlflow_status", "mlflow_end_time", "mlflow_user_id"

_FIELDS_AS_TAGS = (
    (MLFLOW_RUN_NAME, "name"),
    (MLFLOW_USER, "user"),
    (MLFLOW_SOURCE_NAME, "script"),
    (MLFLOW_GIT_COMMIT, "git_commit"),
    (MLFLOW_PARENT_RUN_ID, "parent_run_id"),
)


def to_text(value: Any) -> str:
    """A param or a tag as MLflow has it: text. What was logged without MLflow may be any JSON value."""
    return value if type(value) is str else str(value)


def to_status(metadata: Mapping[str, Any]) -> str:
    """The status as MLflow means it, which knows no crash: there a run is open until somebody ends it.

    One that was made without MLflow, and whose owner is known to be dead, has failed: nobody will tell MLflow so.
    """
    status = metadata.get("status")
    if status == CRASHED:
        status = RUNNING if metadata.get(MADE_BY) == MLFLOW else FAILED
    if status == UNKNOWN:
        status = RUNNING
    if status == RUNNING:
        return str(metadata.get(MLFLOW_STATUS) or RUNNING)
    return str(status) if status in END_STATUSES else FAILED


def to_end_time(metadata: Mapping[str, Any]) -> Optional[int]:
    """Milliseconds since the epoch. Of an open run None, unless MLflow told one: one that goes on keeps it there.

    None also for one that MLflow ended without saying when: our own end time stands in the field of MLflow's then.
    """
    told = metadata.get(MLFLOW_END_TIME)
    if metadata.get("status") in END_STATUSES:
        ended_at = metadata.get("end_time")
        return None if ended_at == told else iso_to_ms(ended_at)
    return told if type(told) is int else None


def to_run_name(run: FoundRun) -> str:
    """The name; "" for a run without one."""
    return to_text(run.metadata.get("name") or run.tags.get(MLFLOW_RUN_NAME) or "")


def to_user_id(metadata: Mapping[str, Any]) -> str:
    """Who MLflow said the run is for; else who started it, or went on with it."""
    told = metadata.get(MLFLOW_USER_ID)
    return to_text(metadata.get("user") or "" if told is None else told)


def to_run_info(run: FoundRun, is_deleted: bool, artifact_location: str) -> RunInfo:
    """What MLflow has of a run besides what was logged to it."""
    metadata = run.metadata
    return RunInfo(
        run_id=run.run_id,
        run_name=to_run_name(run),
        experiment_id=str(run.experiment_id),
        user_id=to_user_id(metadata),
        status=to_status(metadata),
        start_time=iso_to_ms(metadata.get("start_time")) or 0,
        end_time=to_end_time(metadata),
        lifecycle_stage=LifecycleStage.DELETED if is_deleted else LifecycleStage.ACTIVE,
        artifact_uri=run_artifact_uri(artifact_location, run.run_id),
    )


def to_tags(run: FoundRun) -> Dict[str, str]:
    """The tags that MLflow shows."""
    metadata, stored = run.metadata, run.tags
    tags = {key: to_text(value) for key, value in stored.items() if not key.startswith(PREFIX)}
    if metadata.get(MADE_BY) != MLFLOW:
        for key, field in _FIELDS_AS_TAGS:
            value = metadata.get(field)
            if value is not None and key not in tags:
                tags[key] = to_text(value)
        if MLFLOW_SOURCE_NAME in tags:
            tags.setdefault(MLFLOW_SOURCE_TYPE, "LOCAL")
    name = metadata.get("name")
    if name and MLFLOW_RUN_NAME in tags:
        tags[MLFLOW_RUN_NAME] = to_text(name)
    return tags


def to_metrics(run: FoundRun) -> List[Metric]:
    """Of each metric the latest point, as MLflow means it: of the highest step, then timestamp, then value."""
    return [Metric(key, point.value, point.timestamp, point.step) for key, point in run.latest_metrics().items()]


def to_inputs(run: FoundRun) -> RunInputs:
    """The datasets and logged models that a run used."""
    records = read_records(run.tags)
    return RunInputs(
        dataset_inputs=[
            DatasetInput(
                Dataset(one.name, one.digest, one.source_type, one.source, one.schema, one.profile),
                [InputTag(key, value) for key, value in one.tags.items()],
            )
            for one in records.dataset_inputs
        ],
        model_inputs=[LoggedModelInput(model_id) for model_id in records.model_inputs],
    )


def to_outputs(run: FoundRun) -> RunOutputs:
    """The logged models that a run made."""
    return RunOutputs([LoggedModelOutput(one.model_id, one.step) for one in read_records(run.tags).model_outputs])


def to_run(run: FoundRun, is_deleted: bool, artifact_location: str) -> Run:
    """The run as MLflow has it."""
    params = [Param(key, to_text(value)) for key, value in run.params.items()]
    tags = [RunTag(key, value) for key, value in to_tags(run).items()]
    return Run(
        to_run_info(run, is_deleted, artifact_location),
        RunData(to_metrics(run), params, tags),
        to_inputs(run),
        to_outputs(run),
    )


def experiment_name(experiment: OurExperiment) -> str:
    """Its name; the number as text for one that runs were started in without naming it."""
    return experiment.name if experiment.name is not None else str(experiment.experiment_id)


def to_experiment(experiment: OurExperiment, artifact_location: str) -> Experiment:
    """The experiment as MLflow has it."""
    # MLflow compares these times, and has no place for an experiment without one: then it is older than all others.
    created = iso_to_ms(experiment.creation_time) or 0
    updated = iso_to_ms(experiment.last_update_time)
    return Experiment(
        experiment_id=str(experiment.experiment_id),
        name=experiment_name(experiment),
        artifact_location=artifact_location,
        lifecycle_stage=experiment.lifecycle_stage,
        tags=[ExperimentTag(key, to_text(value)) for key, value in experiment.tags.items()],
        creation_time=created,
        last_update_time=created if updated is None else updated,
    )
