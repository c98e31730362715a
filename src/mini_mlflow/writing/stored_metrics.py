"""The metrics of a run as they stand on disk: which there are, all of their points, and what is left of a damaged one.

For the holder of the run's lock, and for what is rare: a rewind, and a document that is lost. Of the points of a
history, those of one file at a time are in memory.
"""

from __future__ import annotations

import os
import warnings
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from mini_mlflow.disk.keys import unquote_name
from mini_mlflow.disk.layout import METRICS, RunPaths, document_of_history, document_stem, sealed_range
from mini_mlflow.disk.regular import list_folder, read_file, read_first_line
from mini_mlflow.entities import Point
from mini_mlflow.errors import DamagedFileError, DamagedFileWarning, OutsideTreeError
from mini_mlflow.formats.history import MetricDocument, parse_first_line, salvage_document, salvage_rewinds
from mini_mlflow.formats.points import NewPoint, as_new, drop_known, salvage_points, to_points
from mini_mlflow.formats.rewinds import NewItem, Rewind, add_rewind, drop_known_items
from mini_mlflow.formats.tiers import join_ranges


def list_keys(paths: RunPaths) -> List[str]:
    """The keys of the metrics that have points, damaged ones among them if any of their points can be read.

    Raises:
        OSError: what the system refuses.
    """
    names = list_folder(paths.kind_folder(METRICS))
    stems = {stem for stem in (document_stem(document_of_history(name) or name) for name in names) if stem is not None}
    keys: Dict[str, None] = {}
    for stem in sorted(stems):
        path = os.path.join(paths.kind_folder(METRICS), stem + ".json")
        try:
            document = parse_first_line(read_first_line(path), path, stem)
            # What another writer left may be no number, and no point.
            key: Optional[str] = document.key if document.count else None
        except (DamagedFileError, OutsideTreeError, FileNotFoundError):
            key = unquote_name(stem)
            if key is not None and not rebuild(paths, key, ())[0].count:
                key = None
        if key is not None:
            keys[key] = None
    return list(keys)


def iter_batches(paths: RunPaths, document: MetricDocument) -> Iterator[Tuple[int, List[Point]]]:
    """The points of a metric by the files that hold them, oldest first, with the position of the first of each.

    What cannot be read is passed over; a file that is gone with a warning.

    Raises:
        OSError: what the system refuses.
    """
    for first, last in document.sealed:
        path = paths.sealed(document.key, first, last)
        try:
            yield first, salvage_points(read_file(path), path)
        except (FileNotFoundError, OutsideTreeError) as error:
            warnings.warn("a rewind passes over points: %s" % error, DamagedFileWarning, stacklevel=2)
    yield document.sealed_count, salvage_points(document.points, paths.document(METRICS, document.key))


def bring_forward(paths: RunPaths, document: MetricDocument, items: Sequence[NewItem], commit: int) -> MetricDocument:
    """The document with new points, and rewound where rewinds stand among them, at ``commit``.

    Raises:
        OSError: what the system refuses.
    """
    points: List[NewPoint] = []
    for item in items:
        if isinstance(item, Rewind):
            document = document.appended(points, commit)
            document = document.rewound(item.step, iter_batches(paths, document))
            points = []
        else:
            points.append(item)
    return document.appended(points, commit)


def rebuild(paths: RunPaths, key: str, new: Sequence[NewItem]) -> Tuple[MetricDocument, Sequence[NewItem]]:
    """What is left of a metric whose document is damaged, and what of ``new`` is not in it already.

    That is its sealed files, which stay as they are, those of the document's points that can be read, and its rewinds
    if its first line can be.
    """
    sealed = join_ranges(map(sealed_range, list_folder(paths.history_folder(key))))
    batches: List[Tuple[int, List[Point]]] = []
    for first, last in sealed:
        path = paths.sealed(key, first, last)
        batches.append((first, salvage_points(_read_if_file(path), path)))
    older = [point for _, points in batches for point in points]
    path = paths.document(METRICS, key)
    data = _read_if_file(path)
    newer = drop_known(older, as_new(salvage_document(data, path)))
    count = sealed[-1][1] + 1 if sealed else 0
    document = MetricDocument(key, count=count, sealed=sealed).appended(newer, 0)
    batches.append((count, to_points(newer, count)))
    items, rewinds = drop_known_items([*older, *batches[-1][1]], new)
    for rewind in salvage_rewinds(data):
        rewinds = add_rewind(rewinds, min(rewind[0], document.count), rewind[1])
    return document.summarized(rewinds, batches), items


def _read_if_file(path: str) -> bytes:
    try:
        return read_file(path)
    except (FileNotFoundError, OutsideTreeError):
        return b""
