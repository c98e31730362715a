"""What can be wrong with a tree: the rules, each with its sentence, and what a look at a part of the tree found."""

from __future__ import annotations

import os
from typing import Any, Dict, Hashable, Iterator, List, NamedTuple, Optional, Set, Tuple

from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import OutsideTreeError

#: Data is lost, contradicts itself, or cannot be read.
DAMAGE = "damage"
#: A harmless trace of a writer that was killed or cut short; the next writer of the run does away with it.
LEFTOVER = "leftover"
#: Nothing is lost, but somebody may stumble.
NOTICE = "notice"

_RULES: Dict[str, Tuple[str, str]] = {
    # Any place
    "foreign-file": (NOTICE, "Only what the tree itself puts there stands in its folders."),
    "not-regular": (DAMAGE, "Files are regular files and folders are folders: no links, FIFOs or devices."),
    "unreadable": (DAMAGE, "Every file and every folder can be read."),
    "mode-owner": (NOTICE, "The owner of a file may read it, and may also write to it if it is a lock."),
    "mode-group": (
        NOTICE,
        "In a folder that a group may write to, the group may do with each entry what its owner may.",
    ),
    "temporary": (LEFTOVER, "No temporary stands in a run's folders while nobody writes there."),
    "remains": (
        LEFTOVER,
        "No temporary stands in the tree or in the trash while nobody makes an experiment, does a gc, or pushes.",
    ),
    "strict-json": (NOTICE, "Files are strict JSON (RFC 8259): no bare NaN or Infinity, no key twice."),
    # Locks
    "lock-not-empty": (NOTICE, "Lock files are empty; nothing is ever written into one."),
    "dead-owner": (LEFTOVER, "Whoever started or resumed a run that says RUNNING is alive and holds its owner lock."),
    "owner-elsewhere": (NOTICE, "Whether the owner of a run lives can be seen from this host."),
    "owner-lock-missing": (NOTICE, "A run that says RUNNING has an owner lock in .locks."),
    # meta.yaml
    "empty-run": (LEFTOVER, "The folder of a run is not empty."),
    "meta-missing": (DAMAGE, "The folder of a run holds its meta.yaml."),
    "torn-meta": (DAMAGE, "meta.yaml is whole and holds a mapping."),
    "meta-fields": (DAMAGE, "meta.yaml has the fields run_id to end_time."),
    "meta-identity": (DAMAGE, "meta.yaml names the run and the experiment in whose folders it stands."),
    "meta-status": (DAMAGE, "The status in meta.yaml is one that is written there."),
    "unknown-format": (NOTICE, "Runs and snapshots have a format that this version knows."),
    # The log
    "torn-commit": (DAMAGE, "A commit is whole, and all of its changes are of a known kind."),
    "commit-number": (DAMAGE, "The number in a commit is that of its name."),
    "commit-gap": (DAMAGE, "The numbers of a log's commits follow one another."),
    "log-left": (LEFTOVER, "A run that has ended has no log."),
    # Documents
    "torn-document": (DAMAGE, "A document is whole and of its kind."),
    "wrong-key": (DAMAGE, "A document carries the key that its file's name says."),
    "wrong-timestamp": (NOTICE, "The timestamp of a param or a tag is ISO 8601 in UTC."),
    "document-missing": (LEFTOVER, "Every key in the log and in the snapshot has a document."),
    "document-behind-log": (DAMAGE, "The documents of a run that has ended hold every commit that is left of its log."),
    "document-ahead": (DAMAGE, "No document holds a commit above the highest number that the log or meta.yaml knows."),
    "document-layout": (NOTICE, "The document of a metric is laid out by lines."),
    # Histories
    "wrong-count": (DAMAGE, "The count of a metric is that of its points, and so is that of the hidden ones."),
    "wrong-last": (DAMAGE, "The value, step and timestamp of a metric are those of its last visible point."),
    "wrong-latest": (
        DAMAGE,
        "A metric names its visible point of the highest step, then timestamp, then value, where that is not the last.",
    ),
    "wrong-range": (DAMAGE, "The min and max of a metric are those of its visible points."),
    "sealed-gap": (DAMAGE, "The sealed files of a metric follow one another from position 0, with no gap or overlap."),
    "sealed-missing": (DAMAGE, "Every sealed file that a document lists is there."),
    "torn-sealed": (DAMAGE, "A sealed file holds a point for each position that its name says."),
    "sealed-unlisted": (LEFTOVER, "Every sealed file is listed by its document."),
    "history-orphaned": (DAMAGE, "Sealed files stand beside the document of their metric."),
    # The end
    "torn-snapshot": (DAMAGE, "snapshot.json is whole and has all of its parts."),
    "snapshot-missing": (LEFTOVER, "A run that has ended has a snapshot (but for those of 0.1.0)."),
    "snapshot-disagrees": (DAMAGE, "The snapshot says what meta.yaml and the documents say."),
    "end-half-done": (LEFTOVER, "A run that has a snapshot is called ended in its meta.yaml too."),
    "change-half-done": (LEFTOVER, "What a run that has ended was changed to stands outside of its snapshot, too."),
    # Experiments
    "torn-experiment": (DAMAGE, "experiment.yaml is whole, and names the experiment in whose folder it stands."),
    "experiment-twice": (NOTICE, "No two experiments have the same name."),
    "experiment-half-deleted": (LEFTOVER, "No run stands in an experiment that is deleted."),
    # The trash
    "deletion-left": (LEFTOVER, "Only a run in the trash says when it was deleted."),
    "deletion-time": (NOTICE, "A run in the trash says when it was deleted."),
    "deleted-twice": (NOTICE, "No run stands both in its experiment and in the trash."),
}

#: Every rule to the sentence that says what holds in a sound tree.
RULES: Dict[str, str] = {rule: sentence for rule, (_, sentence) in _RULES.items()}


class Finding(NamedTuple):
    """One place where a tree breaks a rule.

    Attributes:
        path: relative to the tree, so that it means the same wherever the tree is copied, moved or mounted.
        rule: a key of `RULES`.
        severity: `DAMAGE`, `LEFTOVER` or `NOTICE`.
        message: what stands there, and what can be done about it.
    """

    path: str
    rule: str
    severity: str
    message: str


class Doubt(NamedTuple):
    """A finding that rests on several files, which a living writer may have changed between two of the reads.

    Attributes:
        finding: what it looks like.
        evidence: what must be the same when one looks again, for it to be the same finding.
    """

    finding: Finding
    evidence: Tuple[Hashable, ...]

    @property
    def identity(self) -> Tuple[Hashable, ...]:
        """Equal in two looks that found the same. Not the message, whose figures may have moved on."""
        return (self.finding.path, self.finding.rule, self.evidence)


class Look:
    """What one look at a part of a tree found.

    Attributes:
        findings: what is certain, since a single read saw it: files are replaced whole, and never changed in place.
        doubts: what has to be seen twice.
        refused: the paths that could not be read, or that nobody must read. One finding says so; no other follows.
        places: the path of each finding to the absolute path, as the system spells it.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.findings: List[Finding] = []
        self.doubts: List[Doubt] = []
        self.refused: Set[str] = set()
        self.places: Dict[str, str] = {}

    def note(self, path: str, rule: str, message: str) -> None:
        """It is certain that the rule is broken there."""
        self.findings.append(self._finding(path, rule, message, None))

    def doubt(self, path: str, rule: str, message: str, *evidence: Any, severity: Optional[str] = None) -> None:
        """The rule looks broken there; severity None is the rule's own. See `Doubt`."""
        self.doubts.append(Doubt(self._finding(path, rule, message, severity), evidence))

    def note_laxness(self, path: str, laxness: Optional[str]) -> None:
        """Notes in what a file is no strict JSON, if it is none (`upkeep.strictness`)."""
        if laxness is not None:
            self.note(path, "strict-json", "%s; programs other than this one may refuse it" % laxness)

    def _finding(self, path: str, rule: str, message: str, severity: Optional[str]) -> Finding:
        relative = os.path.relpath(path, self.root)
        # A name that is not valid Unicode must not make a report of it fail.
        printable = relative.encode("utf-8", "backslashreplace").decode("utf-8")
        self.places[printable] = path
        return Finding(printable, rule, severity or _RULES[rule][0], message)

    def drain(self) -> Iterator[Finding]:
        """The findings, which are not kept any longer."""
        yield from self.findings
        self.findings.clear()
        self.places.clear()

    def read(self, path: str) -> Optional[bytes]:
        """The content of a file; None if it is gone, or (which is noted then) cannot be read."""
        try:
            return read_file(path) if path not in self.refused else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note_refused(path, error)
        return None

    def note_refused(self, path: str, error: OSError) -> None:
        """A file or a folder could not be read."""
        self.refused.add(path)
        if isinstance(error, OutsideTreeError):
            self.note(path, "not-regular", "it %s" % error.strerror)
        else:
            self.note(path, "unreadable", "it cannot be read (%s); what it holds was not verified" % error.strerror)


def identify(path: str) -> Optional[Tuple[int, int, int]]:
    """What tells a file from the one that replaces it: inode, time in ns, size in bytes; None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)
