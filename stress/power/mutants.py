"""``python -m stress.power.mutants``: takes one rule about power cuts out of the engine after another.

Each time in a copy; the search must find it. The table says with which workload and level. Exit status: 0 all were
found, 1 one was not, 2 could not run (a rule is no longer spelled as it is here).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import mini_mlflow
import stress
from stress.report import align

FOUND, NOT_FOUND, COULD_NOT_RUN = 0, 1, 2


class Mutant(NamedTuple):
    """A rule: in ``module``, ``text`` (which stands there once) is replaced by ``other``."""

    rule: str
    module: str
    text: str
    other: str


FOLDING, DURABILITY, NEW, LIFE, SNAPSHOTS, FILES = (
    f"writing/{name}.py" for name in ("folding", "durability", "new_files", "lifecycle", "snapshots", "run_files")
)
ARTIFACTS, PLACING = "writing/artifacts.py", "writing/placing.py"
REOPENING, METADATA, ENDED = "writing/reopening.py", "writing/metadata.py", "writing/ended_runs.py"

MUTANTS = [
    Mutant(
        "a document is synced before it replaces another",
        FOLDING,
        "(relied_on or (not new and self.exists(place)))",
        "relied_on",
    ),
    Mutant(
        "a metric's document is synced before its first seal",
        FOLDING,
        "if (self.durability.sync and not self.durability.knows(place)) or not",
        "if not",
    ),
    Mutant(
        "and its name, and that of the folder of sealed files",
        FOLDING,
        "not document.sealed) and self.durability.sync:",
        "not document.sealed) and False:",
    ),
    Mutant(
        "also by who did not make it",
        FOLDING,
        "(atomic.create_folder(folder) or not document.sealed)",
        "atomic.create_folder(folder)",
    ),
    Mutant(
        "a sealed file is synced",
        FOLDING,
        "sealed_name(*plan.new), data, self.durability.sync)",
        "sealed_name(*plan.new), data, False)",
    ),
    Mutant(
        "and its name, before a document relies on it",
        FOLDING,
        "        if self.durability.sync:\n            atomic.sync_folder(folder)\n",
        "",
    ),
    Mutant(
        "merged files go only once the document stands for good",
        FOLDING,
        "        sealed = document._replace(",
        "        [atomic.remove_file(path) for path in sources]\n        sealed = document._replace(",
    ),
    Mutant(
        "new documents are synced before the log goes",
        FOLDING,
        "            self.durability.sync_document(pending.place, self._version(pending.place))\n",
        "",
    ),
    Mutant(
        "and their names",
        DURABILITY,
        "            atomic.sync_folder(self._paths.kind_folder(kind))\n        # Each",
        "            pass\n        # Each",
    ),
    Mutant("and meta.yaml", DURABILITY, "            atomic.sync_file(self._paths.meta)\n", ""),
    Mutant(
        "and the way down to them",
        DURABILITY,
        "            for folder in self._paths.ancestors():\n                atomic.sync_folder(folder)\n",
        "",
    ),
    Mutant("each kind's for itself", DURABILITY, "if not wanted <= self._kinds:", "if wanted and not self._kinds:"),
    Mutant("a flush syncs first values", FILES, "        self.folding.durability.sync_all()\n", ""),
    Mutant(
        "an end syncs what its snapshot does not hold",
        LIFE,
        "        files.folding.make_durable(documents.beside_snapshot())\n",
        "        pass\n",
    ),
    Mutant(
        "and its name",
        FOLDING,
        "                atomic.sync_folder(self._paths.kind_folder(kind))\n",
        "                pass\n",
    ),
    Mutant(
        "the log goes after the fold",
        FILES,
        "            merged = self.folding.fold(self.log.changes([n for n in numbers if n > self.log.floor]))\n",
        "            commits = self.log.changes([n for n in numbers if n > self.log.floor])\n"
        "            for n in numbers[:-1]:\n                atomic.remove_file(self.paths.commit(n))\n"
        "            merged = self.folding.fold(commits)\n",
    ),
    Mutant("always: a new file is synced", NEW, "            atomic.sync_file(path)\n", ""),
    Mutant("always: and its name", NEW, "sync_folder(folder)\n            if", "check_folder(folder)\n            if"),
    Mutant(
        "always: and that of its folder",
        NEW,
        "                atomic.sync_folder(os.path.dirname(folder))\n",
        "",
    ),
    Mutant("always: a new run's meta.yaml is synced", LIFE, "META, data, durable)", "META, data, False)"),
    Mutant("always: and the way down to it", LIFE, "        if durable:\n            sync_way_down(run)\n", ""),
    Mutant(
        "meta.yaml is synced before it is replaced",
        METADATA,
        'dump_meta(meta), run.settings.fsync != "never")',
        "dump_meta(meta), False)",
    ),
    Mutant(
        "always: and its name",
        METADATA,
        "            atomic.sync_folder(run.paths.folder)\n        except OSError:\n            atomic.write",
        "            pass\n        except OSError:\n            atomic.write",
    ),
    Mutant(
        "a resume restores documents from the snapshot",
        REOPENING,
        "        restore_documents(run.paths, snapshot, last_commit(run.meta), sync)\n",
        "",
    ),
    Mutant("and syncs them", SNAPSHOTS, "            atomic.sync_file(path)\n", "            pass\n"),
    Mutant("and their names", SNAPSHOTS, "            atomic.sync_folder(folder)\n", "            pass\n"),
    Mutant(
        "and makes sure of meta.yaml",
        REOPENING,
        "        restore_meta(run.paths, run.meta, run.files.seen, sync)\n",
        "",
    ),
    Mutant("which it syncs", SNAPSHOTS, "        atomic.sync_file(paths.meta)\n", ""),
    Mutant("and its name, before the snapshot goes", SNAPSHOTS, "        atomic.sync_folder(paths.folder)\n", ""),
    Mutant(
        "which goes for good before anything is logged",
        REOPENING,
        '    if run.settings.fsync != "never":\n        atomic.sync_folder(run.paths.folder)\n',
        "",
    ),
    Mutant("and the deletions of tags", SNAPSHOTS, "return [*self.deleted, *(", "return [*("),
    Mutant("what is added to an ended run is synced", ENDED, "set() if sync else None", "None"),
    Mutant("and so is the snapshot that then stands", ENDED, "            atomic.sync_file(run.paths.snapshot)\n", ""),
    Mutant("a snapshot is synced", LIFE, "                    atomic.sync_file(run.paths.snapshot)\n", ""),
    Mutant("and the way down to it", LIFE, "                    sync_way_down(run)\n", ""),
    Mutant("an end that was taken back is so for good", LIFE, "        run.files.taken_back = True\n", ""),
    Mutant(
        "an artifact's bytes are synced before it shows", ARTIFACTS, "            sync_files(staging.content)\n", ""
    ),
    Mutant("and the names in its folder", ARTIFACTS, "            sync_folders(staging.content)\n", ""),
    Mutant("and what leads to the run", ARTIFACTS, "    run.files.folding.durability.sync_way_to(ARTIFACTS)\n", ""),
    Mutant(
        "and its own name, before the old folder is emptied",
        PLACING,
        "                atomic.sync_folder(folder)\n    except",
        "                pass\n    except",
    ),
    Mutant("and the names that a merge has added", PLACING, "            sync_folders(staged)\n", "            pass\n"),
]


def main(arguments: List[str]) -> int:
    """Try all of them, print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stress.power.mutants", description=__doc__)
    parser.add_argument("--states", type=int, default=10_000, help="states to search for one (default 10,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="only the rules with this text in them")
    options = parser.parse_args(arguments)
    rows = [["rule", "found by", "state"]]
    for mutant in MUTANTS:
        if options.only is None or options.only in mutant.rule:
            try:
                rows.append([mutant.rule, *_search(mutant, options.states, options.seed)])
            except ValueError as error:
                print(error, file=sys.stderr)
                return COULD_NOT_RUN
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print("\n".join(align(rows)))
    return NOT_FOUND if any(row[1] == "nothing" for row in rows) else FOUND


def _search(mutant: Mutant, states: int, seed: int) -> List[str]:
    scratch = Path(tempfile.mkdtemp(prefix="mini-mlflow-mutant-", dir=_shared_memory()))
    try:
        shutil.copytree(os.path.dirname(mini_mlflow.__file__), str(scratch / "mini_mlflow"))
        _mutate(scratch / "mini_mlflow" / mutant.module, mutant)
        command = [sys.executable, "-m", "stress", "power", "--first", f"--states={states}", f"--seed={seed}"]
        command += ["--seconds=1e6", "--fsync=end", "--fsync=always"]
        top = os.path.dirname(os.path.dirname(os.path.abspath(stress.__file__)))
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(scratch), top]), TMPDIR=str(scratch))
        command += ["--runs-dir", _place(scratch)]
        done = subprocess.run(command, check=False, env=environment, cwd=str(scratch), capture_output=True)
    finally:
        shutil.rmtree(str(scratch))
    if done.returncode == 0:
        return ["nothing", ""]
    if done.returncode != 1:
        raise ValueError(f"{mutant.rule}: the search ended with {done.returncode}: {done.stderr.decode()}")
    return _read_finding(done.stdout.decode())


def _shared_memory() -> Optional[str]:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _place(scratch: Path) -> str:
    place = scratch / "trees"
    place.mkdir()
    return str(place)


def _mutate(path: Path, mutant: Mutant) -> None:
    source = path.read_text()
    if source.count(mutant.text) != 1:
        raise ValueError(f"{mutant.rule}: {path.name} has {source.count(mutant.text)} times {mutant.text!r}")
    path.write_text(source.replace(mutant.text, mutant.other))


def _read_finding(report: str) -> List[str]:
    words = report.partition("broken: python -m stress power ")[2].partition("\n")[0].split()
    told: Dict[str, List[str]] = {}
    for name, value in zip(words[::2], words[1::2]):
        told.setdefault(name, []).append(value)
    by = ", ".join(told[name][0] for name in ("--workload", "--fsync", "--ration"))
    return [by, " then ".join(told["--state"])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
