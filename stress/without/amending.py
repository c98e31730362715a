"""The mechanisms of changing a run from beside it, as `stress.without.mechanisms` has the others."""

from __future__ import annotations

from typing import Tuple

from stress.without.edits import Edit, Fails, Mechanism

_CUT_SHORT = "tests/test_amending.py::test_points_of_a_change_that_was_cut_short_show_nowhere_and_do_not_come_back"

AMENDING: Tuple[Mechanism, ...] = (
    Mechanism(
        "params are checked under the hold that sets them",
        (
            Edit(
                "writing/amending.py",
                "        run.group.run_alone(lambda: _amend(run, change, nested, ended_too))\n",
                "        found = run.group.run_alone(lambda: read_state(run.paths, run.files.seen) and "
                '(run.files.forget(), read_current(run.files, "params", change.keys("params")))[1])\n'
                "        change.check and change.check(found)\n"
                "        run.group.run_alone(lambda: _amend(run, change._replace(check=None), nested, ended_too))\n",
            ),
        ),
        Fails("tests/test_amending.py::test_nobody_sets_a_param_between_its_check_and_its_setting"),
    ),
    Mechanism(
        "a log before the snapshot of an ended run goes",
        (Edit("writing/ended_runs.py", "            atomic.create_folder(paths.log)\n", ""),),
        Fails(
            "tests/test_amending.py::test_who_does_not_know_of_the_end_logs_nothing_to_a_run_whose_amender_was_killed"
        ),
    ),
    Mechanism(
        "changes are made of what stands under the hold that makes them",
        (
            Edit(
                "writing/amending.py",
                "    change = _Change(submission or Submission([], []), meta, check, compute)\n",
                "    if compute is not None:\n"
                "        stands = Current(lambda *wanted: _read_ended(run, read_snapshot(run.paths), *wanted))\n"
                "        submission, compute = compute(stands), None\n"
                "    change = _Change(submission or Submission([], []), meta, check, compute)\n",
            ),
        ),
        Fails("tests/test_amending.py::test_nobody_changes_a_tag_between_its_reading_and_its_setting[ended]"),
    ),
    Mechanism(
        "changes are made of what other processes have just committed",
        (
            Edit(
                "writing/amending.py",
                "        files.log.last = files.next_number() - 1\n",
                "        files.next_number()\n",
            ),
        ),
        Fails("tests/test_amending.py::test_what_another_process_has_just_committed_is_what_a_change_is_made_of"),
    ),
    Mechanism(
        "what a new snapshot does not hold whole stands before it",
        (
            Edit("writing/ended_snapshots.py", "            _write(paths, plan.before, sync)\n", ""),
            Edit(
                "writing/ended_snapshots.py",
                "        _write(paths, plan.after, sync=False)\n",
                "        _write(paths, plan.before + plan.after, sync=False)\n",
            ),
        ),
        Fails(
            "tests/test_crash_steps.py::"
            "test_killed_at_any_step_leaves_before_or_after_and_lets_the_next_writer_in[annotate]"
        ),
    ),
    Mechanism(
        "points that a snapshot does not count are passed over",
        (
            Edit(
                "reading/metric_history.py",
                "        return history if history is None else "
                "_leave_out_ahead(paths, document, history, snapshot, give_up)\n",
                "        return history\n",
            ),
        ),
        Fails(_CUT_SHORT),
    ),
    Mechanism(
        "points that a snapshot does not count are taken back",
        (Edit("writing/snapshots.py", "    take_back_points(paths, snapshot, sync)\n", ""),),
        Fails(_CUT_SHORT),
    ),
    Mechanism(
        "documents that a change left behind are brought up by the next one",
        (Edit("writing/ended_snapshots.py", "        if others_behind:\n", "        if False:\n"),),
        Fails("tests/test_amending.py::test_documents_that_a_change_left_behind_are_brought_up_by_the_next_one"),
    ),
    Mechanism(
        "what is ahead of a snapshot is taken back before its number goes on",
        (
            Edit(
                "writing/ended_snapshots.py",
                " or last_commit(meta) != last_commit(snapshot.metadata) + 1:\n",
                ":\n",
            ),
        ),
        Fails(_CUT_SHORT),
    ),
)
