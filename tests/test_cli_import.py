"""The command line's import, called in this process, and once as a process."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from command_line import call
from concurrency import run_python
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.exit_codes import DONE, FAILED, NO, USAGE
from mlflow_layout import RUN_ID, log_param, log_points, make_experiment, make_run, points, write


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A tree of MLflow's with a run that has one of everything, and a run that is deleted."""
    run = make_run(make_experiment(tmp_path / "old", "3", "vision"))
    log_param(run, "lr", "0.1")
    log_points(run, "loss", [*points(3), *points(1)])
    write(run / "artifacts" / "a.txt", "x" * 1500)
    make_run(run.parent, "d" * 32, lifecycle_stage="deleted")
    return tmp_path / "old"


def test_import_says_what_has_come_in(old: Path, tmp_path: Path) -> None:
    done = call("import", "mlflow", str(old))
    assert (done.code, done.err) == (DONE, "")
    assert done.lines == [
        "%s: come into %s" % (old, tmp_path / "mlruns"),
        "  runs         2 new, 0 brought up to date, 0 as they were",
        "  trash        1 run",
        "  experiments  1 new",
        "  points       3 new, 1 stood there twice",
        "  params       1 new",
        "  tags         0 new",
        "  artifacts    1 file, 1.5 kB",
    ]
    again = call("import", "mlflow", str(old), "--json").objects
    assert (again[0]["unchanged_runs"], again[0]["points"], again[0]["problems"]) == (2, 0, [])


def test_dry_run_changes_nothing(old: Path, tmp_path: Path) -> None:
    done = call("import", "mlflow", str(old), "-n")
    assert (done.code, done.lines[0]) == (DONE, "%s: would come into %s" % (old, tmp_path / "mlruns"))
    assert not (tmp_path / "mlruns").exists()


def test_what_was_left_out_is_a_line_and_another_exit_code(old: Path) -> None:
    """Nothing of a file's name steers the terminal."""
    write(old / "3" / RUN_ID / "metrics" / "bad\x1b", "torn")
    done = call("import", "mlflow", str(old), "--artifacts", "link", terminal=True)
    assert done.code == NO
    assert done.lines[0].endswith("metrics/bad\\x1b: line 1 is torn: it has no end")
    assert done.lines[-1] == "  artifacts    1 file, 1.5 kB, 1 of them hard links"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["mlflow", "old", "--params", "x"], "import mlflow knows no --params"),
        (["csv", "old", "--artifacts", "link"], "import csv knows no --artifacts"),
        (["mini-mlflow", "old", "older"], "import mini-mlflow takes one PATH"),
        (["wandb", "old"], "invalid choice: 'wandb'"),
        (["mlflow"], "PATH"),
    ],
)
def test_command_line_that_asks_for_what_there_is_not_is_told(argv: List[str], told: str) -> None:
    done = call("import", *argv)
    assert (done.code, done.out) == (USAGE, "")
    assert told in done.err


def test_path_that_is_no_tree_is_an_error_of_one_line(old: Path) -> None:
    for path in ("missing", str(old)):
        done = call("import", "mlflow", path, "--runs-dir", str(old))
        assert (done.code, done.out, done.err.count("\n")) == (FAILED, "", 1)


def test_csv_files_come_in_by_their_columns() -> None:
    write(Path("a.csv"), "run,lr,epoch,loss\nx,0.1,1,0.5\ny,0.2,1,0.7\n")
    write(Path("b.csv"), "run,lr,epoch,loss\nz,0.3,1,0.5\n")
    argv = ["import", "csv", "a.csv", "b.csv", "--run-column", "run", "--params", "lr, ", "--experiment", "sweep"]
    assert call(*argv).code == DONE
    tracker = ExperimentTracker()
    number = tracker.get_experiment_by_name("sweep").experiment_id  # type: ignore[union-attr]
    found = tracker.search_runs(experiment_ids=[number], order_by=["params.lr"])
    assert [(run.name, run.params, run.metrics) for run in found] == [
        ("x", {"lr": 0.1}, {"loss": 0.5}),
        ("y", {"lr": 0.2}, {"loss": 0.7}),
        ("z", {"lr": 0.3}, {"loss": 0.5}),
    ]


def test_another_tree_comes_in() -> None:
    ExperimentTracker(runs_dir="other").start_run(run_id="r").end()
    assert call("import", "mini-mlflow", "other").code == DONE
    assert ExperimentTracker().list_runs() == ["r"]


def test_progress_is_drawn_over(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("mini_mlflow.cli.progress.monotonic", lambda: float(next(clock)))
    shown = call("import", "mlflow", str(old), terminal=True).err.split("\r\x1b[K")
    assert shown[-2:] == ["importing [########################] 2 of 2 runs", ""]


def test_process_imports_without_mlflow(old: Path, tmp_path: Path) -> None:
    """Nothing of MLflow is imported, were it there."""
    code = """
        OTHERS = ("mlflow", "tensorboard", "sqlite3")
        import sys
        import filelock  # loads sqlite3 in some versions
        before = set(sys.modules)
        sys.modules["mlflow"] = None
        from mini_mlflow.cli import main
        code = main(["import", "mlflow", sys.argv[1]])
        loaded = [name for name in set(sys.modules) - before if name.partition(".")[0] in OTHERS]
        assert loaded == ["mlflow"], loaded
        sys.exit(code)
    """
    done = run_python(code, str(old), cwd=tmp_path)
    assert done.stdout.splitlines()[1].split()[:3] == ["runs", "2", "new,"]
