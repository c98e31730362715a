"""The runs of an experiment: which there are, newest start first. One damaged run never hides another."""

from __future__ import annotations

import warnings
from typing import Any, Dict, Iterator, List, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.keys import check_run_id
from mini_mlflow.disk.layout import RunPaths, experiment_folder
from mini_mlflow.disk.regular import scan_folders
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, InvalidKeyError
from mini_mlflow.reading.run_view import read_stored_metadata


def list_run_metadata(root: str, experiment_id: int) -> List[Tuple[str, Dict[str, Any]]]:
    """``(run_id, metadata)`` of every readable run of the experiment, newest start first; [] if there is none.

    Runs that cannot be read are skipped, with a DamagedFileWarning that names the file. The status in the metadata is
    the stored one.
    """
    found = list(_readable_runs(root, experiment_id))
    found.sort(key=_newest_first, reverse=True)
    return found


def _newest_first(run: Tuple[str, Dict[str, Any]]) -> Tuple[str, str]:
    start = run[1].get("start_time")
    # Without the Z a time to the second sorts before the same second's fractions.
    return (start.rstrip("Z") if isinstance(start, str) else "", run[0])


def _readable_runs(root: str, experiment_id: int) -> Iterator[Tuple[str, Dict[str, Any]]]:
    for run_id, is_real in scan_folders(experiment_folder(root, experiment_id)):
        try:
            paths = RunPaths.of(RunAddress(root, experiment_id, check_run_id(run_id)))
            if not is_real:
                check_folder(paths.folder)
            yield run_id, read_stored_metadata(paths)
        except (FileNotFoundError, NotADirectoryError, InvalidKeyError):
            # Not a run: a folder without meta.yaml (being made, or left by a kill).
            continue
        except (DamagedFileError, OSError) as error:
            warnings.warn("skipped a run: %s" % error, DamagedFileWarning, stacklevel=4)
