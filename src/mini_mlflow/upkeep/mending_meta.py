"""Mends of ``meta.yaml``: written anew from what is left of it, from the snapshot, and from where the run stands.

What nobody knows any more (a name, a version) is null. A run that cannot say whether it has ended is RUNNING if its
owner is alive or it was started to have none, and FAILED if not.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from mini_mlflow.disk.regular import read_file
from mini_mlflow.entities import END_STATUSES, FAILED, FORMAT, RUNNING
from mini_mlflow.formats.documents import dump_meta, salvage_meta
from mini_mlflow.upkeep.mending import Case, Plan
from mini_mlflow.upkeep.signs_of_life import find_signs
from mini_mlflow.writing.run_state import last_commit

_FIRST = ("run_id", "experiment_id", "name", "version", "status", "start_time", "end_time", "parent_run_id")
_OPTIONAL = ("parent_run_id",)


def mend_meta(case: Case) -> Plan:
    """``meta.yaml`` is whole, has all that it must, and names the run and the experiment in whose folders it is."""
    look = case.in_run
    snapshot = look.snapshot
    is_told = snapshot is not None and snapshot.metadata.get("status") in END_STATUSES
    found = dict(look.meta) or _salvage(case)
    source = "what is left of it" if found else "the files beside it"
    if snapshot is not None and is_told:
        # Readers and writers go by the snapshot, whatever else there is.
        found, source = dict(snapshot.metadata), "the snapshot"
    meta = complete(case, found)
    if not look.meta and not is_told:
        meta.setdefault("format", FORMAT)
        commits = [document.commit for document in look.documents.values()]
        meta["commit"] = max([last_commit(found), look.highest, *commits])
    action = "write it from %s, with status %s" % (source, meta["status"])
    return Plan(action, lambda: case.replace(case.paths.meta, dump_meta(meta)))


def _salvage(case: Case) -> Dict[str, Any]:
    try:
        return salvage_meta(read_file(case.paths.meta))
    except OSError:
        return {}


def complete(case: Case, found: Mapping[str, Any]) -> Dict[str, Any]:
    """What ``found`` says of the run, with what it lacks or cannot be right about put right; the rest as it is."""
    address = case.paths.address
    signs = find_signs(case.in_run)
    status = _settle_status(case, found)
    wanted: Dict[str, Any] = {
        "run_id": address.run_id,
        "experiment_id": address.experiment_id,
        "name": None,
        "version": None,
        "status": status,
        "start_time": signs.first,
        "end_time": None if status == RUNNING else signs.last,
    }
    meta = {name: found.get(name, wanted.get(name)) for name in _FIRST if name in found or name not in _OPTIONAL}
    if str(meta["run_id"]) != address.run_id:
        meta["run_id"] = address.run_id
    if str(meta["experiment_id"]) != str(address.experiment_id):
        meta["experiment_id"] = address.experiment_id
    meta["status"] = status
    if status != RUNNING and meta["end_time"] is None:
        meta["end_time"] = signs.last
    meta.update({name: value for name, value in found.items() if name not in meta})
    return meta


def _settle_status(case: Case, found: Mapping[str, Any]) -> str:
    told = found.get("status")
    if isinstance(told, str) and told.upper() in (RUNNING, *END_STATUSES):
        return told.upper()
    may_run = case.owner_lives or found.get("owned") is False
    return RUNNING if found.get("end_time") is None and may_run else FAILED
