"""Processes that use MLflow with our entry points, which are there as if this package were installed."""

from __future__ import annotations

import os
import re
from typing import Dict, Optional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def entry_points() -> str:
    """The entry points of pyproject.toml, as an installation has them."""
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        sections = re.findall(r'^\[project\.entry-points\."(.+?)"\]\n((?:[\w-]+ = ".+"\n)+)', file.read(), re.M)
    return "".join("[%s]\n%s\n" % (name, lines.replace('"', "")) for name, lines in sections)


def install(folder: str) -> Dict[str, Optional[str]]:
    """What the environment of a child needs to find the entry points, and to leave the network alone."""
    place = os.path.join(folder, "site", "mini_mlflow_under_test-0.dist-info")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "METADATA"), "w", encoding="utf-8") as file:
        file.write("Metadata-Version: 2.1\nName: mini-mlflow-under-test\nVersion: 0\n")
    with open(os.path.join(place, "entry_points.txt"), "w", encoding="utf-8") as file:
        file.write(entry_points())
    return {
        "PYTHONPATH": os.pathsep.join([os.path.dirname(place), os.path.join(ROOT, "src")]),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_TRACKING_URI": None,
        "MLFLOW_REGISTRY_URI": None,
    }
