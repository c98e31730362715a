"""The end of the process: calling something then, and telling a crash from an end."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from types import FrameType
from typing import Callable, Optional

_registered_in: Optional[int] = None
_last_seen: Optional[BaseException] = None
_worker_frame: Optional[FrameType] = None


def call_at_exit(function: Callable[[], None]) -> None:
    """``function`` is called once or twice when the interpreter exits. The first call in a process counts, later ones
    do nothing; a forked child, which inherits what its parent registered, may call this again."""
    global _registered_in, _last_seen, _worker_frame
    if _registered_in == os.getpid():
        return
    if _registered_in is None:
        atexit.register(function)
    _registered_in = os.getpid()
    _last_seen = _last_uncaught()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _worker_frame = _find_worker_frame()
        # Worker processes of multiprocessing leave by os._exit, past atexit; they run their own finalizers.
        util.Finalize(None, function, exitpriority=100)


def is_crashing() -> bool:
    """True if an uncaught exception is what ends the process. SystemExit is none."""
    if hasattr(sys, "ps1") or sys.flags.interactive:
        # At a prompt, the last exception is one the user has seen and gone on from.
        return False
    if _worker_frame is not None and _worker_frame.f_locals.get("exitcode"):
        return True
    ending = sys.exc_info()[1] or _last_uncaught()
    return ending is not None and ending is not _last_seen and not isinstance(ending, SystemExit)


def _find_worker_frame() -> Optional[FrameType]:
    """The frame that runs a worker of multiprocessing. From Python 3.13 on, the exception that ended the worker has
    been dealt with before finalizers run, and only that frame's exit code still tells of it."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "_bootstrap" and frame.f_globals.get("__name__") == "multiprocessing.process":
            return frame
        frame = frame.f_back
    return None


def _last_uncaught() -> Optional[BaseException]:
    # Also set by what reports an exception and goes on (a debugger, a test runner), and inherited by forked children:
    # hence what it was when the process began to have runs is remembered.
    last: Optional[BaseException] = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return last
