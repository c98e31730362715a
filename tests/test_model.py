"""A run against a model of plain dicts and lists: whatever is done to it, in any order, by three processes.

Each rule is a call, made whole, killed at its n-th file system step, refused by the disk there, or made in a forked
child. After each, a reader sees what the model says, and the files hold together. The thresholds are lowered, so that
a few calls fold, seal and merge.

The processes are simulated in this one (`stress.power.processes`), which makes a kill cost nothing and an example
repeatable; forks are real. By default the same few examples run each time. A long search, with new ones::

    pytest tests/test_model.py --model-examples 20000 --timeout 0
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import ExitStack
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from faults import FaultyOs, Step, fail, kill, list_litter, make_source, quick_folder, read_stored, seams
from mini_mlflow import ExperimentTracker, Point, Run, RunEndedError, RunNotFoundError, TagNotFoundError, run_stack
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import RunAddress
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_view import read_run
from mini_mlflow.writing.amending import amend_at
from mini_mlflow.writing.operations import batch_submission
from stress.power.processes import Killed, SimulatedProcess
from stress.power.replacing import replaced
from stress.power.thresholds import lowered
from stress.power.workloads import RATIONS
from tree_check import check_tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

RUN_ID = "r"
DONE, HAS_ENDED = 0, 3
# By default; each call costs some milliseconds.
EXAMPLES, CALLS = 25, 30
MOVES = ("delete", "restore", "gc")
AMENDMENTS = ("amend", "untag")
#: What is called, and with what.
Call = Tuple[str, Any]

KEYS = ["loss", "acc", "ключ 1"]
keys = st.sampled_from(KEYS)
params = st.sampled_from([1, "text", None, [1, {"deep": True}], 0.5])
numbers = st.sampled_from([0.0, 1.5, -2.0, float("nan"), float("inf")])
steps = st.sampled_from([None, None, None, 0, 7])
logged = st.one_of(
    st.tuples(st.just("params"), st.dictionaries(keys, params, min_size=1)),
    st.tuples(st.just("tags"), st.dictionaries(keys, params, min_size=1, max_size=2)),
    st.tuples(st.just("metrics"), st.tuples(st.dictionaries(keys, numbers, min_size=1), steps)),
    st.tuples(st.just("metrics"), st.tuples(st.fixed_dictionaries({"loss": numbers}), steps)),
    st.tuples(st.just("point"), st.tuples(keys, numbers, steps, st.integers(5, 6))),
)
rewinds = st.tuples(st.just("rewind"), st.sampled_from([-1, 0, 1, 2, 6]))
artifacts = st.one_of(
    st.tuples(st.just("text"), st.tuples(st.sampled_from(["f", "d/x", "d/猫"]), st.sampled_from(["1", "22"]))),
    st.tuples(
        st.just("folder"),
        st.tuples(
            st.sampled_from(["", "d/", "e/f/"]),
            st.sampled_from([{"x": "a"}, {"x": "bb", "z/w": "c"}, {"z/w": "d", "y": ""}]),
        ),
    ),
)
amendments = st.one_of(
    st.tuples(
        st.just("amend"),
        st.tuples(st.dictionaries(keys, numbers), st.dictionaries(keys, params, min_size=1, max_size=2)),
    ),
    st.tuples(st.just("untag"), keys),
)
ends = st.tuples(st.just("end"), st.sampled_from(["FINISHED", "FAILED", "KILLED"]))
flushes = st.tuples(st.just("flush"), st.none())
starts = st.tuples(st.just("start"), st.none())
#: A run that lies in the trash is mostly restored soon: little can happen to it there.
moves = st.tuples(st.sampled_from(["delete", "restore", "restore", "restore", "gc"]), st.none())
calls = st.one_of(logged, logged, rewinds, artifacts, amendments, flushes, flushes, ends, starts, moves)
#: The status of a run in the trash, before the one that it had.
DELETED = "DELETED"
processes = st.sampled_from([0, 0, 0, 1, 1, 2])
# Most calls have fewer steps than thirty; of those that have more, the first thirty are tried.
ats = st.integers(1, 30)
errors = st.sampled_from(["ENOSPC", "EIO", "EINTR"])


class Seen(NamedTuple):
    """As `faults.Stored`, with the points that are hidden too in ``logged``."""

    status: str
    params: Dict[str, Any]
    tags: Dict[str, Any]
    metrics: Dict[str, float]
    histories: Dict[str, List[Tuple[int, float]]]
    artifacts: Dict[str, Optional[bytes]]
    logged: Dict[str, List[Tuple[int, float]]]


def read_seen(root: str) -> Optional[Seen]:
    """The run as it stands, its latest points as its histories say; None if there is none."""
    stored = read_stored(root, RUN_ID)
    if stored is None:
        return None
    address = RunAddress(root, 0, RUN_ID)
    paths = RunPaths.in_trash(address) if is_deleted(stored) else RunPaths.of(address)
    histories = {key: read_history(paths, key) for key in KEYS}
    latest = {key: max(found.shown, key=rank) for key, found in histories.items() if found.shown}
    assert repr(sorted(read_run(paths).latest_metrics().items())) == repr(sorted(latest.items()))
    logged = {key: found.stored for key, found in histories.items()}
    return Seen(*stored[:6], {key: [point[:2] for point in points] for key, points in logged.items() if points})


def rank(point: Point) -> Any:
    return point.step, point.timestamp, 0.0 if point.value != point.value else point.value


def predict(before: Optional[Seen], call: Call) -> Optional[Seen]:
    """What the call makes of a run that is not ended, or, a start, an artifact or an amendment, of any."""
    kind, argument = call
    if kind in MOVES:
        return _moved(before, kind)
    if before is None:
        return Seen("RUNNING", {}, {}, {}, {}, {}, {})
    if kind in ("params", "tags", *AMENDMENTS):
        return _with_values(before, kind, argument)
    if kind == "metrics":
        return _with_points(before, *argument)
    if kind == "point":
        return _with_points(before, {argument[0]: argument[1]}, argument[2])
    if kind == "rewind":
        kept = {key: [one for one in points if one[0] <= argument] for key, points in before.histories.items()}
        histories = {key: points for key, points in kept.items() if points}
        return before._replace(metrics={key: points[-1][1] for key, points in histories.items()}, histories=histories)
    if kind in ("text", "folder"):
        return _with_artifacts(before, *(("", dict([argument])) if kind == "text" else argument))
    statuses = {"end": argument, "start": "RUNNING", "flush": before.status}
    return before._replace(status=statuses[kind])


def _with_values(before: Seen, kind: str, argument: Any) -> Seen:
    if kind == "amend":
        return _with_points(before._replace(tags=dict(before.tags, **argument[1])), argument[0], None)
    if kind == "untag":
        return before._replace(tags={key: value for key, value in before.tags.items() if key != argument})
    return before._replace(**{kind: dict(getattr(before, kind), **argument)})


def _moved(before: Optional[Seen], kind: str) -> Optional[Seen]:
    """What a call for the trash makes of a run; itself where it is refused, or finds nothing."""
    if before is None or is_deleted(before) == (kind == "delete"):
        return before
    if kind == "gc":
        return None
    return before._replace(status=DELETED + before.status if kind == "delete" else before.status[len(DELETED) :])


def is_deleted(stored: Any) -> bool:
    return stored is not None and stored.status.startswith(DELETED)


def _with_points(before: Seen, points: Dict[str, float], step: Optional[int]) -> Seen:
    histories, logged = dict(before.histories), dict(before.logged)
    for key, value in points.items():
        known = histories.get(key, [])
        point = (len(known) if step is None else step, value)
        histories[key] = [*known, point]
        logged[key] = [*logged.get(key, []), point]
    return before._replace(metrics=dict(before.metrics, **points), histories=histories, logged=logged)


def _with_artifacts(before: Seen, folder: str, texts: Dict[str, str]) -> Seen:
    found = dict(before.artifacts)
    for name, text in texts.items():
        path = folder + name
        found[path] = text.encode()
        while "/" in path:
            path = path.rpartition("/")[0]
            found[path] = None
    return before._replace(artifacts=found)


def comparable(stored: Optional[Seen]) -> Any:
    """NaN is equal to nothing, also not to itself. A reader sees of a deleted run that it is."""
    if stored is None:
        return None
    return repr([sorted(part.items()) for part in stored[1:]]), DELETED if is_deleted(stored) else stored.status


def make(call: Call, run: Optional[Run], tracker: ExperimentTracker) -> Optional[Run]:
    """Makes the call on a run that is open, or opens it."""
    kind, argument = call
    if kind in MOVES:
        {"delete": tracker.delete_run, "restore": tracker.restore_run, "gc": lambda run_id: tracker.gc()}[kind](RUN_ID)
        return run
    if kind == "start":
        run = tracker.start_run(run_id=RUN_ID, nested=True)
        run_stack.discard(run)
        return run
    assert run is not None
    if kind == "metrics":
        run.log_metrics(argument[0], step=argument[1])
    elif kind == "point":
        run.log_metric(*argument)
    elif kind in AMENDMENTS:
        amend_run(call, tracker)
    elif kind == "flush":
        run.flush()
    elif kind == "text":
        run.log_text(argument[1], argument[0])
    elif kind == "folder":
        run.log_artifacts(find_source(argument[1], tracker), argument[0].rstrip("/") or None)
    else:
        {"params": run.log_params, "tags": run.set_tags, "end": run.end, "rewind": run.rewind}[kind](argument)
    return run


def amend_run(call: Call, tracker: ExperimentTracker) -> None:
    kind, argument = call
    if kind == "amend":
        points = [(key, value, None, 1) for key, value in argument[0].items()]
        address = RunAddress(tracker.runs_dir, 0, RUN_ID)
        amend_at(address, tracker._settings, batch_submission(points, None, argument[1]))
        return
    try:
        tracker.delete_tag(RUN_ID, argument)
    except TagNotFoundError:
        # Then there is nothing to delete; were there, the reader would see it still.
        pass


def find_source(texts: Dict[str, str], tracker: ExperimentTracker) -> str:
    """A folder with such files, beside the tree."""
    folder = "%s-source-%s" % (tracker.runs_dir, "-".join(texts.values()))
    return make_source(folder, **{name.replace("/", "__"): text for name, text in texts.items()})


def die(step: Step) -> Any:
    """What `faults.kill` does, to a simulated process: no later step comes through either."""
    if step.name == "close":
        return step.carry_out()
    if step.name == "write":
        descriptor, data = step.arguments
        os.write(descriptor, data[: len(data) // 2])
    raise Killed


class RunMachine(RuleBasedStateMachine):
    """One run, three processes, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.root = os.path.join(self.stack.enter_context(quick_folder()), "mlruns")
        os.mkdir(self.root)
        self.disk = FaultyOs()
        self.stack.enter_context(replaced(seams(self.disk)))
        self.processes = [SimulatedProcess(pid=1000 + number) for number in range(3)]
        self.runs: List[Optional[Run]] = [None] * 3
        self.model: Optional[Seen] = None
        # The process that holds the owner lock.
        self.owner: Optional[int] = None

    @initialize(ration=st.sampled_from(sorted(RATIONS)), fsync=st.sampled_from(["end", "always", "never"]))
    def set_thresholds(self, ration: str, fsync: str) -> None:
        self.stack.enter_context(lowered(**RATIONS[ration]))
        self.tracker = ExperimentTracker(runs_dir=self.root, fsync=fsync)

    def teardown(self) -> None:
        for process in self.processes:
            process.die()
        self.stack.close()

    # -- the rules ---------------------------------------------------------------------------------------------

    @rule(number=processes, call=calls)
    def call_whole(self, number: int, call: Call) -> None:
        call = self._possible(number, call)
        if call[0] in MOVES or is_deleted(self.model):
            self._call_about_trash(number, call)
            return
        ended = self._has_ended_for(number, call)
        error = self._make(number, call)
        assert isinstance(error, RunEndedError) if ended else error is None
        self._settle(number, call, error)
        if call[0] == "end" and not ended:
            assert list_litter(self.root) == []

    def _call_about_trash(self, number: int, call: Call) -> None:
        """A call for the trash, or one for a run that lies there."""
        error = self._make(number, call)
        if call[0] not in MOVES:
            # A handle that knows of an end is told of that.
            assert isinstance(error, RunEndedError)
            return
        refused = (self.model is None or is_deleted(self.model)) if call[0] == "delete" else not is_deleted(self.model)
        if call[0] == "gc":
            assert error is None
        else:
            assert isinstance(error, RunNotFoundError) if refused else error is None
        self._adopt(predict(self.model, call), exactly=True)

    @rule(number=processes, call=calls, at=ats)
    def call_killed(self, number: int, call: Call, at: int) -> None:
        call = self._possible(number, call)
        after = self.model if self._is_refused(number, call) else predict(self.model, call)
        with self.disk.armed(die, at, lasting=True):
            self._make(number, call)
        self._bury(number)
        was_over = self._is_over()
        self._adopt(after)
        if was_over and not self._is_over() and call[0] == "start":
            # It had taken the run over, and took that to its grave.
            self.owner = None

    @rule(number=processes, call=calls, at=ats, error_name=errors)
    def call_refused(self, number: int, call: Call, at: int, error_name: str) -> None:
        call = self._possible(number, call)
        if call[0] in MOVES or is_deleted(self.model):
            self._trash_call_refused(number, call, at, error_name)
            return
        ended = self._has_ended_for(number, call)
        with self.disk.armed(fail(getattr(errno, error_name)), at):
            error = self._make(number, call)
        if isinstance(error, OSError):
            assert self.disk.struck is not None
            assert error.filename
            if call[0] == "start" and self.owner == number and self._is_over():
                # It was resuming a run of its own, which another had ended unbeknown to it.
                self.owner = None
        else:
            assert isinstance(error, RunEndedError) if ended else error is None
            self._settle(number, call, error)

    def _trash_call_refused(self, number: int, call: Call, at: int, error_name: str) -> None:
        with self.disk.armed(fail(getattr(errno, error_name)), at):
            error = self._make(number, call)
        assert isinstance(error, (OSError, RunEndedError, type(None)))
        self._adopt(predict(self.model, call) if call[0] in MOVES and error is None else self.model, exactly=True)

    @rule(number=processes)
    def process_killed_between_calls(self, number: int) -> None:
        self._bury(number)

    @rule(number=processes, call=st.one_of(logged, logged, rewinds, artifacts), at=st.one_of(st.just(0), ats))
    def forked_child_calls(self, number: int, call: Call, at: int) -> None:
        """A child logs to its parent's run or rewinds it, and leaves or is killed at a step; the parent goes on."""
        run = self.runs[number]
        if run is None or self.model is None:
            return
        ended = self._is_refused(number, call)
        after = self.model if ended else predict(self.model, call)
        status = self._in_child(number, lambda: self._make(number, call), at)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            self._adopt(after)
        else:
            assert os.WEXITSTATUS(status) == (HAS_ENDED if ended else DONE)
            self.model = after

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def readers_see_the_model(self) -> None:
        assert comparable(read_seen(self.root)) == comparable(self.model)
        if self.model is not None and not is_deleted(self.model):
            told = self.tracker.get_run(RUN_ID)["metadata"]["status"]
            crashed = self.model.status == "RUNNING" and self.owner is None
            assert told == ("CRASHED" if crashed else self.model.status)

    @invariant()
    def files_hold_together(self) -> None:
        check_tree(self.root, leftovers=True)

    # -- the model's book-keeping ------------------------------------------------------------------------------

    def _possible(self, number: int, call: Call) -> Call:
        """A process that has not opened the run opens it."""
        if call[0] in MOVES:
            return call
        return call if self.runs[number] is not None and self.model is not None else ("start", None)

    def _make(self, number: int, call: Call) -> Optional[BaseException]:
        try:
            with self.processes[number].running():
                self.runs[number] = make(call, self.runs[number], self.tracker)
        except (OSError, RunEndedError, Killed) as error:
            return error
        return None

    def _is_over(self) -> bool:
        return self.model is not None and self.model.status not in ("RUNNING", DELETED + "RUNNING")

    def _has_ended_for(self, number: int, call: Call) -> bool:
        """Whether the call must be told that the run has ended. A handle that was told so once is told so again."""
        run = self.runs[number]
        return call[0] not in ("start", "text", "folder", *AMENDMENTS) and (
            self._is_over() or (run is not None and not run.is_open())
        )

    def _is_refused(self, number: int, call: Call) -> bool:
        return (is_deleted(self.model) and call[0] not in MOVES) or (
            call[0] not in MOVES and self._has_ended_for(number, call)
        )

    def _settle(self, number: int, call: Call, error: Optional[BaseException]) -> None:
        was_over = self._is_over()
        if error is None:
            self.model = predict(self.model, call)
        if call[0] == "start":
            # Who resumes a run takes it over from a former owner that has not learned of the end.
            self.owner = number if self.owner is None or was_over else self.owner
        elif self.owner == number and (
            call[0] == "end" or (error is not None and call[0] != "flush") or (was_over and call[0] in AMENDMENTS)
        ):
            # Who is told of an end, or finds it, lets go of the run; a flush alone does not.
            self.owner = None

    def _bury(self, number: int) -> None:
        self.processes[number].die()
        self.processes[number] = SimulatedProcess(pid=self.processes[number].pid + 10)
        self.runs[number] = None
        if self.owner == number:
            self.owner = None

    def _adopt(self, after: Optional[Seen], exactly: bool = False) -> None:
        """Of a call that was killed, all is there or nothing; ``exactly``: it has come about."""
        seen = read_seen(self.root)
        assert comparable(seen) in ([comparable(after)] if exactly else [comparable(self.model), comparable(after)])
        # What a reader does not tell of a run in the trash, the model knows.
        self.model = after if comparable(seen) == comparable(after) else self.model
        if self.model is None:
            # Gone for good: every handle is that of a former run.
            self.runs = [None] * 3
            self.owner = None

    def _in_child(self, number: int, work: Callable[[], Optional[BaseException]], at: int) -> int:
        """The status of a child that did it: killed, or 0 for done, 3 for "has ended", 1 for anything else."""
        with self.processes[number].running():
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    with self.disk.armed(kill if at else lambda step: step.carry_out(), max(at, 1)):
                        error = work()
                    code = {type(None): DONE, RunEndedError: HAS_ENDED}.get(type(error), 1)
                finally:
                    os._exit(code)
        return os.waitpid(child, 0)[1]


@pytest.mark.long
def test_run_is_what_a_dict_of_lists_would_be(request: pytest.FixtureRequest) -> None:
    examples = request.config.getoption("--model-examples")
    chosen = settings(
        max_examples=examples or max(1, EXAMPLES // min(3, request.config.getoption("--one-in"))),
        stateful_step_count=CALLS,
        derandomize=examples is None,
        # Shrinking takes minutes, longer than a test may: it is left to the long search.
        phases=(Phase.generate,) if examples is None else tuple(Phase),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(RunMachine, settings=chosen)
