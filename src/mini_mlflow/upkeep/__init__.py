"""Looking after a tree as a whole.

`verify` tells what is wrong with it, and changes nothing. `repair` mends that.
"""

from mini_mlflow.upkeep.findings import DAMAGE, LEFTOVER, NOTICE, RULES, Finding
from mini_mlflow.upkeep.mending import Repair
from mini_mlflow.upkeep.repair import iter_repairs, repair
from mini_mlflow.upkeep.verify import iter_findings, verify

__all__ = [
    "DAMAGE",
    "LEFTOVER",
    "NOTICE",
    "RULES",
    "Finding",
    "Repair",
    "iter_findings",
    "iter_repairs",
    "repair",
    "verify",
]
