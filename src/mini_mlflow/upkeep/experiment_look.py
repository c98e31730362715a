"""The names of experiments: each file whole, and no name twice."""

from __future__ import annotations

from typing import Dict

from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.experiments import parse_experiment
from mini_mlflow.upkeep.entries import Entry, is_file
from mini_mlflow.upkeep.findings import Look


def look_at_name(look: Look, entry: Entry, experiment_id: int, names: Dict[str, int]) -> None:
    """``experiment.yaml`` names the experiment, and nothing else has that name; ``names`` are those met so far."""
    data = look.read(entry.path) if is_file(look, entry) else None
    if data is None:
        return
    try:
        name = parse_experiment(data, entry.path, experiment_id).name or ""
    except DamagedFileError as error:
        message = "it %s; the experiment shows without a name: write it anew, or remove the file" % error.reason
        look.note(entry.path, "torn-experiment", message)
        return
    other = names.setdefault(name, experiment_id)
    if other != experiment_id:
        message = "its name %.200r is that of experiment %d too, and finds the lower number; change one" % (name, other)
        look.note(entry.path, "experiment-twice", message)
