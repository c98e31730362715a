"""Trees as the file stores of MLflow 1.x to 3.x lay them out, written by hand, for tests that need no MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, Tuple

#: (timestamp, value, step), as MLflow has them in a line.
Line = Tuple[int, float, int]
RUN_ID = "0123456789abcdef0123456789abcdef"
T0 = 1700000000000


def dump_yaml(fields: Mapping[str, Any]) -> str:
    """Flat YAML: JSON's scalars are YAML's, and MLflow puts numbers that are ids in quotes."""
    return "".join("%s: %s\n" % (name, json.dumps(value, ensure_ascii=False)) for name, value in sorted(fields.items()))


def write(path: Path, text: str) -> Path:
    """The file at ``path`` holds exactly ``text``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    return path


def make_experiment(tree: Path, experiment_id: str = "0", name: Optional[str] = "Default", **fields: Any) -> Path:
    """The folder of a new experiment; without a name one whose meta.yaml is missing."""
    folder = tree / experiment_id
    folder.mkdir(parents=True)
    if name is not None:
        told = {
            "experiment_id": experiment_id,
            "name": name,
            "artifact_location": "file:///elsewhere/mlruns/%s" % experiment_id,
            "lifecycle_stage": "active",
            "creation_time": T0 - 1000,
            "last_update_time": T0 - 1000,
        }
        write(folder / "meta.yaml", dump_yaml({**told, **fields}))
    return folder


def make_run(experiment: Path, run_id: str = RUN_ID, **fields: Any) -> Path:
    """The folder of a new run that has FINISHED, with an empty folder for its artifacts, as MLflow makes it."""
    folder = experiment / run_id
    told = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_name": "named",
        "experiment_id": experiment.name,
        "user_id": "someone",
        "status": 3,
        "start_time": T0,
        "end_time": T0 + 5000,
        "lifecycle_stage": "active",
        "artifact_uri": "file:///elsewhere/mlruns/%s/%s/artifacts" % (experiment.name, run_id),
        "source_type": 4,
        "tags": [],
    }
    for kind in ("params", "metrics", "tags", "artifacts"):
        (folder / kind).mkdir(parents=True)
    write(folder / "meta.yaml", dump_yaml({**told, **fields}))
    return folder


def log_param(run: Path, key: str, value: str) -> Path:
    return write(run / "params" / key, value)


def set_tag(run: Path, key: str, value: str) -> Path:
    return write(run / "tags" / key, value)


def log_points(run: Path, key: str, lines: Iterable[Line]) -> Path:
    """The points stand at the end of the metric's file."""
    path = run / "metrics" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines("%d %r %d\n" % line for line in lines)
    return path


def points(count: int, first: int = 0) -> Iterable[Line]:
    """So many of them, of which no two are the same."""
    return [(T0 + step, step / 4, step) for step in range(first, first + count)]
