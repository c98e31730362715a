"""The mechanisms of a repair; as `stress.without.mechanisms`."""

from __future__ import annotations

from typing import Tuple

from stress.without.edits import Edit, Fails, Mechanism

_TEST = "tests/test_repair.py::"
_EACH_DAMAGE = _TEST + "test_damage_is_repaired_and_nothing_is_lost_that_could_be_read"

UPKEEP: Tuple[Mechanism, ...] = (
    Mechanism(
        "repair under the run's lock",
        (
            Edit(
                "upkeep/repair.py",
                "                made: _Pass = run.group.run_alone(lambda: self._pass(run))\n",
                "                made: _Pass = self._pass(run)\n",
            ),
        ),
        Fails(_TEST + "test_repair_waits_for_the_lock_and_tells_who_keeps_it"),
    ),
    Mechanism(
        "second look before a repair, under the lock",
        (
            Edit(
                "upkeep/repair.py",
                "        found = [*look.findings, *(doubt.finding for doubt in look.doubts)]\n",
                "        found = list(self._open.values())\n",
            ),
        ),
        Fails(_TEST + "test_what_is_gone_by_the_time_of_the_lock_is_not_mended"),
    ),
    Mechanism(
        "originals kept by a repair",
        (
            Edit(
                "upkeep/mending.py",
                "        if os.path.lexists(path):\n            self.tree.quarantine.keep(path)\n",
                "",
            ),
        ),
        Fails(_EACH_DAMAGE),
    ),
    Mechanism(
        "commits that a living owner may have in memory",
        (
            Edit(
                "upkeep/mending_log.py",
                "    if case.owner_lives:\n        return refuse(_AFTER_THE_OWNER, _OWNER_LIVES)\n"
                "    return move_away(case)\n",
                "    return move_away(case)\n",
            ),
        ),
        Fails(_EACH_DAMAGE),
    ),
    Mechanism(
        "owners whose lock file was deleted",
        (
            Edit(
                "upkeep/mending_locks.py",
                'if meta.get("host") in (None, platform.node()) and _is_alive(meta.get("pid")):',
                "if False:",
            ),
        ),
        Fails(_TEST + "test_run_whose_owner_lock_was_deleted_is_left_to_an_owner_that_may_live"),
    ),
    Mechanism(
        "lock files emptied in place",
        (
            Edit(
                "upkeep/mending_locks.py",
                "        in_place.empty_file(case.path)\n",
                '        in_place.atomic.write_file(*os.path.split(case.path), b"", False)\n',
            ),
        ),
        Fails(_TEST + "test_lock_file_is_emptied_in_place"),
    ),
    Mechanism(
        "new names for sealed files that are written anew",
        (
            Edit(
                "upkeep/rebuilding.py",
                "        while size and sealed_name(first, first + size - 1) in taken:\n            size -= 1\n",
                "",
            ),
        ),
        Fails(_TEST + "test_sealed_files_that_are_written_anew_take_no_name_of_an_old_one"),
    ),
    Mechanism(
        "one process gathers warnings at a time",
        (
            Edit(
                "upkeep/mending.py",
                "_gathering = threading.RLock()\n",
                "import unittest.mock\n\n_gathering: Any = unittest.mock.Mock()\n",
            ),
        ),
        Fails(_TEST + "test_gathering_waits_for_another_thread_that_gathers"),
    ),
)
