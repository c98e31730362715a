"""mini_mlflow: an experiment tracker that keeps everything in plain files, whole, the moment a call returns.

::

    from mini_mlflow import ExperimentTracker

    with ExperimentTracker(run_name="baseline") as run:
        run.log_param("lr", 0.01)
        for epoch in range(10):
            run.log_metric("loss", 1.0 / (epoch + 1), step=epoch)
"""

from mini_mlflow.entities import FileInfo, Point
from mini_mlflow.errors import (
    ActiveRunError,
    ArtifactNotFoundError,
    DamagedFileError,
    DamagedFileWarning,
    InvalidKeyError,
    InvalidPathError,
    InvalidTypeError,
    InvalidValueError,
    LockTimeout,
    MiniMlflowError,
    NoActiveRunError,
    OutsideTreeError,
    RunEndedError,
    RunNotFoundError,
    UnfinishedRunWarning,
)
from mini_mlflow.fluent import (
    active_run,
    end_run,
    flush,
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_text,
    set_fsync,
    set_runs_dir,
    set_tag,
    set_tags,
    start_run,
)
from mini_mlflow.run import Run
from mini_mlflow.tracker import ExperimentTracker

__version__ = "0.1.0"

__all__ = [
    "ActiveRunError",
    "ArtifactNotFoundError",
    "DamagedFileError",
    "DamagedFileWarning",
    "ExperimentTracker",
    "FileInfo",
    "InvalidKeyError",
    "InvalidPathError",
    "InvalidTypeError",
    "InvalidValueError",
    "LockTimeout",
    "MiniMlflowError",
    "NoActiveRunError",
    "OutsideTreeError",
    "Point",
    "Run",
    "RunEndedError",
    "RunNotFoundError",
    "UnfinishedRunWarning",
    "__version__",
    "active_run",
    "end_run",
    "flush",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_text",
    "set_fsync",
    "set_runs_dir",
    "set_tag",
    "set_tags",
    "start_run",
]
