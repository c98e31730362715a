"""The documents and the sealed files of metrics as a look finds them.

A document is replaced whole and lists sealed files that never change, so what they say together is as certain as what
one file says. A listed file that is gone was merged, or is missing: then the document lists it still the next time.
"""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from mini_mlflow.disk.layout import METRICS, document_of_history, document_stem, sealed_range
from mini_mlflow.disk.regular import exists
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.history import MetricDocument, parse_document, parse_first_line, parse_json, salvage_document
from mini_mlflow.formats.latest import find_latest, rank, unless_last
from mini_mlflow.formats.points import decode_points
from mini_mlflow.formats.rewinds import Rewinds, select_visible
from mini_mlflow.formats.tiers import Range, check_sealed, parse_range, parse_ranges
from mini_mlflow.upkeep.document_look import describe_loss, keep_document, note_laxness
from mini_mlflow.upkeep.entries import Entry, is_file, is_folder, is_temporary, list_entries, note_foreign
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.upkeep.strictness import find_laxness_in_points


def look_at_metrics(look: RunLook) -> None:
    """Every metric's document is whole, agrees with its points, and its sealed files are there."""
    entries = {entry.name: entry for entry in list_entries(look, look.paths.kind_folder(METRICS))}
    for entry in entries.values():
        stem, owner = document_stem(entry.name), document_of_history(entry.name)
        if stem is not None:
            _look_at_metric(look, entry, stem)
        elif owner is not None:
            if is_folder(look, entry) and owner not in entries:
                message = "its document %s is not there; its points are read, but show no last value" % owner
                look.doubt(entry.path, "history-orphaned", message)
        elif not is_temporary(look, entry):
            note_foreign(look, entry, METRICS)


def _look_at_metric(look: RunLook, entry: Entry, stem: str) -> None:
    # Before the document: what is sealed after the listing is no stranger then.
    history = os.path.join(os.path.dirname(entry.path), stem + ".history")
    sealed = _list_sealed(look, history)
    data = look.read(entry.path) if is_file(look, entry) else None
    document = _parse(look, data, entry.path, stem) if data is not None else None
    if document is None:
        look.unread.add((METRICS, stem))
        return
    if not keep_document(look, METRICS, entry, stem, document._replace(points=b"")):
        return
    for pair, path in sealed.items():
        if pair not in document.sealed:
            message = "its points are in another file; the next end of the run sweeps it"
            look.doubt(path, "sealed-unlisted", message)
    _look_at_points(look, entry.path, document)


def _list_sealed(look: RunLook, folder: str) -> Dict[Range, str]:
    found = {}
    for entry in list_entries(look, folder):
        try:
            pair = parse_range(sealed_range(entry.name))
        except ValueError:
            if not is_temporary(look, entry):
                note_foreign(look, entry, "a history")
            continue
        if is_file(look, entry):
            found[pair] = entry.path
    return found


def _parse(look: RunLook, data: bytes, path: str, stem: str) -> Optional[MetricDocument]:
    try:
        document = parse_document(data, path, stem)
    except DamagedFileError as error:
        _note_damage(look, data, path, error)
        return None
    if document.count and document.commit and not data.partition(b"\n")[0].endswith(b'"points": ['):
        message = "its first line holds more than the summary; readers parse all of it: the next fold lays it out"
        look.note(path, "document-layout", message)
    note_laxness(look, path, data, document.commit)
    return document


def _note_damage(look: RunLook, data: bytes, path: str, error: DamagedFileError) -> None:
    """A document that does not parse: is it torn, or whole and wrong?"""
    line, _, rest = data.partition(b"\n")
    try:
        sealed = parse_json(line + b"]}", path).get("sealed")
        ranges = [parse_range(text) for text in sealed or ()]
    except (DamagedFileError, TypeError, ValueError):
        look.note(path, "torn-document", describe_loss(error))
        return
    try:
        parse_ranges(sealed or ())
        document = parse_first_line(data, path, "")
    except ValueError as first:
        if isinstance(first, DamagedFileError):
            look.note(path, "torn-document", describe_loss(error))
        else:
            message = "it lists %s; readers go by the files that do" % ", ".join("%d-%d" % pair for pair in ranges)
            look.note(path, "sealed-gap", message)
        return
    lines = [line for line in rest.split(b"\n") if line not in (b"", b"]}")]
    if rest.endswith(b"]}\n") and len(salvage_document(data, path)) == len(lines):
        message = "its count is %d, its points are %d" % (document.count, document.sealed_count + len(lines))
        look.note(path, "wrong-count", message + "; the next call that logs the key puts it right")
    else:
        look.note(path, "torn-document", describe_loss(error))


class _Seen(NamedTuple):
    """What a document's first line must agree with. ``is_whole`` is False if some of the points could not be read."""

    last: Optional[Point]
    low: Optional[float]
    high: Optional[float]
    hidden: int
    latest: Optional[Point]
    is_whole: bool


def _look_at_points(look: RunLook, path: str, document: MetricDocument) -> None:
    try:
        newest = decode_points(document.points, path)
    except DamagedFileError as error:
        look.note(path, "torn-document", describe_loss(error))
        return
    seen = _gather(_iter_points(look, document, newest), document.rewinds)
    if not document.count:
        return
    if seen.is_whole and document.hidden != seen.hidden:
        message = "it says that %d of its points are hidden, by its rewinds it is %d; correct its first line"
        look.note(path, "wrong-count", message % (document.hidden, seen.hidden))
    told = Point(document.step, document.value, document.timestamp)
    if seen.last is not None and repr(told) != repr(seen.last):
        message = "it ends with %r, and says %r; the next call that logs the key puts it right" % (seen.last, told)
        look.note(path, "wrong-last", message)
    elif seen.last is None and seen.is_whole and document.value is not None:
        message = "all of its points are hidden, and it says %r; correct its first line" % (told,)
        look.note(path, "wrong-last", message)
    if seen.is_whole and (document.minimum, document.maximum) != (seen.low, seen.high):
        message = "it says %r to %r, its points are from %r to %r; correct its first line" % (
            document.minimum,
            document.maximum,
            seen.low,
            seen.high,
        )
        look.note(path, "wrong-range", message)
    _look_at_latest(look, path, document, seen)


def _look_at_latest(look: RunLook, path: str, document: MetricDocument, seen: _Seen) -> None:
    """Where only some of the points could be read, the latest may still be none that one of these outranks."""
    told = unless_last(document.latest, seen.last)
    if seen.is_whole:
        is_wrong = repr(told) != repr(unless_last(seen.latest, seen.last))
    else:
        best = told or seen.last
        is_wrong = best is not None and seen.latest is not None and rank(seen.latest) > rank(best)
    if is_wrong:
        message = "its latest point is %r, and it says %s; correct its first line"
        look.note(path, "wrong-latest", message % (seen.latest, "that it is the last" if told is None else repr(told)))


def _gather(batches: Iterator[Tuple[int, Optional[List[Point]]]], rewinds: Rewinds) -> _Seen:
    seen = _Seen(None, None, None, 0, None, True)
    for first, points in batches:
        if points is None:
            seen = seen._replace(is_whole=False, last=None)
            continue
        shown = select_visible(points, first, rewinds)
        numbers = [value for _, value, _ in shown if value == value]
        lows = [number for number in (seen.low, min(numbers, default=None)) if number is not None]
        highs = [number for number in (seen.high, max(numbers, default=None)) if number is not None]
        seen = seen._replace(
            last=shown[-1] if shown else seen.last,
            low=min(lows, default=None),
            high=max(highs, default=None),
            hidden=seen.hidden + len(points) - len(shown),
            latest=find_latest(shown, seen.latest),
        )
    return seen


def _iter_points(
    look: RunLook, document: MetricDocument, newest: List[Point]
) -> Iterator[Tuple[int, Optional[List[Point]]]]:
    """The points of each sealed file in turn with the first one's position, None where they cannot be read; then the
    newest."""
    for pair in document.sealed:
        path = look.paths.sealed(document.key, *pair)
        if look.deep:
            yield pair[0], _read_sealed(look, path, pair)
        else:
            _doubt_missing(look, path, pair)
            yield pair[0], None
    yield document.sealed_count, newest


def _read_sealed(look: RunLook, path: str, pair: Range) -> Optional[List[Point]]:
    data = look.read(path)
    if data is None:
        _doubt_missing(look, path, pair)
        return None
    try:
        points = decode_points(check_sealed(data, pair, path), path)
    except DamagedFileError as error:
        look.note(path, "torn-sealed", "it %s; readers go on with the points that can be read" % error.reason)
        return None
    if len(points) != pair[1] - pair[0] + 1:
        look.note(path, "torn-sealed", "it holds %d points, its name says %d" % (len(points), pair[1] - pair[0] + 1))
        return None
    look.note_laxness(path, find_laxness_in_points(data))
    return points


def _doubt_missing(look: RunLook, path: str, pair: Range) -> None:
    if not exists(path):
        look.doubt(path, "sealed-missing", "points %d to %d are lost unless a copy can be found" % pair)
