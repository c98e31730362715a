"""The error tree: one base class, and each error is also the built-in that a caller would reach for.

``except OSError`` catches a full disk and a lock timeout, ``except ValueError`` a bad key, ``except RuntimeError``
a log call without a run. Every message names the key or path, the value, and the remedy. All of them pickle, since
a worker's error travels to its parent that way. Plain ``OSError`` subclasses (ENOSPC, EACCES, ...) come through as
the system raised them, with ``filename`` set.
"""

from __future__ import annotations


class MiniMlflowError(Exception):
    """Base class of the errors that this package defines."""


class NoActiveRunError(MiniMlflowError, RuntimeError):
    """This thread has no active run; nothing was stored."""


class ActiveRunError(MiniMlflowError, RuntimeError):
    """This thread has an active run already; nothing was started."""


class RunEndedError(MiniMlflowError, ValueError, RuntimeError):
    """The run has ended, here or in another process; nothing was stored."""


class InvalidKeyError(MiniMlflowError, ValueError):
    """A key or an id that cannot become a file name everywhere; nothing was stored."""


class InvalidValueError(MiniMlflowError, ValueError):
    """A value of the right type that cannot be stored (too large, too deep, out of range); nothing was stored."""


class InvalidTypeError(MiniMlflowError, TypeError):
    """A value whose type has no place in the store; nothing was stored."""


class InvalidPathError(MiniMlflowError, ValueError):
    """A path that cannot be an artifact's, or a file or folder that cannot become one; nothing was stored."""


class RunNotFoundError(MiniMlflowError, FileNotFoundError, LookupError):
    """There is no such run in the tree."""


class ArtifactNotFoundError(MiniMlflowError, FileNotFoundError, LookupError):
    """The run has no such artifact."""


class LockTimeout(MiniMlflowError, TimeoutError):
    """The run's lock stayed with somebody else for the whole timeout; nothing was changed."""


class OutsideTreeError(MiniMlflowError, OSError):
    """A symbolic link or a special file stands where the tree's own file or folder should be; it was not touched."""


class DamagedFileError(MiniMlflowError, ValueError):
    """A file of the tree does not hold what its name promises (torn, foreign, not of this format)."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return "%s: %s" % (self.path, self.reason)


class DamagedFileWarning(UserWarning):
    """A reader skipped a file that it could not read, and went on with the rest."""


class UnfinishedRunWarning(UserWarning):
    """A run could not be ended while an exception or the interpreter's exit was under way."""


def show(value: object) -> str:
    """``value`` as a message may quote it: its repr, at most 80 characters, and never another error."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a message about a bad value must not fail over how the value prints
        text = "<%s that cannot be printed>" % type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."
