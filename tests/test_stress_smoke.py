"""The stress program: every scenario runs for a moment, and every guarantee notices doctored evidence."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest

from concurrency import hear_interrupts
from stress.artifacts import FOLDER, plan_artifacts
from stress.bench.places import file_system_of
from stress.children import child_environment
from stress.evidence import Evidence, ReaderRecord, RunRecord, ThreadRecord, WriterRecord
from stress.guarantees import GUARANTEES, judge, sentence
from stress.plan import METRICS, PARAM, Call, param_value
from stress.points import decode, encode
from stress.recording import Hold, Recording, name_lock, read_recorded
from stress.scenarios import SCENARIOS
from stress.without.edits import Edit, Fails, Mechanism
from stress.without.mechanisms import MECHANISMS
from stress.without.program import CouldNotTell, Trial, apply, try_all
from stress.without.program import main as try_mechanisms

pytestmark = pytest.mark.program

HELD, BROKEN, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130
SMALL = ("--seconds", "0.5", "--threads", "2", "--processes", "2", "--seed", "1")

#: Run by every interpreter at its start when found as sitecustomize: a store that loses every fifth point.
LOSING_STORE = """
from mini_mlflow import Run
logged, keep = 0, Run.log_metric
def lose(self, *args, **kwargs):
    global logged
    logged += 1
    if logged % 5:
        keep(self, *args, **kwargs)
Run.log_metric = lose
"""
DYING_WRITERS = """
import os
from mini_mlflow import ExperimentTracker
ExperimentTracker.start_run = lambda self, **kwargs: os._exit(7)
"""


def run_stress(*arguments: str, first_on_path: Optional[Path] = None) -> subprocess.CompletedProcess[str]:
    environment = child_environment()
    if first_on_path is not None:
        environment["PYTHONPATH"] = str(first_on_path) + os.pathsep + environment["PYTHONPATH"]
    return subprocess.run(
        [sys.executable, "-m", "stress", *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )


#: Where a developer keeps the environments of mixed_versions, if anywhere; a test makes none.
ENVIRONMENTS = os.environ.get("STRESS_ENVIRONMENTS")


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_scenario_holds_and_leaves_nothing(scenario: str, tmp_path: Path) -> None:
    prepared = ["--no-install", *(["--environments", ENVIRONMENTS] if ENVIRONMENTS else [])]
    done = run_stress("--scenario", scenario, "--json", "--runs-dir", str(tmp_path), *prepared, *SMALL)
    assert done.returncode == HELD, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["scenarios"]
    assert f"--scenario {scenario} --seed 1 " in row["command"]
    assert list(tmp_path.iterdir()) == []
    if row["verdict"] == "SKIPPED":
        pytest.skip(row["skipped"])
    assert row["verdict"] == "PASS"
    assert row["calls"] > 0
    assert row["points"] > 0
    assert 0 < row["commits"] <= row["calls"] * 2
    assert row["changes_per_commit"] >= 1


def test_scenario_that_this_machine_cannot_take_is_skipped_and_says_why(tmp_path: Path) -> None:
    options = ["--scenario", "mixed_versions", "--no-install", "--environments", str(tmp_path / "none")]
    done = run_stress(*options, *SMALL)
    assert done.returncode == HELD, done.stdout + done.stderr
    assert "SKIPPED" in done.stdout
    assert f"mixed_versions was skipped: Python 3.7 has no prepared environment in {tmp_path / 'none'}" in done.stdout


@pytest.mark.damaged_tree
def test_interrupt_leaves_no_process_and_says_where_the_tree_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stress", "--scenario", "forks", "--seconds", "600", "--runs-dir", str(tmp_path)]
    program = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=child_environment(), preexec_fn=hear_interrupts
    )
    try:
        while not list(tmp_path.glob("stress-forks-*/acknowledgements/forking-0/*")):
            assert program.poll() is None
            time.sleep(0.01)
        (folder,) = tmp_path.iterdir()
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == INTERRUPTED
    assert f"kept in {folder}" in said
    assert "Traceback" not in said
    # Every process of a scenario holds open what it acknowledges to, or the lock of its run.
    assert holders_of(folder) == []


def holders_of(folder: Path) -> List[str]:
    """The processes that have a file below the folder open."""
    holders = []
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link).startswith(str(folder)):
                holders.append(link)
        except OSError:
            continue
    return holders


def test_store_that_loses_points_fails_and_its_tree_is_kept(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOSING_STORE)
    trees = tmp_path / "trees"
    trees.mkdir()
    done = run_stress("--scenario", "one_run", "--runs-dir", str(trees), *SMALL, first_on_path=tmp_path)
    assert done.returncode == BROKEN, done.stdout + done.stderr
    (kept,) = trees.iterdir()
    assert f"kept in {kept}" in done.stdout
    assert "FAIL" in done.stdout
    assert "broke acknowledged_exactly_once" in done.stdout
    assert list((kept / "acknowledgements" / "shared").iterdir())


def test_writer_that_dies_of_itself_says_nothing_about_guarantees(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DYING_WRITERS)
    done = run_stress("--scenario", "many_runs", "--runs-dir", str(tmp_path), *SMALL, first_on_path=tmp_path)
    assert done.returncode == COULD_NOT_RUN, done.stdout + done.stderr
    assert "died with status 7" in done.stderr


def test_package_that_cannot_be_imported_could_not_run(tmp_path: Path) -> None:
    (tmp_path / "mini_mlflow.py").write_text("raise ImportError('not here')")
    assert run_stress(first_on_path=tmp_path).returncode == COULD_NOT_RUN


def test_bad_arguments_could_not_run() -> None:
    assert run_stress("--threads", "0").returncode == COULD_NOT_RUN


def test_bench_prints_ratios_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_stress("bench", "--quick", "--only", "calls", "--dir", str(tmp_path))
    assert done.returncode == HELD, done.stdout + done.stderr
    assert f"### One thread: time of a call, {file_system_of(str(tmp_path))} ({tmp_path})" in done.stdout
    assert "p50 to bare" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_bench_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert run_stress("bench", "--dir", str(tmp_path / "nowhere")).returncode == COULD_NOT_RUN


def test_values_name_their_origin_exactly() -> None:
    for origin in [(0, 0, 0), (1, 2, 3), (899_999, 99, 99_999_999)]:
        assert decode(encode(*origin)) == origin
    assert decode(0.5) is None
    assert decode("1") is None


def honest_evidence() -> Evidence:
    """Two threads on one run that both were killed: one left a whole batch behind, the other half a thought."""

    def first(number: int) -> float:
        return encode(1, 0, number)

    def second(number: int) -> float:
        return encode(2, 1, number)

    folder = Call(1, FOLDER, (("artifact", encode(3, 0, 1)),))
    batch = Call(4, METRICS, tuple((f"batch-{i}", first(10 + i)) for i in range(2)))
    run = RunRecord(
        run_id="r",
        threads=[
            ThreadRecord(
                1, 0, {"shared-0": [first(0), first(2)], "own-1-0": [first(1)]}, {"shared": first(3)}, {}, batch
            ),
            ThreadRecord(
                2, 1, {"shared-0": [second(0), second(1)]}, under_way=Call(2, PARAM, (("shared", second(2)),))
            ),
            ThreadRecord(3, 0, {}, artifacts=plan_artifacts(FOLDER, encode(3, 0, 0)).hashes(), under_way=folder),
        ],
        histories={
            "shared-0": [(0, first(0)), (1, second(0)), (2, second(1)), (3, first(2))],
            "own-1-0": [(1, first(1))],
            "batch-0": [(0, first(10))],
            "batch-1": [(0, first(11))],
        },
        last_values={"shared-0": first(2), "own-1-0": first(1), "batch-0": first(10), "batch-1": first(11)},
        params={"shared": param_value(second(2))},
        status="FINISHED",
        artifacts={
            **plan_artifacts(FOLDER, encode(3, 0, 0)).hashes(),
            **plan_artifacts(FOLDER, encode(3, 0, 1)).hashes(),
        },
        status_when_killed="CRASHED",
    )
    reader = ReaderRecord(reads=1, sights={"r": {"shared-0": [(0, first(0)), (1, second(0))]}})
    return Evidence(
        runs=[run],
        listed=["r"],
        writers=[WriterRecord("writer-1", [], 9, 9), WriterRecord("writer-2")],
        readers=[reader],
        forks={100: ""},
        experiments={"born": [1, 1]},
        entry_ns=[10**6],
        # One after the other, the second from the instant on at which the first was over; and another lock meanwhile.
        holds={
            "r.lock": [Hold(30, 40, "1-1", 7), Hold(10, 20, "1-1", 7), Hold(20, 30, "2-1", 7)],
            "s.lock": [Hold(15, 35, "2-1", 8)],
        },
    )


def lose_a_point(evidence: Evidence) -> None:
    run = evidence.runs[0]
    del run.histories["shared-0"][3]
    run.last_values["shared-0"] = run.histories["shared-0"][-1][1]


def store_a_point_twice(evidence: Evidence) -> None:
    history = evidence.runs[0].histories["shared-0"]
    history.append((4, history[3][1]))


def invent_a_point(evidence: Evidence) -> None:
    run = evidence.runs[0]
    run.histories["shared-0"].append((4, encode(2, 1, 77)))
    run.last_values["shared-0"] = encode(2, 1, 77)


def move_a_point_to_another_key(evidence: Evidence) -> None:
    run = evidence.runs[0]
    run.histories["shared-1"] = [(0, encode(1, 0, 0))]
    run.last_values["shared-1"] = encode(1, 0, 0)


def tear_the_call_under_way(evidence: Evidence) -> None:
    run = evidence.runs[0]
    del run.histories["batch-1"], run.last_values["batch-1"]


def swap_points(evidence: Evidence) -> None:
    history = evidence.runs[0].histories["shared-0"]
    history[1], history[2] = (1, history[2][1]), (2, history[1][1])


def change_a_step(evidence: Evidence) -> None:
    evidence.runs[0].histories["own-1-0"] = [(0, encode(1, 0, 1))]


def leave_a_gap_in_steps(evidence: Evidence) -> None:
    evidence.runs[0].histories["shared-0"][3] = (4, encode(1, 0, 2))


def bring_back_an_old_param(evidence: Evidence) -> None:
    evidence.runs[0].params["shared"] = param_value(encode(1, 0, 2))


def tear_a_param(evidence: Evidence) -> None:
    evidence.runs[0].params["shared"] = {"logged": encode(2, 1, 2)}


def lose_a_param(evidence: Evidence) -> None:
    evidence.runs[0].params.clear()


def lose_an_artifact(evidence: Evidence) -> None:
    del evidence.runs[0].artifacts[min(plan_artifacts(FOLDER, encode(3, 0, 0)).texts)]


def tear_an_artifact(evidence: Evidence) -> None:
    evidence.runs[0].artifacts[min(plan_artifacts(FOLDER, encode(3, 0, 0)).texts)] = "torn"


def tear_the_folder_under_way(evidence: Evidence) -> None:
    del evidence.runs[0].artifacts[min(plan_artifacts(FOLDER, encode(3, 0, 1)).texts)]


def invent_an_artifact(evidence: Evidence) -> None:
    evidence.runs[0].artifacts["stranger"] = "x"


def show_an_older_value(evidence: Evidence) -> None:
    evidence.runs[0].last_values["shared-0"] = encode(2, 1, 1)


def show_a_hidden_point(evidence: Evidence) -> None:
    rewind(evidence)
    run = evidence.runs[0]
    assert run.shown is not None
    run.shown["own-1-0"] = list(run.histories["own-1-0"])


def hide_too_much(evidence: Evidence) -> None:
    rewind(evidence)
    run = evidence.runs[0]
    assert run.shown is not None
    run.shown["shared-0"].pop(0)


def rewind(evidence: Evidence) -> None:
    """What writer 1 logged past step 0 is hidden, and writer 2 logged after that; the evidence is sound."""
    run = evidence.runs[0]
    run.rewinds = [(1, -1), (2, 0)]
    run.shown = {}
    for key, history in run.histories.items():
        by_1, by_2 = ([point for point in history if decode(point[1])[0] == writer] for writer in (1, 2))  # type: ignore
        run.shown[key] = [point for point in by_1 if point[0] <= 0] + by_2
    run.last_values = {key: history[-1][1] for key, history in run.shown.items() if history}


def leave_it_running(evidence: Evidence) -> None:
    evidence.runs[0].status = "RUNNING"


def keep_a_dead_owner_alive(evidence: Evidence) -> None:
    evidence.runs[0].status_when_killed = "RUNNING"


def shrink_a_history(evidence: Evidence) -> None:
    evidence.readers[0].sights["r"]["own-1-0"] = [(1, encode(1, 0, 1)), (5, encode(1, 0, 5))]


def rewrite_a_history(evidence: Evidence) -> None:
    evidence.readers[0].sights["r"]["shared-0"][1] = (1, encode(2, 1, 1))


def see_a_history_shrink(evidence: Evidence) -> None:
    evidence.readers[0].shrunk.append("run r: shared-0: 5 points seen, then 4")


def hold_beside(evidence: Evidence, process: str, thread: int) -> None:
    evidence.holds["r.lock"].append(Hold(19, 21, process, thread))


def hold_around(evidence: Evidence) -> None:
    """A hold that spans several others: each of them overlaps with it, not with its neighbour."""
    evidence.holds["r.lock"].append(Hold(1, 100, "3-1", 7))


DOCTORED: Dict[str, Dict[str, Callable[[Evidence], None]]] = {
    "acknowledged_exactly_once": {"a missing point": lose_a_point, "a duplicate": store_a_point_twice},
    "nothing_invented": {
        "an invented point": invent_a_point,
        "a point under another key": move_a_point_to_another_key,
        "half of a killed call": tear_the_call_under_way,
    },
    "order_kept": {"reordered points": swap_points},
    "steps_kept": {"another step than given": change_a_step, "a gap": leave_a_gap_in_steps},
    "params_whole": {"an old value": bring_back_an_old_param, "half a value": tear_a_param, "none": lose_a_param},
    "artifacts_whole": {
        "a missing file": lose_an_artifact,
        "half a file": tear_an_artifact,
        "half of a killed call's folder": tear_the_folder_under_way,
        "an invented file": invent_an_artifact,
    },
    "last_values_agree": {"an older value": show_an_older_value},
    "rewinds_kept": {"a hidden point": show_a_hidden_point, "a point less": hide_too_much},
    "statuses_told": {
        "not ended": leave_it_running,
        "alive though killed": keep_a_dead_owner_alive,
        "dead though alive": lambda evidence: evidence.readers[0].declared_dead.append("run r read as CRASHED"),
    },
    "every_run_listed": {
        "a missing run": lambda evidence: evidence.listed.clear(),
        "a run twice": lambda evidence: evidence.listed.append("r"),
        "an unknown run": lambda evidence: evidence.listed.append("stranger"),
    },
    "every_call_returns": {"an error": lambda evidence: evidence.writers[0].errors.append("OSError")},
    "readers_see_no_error": {
        "in a reader": lambda evidence: evidence.readers[0].errors.append("OSError"),
        "at the end": lambda evidence: evidence.reading_errors.append("OSError"),
    },
    "history_never_shrinks": {
        "shorter at the end": shrink_a_history,
        "another point at the end": rewrite_a_history,
        "shorter on the way": see_a_history_shrink,
    },
    "acknowledged_is_visible": {"not seen": lambda evidence: evidence.readers[0].unseen.append("run r: shared-0")},
    "readers_see_whole_values": {"half seen": lambda evidence: evidence.readers[0].torn.append("run r: param shared")},
    "one_experiment_a_name": {
        "two ids": lambda evidence: evidence.experiments["born"].append(2),
        "one id for two": lambda evidence: evidence.experiments.update(other=[1]),
    },
    "no_two_holders": {
        "another process": lambda evidence: hold_beside(evidence, "3-1", 7),
        "another thread": lambda evidence: hold_beside(evidence, "1-1", 9),
        "around others": hold_around,
    },
    "next_writer_enters": {"a wait": lambda evidence: evidence.entry_ns.append(60 * 10**9)},
    "forked_children_start_clean": {"trouble": lambda evidence: evidence.forks.update({101: "it hung"})},
    "no_litter": {"a temporary": lambda evidence: evidence.litter.append("0/r/.tmp-1")},
    "tree_verifies_clean": {"a finding": lambda evidence: evidence.findings.append("0/r/meta.yaml: torn-meta: ...")},
    "no_descriptor_leaks": {"one more": lambda evidence: evidence.writers.append(WriterRecord("writer-3", [], 9, 10))},
}


def test_honest_evidence_breaks_nothing() -> None:
    assert judge(honest_evidence()) == []
    evidence = honest_evidence()
    rewind(evidence)
    assert judge(evidence) == []


def test_call_under_way_may_be_absent() -> None:
    evidence = honest_evidence()
    for key in ("batch-0", "batch-1"):
        del evidence.runs[0].histories[key], evidence.runs[0].last_values[key]
    evidence.runs[0].params["shared"] = param_value(encode(1, 0, 3))
    assert judge(evidence) == []


def test_every_guarantee_has_a_sentence_and_doctored_evidence() -> None:
    assert [guarantee.__name__ for guarantee in GUARANTEES] == list(DOCTORED)
    assert all(sentence(guarantee).endswith(".") for guarantee in GUARANTEES)


@pytest.mark.parametrize(
    ("guarantee", "doctored"), [(guarantee, way) for guarantee, ways in DOCTORED.items() for way in ways]
)
def test_guarantee_notices(guarantee: str, doctored: str) -> None:
    evidence = honest_evidence()
    DOCTORED[guarantee][doctored](evidence)
    broken = {broken.guarantee: broken.details for broken in judge(evidence)}
    assert guarantee in broken
    assert all(broken[guarantee])


def test_what_a_process_recorded_is_read_back_from_every_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    lock, other = name_lock("/tree/.locks/0/r.lock"), name_lock("/tree/.locks/0/s.lock")
    # More than a page and one larger file hold.
    holds = [(lock if number % 3 else other, 2 * number, 2 * number + 1) for number in range(9_000)]
    for number, hold in enumerate(holds):
        recording.note_hold(*hold)
        recording.note_commit(number % 5)
    files = [read_recorded(path) for path in tmp_path.iterdir()]
    assert len(files) == 3
    assert sum(file.commits for file in files) == 9_000
    assert sum(file.changes for file in files) == 18_000
    for name in (lock, other):
        found = [hold for file in files for hold in file.holds[name]]
        assert sorted(hold[:2] for hold in found) == [hold[1:] for hold in holds if hold[0] == name]
        assert len({hold.process for hold in found}) == 1


SOURCES = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)
def test_mechanism_can_still_be_taken_out(mechanism: Mechanism, tmp_path: Path) -> None:
    package = SOURCES / "src" / "mini_mlflow"
    for edit in mechanism.edits:
        copy = tmp_path / edit.path
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text((package / edit.path).read_text(encoding="utf-8"), encoding="utf-8")
        before = copy.read_text(encoding="utf-8")
        apply(edit, tmp_path)
        assert copy.read_text(encoding="utf-8") != before
        compile(copy.read_text(encoding="utf-8"), edit.path, "exec")
    if isinstance(mechanism.proof, Fails):
        file, _, test = mechanism.proof.test.partition("::")
        assert f"def {test.partition('[')[0]}(" in (SOURCES / file).read_text(encoding="utf-8")


def test_edit_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("twice = twice\n")
    for old in ("never", "twice"):
        with pytest.raises(CouldNotTell, match="should hold once"):
            apply(Edit("module.py", old, ""), tmp_path)
    assert (tmp_path / "module.py").read_text() == "twice = twice\n"


@pytest.mark.parametrize(
    ("untouched", "touched", "status"),
    [
        ("passed", "failed", HELD),
        ("passed", "passed", BROKEN),
        ("failed", "failed", COULD_NOT_RUN),
        ("passed", "left with status 4", COULD_NOT_RUN),
    ],
)
def test_removal_counts_as_noticed_only_where_what_fails_passes_otherwise(
    untouched: str, touched: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = (SOURCES / "src" / "mini_mlflow" / "disk" / "locks.py").read_text(encoding="utf-8")

    def run(self: Trial, proof: object, source: Path) -> str:
        copy = (source / "mini_mlflow" / "disk" / "locks.py").read_text(encoding="utf-8")
        return untouched if copy == original else touched

    monkeypatch.setattr(Trial, "_run", run)
    (mechanism,) = [mechanism for mechanism in MECHANISMS if mechanism.name == "file lock"]
    assert try_all([mechanism], None) == status


def test_unknown_mechanism_is_refused() -> None:
    with pytest.raises(SystemExit) as left:
        try_mechanisms(["luck"])
    assert left.value.code == COULD_NOT_RUN


def test_readme_of_stress_names_every_mechanism_scenario_and_guarantee() -> None:
    readme = (SOURCES / "stress" / "README.md").read_text(encoding="utf-8")
    for mechanism in MECHANISMS:
        row = next(line for line in readme.split("\n") if line.startswith(f"| {mechanism.name} "))
        what = mechanism.proof.test if isinstance(mechanism.proof, Fails) else mechanism.proof.scenario
        assert what.rpartition("::")[2].rpartition("/")[2] in row
    assert [name for name in SCENARIOS if f"| `{name}`" not in readme] == []
    told = " ".join(readme.split())
    assert [sentence(one) for one in GUARANTEES if sentence(one) not in told] == []
