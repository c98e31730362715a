"""The latest point of a metric, as MLflow means it: the greatest by step, time and value, wherever it was logged."""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import faults
from mini_mlflow import DamagedFileError, ExperimentTracker, Point, Run
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.formats.documents import are_summaries
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.latest import find_latest, parse_all_latest
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_view import read_run
from tree_check import read_strict_json

ID = "r"
NAN = math.nan

points = st.lists(
    st.builds(
        Point,
        st.integers(-2, 2),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, NAN, math.inf, -math.inf]),
        st.integers(5, 7),
    ),
    max_size=12,
)


def is_later(point: Point, other: Point) -> bool:
    """The definition, by hand."""
    if point.step != other.step:
        return point.step > other.step
    if point.timestamp != other.timestamp:
        return point.timestamp > other.timestamp
    values = [0.0 if math.isnan(value) else value for value in (point.value, other.value)]
    return values[0] > values[1]


def find_by_hand(logged: List[Point]) -> Optional[Point]:
    found: Optional[Point] = None
    for point in logged:
        if found is None or is_later(point, found):
            found = point
    return found


# -- the order -----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(points, points)
@example([Point(0, 0.0, 5)], [Point(0, NAN, 5)])
def test_latest_is_what_a_walk_through_all_points_finds(first: List[Point], second: List[Point]) -> None:
    """Also when the points come in two batches, of which the second is compared with the first one's latest."""
    assert repr(find_latest(first + second)) == repr(find_by_hand(first + second))
    assert repr(find_latest(second, find_latest(first))) == repr(find_by_hand(first + second))


@pytest.mark.parametrize(
    ("logged", "latest"),
    [
        ([(3, 0.1, 5), (2, 0.2, 9)], 0),
        ([(3, 0.1, 5), (3, 0.0, 6)], 1),
        ([(3, 0.1, 6), (3, 0.2, 5)], 0),
        ([(3, 0.1, 5), (3, 0.2, 5)], 1),
        ([(3, 0.2, 5), (3, 0.1, 5)], 0),
        # As MLflow's SQL store, which keeps 0 of NaN, and the first of what compares equal.
        ([(3, 0.2, 5), (3, NAN, 5)], 0),
        ([(3, NAN, 5), (3, 0.2, 5)], 1),
        ([(3, -0.2, 5), (3, NAN, 5)], 1),
        ([(3, NAN, 5), (3, -0.2, 5)], 0),
        ([(3, NAN, 5), (3, 0.0, 5)], 0),
        ([(3, 0.0, 5), (3, NAN, 5)], 0),
        ([(3, -0.0, 5), (3, 0.0, 5)], 0),
        ([(-3, math.inf, 5), (-2, -math.inf, 1)], 1),
    ],
)
def test_step_decides_then_the_time_then_the_value(logged: List[Any], latest: int) -> None:
    wanted = Point(*logged[latest])
    assert repr(find_latest(logged)) == repr(wanted)
    document = MetricDocument("loss").appended([(value, step, time_ms) for step, value, time_ms in logged], 1)
    assert repr(document.latest_point) == repr(wanted)
    assert (document.latest is None) == (latest == len(logged) - 1)
    assert repr(parse_document(document.dump(), "-", "loss").latest) == repr(document.latest)


def test_latest_of_nothing_is_none() -> None:
    assert find_latest([]) is None
    assert MetricDocument("loss").latest_point is None
    assert MetricDocument("loss").appended([], 3).latest_point is None


# -- on disk -------------------------------------------------------------------------------------------------------


def test_document_names_it_only_where_it_is_not_the_last() -> None:
    """So that nobody need know of the field whose steps rise; and a later point puts an end to it."""
    document = MetricDocument("loss").appended([(0.5, 9, 5), (0.25, None, 6)], 3)
    assert b'"latest": [9, 0.5, 5], "key"' in document.dump()
    assert b"latest" not in document.appended([(0.1, 10, 7)], 4).dump()
    assert b"latest" not in document.appended([(0.5, 9, 5)], 4).dump()
    assert b"latest" not in MetricDocument("loss").appended([(0.5, None, 5), (0.25, None, 5)], 3).dump()


@pytest.mark.parametrize(
    "field", ["5", "[]", "[1, 2.0]", "[1.0, 2.0, 3]", '[1, "x", 3]', "[[1, 2.0, 3]]", "null", "{}"]
)
def test_malformed_latest_is_damage(field: str) -> None:
    """In a document, and in the summary of a snapshot."""
    data = MetricDocument("loss").appended([(0.5, 9, 5), (0.25, None, 6)], 3).dump()
    assert parse_document(data, "-", "loss").latest == Point(9, 0.5, 5)
    with pytest.raises(DamagedFileError):
        parse_document(data.replace(b"[9, 0.5, 5], ", field.encode() + b", ", 1), "-", "loss")
    summary = {"value": 0.25, "step": 1, "timestamp": 6, "count": 2}
    assert are_summaries([dict(summary, latest=[9, 0.5, 5])])
    assert not are_summaries([dict(summary, latest=json.loads(field))])


def test_what_another_writer_put_there_is_no_point() -> None:
    summaries: Dict[str, Dict[str, Any]] = {
        name: {"value": value, "step": 0, "timestamp": 5, "count": 1}
        for name, value in (("a", "text"), ("b", None), ("c", True), ("d", "NaN"), ("e", 1), ("f", [1]))
    }
    assert repr(parse_all_latest(summaries)) == repr({"d": Point(0, NAN, 5), "e": Point(0, 1, 5)})


def test_point_of_0_1_0_is_at_step_0() -> None:
    """A run of 0.1.0 goes on below it, say: then its one point is the latest."""
    document = parse_document(b'{"value": 12, "timestamp": "2025-11-23T07:15:10Z"}', "-", "epochs")
    assert document.latest is None
    assert document.appended([(5.0, -1, 9)], 3).latest == Point(0, 12.0, 1763882110000)
    assert document.appended([(5.0, 1, 9)], 3).latest is None
    text = parse_document(b'{"value": "x", "timestamp": "2025-11-23T07:15:10Z"}', "-", "epochs")
    assert text.latest_point is None
    assert text.appended([(5.0, -1, 9)], 3).latest is None


# -- of a run ------------------------------------------------------------------------------------------------------


def latest_of(run: Run) -> Dict[str, Point]:
    """As all ways of reading have it."""
    paths = RunPaths.of(RunAddress(run.runs_dir, 0, run.run_id))
    view = read_run(paths)
    found = view.latest_metrics()
    (searched,) = ExperimentTracker(runs_dir=run.runs_dir).search_runs("run_id = '%s'" % run.run_id)
    assert repr(searched.latest_metrics()) == repr(found)
    # What the metrics have been so far: the last values.
    assert repr(searched.metrics) == repr(view.metrics)
    by_hand = {key: find_by_hand(read_history(paths, key).shown) for key in view.metrics}
    assert repr(found) == repr({key: point for key, point in by_hand.items() if point is not None})
    return found


@pytest.mark.parametrize("refresh", [True, False])
def test_readers_find_it_wherever_the_points_stand(runs_dir: str, refresh: bool, monkeypatch: Any) -> None:
    """In the log, in documents, in sealed and merged files, in the snapshot, and after a resume."""
    faults.seal_early(monkeypatch)
    faults.ration_documents(monkeypatch, refresh=refresh)
    run = Run(run_id=ID, runs_dir=runs_dir)
    run.log_metric("once", NAN, timestamp=7)
    for n in range(19):
        run.log_metric("loss", float(n), step=[50, 40, 60, 30][n % 4], timestamp=1000 - n)
        if n % 5 == 4:
            run.flush()
        if n > 2:
            assert latest_of(run)["loss"] == Point(60, 2.0, 998)
    assert repr(latest_of(run)["once"]) == repr(Point(0, NAN, 7))
    run.end()
    snapshot = read_strict_json(os.path.join(runs_dir, "0", ID, "snapshot.json"))
    assert snapshot["metrics"]["loss"]["latest"] == [60, 2.0, 998]
    assert "latest" not in snapshot["metrics"]["once"]
    assert latest_of(run)["loss"] == Point(60, 2.0, 998)
    resumed = ExperimentTracker(runs_dir=runs_dir).start_run(run_id=ID)
    resumed.log_metric("loss", 77.0, step=59)
    assert latest_of(run)["loss"] == Point(60, 2.0, 998)
    resumed.log_metric("loss", 78.0, step=61, timestamp=4)
    assert latest_of(run)["loss"] == Point(61, 78.0, 4)
    resumed.end()
    snapshot = read_strict_json(os.path.join(runs_dir, "0", ID, "snapshot.json"))
    assert "latest" not in snapshot["metrics"]["loss"]


@pytest.mark.parametrize("folded", [True, False])
def test_rewind_hides_it_and_another_takes_its_place(runs_dir: str, folded: bool, monkeypatch: Any) -> None:
    """Counted from what is visible, also while the rewind still waits in the log."""
    faults.seal_early(monkeypatch)
    run = Run(run_id=ID, runs_dir=runs_dir)
    for n, step in enumerate([9, 5, 3, 7, 2, 1]):
        run.log_metric("loss", float(n), step=step, timestamp=n)
        run.log_metric("gone", float(n), step=20)
        run.flush()
    assert latest_of(run)["loss"] == Point(9, 0.0, 0)
    if not folded:
        with monkeypatch.context() as patch:
            patch.setattr("mini_mlflow.writing.folding.Folding.fold", refuse_to_fold)
            run.rewind(6)
            assert latest_of(run) == {"loss": Point(5, 1.0, 1)}
            assert document(run)["latest"] == [9, 0.0, 0]
    run.rewind(6)
    assert latest_of(run) == {"loss": Point(5, 1.0, 1)}
    run.log_metric("gone", 1.0, step=4)
    run.log_metric("gone", 2.0, step=3)
    run.log_metric("loss", 8.0, step=6, timestamp=1)
    assert [latest_of(run)[key].value for key in ("gone", "loss")] == [1.0, 8.0]
    run.end()
    assert [latest_of(run)[key].value for key in ("gone", "loss")] == [1.0, 8.0]


def document(run: Run) -> Any:
    return read_strict_json(os.path.join(run.runs_dir, "0", ID, "metrics", "loss.json"))


def refuse_to_fold(self: Any, commits: Any) -> Any:
    raise OSError(28, "No space left on device", "-")


@pytest.mark.damaged_tree
def test_history_is_not_read_to_know_it(runs_dir: str, monkeypatch: Any) -> None:
    """With the sealed files gone, a writer knows it still, and says nothing about them: it has not looked."""
    faults.seal_early(monkeypatch)
    run = Run(run_id=ID, runs_dir=runs_dir)
    for n in range(4):
        run.log_metric("loss", float(n), step=9 - n, timestamp=n)
    run.flush()
    assert (document(run)["sealed"], document(run)["latest"]) == (["0-3"], [9, 0.0, 0])
    shutil.rmtree(os.path.join(runs_dir, "0", ID, "metrics", "loss.history"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (5.0, 6.0):
            run.log_metric("loss", value, step=1)
        run.flush()
        view = read_run(RunPaths.of(RunAddress(runs_dir, 0, ID)))
    assert view.latest_metrics() == {"loss": Point(9, 0.0, 0)}
    assert view.metrics == {"loss": 6.0}
    run.end()
