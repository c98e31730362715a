"""The part of a tracker that makes experiments, names them, and finds them by their names."""

from __future__ import annotations

import errno
from typing import Any, List, Mapping, Optional, Sequence

from mini_mlflow.disk.keys import check_experiment_id, check_experiment_name
from mini_mlflow.disk.layout import experiment_folder
from mini_mlflow.entities import ACTIVE, DELETED, Experiment, Settings
from mini_mlflow.errors import ExperimentDeletedError, ExperimentNotFoundError, InvalidValueError, show
from mini_mlflow.formats.experiments import check_tags
from mini_mlflow.reading.experiment_filter import choose
from mini_mlflow.reading.experiments import find_experiment, list_experiments, name_is_taken, read_experiment
from mini_mlflow.writing.experiments import create_unless_found

_STAGES = (ACTIVE, DELETED, "all")


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
            ExperimentExistsError: the tree has one of that name, which may be deleted (experiment 0 is called
                "Default"); nothing was made.
            ValueError, TypeError: a bad name or tag; nothing was made.
            OSError: the disk refused, or LockTimeout; nothing was made.
        """
        checked, checked_tags = check_experiment_name(name), check_tags(tags)
        taken: List[Experiment] = []

        def find() -> Optional[Experiment]:
            taken.extend(one for one in [find_experiment(self.runs_dir, checked)] if one is not None)
            return taken[0] if taken else None

        made = create_unless_found(self.runs_dir, checked, checked_tags, find, self._settings)
        if taken:
            raise name_is_taken(self.runs_dir, made)
        return made.experiment_id

    def set_experiment(self, name: Optional[str] = None, experiment_id: Any = None) -> Experiment:
        """The experiment, which is this tracker's from now on, for all threads: of calls that name none.

        Args:
            name: made if the tree has none of that name; of processes that ask for one name at once, one makes it.
            experiment_id: one that is there. Give one of the two.

        Raises:
            ExperimentNotFoundError: there is none of that id; the tracker's stays what it was, as for all errors.
            ExperimentDeletedError: it is deleted; `restore_experiment` brings it back.
            ValueError, TypeError: a bad name or id, both, or neither.
            OSError: the disk refused, or LockTimeout.
        """
        if (name is None) == (experiment_id is None):
            raise InvalidValueError("set_experiment takes a name or an experiment_id, and not both")
        if name is None:
            experiment = self.get_experiment(experiment_id)
        else:
            experiment = self._find_or_create(check_experiment_name(name))
        if experiment.lifecycle_stage == DELETED:
            name = "" if experiment.name is None else " (%s)" % show(experiment.name)
            number = experiment.experiment_id
            raise ExperimentDeletedError(
                "Experiment %d%s is deleted: restore_experiment(%d) brings it back, gc() frees its name"
                % (number, name, number)
            )
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
        """The experiment, deleted or not; its name is None if runs were started under the number alone.

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
        """The experiment of that name, deleted or not (`Experiment.lifecycle_stage`); None if there is none.

        Raises ValueError or TypeError for what is no name.
        """
        return find_experiment(self.runs_dir, check_experiment_name(name))

    def search_experiments(
        self,
        filter_string: str = "",
        order_by: Optional[Sequence[str]] = None,
        max_results: Optional[int] = None,
        *,
        lifecycle_stage: str = ACTIVE,
    ) -> List[Experiment]:
        """The experiments of the tree that pass the filter; by their ids unless another order is given.

        Args:
            filter_string: as in `search_runs`, about ``name``, ``tags.<key>`` and the other fields of an `Experiment`.
                "" passes all.
            order_by: of the same, each with ``ASC`` or ``DESC``.
            max_results: None for all.
            lifecycle_stage: "active", "deleted" or "all".

        Raises:
            ValueError, TypeError: a filter that is not understood (the message says from where on), or a bad argument.
        """
        if lifecycle_stage not in _STAGES:
            raise InvalidValueError("lifecycle_stage must be one of %s, not %s" % (_STAGES, show(lifecycle_stage)))
        found = list_experiments(self.runs_dir)
        wanted = [one for one in found if lifecycle_stage in ("all", one.lifecycle_stage)]
        return choose(wanted, filter_string, order_by, max_results)
