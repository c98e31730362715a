"""Where a run comes from: recorded in ``meta.yaml`` without being asked. No network, and nothing that may be secret.

The script's path is recorded, its arguments are not: they hold passwords. Git is asked once a process, for 100 ms at
the most; what it has not said by then is left out.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import threading
import time
from typing import Any, Dict, List, Optional

_GIT_LIMIT_S = 0.1

_git_lock = threading.Lock()
_git_answers: Dict[str, Dict[str, Any]] = {}


def collect_origin() -> Dict[str, Any]:
    """``user``, ``host``, ``pid``, ``python``, ``script``; and, in a repository, ``git_commit`` and ``git_dirty``."""
    script = find_script()
    origin: Dict[str, Any] = {
        "user": find_user(),
        "host": platform.node(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "script": script,
    }
    origin.update(_ask_git_once(os.path.dirname(script) if script else os.getcwd()))
    return {name: value for name, value in origin.items() if value is not None}


def find_script() -> Optional[str]:
    """The absolute path of the running script; None at an interactive prompt."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(path) if isinstance(path, str) else None


def find_user() -> Optional[str]:
    """The name of the user; their number where no name is known (containers); None where there is neither."""
    return _find_user(os.getuid() if hasattr(os, "getuid") else None)


@functools.lru_cache(maxsize=1)
def _find_user(number: Optional[int]) -> Optional[str]:
    # Once a process and user: the system reads its list of users anew each time.
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None if number is None else str(number)


def renew_after_fork() -> None:
    """A forked child must not wait for a thread that does not exist there."""
    global _git_lock
    _git_lock = threading.Lock()


def _ask_git_once(folder: str) -> Dict[str, Any]:
    with _git_lock:
        if folder not in _git_answers:
            _git_answers[folder] = _ask_git(folder) if _is_in_repository(folder) else {}
        return _git_answers[folder]


def _is_in_repository(folder: str) -> bool:
    while not os.path.exists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent
    return True


def _ask_git(folder: str) -> Dict[str, Any]:
    deadline = time.monotonic() + _GIT_LIMIT_S
    commit = _run_git(["rev-parse", "HEAD"], folder, deadline)
    if commit is None:
        return {}
    answer: Dict[str, Any] = {"git_commit": commit.strip()}
    changes = _run_git(["status", "--porcelain", "--untracked-files=no"], folder, deadline)
    if changes is not None:
        answer["git_dirty"] = bool(changes.strip())
    return answer


def _run_git(arguments: List[str], folder: str, deadline: float) -> Optional[str]:
    import subprocess

    # Without optional locks, or `git status` would write to the user's index.
    command = ["git", "--no-optional-locks", "-C", folder, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(0.001, deadline - time.monotonic()),
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
