"""What importing the tracker costs, beside its two dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Tuple

from stress.bench.options import BenchOptions
from stress.bench.tables import Table, median, ratio
from stress.children import child_environment
from stress.progress import Progress

_PROGRAM = """
import time
begun = time.perf_counter()
{imports}
print(time.perf_counter() - begun)
# Not ru_maxrss: it survives exec, so that a small process shows the peak of the one that started it.
with open("/proc/self/status") as file:
    print([line.split()[1] for line in file if line.startswith("VmHWM")][0])
"""
BESIDE = "import yaml, filelock"
IMPORTS = ("pass", BESIDE, "from mini_mlflow import ExperimentTracker")
FIGURES = dict(zip(IMPORTS, ("import.nothing", "import.beside", "import.ours")))


def measure_imports(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of import times and peak memory, each in fresh processes, interleaved."""
    taken: Dict[str, List[Tuple[float, float]]] = {imports: [] for imports in IMPORTS}
    environment = child_environment()
    for number in range(options.repeats * 3 + 1):
        progress.show(f"imports, repeat {number} of {options.repeats * 3}")
        for imports in IMPORTS:
            cost = import_cost(sys.executable, imports, environment, scratch)
            if number:
                taken[imports].append(cost)
    table = Table("Import", ("statement", "ms", "peak MB", "to yaml + filelock"))
    beside = median([seconds for seconds, _ in taken[BESIDE]])
    for imports, pairs in taken.items():
        seconds = median([seconds for seconds, _ in pairs])
        peak = median([peak for _, peak in pairs])
        table.figures[FIGURES[imports] + ".ms"] = seconds * 1000
        table.figures[FIGURES[imports] + ".mb"] = peak
        table.rows.append((imports, f"{seconds * 1000:.1f}", f"{peak:.1f}", ratio(seconds, beside)))
    return table


def import_cost(python: str, imports: str, environment: Mapping[str, str], scratch: Path) -> Tuple[float, float]:
    """Seconds that a statement takes in a fresh process, and the peak of that process in MB.

    Raises:
        subprocess.CalledProcessError: the statement fails.
    """
    # What users have is compiled once; a setting of this shell must not have it compiled each time.
    environment = dict(environment, PYTHONPYCACHEPREFIX=str(scratch))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [python, "-c", _PROGRAM.format(imports=imports)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    # Some peers print when they are imported.
    seconds_text, peak_text = done.stdout.split()[-2:]
    return float(seconds_text), float(peak_text) / 1024
