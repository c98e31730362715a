"""Our MLflow store does what MLflow's SQL store does, field by field and message by message."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
mlflow = pytest.importorskip("mlflow")

from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)

from mlflow_stores import NOW_MS, Witness, compare  # noqa: E402

# In some things older versions of MLflow's SQL store did otherwise, and what they did was mended since.
if int(mlflow.__version__.split(".")[1]) < 17:
    pytest.skip("compared with MLflow 3.17 and later", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NAN, INF = float("nan"), float("inf")
_TIMES = ("creation_time", "last_update_time")


def read_pages(read: Any) -> list[list[Any]]:
    """All pages, each asked for with the token of the one before."""
    pages, token = [], None
    while True:
        page = read(token)
        pages.append(list(page))
        token = page.token
        if not token:
            return pages


def untimed(experiment: Any) -> Any:
    """The experiment's fields without those that say when the test ran."""
    return {name: value for name, value in experiment if name not in (*_TIMES, "workspace")}


def experiments(witness: Witness) -> None:
    store = witness.store
    witness.note("default", untimed(store.get_experiment("0"))["name"])
    number = witness.experiment("vision", tags=[ExperimentTag("team", "a"), ExperimentTag("k/ey", "b: c")])
    witness.note("made", untimed(store.get_experiment(number)))
    witness.note("id is a digit string", number.isdigit() and isinstance(number, str))
    times = store.get_experiment(number)
    witness.note("times", [times.creation_time > NOW_MS, times.creation_time == times.last_update_time])
    elsewhere = witness.experiment("elsewhere", artifact_location="s3://bucket/of/models")
    witness.note("elsewhere", untimed(store.get_experiment(elsewhere)))
    witness.note("by name", untimed(store.get_experiment_by_name("vision")))
    witness.note("no such name", store.get_experiment_by_name("nobody"))
    for name, bad in (("empty", ""), ("none", None), ("number", 7), ("long", "x" * 501)):
        witness.refused("create " + name, lambda bad=bad: store.create_experiment(bad))
        witness.refused("rename " + name, lambda bad=bad: store.rename_experiment(number, bad))
    witness.refused("taken", lambda: store.create_experiment("vision"), text=False)
    witness.refused("long location", lambda: store.create_experiment("far", "s3://" + "x" * 4000))
    witness.refused("bad tag", lambda: store.create_experiment("tagged", None, [ExperimentTag("..", "x")]))
    witness.refused("missing", lambda: store.get_experiment("4711"))
    witness.refused("no number", lambda: store.get_experiment("vision"))
    store.rename_experiment(number, "hearing")
    witness.note("renamed", [store.get_experiment(number).name, store.get_experiment_by_name("vision")])
    witness.refused("rename missing", lambda: store.rename_experiment("4711", "x"))
    store.set_experiment_tag(number, ExperimentTag("team", "b"))
    store.set_experiment_tag(number, ExperimentTag("long", "x" * 5000))
    witness.note("tagged", dict(store.get_experiment(number).tags))
    witness.refused("tag too long", lambda: store.set_experiment_tag(number, ExperimentTag("k", "x" * 20_001)))
    witness.refused("tag key too long", lambda: store.set_experiment_tag(number, ExperimentTag("k" * 251, "x")))
    witness.refused("tag missing", lambda: store.set_experiment_tag("4711", ExperimentTag("k", "x")))
    store.delete_experiment_tag(number, "long")
    witness.note("untagged", dict(store.get_experiment(number).tags))
    witness.refused("untag twice", lambda: store.delete_experiment_tag(number, "long"))


def deleted_experiments(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("short-lived")
    kept = witness.run(number, "kept")
    gone = witness.run(number, "gone")
    store.delete_run(gone)
    store.delete_experiment(number)
    witness.note("deleted", untimed(store.get_experiment(number)))
    witness.note("found by name", store.get_experiment_by_name("short-lived").lifecycle_stage)
    witness.note("its runs", [store.get_run(run).info.lifecycle_stage for run in (kept, gone)])
    witness.refused("delete twice", lambda: store.delete_experiment(number))
    witness.refused("delete missing", lambda: store.delete_experiment("4711"))
    witness.refused("rename", lambda: store.rename_experiment(number, "x"))
    witness.refused("tag", lambda: store.set_experiment_tag(number, ExperimentTag("k", "x")))
    witness.refused("untag", lambda: store.delete_experiment_tag(number, "k"))
    witness.refused("start a run", lambda: store.create_run(number, "me", NOW_MS, [], "late"))
    witness.refused("log", lambda: store.log_metric(kept, Metric("m", 1.0, NOW_MS, 0)))
    witness.refused("name is taken", lambda: store.create_experiment("short-lived"), text=False)
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        witness.note("experiments %d" % view, [one.name for one in store.search_experiments(view)])
        witness.note("runs %d" % view, sorted(witness.search([number], view=view)))
    store.restore_experiment(number)
    witness.note("restored", untimed(store.get_experiment(number)))
    witness.note("its runs again", [store.get_run(run).info.lifecycle_stage for run in (kept, gone)])
    witness.refused("restore twice", lambda: store.restore_experiment(number))
    store.log_metric(kept, Metric("m", 1.0, NOW_MS, 0))


def searched_experiments(witness: Witness) -> None:
    store = witness.store
    for index, name in enumerate(("alpha", "beta", "Alpine", "gamma") + tuple("n%d" % n for n in range(8))):
        witness.experiment(name, tags=[ExperimentTag("parity", "odd" if index % 2 else "even")])
    filters = (
        "name = 'alpha'", "name != 'alpha'", "name LIKE 'al%'", "name ILIKE 'al%'", "attribute.name LIKE '%a'",
        "tags.parity = 'odd'", "tag.parity != 'odd' AND name LIKE 'n%'", "tags.none = 'x'", "creation_time > 0",
        "creation_time < 1", "last_update_time >= 5 and name ILIKE '%ALP%'",
    )  # fmt: skip
    for text in filters:
        found = store.search_experiments(filter_string=text, order_by=["name"])
        witness.note(text, [one.name for one in found if one.name != "Default"])
    for text in ("name", "name = alpha", "nothing = 'x'", "name > 'x'", "tags.x > 'y'", "name = 'a' OR name = 'b'"):
        witness.refused(text, lambda text=text: list(store.search_experiments(filter_string=text)), text=False)
    for order in (["name DESC"], ["experiment_id ASC"], ["experiment_id DESC"], ["name", "creation_time"]):
        witness.note(str(order), [one.name for one in store.search_experiments(order_by=order)])
    for order in (["nothing"], ["tags.parity"], ["name SIDEWAYS"]):
        witness.refused(str(order), lambda order=order: store.search_experiments(order_by=order))
    pages = read_pages(lambda token: store.search_experiments(max_results=5, order_by=["name"], page_token=token))
    witness.note("pages", [[one.name for one in page] for page in pages])
    for bad in (0, -1, 50_001, None):
        witness.refused("max_results %s" % bad, lambda bad=bad: store.search_experiments(max_results=bad))


def runs(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("runs")
    run = witness.run(number, "first", **{"mlflow.user": "me", "a/b": "c"})
    witness.note("made", store.get_run(run))
    by_tag = store.create_run(number, "u", 5, [RunTag("mlflow.runName", "tagged")], None).info
    witness.name(by_tag.run_id, "<tagged>")
    witness.note("name by tag", by_tag)
    witness.note("a name is drawn", len(store.create_run(number, "u", 5, [], None).info.run_name) > 3)
    witness.refused("two names", lambda: store.create_run(number, "u", 5, [RunTag("mlflow.runName", "a")], "b"))
    early = store.create_run(number, "u", -1_234_567, [], "early").info
    witness.name(early.run_id, "<early>")
    store.update_run_info(early.run_id, RunStatus.FINISHED, -1, None)
    witness.note("before 1970", store.get_run(early.run_id).info)
    witness.refused("no experiment", lambda: store.create_run("4711", "u", 5, [], "x"))
    witness.refused("no run", lambda: store.get_run("f" * 32))
    witness.refused("no run to update", lambda: store.update_run_info("f" * 32, RunStatus.FINISHED, 1, None))
    for status in (RunStatus.FINISHED, RunStatus.RUNNING, RunStatus.FAILED, RunStatus.SCHEDULED, RunStatus.KILLED):
        info = store.update_run_info(run, status, NOW_MS + status, None)
        witness.note("status %d" % status, info)
        witness.note("status %d, read" % status, store.get_run(run).info)
    info = store.update_run_info(run, RunStatus.RUNNING, None, "renamed")
    witness.note("goes on", [info, store.get_run(run)])
    witness.note("nothing changes", store.update_run_info(run, None, None, None))
    witness.note("empty name", store.update_run_info(run, RunStatus.FINISHED, NOW_MS + 9, "").run_name)
    store.set_tag(run, RunTag("mlflow.runName", "by tag"))
    witness.note("named by tag", [store.get_run(run).info.run_name, store.get_run(run).data.tags["mlflow.runName"]])
    store.log_batch(run, [], [], [RunTag("mlflow.runName", "by batch"), RunTag("other", "x")])
    witness.note("named by batch", store.get_run(run))
    # What has ended is logged to all the same.
    store.log_metric(run, Metric("late", 1.0, NOW_MS, 0))
    store.log_param(run, Param("late", "p"))
    witness.note("logged late", store.get_run(run))
    store.delete_run(run)
    witness.note("deleted", store.get_run(run).info.lifecycle_stage)
    store.delete_run(run)
    witness.refused("metric", lambda: store.log_metric(run, Metric("m", 1.0, 1, 0)))
    witness.refused("param", lambda: store.log_param(run, Param("m", "1")))
    witness.refused("tag", lambda: store.set_tag(run, RunTag("m", "1")))
    witness.refused("untag", lambda: store.delete_tag(run, "other"))
    witness.refused("batch", lambda: store.log_batch(run, [], [], []))
    witness.refused("update", lambda: store.update_run_info(run, RunStatus.FINISHED, 1, None))
    witness.refused("inputs", lambda: store.log_inputs(run, []))
    store.restore_run(run)
    store.restore_run(run)
    witness.note("restored", store.get_run(run))


def batches(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("batches")
    run = witness.run(number, "batch")
    store.log_batch(
        run,
        [Metric("m/a", 1.5, NOW_MS, 0), Metric("m b:c", -2.0, NOW_MS, -3)],
        [Param("p/a", "1"), Param("p", "x" * 6000)],
        [RunTag("t/a", "1"), RunTag("t/a", "2"), RunTag("t", "")],
    )
    witness.note("batch", store.get_run(run))
    store.log_batch(run, [], [Param("p/a", "1"), Param("new", "n")], [])
    metric = Metric("no", 1.0, 1, 1)
    witness.refused("param of a batch", lambda: store.log_batch(run, [metric], [Param("p/a", "2")], []))
    witness.refused("param", lambda: store.log_param(run, Param("p/a", "3")))
    store.log_param(run, Param("p/a", "1"))
    witness.note("unchanged", store.get_run(run))
    for key in ("", "..", "a//b", "/a", "a\n", "k" * 251, "%", None):
        witness.refused("metric %.9r" % key, lambda key=key: store.log_metric(run, Metric(key, 1.0, 1, 0)))
        witness.refused("param %.9r" % key, lambda key=key: store.log_param(run, Param(key, "1")))
        witness.refused("tag %.9r" % key, lambda key=key: store.set_tag(run, RunTag(key, "1")))
        witness.refused("metrics %.9r" % key, lambda key=key: store.log_batch(run, [Metric(key, 1.0, 1, 0)], [], []))
        witness.refused("params %.9r" % key, lambda key=key: store.log_batch(run, [], [Param(key, "1")], []))
        witness.refused("tags %.9r" % key, lambda key=key: store.log_batch(run, [], [], [RunTag(key, "1")]))
    for value in ("1", None, True, "nan"):
        witness.refused("value %r" % value, lambda value=value: store.log_metric(run, Metric("v", value, 1, 0)))
    for time_ms in (-1, None, "now"):
        witness.refused("time %r" % time_ms, lambda time=time_ms: store.log_metric(run, Metric("v", 1.0, time, 0)))
    witness.refused("step", lambda: store.log_metric(run, Metric("v", 1.0, 1, "x")))
    witness.refused("twice", lambda: store.log_batch(run, [], [Param("d", "1"), Param("d", "1")], []))
    many = [Metric("many", float(step), step, step) for step in range(1001)]
    witness.refused("1001 metrics", lambda: store.log_batch(run, many, [], []))
    witness.refused("101 params", lambda: store.log_batch(run, [], [Param("p%d" % n, "") for n in range(101)], []))
    witness.refused("101 tags", lambda: store.log_batch(run, [], [], [RunTag("t%d" % n, "") for n in range(101)]))
    some = [RunTag("t%d" % n, "") for n in range(50)]
    witness.refused("1001 entities", lambda: store.log_batch(run, many[:951], [], some))
    witness.refused("bad id", lambda: store.log_batch("../x", [], [], []))
    witness.refused("no run", lambda: store.log_batch("f" * 32, [], [], []))
    witness.refused("no run to measure", lambda: store.log_metric("f" * 32, Metric("m", 1.0, 1, 1)), text=False)
    witness.refused("no run to tag", lambda: store.set_tag("f" * 32, RunTag("m", "1")))
    witness.note("nothing of it", store.get_run(run))
    store.delete_tag(run, "t/a")
    witness.refused("untag twice", lambda: store.delete_tag(run, "t/a"))
    witness.note("untagged", store.get_run(run))
    store.log_batch(run, many[:1000], [], [])
    witness.note("1000 metrics", [len(store.get_metric_history(run, "many")), store.get_run(run).data.metrics["many"]])
    store.log_param(run, Param("cut", "y" * 7000))
    store.set_tag(run, RunTag("cut", "y" * 9000))
    witness.note("cut", [len(store.get_run(run).data.params["cut"]), len(store.get_run(run).data.tags["cut"])])


def metrics(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("metrics")
    run = witness.run(number, "curves")
    points = {
        "by step": [(1.0, 3, 30), (2.0, 1, 40), (3.0, 2, 50)],
        "by time": [(1.0, 0, 30), (2.0, 0, 50), (3.0, 0, 40)],
        "by value": [(1.0, 0, 30), (3.0, 0, 30), (2.0, 0, 30)],
        "twice": [(1.0, 0, 30), (1.0, 0, 30), (2.0, 1, 30), (1.0, 0, 30)],
        "odd": [(NAN, 0, 30), (INF, 1, 30), (-INF, 2, 30), (NAN, 3, 30), (NAN, 3, 30)],
        "nan": [(NAN, 0, 30), (-1.0, 0, 30), (NAN, 0, 30)],
        "nan last": [(-1.0, 0, 30), (NAN, 0, 30)],
        "negative": [(-1.0, -5, 0), (0.0, -7, 0)],
        "large": [(1e300, 2**62, NOW_MS)],
        "int": [(3, 1, 1)],
    }
    for key, values in points.items():
        for value, step, time_ms in values:
            store.log_metric(run, Metric(key, value, time_ms, step))
    batch = [Metric("batch", float(n % 7), 100 + n % 3, n % 5) for n in range(60)]
    store.log_batch(run, batch, [], [])
    witness.note("latest", store.get_run(run))
    for key in [*points, "batch", "none"]:
        witness.note("history of " + key, list(store.get_metric_history(run, key)))
        witness.note("bulk of " + key, store.get_metric_history_bulk([run, "f" * 32], key, 5))
    witness.note("history of no run", list(store.get_metric_history("f" * 32, "batch")))
    witness.note("pages", read_pages(lambda token: store.get_metric_history(run, "batch", 7, token)))
    witness.refused("bad token", lambda: store.get_metric_history(run, "batch", 7, "!"), text=False)
    other = witness.run(number, "other")
    store.log_batch(other, [Metric("batch", float(n), n, n) for n in range(500)], [], [])
    for most in (1, 2, 3, 10, 499, 500, 1000):
        for start, end in ((None, None), (0, 3), (100, 300), (7, 7), (900, 901)):
            found = store.get_metric_history_bulk_interval([run, other], "batch", most, start, end)
            witness.note("interval %d %s-%s" % (most, start, end), found)
    witness.refused("half an interval", lambda: store.get_metric_history_bulk_interval([run], "batch", 5, 1, None))
    found = store.get_metric_history_bulk_interval_from_steps(other, "batch", [3, 5, 1000], 10)
    witness.note("steps", found)


def make_runs_to_search(witness: Witness) -> list[str]:
    store = witness.store
    one, two = witness.experiment("one"), witness.experiment("two")
    for index in range(14):
        where, start = one if index % 3 else two, NOW_MS + index * 5 % 14
        run = witness.run(where, "run %d" % index, start, parity="eo"[index % 2])
        value = (NAN, 0.5, -1.0, 3.0)[index % 4]
        if index % 5:
            store.log_batch(
                run,
                [Metric("m", value, 1, 0), Metric("a/b c", float(index), 1, 0)],
                [Param("p", str(index % 3)), Param("dash-ed", "Abc%d" % index)],
                [RunTag("t/x", "v%d" % index)],
            )
        if index % 4 == 1:
            status = (RunStatus.FINISHED, RunStatus.FAILED)[index % 8 // 4]
            store.update_run_info(run, status, NOW_MS + 50 + index, None)
        if index % 6 == 5:
            store.delete_run(run)
    return [one, two]


def searched_runs(witness: Witness) -> None:
    both = make_runs_to_search(witness)
    filters = (
        "", "metrics.m > 0", "metrics.m < 0.6", "metrics.m = 0.5", "metrics.m != 0.5",
        "metric.m >= -1 and metrics.m <= 3",
        "metrics.`a/b c` > 5", "params.p = '1'", "params.p != '1'", "param.p LIKE '%1%'",
        "params.`dash-ed` ILIKE 'ABC1%'",
        "params.\"dash-ed\" LIKE 'abc%'", "tags.parity = 'e'", "tags.`t/x` LIKE 'v1_'", "tag.parity != 'e'",
        "attributes.status = 'FINISHED'", "status != 'RUNNING'", "run_name = 'run 3'",
        "attributes.run_name LIKE 'run 1%'",
        "attributes.`run name` ILIKE 'RUN 1%'", "tags.mlflow.runName = 'run 2'", "tags.`mlflow.runName` = 'run 2'",
        "start_time > %d" % (NOW_MS + 7), "attributes.start_time <= %d" % NOW_MS, "end_time > %d" % (NOW_MS + 55),
        "user_id = 'somebody'", "metrics.m > 0 AND params.p = '1' AND tags.parity = 'o'", "metrics.none > 0",
    )  # fmt: skip
    for text in filters:
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
            witness.note("%s in %d" % (text, view), witness.search(both, text, view=view))
    orders = (
        ["metrics.m"], ["metrics.m DESC"], ["params.p DESC", "metrics.m ASC"], ["tags.parity"],
        ["attributes.start_time"],
        ["start_time DESC"], ["run_name"], ["end_time DESC"], ["status", "run_name DESC"], ["metrics.`a/b c` DESC"],
        ["metrics.none"], ["tags.mlflow.runName DESC"], ["created", "metrics.m"],
    )  # fmt: skip
    for order in orders:
        witness.note("order %s" % order, witness.search(both, order_by=order))
    wrong = (
        "metrics.m", "metrics.m > 'a'", "params.p = 1", "m > 1", "metrics.m ~ 1", "nothing.x = '1'",
        "metrics.m > 1 OR 1",
        "attributes.nothing = 'x'", "params.p > '1'", "metrics.m LIKE 'x'", "dataset.nothing = 'x'", "status > 'x'",
    )  # fmt: skip
    for text in wrong:
        witness.refused("wrong " + text, lambda text=text: witness.search(both, text), text=False)
    for order in (["m"], ["metrics.m SIDEWAYS"], ["metrics.m", "metrics.m DESC"], ["attributes.nothing"]):
        witness.refused("wrong %s" % order, lambda order=order: witness.search(both, order_by=order), text=False)
    for bad in (0, -1, 50_001):
        witness.refused("%d results" % bad, lambda bad=bad: witness.search(both, max_results=bad))
    pages = read_pages(lambda token: witness.store.search_runs(both, "", ViewType.ALL, 4, ["run_name"], token))
    witness.note("pages", pages)
    witness.note("none", [witness.search([]), witness.search(["4711"]), witness.search(both[:1] * 2)])
    witness.refused("no number", lambda: witness.search(["vision"]))


def inputs(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("inputs")
    first, second = witness.run(number, "first"), witness.run(number, "second", NOW_MS + 1)
    cats = Dataset("cats", "d1", "local", '{"uri": "c"}', "{}", "p" * 1000)
    dogs = Dataset("dogs", "d2", "http", '{"url": "d"}')
    train = InputTag("mlflow.data.context", "train")
    store.log_inputs(first, [DatasetInput(cats, [train, InputTag("k", "v")]), DatasetInput(dogs)])
    store.log_inputs(first, [DatasetInput(cats, [InputTag("mlflow.data.context", "late")])])
    test = InputTag("mlflow.data.context", "test")
    store.log_inputs(second, [DatasetInput(dogs, [test]), DatasetInput(dogs, [train])])
    store.log_inputs(second, [])
    store.log_inputs(second)
    witness.note("runs", [store.get_run(run) for run in (first, second)])
    summaries = store._search_datasets([number])
    witness.note("summaries", sorted((one.name, one.digest, str(one.context)) for one in summaries))
    texts = (
        "dataset.name = 'cats'", "datasets.digest = 'd2'", "dataset.context = 'train'", "dataset.name LIKE '%s'",
        "dataset.context != 'train'", "dataset.name = 'dogs' AND dataset.context = 'test'", "dataset.digest ILIKE 'D%'",
    )  # fmt: skip
    for text in texts:
        witness.note(text, witness.search([number], text))
    bad = (
        Dataset("x" * 501, "d", "local", "s"), Dataset("x", "d" * 37, "local", "s"),
        Dataset("x", "d", "local", "s" * 65_536),
        Dataset(None, "d", "local", "s"), Dataset("x", None, "local", "s"), Dataset("x", "d", None, "s"), None,
    )  # fmt: skip
    for index, dataset in enumerate(bad):
        witness.refused("bad %d" % index, lambda dataset=dataset: store.log_inputs(first, [DatasetInput(dataset)]))
    tags = (InputTag("k" * 256, "v"), InputTag("k", "v" * 501), InputTag(None, "v"), InputTag("k", None))
    for index, tag in enumerate(tags):
        witness.refused("tag %d" % index, lambda tag=tag: store.log_inputs(first, [DatasetInput(cats, [tag])]))
    witness.refused("no run", lambda: store.log_inputs("f" * 32, [DatasetInput(cats)]))


def garbage(witness: Witness) -> None:
    store = witness.store
    number = witness.experiment("garbage")
    kept, gone, later = (witness.run(number, name) for name in ("kept", "gone", "later"))
    store.delete_run(gone)
    store.delete_run(later)
    witness.note("deleted", sorted(witness._names[run] for run in store._get_deleted_runs()))
    witness.note("for an hour", store._get_deleted_runs(older_than=3_600_000))
    store._hard_delete_run(gone)
    witness.refused("gone", lambda: store.get_run(gone))
    witness.refused("gone twice", lambda: store._hard_delete_run(gone))
    witness.note("left", sorted(witness.search([number], view=ViewType.ALL)))
    witness.refused("experiment that is active", lambda: store._hard_delete_experiment(number))
    store.delete_experiment(number)
    store._hard_delete_run(later)
    store._hard_delete_run(kept)
    store._hard_delete_experiment(number)
    witness.refused("experiment", lambda: store.get_experiment(number))
    witness.note("the name is free", store.create_experiment("garbage") is not None)


SCENARIOS = (
    experiments, deleted_experiments, searched_experiments, runs, batches, metrics, searched_runs, inputs, garbage,
)  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.__name__ for scenario in SCENARIOS])
def test_store_does_as_mlflows_sql_store(scenario: Any, tmp_path: Any) -> None:
    """Everything that the scenario saw of one store, it saw of the other."""
    compare(scenario, str(tmp_path))


def test_infinities_are_kept(tmp_path: Any) -> None:
    """Where MLflow's database puts its largest number, the infinity itself comes back."""
    from mini_mlflow.mlflow_plugin import open_store

    store = open_store(str(tmp_path / "mlruns"))
    run = store.create_run("0", "me", NOW_MS, [], "inf").info.run_id
    store.log_metric(run, Metric("m", INF, 1, 0))
    store.log_metric(run, Metric("n", NAN, 1, 0))
    assert store.get_run(run).data.metrics["m"] == INF
    assert math.isnan(store.get_run(run).data.metrics["n"])
