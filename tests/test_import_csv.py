"""CSV files come in: each a run or several, by columns that are recognised or named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import pytest

from mini_mlflow import ExperimentTracker, ImportReport, InvalidValueError, Point, import_csv
from mini_mlflow.exchange import spool

T0 = 1700000000000


def save(name: str, *lines: str) -> str:
    path = Path("in", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.utime(str(path), (T0 // 1000, T0 // 1000))
    return str(path)


def take_in(paths: Any, **options: Any) -> ImportReport:
    return import_csv(paths, "runs", **options)


def read_all(experiment_id: int = 0) -> Dict[str, Any]:
    """Name of each run to its params and its histories."""
    tracker = ExperimentTracker(runs_dir="runs", experiment_id=experiment_id)
    found = {}
    for run_id in tracker.list_runs():
        run = tracker.get_run(run_id)
        histories = {key: tracker.get_metric_history(run_id, key) for key in run["metrics"]}
        found[run["metadata"]["name"]] = (run["params"], histories)
    return found


def values(points: List[Point]) -> List[Any]:
    return [(point.step, point.value) for point in points]


def test_file_is_a_run_and_its_columns_are_metrics() -> None:
    """Without a step the row's number is one; without a time, all is as old as the file. Empty cells are no points."""
    report = take_in(save("first try.csv", "loss,acc", "0.5,", "0.25,0.9", ",", "0.125,nan"))
    assert (report.runs, report.points, report.problems) == (1, 5, [])
    ((name, (params, histories)),) = read_all().items()
    assert (name, params) == ("first try", {})
    assert values(histories["loss"]) == [(0, 0.5), (1, 0.25), (2, 0.125)]
    assert [(step, repr(value)) for step, value in values(histories["acc"])] == [(1, "0.9"), (2, "nan")]
    assert {point.timestamp for point in histories["loss"]} == {T0}


def test_grown_file_adds_its_new_rows() -> None:
    """Also where no column is a time, so that the points of before are as old as another file."""
    path = save("run.csv", "step,loss", "0,0.5")
    take_in(path)
    Path(path).write_text("step,loss\n0,0.5\n1,0.25\n")
    assert (take_in(path).points, take_in(path).unchanged_runs) == (1, 1)
    ((_, (_, histories)),) = read_all().items()
    assert values(histories["loss"]) == [(0, 0.5), (1, 0.25)]


@pytest.mark.parametrize(
    ("header", "row", "step", "time_ms"),
    [
        ("_step,_timestamp,loss", "7,1700000000.5,0.5", 7, T0 + 500),
        ("epoch,step,loss", "1,30,0.5", 30, None),
        ("epoch,loss", "4,0.5", 4, None),
        ("loss;Step;Wall time", "0.5;3.0;1700000000", 3, T0),
        ("timestamp\tloss\tglobal_step", "1700000000123\t0.5\t9", 9, T0 + 123),
        ("date,loss", "2023-11-14 22:13:20,0.5", 0, T0),
        ("\ufeffstep,loss", "5,0.5", 5, None),
    ],
)
def test_steps_and_times_are_recognised(header: str, row: str, step: int, time_ms: Any) -> None:
    take_in(save("x.csv", header, row))
    ((_, (_, histories)),) = read_all().items()
    assert histories["loss"] == [Point(step, 0.5, T0 if time_ms is None else time_ms)]


def test_time_that_counts_from_the_start_is_a_metric() -> None:
    take_in(save("x.csv", "step,time,loss", "0,1.5,0.5", "1,2.5,0.25"))
    ((_, (_, histories)),) = read_all().items()
    assert values(histories["time"]) == [(0, 1.5), (1, 2.5)]


def test_column_may_name_the_run_and_others_hold_params() -> None:
    path = save("sweep.csv", "trial,lr,opt,big,loss", "a,0.1,adam,TRUE,1", "b,2,sgd,false,2", "a,,,,3")
    report = take_in(path, run_column="trial", params=["lr", "opt", "big"], experiment="sweep")
    assert (report.runs, report.experiments, report.params) == (2, 1, 6)
    found = read_all(ExperimentTracker(runs_dir="runs").get_experiment_by_name("sweep").experiment_id)  # type: ignore[union-attr]
    assert found["a"][0] == {"lr": 0.1, "opt": "adam", "big": True}
    assert found["b"][0] == {"lr": 2, "opt": "sgd", "big": False}
    assert values(found["a"][1]["loss"]) == [(0, 1.0), (1, 3.0)]
    assert take_in(path, run_column="trial", params=["lr", "opt", "big"], experiment="sweep").unchanged_runs == 2


def test_chart_of_wandb_is_a_run_for_each_name_in_its_header() -> None:
    names = ["Step", *("%s - loss%s" % (run, end) for run in ("sun-1", "x - y-2") for end in ("", "__MIN", "__MAX"))]
    header = ",".join('"%s"' % name for name in names)
    report = take_in(
        save("wandb.csv", header, '"0","0.5","0.5","0.5","0.7","0.7","1"', '"1","0.25","0.2","0.3","","",""')
    )
    assert report.problems == []
    found = read_all()
    assert {name: {key: values(points) for key, points in one[1].items()} for name, one in found.items()} == {
        "sun-1": {"loss": [(0, 0.5), (1, 0.25)]},
        "x - y-2": {"loss": [(0, 0.7)]},
    }


def test_downloads_of_tensorboard_are_one_run_of_several_files() -> None:
    for key, value in (("loss", "0.5"), ("acc_top1", "0.9")):
        save("run-train-tag-%s.csv" % key, "Wall time,Step,Value", "1700000000.25,3,%s" % value)
    save("other.csv", "Wall time,Step,Value", "1700000000.25,3,7")
    report = take_in("in")
    assert report.runs == 2
    found = read_all()
    assert found["train"][1] == {"loss": [Point(3, 0.5, T0 + 250)], "acc_top1": [Point(3, 0.9, T0 + 250)]}
    assert found["other"][1] == {"other": [Point(3, 7.0, T0 + 250)]}
    assert take_in("in").unchanged_runs == 3


def test_file_whose_name_says_nothing_is_named_by_its_folder() -> None:
    for version in ("version_0", "version_1"):
        save(version + "/metrics.csv", "epoch,step,val_loss", "0,10,0.5")
    take_in("in")
    assert sorted(read_all()) == ["version_0", "version_1"]


def test_what_is_no_number_is_told_and_the_rest_comes_in() -> None:
    report = take_in(save("x.csv", "step,loss,note,mixed", "0,0.5,hello,1", "x,1,,", "2,0.25,bye,two"))
    told = " ".join(problem.reason for problem in report.problems)
    assert "row 3" in told
    assert "column 'note' holds no numbers; --params" in told
    assert "column 'mixed' holds text in row 4" in told
    ((_, (_, histories)),) = read_all().items()
    assert {key: values(points) for key, points in histories.items()} == {
        "loss": [(0, 0.5), (2, 0.25)], "mixed": [(0, 1.0)],
    }  # fmt: skip


def test_file_that_is_no_csv_is_told_and_the_others_come_in() -> None:
    save("a.csv", "step")
    Path("in/b.csv").write_bytes(b"\xff\xfe\x00")
    save("c.csv", "loss", "1")
    report = take_in("in")
    assert [os.path.basename(problem.path) for problem in report.problems] == ["a.csv", "b.csv"]
    assert report.runs == 1


@pytest.mark.parametrize("options", [{"run_column": "nope"}, {"step_column": "nope"}, {"params": ["nope"]}])
def test_column_that_is_not_there_is_told(options: Any) -> None:
    (problem,) = take_in(save("x.csv", "loss", "1"), **options).problems
    assert "'nope'" in problem.reason


def test_missing_files_are_refused() -> None:
    for paths in ("missing.csv", [], "."):
        with pytest.raises(InvalidValueError):
            take_in(paths)
    assert not os.path.exists("runs")


def test_points_are_gathered_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """By metrics, in the order of the rows, however small a batch is."""
    monkeypatch.setattr(spool, "_BATCH", 3)
    take_in(save("x.csv", "step,a,b", *["%d,%d,%d" % (row % 4, row, -row) for row in range(20)]))
    ((_, (_, histories)),) = read_all().items()
    assert values(histories["b"]) == [(row % 4, float(-row)) for row in range(20)]
