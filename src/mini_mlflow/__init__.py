"""mini_mlflow: an experiment tracker that keeps everything in plain files, whole, the moment a call returns.

::

    from mini_mlflow import ExperimentTracker

    with ExperimentTracker(run_name="baseline") as run:
        run.log_param("lr", 0.01)
        for epoch in range(10):
            run.log_metric("loss", 1.0 / (epoch + 1), step=epoch)

Names are imported from where they are defined when they are first asked for (PEP 562): a command line that shows its
help, or lists ended runs, need not wait for all that writes.
"""

from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from mini_mlflow.entities import DeletedRun, Experiment, FileInfo, Point
    from mini_mlflow.errors import (
        ActiveRunError,
        AmbiguousRunError,
        ArtifactNotFoundError,
        DamagedFileError,
        DamagedFileWarning,
        ExperimentDeletedError,
        ExperimentExistsError,
        ExperimentNotFoundError,
        InvalidFilterError,
        InvalidKeyError,
        InvalidPathError,
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
        ServerError,
        TagNotFoundError,
        TreeBusyError,
        UnfinishedRunWarning,
    )
    from mini_mlflow.exchange.importing_csv import import_csv
    from mini_mlflow.exchange.importing_mlflow import import_mlflow
    from mini_mlflow.exchange.importing_tensorboard import import_tensorboard
    from mini_mlflow.exchange.importing_tree import import_tree
    from mini_mlflow.exchange.pushing import push
    from mini_mlflow.exchange.report import ImportReport
    from mini_mlflow.fluent import (
        active_run,
        create_experiment,
        delete_experiment,
        delete_experiment_tag,
        delete_run,
        delete_tag,
        end_run,
        flush,
        get_experiment,
        get_experiment_by_name,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_text,
        rename_experiment,
        restore_experiment,
        restore_run,
        rewind,
        search_experiments,
        search_runs,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
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
    "ArtifactNotFoundError",
    "Comparison",
    "DamagedFileError",
    "DamagedFileWarning",
    "DeletedRun",
    "Experiment",
    "ExperimentDeletedError",
    "ExperimentExistsError",
    "ExperimentNotFoundError",
    "ExperimentTracker",
    "FileInfo",
    "FoundRun",
    "FoundRuns",
    "ImportReport",
    "InvalidFilterError",
    "InvalidKeyError",
    "InvalidPathError",
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
    "ServerError",
    "TagNotFoundError",
    "TreeBusyError",
    "UnfinishedRunWarning",
    "__version__",
    "active_run",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "end_run",
    "flush",
    "get_experiment",
    "get_experiment_by_name",
    "import_csv",
    "import_mlflow",
    "import_tensorboard",
    "import_tree",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_text",
    "push",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "rewind",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_fsync",
    "set_runs_dir",
    "set_tag",
    "set_tags",
    "start_run",
]

# Where the names above are looked for, the lightest first; the modules themselves are attributes too, as ever.
_HOMES = (
    *("entities", "errors", "run", "fluent", "reading.found_run", "reading.comparing", "tracker"),
    *("exchange.report", "exchange.importing_mlflow", "exchange.importing_csv"),
    *("exchange.importing_tensorboard", "exchange.importing_tree", "exchange.pushing"),
)
_MODULES = "active disk entities errors fluent formats reading run run_stack tracker writing".split()


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module("mini_mlflow." + name)
    if name in __all__:
        for home in _HOMES:
            module = import_module("mini_mlflow." + home)
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError("module 'mini_mlflow' has no attribute %r" % name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
