"""The error tree: one base class, and each error is also the built-in that a caller would reach for.

``except OSError`` catches a full disk and a lock timeout, ``except ValueError`` a bad key, ``except RuntimeError``
a log call without a run. Every message names the key or path, the value, and the remedy. All of them pickle, since
a worker's error travels to its parent that way. Plain ``OSError`` subclasses (ENOSPC, EACCES, ...) come through as
the system raised them, with ``filename`` set.
"""

from __future__ import annotations

from typing import Optional


class MiniMlflowError(Exception):
    """Base class of the errors that this package defines."""


class NoActiveRunError(MiniMlflowError, RuntimeError):
    """This thread has no active run; nothing was stored."""


class ActiveRunError(MiniMlflowError, RuntimeError):
    """This thread has an active run already; nothing was started."""


class RunEndedError(MiniMlflowError, ValueError, RuntimeError):
    """The run has ended, here or in another process; nothing was stored."""


class RunDeletedError(RunEndedError, LookupError):
    """The run lies in the trash; nothing was stored. Once it is restored, the same `Run` logs again."""


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


class AmbiguousRunError(MiniMlflowError, ValueError, LookupError):
    """Several runs fit a shortened run id; the message names them. Nothing was done to any of them."""


class InvalidFilterError(MiniMlflowError, ValueError):
    """A filter or an order that does not follow the language; the message points at the place. Nothing was read.

    Attributes:
        text: what was to be parsed.
        position: the index in ``text`` at which it goes wrong; its length where something is missing at the end.
        problem: what was expected there.
    """

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(text, position, problem)
        self.text = text
        self.position = position
        self.problem = problem

    def __str__(self) -> str:
        # A window: a filter that a program has put together may be long, and a line break would move the caret.
        start = max(0, self.position - 60)
        shown = "".join(char if char.isprintable() else " " for char in self.text[start : self.position + 60])
        return "%s\n  %s\n  %s^" % (self.problem, shown, " " * (self.position - start))


class MissingExtraError(MiniMlflowError, ImportError):
    """A package that this call needs is not installed; the message says how to get it. Nothing else was done."""

    @classmethod
    def of(cls, what: str, needed: str, package: str, extra: Optional[str] = None) -> MissingExtraError:
        """The error that says what ``what`` needs.

        Args:
            package: what is to be installed. Not this one with its extra: the package index has another version
                under its name, and how this one came here is not known.
            extra: the one that brings it; None if none does.
        """
        brought = "" if extra is None else ' (the extra "%s" of mini-mlflow)' % extra
        return cls("%s needs %s: pip install %s%s" % (what, needed, package, brought))


class RunExistsError(MiniMlflowError, FileExistsError):
    """A run of that id stands where another one was to go; both are as they were."""


class ExperimentNotFoundError(MiniMlflowError, FileNotFoundError, LookupError):
    """There is no such experiment in the tree."""


class ExperimentExistsError(MiniMlflowError, FileExistsError, ValueError):
    """The tree has an experiment of that name; nothing was made."""


class ExperimentDeletedError(MiniMlflowError, ValueError, LookupError):
    """The experiment is deleted; nothing was changed. `restore_experiment` brings it back, with its runs."""


class TreeBusyError(MiniMlflowError, RuntimeError):
    """A signal handler wants what the code that it interrupted is in the middle of; nothing was changed."""


class ArtifactNotFoundError(MiniMlflowError, FileNotFoundError, LookupError):
    """The run has no such artifact."""


class TagNotFoundError(MiniMlflowError, KeyError):
    """The run has no such tag; nothing was changed."""

    def __str__(self) -> str:
        # KeyError shows its argument as repr() does.
        return str(self.args[0])


class LockTimeout(MiniMlflowError, TimeoutError):
    """The run's lock stayed with somebody else for the whole timeout; nothing was changed."""


class ServerError(MiniMlflowError, ConnectionError):
    """A server does not answer, or does not let this client in; what it has taken stays, and a new push goes on."""


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
