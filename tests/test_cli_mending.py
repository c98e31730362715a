"""The command line's repair and doctor, called in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, List

import pytest

from command_line import call
from mini_mlflow import ExperimentTracker
from mini_mlflow.cli.exit_codes import DONE, FAILED, NO
from mini_mlflow.upkeep import Check, Diagnosis, iter_repairs, verify


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two ended runs, in which the documents of a param are torn."""
    for run_id in ("first", "second"):
        with ExperimentTracker().start_run(run_id=run_id) as run:
            run.log_param("lr", 0.01)
        (tmp_path / "mlruns" / "0" / run_id / "params" / "lr.json").write_text('{"value": 0.')
    return tmp_path / "mlruns"


@pytest.mark.damaged_tree
def test_dry_run_tells_what_would_be_done_and_does_nothing(tree: Path) -> None:
    done = call("repair", "--dry-run")
    assert done.code == DONE
    assert sorted(line.split()[:4] for line in done.lines) == [
        ["would", "mend", "torn-document", "0/%s/params/lr.json:" % run_id] for run_id in ("first", "second")
    ]
    assert done.err == "mini-mlflow: %s: 2 would mend\n" % tree
    assert len(verify(tree)) == 2


def test_repair_mends_and_says_what_it_did(tree: Path) -> None:
    found = call("repair", "--json")
    assert found.code == DONE
    assert [sorted(repair) for repair in found.objects] == [
        ["action", "done", "message", "path", "reason", "rule", "severity"]
    ] * 2
    assert [repair["done"] for repair in found.objects] == [True, True]
    assert verify(tree) == []
    again = call("repair")
    assert (again.code, again.out, again.err) == (DONE, "", "mini-mlflow: %s: nothing to mend\n" % tree)


@pytest.mark.damaged_tree
def test_repair_keeps_to_runs_and_rules(tree: Path) -> None:
    assert call("repair", "--run", "fir", "--rule", "wrong-key").out == ""
    assert call("repair", "--run", "fir", "--rule", "torn-document").out.startswith("mended")
    assert [finding.path for finding in verify(tree)] == ["0/second/params/lr.json"]
    wrong = call("repair", "--rule", "nonsense")
    assert (wrong.code, wrong.out) == (FAILED, "")
    assert "nonsense" in wrong.err


@pytest.mark.damaged_tree
def test_what_cannot_be_mended_is_told_by_the_code(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is a line with its reason, escaped, and the exit code is another."""

    def refuse(*args: Any) -> Any:
        for one in iter_repairs(*args):
            yield one._replace(done=False, reason="nobody\x1b may")

    monkeypatch.setattr("mini_mlflow.upkeep.iter_repairs", refuse)
    done = call("repair", "--dry-run", terminal=True)
    assert done.code == NO
    assert all(line.startswith("\x1b[33mleft") and line.endswith("(nobody\\x1b may)") for line in done.lines)
    assert "2 left" in done.err


def test_doctor_tells_its_verdict(tmp_path: Path) -> None:
    """Each check has a line, the verdict is the last one, and nothing is left behind."""
    (tmp_path / "mlruns").mkdir()
    done = call("doctor")
    assert all(line.split()[0] in ("ok", "warning", "failure") for line in done.lines if line)
    assert done.code == (NO if done.lines[-1].startswith("failure") else DONE)
    assert "%s: " % (tmp_path / "mlruns") in done.lines[-1]
    assert os.listdir("mlruns") == []


@pytest.mark.parametrize(("verdict", "code"), [("ok", DONE), ("warning", DONE), ("failure", NO)])
def test_verdict_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, code: int) -> None:
    checks: List[Check] = [Check("locks", verdict, "as they\nare")]
    monkeypatch.setattr("mini_mlflow.upkeep.doctor", lambda root: Diagnosis(root, verdict, "So.", checks))
    (tmp_path / "mlruns").mkdir()
    done = call("doctor")
    assert (done.code, done.lines[0]) == (code, "%-7s  locks: as they\\nare" % verdict)
    assert done.lines[-1] == "%-7s  %s: So." % (verdict, tmp_path / "mlruns")
    (diagnosis,) = call("doctor", "--json").objects
    assert diagnosis["verdict"] == verdict
    assert diagnosis["checks"] == [{"name": "locks", "verdict": verdict, "message": "as they\nare"}]
