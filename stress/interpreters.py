"""Other Pythons of this machine, each with the newest dependencies that it can have, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from stress.children import CannotTake

OLDEST = "3.7"
#: From the newest down; one that is not there is passed over.
NEWEST = tuple(f"3.{minor}" for minor in range(20, 9, -1))
DEPENDENCIES = ("PyYAML", "filelock")
_LIMIT_S = 300.0
_ASK = "import sys, filelock, yaml; print('Python %d.%d.%d' % sys.version_info[:3], 'filelock', filelock.__version__)"


class Environment(NamedTuple):
    """An interpreter with the dependencies of mini_mlflow, and what it says of itself."""

    python: str
    description: str


def find_python(version: str) -> Optional[str]:
    """The interpreter of a version such as "3.7", from pyenv or else from PATH; None if there is none that works."""
    # A pyenv shim may stand on PATH without a Python behind it.
    candidates = sorted(_pyenv_root().glob(f"versions/{version}.*/bin/python"), reverse=True)
    on_path = shutil.which(f"python{version}")
    for candidate in [*map(str, candidates), *([on_path] if on_path else [])]:
        if _runs([candidate, "-c", "import venv, ensurepip"]):
            return candidate
    return None


def _pyenv_root() -> Path:
    try:
        done = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
        if done.returncode == 0:
            return Path(done.stdout.decode().strip())
    except (OSError, subprocess.SubprocessError):
        pass
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def _runs(command: List[str]) -> bool:
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def oldest_and_newest(folder: Path, install: bool) -> List[Environment]:
    """The oldest Python that is supported and the newest that is here, each with the newest filelock that it can have.

    Args:
        folder: where the environments stand, or are made.
        install: make those that are not there.

    Raises:
        CannotTake: one is not installed, or its environment cannot be made, or must not be.
    """
    return [_prepare((OLDEST,), folder, install), _prepare(NEWEST, folder, install)]


def _prepare(versions: Sequence[str], folder: Path, install: bool) -> Environment:
    for version in versions:
        python = folder / f"python{version}" / "bin" / "python"
        if not _runs([str(python), "-c", _ASK]):
            base = find_python(version) if install else None
            if base is None:
                continue
            _make(base, python, version)
        done = subprocess.run([str(python), "-c", _ASK], stdout=subprocess.PIPE, check=True)
        return Environment(str(python), done.stdout.decode().strip())
    raise CannotTake(
        f"Python {versions[0] if len(versions) == 1 else versions[-1] + ' or newer'} "
        + ("is not installed" if install else f"has no prepared environment in {folder}")
    )


def _make(base: str, python: Path, version: str) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--upgrade"]
    for command in ([base, "-m", "venv", str(python.parents[1])], [*pip, *DEPENDENCIES]):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotTake(f"no environment for Python {version}: {error}") from None
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip().split("\n")[-1]
            raise CannotTake(f"no environment for Python {version}: {said}")
