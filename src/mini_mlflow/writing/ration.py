"""How often a run's documents may be brought up to date between folds that must happen.

A slow run's JSON is always current, a hot loop pays nothing: a few rewrites at once, then ten a second, and never more
than a twentieth of the time.
"""

from __future__ import annotations

import time

_BURST = 4.0
_PER_SECOND = 10.0
_SHARE = 20.0

# Folding keeps the log short. Where it is slow (fsync on a busy disk), the log may grow to the limit instead.
_FOLD_AT = 256
_FOLD_AT_LATEST = 4096
_FOLD_SHARE = 5.0


class Ration:
    """The ration of one run. Times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._tokens = _BURST
        self._refilled_s = time.monotonic()
        self._not_before_s = 0.0
        self._fold_not_before_s = 0.0

    def allows_refresh(self) -> bool:
        """True if replacing documents is within the ration now; takes one from it then."""
        now = time.monotonic()
        if now < self._not_before_s:
            return False
        self._tokens = min(_BURST, self._tokens + (now - self._refilled_s) * _PER_SECOND)
        self._refilled_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def demands_fold(self, unfolded: int) -> bool:
        """True if the log must be folded now, with this many commits in it."""
        if unfolded < _FOLD_AT:
            return False
        return unfolded >= _FOLD_AT_LATEST or time.monotonic() >= self._fold_not_before_s

    def refreshed(self, since_s: float) -> None:
        """A refresh that began at ``since_s`` is over (done or failed)."""
        now = time.monotonic()
        self._not_before_s = now + (now - since_s) * _SHARE

    def folded(self, since_s: float) -> None:
        """A fold that began at ``since_s`` is over (done or failed)."""
        now = time.monotonic()
        self._fold_not_before_s = now + (now - since_s) * _FOLD_SHARE
        self._not_before_s = self._fold_not_before_s
