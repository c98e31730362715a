"""What goes between trees: runs that others wrote come in, runs of ours go out to a server.

Names are imported from where they are defined when they are first asked for, as those of the package itself.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mini_mlflow.exchange.importing_csv import import_csv
    from mini_mlflow.exchange.importing_mlflow import import_mlflow
    from mini_mlflow.exchange.importing_tensorboard import import_tensorboard
    from mini_mlflow.exchange.importing_tree import import_tree
    from mini_mlflow.exchange.report import ImportReport, Problem

__all__ = ["ImportReport", "Problem", "import_csv", "import_mlflow", "import_tensorboard", "import_tree"]

_HOMES = {
    "ImportReport": "report",
    "Problem": "report",
    "import_csv": "importing_csv",
    "import_mlflow": "importing_mlflow",
    "import_tensorboard": "importing_tensorboard",
    "import_tree": "importing_tree",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError("module 'mini_mlflow.exchange' has no attribute %r" % name)
    globals()[name] = getattr(import_module("mini_mlflow.exchange." + _HOMES[name]), name)
    return globals()[name]
