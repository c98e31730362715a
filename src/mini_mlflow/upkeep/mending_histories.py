"""Mends of metrics: documents that disagree with their points, and sealed files that are torn, lost or unknown."""

from __future__ import annotations

import os
from typing import Optional

from mini_mlflow.disk import atomic
from mini_mlflow.disk.layout import METRICS, document_of_history, document_stem, sealed_range
from mini_mlflow.disk.regular import read_file
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.history import MetricDocument, parse_document
from mini_mlflow.formats.points import as_new, decode_points, to_sealed
from mini_mlflow.formats.tiers import parse_range
from mini_mlflow.upkeep.mending import Case, Plan, move_away
from mini_mlflow.upkeep.mending_values import find_key
from mini_mlflow.upkeep.rebuilding import rebuild


def find_metric(case: Case) -> str:
    """The key of the metric whose document or sealed file the finding is about."""
    name = case.parts[1]
    stem = document_stem(name) or document_stem(document_of_history(name) or "")
    assert stem is not None
    return find_key(case, METRICS, stem)


def mend_history(case: Case) -> Plan:
    """The document says what its points say, and lists sealed files that are whole."""
    key = find_metric(case)
    return Plan("write %.80r anew from all of its points that can be read" % key, lambda: _rebuild(case, key))


def _rebuild(case: Case, key: str) -> Optional[str]:
    lost = rebuild(case, key)
    # What 0.1.0 called otherwise than we do.
    legacy = case.paths.legacy_document(METRICS, key)
    if legacy == case.path and os.path.lexists(legacy):
        case.move()
    return lost


def take_in_history(case: Case) -> Plan:
    """A link to a folder of sealed files, which no reader follows, is read once more before it is moved away."""
    key = find_metric(case)

    def carry_out() -> str:
        if os.path.isdir(case.path):
            rebuild(case, key, in_document=True)
        return "the link is %s now" % case.move()

    return Plan("take its points into the document of %.80r, and move the link into .quarantine" % key, carry_out)


def mend_form(case: Case) -> Plan:
    """The document is strict JSON, laid out by lines, and says the same."""
    key = find_metric(case)
    document = parse_document(read_file(case.path), case.path, key)
    newest = decode_points(document.points, case.path)
    lines = MetricDocument(key).appended(as_new(newest), 0).points
    return Plan(
        "write it anew, with the same points",
        lambda: case.replace(case.path, document._replace(points=lines).dump()),
    )


def mend_sealed_form(case: Case) -> Plan:
    """The sealed file is strict JSON and holds the same points."""
    points = decode_points(read_file(case.path), case.path)
    lines = to_sealed(MetricDocument("").appended(as_new(points), 0).points)
    return Plan("write it anew, with the same points", lambda: case.replace(case.path, lines))


def mend_unlisted(case: Case) -> Plan:
    """A sealed file whose points all stand in the document's history is removed, any other one moved away."""
    key = find_metric(case)
    if _is_held_elsewhere(case, key):
        return Plan("remove it; its points are in other files", lambda: atomic.remove_file(case.path))
    return move_away(case)


def _is_held_elsewhere(case: Case, key: str) -> bool:
    path = case.paths.document(METRICS, key)
    try:
        first, last = parse_range(sealed_range(case.parts[-1]))
        document = parse_document(read_file(path), path, key)
        position, lines = 0, b""
        for pair in document.sealed:
            if pair[0] <= last and pair[1] >= first:
                position = position if lines else pair[0]
                lines += read_file(case.paths.sealed(key, *pair))
        if not lines:
            position = document.sealed_count
        lines += to_sealed(document.points)
        wanted = lines.split(b"\n")[first - position : last - position + 1]
        return first >= position and read_file(case.path).split(b"\n")[:-1] == wanted
    except (OSError, DamagedFileError, ValueError):
        return False


def mend_orphan(case: Case) -> Plan:
    """Sealed files have a document again, made from them, the log and the snapshot."""
    if not any(map(sealed_range, os.listdir(case.path))):
        return Plan("remove the empty folder", lambda: None if atomic.remove_folder(case.path) else case.move())
    return mend_history(case)
