"""Comparing runs: what differs, what is equal, and where curves part."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any, List, Optional

import pytest

from mini_mlflow import (
    AmbiguousRunError,
    Comparison,
    ExperimentTracker,
    InvalidTypeError,
    InvalidValueError,
    Point,
    Run,
    RunNotFoundError,
)
from mini_mlflow.reading import comparing
from mini_mlflow.reading.comparing import find_parting
from mini_mlflow.writing import start_request


@pytest.fixture
def tracker(runs_dir: str) -> ExperimentTracker:
    return ExperimentTracker(runs_dir=runs_dir)


def make(tracker: ExperimentTracker, run_id: str, losses: List[float], **params: Any) -> Run:
    with tracker.start_run(run_id=run_id, run_name=run_id.upper()) as run:
        run.log_params(params)
        run.set_tag("team", "vision")
        for step, loss in enumerate(losses):
            run.log_metric("loss", loss, step=step)
    return run


def test_what_differs_stands_apart_from_what_is_equal(tracker: ExperimentTracker, monkeypatch: Any) -> None:
    """By section, one value a run in the order asked for, None where a run has none."""
    origins = iter(
        [
            {"user": "ann", "host": "a", "pid": 1, "python": "3.11", "script": "/x/train.py", "git_commit": "1" * 40},
            {"user": "ann", "host": "b", "pid": 2, "python": "3.11", "script": "/x/train.py", "git_commit": "2" * 40},
        ]
    )
    monkeypatch.setattr(start_request, "collect_origin", lambda: next(origins))
    make(tracker, "one", [1.0], lr=0.1, opt="adam", layers=[1, math.nan])
    make(tracker, "two", [1.0], lr=0.2, opt="adam", layers=[1, math.nan], extra=None, more=5)
    found = tracker.compare(["two", "one"])
    assert isinstance(found, Comparison)
    assert (found.run_ids, found.names) == (("two", "one"), ("TWO", "ONE"))
    assert found.differing == {
        "params": {"lr": (0.2, 0.1), "more": (5, None)},
        "code": {"git_commit": ("2" * 40, "1" * 40)},
        "environment": {"host": ("b", "a")},
        "run": {"name": ("TWO", "ONE")},
    }
    assert list(found.equal) == ["params", "tags", "code", "environment", "run"]
    assert sorted(found.equal["params"]) == ["extra", "layers", "opt"]
    assert found.equal["tags"] == {"team": ("vision", "vision")}
    assert found.equal["code"] == {"script": ("/x/train.py", "/x/train.py")}
    assert found.equal["environment"] == {"user": ("ann", "ann"), "python": ("3.11", "3.11")}
    assert set(found.equal["run"]) == {"status", "experiment_id"}


def test_one_and_true_differ_and_one_and_one_point_zero_do_not(tracker: ExperimentTracker) -> None:
    make(tracker, "one", [], a=1, b=1, c=[True], d=math.nan, e="1")
    make(tracker, "two", [], a=True, b=1.0, c=[True], d=math.nan, e=1)
    found = tracker.compare(["one", "two"])
    assert list(found.differing["params"]) == ["a", "e"]
    assert "'e': ('1', 1)" in repr(found)


def test_metrics_stand_beside_each_other(tracker: ExperimentTracker) -> None:
    """Last values, range, and the step from which on the curves are different; an open run takes part."""
    make(tracker, "one", [3.0, 2.0, 1.0])
    make(tracker, "two", [3.0, 2.0, 1.5])
    three = tracker.start_run(run_id="three")
    three.log_metric("loss", 3.0, step=0)
    three.log_metric("accuracy", math.nan)
    found = tracker.compare(["one", "two", "three"])
    assert found.metrics["loss"] == ((1.0, 1.5, 3.0), (1.0, 1.5, 3.0), (3.0, 3.0, 3.0), 2)
    last, low, high, parts_at = found.metrics["accuracy"]
    assert (last[:2], math.isnan(last[2])) == ((None, None), True)
    assert (low, high, parts_at) == ((None, None, None), (None, None, None), None)
    assert tracker.compare(["one", "three"]).metrics["loss"].parts_at is None
    tracker.end_run()


def curve(*points: Any) -> List[Point]:
    return [Point(step, value, 0) for step, value in points]


PARTINGS: List[Any] = [
    ([curve((0, 1.0), (1, 2.0)), curve((0, 1.0), (1, 2.0))], None),
    ([curve((0, 1.0), (1, 2.0)), curve((0, 1.0), (1, 3.0))], 1),
    # One that ended earlier, or logged more seldom, has not parted.
    ([curve((0, 1.0)), curve((0, 1.0), (1, 3.0))], None),
    ([curve((0, 1.0), (1, 9.0), (2, 3.0)), curve((0, 1.0), (2, 3.0))], None),
    ([curve((0, 1.0), (2, 3.0)), curve((0, 1.0), (1, 9.0), (2, 4.0))], 2),
    # The lowest step, not the first that was logged; of a step that stands twice, the last.
    ([curve((5, 1.0), (1, 1.0)), curve((5, 2.0), (1, 2.0))], 1),
    ([curve((0, 1.0), (1, 2.0), (1, 3.0)), curve((0, 1.0), (1, 3.0))], None),
    ([curve((0, math.nan), (1, math.nan)), curve((0, math.nan), (1, 2.0))], 1),
    ([curve((0, math.nan)), curve((0, math.nan))], None),
    # Any two of several; the third and the second share a step that the first does not have.
    ([curve((0, 1.0)), curve((0, 1.0), (7, 1.0)), curve((0, 1.0), (7, 2.0))], 7),
    ([curve((0, 1.0))], None),
    ([], None),
    ([curve(), curve((0, 1.0))], None),
]


def test_where_curves_part() -> None:
    found: List[Optional[int]] = [find_parting(histories) for histories, _ in PARTINGS]
    assert found == [expected for _, expected in PARTINGS]


def test_table_shows_what_differs_and_on_request_what_is_equal(tracker: ExperimentTracker) -> None:
    make(tracker, "one", [3.0, 2.0], lr=0.1, opt="adam", path="/a/rather/long/way/down/to/the/data/of/set-1")
    make(tracker, "two", [3.0, 1.0], lr="a\nb", opt="adam", path="/a/rather/long/way/down/to/the/data/of/set-2")
    table = str(tracker.compare(["one", "two"]))
    rows = [line.split() for line in table.splitlines()]
    assert rows[:3] == [["one", "two"], ["ONE", "TWO"], ["params"]]
    assert ["lr", "0.1", "a", "b"] in rows
    assert ["loss", "2", "1", "from", "step", "1"] in rows
    assert ["max", "3", "3"] in rows
    assert "adam" not in table
    # Cut in the middle: what differs is at the end.
    (path,) = [row for row in rows if row[0] == "path"]
    assert (path[1][-2:], path[2][-2:]) == ("-1", "-2")
    assert all(line == line.rstrip() and len(line) < 100 for line in table.splitlines())
    both = [line.split() for line in str(tracker.compare(["one", "two"], all=True)).splitlines()]
    assert both[: len(rows)] == rows
    assert ["opt", "adam", "adam"] in both[len(rows) :]


def test_table_of_runs_that_are_the_same_says_so(tracker: ExperimentTracker) -> None:
    for run_id in ("one", "two"):
        Run(run_id, runs_dir=tracker.runs_dir).end()
    assert "are the same" in str(tracker.compare(["one", "two"]))


def test_comparison_as_a_dict_is_json(tracker: ExperimentTracker) -> None:
    make(tracker, "one", [3.0, 2.0], lr=0.1, opt="adam")
    make(tracker, "two", [3.0, 1.0], lr=0.2, opt="adam")
    found = json.loads(json.dumps(tracker.compare(["one", "two"]).to_dict()))
    assert list(found) == ["run_ids", "names", "differing", "metrics"]
    assert found["differing"]["params"] == {"lr": [0.1, 0.2]}
    assert found["metrics"]["loss"] == {"last": [2.0, 1.0], "min": [2.0, 1.0], "max": [3.0, 3.0], "parts_at": 1}
    assert tracker.compare(["one", "two"], all=True).to_dict()["equal"]["params"] == {"opt": ["adam", "adam"]}


def test_runs_are_named_by_the_beginnings_of_their_ids(tracker: ExperimentTracker) -> None:
    """In any experiment, or in those that are given."""
    make(tracker, "one", [])
    Run("two", experiment_id=4, runs_dir=tracker.runs_dir).end()
    assert tracker.compare(["o", "t"]).run_ids == ("one", "two")
    assert tracker.compare(["o", "t"]).differing["run"]["experiment_id"] == (0, 4)
    with pytest.raises(RunNotFoundError):
        tracker.compare(["o", "t"], experiment_ids=[0])
    make(tracker, "three", [])
    with pytest.raises(AmbiguousRunError):
        tracker.compare(["o", "t"])
    for too_few in ([], ["one"], ["one", "o"]):
        with pytest.raises(InvalidValueError):
            tracker.compare(too_few)
    with pytest.raises(InvalidTypeError, match="must be a list"):
        tracker.compare("one")


def test_run_that_goes_while_it_is_compared_is_named(tracker: ExperimentTracker, monkeypatch: Any) -> None:
    make(tracker, "one", [1.0])
    make(tracker, "two", [1.0])
    real = comparing.read_history

    def vanish(paths: Any, key: str) -> Any:
        shutil.rmtree(str(Path(tracker.runs_dir, "0", "two")), ignore_errors=True)
        return real(paths, key)

    monkeypatch.setattr(comparing, "read_history", vanish)
    with pytest.raises(RunNotFoundError, match="two"):
        tracker.compare(["one", "two"])
