"""What small files of a run say, as this process wrote or last parsed them.

A file is always read again; only parsing it again is saved, if its bytes are still the same. So nothing here can be out
of date, whoever changes the files.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Tuple

from mini_mlflow.formats.values import Encoded

_LIMIT_BYTES = 1000
_LIMIT_FILES = 1000


class StoredValue(NamedTuple):
    """A param or a tag, as its document says it."""

    key: str
    encoded: Encoded
    commit: int


class Seen:
    """At most 1,000 files of at most 1,000 bytes."""

    def __init__(self) -> None:
        self._known: Dict[str, Tuple[bytes, Any]] = {}

    def note(self, path: str, data: bytes, meaning: Any) -> None:
        """The file ``path`` says ``meaning`` while it holds ``data``. Nobody may change ``meaning``."""
        if len(data) <= _LIMIT_BYTES:
            if len(self._known) >= _LIMIT_FILES:
                self._known.clear()
            self._known[path] = (data, meaning)

    def parsed(self, path: str, data: bytes, parse: Callable[[bytes], Any]) -> Any:
        """What ``parse(data)`` returns, which is what the file ``path`` says. Raises what it raises."""
        known = self._known.get(path)
        if known is not None and known[0] == data:
            return known[1]
        meaning = parse(data)
        self.note(path, data, meaning)
        return meaning
