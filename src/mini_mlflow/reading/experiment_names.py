"""Experiments by name, as the ``experiment.yaml`` in their folders says it."""

from __future__ import annotations

from typing import Any, Dict, List

from mini_mlflow.disk.layout import experiment_folder
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import DamagedFileError, InvalidTypeError, InvalidValueError, show
from mini_mlflow.formats.documents import parse_meta
from mini_mlflow.reading.addresses import list_experiment_ids
from mini_mlflow.reading.run_folder import warn

#: What experiment 0 is called while it has no name of its own.
DEFAULT_NAME = "Default"


def find_experiments(root: str, names: Any) -> List[int]:
    """The ids of the experiments with these names, in the order of the names; a str is one name.

    Raises:
        InvalidValueError: no experiment has one of the names; the message says which there are.
        InvalidTypeError: they are no texts.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidTypeError("experiment_names must be texts, not %s: %s" % (type(name).__name__, show(name)))
    ids = _ids_by_name(root)
    for name in wanted:
        if name not in ids:
            known = ", ".join(map(repr, sorted(ids))) or "no names"
            raise InvalidValueError("there is no experiment %s; the tree has %.2000s" % (show(name), known))
    return list(dict.fromkeys(number for name in wanted for number in ids[name]))


def _ids_by_name(root: str) -> Dict[str, List[int]]:
    found: Dict[str, List[int]] = {}
    for number in list_experiment_ids(root):
        name = _read_name(root, number)
        if isinstance(name, str):
            found.setdefault(name, []).append(number)
    return found


def _read_name(root: str, number: int) -> Any:
    path = "%s/experiment.yaml" % experiment_folder(root, number)
    try:
        return parse_meta(read_file(path), path).get("name")
    except (FileNotFoundError, NotADirectoryError):
        return DEFAULT_NAME if number == 0 else None
    except (DamagedFileError, OSError) as error:
        warn(error)
        return None
