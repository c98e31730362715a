"""mini_mlflow: an experiment tracker that keeps everything in plain files, whole, the moment a call returns.

::

    from mini_mlflow import ExperimentTracker

    with ExperimentTracker(run_name="baseline") as run:
        run.log_param("lr", 0.01)
        for epoch in range(10):
            run.log_metric("loss", 1.0 / (epoch + 1), step=epoch)
"""

from mini_mlflow.entities import Point
from mini_mlflow.errors import (
    ActiveRunError,
    DamagedFileError,
    DamagedFileWarning,
    InvalidKeyError,
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
    log_metric,
    log_metrics,
    log_param,
    log_params,
    rewind,
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
    "DamagedFileError",
    "DamagedFileWarning",
    "ExperimentTracker",
    "InvalidKeyError",
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
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "rewind",
    "set_fsync",
    "set_runs_dir",
    "set_tag",
    "set_tags",
    "start_run",
]
