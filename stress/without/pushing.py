"""What a push rests on, and how each of it is taken out."""

from __future__ import annotations

from typing import Tuple

from stress.without.edits import Edit, Fails, Mechanism

_STATE = "exchange/push_state.py"
_RUN = "exchange/push_run.py"
_TESTS = "tests/test_push.py::"
_SETTLED = "        is_settled = False"

PUSHING: Tuple[Mechanism, ...] = (
    Mechanism(
        "lock of a push",
        (Edit(_STATE, "        lock.acquire(timeout_s)\n", "        pass\n"),),
        Fails(_TESTS + "test_two_pushes_at_once_make_no_run_twice"),
    ),
    Mechanism(
        "lock of a push, given up by a forked child",
        (Edit(_STATE, "        lock.forget()\n", "        pass\n"),),
        Fails(_TESTS + "test_forked_child_does_not_keep_the_lock_of_a_parent_that_is_killed"),
    ),
    Mechanism(
        "noting that a push is at work on a run",
        (Edit(_RUN, "        memories.save(address, memory)\n" + _SETTLED, _SETTLED),),
        Fails(_TESTS + "test_later_push_that_is_killed_anywhere_is_completed"),
    ),
    Mechanism(
        "mark of a server's run",
        (Edit(_STATE, " and mark in memory.marks", ""),),
        Fails(_TESTS + "test_server_that_was_put_back_from_a_copy_gets_what_it_lacks"),
    ),
    Mechanism(
        "looking for a run whose making was not answered",
        (Edit(_RUN, "            found = index.find_made(self._source)", "            found = None"),),
        Fails(_TESTS + "test_answer_that_was_lost_is_looked_for_at_once"),
    ),
)
