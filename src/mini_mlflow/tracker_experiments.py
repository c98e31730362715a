"""The part of a tracker that makes experiments, names them, and finds them by their names."""

from __future__ import annotations

import errno
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mini_mlflow.disk.keys import check_experiment_id, check_key, check_text
from mini_mlflow.disk.layout import experiment_folder
from mini_mlflow.entities import Experiment, Settings
from mini_mlflow.errors import (
    ExperimentExistsError,
    ExperimentNotFoundError,
    InvalidTypeError,
    InvalidValueError,
    show,
)
from mini_mlflow.formats.values import decode_value, encode_value
from mini_mlflow.reading.experiment_filter import choose
from mini_mlflow.reading.experiments import find_experiment, list_experiments, read_experiment
from mini_mlflow.writing.experiments import create_unless_found

_LIMIT_NAME_BYTES = 500
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class ExperimentMethods:
    """What `ExperimentTracker` does about experiments."""

    runs_dir: str
    experiment_id: int
    _settings: Settings

    def create_experiment(self, name: str, tags: Optional[Mapping[str, Any]] = None) -> int:
        """The id of a new experiment of that name.

        Args:
            name: a non-empty str of at most 500 bytes in UTF-8 without control characters.
            tags: keys as those of a run's tags, any JSON values.

        Raises:
            ExperimentExistsError: the tree has one of that name (experiment 0 is called "Default"); nothing was made.
            ValueError, TypeError: a bad name or tag; nothing was made.
            OSError: the disk refused, or LockTimeout; nothing was made.
        """
        checked, checked_tags = _check_name(name), _check_tags(tags)
        taken: List[Experiment] = []

        def find() -> Optional[Experiment]:
            taken.extend(one for one in [find_experiment(self.runs_dir, checked)] if one is not None)
            return taken[0] if taken else None

        made = create_unless_found(self.runs_dir, checked, checked_tags, find, self._settings)
        if taken:
            raise ExperimentExistsError(
                errno.EEXIST,
                "An experiment named %r exists already, with the id %d" % (checked, made.experiment_id),
                experiment_folder(self.runs_dir, made.experiment_id),
            )
        return made.experiment_id

    def set_experiment(self, name: Optional[str] = None, experiment_id: Any = None) -> Experiment:
        """The experiment, which is this tracker's from now on, for all threads: of calls that name none.

        Args:
            name: made if the tree has none of that name; of processes that ask for one name at once, one makes it.
            experiment_id: one that is there. Give one of the two.

        Raises:
            ExperimentNotFoundError: there is none of that id; the tracker's stays what it was, as for all errors.
            ValueError, TypeError: a bad name or id, both, or neither.
            OSError: the disk refused, or LockTimeout.
        """
        if (name is None) == (experiment_id is None):
            raise InvalidValueError("set_experiment takes a name or an experiment_id, and not both")
        if name is None:
            experiment = self.get_experiment(experiment_id)
        else:
            experiment = self._find_or_create(_check_name(name))
        self.experiment_id = experiment.experiment_id
        return experiment

    def _find_or_create(self, name: str) -> Experiment:
        # Nearly always it is there, and nobody need wait for the lock.
        found = find_experiment(self.runs_dir, name)
        if found is not None:
            return found
        return create_unless_found(
            self.runs_dir, name, {}, lambda: find_experiment(self.runs_dir, name), self._settings
        )

    def get_experiment(self, experiment_id: Any) -> Experiment:
        """The experiment; its name is None if runs were started under the number alone.

        Raises:
            ExperimentNotFoundError: there is none.
            ValueError, TypeError: no experiment id.
        """
        number = check_experiment_id(experiment_id)
        found = read_experiment(self.runs_dir, number)
        if found is None:
            folder = experiment_folder(self.runs_dir, number)
            raise ExperimentNotFoundError(errno.ENOENT, "There is no experiment %d" % number, folder)
        return found

    def get_experiment_by_name(self, name: str) -> Optional[Experiment]:
        """The experiment of that name; None if there is none. Raises ValueError or TypeError for what is no name."""
        return find_experiment(self.runs_dir, _check_name(name))

    def search_experiments(
        self, filter_string: str = "", order_by: Optional[Sequence[str]] = None, max_results: Optional[int] = None
    ) -> List[Experiment]:
        """The experiments of the tree that pass the filter; by their ids unless another order is given.

        Args:
            filter_string: as in `search_runs`, about ``name``, ``tags.<key>`` and the other fields of an `Experiment`.
                "" passes all.
            order_by: of the same, each with ``ASC`` or ``DESC``.
            max_results: None for all.

        Raises:
            ValueError, TypeError: a filter that is not understood (the message says from where on), or a bad argument.
        """
        return choose(list_experiments(self.runs_dir), filter_string, order_by, max_results)


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidTypeError("an experiment's name must be a str, not %s: %s" % (type(name).__name__, show(name)))
    checked = check_text(name, "an experiment's name") or ""
    if not checked.strip():
        raise InvalidValueError("an experiment's name cannot be empty")
    if _CONTROL.search(checked):
        raise InvalidValueError("an experiment's name cannot contain control characters: %.80r" % checked)
    size = len(checked.encode("utf-8"))
    if size > _LIMIT_NAME_BYTES:
        raise InvalidValueError(
            "an experiment's name cannot be longer than %d bytes in UTF-8 (it has %d)" % (_LIMIT_NAME_BYTES, size)
        )
    return checked


def _check_tags(tags: Any) -> Dict[str, Any]:
    if tags is not None and not isinstance(tags, Mapping):
        raise InvalidTypeError("tags must be a dict, not %s" % show(tags))
    checked = {}
    for key, value in (tags or {}).items():
        text = check_key(key, "tag key")
        encoded = encode_value(value, "tag %r" % text)
        nonfinite = json.loads(encoded.nonfinite) if encoded.nonfinite else None
        checked[text] = decode_value(json.loads(encoded.json), nonfinite)
    return checked
