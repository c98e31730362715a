"""One of many processes that ask for the same experiments at once: ``python -m stress.midwife '<work as JSON>'``.

It waits for the file that lets all of them go, asks for one name after another, and reports the ids that it was given.
Then it makes one of its own, and renames it to what all of them want theirs to be called: one of them gets the name.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict, List

from mini_mlflow import ExperimentExistsError, ExperimentTracker
from stress.place import Place

#: The experiments that all ask for, in this order.
NAMES = tuple(f"born-{number}" for number in range(5))
#: What all rename an experiment of their own to.
COVETED = "coveted"
#: For a file that nobody makes.
_PATIENCE_S = 60.0


def main(work: Dict[str, Any]) -> None:
    place = Place(Path(work["folder"]))
    deadline = time.monotonic() + _PATIENCE_S
    while not place.start_file.exists() and time.monotonic() < deadline:
        time.sleep(0.0005)
    tracker, ids = ExperimentTracker(runs_dir=str(place.tree)), []
    errors: List[str] = []
    renamed: List[int] = []
    try:
        ids = [tracker.set_experiment(name).experiment_id for name in NAMES]
        own = tracker.create_experiment(f"own-{work['number']}")
        try:
            tracker.rename_experiment(own, COVETED)
            renamed.append(own)
        except ExperimentExistsError:
            assert tracker.get_experiment(own).name == f"own-{work['number']}", "it lost its own name"
    except Exception:  # noqa: BLE001  (whatever a call raises is what is looked for)
        errors.append(traceback.format_exc(limit=-4))
    place.report(f"births-{work['number']}", {"ids": ids, "renamed": renamed, "errors": errors})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
