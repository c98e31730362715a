"""Processes that meet MLflow in a fresh folder at the same moment: ``python -m stress.bench.mlflow_crowd '<JSON>'``.

MLflow is imported once and the crowd forked, so that what starts together is what a user's processes do first:
``set_experiment``, ``start_run``, and twenty metrics, in several threads each. Prints who came through, and how many
runs stand there afterwards, whole.

Nothing but MLflow and the standard library is imported: this runs in whatever environment has MLflow.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, Dict, List, Optional

EXPERIMENT = "sweep"
POINTS = 20


def run_crowd(uri: Optional[str], processes: int, threads: int) -> Dict[str, Any]:
    """``{"survived": processes, "errors": [texts], "whole": runs that are finished with all points}``."""
    gate, opening = os.pipe()
    told, telling = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            os.close(opening)
            status = 1
            try:
                # Blocks until the last one that could write closes its end: all of them at once.
                os.read(gate, 1)
                errors = _work(uri, threads)
                os.write(telling, "".join("%s\n" % error for error in errors).encode("utf-8", "replace"))
                status = 1 if errors else 0
            finally:
                os._exit(status)
        children.append(child)
    os.close(gate)
    os.close(telling)
    os.close(opening)
    with os.fdopen(told, "rb") as pipe:
        errors = pipe.read().decode("utf-8", "replace").splitlines()
    survived = sum(os.waitpid(child, 0)[1] == 0 for child in children)
    return {"survived": survived, "errors": sorted(set(errors)), "whole": _count_whole(uri)}


def _work(uri: Optional[str], threads: int) -> List[str]:
    import mlflow

    if uri is not None:
        mlflow.set_tracking_uri(uri)
    errors: List[str] = []

    def log() -> None:
        try:
            mlflow.set_experiment(EXPERIMENT)
            with mlflow.start_run():
                for step in range(POINTS):
                    mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        except Exception as error:  # noqa: BLE001 - who does not come through is what is counted
            errors.append(("%s: %s" % (type(error).__name__, error)).partition("\n")[0][:160])

    crowd = [threading.Thread(target=log) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return errors


def _count_whole(uri: Optional[str]) -> int:
    import mlflow

    if uri is not None:
        mlflow.set_tracking_uri(uri)
    try:
        client = mlflow.MlflowClient()
        experiments = [one for one in client.search_experiments() if one.name == EXPERIMENT]
        found = client.search_runs([one.experiment_id for one in experiments], "attributes.status = 'FINISHED'")
        whole = [run for run in found if len(client.get_metric_history(run.info.run_id, "loss")) == POINTS]
        # Of two experiments of one name, only one is the sweep.
        return len(whole) if len(experiments) == 1 else 0
    except Exception:  # noqa: BLE001 - a folder that nobody can read holds nothing whole
        return 0


def main(work: Dict[str, Any]) -> None:
    import mlflow  # noqa: F401 - before the fork: once for all

    os.chdir(work["folder"])
    print(json.dumps(run_crowd(work["uri"], work["processes"], work["threads"])), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
