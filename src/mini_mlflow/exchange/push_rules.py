"""What an MLflow server takes, and what a thing becomes that it does not: pure, and each change with its note.

The limits are those of MLflow 3's tracking server over SQL (validation of keys and lengths, widths of columns, 64-bit
steps). What a server refuses in spite of them is skipped one by one, with the server's own words (`push_batches`).

A key that is refused becomes one in which "_" stands for what may not stand there, with a hash behind it where another
key of the run has that name. Texts are cut; but not those of MLflow's own tags, which are JSON that nobody could read
any more. An infinity becomes the largest number of its sign, as the server itself would have it.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
from typing import Any, Dict, Iterable, List, Optional

from mini_mlflow.entities import Point
from mini_mlflow.exchange.push_report import CHANGED, CLAMPED, RENAMED, SKIPPED, TRUNCATED, Note
from mini_mlflow.formats.values import encode_value

#: How our own tags on a server begin.
OWN = "mini_mlflow."
#: Names the run of the tree that a run of the server was pushed from.
RUN_ID_TAG = OWN + "run_id"
#: Says what the run was like when all of it had been sent: set last.
PUSHED_TAG = OWN + "pushed"
#: A push has deleted the run on the server, and a push may restore it.
DELETED_TAG = OWN + "deleted"

LIMIT_KEY = 250
LIMIT_PARAM = 6000
LIMIT_TAG = 8000
LIMIT_EXPERIMENT_TAG = 5000
LIMIT_NAME = 250
LIMITS_DATASET = {"name": 500, "digest": 36, "source_type": 36, "source": 65535, "schema": 1048575, "profile": 16777215}
LIMIT_INPUT_TAG_KEY, LIMIT_INPUT_TAG = 255, 500
_LARGEST = sys.float_info.max
_STEPS = range(-(2**63), 2**63)
_REFUSED = re.compile(r"[^/\w.\- :]")
# PostgreSQL stores no NUL, and nothing stores half of a character.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
#: The tags of MLflow's that are text for people, and may be cut.
_PROSE = frozenset(["mlflow.note.content", "mlflow.runName", "mlflow.user", "mlflow.source.name"])


class Fitting:
    """Makes the things of one run fit; what it had to change is in ``notes``."""

    def __init__(self) -> None:
        self.notes: List[Note] = []

    def note(self, kind: str, key: str, problem: str, done: str, instead: str = "") -> None:
        """Something was not taken as it is."""
        self.notes.append(Note(kind, key, problem, done, instead))

    def keys(self, kind: str, keys: Iterable[str]) -> Dict[str, str]:
        """Each key to the one that it has on the server; different keys stay different."""
        fitted = {key: key for key in keys if is_taken(key)}
        taken = set(fitted)
        for key in sorted(set(keys) - taken):
            new = _to_taken(key)
            if new in taken:
                new = new[: LIMIT_KEY - 9] + "-" + _short_hash(key)
            taken.add(new)
            fitted[key] = new
            self.note(kind, key, "the server takes no such key", RENAMED, new)
        return fitted

    def text(self, kind: str, key: str, text: str, limit: int) -> Optional[str]:
        """The text as the server takes it; None if it is to be left out."""
        plain = _UNSTORABLE.sub(_escape, text)
        if plain != text:
            self.note(kind, key, "it holds NULs or halves of characters", CHANGED)
        if len(plain) <= limit:
            return plain
        problem = "%d characters, of which the server takes %d" % (len(plain), limit)
        if kind == "tag" and key.startswith("mlflow.") and key not in _PROSE:
            self.note(kind, key, problem, SKIPPED)
            return None
        self.note(kind, key, problem, TRUNCATED)
        return plain[:limit]

    def value(self, kind: str, key: str, value: Any, limit: int) -> Optional[str]:
        """The value of a param or a tag as the server's text; None if it is to be left out."""
        if isinstance(value, (list, dict)):
            self.note(kind, key, "the server takes texts alone", CHANGED, "its JSON")
        return self.text(kind, key, to_text(value), limit)

    def points(self, key: str, points: List[Point]) -> List[Point]:
        """The points as the server takes them, each once, in their order."""
        fitted = [point for point in points if point.step in _STEPS]
        self._note_count(key, len(points) - len(fitted), "with a step beyond 64 bits", SKIPPED)
        clamped = [_clamp(point) for point in fitted]
        infinite = sum(new is not old for new, old in zip(clamped, fitted))
        self._note_count(key, infinite, "with an infinite value", CLAMPED, repr(_LARGEST))
        unique = list({identity(point): point for point in clamped}.values())
        again = len(clamped) - len(unique)
        self._note_count(key, again, "equal in value, step and time to another", CHANGED, "sent once")
        return unique

    def _note_count(self, key: str, count: int, what: str, done: str, instead: str = "") -> None:
        if count:
            self.note("metric", key, "%d %s %s" % (count, "point" if count == 1 else "points", what), done, instead)


def is_taken(key: str) -> bool:
    """Whether the server takes the key of a param, a metric or a tag as it is."""
    if not key or len(key) > LIMIT_KEY or _REFUSED.search(key):
        return False
    # A file store made a path of it, and the rule has stayed.
    plain = posixpath.normpath(key)
    return plain == key and plain != "." and not plain.startswith(("..", "/"))


def _to_taken(key: str) -> str:
    names = [name for name in _REFUSED.sub("_", key).split("/") if name not in ("", ".")]
    joined = "/".join("_" * len(name) if name == ".." else name for name in names) or "_"
    if joined.startswith(".."):
        joined = "__" + joined[2:]
    return joined if len(joined) <= LIMIT_KEY else joined[: LIMIT_KEY - 9].rstrip("/. ") + "-" + _short_hash(key)


def _short_hash(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _escape(match: Any) -> str:
    return "\\x%02x" % ord(match.group()) if match.group() == "\0" else "\\u%04x" % ord(match.group())


def to_text(value: Any) -> str:
    """What MLflow has for a value, which knows texts alone: ``str()`` of it, as it has itself; of a list, its JSON."""
    if not isinstance(value, (list, dict)):
        return str(value)
    try:
        # Laid out as people and json.dumps do; not-a-number inside of it is the string that it is in our files.
        return json.dumps(json.loads(encode_value(value, "a value").json), ensure_ascii=False)
    except (ValueError, TypeError):
        return str(value)


def fit_name(fitting: Fitting, kind: str, name: str) -> str:
    """The name of a run or an experiment; one that is cut ends in a hash of the whole."""
    plain = _UNSTORABLE.sub(_escape, name)
    if len(plain) <= LIMIT_NAME:
        return plain
    cut = plain[: LIMIT_NAME - 9] + "-" + _short_hash(plain)
    problem = "a name of %d characters, of which the server takes %d" % (len(plain), LIMIT_NAME)
    fitting.note(kind, name, problem, TRUNCATED)
    return cut


def hide_password(to: str) -> str:
    """A server's address as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", to)


def _clamp(point: Point) -> Point:
    if point.value in (float("inf"), float("-inf")):
        return point._replace(value=_LARGEST if point.value > 0 else -_LARGEST)
    return point


def identity(point: Point) -> Any:
    """What tells points apart on a server, not-a-number among them."""
    return point.step, point.timestamp, repr(point.value)
