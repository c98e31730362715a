"""What the parts of the store ask of each other, for type checkers alone: the parts are mixed into one class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from mini_mlflow.entities import Settings

if TYPE_CHECKING:
    from mini_mlflow.mlflow_plugin.run_cache import RunCache
    from mini_mlflow.mlflow_plugin.run_handles import RunHandles
    from mini_mlflow.writing.amending import Compute
    from mini_mlflow.writing.operations import Submission


class StoreContract:
    """The base of each part that needs another one. At run time it has nothing, and hides nothing."""

    if TYPE_CHECKING:
        root: str
        settings: Settings
        handles: RunHandles
        trace_cache: RunCache
        model_cache: RunCache

        def get_experiment(self, experiment_id: Any) -> Any: ...

        def get_run(self, run_id: Any) -> Any: ...

        def record(self, run_id: str, records: Mapping[str, Any]) -> None: ...

        def commit(
            self,
            run_id: str,
            submission: Optional[Submission] = None,
            meta: Optional[Mapping[str, Any]] = None,
            check: Optional[Callable[[Dict[str, Any]], None]] = None,
            compute: Optional[Compute] = None,
        ) -> None: ...
