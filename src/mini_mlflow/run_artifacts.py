"""What a `Run` can do with artifacts: files and folders, kept beside what is logged."""

from __future__ import annotations

from typing import Any, Callable, Optional

from mini_mlflow.disk.keys import check_artifact_path
from mini_mlflow.errors import InvalidTypeError, InvalidValueError
from mini_mlflow.formats.dictionaries import dump_dictionary
from mini_mlflow.formats.figures import dump_figure
from mini_mlflow.reading.artifacts import find_artifact
from mini_mlflow.writing import artifacts
from mini_mlflow.writing.open_runs import OpenRun
from mini_mlflow.writing.run_state import not_found

Progress = Callable[[int, int], Any]


class ArtifactMethods:
    """A base of `Run`. All of it works on a run that has ended, too."""

    def _opened(self) -> OpenRun:
        raise NotImplementedError

    def log_artifact(
        self, local_path: Any, artifact_path: Optional[str] = None, progress: Optional[Progress] = None
    ) -> None:
        """A copy of the file ``local_path`` is an artifact of the run, under its own name, whole.

        What was there under that name is replaced. A link is followed; the copy may be executed if the file may. No
        lock is held while it is copied, and memory does not grow with its size.

        Args:
            local_path: a file; or a folder, which becomes a folder of its own name.
            artifact_path: the folder among the artifacts, names parted by "/"; None for the top.
            progress: called as ``progress(done_bytes, total_bytes)`` now and then; what it raises ends the call.

        Raises:
            ValueError, TypeError: a path that leads out of the artifacts; a FIFO, a socket, a device.
            FileNotFoundError: there is no such file, or the run is gone.
            OSError: the disk refused, or LockTimeout; also where a folder stands in the file's place, or a link
                (OutsideTreeError). Nothing was stored in any of these cases.
        """
        artifacts.log_path(self._opened(), local_path, artifact_path, progress)

    def log_artifacts(
        self, local_dir: Any, artifact_path: Optional[str] = None, progress: Optional[Progress] = None
    ) -> None:
        """Copies of all that is in the folder ``local_dir`` are artifacts of the run: all of them, in one step.

        Where a folder of that name is there already, the new files join the old ones and replace their namesakes, in
        one step too, on file systems that can exchange two folders and link files (Linux: ext4, XFS, btrfs, tmpfs);
        elsewhere one file after another. Links to folders are followed.

        Args:
            local_dir: a folder. The tree of the run must not be in it.
            artifact_path, progress: as for `log_artifact`.

        Raises:
            ValueError, TypeError, OSError: as `log_artifact`; also for a loop of links. Nothing was stored.
        """
        artifacts.log_folder(self._opened(), local_dir, artifact_path, progress)

    def log_text(self, text: str, artifact_file: str) -> None:
        """The artifact ``artifact_file`` holds ``text``, in UTF-8. Raises as `log_artifact`."""
        if not isinstance(text, str):
            raise InvalidTypeError("text must be a str, not %s" % type(text).__name__)
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidValueError("the text is not valid Unicode: %s" % error) from None
        artifacts.log_bytes(self._opened(), data, artifact_file)

    def log_dict(self, dictionary: Any, artifact_file: str) -> None:
        """The artifact ``artifact_file`` holds the dictionary: YAML if it ends in .yaml or .yml, else JSON.

        Raises:
            ValueError, TypeError: it holds what no param may hold; a bad path. Nothing was stored.
            OSError: as `log_artifact`.
        """
        name = check_artifact_path(artifact_file, "artifact_file")
        artifacts.log_bytes(self._opened(), dump_dictionary(dictionary, name), name)

    def log_figure(self, figure: Any, artifact_file: str) -> None:
        """The artifact ``artifact_file`` shows the figure, in the format of its suffix.

        Args:
            figure: of matplotlib, or of plotly (.html; images with kaleido).
            artifact_file: such as ``"plots/loss.png"``.

        Raises:
            ValueError, TypeError: a bad path or no suffix; not a figure. Nothing was stored.
            OSError: as `log_artifact`. What the figure itself raises comes through.
        """
        name = check_artifact_path(artifact_file, "artifact_file")
        artifacts.log_bytes(self._opened(), dump_figure(figure, name), name)

    def artifact_path(self, path: Optional[str] = None) -> str:
        """The absolute path of an artifact on this machine; None: of the folder that holds all of them.

        Raises:
            FileNotFoundError: the run has no such artifact (ArtifactNotFoundError), or is gone.
            ValueError, TypeError: a bad path.
            OutsideTreeError: a link or a special file stands there.
        """
        paths = self._opened().paths
        try:
            return find_artifact(paths, path)
        except FileNotFoundError as error:
            raise _as_found(error, paths.address) from None


def _as_found(error: FileNotFoundError, address: Any) -> FileNotFoundError:
    return error if isinstance(error, LookupError) else not_found(address)
