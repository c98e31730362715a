"""Faults at exact file system steps: the name ``os`` of `disk.atomic` and `disk.copying`, replaced by a counting proxy.

Those modules alone change the file system, so every step of an operation passes here: the n-th one of the thread that
armed the proxy can be made to fail, to kill the process, to be interrupted, or to be joined by other work. What the
proxy counts but does not carry out is fsync: no test here cuts the power, and a disk takes milliseconds for each.
"""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow import ExperimentTracker, Run, RunNotFoundError
from mini_mlflow.disk import atomic, copying, linux
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.entities import Experiment, RunAddress, resolve_settings
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_view import read_run
from mini_mlflow.run import _reopen
from mini_mlflow.upkeep import repair
from mini_mlflow.writing.amending import amend, amend_at
from mini_mlflow.writing.experiments import take_in
from mini_mlflow.writing.operations import batch_submission
from mini_mlflow.writing.start_request import StartRequest
from stress.power import thresholds

RUN_ID = "r"
# An operation that has many steps has some dozens; an enumeration that does not end by then never would.
MOST_STEPS = 300

STEPS = frozenset(
    "open write fsync fdatasync close replace rename link symlink unlink remove mkdir rmdir makedirs removedirs "
    "truncate ftruncate chmod utime copy_file_range sendfile clone exchange".split()
)


class Step(NamedTuple):
    """One call that changes or syncs the file system; ``carry_out`` does it."""

    name: str
    arguments: Tuple[Any, ...]
    carry_out: Callable[[], Any]


#: What happens instead of the step; what it returns, the engine takes for the step's result.
Fault = Callable[[Step], Any]


def fail(number: int) -> Fault:
    """The step fails as the system reports it, with the paths in the error that the system would put there."""

    def strike(step: Step) -> Any:
        if step.name == "close":
            # Linux frees the descriptor whatever close(2) reports.
            step.carry_out()
        paths = [argument for argument in step.arguments if isinstance(argument, str)]
        if not paths:
            raise OSError(number, os.strerror(number))
        raise OSError(number, os.strerror(number), paths[0], None, *paths[1:2])

    return strike


def kill(step: Step) -> Any:
    """The process is killed before the step, half way where the step is a write."""
    if step.name == "write":
        descriptor, data = step.arguments
        os.write(descriptor, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt_before(step: Step) -> Any:
    """Ctrl-C comes just before the step."""
    raise KeyboardInterrupt


def interrupt_after(step: Step) -> Any:
    """Ctrl-C comes just after the step, before its result is known."""
    try:
        step.carry_out()
    finally:
        raise KeyboardInterrupt


def call_before(function: Callable[[], Any]) -> Fault:
    """``function`` runs in the same thread, just before the step: what a signal handler is."""

    def strike(step: Step) -> Any:
        function()
        return step.carry_out()

    return strike


def call_after(function: Callable[[], Any]) -> Fault:
    """``function`` runs in the same thread, just after the step, also after one that fails of itself."""

    def strike(step: Step) -> Any:
        try:
            return step.carry_out()
        finally:
            function()

    return strike


def write_one_byte(step: Step) -> Any:
    """write(2) takes a single byte, as it may; other steps are not touched."""
    if step.name != "write":
        return step.carry_out()
    descriptor, data = step.arguments
    return os.write(descriptor, data[:1])


class FaultyOs:
    """Stands in for the module ``os``; harmless until `armed`.

    Attributes:
        steps: names of the steps counted since it was armed.
        struck: what the fault struck at; None if the operation had fewer steps.
    """

    def __init__(self) -> None:
        self.steps: List[str] = []
        self.struck: Optional[Step] = None
        self._fault: Optional[Fault] = None
        self._at = 0
        self._lasting = False
        self._thread = 0

    def __getattr__(self, name: str) -> Any:
        return self.stand_in(os, name)

    def stand_in(self, module: Any, name: str) -> Any:
        """What the module has under that name; steps are counted."""
        real = getattr(module, name)
        if name not in STEPS:
            return real

        def take_step(*arguments: Any, **options: Any) -> Any:
            carry_out = (lambda: None) if name in ("fsync", "fdatasync") else lambda: real(*arguments, **options)
            return self._take(Step(name, arguments, carry_out))

        return take_step

    def _take(self, step: Step) -> Any:
        fault = self._fault
        if fault is None or self._thread != threading.get_ident():
            return step.carry_out()
        self.steps.append(step.name)
        if len(self.steps) < self._at or (self.struck is not None and not self._lasting):
            return step.carry_out()
        if self.struck is None:
            self.struck = step
        return fault(step)

    @contextmanager
    def armed(self, fault: Fault, at: int = 1, lasting: bool = False) -> Iterator[FaultyOs]:
        """Within the block, ``fault`` strikes at this thread's step ``at``, with ``lasting`` at all later ones too."""
        self.steps, self.struck = [], None
        self._at, self._lasting, self._thread = at, lasting, threading.get_ident()
        self._fault = fault
        try:
            yield self
        finally:
            self._fault = None
            gc.enable()


class _FaultyLinux:
    def __init__(self, proxy: FaultyOs) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        return self._proxy.stand_in(linux, name)


def seams(proxy: FaultyOs) -> List[Tuple[Any, str, Any]]:
    """Where the proxy must stand: module, name, and what it has under that name."""
    return [(atomic, "os", proxy), (copying, "os", proxy), (copying, "linux", _FaultyLinux(proxy))]


def install(monkeypatch: Any) -> FaultyOs:
    """The proxy, in place until the test's end."""
    proxy = FaultyOs()
    for seam in seams(proxy):
        monkeypatch.setattr(*seam)
    return proxy


# What a longer search raises: of the lines that a call runs, so many are tried; all of them if they are fewer.
LINES_TRIED = 100
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(atomic.__file__)))


class Moment:
    """A moment of a call.

    Attributes:
        where: the line at which it came; None if the call was over before.
        passed: the lines run until then, each as its code and its number.
    """

    def __init__(self) -> None:
        self.where: Optional[str] = None
        self.passed: List[Tuple[Any, int]] = []


@contextmanager
def at_line(number: int, function: Callable[[], Any] = lambda: None) -> Iterator[Moment]:
    """Within the block, ``function`` is called once, before the ``number``-th line (from 1) of the engine's code.

    What it raises comes out of that line, as an interrupt does; what it does is what a signal handler does.
    """
    moment = Moment()

    def trace_call(frame: Any, event: str, argument: Any) -> Any:
        # Not finalizers: when they run is the collector's business, and Python drops what is raised in them.
        if "__del__" in (frame.f_code.co_name, frame.f_back.f_code.co_name):
            return None
        return trace_line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def trace_line(frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and moment.where is None:
            moment.passed.append((frame.f_code, frame.f_lineno))
            if len(moment.passed) == number:
                moment.where = "%s, called from %s" % (_tell(frame), _tell(frame.f_back))
                sys.settrace(None)
                function()
        return trace_line

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        yield moment
    finally:
        sys.settrace(before)


def _tell(frame: Any) -> str:
    name = os.path.relpath(frame.f_code.co_filename, PACKAGE)
    return "%s:%d in %s" % (name, frame.f_lineno, frame.f_code.co_name)


def choose_lines(call: Callable[[], Any]) -> List[int]:
    """The numbers for `at_line` that are worth trying on ``call``, after which there is nothing new."""
    with at_line(0) as moment:
        call()
    # The first and the last time of each line; in between, loops repeat themselves.
    first: Dict[Tuple[Any, int], int] = {}
    last: Dict[Tuple[Any, int], int] = {}
    for number, line in enumerate(moment.passed, 1):
        first.setdefault(line, number)
        last[line] = number
    numbers = sorted({*first.values(), *last.values()})
    tried = min(LINES_TRIED, len(numbers))
    return [numbers[index * len(numbers) // tried] for index in range(tried)]


@contextmanager
def quick_folder() -> Iterator[str]:
    """A folder that is gone afterwards; in memory where possible, since hundreds of trees are made in it."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="mini_mlflow-", dir=memory if os.access(memory, os.W_OK) else None)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# -- what decides when documents are rewritten, folded and sealed --------------------------------------------------


def ration_documents(monkeypatch: Any, refresh: bool, fold_at: int = 10**6) -> None:
    """For runs opened from now on: a log call always or never rewrites the documents, and folds at ``fold_at``."""
    for setting in thresholds.rationing(refresh, fold_at):
        monkeypatch.setattr(*setting)


def seal_early(monkeypatch: Any) -> None:
    """A fold seals four points, and merges two sealed files of one size."""
    for setting in thresholds.sealing_early():
        monkeypatch.setattr(*setting)


# -- what a reader sees --------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A run as a reader sees it; ``histories`` are lists of (step, value).

    A dead owner's RUNNING counts as RUNNING. The status of a run in the trash is "DELETED".
    ``artifacts`` are the bytes of each file, by its path, and None for a folder. ``experiments`` are those of the tree
    but for number 0: of each its name, tags and stage, and the ids of the runs that it has and of those that are
    deleted. ``name`` is that of the run.
    """

    status: str
    params: Dict[str, Any]
    tags: Dict[str, Any]
    metrics: Dict[str, float]
    histories: Dict[str, List[Tuple[int, float]]]
    artifacts: Dict[str, Optional[bytes]] = {}
    name: Optional[str] = None
    experiments: Dict[int, Tuple[Any, ...]] = {}


def read_experiments(root: Any) -> Dict[int, Tuple[Any, ...]]:
    """The experiments of the tree, as `Stored` has them."""
    tracker = ExperimentTracker(runs_dir=root)
    return {
        number: (
            *(name, tags, stage),
            sorted(tracker.list_runs(number)),
            sorted(run.run_id for run in tracker.list_deleted_runs(number)),
        )
        for number, name, tags, _, _, stage, _ in tracker.search_experiments(lifecycle_stage="all")[1:]
    }


def read_stored(root: Any, run_id: str = RUN_ID) -> Optional[Stored]:
    """The run as it stands; None if there is none."""
    tracker = ExperimentTracker(runs_dir=root)
    try:
        run = tracker.get_run(run_id)
    except RunNotFoundError:
        assert run_id not in tracker.list_runs()
        return _read_deleted(tracker, run_id)
    assert run_id in tracker.list_runs()
    histories = {
        key: [(point.step, point.value) for point in tracker.get_metric_history(run_id, key)] for key in run["metrics"]
    }
    status = "RUNNING" if run["metadata"]["status"] == "CRASHED" else run["metadata"]["status"]
    name = run["metadata"]["name"]
    artifacts, experiments = read_artifacts(tracker, run_id), read_experiments(root)
    return Stored(status, run["params"], run["tags"], run["metrics"], histories, artifacts, name, experiments)


def read_artifacts(tracker: ExperimentTracker, run_id: str = RUN_ID) -> Dict[str, Optional[bytes]]:
    """All artifacts of a run, as `Stored` has them; what the library lists is what stands on disk."""
    found: Dict[str, Optional[bytes]] = {}
    waiting: List[Optional[str]] = [None]
    while waiting:
        for info in tracker.list_artifacts(run_id, waiting.pop()):
            path = tracker.artifact_path(run_id, info.path)
            assert os.path.isdir(path) == info.is_dir
            found[info.path] = None
            if info.is_dir:
                waiting.append(info.path)
            else:
                with open(path, "rb") as file:
                    found[info.path] = file.read()
                assert len(found[info.path] or b"") == info.file_size
    return found


def _read_deleted(tracker: ExperimentTracker, run_id: str) -> Optional[Stored]:
    deleted = [one.run_id for one in tracker.list_deleted_runs(0)]
    if run_id not in deleted:
        return None
    assert deleted.count(run_id) == 1
    paths = RunPaths.in_trash(RunAddress(tracker.runs_dir, 0, run_id))
    run = read_run(paths)
    histories = {key: [(point.step, point.value) for point in read_history(paths, key).shown] for key in run.metrics}
    artifacts = dict(_walk_artifacts(paths.folder))
    return Stored("DELETED", run.params, run.tags, run.metrics, histories, artifacts, run.metadata["name"])


def _walk_artifacts(run_folder: str) -> Iterator[Tuple[str, Optional[bytes]]]:
    top = os.path.join(run_folder, "artifacts")
    for folder, folders, files in os.walk(top):
        for name in folders:
            yield os.path.relpath(os.path.join(folder, name), top), None
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                yield os.path.relpath(file.name, top), file.read()


def with_later_value(stored: Optional[Stored], status: str = "FINISHED") -> Stored:
    """What `log_later_value` and an end make of ``stored``."""
    before = stored or Stored("", {}, {}, {}, {})
    later = before.histories.get("later", [])
    return Stored(
        status,
        dict(before.params, later="p"),
        before.tags,
        dict(before.metrics, later=7.0),
        dict(before.histories, later=[*later, (len(later), 7.0)]),
        before.artifacts,
        before.name,
        before.experiments,
    )


def log_later_value(run: Run) -> None:
    """A param and a point of keys that no operation here uses."""
    run.log_param("later", "p")
    run.log_metric("later", 7.0)


def list_temporaries(root: Any) -> List[str]:
    """The paths of all temporaries in the tree."""
    return [
        os.path.join(folder, name)
        for folder, folders, files in os.walk(str(root))
        for name in folders + files
        if name.startswith(".tmp-")
    ]


def list_litter(root: Any, run_id: str = RUN_ID) -> List[str]:
    """What must not be there once the run has ended: temporaries, its log, and what says that it was deleted."""
    folder = os.path.join(str(root), "0", run_id)
    left = [os.path.join(folder, name) for name in ("log", "deleted.json")]
    return list_temporaries(os.path.dirname(folder)) + [path for path in left if os.path.lexists(path)]


# -- the closed set of operations ----------------------------------------------------------------------------------


class Operation(NamedTuple):
    """Something that a user does to a run, in a state that makes the engine go a certain way.

    Attributes:
        name: for the test's id.
        prepare: brings a tree into that state; returns the open run, None where there is none yet.
        act: does it; returns the open run.
        refresh, fold_at: as `ration_documents`.
        fsync: the level.
    """

    name: str
    prepare: Callable[[str, ExitStack], Optional[Run]]
    act: Callable[[str, Optional[Run]], Run]
    refresh: bool = True
    fold_at: int = 10**6
    fsync: str = "end"

    @property
    def writes_to_live_run(self) -> bool:
        """Whether the run is open in this process before it acts."""
        first = self.name.partition(" ")[0].rstrip(",")
        without = "create resume attach delete restore gc new repair rename untag annotate".split()
        return first not in without and not self.name.startswith("tag ")


def uncollected(prepare: Callable[[str, ExitStack], Optional[Run]]) -> Callable[[str, ExitStack], Optional[Run]]:
    """The same, and what it has dropped stays until `FaultyOs.armed` is over."""

    def prepare_uncollected(root: str, stack: ExitStack) -> Optional[Run]:
        gc.disable()
        return prepare(root, stack)

    return prepare_uncollected


def name_operation(operation: Operation) -> str:
    """For the test's id."""
    return operation.name.replace(", ", "-").replace(" ", "-")


def set_up(operation: Operation, monkeypatch: Any) -> FaultyOs:
    """The proxy, with the thresholds that the operation asks for, until the test's end."""
    ration_documents(monkeypatch, operation.refresh, operation.fold_at)
    seal_early(monkeypatch)
    monkeypatch.setenv("MINI_MLFLOW_FSYNC", operation.fsync)
    return install(monkeypatch)


def open_run(root: str) -> Run:
    """The run: restored, created, attached to, or resumed, without making it active."""
    tracker = ExperimentTracker(runs_dir=root)
    if RUN_ID in [one.run_id for one in tracker.list_deleted_runs(0)]:
        tracker.restore_run(RUN_ID)
    run = tracker.start_run(run_id=RUN_ID, nested=True)
    from mini_mlflow import run_stack

    run_stack.discard(run)
    return run


def _fresh(root: str, stack: ExitStack) -> Run:
    return Run(run_id=RUN_ID, name="fresh", runs_dir=root)


def _filled(root: str, stack: ExitStack) -> Run:
    """Every kind of document, some with a commit behind it; two of the points only in the log if not refreshed."""
    run = _fresh(root, stack)
    run.log_params({"lr": 0.1, "layers": [1, 2]})
    run.set_tag("kind", "old")
    for value in (0.5, float("nan"), 0.25):
        run.log_metric("loss", value if value == value else -1.0)
    run.log_metric("acc", 0.9, step=10)
    return run


def _folded(root: str, stack: ExitStack) -> Run:
    run = _filled(root, stack)
    run.flush()
    return run


def _about_to_seal(root: str, stack: ExitStack) -> Run:
    run = _filled(root, stack)
    run.log_metrics({"loss": 0.125, "acc": 0.95})
    return run


def _about_to_merge(root: str, stack: ExitStack) -> Run:
    run = _about_to_seal(root, stack)
    run.flush()
    for value in range(4):
        run.log_metric("loss", float(value))
    return run


def _ended(root: str, stack: ExitStack) -> None:
    run = _about_to_merge(root, stack)
    run.flush()
    run.log_metric("single", 1.5, step=3)
    run.end()


def _ended_about_to_seal(root: str, stack: ExitStack) -> None:
    _about_to_seal(root, stack).end()


def _killed_while_changing(root: str, stack: ExitStack) -> None:
    """Of a change after the end, the documents that come first stand, and the snapshot does not."""
    _ended(root, stack)
    before = {name: os.path.join(root, "0", RUN_ID, name) for name in ("snapshot.json", "meta.yaml")}
    contents = {}
    for path in before.values():
        with open(path, "rb") as file:
            contents[path] = file.read()
    cut_short = batch_submission([("loss", 9.0, None, 1), ("single", 9.0, None, 1)], deleted_tags=["kind"])
    amend_at(RunAddress(root, 0, RUN_ID), resolve_settings(), cut_short)
    for path, data in contents.items():
        with open(path, "wb") as file:
            file.write(data)


def _killed_while_ending(root: str, stack: ExitStack) -> None:
    """The snapshot stands, ``meta.yaml`` does not say so yet."""
    run = _filled(root, stack)
    meta = os.path.join(root, "0", RUN_ID, "meta.yaml")
    with open(meta, "rb") as file:
        before = file.read()
    run.end()
    with open(meta, "wb") as file:
        file.write(before)


def _left_by_dead_owner(root: str, stack: ExitStack) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _filled(root, stack)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def _owned_by_another(root: str, stack: ExitStack) -> None:
    """Another process owns the run until this one's stack closes, or this one dies."""
    (reading, writing), (told, telling) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(writing)
            _filled(root, stack)
            os.write(telling, b"x")
            os.read(reading, 1)
            status = 0
        finally:
            os._exit(status)
    os.close(reading)
    os.close(telling)
    assert os.read(told, 1) == b"x"
    os.close(told)
    stack.callback(os.waitpid, child, 0)
    stack.callback(os.close, writing)


def _ended_behind_its_owner(root: str, stack: ExitStack) -> None:
    """Another process still holds the owner lock of a run that has ended without its knowing."""
    _owned_by_another(root, stack)
    Run(run_id=RUN_ID, runs_dir=root).end()


def _deleted(root: str, stack: ExitStack) -> None:
    _ended(root, stack)
    ExperimentTracker(runs_dir=root).delete_run(RUN_ID)


def _removed(root: str, stack: ExitStack) -> None:
    _deleted(root, stack)
    ExperimentTracker(runs_dir=root).gc()


def _deleted_under_its_owner(root: str, stack: ExitStack) -> None:
    """Another process still holds the owner lock of a run that lies in the trash."""
    _owned_by_another(root, stack)
    ExperimentTracker(runs_dir=root).delete_run(RUN_ID)


class _NotOpen:
    """Stands for the open run where an operation leaves none."""

    def is_open(self) -> bool:
        return False


def _with_tracker(action: Callable[[ExperimentTracker], Any]) -> Callable[[str, Optional[Run]], Run]:
    def act(root: str, run: Optional[Run]) -> Run:
        action(ExperimentTracker(runs_dir=root))
        return _NotOpen()  # type: ignore[return-value]

    return act


def _fresh_and_ended(root: str, stack: ExitStack) -> None:
    _fresh(root, stack).end()


def _with_experiment(root: str, stack: ExitStack) -> None:
    """Beside the run, an experiment with two runs, one of which is deleted."""
    _fresh(root, stack).end()
    tracker = ExperimentTracker(runs_dir=root)
    for run_id in ("one", "two"):
        Run(run_id=run_id, experiment_id=tracker.set_experiment("named").experiment_id, runs_dir=root).end()
    tracker.delete_run("two")


def _with_deleted_experiment(root: str, stack: ExitStack) -> None:
    _with_experiment(root, stack)
    ExperimentTracker(runs_dir=root).delete_experiment(1)


def _with_half_deleted_experiment(root: str, stack: ExitStack) -> None:
    """Who deleted it was killed with one of its runs still to be moved."""
    _with_deleted_experiment(root, stack)
    run = os.path.join(root, "1", "one")
    os.rename(os.path.join(root, ".trash", "1", "one"), run)
    os.unlink(os.path.join(run, "deleted.json"))


def _with_empty_deleted_experiment(root: str, stack: ExitStack) -> None:
    _fresh(root, stack).end()
    tracker = ExperimentTracker(runs_dir=root)
    tracker.create_experiment("empty")
    tracker.delete_experiment(1)


_delete = _with_tracker(lambda tracker: tracker.delete_run(RUN_ID))
_restore = _with_tracker(lambda tracker: tracker.restore_run(RUN_ID))
_gc = _with_tracker(lambda tracker: tracker.gc())
_delete_experiment = _with_tracker(lambda tracker: tracker.delete_experiment(1))
_restore_experiment = _with_tracker(lambda tracker: tracker.restore_experiment(1))


def _take_in(tracker: ExperimentTracker) -> None:
    take_in(tracker.runs_dir, Experiment(7, "from elsewhere", {"a": 1}, None), lambda: None, resolve_settings())


def _log(**metrics: float) -> Callable[[str, Optional[Run]], Run]:
    def act(root: str, run: Optional[Run]) -> Run:
        assert run is not None
        run.log_metrics(metrics)
        return run

    return act


def _repair(root: str, run: Optional[Run]) -> Run:
    """What was refused is raised; nothing else touches the disk, also not the opening of the run."""
    for one in repair(root):
        if not one.done:
            number = errno.ENOSPC if os.strerror(errno.ENOSPC) in str(one.reason) else errno.EIO
            raise OSError(number, str(one.reason), root)
    return _reopen((root, 0, RUN_ID), tuple(resolve_settings()))


def _start_ownerless(root: str, run: Optional[Run]) -> Run:
    request = StartRequest("fresh", resume=True, take_ownership=False)
    return Run.start(RunAddress(root, 0, RUN_ID), request, resolve_settings())


def _batch(run: Run) -> None:
    points = [("loss", 0.1, None, 1), ("train/loss", 0.2, 3, 2)]
    run._opened().submit(batch_submission(points, {"opt/lr": "0.2"}, {"kind": "new", "extra": "tag"}))


def _without_snapshot(root: str, stack: ExitStack) -> None:
    _ended(root, stack)
    os.unlink(os.path.join(root, "0", RUN_ID, "snapshot.json"))


_ADDED = {
    "points": [("loss", 0.1, None, 1), ("train/loss", 0.2, 3, 2)],
    "params": {"lr": 0.2, "opt/lr": "0.2"},
    "tags": {"extra": "tag"},
    "deleted_tags": ["kind"],
}


def _annotate(root: str, run: Optional[Run]) -> Run:
    """All that can be added to a run, open or ended, without its being opened."""
    amend_at(RunAddress(root, 0, RUN_ID), resolve_settings(), batch_submission(**_ADDED))
    return _NotOpen()  # type: ignore[return-value]


def _annotate_known(root: str, run: Optional[Run]) -> Run:
    """No document is made by it, so that the names of all tell nothing of it."""
    known = batch_submission(params={"lr": 0.2, "layers": []}, tags={"kind": "new"})
    amend_at(RunAddress(root, 0, RUN_ID), resolve_settings(), known)
    return _NotOpen()  # type: ignore[return-value]


def _rename(root: str, run: Optional[Run]) -> Run:
    ExperimentTracker(runs_dir=root).rename_run(RUN_ID, "renamed")
    return run or _NotOpen()  # type: ignore[return-value]


def _on_run(action: Callable[[Run], None]) -> Callable[[str, Optional[Run]], Run]:
    def act(root: str, run: Optional[Run]) -> Run:
        assert run is not None
        action(run)
        return run

    return act


def make_source(folder: str, **texts: str) -> str:
    """A folder of the user's with such files, "__" in a name for "/"."""
    for name, text in texts.items():
        path = os.path.join(folder, *name.split("__"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    return folder


def _beside_source(root: str, stack: ExitStack) -> Run:
    make_source(root + "-source", weights="new" * 50, layers__one="1")
    return _fresh(root, stack)


def _with_artifact(root: str, stack: ExitStack) -> Run:
    run = _fresh(root, stack)
    run.log_text("old", "weights")
    return run


def _with_artifacts(root: str, stack: ExitStack) -> Run:
    """Of the source's files, one is there and another is not, beside one that is not the source's."""
    run = _beside_source(root, stack)
    run.log_artifacts(make_source(root + "-old", weights="old", layers__two="2"), "model")
    os.chmod(run.artifact_path("model/layers"), 0o750)
    return run


def _log_source(name: str, to: Optional[str]) -> Callable[[str, Optional[Run]], Run]:
    def act(root: str, run: Optional[Run]) -> Run:
        assert run is not None
        source = root + "-source"
        run.log_artifact(source + name, to) if name else run.log_artifacts(source, to)
        return run

    return act


OPERATIONS = [
    Operation("create", lambda root, stack: None, lambda root, run: Run(run_id=RUN_ID, name="fresh", runs_dir=root)),
    Operation("create anew after gc", _removed, lambda root, run: open_run(root)),
    Operation("create without an owner", lambda root, stack: None, _start_ownerless),
    Operation("create, always", lambda root, stack: None, lambda root, run: open_run(root), fsync="always"),
    Operation("first tags, always", _fresh, _on_run(lambda run: run.set_tags({"a": "b", "c": [1]})), fsync="always"),
    Operation("resume, always", _ended, lambda root, run: open_run(root), refresh=False, fsync="always"),
    Operation("first param", _fresh, _on_run(lambda run: run.log_param("lr", 0.1))),
    Operation("new param", _filled, _on_run(lambda run: run.log_param("momentum", {"beta": [0.9]}))),
    Operation("replace param", _filled, _on_run(lambda run: run.log_param("lr", 0.2))),
    Operation("replace param, in the log", _filled, _on_run(lambda run: run.log_param("lr", 0.2)), refresh=False),
    Operation("several params", _filled, _on_run(lambda run: run.log_params({"lr": 0.2, "depth": 3, "width": 4}))),
    Operation("first metric", _fresh, _log(loss=0.5)),
    Operation("new metric", _filled, _log(extra=0.5)),
    Operation("new metric, others in the log", _filled, _log(extra=0.5), refresh=False),
    Operation("existing metric", _filled, _log(loss=0.1)),
    Operation("existing metric, in the log", _filled, _on_run(lambda run: run.log_metric("loss", 0.1)), refresh=False),
    Operation("several metrics", _filled, _log(loss=0.1, acc=0.2, extra=0.3)),
    Operation("several metrics, in the log", _filled, _log(loss=0.1, acc=0.2), refresh=False),
    Operation("tag", _filled, _on_run(lambda run: run.set_tag("kind", "new"))),
    Operation("batch", _filled, _on_run(_batch)),
    Operation("log call that folds", _filled, _log(acc=0.1), refresh=False, fold_at=4),
    Operation("flush", _filled, _on_run(lambda run: run.flush()), refresh=False),
    Operation("flush that seals", _about_to_seal, _on_run(lambda run: run.flush()), refresh=False),
    Operation("flush that merges", _about_to_merge, _on_run(lambda run: run.flush()), refresh=False),
    Operation("rewind", _filled, _on_run(lambda run: run.rewind(0)), refresh=False),
    Operation("rewind, always", _filled, _on_run(lambda run: run.rewind(1)), fsync="always"),
    Operation("rewind that merges", _about_to_merge, _on_run(lambda run: run.rewind(4)), refresh=False),
    Operation("end", _filled, _on_run(lambda run: run.end()), refresh=False),
    Operation("end of an empty run", _fresh, _on_run(lambda run: run.end("KILLED"))),
    Operation("end of a folded run", _folded, _on_run(lambda run: run.end("FAILED"))),
    Operation("resume", _ended, lambda root, run: open_run(root), refresh=False),
    Operation("resume without an owner", _ended, _start_ownerless, refresh=False),
    Operation("resume after a killed end", _killed_while_ending, lambda root, run: open_run(root), refresh=False),
    Operation("resume beside a former owner", _ended_behind_its_owner, lambda root, run: open_run(root), refresh=False),
    Operation("attach", _owned_by_another, lambda root, run: open_run(root), refresh=False),
    Operation("attach after a dead owner", _left_by_dead_owner, lambda root, run: open_run(root), refresh=False),
    Operation("amend", _filled, _on_run(lambda run: amend(run._opened(), batch_submission(**_ADDED))), refresh=False),
    Operation("removal of a tag", _filled, _on_run(lambda run: run.delete_tag("kind"))),
    Operation("amend by a new name", _filled, _rename),
    Operation("annotate", _ended, _annotate, refresh=False),
    Operation("annotate, always", _ended, _annotate, refresh=False, fsync="always"),
    Operation("annotate, never", _ended, _annotate, refresh=False, fsync="never"),
    Operation("annotate after a killed end", _killed_while_ending, _annotate, refresh=False),
    Operation("annotate what is sealed by it", _ended_about_to_seal, _annotate, refresh=False),
    Operation("annotate after a killed change", _killed_while_changing, _annotate, refresh=False),
    Operation("resume after a killed change", _killed_while_changing, lambda root, run: open_run(root), refresh=False),
    Operation("annotate without a snapshot", _without_snapshot, _annotate, refresh=False),
    Operation("annotate by known keys, without a snapshot", _without_snapshot, _annotate_known, refresh=False),
    Operation("annotate by a new name", _ended, _rename, refresh=False),
    Operation("annotate by a tag", _ended, _with_tracker(lambda tracker: tracker.set_tag(RUN_ID, "kind", [1])), False),
    Operation("annotate by no tag", _ended, _with_tracker(lambda tracker: tracker.delete_tag(RUN_ID, "kind")), False),
    Operation("delete", _ended, _delete, refresh=False),
    Operation("delete, always", _ended, _delete, refresh=False, fsync="always"),
    Operation("delete a live run", _owned_by_another, _delete, refresh=False),
    Operation("restore", _deleted, _restore, refresh=False),
    Operation("restore a live run", _deleted_under_its_owner, _restore, refresh=False),
    Operation("gc", _deleted, _gc, refresh=False),
    Operation("gc, never", _deleted, _gc, refresh=False, fsync="never"),
    Operation("new experiment", _ended, _with_tracker(lambda tracker: tracker.create_experiment("named", {"a": 1}))),
    Operation("new experiment, taken in", _with_experiment, _with_tracker(_take_in)),
    Operation("rename experiment", _with_experiment, _with_tracker(lambda tracker: tracker.rename_experiment(1, "b"))),
    Operation(
        *("tag experiment", _with_experiment, _with_tracker(lambda tracker: tracker.set_experiment_tag(1, "a", [2]))),
        fsync="never",
    ),
    Operation("tag default", _fresh_and_ended, _with_tracker(lambda tracker: tracker.set_experiment_tag(0, "a", 1))),
    Operation("untag experiment", _with_experiment, _with_tracker(lambda one: one.delete_experiment_tag(1, "none"))),
    Operation("delete experiment", _with_experiment, _delete_experiment),
    Operation("delete experiment again", _with_half_deleted_experiment, _delete_experiment),
    Operation("restore experiment", _with_deleted_experiment, _restore_experiment),
    Operation("restore half-deleted experiment", _with_half_deleted_experiment, _restore_experiment, fsync="never"),
    Operation("gc of an experiment", _with_empty_deleted_experiment, _gc),
    Operation("repair of a half-deleted experiment", _with_half_deleted_experiment, _repair, refresh=False),
    Operation("repair after a killed end", _killed_while_ending, _repair, refresh=False),
    Operation("artifact", _beside_source, _log_source("/weights", "a/b"), fsync="never"),
    Operation("artifact replaced", _with_artifact, _on_run(lambda run: run.log_text("text", "weights"))),
    Operation("artifacts", _beside_source, _log_source("", "model"), fsync="never"),
    Operation("artifacts merged", _with_artifacts, _log_source("", "model")),
]
# Who opens a run that this process has open no more takes one more step, and whether a run that was dropped is still
# open is the collector's to say: between a preparation and the end of what is done then, it must not run.
OPERATIONS = [one._replace(prepare=uncollected(one.prepare)) for one in OPERATIONS]
