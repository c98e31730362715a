"""What an `ExperimentTracker` can do with the artifacts of a run: list them, and say where they stand."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, TypeVar

from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import FileInfo
from mini_mlflow.reading import artifacts
from mini_mlflow.writing.run_state import not_found

Found = TypeVar("Found")


class ArtifactReadingMethods:
    """A base of `ExperimentTracker`."""

    def _paths(self, run_id: Any, experiment_id: Any) -> RunPaths:
        raise NotImplementedError

    def list_artifacts(self, run_id: str, path: Optional[str] = None, experiment_id: Any = None) -> List[FileInfo]:
        """What is in a folder of the run's artifacts: ``FileInfo(path, is_dir, file_size)``, sorted by path.

        Paths are relative to the run's artifacts. [] for a file, for what is not there, and for an empty folder.

        Args:
            path: the folder, names parted by "/"; None for the top.

        Raises:
            RunNotFoundError, ValueError, TypeError: as `get_run`; also for a path that leads out of the artifacts.
            OutsideTreeError: a link or a special file stands on the way.
        """
        return self._read(artifacts.list_artifacts, run_id, path, experiment_id)

    def artifact_path(self, run_id: str, path: Optional[str] = None, experiment_id: Any = None) -> str:
        """The absolute path of an artifact on this machine; path None: of the folder that holds all of them.

        Raises:
            ArtifactNotFoundError: (a FileNotFoundError and a LookupError) the run has no such artifact.
            RunNotFoundError, ValueError, TypeError, OutsideTreeError: as `list_artifacts`.
        """
        return self._read(artifacts.find_artifact, run_id, path, experiment_id)

    def _read(self, read: Callable[[RunPaths, Any], Found], run_id: Any, path: Any, experiment_id: Any) -> Found:
        paths = self._paths(run_id, experiment_id)
        try:
            return read(paths, path)
        except FileNotFoundError as error:
            raise error if isinstance(error, LookupError) else not_found(paths.address) from None
