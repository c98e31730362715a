"""The turnstile: threads pass one after another where that helps, and nobody is kept where it would not."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Iterator, List

import pytest

from concurrency import DEADLINE_S, run_together
from faults import FaultyOs, call_before, install
from mini_mlflow import Run
from mini_mlflow.disk import locks, turnstile
from mini_mlflow.disk.layout import RunPaths
from mini_mlflow.disk.locks import KeptLock
from mini_mlflow.entities import RunAddress


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes on without the turnstile: who has to wait there for what comes later hangs, and fails the test."""
    monkeypatch.setattr(turnstile, "_PATIENCE_S", 2 * DEADLINE_S)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyOs:
    return install(monkeypatch)


@pytest.fixture
def runs(runs_dir: str) -> Iterator[List[Run]]:
    """Two runs, one of which makes sure of every call."""
    made = [Run(run_id="first", runs_dir=runs_dir, fsync="always"), Run(run_id="second", runs_dir=runs_dir)]
    yield made
    for run in made:
        run.end()


def log(run: Run) -> Callable[[], None]:
    return lambda: run.log_metric("loss", 0.5)


class Stay:
    """A moment at which one thread stays until another lets it go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._over = threading.Event()

    def note(self) -> None:
        self._reached.set()

    def stay(self) -> None:
        self.note()
        assert self._over.wait(DEADLINE_S)

    def until_reached(self) -> None:
        assert self._reached.wait(DEADLINE_S)

    def let_go(self) -> None:
        self._over.set()


def find_step(disk: FaultyOs, run: Run, name: str) -> int:
    """At which of its steps (from 1) the next log call of the run does ``name``."""
    # The first makes folders too.
    run.log_metric("earlier", 0.5)
    with disk.armed(lambda step: step.carry_out(), at=1000):
        run.log_metric("before", 0.5)
        return disk.steps.index(name) + 1


@pytest.mark.usefixtures("patient")
def test_second_thread_stores_nothing_while_the_first_is_inside(
    runs: List[Run], disk: FaultyOs, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, waiting = Stay(), threading.Event()
    order: List[str] = []

    class Told:
        """The turnstile, which tells when somebody has to wait."""

        def __init__(self) -> None:
            self._lock: Any = threading.RLock()
            self._is_owned, self.release = self._lock._is_owned, self._lock.release

        def acquire(self, timeout: float) -> bool:
            if self._lock.acquire(False):
                return True
            waiting.set()
            return bool(self._lock.acquire(timeout=timeout))

    monkeypatch.setattr(turnstile, "_turnstile", Told())
    at = find_step(disk, runs[0], "write")

    def log_first() -> None:
        with disk.armed(call_before(moment.stay), at):
            log(runs[0])()
        order.append("first")

    def log_second() -> None:
        moment.until_reached()
        log(runs[1])()
        order.append("second")

    def let_go() -> None:
        assert waiting.wait(DEADLINE_S), "nobody had to wait"
        order.append("let go")
        moment.let_go()

    run_together(log_first, log_second, let_go)
    assert order[0] == "let go"


def test_thread_goes_on_after_a_while_although_another_stays_inside(runs: List[Run], disk: FaultyOs) -> None:
    moment = Stay()
    at = find_step(disk, runs[0], "write")

    def log_first() -> None:
        with disk.armed(call_before(moment.stay), at):
            log(runs[0])()

    def log_second() -> None:
        moment.until_reached()
        log(runs[1])()
        moment.let_go()

    run_together(log_first, log_second)


@pytest.mark.usefixtures("patient")
def test_others_pass_while_a_thread_waits_for_the_medium(runs: List[Run], disk: FaultyOs) -> None:
    at = find_step(disk, runs[0], "fsync")
    with disk.armed(call_before(lambda: run_together(log(runs[1]))), at):
        log(runs[0])()
    assert disk.struck is not None
    assert disk.struck.name == "fsync"


@pytest.mark.usefixtures("patient")
def test_others_pass_while_a_thread_waits_for_another_process(runs: List[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor of its own is as good as another process."""
    moment = Stay()
    elsewhere = KeptLock(RunPaths.of(RunAddress(runs[0].runs_dir, 0, "first")).run_lock)
    elsewhere.acquire(DEADLINE_S)

    def sleep(seconds: float) -> None:
        moment.note()
        time.sleep(seconds)

    monkeypatch.setattr(locks, "time", _Clock(sleep))

    def log_second() -> None:
        try:
            moment.until_reached()
            log(runs[1])()
        finally:
            elsewhere.close()

    run_together(log(runs[0]), log_second)


class _Clock:
    """The module ``time``, but for its sleep."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.mark.usefixtures("patient")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_does_not_wait_for_a_thread_of_its_parent(runs: List[Run]) -> None:
    moment = Stay()

    def stay_inside() -> None:
        turnstile.enter()
        moment.stay()
        assert turnstile.leave()

    def fork_and_log() -> None:
        moment.until_reached()
        try:
            child = os.fork()
            if child == 0:
                inside = turnstile._turnstile.acquire(False)
                os._exit(0 if inside else 1)
            assert os.waitpid(child, 0)[1] == 0
        finally:
            moment.let_go()

    run_together(stay_inside, fork_and_log)


def test_who_has_left_is_told_so() -> None:
    assert not turnstile.leave()
    turnstile.enter()
    turnstile.enter()
    assert turnstile.leave()
    assert not turnstile.leave()
