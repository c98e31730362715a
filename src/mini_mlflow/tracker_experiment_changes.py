"""The part of a tracker that changes experiments: their names, their tags, and whether they are deleted."""

from __future__ import annotations

from typing import Any, Mapping

from mini_mlflow.disk.keys import check_experiment_id, check_experiment_name, check_key
from mini_mlflow.entities import DELETED, Experiment, Settings
from mini_mlflow.formats.experiments import check_tags
from mini_mlflow.formats.times import now_iso
from mini_mlflow.reading.experiments import find_experiment, name_is_taken
from mini_mlflow.writing import experiment_trash
from mini_mlflow.writing.experiment_files import deleted
from mini_mlflow.writing.experiments import update_experiment


class ExperimentChangingMethods:
    """What `ExperimentTracker` changes of experiments. Each is there, whole, when its call returns.

    Of an experiment that is deleted, nothing can be changed but that: ExperimentDeletedError.
    """

    runs_dir: str
    _settings: Settings

    def rename_experiment(self, experiment_id: Any, new_name: str) -> None:
        """The experiment has that name from now on; one without a name gets it.

        Raises:
            ExperimentExistsError: another one has that name, and may be deleted; this one has its own.
            ExperimentNotFoundError, ExperimentDeletedError: there is none, or it is deleted.
            ValueError, TypeError: no experiment id, or no name (see `create_experiment`).
            OSError: the disk refused, or LockTimeout; the name is as it was.
        """
        number, name = check_experiment_id(experiment_id), check_experiment_name(new_name)

        def rename(experiment: Experiment) -> Experiment:
            _check_active(experiment)
            # Under the tree's lock, as the making of one: so nobody takes the name meanwhile.
            other = find_experiment(self.runs_dir, name)
            if other is not None and other.experiment_id != number:
                raise name_is_taken(self.runs_dir, other)
            if experiment.name == name:
                return experiment
            now = now_iso()
            created = now if experiment.name is None else experiment.creation_time
            return experiment._replace(name=name, creation_time=created, last_update_time=now)

        update_experiment(self.runs_dir, number, rename, self._settings)

    def set_experiment_tag(self, experiment_id: Any, key: str, value: Any) -> None:
        """`set_experiment_tags` of one tag."""
        self.set_experiment_tags(experiment_id, {key: value})

    def set_experiment_tags(self, experiment_id: Any, tags: Mapping[str, Any]) -> None:
        """The experiment has these tags, all of them, beside those of other keys.

        Args:
            tags: keys as those of a run's tags, any JSON values.

        Raises:
            ExperimentNotFoundError, ExperimentDeletedError: there is none, or it is deleted.
            ValueError, TypeError: no experiment id, or a bad tag; none was set.
            OSError: the disk refused, or LockTimeout; the tags are as they were.
        """
        number, checked = check_experiment_id(experiment_id), check_tags(tags)

        def add(experiment: Experiment) -> Experiment:
            _check_active(experiment)
            return _with_tags(experiment, {**experiment.tags, **checked})

        update_experiment(self.runs_dir, number, add, self._settings)

    def delete_experiment_tag(self, experiment_id: Any, key: str) -> None:
        """The experiment has no tag of that key; it need not have had one. Raises as `set_experiment_tags`."""
        number, text = check_experiment_id(experiment_id), check_key(key, "tag key")

        def remove(experiment: Experiment) -> Experiment:
            _check_active(experiment)
            return _with_tags(experiment, {name: value for name, value in experiment.tags.items() if name != text})

        update_experiment(self.runs_dir, number, remove, self._settings)

    def delete_experiment(self, experiment_id: Any) -> None:
        """The experiment is deleted, and with it all of its runs, which go to the trash.

        No run can be started in it, and its name stays taken, until `restore_experiment` brings it back or `gc` removes
        it. Whoever has one of its runs open is told at the next call (RunDeletedError). A run that cannot be moved now
        (its lock is held for too long) is deleted all the same; the same call made again, and gc, move it.

        Raises:
            ValueError: it is experiment 0, which stays. Also, as TypeError, for what is no experiment id.
            ExperimentNotFoundError: there is none.
            OSError: the disk refused, or LockTimeout; it is not deleted.
        """
        experiment_trash.delete_experiment(self.runs_dir, check_experiment_id(experiment_id), self._settings)

    def restore_experiment(self, experiment_id: Any) -> None:
        """The experiment is back, with all of its runs that lie in the trash; who had one open logs to it again.

        Raises:
            ExperimentNotFoundError: there is none of that id, or it is not deleted.
            ValueError, TypeError: no experiment id.
            OSError: the disk refused, or LockTimeout; it is deleted as it was, and the same call goes on.
        """
        experiment_trash.restore_experiment(self.runs_dir, check_experiment_id(experiment_id), self._settings)


def _check_active(experiment: Experiment) -> None:
    if experiment.lifecycle_stage == DELETED:
        raise deleted(experiment.experiment_id)


def _with_tags(experiment: Experiment, tags: Mapping[str, Any]) -> Experiment:
    if tags == experiment.tags:
        return experiment
    return experiment._replace(tags=dict(tags), last_update_time=now_iso())
