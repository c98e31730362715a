"""What ``import mini_mlflow`` costs, beside its two dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

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
IMPORTS = ("pass", BESIDE, "import mini_mlflow")


def measure_imports(scratch: Path, options: BenchOptions, progress: Progress) -> Table:
    """The table of import times and peak memory, each in fresh processes, interleaved."""
    taken: Dict[str, List[Tuple[float, float]]] = {imports: [] for imports in IMPORTS}
    # What users have is compiled once; a setting of this shell must not have it compiled each time.
    environment = dict(child_environment(), PYTHONPYCACHEPREFIX=str(scratch))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for number in range(options.repeats * 3 + 1):
        progress.show(f"imports, repeat {number} of {options.repeats * 3}")
        for imports in IMPORTS:
            command = [sys.executable, "-c", _PROGRAM.format(imports=imports)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            seconds_text, peak_text = done.stdout.split()
            if number:
                taken[imports].append((float(seconds_text), float(peak_text)))
    table = Table("Import", ("statement", "ms", "peak MB", "to yaml + filelock"))
    beside = median([seconds for seconds, _ in taken[BESIDE]])
    for imports, pairs in taken.items():
        seconds = median([seconds for seconds, _ in pairs])
        peak = median([peak for _, peak in pairs]) / 1024
        table.rows.append((imports, f"{seconds * 1000:.1f}", f"{peak:.1f}", ratio(seconds, beside)))
    return table
