"""Searching a tree: every run as `get_run` has it, one small file for an ended one, and nothing parsed in vain."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Dict, List

import pytest

from concurrency import run_python
from mini_mlflow import (
    AmbiguousRunError,
    DamagedFileWarning,
    ExperimentTracker,
    InvalidFilterError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    Run,
    RunNotFoundError,
    search_runs,
    set_runs_dir,
)
from mini_mlflow.disk import regular
from mini_mlflow.entities import RunAddress
from mini_mlflow.reading.addresses import find_run
from mini_mlflow.reading.ranking import Ranking
from mini_mlflow.reading.search import iter_runs

SUMMARY = ("value", "step", "timestamp", "count", "min", "max")


def fill(run: Run, n: int) -> None:
    run.log_params({"lr": 10.0**-n, "n": n, "opt": "adam" if n % 2 else "sgd", "odd": [math.inf, {"a": "NaN"}]})
    run.set_tags({"stage": "s%d" % n, "score": -math.inf})
    for step in range(4):
        run.log_metrics({"loss": n + 1.0 / (step + 1), "once": math.nan} if step == 3 else {"loss": 9.0 - n}, step=step)


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    """Experiment 0 with the ended runs r0 to r3 (r2 FAILED) and the open run "live"; experiment 5 with "other"."""
    for n in range(4):
        run = Run("r%d" % n, name="even" if n % 2 == 0 else "odd", version="v%d" % n, runs_dir=runs_dir)
        fill(run, n)
        run.end("FAILED" if n == 2 else "FINISHED")
    fill(Run("live", name="open", runs_dir=runs_dir), 4)
    with Run("other", experiment_id=5, runs_dir=runs_dir) as run:
        fill(run, 7)
    return ExperimentTracker(runs_dir=runs_dir)


def ids(found: Any) -> List[str]:
    return [run.run_id for run in found]


def folder_of(tracker: ExperimentTracker, run_id: str) -> Path:
    return Path(tracker.runs_dir, "0", run_id)


def without_end(metadata: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in ("end_time", "status", "commit")}


# -- what is found -------------------------------------------------------------------------------------------------


def test_search_without_a_question_finds_all_as_a_listing_has_them(tracker: ExperimentTracker) -> None:
    found = tracker.search_runs()
    assert ids(found) == tracker.list_runs() == ["live", "r3", "r2", "r1", "r0"]


@pytest.mark.damaged_tree
def test_found_run_is_what_get_run_says(tracker: ExperimentTracker) -> None:
    """Ended, open, and ended with its snapshot gone or written by another program: the same through both."""
    os.remove(str(folder_of(tracker, "r0") / "snapshot.json"))
    snapshot = folder_of(tracker, "r1") / "snapshot.json"
    snapshot.write_text(json.dumps(json.loads(snapshot.read_text()), indent=1))
    assert len(tracker.search_runs()) == 5
    for run in tracker.search_runs():
        read = tracker.get_run(run.run_id)
        assert repr((run.metadata, run.params, run.tags)) == repr((read["metadata"], read["params"], read["tags"]))
        assert repr(run.metrics) == repr(read["metrics"])
        for name in ("name", "version", "status", "start_time", "end_time", "parent_run_id", "experiment_id"):
            assert getattr(run, name) == read["metadata"][name]
        assert run.params["odd"] == [math.inf, {"a": "NaN"}]
        assert run.run_id in repr(run)


def test_summary_of_an_open_run_is_that_of_its_end(tracker: ExperimentTracker) -> None:
    """Whether a point stands in the log, a document or a snapshot; NaN is neither the smallest nor the largest."""

    def summaries() -> str:
        (run,) = tracker.search_runs("run_id = 'live'")
        assert run.metric_summary("gone") is None
        return repr([run.metric_summary(key) for key in ("loss", "once")])

    run = Run("live", runs_dir=tracker.runs_dir)
    run.log_metric("loss", math.nan, step=-3)
    in_log = summaries()
    run.flush()
    in_documents = summaries()
    run.end()
    assert summaries() == in_documents == in_log
    loss = tracker.search_runs("run_id = 'live'")[0].metric_summary("loss")
    assert loss is not None
    assert list(loss) == list(SUMMARY)
    assert (loss["count"], loss["step"], loss["min"], loss["max"]) == (5, -3, 4.25, 5.0)


def test_found_run_stays_as_it_was_found(tracker: ExperimentTracker) -> None:
    """What happens to the run later does not show, also in what was not looked at before; and it pickles."""
    (run,) = tracker.search_runs("run_id = 'r1'")
    with tracker.start_run(run_id="r1") as resumed:
        resumed.log_param("lr", 77)
        resumed.log_metric("loss", 77)
    shutil.rmtree(str(folder_of(tracker, "r1")))
    again = pickle.loads(pickle.dumps(run))
    for one in (run, again):
        assert (one.params["lr"], one.metrics["loss"], one.status) == (0.1, 1.25, "FINISHED")


def test_crashed_run_is_found_as_crashed(runs_dir: str) -> None:
    """By its status as a reader sees it, which stands in no file."""
    code = "import os, sys, mini_mlflow as m; m.Run('r', runs_dir=sys.argv[1]).log_metric('loss', 1); os._exit(9)"
    run_python(code, runs_dir, check=False)
    tracker = ExperimentTracker(runs_dir=runs_dir)
    (run,) = tracker.search_runs("status = 'CRASHED' AND metrics.loss = 1")
    assert (run.status, run.metrics) == ("CRASHED", {"loss": 1.0})
    assert tracker.search_runs("status = 'RUNNING'") == []
    Run("r", runs_dir=runs_dir).end()


def test_filter_order_and_limit(tracker: ExperimentTracker) -> None:
    assert ids(tracker.search_runs("params.lr < 0.5 AND metrics.loss <= 3.25")) == ["r3", "r2", "r1"]
    assert ids(tracker.search_runs("params.opt = 'sgd'", "metrics.loss")) == ["r0", "r2", "live"]
    assert ids(tracker.search_runs("", ["name DESC", "metrics.loss DESC"], 3)) == ["live", "r3", "r1"]
    assert ids(tracker.search_runs("status = 'FAILED' OR status = 'RUNNING'")) == ["live", "r2"]
    assert ids(tracker.search_runs(order_by=["metrics.gone"], max_results=None)) == tracker.list_runs()
    assert tracker.search_runs(max_results=0) == []
    assert tracker.search_runs("metrics.gone > 0") == []


def test_arguments_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    tracker = ExperimentTracker(runs_dir=tmp_path / "nowhere")
    for options in (
        {"max_results": -1},
        {"experiment_ids": [-1]},
        {"experiment_ids": "x"},
        {"experiment_names": ["x"]},
    ):
        with pytest.raises(InvalidValueError):
            tracker.search_runs(**options)  # type: ignore[arg-type]
    for options in ({"max_results": 1.5}, {"experiment_ids": 1.5}, {"filter_string": 3}, {"experiment_names": [3]}):
        with pytest.raises(InvalidTypeError):
            tracker.search_runs(**options)  # type: ignore[arg-type]
    with pytest.raises(InvalidFilterError, match=r"\n  metrics.loss <\n +\^"):
        tracker.search_runs("metrics.loss <")
    with pytest.raises(InvalidFilterError):
        tracker.search_runs(order_by=["metrics.loss SIDEWAYS"])
    with pytest.raises(InvalidValueError, match="not several"):
        tracker.search_runs(experiment_ids=[0], search_all_experiments=True)
    assert tracker.search_runs("status = 'x'") == tracker.search_runs(search_all_experiments=True) == []
    assert not (tmp_path / "nowhere").exists()


def test_where_is_searched(tracker: ExperimentTracker) -> None:
    """In the tracker's own experiment, or those that are named by id or name, or all; each once."""
    assert ids(ExperimentTracker(experiment_id=5, runs_dir=tracker.runs_dir).search_runs()) == ["other"]
    for chosen in (5, "5", [5], ["5", 5]):
        assert ids(tracker.search_runs(experiment_ids=chosen)) == ["other"]
    assert ids(tracker.search_runs(experiment_ids=[5, 0, 9])) == ["other", "live", "r3", "r2", "r1", "r0"]
    assert ids(tracker.search_runs(search_all_experiments=True, max_results=1)) == ["other"]
    assert ids(tracker.search_runs("experiment_id = 5", search_all_experiments=True)) == ["other"]
    assert ids(tracker.search_runs(experiment_names="Default", max_results=2)) == ["live", "r3"]
    Path(tracker.runs_dir, "5", "experiment.yaml").write_text("name: vision\nexperiment_id: 5\nformat: 1\n")
    assert ids(tracker.search_runs(experiment_names=["vision"])) == ["other"]
    with pytest.raises(InvalidValueError, match=r"no experiment 'visoin'; the tree has 'Default', 'vision'"):
        tracker.search_runs(experiment_names=["visoin"])
    assert sorted(ids(iter_runs(tracker.runs_dir))) == ["live", "other", "r0", "r1", "r2", "r3"]


def test_function_searches_where_runs_are_started(tracker: ExperimentTracker) -> None:
    set_runs_dir(tracker.runs_dir)
    assert ids(search_runs("metrics.loss < 2", ["metrics.loss"])) == ["r0", "r1"]
    assert ids(search_runs(experiment_ids=[5])) == ["other"]


def test_best_run_has_the_largest_or_smallest_last_value(tracker: ExperimentTracker) -> None:
    def best(*arguments: Any, **options: Any) -> Any:
        run = tracker.best_run(*arguments, **options)
        return None if run is None else run.run_id

    assert (best("loss"), best("loss", "min"), best("loss", mode="max", experiment_ids=5)) == ("live", "r0", "other")
    assert best("loss", filter_string="status = 'FINISHED'") == "r3"
    assert best("loss", search_all_experiments=True) == "other"
    # All are NaN, and none has it.
    assert (best("once"), best("once", "min"), best("gone")) == (None, None, None)
    with Run("nan", runs_dir=tracker.runs_dir) as run:
        run.log_metric("loss", math.nan)
    with Run("twin", runs_dir=tracker.runs_dir) as run:
        run.log_metric("loss", 0.25)
    with Run("newer", runs_dir=tracker.runs_dir) as run:
        run.log_metrics({"loss": 0.25, "once": math.inf})
    assert (best("loss"), best("loss", "min"), best("once")) == ("live", "newer", "newer")
    with pytest.raises(InvalidValueError, match="mode must be 'max' or 'min'"):
        tracker.best_run("loss", "most")
    with pytest.raises(InvalidTypeError, match="metric must be a str"):
        tracker.best_run(3)  # type: ignore[arg-type]


# -- how it is read ------------------------------------------------------------------------------------------------


class CountingOs:
    """Stands in for ``os`` in the module that reads files, and counts what it opens."""

    def __init__(self) -> None:
        self.opened: List[str] = []

    def __getattr__(self, name: str) -> Any:
        if name != "open":
            return getattr(os, name)

        def opened(path: str, *arguments: Any, **options: Any) -> int:
            self.opened.append(path)
            return os.open(path, *arguments, **options)

        return opened


def test_ended_run_is_one_file_opened_once(tracker: ExperimentTracker, monkeypatch: Any) -> None:
    """Whatever is asked; and what it was found to be is read without the disk."""
    Run("live", runs_dir=tracker.runs_dir).end()
    counting = CountingOs()
    monkeypatch.setattr(regular, "os", counting)
    found = tracker.search_runs("metrics.loss < 99 AND params.lr < 99", ["tags.stage", "metrics.once"])
    # And one for the experiment, which may be deleted.
    opened = [str(Path(tracker.runs_dir, "0", "experiment.yaml"))]
    opened += [str(folder_of(tracker, run_id) / "snapshot.json") for run_id in ("live", "r0", "r1", "r2", "r3")]
    assert sorted(counting.opened) == sorted(opened)
    del counting.opened[:]
    assert len([(run.to_dict(), run.metadata, run.metric_summary("loss")) for run in found]) == 5
    assert counting.opened == []


@pytest.mark.damaged_tree
def test_part_that_is_not_asked_for_is_not_parsed(tracker: ExperimentTracker) -> None:
    """A snapshot whose params are damaged is good enough for a search that looks at metrics; then documents tell."""
    snapshot = folder_of(tracker, "r1") / "snapshot.json"
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"lr": ', b'"lr": x'))
    (run,) = tracker.search_runs("metrics.loss < 2 AND tags.stage = 's1'", "metrics.loss")
    assert (run.run_id, run.metrics["loss"]) == ("r1", 1.25)
    with pytest.warns(DamagedFileWarning, match=r"r1.snapshot\.json"):
        assert run.params["lr"] == 0.1
    with pytest.warns(DamagedFileWarning, match=r"r1.snapshot\.json"):
        assert ids(tracker.search_runs("params.lr = 0.1")) == ["r1"]
    (run,) = tracker.search_runs("run_id = 'r1'")
    shutil.rmtree(str(folder_of(tracker, "r1")))
    with pytest.warns(DamagedFileWarning):
        assert run.params == {}


@pytest.mark.damaged_tree
@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 40, b'{"format": 9,\n', b"not JSON"])
def test_damaged_run_hides_no_other(tracker: ExperimentTracker, damage: bytes) -> None:
    """Without a snapshot that reads, the documents tell; without these, the run is named and passed over."""
    (folder_of(tracker, "r1") / "snapshot.json").write_bytes(damage)
    with pytest.warns(DamagedFileWarning, match=r"r1.snapshot\.json"):
        assert ids(tracker.search_runs("metrics.loss < 2")) == ["r1", "r0"]
    (folder_of(tracker, "r1") / "meta.yaml").write_bytes(b"[")
    with pytest.warns(DamagedFileWarning) as told:
        assert ids(tracker.search_runs("metrics.loss < 2")) == ["r0"]
    assert ["snapshot.json" in str(told[0].message), "meta.yaml" in str(told[1].message)] == [True, True]


@pytest.mark.damaged_tree
def test_damaged_metadata_of_a_snapshot_are_read_from_elsewhere(tracker: ExperimentTracker) -> None:
    snapshot = folder_of(tracker, "r1") / "snapshot.json"
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"name": "odd"', b'"name": odd'))
    with pytest.warns(DamagedFileWarning, match=r"r1.snapshot\.json"):
        assert ids(tracker.search_runs("name = 'odd'")) == ["r3", "r1"]
    Path(tracker.runs_dir, "0", "experiment.yaml").write_bytes(b"[")
    with pytest.warns(DamagedFileWarning, match=r"experiment\.yaml"), pytest.raises(InvalidValueError):
        tracker.search_runs(experiment_names="vision")


@pytest.mark.damaged_tree
def test_what_is_no_run_or_a_link_is_not_found(tracker: ExperimentTracker, tmp_path: Path) -> None:
    (Path(tracker.runs_dir) / "notes").mkdir()
    (Path(tracker.runs_dir) / "007").mkdir()
    (Path(tracker.runs_dir) / "9").symlink_to(Path(tracker.runs_dir, "5"), target_is_directory=True)
    folder_of(tracker, "empty").mkdir()
    folder_of(tracker, "a:b").mkdir()
    (folder_of(tracker, "notes.txt")).write_text("x")
    with pytest.warns(DamagedFileWarning, match="9 is a symbolic link"):
        assert len(tracker.search_runs(search_all_experiments=True)) == 6
    linked = tmp_path / "linked"
    linked.symlink_to(tracker.runs_dir, target_is_directory=True)
    with pytest.warns(DamagedFileWarning, match="9 is a symbolic link"):
        assert len(ExperimentTracker(runs_dir=linked).search_runs(search_all_experiments=True)) == 6


def test_memory_does_not_grow_with_the_runs_that_are_looked_at(
    tracker: ExperimentTracker, folder: str, monkeypatch: Any
) -> None:
    """A search for the first few of five times as many runs takes a name more for each: a run takes some thousands."""
    monkeypatch.setattr(Ranking, "CUT_AT", 40)
    data = (folder_of(tracker, "r1") / "snapshot.json").read_bytes()
    peaks = []
    for runs in (150, 750):
        root = os.path.join(folder, str(runs))
        for n in range(runs):
            os.makedirs(os.path.join(root, "0", "run-%d" % n))
            with open(os.path.join(root, "0", "run-%d" % n, "snapshot.json"), "wb") as file:
                file.write(data)
        tracemalloc.start()
        try:
            assert len(ExperimentTracker(runs_dir=root).search_runs("metrics.loss < 9", "params.lr", 5)) == 5
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 200 * (750 - 150)


# -- a run by its id -----------------------------------------------------------------------------------------------


@pytest.mark.leaves("empty-run")
def test_run_is_found_by_the_beginning_of_its_id(runs_dir: str) -> None:
    """In any experiment, if only one id begins so; a whole id is that run, though another's begins with it."""
    for experiment_id, run_id in [(0, "abc"), (0, "abcd"), (3, "abx"), (3, "zed"), (4, "zed")]:
        Run(run_id, experiment_id=experiment_id, runs_dir=runs_dir).end()
    os.mkdir(os.path.join(runs_dir, "0", "no-run"))
    assert find_run(runs_dir, "abc") == RunAddress(runs_dir, 0, "abc")
    assert find_run(runs_dir, "abx") == find_run(runs_dir, "ab", [3]) == (runs_dir, 3, "abx")
    assert find_run(runs_dir, "3/z") == find_run(runs_dir, "zed", [3]) == (runs_dir, 3, "zed")
    with pytest.raises(AmbiguousRunError, match="3 runs fit 'ab': 0/abc, 0/abcd, 3/abx"):
        find_run(runs_dir, "ab")
    with pytest.raises(AmbiguousRunError, match="2 runs fit 'zed': 3/zed, 4/zed"):
        find_run(runs_dir, "zed")
    for missing in ("no-run", "q", "0/zed", "a:b", "7/abc"):
        with pytest.raises(RunNotFoundError):
            find_run(runs_dir, missing)
    for bad in ("", "0/", "x/abc"):
        with pytest.raises(ValueError):
            find_run(runs_dir, bad)
    with pytest.raises(InvalidTypeError):
        find_run(runs_dir, 3)  # type: ignore[arg-type]


def test_many_fitting_runs_are_not_all_named(runs_dir: str) -> None:
    for n in range(10):
        Run("a%d" % n, runs_dir=runs_dir, fsync="never").end()
    with pytest.raises(AmbiguousRunError, match=r"10 runs fit 'a': 0/a0, .*, 0/a7, …"):
        find_run(runs_dir, "a")


# -- out of it -----------------------------------------------------------------------------------------------------


def test_found_runs_as_dicts(tracker: ExperimentTracker) -> None:
    (one,) = tracker.search_runs("run_id = 'r1'").to_dicts()
    assert list(one) == [
        "run_id", "experiment_id", "name", "version", "status", "start_time", "end_time", "parent_run_id",
        "params", "metrics", "tags",
    ]  # fmt: skip
    assert (one["run_id"], one["name"], one["params"]["n"], one["tags"]["stage"]) == ("r1", "odd", 1, "s1")
    assert one["metrics"]["loss"] == 1.25


def test_found_runs_as_a_frame(tracker: ExperimentTracker) -> None:
    """Columns as MLflow names them; what a run does not have is missing, as pandas has it; also of no runs."""
    pytest.importorskip("pandas")
    with Run("bare", runs_dir=tracker.runs_dir):
        pass
    frame = tracker.search_runs("", "start_time").to_pandas()
    assert list(frame["run_id"]) == ["r0", "r1", "r2", "r3", "live", "bare"]
    assert list(frame["metrics.loss"])[:5] == [0.25, 1.25, 2.25, 3.25, 4.25]
    assert math.isnan(frame["metrics.loss"][5])
    assert (frame["params.opt"][1], frame["tags.stage"][1], frame["params.n"][1] + 1) == ("adam", "s1", 2)
    assert frame["params.opt"].isna().tolist() == [False] * 5 + [True]
    assert (frame["end_time"][0] - frame["start_time"][0]).total_seconds() >= 0
    assert frame["end_time"].isna().tolist() == [False, False, False, False, True, False]
    assert list(tracker.search_runs("run_id = 'gone'").to_pandas().columns)[:2] == ["run_id", "experiment_id"]


def test_frame_without_pandas_names_the_extra(tracker: ExperimentTracker, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"needs pandas: pip install pandas \(the extra") as caught:
        tracker.search_runs().to_pandas()
    assert isinstance(caught.value, ImportError)
