"""``python -m stress without``: take one mechanism after another out of a copy of the sources, and see what fails.

Exit status: 0 every removal was noticed, 1 one was not, 2 could not tell: the source has changed, what should fail
fails with nothing taken out too, or neither passes nor fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Sequence, Union

import stress
from stress.progress import Progress
from stress.report import align
from stress.without.edits import Breaks, Edit, Fails, Mechanism
from stress.without.mechanisms import MECHANISMS

NOTICED, UNNOTICED, COULD_NOT_TELL = 0, 1, 2
#: Every proof takes seconds; this is for machines that are a hundred times slower, and for what hangs.
LIMIT_S = 600.0

ROOT = Path(stress.__file__).resolve().parents[1]
Proof = Union[Fails, Breaks]


class CouldNotTell(Exception):
    """Nothing can be said about the mechanism; this says why."""


def apply(edit: Edit, package: Path) -> None:
    """The file below ``package`` has the new piece in place of the old one.

    Raises:
        CouldNotTell: the old piece does not stand there exactly once.
    """
    path = package / edit.path
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    times = source.count(edit.old)
    if times != 1:
        raise CouldNotTell(f"{edit.path} holds {times} times, and should hold once:\n{edit.old}")
    path.write_text(source.replace(edit.old, edit.new), encoding="utf-8")


class Trial:
    """Runs proofs against copies of the sources in a scratch folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._untouched: Dict[Proof, str] = {}

    def fails_without(self, mechanism: Mechanism) -> bool:
        """Whether the proof fails without the mechanism. Raises CouldNotTell if it fails with it too."""
        source = self._copy(mechanism.edits)
        said = self._untouched.get(mechanism.proof)
        if said is None:
            said = self._untouched[mechanism.proof] = self._run(mechanism.proof, self._copy(()))
        if said != "passed":
            raise CouldNotTell(f"with nothing taken out, it {said}")
        said = self._run(mechanism.proof, source)
        if said not in ("passed", "failed"):
            raise CouldNotTell(f"it {said}")
        return said == "failed"

    def _copy(self, edits: Sequence[Edit]) -> Path:
        source = Path(tempfile.mkdtemp(prefix="src-", dir=str(self._scratch)))
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(str(ROOT / "src" / "mini_mlflow"), str(source / "mini_mlflow"), ignore=ignored)
        for edit in edits:
            apply(edit, source / "mini_mlflow")
        return source

    def _run(self, proof: Proof, source: Path) -> str:
        environment = self._environment(source)
        asked = [sys.executable, "-c", "import mini_mlflow; print(mini_mlflow.__file__)"]
        found = subprocess.run(asked, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, timeout=LIMIT_S)
        if not found.stdout.decode().startswith(str(source)):
            return "did not run against the copy"
        try:
            done = subprocess.run(
                self._command(proof),
                cwd=str(ROOT),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if isinstance(proof, Fails) else None,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return f"hung for {LIMIT_S:g} s"
        return self._judge(proof, done.returncode, done.stdout.decode(errors="replace"))

    def _environment(self, source: Path) -> Dict[str, str]:
        inherited = os.environ.get("PYTHONPATH")
        homes = [str(source), str(ROOT)] + ([inherited] if inherited else [])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(homes), "TMPDIR": str(self._scratch)}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return environment

    def _command(self, proof: Proof) -> List[str]:
        if isinstance(proof, Fails):
            return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *proof.test.split()]
        options = ["--scenario", proof.scenario, "--seed", "1", "--json", "--runs-dir", str(self._scratch)]
        return [sys.executable, "-m", "stress", *options, *proof.options]

    @staticmethod
    def _judge(proof: Proof, status: int, said: str) -> str:
        if status == 0:
            return "passed"
        if status != 1:
            return f"left with status {status}:\n{said[-2000:]}"
        if isinstance(proof, Breaks):
            (row,) = json.loads(said)["scenarios"]
            broken = [one["guarantee"] for one in row["broken"]]
            if not set(broken) & set(proof.guarantees):
                return f"broke {' and '.join(broken)} instead"
        return "failed"


def main(arguments: List[str]) -> int:
    """Try what is asked for, print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stress without", description=__doc__)
    known = [mechanism.name for mechanism in MECHANISMS]
    parser.add_argument("mechanism", nargs="*", help=f"of: {', '.join(known)} (default: all)")
    parser.add_argument("--runs-dir", help="folder for the scratch copies and trees (default: a temporary one)")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.mechanism) - set(known))
    if unknown:
        parser.error(f"no such mechanism: {', '.join(unknown)}")
    if not (ROOT / "src" / "mini_mlflow").is_dir():
        parser.error(f"no sources below {ROOT}: run it in a checkout")
    tried = [mechanism for mechanism in MECHANISMS if mechanism.name in (chosen.mechanism or known)]
    return try_all(tried, chosen.runs_dir)


def try_all(mechanisms: Sequence[Mechanism], runs_dir: Union[str, None]) -> int:
    """Try each, print the table; the exit status."""
    progress = Progress()
    rows = [["mechanism", "verdict", "what fails without it"]]
    status = NOTICED
    with tempfile.TemporaryDirectory(prefix="stress-without-", dir=runs_dir) as scratch:
        trial = Trial(Path(scratch))
        for mechanism in mechanisms:
            progress.show(f"without {mechanism.name}")
            try:
                verdict = "PASS" if trial.fails_without(mechanism) else "FAIL"
                status = max(status, NOTICED if verdict == "PASS" else UNNOTICED)
            except CouldNotTell as error:
                progress.say(f"without {mechanism.name}, {mechanism.proof}: {error}")
                verdict, status = "UNKNOWN", COULD_NOT_TELL
            progress.say(f"without {mechanism.name}: {verdict}")
            rows.append([mechanism.name, verdict, str(mechanism.proof)])
    print("\n".join(align(rows)))
    return status
