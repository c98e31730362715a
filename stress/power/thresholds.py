"""The engine's thresholds, lowered so that a few calls go through what otherwise takes thousands."""

from __future__ import annotations

from typing import ContextManager, List

from mini_mlflow.formats import tiers
from mini_mlflow.writing import folding, ration
from stress.power.replacing import Setting, replaced


def rationing(refresh: bool, fold_at: int = 10**6) -> List[Setting]:
    """What to set: a log call always or never rewrites the documents, and folds at ``fold_at`` commits.

    For runs opened from then on.
    """
    return [
        (ration, "_BURST", 1e9 if refresh else 0.0),
        (ration, "_SHARE", 0.0),
        (ration, "_FOLD_SHARE", 0.0),
        (ration, "_FOLD_AT", fold_at),
    ]


def sealing_early() -> List[Setting]:
    """What to set: a fold seals four points, and merges two sealed files of one size."""
    return [(tiers, "SEAL_AT", 4), (folding, "SEAL_AT", 4), (tiers, "FAN", 2), (tiers, "LARGEST", 16)]


def lowered(refresh: bool, fold_at: int) -> ContextManager[None]:
    """All of that is set within the block."""
    return replaced(rationing(refresh, fold_at) + sealing_early())
