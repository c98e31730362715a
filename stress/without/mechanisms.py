"""The mechanisms, and for each how it is taken out and what fails then.

An edit is an exact piece of a source file that stands there once, and what takes its place. Where the source has
changed so that the piece is not found any more, nothing is tried and that is said: a table like this rots in silence
otherwise.
"""

from __future__ import annotations

from typing import Tuple

from stress.without.amending import AMENDING
from stress.without.edits import Breaks, Edit, Fails, Mechanism
from stress.without.pushing import PUSHING
from stress.without.upkeep import UPKEEP

_GROUP = "writing/group_commit.py"
_FILES = "writing/run_files.py"
_LOCKS = "disk/locks.py"
_ATOMIC = "disk/atomic.py"
_OPEN = "writing/open_runs.py"
_FOLDING = "writing/folding.py"
_ARTIFACTS = "writing/artifacts.py"
_STAGING = "writing/staging.py"

_SYNC_DOCUMENT = "            self.durability.sync_document(pending.place, self._version(pending.place))\n"

MECHANISMS: Tuple[Mechanism, ...] = (
    Mechanism(
        "file lock",
        (
            Edit(
                _LOCKS,
                "        try:\n            if self._old is None:\n",
                '        try:\n            if self.path.endswith(".lock"):\n                return True\n'
                "            if self._old is None:\n",
            ),
        ),
        Breaks("one_run", ("no_two_holders",)),
    ),
    Mechanism(
        "turn",
        (
            Edit(_GROUP, "        self.turn: Any = threading.RLock()\n", "        self.turn: Any = _Turns()\n"),
            Edit(
                _GROUP,
                "\n\ndef _open_gate(",
                "\n\nclass _Turns(threading.local):\n"
                "    def __init__(self) -> None:\n"
                "        lock = threading.RLock()\n"
                "        self.acquire, self.release, self._is_owned = lock.acquire, lock.release, lock._is_owned\n"
                "\n\ndef _open_gate(",
            ),
        ),
        Fails("tests/test_group_commit.py::test_store_is_never_entered_by_two_threads_at_once"),
    ),
    Mechanism(
        "hand-over of the turn",
        (
            Edit(
                _GROUP,
                "                    turn.release()\n                    self._point_to_turn()\n",
                "                    turn.release()\n",
            ),
        ),
        Fails("tests/test_group_commit.py::test_every_turn_is_handed_on_and_nobody_has_to_look_again"),
    ),
    Mechanism(
        "queue looked at under the lock",
        (
            Edit(
                _GROUP,
                "            try:\n                self._enter(nested)\n",
                "            early = self.waiting()\n            try:\n                self._enter(nested)\n",
            ),
            Edit(_GROUP, "            self._store(self.waiting)\n", "            self._store(lambda: early)\n"),
        ),
        Fails("tests/test_group_commit.py::test_queue_is_looked_at_only_once_the_lock_is_held"),
    ),
    Mechanism(
        "told before forgotten",
        (
            Edit(
                _GROUP,
                "                submission.done = True\n                _open_gate(submission)\n"
                "                try:\n                    self._queue.remove(submission)\n"
                "                except ValueError:\n                    pass\n",
                "                try:\n                    self._queue.remove(submission)\n"
                "                except ValueError:\n                    pass\n"
                "                submission.done = True\n                _open_gate(submission)\n",
            ),
        ),
        Fails("tests/test_group_commit.py::test_interrupt_at_any_line_of_a_leader_lets_who_waits_behind_it_go_on"),
    ),
    Mechanism(
        "withdrawal by an interrupt",
        (Edit(_GROUP, "            submission.withdrawn = True\n", "            pass\n"),),
        Fails(
            "tests/test_group_commit.py::test_interrupted_leader_s_submission_is_withdrawn_and_the_others_are_stored"
        ),
    ),
    Mechanism(
        "settling of what is in flight",
        (
            Edit(
                _FILES,
                "            if left.stands():\n"
                "                settle(left.batch, try_to_make_durable(left) "
                'if self.settings.fsync == "always" else None)\n',
                "",
            ),
        ),
        Fails("tests/test_interrupts.py::test_call_in_the_batch_of_an_interrupted_leader_is_stored_once"),
    ),
    Mechanism(
        "number check",
        (
            Edit(
                "writing/commit_log.py",
                "        if last is None or self.lists_always or not exists(self._paths.commit(last)):\n"
                "            return None\n",
                "        if last is None:\n            return None\n        return last + 1\n",
            ),
        ),
        Breaks("one_run", ("acknowledged_exactly_once",)),
    ),
    Mechanism(
        "first values only of keys that no commit holds",
        (
            Edit(
                _FILES,
                "            return not self.log.may_hold(lambda waiting: place_of(waiting) == place)\n",
                "            return True\n",
            ),
        ),
        Fails("tests/test_new_files.py::test_commit_that_a_dead_process_left_comes_before_the_next_value_of_its_key"),
    ),
    Mechanism(
        "snapshot check before a first value",
        (Edit(_FILES, "        if exists(self.paths.snapshot):\n            self._look()\n", ""),),
        Fails("tests/test_new_files.py::test_first_value_after_another_process_ended_the_run_is_refused"),
    ),
    Mechanism(
        "numbers that never restart",
        (
            Edit(
                _FILES,
                "            highest = max(highest, highest_in_documents(self.paths, meta))\n",
                "            pass\n",
            ),
        ),
        Fails("tests/test_commit_log.py::test_numbers_go_on_after_a_resume_without_any_document"),
    ),
    Mechanism(
        "snapshot check before a commit",
        (
            Edit(
                _FILES,
                "        known = None if exists(self.paths.snapshot) else self.log.next_if_known()\n",
                "        known = self.log.next_if_known()\n",
            ),
        ),
        Fails(
            "tests/test_crash_steps.py::"
            "test_process_beside_one_that_is_killed_stores_its_value_or_is_told_that_the_run_has_ended"
        ),
    ),
    Mechanism(
        "whole writes (a temporary, then a rename)",
        (
            Edit(
                _ATOMIC,
                "os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY",
                "os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY",
            ),
            Edit(
                _ATOMIC,
                "    temporary = name_temporary(folder)\n",
                '    temporary = "%s/%s" % (folder, name)\n',
            ),
        ),
        Breaks("readers", ("readers_see_no_error",)),
    ),
    Mechanism(
        "unique temporary names",
        (
            Edit(
                _ATOMIC,
                "    temporary = name_temporary(folder)\n",
                '    temporary = "%s/%s%s" % (folder, TEMPORARY_PREFIX, name)\n',
            ),
        ),
        Fails("tests/test_atomic.py::test_second_writer_at_any_step_of_the_first_mixes_no_bytes"),
    ),
    Mechanism(
        "temporary names of a forked child",
        (Edit(_ATOMIC, "    global _prefix\n    _prefix = _new_prefix()\n", "    pass\n"),),
        Fails("tests/test_atomic.py::test_forked_child_takes_other_temporary_names_than_its_parent"),
    ),
    Mechanism(
        "removal of a failed temporary",
        (
            Edit(
                _ATOMIC,
                "    except BaseException as error:\n        _discard(temporary, descriptor)\n",
                "    except BaseException as error:\n",
            ),
        ),
        Fails("tests/test_atomic.py::test_failed_write_leaves_the_old_file_and_names_the_target"),
    ),
    Mechanism(
        "fsync before a replacing rename",
        (Edit(_ATOMIC, "        if sync:\n            _wait_for_medium(descriptor)\n", ""),),
        Fails("tests/test_power_cut.py::test_what_the_level_promises_survives_any_power_cut"),
    ),
    Mechanism(
        "fsync before the log is cut",
        (Edit(_FOLDING, _SYNC_DOCUMENT, ""),),
        Fails("tests/test_power_cut.py::test_what_the_level_promises_survives_any_power_cut"),
    ),
    Mechanism(
        "fsync of first values by a flush",
        (Edit(_FILES, "        self.folding.durability.sync_all()\n", ""),),
        Fails("tests/test_power_cut.py::test_what_the_level_promises_survives_any_power_cut"),
    ),
    Mechanism(
        "meta.yaml made whole before a snapshot is removed",
        (Edit("writing/reopening.py", "        restore_meta(run.paths, run.meta, run.files.seen, sync)\n", ""),),
        Fails("tests/test_power_cut.py::test_what_the_level_promises_survives_any_power_cut"),
    ),
    Mechanism(
        "fold number of a document",
        (
            Edit(
                "writing/pending.py",
                "            if (commit is None or number > commit) and not isinstance(change, ValueChange)\n",
                "            if not isinstance(change, ValueChange)\n",
            ),
        ),
        Breaks("one_run", ("acknowledged_exactly_once",)),
    ),
    Mechanism(
        "rewind of every document",
        (Edit(_FOLDING, "        return list_keys(self._paths)\n", "        return []\n"),),
        Fails("tests/test_rewind.py::test_fold_that_dies_between_two_documents_is_finished_by_the_next"),
    ),
    Mechanism(
        "whole histories for a rewind that waits in the log",
        (
            Edit(
                "reading/run_view.py",
                "        if document.commit < rewound:\n            history",
                "        if False:\n            history",
            ),
        ),
        Fails("tests/test_rewind.py::test_rewind_that_is_not_folded_yet_holds_for_readers"),
    ),
    Mechanism(
        "read order (the log before the documents)",
        (
            Edit(
                "reading/metric_history.py",
                "    commits = read_log(paths, list_log(paths))\n    document, data = _read_document(paths, key)\n",
                "    document, data = _read_document(paths, key)\n    commits = read_log(paths, list_log(paths))\n",
            ),
        ),
        Breaks("readers", ("history_never_shrinks", "acknowledged_is_visible", "readers_see_whole_values")),
    ),
    Mechanism(
        "second listing of the documents by a reader",
        (Edit("reading/run_view.py", "_list_documents(paths) == listed and", "True and"),),
        Fails("tests/test_new_files.py::test_reader_sees_first_values_in_the_order_in_which_they_were_logged"),
    ),
    Mechanism(
        "second look at a merged history",
        (Edit("reading/metric_history.py", "            if not give_up:\n                return None\n", ""),),
        Fails("tests/test_crash_steps.py::test_writer_between_any_two_looks_of_a_reader_shows_before_or_after"),
    ),
    Mechanism(
        "folder held while a run is read",
        (
            Edit(
                "reading/run_folder.py",
                "    with held_folder(paths.folder) as folder:\n",
                "    for folder in (paths.folder,):\n",
            ),
        ),
        Fails("tests/test_search_races.py::test_run_that_is_deleted_and_restored_during_a_search"),
    ),
    Mechanism(
        "fork hooks",
        (
            Edit(
                _OPEN,
                "    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, "
                "after_in_child=_after_fork_in_child)\n",
                "    pass\n",
            ),
        ),
        Fails("tests/test_forks_and_locks.py::test_child_of_a_killed_owner_does_not_keep_it_alive"),
    ),
    Mechanism(
        "turns taken before a fork",
        (
            Edit(
                _OPEN,
                "        if turn.acquire(timeout=_FORK_WAIT_S):\n            _held_turns.append(turn)\n",
                "        pass\n",
            ),
        ),
        Fails("tests/test_forks_and_locks.py::test_fork_waits_for_a_commit_that_is_half_way"),
    ),
    Mechanism(
        "owner lock",
        (Edit(_OPEN, "            if self.owner.try_acquire():\n", "            if True:\n"),),
        Fails("tests/test_processes.py::test_run_whose_owner_was_killed_shows_as_crashed"),
    ),
    Mechanism(
        "letting go of the owner lock under the run's lock",
        (
            Edit(
                "writing/lifecycle.py",
                "    # Under the lock still: whoever resumes the run next must find the owner lock free.\n"
                "    run.end_with(run.meta)\n",
                "",
            ),
        ),
        Fails("tests/test_processes.py::test_ended_run_is_let_go_of_before_the_next_process_comes_in"),
    ),
    Mechanism(
        "second look at the owner lock by a reader",
        (Edit("reading/run_view.py", "    for _ in range(_RESUMED_AT_MOST):\n", "    for _ in range(1):\n"),),
        Fails("tests/test_crash_steps.py::test_run_that_is_ended_and_resumed_between_two_looks_is_not_dead"),
    ),
    Mechanism(
        "second look before an end is acted on",
        (
            Edit(
                _OPEN,
                '        if meta.get("status", RUNNING) != RUNNING:\n            self.end_with(meta)\n',
                "        self.end_with(meta)\n",
            ),
        ),
        Fails("tests/test_threads.py::test_end_that_a_thread_learned_of_before_a_resume_is_passed_over"),
    ),
    Mechanism(
        "artifacts are staged before they appear",
        (
            Edit(
                _ARTIFACTS,
                "        yield staging\n",
                "        content, staging.content = staging.content, run.paths.artifacts\n        yield staging\n"
                "        staging.content = content\n        atomic.create_folder(staging.content)\n",
            ),
        ),
        Fails("tests/test_crash_steps.py::test_killed_at_any_step_leaves_before_or_after_and_lets_the_next_writer_in"),
    ),
    Mechanism(
        "folders to stage in are made one by one",
        (
            Edit(
                "writing/staging.py",
                "        path = self.content\n        atomic.create_folder(path)\n",
                "        path = self.content\n        atomic.create_folders(path)\n",
            ),
        ),
        Fails("tests/test_artifacts.py::test_run_that_is_deleted_meanwhile_refuses_at_any_step_and_stays_whole[False]"),
    ),
    Mechanism(
        "number in meta.yaml tells readers where no log does",
        (
            Edit(
                "reading/run_view.py",
                "numbers[-1] if numbers else last_commit(metadata)\n",
                "numbers[-1] if numbers else float('inf')\n",
            ),
        ),
        Fails(
            "tests/test_reading.py::"
            "test_commit_and_end_between_any_two_steps_of_a_reader_show_together_or_not_at_all[1-True]"
        ),
    ),
    Mechanism(
        "exchange of a merged folder",
        (Edit("writing/placing.py", "        if len(moves) > 1:\n", "        if False:\n"),),
        Fails("tests/test_crash_steps.py::test_killed_at_any_step_leaves_before_or_after_and_lets_the_next_writer_in"),
    ),
    Mechanism(
        "lock of a staging folder",
        (Edit(_STAGING, "        self._lock.acquire(timeout_s)\n", ""),),
        Fails("tests/test_artifacts.py::test_what_a_living_process_copies_is_left_alone_by_others"),
    ),
    Mechanism(
        "staging folders of this process are known to it",
        (Edit(_STAGING, " and path not in _live and ", " and "),),
        Fails("tests/test_artifacts.py::test_handler_that_logs_an_artifact_in_the_middle_of_another_stores_both"),
    ),
    Mechanism(
        "staging folders of dead processes are swept",
        (Edit(_STAGING, "and path not in _live and is_dead(path):", "and False:"),),
        Fails("tests/test_artifacts.py::test_what_a_killed_process_copied_shows_nowhere_and_is_swept_by_the_next"),
    ),
    Mechanism(
        "lock of a staging folder is closed in a forked child",
        (Edit(_STAGING, "        staging.forget()\n", "        pass\n"),),
        Fails("tests/test_artifacts.py::test_forked_child_does_not_keep_what_its_killed_parent_copied"),
    ),
    Mechanism(
        "staging folders are removed under the run's lock",
        (Edit(_ARTIFACTS, "            run.group.run_alone(staging.remove)\n", "            staging.remove()\n"),),
        Fails("tests/test_verify_sound.py::test_no_step_of_a_writer_gives_a_finding"),
    ),
    Mechanism(
        "second listing of a folder that was exchanged",
        (
            Edit(
                "disk/regular.py",
                "            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):\n",
                "            if True:\n",
            ),
        ),
        Fails(
            "tests/test_artifacts.py::"
            "test_listing_is_of_the_old_folder_or_the_new_one_and_never_of_one_that_is_being_removed"
        ),
    ),
    Mechanism(
        "fsync of artifacts",
        (Edit(_ARTIFACTS, "            sync_files(staging.content)\n", ""),),
        Fails("tests/test_power_cut.py::test_what_the_level_promises_survives_any_power_cut"),
    ),
    Mechanism(
        "lock files that were deleted are noticed",
        (Edit(_LOCKS, "            if os.fstat(descriptor).st_nlink:\n", "            if True:\n"),),
        Fails("tests/test_locks.py::test_lock_file_that_was_deleted_is_made_anew_and_excludes_again"),
    ),
    Mechanism(
        "telling a deletion from an end",
        (
            Edit(
                _OPEN,
                "        except RunDeletedError:\n"
                "            # That is no end: once it is restored, this object logs again.\n"
                "            return\n",
                "",
            ),
        ),
        Fails(
            "tests/test_trash.py::"
            "test_open_run_that_is_deleted_refuses_each_call_stores_nothing_and_goes_on_once_restored"
        ),
    ),
    Mechanism(
        "numbers of a run that is begun anew",
        (
            Edit("writing/lifecycle.py", '        meta["commit"] = draw_number()\n', "        pass\n"),
            Edit(_FILES, "        if self.log.is_of_another_run(meta):\n            self.forget()\n", ""),
        ),
        Fails("tests/test_rebirth.py::test_handle_of_the_former_run_loses_nothing_of_the_new_one"),
    ),
    Mechanism(
        "second look for a snapshot by a reader",
        (
            Edit(
                "reading/run_view.py", "        snapshot = read_late_snapshot(standing)\n", "        snapshot = None\n"
            ),
        ),
        Fails(
            "tests/test_crash_steps.py::"
            "test_reader_that_began_before_an_end_sees_what_was_changed_after_it_whole_or_not_at_all"
        ),
    ),
    Mechanism(
        "lock of an import",
        (
            Edit(
                "exchange/storing.py",
                "            with held(target.root, IMPORT_LOCK, target.settings.lock_timeout_s):\n",
                "            if True:\n",
            ),
        ),
        Fails("tests/test_import_races.py::test_imports_that_meet_in_one_tree_bring_each_run_once"),
    ),
    Mechanism(
        "points that are here are told from new ones",
        (
            Edit(
                "exchange/storing.py",
                "                for piece in iter_history(self._paths, key, hidden=True):\n",
                "                for piece in ():\n",
            ),
        ),
        Fails("tests/test_import_mlflow.py::test_run_that_went_on_goes_on_here"),
    ),
    Mechanism(
        "lock of the tree",
        (
            Edit(
                "writing/experiments.py",
                "    with held(root, TREE_LOCK, settings.lock_timeout_s):\n        found = find()\n",
                "    if True:\n        found = find()\n",
            ),
        ),
        Breaks("births_and_deletions", ("one_experiment_a_name", "readers_see_no_error")),
    ),
    Mechanism(
        "looking twice for the deletion of an experiment",
        (
            Edit(
                "writing/lifecycle.py",
                "        refuse_deleted(*paths.address[:2])\n        run.files.note_creation(data, meta)\n",
                "        run.files.note_creation(data, meta)\n",
            ),
        ),
        Fails(
            "tests/test_experiment_changes.py::test_run_that_is_started_while_its_experiment_is_deleted_is_taken_back"
        ),
    ),
    Mechanism(
        "lock of the tree, for changes of experiments",
        (
            Edit(
                "writing/experiments.py",
                "    with held(root, TREE_LOCK, settings.lock_timeout_s):\n        return change_alone(",
                "    if True:\n        return change_alone(",
            ),
        ),
        Fails("tests/test_experiment_changes.py::test_fifty_processes_that_make_tag_and_rename_at_once_lose_nothing"),
    ),
    *PUSHING,
    *AMENDING,
    *UPKEEP,
)
