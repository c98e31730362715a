"""Which keys and ids are allowed, and the file names that they become.

Two gates. `check_key`, `check_run_id` and `check_experiment_id` are the public rule: what they let through is a
legal file name on Linux, macOS and Windows as it is. `quote_key` stands below the public API and takes *any* text,
so that a layer which knows other rules (MLflow's ``train/loss``) can store its keys: the result is one file name,
never longer than a file system takes, never hidden from a listing, never mistaken for a temporary.

Not guaranteed: two keys that differ only in case meet in one file where the file system folds case.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any, Optional

from mini_mlflow.entities import check_int
from mini_mlflow.errors import InvalidKeyError, InvalidPathError, InvalidTypeError, InvalidValueError, show

LIMIT_BYTES = 200
_LIMIT_NAME_CHARACTERS = 10_000
_LIMIT_EXPERIMENT_NAME_BYTES = 500
TEMPORARY_PREFIX = ".tmp-"

# The ids that `new_run_id` draws, which every listing checks by the thousand. No other rule can refuse one.
_DRAWN_ID = re.compile(r"[0-9a-f]{32}\Z")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029/\\<>:"|?*]')
# Windows reserves these with any extension: "nul.json" opens the device.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9\xb9\xb2\xb3]|conin\$|conout\$)(?:\.|\Z)", re.I)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TO_QUOTE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\<>:"|?*%]')
_QUOTED = re.compile(r"(?:%[0-9A-F]{2})+")
# The names that nearly everybody uses skip the rest of quote_key. No device name is longer than four letters
# but CONIN$, and "$" is not among these characters.
_SAFE = re.compile(r"(?!(?:con|prn|aux|nul|com.|lpt.)(?:\.|\Z))[A-Za-z0-9_][A-Za-z0-9_.@ -]*\Z", re.I)
_SAFE_CHARACTERS = 200
_DRIVE = re.compile(r"[A-Za-z]:")
_EXPERIMENT_ID_LIMIT = 2**63 - 1
# "<name>.history" and "<name>.json" must stay within the 255 bytes that most file systems give a name.
_QUOTED_LIMIT_BYTES = 230


def check_key(key: Any, kind: str = "key") -> str:
    """The key, if it may name a param, a metric or a tag.

    Args:
        key: a non-empty str of at most 200 bytes in UTF-8, without ``/ \\ < > : " | ? *`` and control characters, not
            ``.`` or ``..``, not a Windows device name, no space at either end, no dot at the end.
        kind: what the message calls it.

    Raises:
        InvalidTypeError: not a str.
        InvalidKeyError: a str that breaks the rule; the message says which part of it.
    """
    if not isinstance(key, str):
        raise InvalidTypeError("%s must be a str, not %s: %s" % (kind, type(key).__name__, show(key)))
    # What a subclass of str (an Enum's member, a numpy scalar) makes of str() may be anything.
    plain = str.__str__(key)
    fault = _fault_of(plain)
    if fault is not None:
        raise InvalidKeyError("%s %s: %.220r" % (kind, fault, plain))
    return plain


def _fault_of(key: str) -> Optional[str]:
    if not key:
        return "cannot be empty"
    if "/" in key or "\\" in key:
        return "cannot contain slashes (use a dot or a dash to group names)"
    if key in (".", ".."):
        return "cannot be '.' or '..'"
    if _FORBIDDEN.search(key):
        return 'cannot contain any of < > : " | ? * or control characters'
    if key[0].isspace() or key[-1].isspace() or key[-1] == ".":
        return "cannot begin or end with a space or end with a dot"
    if _DEVICE.match(key):
        return "cannot be a device name of Windows"
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        return "cannot contain lone surrogates (it is not valid Unicode)"
    if size > LIMIT_BYTES:
        return "cannot be longer than %d bytes in UTF-8 (it has %d)" % (LIMIT_BYTES, size)
    return None


def check_run_id(run_id: Any) -> str:
    """The run id, if it may name a run's folder: the rule of `check_key`, less the names that the tree itself uses.

    Raises:
        InvalidTypeError: not a str.
        InvalidKeyError: a str that breaks the rule.
    """
    if type(run_id) is str and _DRAWN_ID.match(run_id):
        return run_id
    checked = check_key(run_id, "run_id")
    if checked.startswith(TEMPORARY_PREFIX) or checked.lower() == "experiment.yaml":
        raise InvalidKeyError("run_id cannot be a name that the tree uses itself: %r" % checked)
    return checked


def check_experiment_id(experiment_id: Any) -> int:
    """The experiment id as an int: an int from 0 to 2**63-1, or its plain decimal str.

    Raises:
        InvalidTypeError: neither an int (bool is none) nor a str.
        InvalidValueError: negative, too large, or a str that is not such an int written plainly.
    """
    given = experiment_id
    if isinstance(experiment_id, str):
        experiment_id = str.__str__(experiment_id)
        # isdecimal() alone lets Arabic digits through, and int() takes "1_0" and " 1".
        plain = experiment_id.isdecimal() and experiment_id.isascii() and len(experiment_id) <= 19
        if not plain or str(int(experiment_id)) != experiment_id:
            raise InvalidValueError("experiment_id must be an int >= 0 or its decimal str, not %.80r" % experiment_id)
        given = int(experiment_id)
    number = check_int(given, "experiment_id")
    if not 0 <= number <= _EXPERIMENT_ID_LIMIT:
        raise InvalidValueError("experiment_id must be from 0 to 2**63-1, not %.80s" % hex(number))
    return number


def check_artifact_path(path: Any, what: str = "artifact_path") -> str:
    """The path of an artifact, relative to the run's artifacts, if it cannot lead out of them.

    Args:
        path: a str or a path, names with "/" between them. A name may hold whatever a file's may, in any script, but
            for a backslash: a tree is to mean the same wherever it is copied.
        what: what the message calls it.

    Raises:
        InvalidTypeError: neither a str nor a path.
        InvalidPathError: empty, absolute (also with a drive's letter), or with a name in it that is empty, "." or
            "..", or holds a backslash or a NUL.
    """
    if isinstance(path, str):
        text = str.__str__(path)
    else:
        given = os.fspath(path) if isinstance(path, os.PathLike) else None
        if not isinstance(given, str):
            raise InvalidTypeError("%s must be a path, not %s: %s" % (what, type(path).__name__, show(path)))
        # What a Path of Windows puts between names.
        text = given.replace(os.sep, "/")
    fault = _fault_of_path(text)
    if fault is not None:
        raise InvalidPathError("%s %s: %.220r" % (what, fault, text))
    return text


def _fault_of_path(path: str) -> Optional[str]:
    if not path:
        return "cannot be empty"
    if path.startswith("/") or _DRIVE.match(path):
        return "must be relative to the run's artifacts"
    if "\\" in path or "\0" in path:
        return "cannot contain backslashes or NULs (names are parted by /)"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "cannot contain an empty name, '.' or '..'"
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return "cannot be encoded as a file name"
    return None


def new_run_id() -> str:
    """A run id that nobody has: 32 hex digits."""
    return os.urandom(16).hex()


def check_text(text: Any, what: str) -> Optional[str]:
    """``text``, if it may be a name or a version: a str of at most 10,000 characters, or None.

    Raises:
        InvalidTypeError: something else.
        InvalidValueError: longer, or not valid Unicode.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidTypeError("%s must be a str or None, not %s: %s" % (what, type(text).__name__, show(text)))
    plain = str.__str__(text)
    if len(plain) > _LIMIT_NAME_CHARACTERS:
        raise InvalidValueError("%s has %d characters, more than %d" % (what, len(plain), _LIMIT_NAME_CHARACTERS))
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidValueError("%s is not valid Unicode: %.80r" % (what, plain)) from None
    return plain


def check_experiment_name(name: Any) -> str:
    """The name, if an experiment may have it: a non-empty str of at most 500 bytes, without control characters.

    Raises:
        InvalidTypeError: not a str.
        InvalidValueError: a str that breaks the rule.
    """
    if not isinstance(name, str):
        raise InvalidTypeError("an experiment's name must be a str, not %s: %s" % (type(name).__name__, show(name)))
    checked = check_text(name, "an experiment's name") or ""
    if not checked.strip():
        raise InvalidValueError("an experiment's name cannot be empty")
    if _CONTROL.search(checked):
        raise InvalidValueError("an experiment's name cannot contain control characters: %.80r" % checked)
    size = len(checked.encode("utf-8"))
    if size > _LIMIT_EXPERIMENT_NAME_BYTES:
        raise InvalidValueError(
            "an experiment's name cannot be longer than %d bytes in UTF-8 (it has %d)"
            % (_LIMIT_EXPERIMENT_NAME_BYTES, size)
        )
    return checked


@functools.lru_cache(maxsize=4096)
def quote_key(key: str) -> str:
    """The file name (without extension) of any text: itself where that is safe, else with ``%XX`` in it.

    Different keys get different names. A name too long for a file system is cut and ends in ``%~`` and a hash of the
    key. That cannot be turned back, which is why a document whose name is not its key carries the key.
    """
    if _SAFE.match(key) and len(key) <= _SAFE_CHARACTERS:
        return key
    # A leading ".tmp-" would be swept away as a leftover; "nul.json" is a device, whatever its extension.
    first = 1 if key.startswith(TEMPORARY_PREFIX) or _DEVICE.match(key) else 0
    quoted = _quote_all(key[:first]) + _TO_QUOTE.sub(lambda match: _quote_all(match.group()), key[first:])
    name = quoted or "%"
    raw = name.encode("utf-8")
    if len(raw) <= _QUOTED_LIMIT_BYTES:
        return name
    import hashlib  # 2 ms that no ordinary key needs

    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return raw[: _QUOTED_LIMIT_BYTES - 34].decode("utf-8", "ignore") + "%~" + digest


def unquote_name(name: str) -> Optional[str]:
    """The key whose `quote_key` is ``name``; None if there is none, or only a hash of it is left."""
    raw = re.sub(rb"%([0-9A-F]{2})", lambda match: bytes([int(match.group(1), 16)]), name.encode("utf-8", "replace"))
    try:
        key = "" if name == "%" else raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return key if quote_key(key) == name else None


def _quote_all(text: str) -> str:
    return "".join("%%%02X" % byte for byte in text.encode("utf-8", "surrogatepass"))
