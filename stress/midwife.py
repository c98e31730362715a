"""One of many processes that ask for the same experiments at once: ``python -m stress.midwife '<work as JSON>'``.

It waits for the file that lets all of them go, asks for one name after another, and reports the ids that it was given.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict, List

from mini_mlflow import ExperimentTracker
from stress.place import Place

#: The experiments that all ask for, in this order.
NAMES = tuple(f"born-{number}" for number in range(5))
#: For a file that nobody makes.
_PATIENCE_S = 60.0


def main(work: Dict[str, Any]) -> None:
    place = Place(Path(work["folder"]))
    deadline = time.monotonic() + _PATIENCE_S
    while not place.start_file.exists() and time.monotonic() < deadline:
        time.sleep(0.0005)
    tracker, ids = ExperimentTracker(runs_dir=str(place.tree)), []
    errors: List[str] = []
    try:
        ids = [tracker.set_experiment(name).experiment_id for name in NAMES]
    except Exception:  # noqa: BLE001  (whatever a call raises is what is looked for)
        errors.append(traceback.format_exc(limit=-4))
    place.report(f"births-{work['number']}", {"ids": ids, "errors": errors})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
