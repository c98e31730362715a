"""Whether the owner of a run that says RUNNING is alive, as far as this host can tell."""

from __future__ import annotations

import os
import platform

from mini_mlflow.disk.layout import SNAPSHOT
from mini_mlflow.disk.locks import is_held
from mini_mlflow.entities import RUNNING
from mini_mlflow.upkeep.run_look import RunLook


def look_at_owner(look: RunLook) -> None:
    """A run that says RUNNING, and has not been ended by a snapshot, has a living owner, unless it has none at all."""
    if look.meta.get("status") != RUNNING or SNAPSHOT in look.names or look.meta.get("owned") is False:
        return
    lock = look.paths.owner_lock
    held = is_held(lock)
    if held is None and not os.path.lexists(lock) and not look.is_of_0_1_0:
        message = "the run reads RUNNING for ever, since nobody can be seen to hold it; attach to the run and end it"
        look.doubt(lock, "owner-lock-missing", message, look.stamp)
    if held is not False:
        return
    host = look.meta.get("host")
    owner = "process %s on %s" % (look.meta.get("pid"), host)
    if host in (None, platform.node()):
        message = "%s is gone, and the run reads CRASHED; attach to the run and end it, or go on with it" % owner
        look.doubt(look.paths.meta, "dead-owner", message, look.stamp)
    else:
        message = "%s cannot be seen from here, and the run reads UNKNOWN; ask there, or end it if it is gone" % owner
        look.doubt(look.paths.meta, "owner-elsewhere", message, look.stamp)
