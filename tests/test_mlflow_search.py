"""What a search of MLflow's remembers and asks of many runs at once changes nothing of what it finds.

The judge is MLflow's own: each run as `get_run` gives it, through MLflow's SearchUtils, one after another.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

pytest.importorskip("mlflow")

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    TraceInfo,
    ViewType,
)
from mlflow.entities.trace_location import TraceLocation
from mlflow.entities.trace_state import TraceState
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils

from concurrency import in_child, run_together
from mini_mlflow.entities import RunAddress
from mini_mlflow.mlflow_plugin import open_store, remembered, run_cache, shelves, stamps
from mini_mlflow.mlflow_plugin.candidates import CANDIDATES, Candidate, Place
from mini_mlflow.mlflow_plugin.shelves import Ended, Entry
from mini_mlflow.mlflow_plugin.sieves import Sieve
from mini_mlflow.reading.found_run import FoundRun
from mini_mlflow.reading.run_view import RunView

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
NOW_MS = 1_700_000_000_000
TEXTS = ["a", "b", "A", "ab", "aB_c", "50%", "", "ä", "Ä", "s", "\u017f", "\u212a", "k\n", "x' y"]
NUMBERS = [0.0, -1.0, 0.5, 2.0, 1e300, float("inf"), float("nan")]


@pytest.fixture
def store(runs_dir: str) -> Any:
    return open_store(runs_dir)


@pytest.fixture
def all_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just now is remembered too; who changes something waits for the next tick (`next_tick`)."""
    monkeypatch.setattr(stamps, "_SETTLED_NS", -(10**12))


def next_tick(folder: str) -> None:
    """The clock of the file system has gone on."""
    path = os.path.join(folder, "..", "clock")

    def touch() -> int:
        with open(path, "w"):
            pass
        os.utime(path)
        return os.stat(path).st_ctime_ns

    begun = touch()
    while touch() == begun:
        pass
    os.unlink(path)


# -- the beginning of a filter -------------------------------------------------------------------------------------


def make_candidates(rng: random.Random, count: int) -> List[Candidate]:
    found = []
    for number in range(count):
        metadata = {
            "name": rng.choice(TEXTS),
            "user": rng.choice(TEXTS),
            "status": rng.choice(["FINISHED", "FAILED", "KILLED"]),
            "start_time": "2023-11-14T22:13:2%d.000Z" % rng.randrange(3),
            "end_time": rng.choice([None, "2023-11-14T22:13:2%d.000Z" % rng.randrange(3)]),
            "made_by": "mlflow",
        }
        params = {key: rng.choice([*TEXTS, 3, None]) for key in ("p", "run_name") if rng.random() < 0.7}
        tags = {key: rng.choice(TEXTS) for key in ("t", "start_time") if rng.random() < 0.7}
        metrics = {key: rng.choice(NUMBERS) for key in ("m", "n") if rng.random() < 0.7}
        summaries = {
            key: {"value": value, "step": 0, "timestamp": 0, "count": 1, "min": value, "max": value}
            for key, value in metrics.items()
        }
        view = RunView(metadata, params, metrics, tags, summaries)
        place = Place(False, "file:///artifacts")
        found.append(Candidate(FoundRun(RunAddress("/tree", 0, "run-%02d" % number), None, view), place))
    return found


def make_clause(rng: random.Random) -> str:
    text = rng.choice(
        ["a", "b", "AB", "a%", "%b", "A_%c", "%", "", "ä", "%Ä%", "s", "\u017f", "k", "_", "50\\%", "FINISHED"]
    )
    number = rng.choice(["0", "0.5", "-1", "2", "1e300"])
    metric = "metrics.%s %s %s" % (rng.choice(["m", "n", "o"]), rng.choice([">", ">=", "=", "!=", "<", "<="]), number)
    kind = rng.choice(["params.p", "params.`run name`", "tags.t", "tags.created", "params.q"])
    name = rng.choice(["run_name", "`run name`", "user_id", "status", "artifact_uri", "run_id"])
    time = "attributes.%s %s %d" % (
        rng.choice(["start_time", "created", "end_time"]),
        rng.choice([">", "=", "!=", "<="]),
        NOW_MS + rng.randrange(3) * 1000,
    )
    equal = rng.choice(["=", "!=", "LIKE", "ILIKE", "like", "ilike"])
    among = "attributes.run_id %s ('run-01', 'run-07', 'run-23')" % rng.choice(["IN", "NOT IN"])
    # The last are refused, as soon as SearchUtils asks a run.
    refused = ["params.p > 'a'", "metrics.m LIKE 0.5", "attributes.start_time LIKE 5", "datasets.name = 'd'"]
    common = [metric, "%s %s '%s'" % (kind, equal, text), "attributes.%s %s '%s'" % (name, equal, text), time, among]
    return rng.choice(common * 4 + refused)


def outcome(call: Callable[[], List[Any]]) -> Any:
    try:
        return [run.info.run_id for run in call()]
    except MlflowException as error:
        # The comparators that it names come in any order.
        return error.error_code


def test_sieve_stops_nobody_whom_mlflow_lets_pass_and_hides_no_refusal() -> None:
    rng = random.Random(5)
    candidates = make_candidates(rng, 60)
    ended = Ended([Entry(one.info.run_id, (0, 0, 0, 0), one, 1) for one in candidates], CANDIDATES)
    assert ended.items == SearchUtils.sort(candidates, None)
    stopped = exact = refused = 0
    for _ in range(800):
        text = " AND ".join(make_clause(rng) for _ in range(rng.randrange(1, 4)))
        try:
            parsed = SearchUtils.parse_search_filter(text)
        except MlflowException:
            continue
        wanted = outcome(lambda: SearchUtils.filter(ended.items, text))  # noqa: B023
        picked = Sieve(parsed).pick(ended)
        assert outcome(lambda: SearchUtils.filter(picked, text)) == wanted, text  # noqa: B023
        stopped += len(picked) < len(candidates)
        exact += [run.info.run_id for run in picked] == wanted
        refused += isinstance(wanted, str)
    # The comparison means something: most filters are sifted, most of them wholly, and some are refused.
    assert (stopped > 400, exact > 300, refused > 20) == (True, True, True), (stopped, exact, refused)


# -- what is found, while runs change ------------------------------------------------------------------------------


class Tree:
    """A tree that changes through a store of its own, as it would from another process."""

    def __init__(self, root: str, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        self.store = open_store(root)
        self.experiments = ["0", self.store.create_experiment("other", None, [])]
        self.run_ids: List[str] = []
        self._serial = itertools.count()

    def text(self) -> str:
        return self.rng.choice(["a", "b", "c"])

    def create(self) -> str:
        number = next(self._serial)
        start = NOW_MS + self.rng.randrange(4) * 1000
        run: Any = self.store.create_run(self.rng.choice(self.experiments), "me", start, [], "run-%d" % number)
        run_id: str = run.info.run_id
        self.run_ids.append(run_id)
        self.store.log_batch(
            run_id,
            [Metric("m", self.rng.choice(NUMBERS[:4]), NOW_MS, 0)],
            [Param("p", self.text())],
            [RunTag("t", self.text())],
        )
        if self.rng.random() < 0.3:
            dataset = Dataset("d", "1", "local", "x")
            self.store.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", self.text())])])
        if self.rng.random() < 0.8:
            self.store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS + 5000, None)
        return run_id

    def change(self) -> None:
        """One thing of one run, or of an experiment, is another one."""
        run_id, store = self.rng.choice(self.run_ids), self.store
        changes: List[Callable[[], Any]] = [
            lambda: store.set_tag(run_id, RunTag("t", self.text())),
            lambda: store.set_tag(run_id, RunTag("t", self.text())),
            lambda: store.log_metric(run_id, Metric("m", self.rng.choice(NUMBERS[:4]), NOW_MS, next(self._serial))),
            lambda: store.update_run_info(run_id, None, None, "renamed-%s" % self.text()),
            lambda: store.update_run_info(run_id, RunStatus.RUNNING, None, None),
            lambda: store.update_run_info(run_id, RunStatus.FAILED, NOW_MS + self.rng.randrange(9), None),
            lambda: store.delete_run(run_id),
            lambda: store.restore_run(run_id),
            lambda: store.delete_experiment(self.experiments[1]),
            lambda: store.restore_experiment(self.experiments[1]),
            self.create,
        ]
        try:
            self.rng.choice(changes)()
        except MlflowException:
            # What cannot be done to a run that is deleted, or is not, or that has ended.
            pass


def search(store: Any, text: str = "", view: int = ViewType.ACTIVE_ONLY, order: Optional[List[str]] = None) -> Any:
    """The runs of experiment 0."""
    return store.search_runs(["0"], text, view, 1000, order)


def judge(tree: Tree, experiments: List[str], text: str, view: int, order: Optional[List[str]]) -> List[Any]:
    """What is to be found, as MLflow's entities, by MLflow's own means alone."""
    runs = [tree.store.get_run(run_id) for run_id in tree.run_ids]
    stages = {ViewType.ACTIVE_ONLY: ["active"], ViewType.DELETED_ONLY: ["deleted"], ViewType.ALL: ["active", "deleted"]}
    runs = [run for run in runs if run.info.experiment_id in experiments and run.info.lifecycle_stage in stages[view]]
    return [run.to_dictionary() for run in SearchUtils.sort(SearchUtils.filter(runs, text), order)]


FILTERS = (
    "",
    "params.p = 'a'",
    "params.p != 'a' AND tags.t = 'b'",
    "metrics.m >= 0.5 AND attributes.status = 'FINISHED'",
    "attributes.run_name LIKE 'renamed%'",
    "attributes.end_time > %d" % (NOW_MS + 4),
    "datasets.name = 'd' AND tags.t != 'c'",
    "tags.t ILIKE '%A' AND attributes.artifact_uri LIKE '%trash%'",
)
ORDERS = (None, ["metrics.m DESC"], ["tags.t ASC", "params.p DESC"], ["attributes.end_time ASC"])


@pytest.mark.usefixtures("all_settled")
@pytest.mark.parametrize("seed", range(3))
def test_runs_are_found_as_mlflow_finds_them_while_they_change(store: Any, runs_dir: str, seed: int) -> None:
    rng = random.Random(seed)
    tree = Tree(runs_dir, rng)
    for _ in range(12):
        tree.create()
    for step in range(40):
        next_tick(runs_dir)
        tree.change()
        text, order = rng.choice(FILTERS), rng.choice(ORDERS)
        view = rng.choice([ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
        wanted = judge(tree, tree.experiments, text, view, order)
        found: List[Any] = []
        token = None
        while True:
            page = store.search_runs(tree.experiments, text, view, 5, order, token)
            found += [run.to_dictionary() for run in page]
            token = page.token
            if not token:
                break
        # Texts, as NaN is not equal to itself.
        assert [str(run) for run in found] == [str(run) for run in wanted], (step, text, view, order)
    assert store.cache.size > 0


@pytest.mark.usefixtures("all_settled")
def test_runs_that_another_process_changes_are_found_changed(store: Any, runs_dir: str) -> None:
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    other = store.create_run("0", "me", NOW_MS, [], "other").info.run_id
    for one in (run_id, other):
        store.update_run_info(one, RunStatus.FINISHED, NOW_MS, None)

    def find(text: str = "", view: int = ViewType.ACTIVE_ONLY) -> Any:
        runs = search(store, text, view)
        return [(run.info.run_name, run.info.status, run.data.tags.get("t")) for run in runs]

    def do(work: Callable[[Any], Any]) -> None:
        next_tick(runs_dir)

        def work_there() -> None:
            work(open_store(runs_dir))

        assert in_child(work_there) == 0

    def others() -> Any:
        return [one for one in find() if one[0] != "other"]

    assert others() == others() == [("run", "FINISHED", None)]
    do(lambda there: there.set_tag(run_id, RunTag("t", "1")))
    assert others() == [("run", "FINISHED", "1")] == find("tags.t = '1'")
    do(lambda there: there.update_run_info(run_id, None, None, "renamed"))
    assert others() == [("renamed", "FINISHED", "1")] == find("attributes.run_name = 'renamed'")
    do(lambda there: there.update_run_info(run_id, RunStatus.RUNNING, None, None))
    assert others() == [("renamed", "RUNNING", "1")]
    do(lambda there: there.update_run_info(run_id, RunStatus.KILLED, NOW_MS + 1, None))
    assert others() == [("renamed", "KILLED", "1")] == find("attributes.status = 'KILLED'")
    do(lambda there: there.delete_run(run_id))
    assert others() == []
    assert find("", ViewType.DELETED_ONLY) == [("renamed", "KILLED", "1")]
    do(lambda there: there.restore_run(run_id))
    assert others() == [("renamed", "KILLED", "1")]
    assert find("", ViewType.DELETED_ONLY) == []

    def add(there: Any) -> None:
        added = there.create_run("0", "me", NOW_MS + 1, [], "new").info.run_id
        there.update_run_info(added, RunStatus.FINISHED, NOW_MS + 2, None)

    do(add)
    assert [one[0] for one in others()] == ["new", "renamed"]


def test_run_that_is_met_at_both_places_is_found_once(store: Any, runs_dir: str) -> None:
    """As one that is deleted or restored between the looks at its experiment and at the trash."""
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    gone = store.create_run("0", "me", NOW_MS, [], "gone").info.run_id
    store.update_run_info(gone, RunStatus.FINISHED, NOW_MS, None)
    store.delete_run(gone)
    copy = os.path.join(runs_dir, ".trash", "0", run_id)
    shutil.copytree(os.path.join(runs_dir, "0", run_id), copy)
    found = [(run.info.run_name, run.info.lifecycle_stage) for run in search(store, "", ViewType.ALL)]
    assert sorted(found) == [("gone", "deleted"), ("run", "active")]
    shutil.rmtree(copy)


@pytest.mark.usefixtures("all_settled")
def test_run_that_has_become_a_link_is_not_followed(store: Any, runs_dir: str, tmp_path: Path) -> None:
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    assert len(search(store)) == 1
    folder, aside = os.path.join(runs_dir, "0", run_id), str(tmp_path / "aside")
    next_tick(runs_dir)
    os.rename(folder, aside)
    os.symlink(aside, folder)
    for _ in range(2):
        with pytest.warns(Warning, match="skipped a run"):
            assert len(search(store)) == 0
    os.unlink(folder)
    os.rename(aside, folder)


class _ClockThatStands:
    """``os``, on a file system on which all snapshots, and all folders, look the same and as old as this object."""

    def __init__(self, time_ns: int) -> None:
        self._same = SimpleNamespace(st_ino=1, st_size=1, st_mtime_ns=time_ns, st_ctime_ns=time_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def lstat(self, path: str, dir_fd: Optional[int] = None) -> Any:
        os.lstat(path, dir_fd=dir_fd)
        return self._same

    def fstat(self, descriptor: int) -> Any:
        return self._same


@pytest.mark.parametrize("is_young", [True, False], ids=["young", "settled"])
def test_what_is_young_is_not_remembered(store: Any, monkeypatch: pytest.MonkeyPatch, is_young: bool) -> None:
    """Its successor may look the same to stat(2): within one tick of the clock, or if that is set back a little.

    If it had settled, its successor would not: what is remembered then in spite of it shows that the test can fail.
    """
    now = stamps.time.time_ns()
    clock = _ClockThatStands(now - 2_000_000_000 if is_young else now - 4_000_000_000)
    monkeypatch.setattr(stamps, "os", clock)
    monkeypatch.setattr(shelves, "os", clock)
    # No second is lost to a slow machine.
    monkeypatch.setattr(stamps, "time", SimpleNamespace(time_ns=lambda: now))
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)

    def find() -> Any:
        return [(run.info.status, run.data.tags.get("t")) for run in search(store)]

    assert find() == find() == [("FINISHED", None)]
    assert (store.cache.size == 0) == is_young
    store.set_tag(run_id, RunTag("t", "1"))
    store.create_run("0", "me", NOW_MS - 1, [], "second")
    found = find()
    assert found == ([("FINISHED", "1"), ("RUNNING", None)] if is_young else [("FINISHED", None)])


def test_nothing_is_remembered_where_other_hosts_write_too(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(stamps, "is_network_file_system", lambda path: True)
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    assert [len(search(store)) for _ in range(2)] == [1, 1]
    assert store.cache.size == 0


# -- what is remembered --------------------------------------------------------------------------------------------


class _Calls:
    """How often `shelves` has read a snapshot, and listed a folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._counts: Dict[str, int] = {}
        for name in ("read_file", "iter_folders"):
            monkeypatch.setattr(shelves, name, self._counting(name, getattr(shelves, name)))

    def _counting(self, name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self._counts[name] = self._counts.get(name, 0) + 1
            return function(*arguments)

        return call

    def take(self) -> Tuple[int, int]:
        """Of each, since the last time."""
        counts, self._counts = self._counts, {}
        return counts.get("read_file", 0), counts.get("iter_folders", 0)


@pytest.mark.usefixtures("all_settled")
def test_only_what_has_changed_is_read_again(store: Any, runs_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [store.create_run("0", "me", NOW_MS + number, [], "run").info.run_id for number in range(5)]
    for run_id in runs:
        store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    calls = _Calls(monkeypatch)
    search(store)
    assert calls.take() == (5, 1)
    search(store, "tags.t = '1'", order=["metrics.m"])
    assert calls.take() == (0, 0)
    next_tick(runs_dir)
    store.set_tag(runs[2], RunTag("t", "1"))
    assert [run.info.run_id for run in search(store, "tags.t = '1'")] == [runs[2]]
    assert calls.take() == (1, 0)
    next_tick(runs_dir)
    store.delete_run(runs[3])
    assert [run.info.run_id for run in search(store)] == [runs[4], runs[2], runs[1], runs[0]]
    assert calls.take() == (0, 1)


@pytest.mark.usefixtures("all_settled")
def test_memory_is_bounded_and_what_does_not_fit_is_found_too(
    store: Any, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        run_id = store.create_run("0", "me", NOW_MS + number, [], "run-%d" % number).info.run_id
        store.log_param(run_id, Param("p", str(number % 2)))
        store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    size = os.path.getsize(os.path.join(runs_dir, "0", run_id, "snapshot.json"))
    monkeypatch.setattr(run_cache, "_LIMIT_BYTES", size * 4 + size // 2)
    for _ in range(2):
        assert [run.info.run_name for run in search(store)] == ["run-%d" % n for n in range(8, -1, -1)]
        odd = [run.info.run_name for run in search(store, "params.p = '1'")]
        assert odd == ["run-7", "run-5", "run-3", "run-1"]
        assert 3 * size < store.cache.size <= size * 4 + size // 2
    store.delete_run(run_id)
    search(store, "", ViewType.ALL)
    assert store.cache.size <= size * 4 + size // 2


@pytest.mark.usefixtures("all_settled")
def test_columns_of_few_keys_are_kept(store: Any) -> None:
    run_id = store.create_run("0", "me", NOW_MS, [], "run").info.run_id
    store.log_batch(run_id, [], [Param("p%d" % number, str(number)) for number in range(20)], [])
    store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)
    for number in range(20):
        assert len(search(store, "params.p%d = '%d'" % (number, number))) == 1
    ended = store.cache.look(0, place=Place(False, store.get_experiment("0").artifact_location)).ended
    assert len(ended.items) == 1
    assert 0 < len(ended._columns) <= shelves._COLUMNS_AT_MOST


@pytest.mark.usefixtures("all_settled")
def test_threads_that_search_at_once_find_what_stands(store: Any, runs_dir: str) -> None:
    runs = [store.create_run("0", "me", NOW_MS + number, [], "run").info.run_id for number in range(6)]
    for run_id in runs:
        store.update_run_info(run_id, RunStatus.FINISHED, NOW_MS, None)

    def change() -> None:
        for number in range(10):
            next_tick(runs_dir)
            store.set_tag(runs[number % 6], RunTag("t", str(number)))

    def look() -> None:
        for _ in range(30):
            assert [run.info.run_id for run in search(store)] == runs[::-1]

    run_together(change, look, look)
    tags = [run.data.tags.get("t") for run in search(store)]
    assert tags == ["5", "4", "9", "8", "7", "6"]


# -- traces and logged models --------------------------------------------------------------------------------------


def make_trace(store: Any, number: int) -> str:
    info = TraceInfo(
        trace_id="tr-%d" % number,
        trace_location=TraceLocation.from_experiment_id("0"),
        request_time=NOW_MS + number,
        state=TraceState.OK,
        execution_duration=number % 3,
        trace_metadata={"k": str(number % 2)},
        tags={"t": "0"},
    )
    trace_id: str = store.start_trace(info).trace_id
    return trace_id


@pytest.mark.usefixtures("all_settled")
def test_traces_are_remembered_and_found_as_they_are_now(
    store: Any, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_store(runs_dir)
    for number in range(4):
        make_trace(other, number)

    def find(text: Optional[str] = None, order: Optional[List[str]] = None) -> List[str]:
        return [info.trace_id for info in store.search_traces(["0"], text, order_by=order)[0]]

    calls = _Calls(monkeypatch)
    assert find() == ["tr-3", "tr-2", "tr-1", "tr-0"]
    assert calls.take() == (4, 1)
    assert find("metadata.k = '1'", ["execution_time DESC"]) == ["tr-1", "tr-3"]
    assert find("trace.end_time_ms > %d" % (NOW_MS + 2)) == ["tr-3", "tr-2"]
    assert calls.take() == (0, 0)
    # What one caller does to what he got is nobody else's.
    store.search_traces(["0"])[0][0].tags["t"] = "mine"
    assert find("tag.t = 'mine'") == []
    next_tick(runs_dir)
    other.set_trace_tag("tr-2", "t", "1")
    assert find("tag.t = '1'") == ["tr-2"]
    assert calls.take()[0] <= 1
    next_tick(runs_dir)
    other.delete_traces("0", trace_ids=["tr-2"])
    make_trace(other, 7)
    assert find() == ["tr-7", "tr-3", "tr-1", "tr-0"]
    assert [info.to_dict() for info in store.search_traces(["0"])[0]] == [
        other.get_trace_info(trace_id).to_dict() for trace_id in find()
    ]


@pytest.mark.usefixtures("all_settled")
def test_logged_models_are_remembered_and_found_as_they_are_now(
    store: Any, runs_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_store(runs_dir)
    ids = []
    for number in range(4):
        tags, params = [LoggedModelTag("t", "0")], [LoggedModelParameter("p", str(number % 2))]
        model = other.create_logged_model("0", "model-%d" % number, None, tags, params, "kind")
        ids.append(other.finalize_logged_model(model.model_id, LoggedModelStatus.READY).model_id)

    def find(text: Optional[str] = None) -> List[str]:
        return sorted(model.name for model in store.search_logged_models(["0"], text))

    calls = _Calls(monkeypatch)
    assert find() == ["model-0", "model-1", "model-2", "model-3"]
    assert calls.take() == (4, 1)
    assert find("params.p = '1'") == ["model-1", "model-3"]
    assert calls.take() == (0, 0)
    store.search_logged_models(["0"])[0].tags["t"] = "mine"
    assert find("tags.t = 'mine'") == []
    next_tick(runs_dir)
    other.set_logged_model_tags(ids[2], [LoggedModelTag("t", "1")])
    assert find("tags.t = '1'") == ["model-2"]
    next_tick(runs_dir)
    other.delete_logged_model(ids[3])
    assert find() == ["model-0", "model-1", "model-2"]
    for number in range(30):
        assert find("params.p%d = '1'" % number) == []
    assert all(0 < len(one._values) <= remembered._NAMES_AT_MOST for one in store.model_cache.look(0).ended.items)
    order = [{"field_name": "name"}]
    found = store.search_logged_models(["0"], order_by=order)
    wanted = [other.get_logged_model(one).to_dictionary() for one in ids[:3]]
    assert [model.to_dictionary() for model in found] == wanted
