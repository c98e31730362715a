"""The documents of params and tags as a look finds them, and what they share with those of metrics."""

from __future__ import annotations

from typing import Any

from mini_mlflow.disk.keys import quote_key
from mini_mlflow.disk.layout import document_stem
from mini_mlflow.errors import DamagedFileError
from mini_mlflow.formats.documents import parse_value_document
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.upkeep.entries import Entry, is_file, is_temporary, list_entries, note_foreign
from mini_mlflow.upkeep.run_look import RunLook
from mini_mlflow.upkeep.strictness import find_laxness


def look_at_values(look: RunLook, kind: str) -> None:
    """Every document of a kind (params or tags) is whole, and is that of the key that its name says."""
    for entry in list_entries(look, look.paths.kind_folder(kind)):
        stem = document_stem(entry.name)
        if stem is not None:
            look_at_document(look, kind, entry, stem)
        elif not is_temporary(look, entry):
            note_foreign(look, entry, kind)


def look_at_document(look: RunLook, kind: str, entry: Entry, stem: str) -> None:
    data = look.read(entry.path) if is_file(look, entry) else None
    if data is None:
        look.unread.add((kind, stem))
        return
    try:
        document = parse_value_document(data, entry.path, stem)
    except DamagedFileError as error:
        look.unread.add((kind, stem))
        look.note(entry.path, "torn-document", describe_loss(error))
        return
    if iso_to_ms(document.timestamp) is None:
        message = "its timestamp is %.80r; no time such as 2026-11-23T07:15:10.123456Z" % document.timestamp
        look.note(entry.path, "wrong-timestamp", message)
    keep_document(look, kind, entry, stem, document)
    note_laxness(look, entry.path, data, document.commit)


def describe_loss(error: DamagedFileError) -> str:
    return "it %s; its value is lost, unless the snapshot has it: remove the file, or log the key again" % error.reason


def keep_document(look: RunLook, kind: str, entry: Entry, stem: str, document: Any) -> bool:
    """True if the document is that of its key, and known to the look from now on."""
    # 0.1.0 quoted nothing, and put no key into its documents: there the name says all.
    if document.key != stem and quote_key(document.key) != stem:
        look.unread.add((kind, stem))
        message = "it carries the key %.220r, whose document is called %.240r; it was renamed or copied" % (
            document.key,
            quote_key(document.key) + ".json",
        )
        look.note(entry.path, "wrong-key", message)
        return False
    # Where both spellings stand, ours is the newer.
    if (kind, document.key) not in look.documents or quote_key(document.key) == stem:
        look.documents[kind, document.key] = document
    return True


def note_laxness(look: RunLook, path: str, data: bytes, commit: int) -> None:
    """The document is strict JSON, unless it is one of 0.1.0, which wrote NaN and Infinity as Python does."""
    if commit or not look.is_of_0_1_0:
        look.note_laxness(path, find_laxness(data))
