"""mini_mlflow: an experiment tracker that keeps everything in plain files, whole, the moment a call returns.

::

    from mini_mlflow import ExperimentTracker

    with ExperimentTracker(run_name="baseline") as run:
        run.log_param("lr", 0.01)
        for epoch in range(10):
            run.log_metric("loss", 1.0 / (epoch + 1), step=epoch)
"""

from mini_mlflow.entities import DeletedRun, Experiment, Point
from mini_mlflow.errors import (
    ActiveRunError,
    AmbiguousRunError,
    DamagedFileError,
    DamagedFileWarning,
    ExperimentExistsError,
    ExperimentNotFoundError,
    InvalidFilterError,
    InvalidKeyError,
    InvalidTypeError,
    InvalidValueError,
    LockTimeout,
    MiniMlflowError,
    MissingExtraError,
    NoActiveRunError,
    OutsideTreeError,
    RunDeletedError,
    RunEndedError,
    RunExistsError,
    RunNotFoundError,
    TreeBusyError,
    UnfinishedRunWarning,
)
from mini_mlflow.fluent import (
    active_run,
    create_experiment,
    delete_run,
    end_run,
    flush,
    get_experiment,
    get_experiment_by_name,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    restore_run,
    search_experiments,
    search_runs,
    set_experiment,
    set_fsync,
    set_runs_dir,
    set_tag,
    set_tags,
    start_run,
)
from mini_mlflow.reading.comparing import Comparison
from mini_mlflow.reading.found_run import FoundRun, FoundRuns
from mini_mlflow.run import Run
from mini_mlflow.tracker import ExperimentTracker

__version__ = "0.1.0"

__all__ = [
    "ActiveRunError",
    "AmbiguousRunError",
    "Comparison",
    "DamagedFileError",
    "DamagedFileWarning",
    "DeletedRun",
    "Experiment",
    "ExperimentExistsError",
    "ExperimentNotFoundError",
    "ExperimentTracker",
    "FoundRun",
    "FoundRuns",
    "InvalidFilterError",
    "InvalidKeyError",
    "InvalidTypeError",
    "InvalidValueError",
    "LockTimeout",
    "MiniMlflowError",
    "MissingExtraError",
    "NoActiveRunError",
    "OutsideTreeError",
    "Point",
    "Run",
    "RunDeletedError",
    "RunEndedError",
    "RunExistsError",
    "RunNotFoundError",
    "TreeBusyError",
    "UnfinishedRunWarning",
    "__version__",
    "active_run",
    "create_experiment",
    "delete_run",
    "end_run",
    "flush",
    "get_experiment",
    "get_experiment_by_name",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "restore_run",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_fsync",
    "set_runs_dir",
    "set_tag",
    "set_tags",
    "start_run",
]
