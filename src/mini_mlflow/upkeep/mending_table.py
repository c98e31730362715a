"""Every rule and its mend, in the order in which they are due.

First what stands where nothing, or something else, should; then ``meta.yaml``, the log, each document by itself; then
what folding the log does; then how the run has ended; and who owns it last. So each mend finds in order what it relies
on. What a mend leaves to be done (a document that is missing now, a snapshot that disagrees) is a finding of its own.
"""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple

from mini_mlflow.disk.layout import LOG, METRICS, SNAPSHOT
from mini_mlflow.upkeep.mending import Case, Plan, refuse
from mini_mlflow.upkeep.mending_end import mend_end
from mini_mlflow.upkeep.mending_entries import (
    mend_empty_run,
    mend_foreign,
    mend_irregular,
    mend_mode,
    mend_temporary,
    mend_unreadable,
)
from mini_mlflow.upkeep.mending_histories import mend_form, mend_history, mend_orphan, mend_sealed_form, mend_unlisted
from mini_mlflow.upkeep.mending_locks import (
    mend_dead_owner,
    mend_filled_lock,
    mend_missing_owner_lock,
    mend_owner_elsewhere,
)
from mini_mlflow.upkeep.mending_log import (
    is_in_log,
    mend_by_folding,
    mend_commit,
    mend_document_ahead,
    mend_gap,
    mend_torn_commit,
)
from mini_mlflow.upkeep.mending_meta import mend_meta
from mini_mlflow.upkeep.mending_trash import (
    mend_deleted_twice,
    mend_deletion_left,
    mend_deletion_time,
    mend_experiment_twice,
    mend_half_deleted,
    mend_remains,
    mend_torn_experiment,
)
from mini_mlflow.upkeep.mending_values import mend_missing_value, mend_value, mend_value_form, mend_wrong_key

MODES, ENTRIES, META, COMMITS, NAMES, DOCUMENTS, FOLD, END, OWNER = range(9)
#: One mend of these puts right all of the run that is due in its stage, or all that breaks its rule.
WHOLE_RUN = frozenset((META, END, OWNER))


class Mending(NamedTuple):
    """When a rule's findings are mended, and how."""

    stage: int
    plan: Callable[[Case], Plan]


def _mend_format(case: Case) -> Plan:
    return refuse("repair it with the version that wrote it", "this version does not know the format")


def _mend_laxness(case: Case) -> Plan:
    first = case.parts[0]
    if first == SNAPSHOT:
        return mend_end(case)
    if first == LOG:
        return mend_commit(case)
    if first == METRICS:
        return mend_form(case) if len(case.parts) == 2 else mend_sealed_form(case)
    return mend_value_form(case)


def _mend_torn_document(case: Case) -> Plan:
    return mend_history(case) if case.parts[0] == METRICS else mend_value(case)


def _mend_missing_document(case: Case) -> Plan:
    if is_in_log(case):
        return mend_by_folding(case)
    return mend_history(case) if case.parts[0] == METRICS else mend_missing_value(case)


MENDINGS: Dict[str, Mending] = {
    "mode-owner": Mending(MODES, mend_mode),
    "mode-group": Mending(MODES, mend_mode),
    "foreign-file": Mending(ENTRIES, mend_foreign),
    "not-regular": Mending(ENTRIES, mend_irregular),
    "unreadable": Mending(ENTRIES, mend_unreadable),
    "temporary": Mending(ENTRIES, mend_temporary),
    "empty-run": Mending(ENTRIES, mend_empty_run),
    "remains": Mending(ENTRIES, mend_remains),
    "torn-experiment": Mending(ENTRIES, mend_torn_experiment),
    "experiment-twice": Mending(ENTRIES, mend_experiment_twice),
    "experiment-half-deleted": Mending(ENTRIES, mend_half_deleted),
    "deletion-left": Mending(ENTRIES, mend_deletion_left),
    "deletion-time": Mending(ENTRIES, mend_deletion_time),
    "deleted-twice": Mending(ENTRIES, mend_deleted_twice),
    "lock-not-empty": Mending(ENTRIES, mend_filled_lock),
    "unknown-format": Mending(META, _mend_format),
    "meta-missing": Mending(META, mend_meta),
    "torn-meta": Mending(META, mend_meta),
    "meta-fields": Mending(META, mend_meta),
    "meta-identity": Mending(META, mend_meta),
    "meta-status": Mending(META, mend_meta),
    "torn-commit": Mending(COMMITS, mend_torn_commit),
    "commit-number": Mending(COMMITS, mend_commit),
    "wrong-key": Mending(NAMES, mend_wrong_key),
    "strict-json": Mending(DOCUMENTS, _mend_laxness),
    "torn-document": Mending(DOCUMENTS, _mend_torn_document),
    "wrong-timestamp": Mending(DOCUMENTS, mend_value_form),
    "document-layout": Mending(DOCUMENTS, mend_form),
    "sealed-unlisted": Mending(DOCUMENTS, mend_unlisted),
    "wrong-count": Mending(DOCUMENTS, mend_history),
    "wrong-last": Mending(DOCUMENTS, mend_history),
    "wrong-latest": Mending(DOCUMENTS, mend_history),
    "wrong-range": Mending(DOCUMENTS, mend_history),
    "sealed-gap": Mending(DOCUMENTS, mend_history),
    "sealed-missing": Mending(DOCUMENTS, mend_history),
    "torn-sealed": Mending(DOCUMENTS, mend_history),
    "history-orphaned": Mending(DOCUMENTS, mend_orphan),
    "document-missing": Mending(FOLD, _mend_missing_document),
    "document-behind-log": Mending(FOLD, mend_by_folding),
    "commit-gap": Mending(FOLD, mend_gap),
    "document-ahead": Mending(FOLD, mend_document_ahead),
    "log-left": Mending(FOLD, mend_by_folding),
    "torn-snapshot": Mending(END, mend_end),
    "snapshot-missing": Mending(END, mend_end),
    "snapshot-disagrees": Mending(END, mend_end),
    "end-half-done": Mending(END, mend_end),
    "change-half-done": Mending(END, mend_end),
    "owner-lock-missing": Mending(OWNER, mend_missing_owner_lock),
    "dead-owner": Mending(OWNER, mend_dead_owner),
    "owner-elsewhere": Mending(OWNER, mend_owner_elsewhere),
}
#: The order among the rules of one stage.
RANKS: Dict[str, int] = {rule: rank for rank, rule in enumerate(MENDINGS)}
