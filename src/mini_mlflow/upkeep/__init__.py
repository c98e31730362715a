"""Looking after a tree as a whole: `verify` tells what is wrong with it, and changes nothing."""

from mini_mlflow.upkeep.findings import DAMAGE, LEFTOVER, NOTICE, RULES, Finding
from mini_mlflow.upkeep.verify import iter_findings, verify

__all__ = ["DAMAGE", "LEFTOVER", "NOTICE", "RULES", "Finding", "iter_findings", "verify"]
