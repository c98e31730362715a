"""Looking after a tree as a whole.

`verify` tells what is wrong with it, and changes nothing. `repair` mends that. `doctor` tells whether the place where a
tree stands does what the guarantees need.
"""

from mini_mlflow.upkeep.diagnosis import Check, Diagnosis
from mini_mlflow.upkeep.doctor import doctor
from mini_mlflow.upkeep.findings import DAMAGE, LEFTOVER, NOTICE, RULES, Finding
from mini_mlflow.upkeep.mending import Repair
from mini_mlflow.upkeep.repair import iter_repairs, repair
from mini_mlflow.upkeep.verify import iter_findings, verify

__all__ = [
    "DAMAGE",
    "LEFTOVER",
    "NOTICE",
    "RULES",
    "Check",
    "Diagnosis",
    "Finding",
    "Repair",
    "doctor",
    "iter_findings",
    "iter_repairs",
    "repair",
    "verify",
]
