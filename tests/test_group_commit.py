"""Threads that meet before the file lock: batches, order, errors, hand-over, nested calls. The store here is a fake."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, List, Optional

import pytest

from concurrency import run_together
from faults import at_line
from mini_mlflow import LockTimeout
from mini_mlflow.writing import group_commit
from mini_mlflow.writing.group_commit import GroupCommit
from mini_mlflow.writing.operations import Submission

# More than any call of the group runs.
MOST_LINES = 500


def submission(name: str) -> Submission:
    return Submission([], [name])


class Store:
    """Notes what it is asked for; the hooks are called, once each, where the real one is at work."""

    def __init__(self) -> None:
        self.events: List[str] = []
        self.batches: List[List[str]] = []
        self.on_enter: List[Callable[[], Any]] = []
        self.on_store: List[Callable[[], Any]] = []
        self.entered = 0
        self.group = GroupCommit(self.enter, self.store, self.leave)

    def enter(self, nested: bool) -> None:
        self.entered += 1
        self.events.append("enter nested" if nested else "enter")
        if self.on_enter:
            self.on_enter.pop(0)()

    def store(self, waiting: Callable[[], List[Submission]]) -> None:
        if self.on_store:
            self.on_store.pop(0)()
        batch = waiting()
        if batch:
            names = [one.lines[0] for one in batch]
            self.batches.append(names)
            self.events.append("store " + " ".join(names))
        for one in batch:
            one.settled = True

    def leave(self) -> None:
        self.events.append("leave")

    def submit(self, name: str) -> None:
        self.group.submit(submission(name))

    def queued(self, count: int) -> None:
        """Returns once that many submissions wait that nobody has settled."""
        deadline = time.monotonic() + 30.0
        while sum(not one.settled for one in self.group._list_queue()) < count:
            assert time.monotonic() < deadline, "only %d wait" % len(self.group._queue)
            time.sleep(0.0005)


@pytest.fixture
def store() -> Store:
    return Store()


def raising(error: BaseException) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


def test_submission_is_stored_under_the_lock(store: Store) -> None:
    store.submit("a")
    store.submit("b")
    assert store.events == ["enter", "store a", "leave", "enter", "store b", "leave"]


def submit_in_order(store: Store, names: str, others: int = 1) -> List[Callable[[], None]]:
    """A function for each name; each submits once the one before it is in the queue."""

    def submit(index: int) -> None:
        store.queued(others + index)
        store.submit(names[index])

    return [lambda index=index: submit(index) for index in range(len(names))]


def test_what_gathers_while_one_leads_becomes_one_batch_in_order(store: Store) -> None:
    leading = threading.Event()

    def store_first(waiting: Callable[[], List[Submission]]) -> None:
        """The first batch is closed before the others come; the store after it is the ordinary one."""
        for one in waiting():
            one.settled = True
            store.batches.append(one.lines)
        store.group._store = store.store
        leading.set()
        store.queued(5)

    def follow(index: int) -> None:
        assert leading.wait(30)
        store.queued(index)
        store.submit("abcdef"[index])

    store.group._store = store_first
    run_together(lambda: store.submit("first"), *[lambda index=index: follow(index) for index in range(5)])
    assert store.batches == [["first"], ["a", "b", "c", "d", "e"]]
    assert store.entered == 2


def test_queue_is_looked_at_only_once_the_lock_is_held(store: Store) -> None:
    """Waiting for another process gathers work: who comes during the wait is in the batch."""
    store.on_enter.append(lambda: store.queued(4))
    run_together(lambda: store.submit("a"), *submit_in_order(store, "bcd"))
    assert store.batches == [["a", "b", "c", "d"]]
    assert store.events == ["enter", "store a b c d", "leave"]


def test_refused_lock_refuses_all_who_wait_at_once(store: Store) -> None:
    def refuse() -> None:
        store.queued(4)
        raise LockTimeout(110, "held", "/r.lock")

    store.on_enter.append(refuse)
    errors: List[LockTimeout] = []

    def submit_refused(name: str, wait_for: int) -> None:
        store.queued(wait_for)
        with pytest.raises(LockTimeout) as caught:
            store.submit(name)
        errors.append(caught.value)

    run_together(*[lambda index=index: submit_refused("abcd"[index], index) for index in range(4)])
    assert store.entered == 1
    assert store.batches == []
    # One exception raised in several threads would gather all their tracebacks.
    assert len({id(error) for error in errors}) == 4
    assert {error.filename for error in errors} == {"/r.lock"}
    store.submit("later")
    assert store.batches == [["later"]]


def test_error_of_one_is_told_to_that_one(store: Store) -> None:
    def settle(waiting: Callable[[], List[Submission]]) -> None:
        for one in waiting():
            if one.lines == ["b"]:
                one.error = OSError(28, "No space left on device", "/log/2.json")
            one.settled = True

    store.group = GroupCommit(store.enter, settle, store.leave)
    store.on_enter.append(lambda: store.queued(3))

    def submit_b() -> Optional[BaseException]:
        store.queued(1)
        try:
            store.submit("b")
        except OSError as error:
            return error
        return None

    _, error, _ = run_together(lambda: store.submit("a"), submit_b, lambda: (store.queued(2), store.submit("c")))
    assert error.filename == "/log/2.json"
    assert len(store.group._queue) == 0


def test_interrupted_leader_s_submission_is_withdrawn_and_the_others_are_stored(store: Store) -> None:
    def interrupt() -> None:
        store.queued(3)
        raise KeyboardInterrupt

    store.on_store.append(interrupt)

    def lead() -> None:
        with pytest.raises(KeyboardInterrupt):
            store.submit("interrupted")

    run_together(lead, *submit_in_order(store, "ab"))
    assert [name for batch in store.batches for name in batch] == ["a", "b"]
    assert store.events.count("enter") == store.events.count("leave")
    assert len(store.group._queue) == 0


@pytest.mark.parametrize("alone", [False, True], ids=["submission", "action"])
def test_interrupt_at_any_line_of_a_leader_lets_who_waits_behind_it_go_on(alone: bool) -> None:
    """The one that waits is in the leader's batch wherever the interrupt is not too early for that."""
    for number in range(1, MOST_LINES):
        if not interrupt_leader_at(number, alone):
            break
    assert 40 < number < MOST_LINES - 1


def interrupt_leader_at(number: int, alone: bool) -> bool:
    """False if the leader had gone before that many lines of its own."""
    store, over = Store(), threading.Event()
    where: List[Optional[str]] = []

    def lead() -> None:
        try:
            with at_line(number, raising(KeyboardInterrupt())) as moment:
                store.group.run_alone(lambda: None) if alone else store.submit("leader")
        except KeyboardInterrupt:
            pass
        finally:
            where.append(moment.where)
            over.set()

    def until_other_waits() -> None:
        # At its gate, which is where a wake-up can be lost.
        while not over.is_set() and not any(one.gate for one in store.group._list_queue()):
            time.sleep(0.0002)

    def follow() -> None:
        while not over.is_set() and not store.entered:
            time.sleep(0.0002)
        store.submit("follower")

    store.on_enter.append(until_other_waits)
    try:
        run_together(lead, follow, deadline_s=10.0)
        store.submit("later")
    except AssertionError as error:
        raise AssertionError("interrupted at %s: %s" % (where, error)) from error
    stored = [name for batch in store.batches for name in batch]
    assert stored[-2:] == ["follower", "later"]
    assert stored[:-2] in ([], ["leader"])
    assert store.events[-1] == "leave"
    assert len(store.group._queue) == 0
    return where[0] is not None


@pytest.mark.parametrize("place", ["on_enter", "on_store"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_interrupt_frees_the_turn_and_withdraws_the_submission(place: str, error: BaseException, store: Store) -> None:
    getattr(store, place).append(raising(error))
    with pytest.raises(type(error)):
        store.submit("interrupted")
    assert store.events[-1] == "leave"
    run_together(lambda: store.submit("later"), deadline_s=10.0)
    assert store.batches == [["later"]]


def test_nested_submission_is_stored_below_and_leaves_the_lock_to_the_outer_frame(store: Store) -> None:
    store.on_store.append(lambda: store.submit("handler"))
    store.submit("outer")
    # The nested call stores what waits, the outer frame's included: that is settled when the frame goes on.
    assert store.events == ["enter", "enter nested", "store outer handler", "leave"]
    run_together(lambda: store.submit("later"), deadline_s=10.0)


def test_nested_submission_while_the_lock_is_waited_for_is_stored(store: Store) -> None:
    store.on_enter.append(lambda: store.submit("handler"))
    store.submit("outer")
    assert [name for batch in store.batches for name in batch] == ["outer", "handler"]
    assert store.events[-1] == "leave"


def test_exit_out_of_a_nested_call_leaves_nothing_taken(store: Store) -> None:
    def handle() -> None:
        store.submit("last word")
        raise SystemExit(0)

    store.on_store.append(handle)
    with pytest.raises(SystemExit):
        store.submit("outer")
    assert store.events[-1] == "leave"
    run_together(lambda: store.submit("later"), deadline_s=10.0)
    assert store.batches == [["outer", "last word"], ["later"]]


def test_action_runs_alone_after_what_waited(store: Store) -> None:
    def act() -> str:
        store.events.append("act")
        return "done"

    acting = threading.Event()

    def wait_for_another() -> None:
        acting.set()
        store.queued(1)

    store.on_enter.append(wait_for_another)
    results = run_together(lambda: store.group.run_alone(act), lambda: acting.wait(30) and store.submit("a"))
    assert results[0] == "done"
    assert store.events == ["enter", "store a", "act", "leave"]


@pytest.mark.parametrize("place", ["on_enter", "on_store"])
def test_error_before_an_action_keeps_it_from_running(place: str, store: Store) -> None:
    getattr(store, place).append(raising(OSError(5, "Input/output error", "/r")))
    with pytest.raises(OSError, match="Input/output error"):
        store.group.run_alone(lambda: pytest.fail("it ran"))
    assert store.events[-1] == "leave"
    store.submit("later")
    assert store.batches == [["later"]]


def test_error_of_an_action_reaches_its_caller_alone(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        store.group.run_alone(lambda: 1 // 0)
    store.submit("later")
    assert store.events == ["enter", "leave", "enter", "store later", "leave"]


def test_many_threads_are_all_served(store: Store) -> None:
    """Nobody sleeps for ever: every turn is handed on, whoever leads."""

    def submit_many(thread: int) -> None:
        for number in range(100):
            store.submit("%d-%d" % (thread, number))

    run_together(*[lambda thread=thread: submit_many(thread) for thread in range(8)])
    stored = [name for batch in store.batches for name in batch]
    assert len(stored) == len(set(stored)) == 800
    for thread in range(8):
        own = [name for name in stored if name.startswith("%d-" % thread)]
        assert own == ["%d-%d" % (thread, number) for number in range(100)]
    assert store.events.count("enter") == store.events.count("leave")
    assert len(store.group._queue) == 0


def test_every_turn_is_handed_on_and_nobody_has_to_look_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes too late for a batch and waits is woken when that batch is done, not only by its own next look."""
    monkeypatch.setattr(group_commit, "_LOOK_AGAIN_S", 3600.0)
    leave = store.leave

    def leave_once_somebody_waits() -> None:
        monkeypatch.setattr(store.group, "_leave", leave)
        deadline = time.monotonic() + 30.0
        while not any(one.gate is not None for one in store.group._list_queue()):
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        leave()

    def come_too_late(stored: int) -> None:
        while len(store.batches) == stored:
            time.sleep(0.0005)
        store.submit("late")

    for number in range(0, 20, 2):
        monkeypatch.setattr(store.group, "_leave", leave_once_somebody_waits)
        run_together(lambda: store.submit("early"), lambda number=number: come_too_late(number))
        assert store.batches[number:] == [["early"], ["late"]]


def test_store_is_never_entered_by_two_threads_at_once(store: Store) -> None:
    inside: List[int] = []
    overlaps: List[int] = []

    def settle(waiting: Callable[[], List[Submission]]) -> None:
        inside.append(1)
        time.sleep(0)
        if len(inside) != 1:
            overlaps.append(len(inside))
        for one in waiting():
            one.settled = True
        inside.pop()

    store.group = GroupCommit(store.enter, settle, store.leave)
    run_together(*[lambda: [store.submit("x") for _ in range(100)] for _ in range(4)])
    assert overlaps == []
