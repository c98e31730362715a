"""One process that repairs while others work: ``python -m stress.mender '<work as JSON>'``.

A tree that lives has little to mend: an owner that left, what a writer is just about to finish. So what counts here is
what it must not do: every guarantee is judged as in a tree that nobody repairs.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List
from typing import Counter as CounterType

from mini_mlflow.upkeep import repair
from stress.place import Place

#: A process that repairs without a pause would hold the locks of all runs in turn, all the time.
_PAUSE_S = 0.05


def main(work: Dict[str, Any]) -> None:
    """Repairs until the stop file is there, ``limit_s`` seconds at most."""
    place = Place(Path(work["folder"]))
    deadline = time.monotonic() + work["limit_s"]
    mends: CounterType[str] = Counter()
    passes = 0
    errors: List[str] = []
    while not place.stop_file.exists() and time.monotonic() < deadline and not errors:
        try:
            mends.update(one.finding.rule for one in repair(str(place.tree)) if one.done)
            passes += 1
        except Exception:  # noqa: BLE001  (whatever a call raises is what is looked for)
            errors.append(traceback.format_exc(limit=-4))
        time.sleep(_PAUSE_S)
    place.report("mends", {"passes": passes, "mends": mends, "errors": errors})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
