"""Where runs stand: the experiments of a tree, and a run by its id, or the beginning of one, in any of them."""

from __future__ import annotations

import errno
import warnings
from collections import abc
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple

from mini_mlflow.disk.atomic import check_folder
from mini_mlflow.disk.keys import check_experiment_id, check_run_id
from mini_mlflow.disk.layout import RunPaths, experiment_folder
from mini_mlflow.disk.regular import exists, iter_folders
from mini_mlflow.entities import RunAddress
from mini_mlflow.errors import (
    AmbiguousRunError,
    DamagedFileWarning,
    InvalidKeyError,
    InvalidTypeError,
    InvalidValueError,
    RunNotFoundError,
    show,
)
from mini_mlflow.reading.experiments import is_deleted

_NAMED_AT_MOST = 8


def list_experiment_ids(root: str) -> List[int]:
    """The ids of the tree's experiments, in order; what has no such name is none. Links are told of and left out."""
    found = []
    # With the dot, the tree itself may be a link, which others follow too; only what stands in it may not.
    for name, is_real in iter_folders(root + "/."):
        try:
            number = check_experiment_id(name)
        except InvalidValueError:
            continue
        if is_real:
            found.append(number)
        else:
            _skip("an experiment", "%s is a symbolic link" % experiment_folder(root, number))
    return sorted(found)


def iter_addresses(root: str, experiment_id: int) -> Iterator[RunAddress]:
    """Where the runs of an experiment may stand, in no order: its folders whose names are run ids.

    Links are told of and left out. A run that is moved away and back meanwhile may come twice. Nothing comes of an
    experiment that does not exist, or is deleted.

    Raises:
        OSError: the experiment's folder cannot be listed (OutsideTreeError: it is none).
    """
    if not is_deleted(root, experiment_id):
        yield from iter_standing(root, experiment_id)


def iter_standing(root: str, experiment_id: int) -> Iterator[RunAddress]:
    """The same, whether the experiment is deleted or not."""
    for name, is_real in iter_folders(experiment_folder(root, experiment_id)):
        try:
            address = RunAddress(root, experiment_id, check_run_id(name))
            if not is_real:
                check_folder(RunPaths.of(address).folder)
            yield address
        except (FileNotFoundError, InvalidKeyError):
            continue
        except OSError as error:
            _skip("a run", error)


def _skip(what: str, why: object) -> None:
    warnings.warn("skipped %s: %s" % (what, why), DamagedFileWarning, stacklevel=3)


def find_run(root: str, prefix: str, experiment_ids: Optional[Iterable[int]] = None) -> RunAddress:
    """The run with this id, or the only one whose id begins with it.

    Args:
        prefix: a run id or its beginning; with an experiment's id and a slash before it, only that one is looked at.
        experiment_ids: the experiments to look at; None for all.

    Raises:
        RunNotFoundError: no run's id begins so.
        AmbiguousRunError: several do, or the whole id is there in several experiments; the message names them.
        InvalidTypeError, InvalidValueError, InvalidKeyError: it is no such text.
    """
    if not isinstance(prefix, str):
        raise InvalidTypeError("a run id must be a str, not %s: %s" % (type(prefix).__name__, show(prefix)))
    experiment, slash, beginning = prefix.rpartition("/")
    if not beginning:
        raise InvalidKeyError("a run id cannot be empty: %.220r" % prefix)
    if slash:
        numbers: Sequence[int] = [check_experiment_id(experiment)]
    else:
        numbers = list_experiment_ids(root) if experiment_ids is None else sorted(set(experiment_ids))
    numbers = [number for number in numbers if not is_deleted(root, number)]
    found = _exact(root, beginning, numbers) or _beginning(root, beginning, numbers)
    if not found:
        where = "" if len(numbers) != 1 else " in experiment %d" % numbers[0]
        raise RunNotFoundError(errno.ENOENT, "No run has the id %r%s, or one that begins so" % (beginning, where), root)
    if len(found) > 1:
        raise AmbiguousRunError("%d runs fit %r: %s" % (len(found), prefix, _name(found)))
    return found[0]


def _exact(root: str, run_id: str, numbers: Sequence[int]) -> List[RunAddress]:
    try:
        addresses = [RunAddress(root, number, check_run_id(run_id)) for number in numbers]
    except InvalidKeyError:
        return []
    return [address for address in addresses if _is_run(address)]


def _beginning(root: str, beginning: str, numbers: Sequence[int]) -> List[RunAddress]:
    found = {
        address
        for number in numbers
        for address in iter_addresses(root, number)
        if address.run_id.startswith(beginning) and _is_run(address)
    }
    return sorted(found)


def _is_run(address: RunAddress) -> bool:
    paths = RunPaths.of(address)
    return exists(paths.meta) or exists(paths.snapshot)


def _name(found: Sequence[RunAddress]) -> str:
    names = ["%d/%s" % address[1:] for address in found[:_NAMED_AT_MOST]]
    return ", ".join(names + (["…"] if len(found) > len(names) else []))


def check_experiment_ids(experiment_ids: object) -> Tuple[int, ...]:
    """Ids of experiments as ints, each once, in their order; one alone, an int or its decimal str, counts as a list.

    Raises:
        InvalidTypeError, InvalidValueError: as `check_experiment_id`; or neither an id nor a collection of them.
    """
    if isinstance(experiment_ids, str) or hasattr(type(experiment_ids), "__index__"):
        experiment_ids = [experiment_ids]
    if not isinstance(experiment_ids, abc.Iterable):
        raise InvalidTypeError("experiment_ids must be a list of ids, not %s" % show(experiment_ids))
    return tuple(dict.fromkeys(map(check_experiment_id, experiment_ids)))
