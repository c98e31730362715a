"""MLflow's tracking store over a tree: one class, put together from one module for each thing that it knows.

Every write goes through the commit engine, as those of `mini_mlflow.Run` do: when a call returns, what it logged is on
disk. What MLflow's rules ask for (params that do not change, deleted runs that refuse, its limits and messages) is
asked for here, and of nobody who uses the tree without MLflow.

A store is shared by all threads of its process, goes through forks, and stands beside any number of others on the same
tree.
"""

from __future__ import annotations

from typing import Any, Optional

from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.uri import resolve_uri_if_local

from mini_mlflow.disk.layout import inner_trees, resolve_root
from mini_mlflow.entities import resolve_settings
from mini_mlflow.mlflow_plugin.all_of_one import AllOfOne
from mini_mlflow.mlflow_plugin.candidates import CANDIDATES
from mini_mlflow.mlflow_plugin.experiments import Misses
from mini_mlflow.mlflow_plugin.histories import HistoryMethods
from mini_mlflow.mlflow_plugin.inner_garbage import InnerGarbageMethods
from mini_mlflow.mlflow_plugin.locations import asked_artifact_root, default_artifact_root, root_of
from mini_mlflow.mlflow_plugin.logged_model_search import LoggedModelSearch
from mini_mlflow.mlflow_plugin.remembered import MODELS, TRACES
from mini_mlflow.mlflow_plugin.run_cache import RunCache
from mini_mlflow.mlflow_plugin.run_handles import RunHandles
from mini_mlflow.mlflow_plugin.run_models import RunModelMethods
from mini_mlflow.mlflow_plugin.runs import RunMethods
from mini_mlflow.mlflow_plugin.searching import SearchMethods
from mini_mlflow.mlflow_plugin.trace_analysis import TraceAnalysis
from mini_mlflow.mlflow_plugin.traces_v2 import TraceMethodsV2
from mini_mlflow.mlflow_plugin.unsupported import refuse_the_rest


@refuse_the_rest
class MiniMlflowStore(
    # Before the runs: it has what they leave open about the metrics of logged models.
    RunModelMethods,
    LoggedModelSearch,
    TraceAnalysis,
    TraceMethodsV2,
    RunMethods,
    HistoryMethods,
    SearchMethods,
    InnerGarbageMethods,
    AllOfOne,
    AbstractStore,  # type: ignore[misc]
):
    """The runs and experiments of a tree, as MLflow asks for them.

    Attributes:
        root: the absolute path of the tree.
        artifact_root_uri: experiments without a location of their own keep their artifacts below it.
        settings: as for `mini_mlflow.Run`, from the environment.
        is_server: this process logs for others: it owns none of the runs that it makes, and one that nobody ends
            stays RUNNING.
    """

    def __init__(self, root: Any, artifact_root_uri: Optional[str] = None, is_server: bool = False) -> None:
        super().__init__()
        self.root = resolve_root(root)
        self.settings = resolve_settings()
        self.is_server = is_server
        self.handles = RunHandles(self.root, self.settings, is_server)
        self.cache = RunCache(self.root, CANDIDATES)
        models, traces = inner_trees(self.root)
        self.model_cache, self.trace_cache = RunCache(models, MODELS), RunCache(traces, TRACES)
        self.misses = Misses()
        self.artifact_root_uri = (
            str(resolve_uri_if_local(artifact_root_uri)) if artifact_root_uri else default_artifact_root(self.root)
        )

    @classmethod
    def of_uri(cls, store_uri: Optional[str], artifact_uri: Optional[str]) -> MiniMlflowStore:
        """The store of a URI, in a server if ``artifact_uri`` is given. Raises MlflowException as `root_of`."""
        return cls(root_of(store_uri), asked_artifact_root(artifact_uri), is_server=artifact_uri is not None)
