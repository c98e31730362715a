"""Which of the params and tags that come in are new here, and which are later than what stands here."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from mini_mlflow.disk.layout import RunPaths, document_name, document_stem
from mini_mlflow.errors import InvalidTypeError, InvalidValueError
from mini_mlflow.exchange.incoming import IncomingValue, Values
from mini_mlflow.exchange.report import Tally
from mini_mlflow.formats.documents import parse_value_document
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.formats.values import encode_value
from mini_mlflow.reading.run_folder import read_document

# Shorter texts cannot be refused.
_SHORT = 100_000


def choose_new(
    kind: str, values: Values, here: Dict[str, Any], paths: Optional[RunPaths], source: str, tally: Tally
) -> Dict[str, Any]:
    """Key to value of those that are to be stored.

    Args:
        kind: "params" or "tags".
        values: what comes in.
        here: what stands here.
        paths: where; None: nothing does.
        source: where the values come from; what is refused or stays another here is told of it.
    """
    chosen = {}
    for key, incoming in values.items():
        if key in here and _are_equal(incoming.value, here[key]):
            continue
        stands_ms = None if paths is None else _read_time(paths, kind, key)
        if stands_ms is not None and not (incoming.changed_ms is not None and incoming.changed_ms > stands_ms):
            # A tag that was deleted here stands as a document too, and is not to come back.
            if key in here:
                tally.tell(source, "%s %r has another value here, set later; that is kept" % (kind[:-1], key))
            continue
        if _may_be_stored(kind, key, incoming, source, tally):
            chosen[key] = incoming.value
    return chosen


def _are_equal(value: Any, other: Any) -> bool:
    # NaN is not equal to itself, and 1 is no other value than 1.0 only for ==.
    return repr(value) == repr(other) or (type(value) is type(other) and value == other)


def _read_time(paths: RunPaths, kind: str, key: str) -> Optional[int]:
    """When the value of that key was set here, in milliseconds since the epoch; None if there is none."""
    name = document_name(key)
    path = os.path.join(paths.kind_folder(kind), name)
    document = read_document(path, document_stem(name) or key, parse_value_document)
    return None if document is None else iso_to_ms(document.timestamp) or 0


def _may_be_stored(kind: str, key: str, incoming: IncomingValue, source: str, tally: Tally) -> bool:
    value = incoming.value
    if isinstance(value, str) and len(value) < _SHORT:
        return True
    try:
        encode_value(value, "%s %r" % (kind[:-1], key))
    except (InvalidValueError, InvalidTypeError) as error:
        tally.tell(source, "%s; it is left out" % error)
        return False
    return True
