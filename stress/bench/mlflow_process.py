"""One process that measures MLflow's stores: ``python -m stress.bench.mlflow_process '<work as JSON>'``.

Ours, its file store and its SQL store on SQLite, interleaved, through the interface that MLflow's client calls. Runs in
an environment that has MLflow.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from typing import Any, Callable, Dict, List

OURS, FILES, SQLITE = "ours", "files", "sqlite"
PARAMS, METRICS, POINTS = 20, 10, 20
NOW_MS = 1_700_000_000_000
#: What is searched for: name to filter, order and size of the page.
SEARCHES = {
    "the newest 100": ("", None, 100),
    "the newest 1,000": ("", None, 1000),
    "a page of 10,000": ("", None, 10_000),
    "two conditions, by a metric, 100": (
        "metrics.`metric-1` < 0.5 AND params.`param-0` = '1'",
        ["metrics.`metric-2` DESC"],
        100,
    ),
    "the 1,000 best of a metric": ("", ["metrics.`metric-2` DESC"], 1000),
    "a run by its name": ("attributes.run_name = 'run-7'", None, 100),
    "a condition that one in 2,000 passes": ("metrics.`metric-1` < 0.0005", None, 100),
}


def open_stores(folder: str) -> Dict[str, Any]:
    """The three stores, each in a fresh place; that of files is missing where MLflow has none any more."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from mini_mlflow.mlflow_plugin import open_store

    stores = {OURS: open_store(os.path.join(folder, "mlruns"))}
    try:
        from mlflow.store.tracking.file_store import FileStore

        stores[FILES] = FileStore(os.path.join(folder, "files"))
    except ImportError:
        pass
    stores[SQLITE] = SqlAlchemyStore("sqlite:///%s/mlflow.db" % folder, "file://%s/artifacts" % folder)
    return stores


def time_calls(folder: str, rounds: int, block: int) -> Dict[str, List[float]]:
    """Microseconds a `log_metric`, of each block, by store."""
    from mlflow.entities import Metric

    stores = open_stores(folder)
    runs = {name: store.create_run("0", "me", NOW_MS, [], "run").info.run_id for name, store in stores.items()}
    taken: Dict[str, List[float]] = {name: [] for name in stores}
    for number in range(rounds):
        for name in random.sample(sorted(stores), len(stores)):
            begun = time.perf_counter()
            for step in range(number * block, (number + 1) * block):
                stores[name].log_metric(runs[name], Metric("loss", 1.0 / (step + 1), NOW_MS + step, step))
            taken[name].append((time.perf_counter() - begun) / block * 1e6)
    return taken


def time_searches(folder: str, runs: int, repeats: int) -> Dict[str, Dict[str, List[float]]]:
    """Milliseconds a search, of each repeat, by search and store; the first repeat is with nothing remembered."""
    stores = open_stores(folder)
    stores.pop(FILES, None)
    rows = [_make_row(number) for number in range(runs)]
    fill_ours(stores[OURS], rows)
    fill_sqlite(stores[SQLITE], rows)
    searches = {name: tuple(search) for name, search in SEARCHES.items()}
    taken: Dict[str, Dict[str, List[float]]] = {name: {OURS: [], SQLITE: []} for name in searches}
    for _ in range(repeats):
        for name, (text, order, size) in searches.items():
            found = {}
            for store in (OURS, SQLITE):
                begun = time.perf_counter()
                page = stores[store].search_runs(["0"], text, 1, size, order)
                taken[name][store].append((time.perf_counter() - begun) * 1e3)
                found[store] = [(run.info.run_name, run.data.metrics, run.data.params) for run in page]
            assert found[OURS] == found[SQLITE], name
    return taken


def _make_row(number: int) -> Dict[str, Any]:
    rng = random.Random(number)
    return {
        "name": "run-%d" % number,
        "start": NOW_MS + number * 1000,
        "metrics": {"metric-%d" % key: rng.random() for key in range(METRICS)},
        "params": {"param-%d" % key: str(number % (key + 2)) for key in range(PARAMS)},
        "tags": {"mlflow.user": "me", "mlflow.source.name": "x.py", "mlflow.source.type": "LOCAL"},
    }


def fill_ours(store: Any, rows: List[Dict[str, Any]]) -> None:
    """A run of each row, as MLflow's client would make it."""
    from mlflow.entities import Metric, Param, RunStatus, RunTag

    for row in rows:
        tags = [RunTag(key, value) for key, value in row["tags"].items()]
        run_id = store.create_run("0", "me", row["start"], tags, row["name"]).info.run_id
        points = [
            Metric(key, value if step == POINTS - 1 else step / 7, row["start"], step)
            for key, value in row["metrics"].items()
            for step in range(POINTS)
        ]
        store.log_batch(run_id, points, [Param(key, value) for key, value in row["params"].items()], [])
        store.update_run_info(run_id, RunStatus.FINISHED, row["start"] + 500, None)


def fill_sqlite(store: Any, rows: List[Dict[str, Any]]) -> None:
    """The same runs, without their histories, row by row past the interface, which takes a minute for a thousand."""
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag

    made: Dict[Any, List[Dict[str, Any]]] = {SqlRun: [], SqlLatestMetric: [], SqlParam: [], SqlTag: []}
    for number, row in enumerate(rows):
        run_id = "%032x" % number
        made[SqlRun].append(
            {
                "run_uuid": run_id,
                "name": row["name"],
                "source_type": "UNKNOWN",
                "user_id": "me",
                "status": "FINISHED",
                "start_time": row["start"],
                "end_time": row["start"] + 500,
                "lifecycle_stage": "active",
                "experiment_id": 0,
                "artifact_uri": "file:///x/%s/artifacts" % run_id,
            }
        )
        own = {"run_uuid": run_id}
        made[SqlLatestMetric] += [
            dict(own, key=key, value=value, timestamp=row["start"], step=POINTS - 1, is_nan=False)
            for key, value in row["metrics"].items()
        ]
        made[SqlParam] += [dict(own, key=key, value=value) for key, value in row["params"].items()]
        tags = dict(row["tags"], **{"mlflow.runName": row["name"]})
        made[SqlTag] += [dict(own, key=key, value=value) for key, value in tags.items()]
    with store.ManagedSessionMaker() as session:
        for model, values in made.items():
            session.bulk_insert_mappings(model, values)


WORK: Dict[str, Callable[..., Any]] = {"calls": time_calls, "searches": time_searches}


def main(work: Dict[str, Any]) -> None:
    logging.disable(logging.WARNING)
    print(json.dumps(WORK[work.pop("work")](**work)), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
