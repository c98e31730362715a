"""Paths: each file of the tree has its one place, and each name in a folder says what it is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_mlflow.disk.layout import RunPaths, commit_number, document_stem, sealed_name, sealed_range
from mini_mlflow.entities import RunAddress
from mini_mlflow.formats.tiers import parse_range

pure = settings(deadline=None, derandomize=True, max_examples=50)
PATHS = RunPaths.of(RunAddress(os.path.join(os.sep, "trees", "mlruns"), 7, "r1"))


def below(path: str) -> str:
    return os.path.relpath(path, PATHS.address.root).replace(os.sep, "/")


def test_every_path_is_where_the_design_puts_it() -> None:
    """The tree on disk is the one that users and other programs know."""
    assert below(PATHS.folder) == "7/r1"
    assert below(PATHS.meta) == "7/r1/meta.yaml"
    assert below(PATHS.snapshot) == "7/r1/snapshot.json"
    assert below(PATHS.commit(12)) == "7/r1/log/12.json"
    assert below(PATHS.document("params", "lr")) == "7/r1/params/lr.json"
    assert below(PATHS.document("metrics", "train/loss")) == "7/r1/metrics/train%2Floss.json"
    assert below(PATHS.sealed("loss", 0, 8191)) == "7/r1/metrics/loss.history/0-8191.jsonl"
    assert below(PATHS.run_lock) == ".locks/7/r1.lock"
    assert below(PATHS.owner_lock) == ".locks/7/r1.owner"


def test_ancestors_lead_from_the_run_to_the_folder_of_the_tree() -> None:
    """Syncing them in this order makes the whole way down to the run survive a power cut."""
    assert [below(path) for path in PATHS.ancestors()] == ["7/r1", "7", ".", ".."]


@pure
@given(st.text(), st.sampled_from(["params", "metrics", "tags"]))
def test_no_key_leaves_its_folder(key: str, kind: str) -> None:
    """Whatever the key, its document stands directly in the folder of its kind, under a name that is a document's."""
    folder, name = os.path.split(PATHS.document(kind, key))
    assert folder == PATHS.kind_folder(kind)
    assert document_stem(name)
    assert os.path.dirname(PATHS.history_folder(key)) == PATHS.kind_folder("metrics")


@pure
@given(st.text(), st.text())
def test_two_keys_never_share_a_document(one: str, other: str) -> None:
    """Different keys have different files."""
    assert (PATHS.document("params", one) == PATHS.document("params", other)) == (one == other)


@pure
@given(st.integers(min_value=0, max_value=10**17), st.integers(min_value=0, max_value=10**6))
def test_sealed_names_are_read_back(first: int, more: int) -> None:
    """The positions in a sealed file's name are those it was given."""
    assert parse_range(sealed_range(sealed_name(first, first + more))) == (first, first + more)


@pytest.mark.parametrize(("name", "number"), [("1.json", 1), ("12040.json", 12040), ("007.json", 7)])
def test_commit_names_have_a_number(name: str, number: int) -> None:
    """The number in a commit's name is its place in the run's order."""
    assert commit_number(name) == number


@pytest.mark.parametrize(
    "name", ["", ".json", "a.json", "1.json~", "1.json.bak", "1", "-1.json", "1.5.json", ".tmp-1", "9" * 30 + ".json"]
)
def test_other_names_are_no_commits(name: str) -> None:
    """What somebody else put into the log is passed over, also a number beyond any count."""
    assert commit_number(name) is None


@pytest.mark.parametrize("name", [".tmp-0f-1", ".tmp-0f-1.json", "loss.history", "loss", "loss.json~"])
def test_other_names_are_no_documents(name: str) -> None:
    """Temporaries, folders of sealed files and foreign files never show as params or metrics."""
    assert document_stem(name) is None
