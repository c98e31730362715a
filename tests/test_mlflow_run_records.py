"""Records of what MLflow knows beyond us come back as they were; what is none is told. Needs no MLflow."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from mini_mlflow.entities import RunAddress, resolve_settings
from mini_mlflow.formats import mlflow_records as records
from mini_mlflow.formats.values import encode_value
from mini_mlflow.reading.trash import find_deleted
from mini_mlflow.writing import lifecycle, trash
from mini_mlflow.writing.start_request import StartRequest

CATS = records.DatasetInput("cats", "d/1", "local", "{}", None, "p", {"mlflow.data.context": "train"})


def test_records_of_a_run_come_back_in_order() -> None:
    """Whatever else there is among the tags; an object that was stored as text counts as well."""
    dogs = CATS._replace(name="dogs", schema="s", tags={})
    tags = dict([records.dump_model_input("m-2"), ("plain", 1)], **records.dump_input(dogs))
    tags.update((key, json.dumps(value)) for key, value in records.dump_input(CATS).items())
    tags.update(
        [records.dump_output(records.ModelOutput("m-1", 7)), records.dump_output(records.ModelOutput("m-0", 0))]
    )
    found = records.read_records(tags)
    assert found.dataset_inputs == [CATS, dogs]
    assert found.model_inputs == ["m-2"]
    assert found.model_outputs == [("m-0", 0), ("m-1", 7)]
    assert all(records.is_record(key) == (key != "plain") for key in tags)
    assert records.read_records({"plain": 1}) == ([], [], [])


def test_long_profile_is_cut_and_comes_back() -> None:
    """Each part is a tag that can be stored, two alike are one; two profiles take no part from each other."""
    ours, theirs = (CATS._replace(profile=text * 2_000_000 + "end") for text in ("\x01a", "b"))
    tags, others = records.dump_input(ours), records.dump_input(theirs)
    assert [len(records.dump_input(CATS)), len(tags), len(others)] == [1, 3, 3]
    assert all(records.is_record(key) and encode_value(value, "tag") for key, value in tags.items())
    assert records.read_records(tags).dataset_inputs == [ours]
    assert records.read_records({**tags, **others}).dataset_inputs == [theirs]
    assert records.read_records({**others, **tags}).dataset_inputs == [ours]
    tags.popitem()
    assert records.read_records(tags).dataset_inputs == [ours._replace(profile=None)]


def test_datasets_are_told_apart_by_name_and_digest_together() -> None:
    assert [records.input_key("a", "b")] == list(records.dump_input(CATS._replace(name="a", digest="b")))
    assert records.input_key("ab", "c") != records.input_key("a", "bc")


@pytest.mark.parametrize("value", [0.5, float("inf"), float("-inf"), float("nan")])
def test_metric_of_a_model_comes_back(value: float) -> None:
    """The same point is the same tag; numbers that JSON does not know are texts."""
    metric = records.ModelMetric("m", value, 1, -2, "r", None, None)
    key, fields = records.dump_metric(metric)
    assert key == records.dump_metric(metric)[0] != records.dump_metric(metric._replace(step=3))[0]
    json.dumps(fields, allow_nan=False)
    assert repr(records.parse_metric(fields)) == repr(metric)


@pytest.mark.parametrize("value", [None, 1, "x", "[]", {}, {"name": "a"}, {"key": "m", "value": "x"}, {"key": "m"}])
def test_what_is_no_record_is_none(value: Any) -> None:
    assert records.parse_input(value) is None
    assert records.parse_metric(value) is None


def test_run_that_was_just_made_can_be_taken_back(runs_dir: str) -> None:
    """No trace of it is left but its locks, and its id is free."""
    address = RunAddress(runs_dir, 0, "made")
    for _ in range(2):
        run = lifecycle.start(address, StartRequest(), resolve_settings())
        assert os.path.exists(run.paths.meta)
        lifecycle.take_back(run)
        assert not os.path.exists(run.paths.folder)
        assert not run.is_owner


def test_one_run_is_looked_for_in_the_trash(runs_dir: str) -> None:
    address, settings = RunAddress(runs_dir, 0, "made"), resolve_settings()
    lifecycle.end(lifecycle.start(address, StartRequest(name="a name"), settings), "FAILED")
    assert find_deleted(address) is None
    trash.delete(address, settings)
    found = find_deleted(address)
    assert found is not None
    assert (found.run_id, found.name, found.status, found.deleted_at is None) == ("made", "a name", "FAILED", False)
