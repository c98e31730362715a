"""A virtual environment for each peer, made once and kept in a folder of the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, Optional, Type

from stress.bench.peers.contract import Peer
from stress.children import CannotRun

#: Written last: what pip was asked for. An environment without it is unfinished, and made again.
READY = "installed-for-the-bench"
INSTALL_LIMIT_S = 900.0


def default_cache() -> Path:
    """Where environments are kept unless the command line says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "mini-mlflow-bench"


def interpreter_for(peer: Type[Peer], cache: Path, show: Callable[[str], None]) -> str:
    """The Python that has the peer; its environment is made where it is not there yet.

    Raises:
        CannotRun: it could not be installed; the message is the last line of what pip or venv said.
    """
    if not peer.environment:
        return sys.executable
    folder = cache / f"{peer.environment}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = str(folder / "bin" / "python")
    wanted = "\n".join(peer.requirements)
    if _content(folder / READY) == wanted:
        return python
    show(f"installing {', '.join(peer.requirements)}")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])
    (folder / READY).write_text(wanted)
    return python


def version_of(peer: Type[Peer], python: str) -> str:
    """The version that is installed; "" where it cannot be told."""
    if not peer.requirements:
        return ""
    package = peer.requirements[0].split("=")[0].split("<")[0]
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run(
        [python, "-c", program], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return done.stdout.strip()


def _run(command: List[str]) -> None:
    # A PYTHONPATH of ours would show pip our own package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=INSTALL_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [f"status {done.returncode}"]
        raise CannotRun(next((line for line in lines if line.startswith("ERROR")), lines[-1]))


def _content(path: Path) -> Optional[str]:
    try:
        return path.read_text()
    except OSError:
        return None
