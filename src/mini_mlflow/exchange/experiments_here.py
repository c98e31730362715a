"""Which experiment here is the one that comes in: the one of its name, or the one that its runs stand in, or a new one.

Its number is kept where nobody has it here. It is never given to something else: what refers to an experiment by its
number (a URL, a script) goes on to mean the same.
"""

from __future__ import annotations

import os
from typing import Dict, Iterable, Optional

from mini_mlflow.disk.layout import RunPaths, experiment_folder
from mini_mlflow.entities import DELETED, Experiment
from mini_mlflow.exchange.incoming import IncomingExperiment
from mini_mlflow.exchange.report import Tally
from mini_mlflow.exchange.target import Standing, Target
from mini_mlflow.formats.experiments import DEFAULT_ID
from mini_mlflow.formats.times import iso_to_ms, now_iso
from mini_mlflow.reading.addresses import iter_addresses
from mini_mlflow.reading.experiments import find_experiment, read_experiment
from mini_mlflow.writing.experiment_trash import delete_experiment
from mini_mlflow.writing.experiments import take_in, update_experiment


def settle_experiment(
    target: Target,
    incoming: IncomingExperiment,
    run_ids: Iterable[str],
    standing: Dict[str, Standing],
    source: str,
    tally: Tally,
) -> Experiment:
    """The experiment here, which is made if there is none, and has the tags that come in.

    Args:
        run_ids: those of its runs.
        standing: where runs stand here.
        source: its folder, for messages.

    Raises:
        LockTimeout, OSError: it was not made, or is as it was.
    """
    here = _find(target.root, incoming, run_ids, standing)
    if here is None:
        here = _make(target, incoming, source, tally)
    elif _lacks(here, incoming):
        here = _bring_up(target, here, incoming)
    if incoming.name is not None and here.name != incoming.name:
        tally.tell(source, "experiment %r is %r here" % (incoming.name, here.name))
    return here


def _find(
    root: str, incoming: IncomingExperiment, run_ids: Iterable[str], standing: Dict[str, Standing]
) -> Optional[Experiment]:
    named = None if incoming.name is None else find_experiment(root, incoming.name)
    if named is not None:
        return named
    if incoming.number == DEFAULT_ID:
        return read_experiment(root, DEFAULT_ID)
    if incoming.number is None or not os.path.isdir(experiment_folder(root, incoming.number)):
        return None
    # The number is somebody's here. If it is that of some of these very runs, the experiment was renamed since.
    known = [standing[run_id] for run_id in run_ids if run_id in standing]
    if incoming.name is None or any(one.address.experiment_id == incoming.number for one in known):
        return read_experiment(root, incoming.number)
    return None


def _make(target: Target, incoming: IncomingExperiment, source: str, tally: Tally) -> Experiment:
    name = incoming.name or os.path.basename(source)
    if incoming.name is None and incoming.number is not None:
        # Runs may stand under a number alone, here too.
        return Experiment(incoming.number, None, {}, None)
    tally.add("experiments")
    wanted = Experiment(
        -1 if incoming.number is None else incoming.number,
        name,
        dict(incoming.tags),
        incoming.creation_time,
        incoming.artifact_location,
        last_update_time=incoming.last_update_time,
    )
    if target.dry_run:
        return wanted
    made = take_in(target.root, wanted, lambda: find_experiment(target.root, name), target.settings)
    if incoming.number is not None and made.experiment_id != incoming.number:
        tally.tell(source, "its number %d is taken here: it is experiment %d" % (incoming.number, made.experiment_id))
    return made


def delete_if_empty(target: Target, here: Experiment, source: str, tally: Tally) -> None:
    """An experiment that is deleted in the source is deleted here too, unless runs stand in it.

    These are ours, or were here before: those that were deleted there lie in the trash by now.

    Raises:
        LockTimeout, OSError: it is not deleted.
    """
    if here.lifecycle_stage == DELETED or here.experiment_id == DEFAULT_ID or target.dry_run:
        return
    standing = [
        address
        for address in iter_addresses(target.root, here.experiment_id)
        if os.path.exists(RunPaths.of(address).meta)
    ]
    if standing:
        tally.tell(source, "it is deleted there; here it stays, for runs of it do")
    else:
        delete_experiment(target.root, here.experiment_id, target.settings)


def _lacks(here: Experiment, incoming: IncomingExperiment) -> bool:
    """Whether the experiment may have something to get: tags, a name, or the time at which it was made."""
    is_nameless = here.name is None and incoming.name is not None
    is_timeless = here.creation_time is None and incoming.creation_time is not None
    return bool(incoming.tags) or is_nameless or is_timeless


def _bring_up(target: Target, here: Experiment, incoming: IncomingExperiment) -> Experiment:
    """The experiment with the tags that are new or later; and its name, if runs were started under a number alone."""

    def change(experiment: Experiment) -> Experiment:
        is_later = (iso_to_ms(incoming.last_update_time) or 0) > (iso_to_ms(experiment.last_update_time) or 0)
        new = {key: value for key, value in incoming.tags.items() if is_later or key not in experiment.tags}
        after = experiment._replace(
            name=incoming.name if experiment.name is None else experiment.name,
            tags={**experiment.tags, **new},
            creation_time=experiment.creation_time or incoming.creation_time,
        )
        if after == experiment:
            return experiment
        return after._replace(last_update_time=incoming.last_update_time if is_later else now_iso())

    if target.dry_run:
        return change(here)
    return update_experiment(target.root, here.experiment_id, change, target.settings)
