"""What is refused is refused in the words of either of MLflow's stores: the SQL store's first, then the file store's.

The file store itself is asked, on a tree of its own. That what stands before its words is what the SQL store says, is
seen in `test_mlflow_store`, and of logged models here.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, NamedTuple

import pytest

mlflow = pytest.importorskip("mlflow")

from mlflow.entities import (  # noqa: E402
    DatasetInput,
    ExperimentTag,
    LoggedModelOutput,
    LoggedModelTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model  # noqa: E402

from mini_mlflow.mlflow_plugin import open_store  # noqa: E402

# Its words are those of these versions; before, it said some of it otherwise.
if int(mlflow.__version__.split(".")[1]) < 17:
    pytest.skip("compared with MLflow 3.17 and later", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Stage(NamedTuple):
    """A store, and what there is in it: an experiment and a run of each stage."""

    store: Any
    active: str
    deleted: str
    deleted_run: str


def set_up(store: Any) -> Stage:
    active, deleted = store.create_experiment("orchard"), store.create_experiment("felled")
    store.delete_experiment(deleted)
    deleted_run = store.create_run(active, "gardener", 1, [], "pear").info.run_id
    store.delete_run(deleted_run)
    return Stage(store, active, deleted, deleted_run)


@pytest.fixture
def stages(tmp_path: Any, monkeypatch: Any) -> tuple[Stage, Stage]:
    """Ours, and the same in MLflow's file store."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    file_store = pytest.importorskip("mlflow.store.tracking.file_store")
    theirs = file_store.FileStore(os.path.join(str(tmp_path), "theirs"))
    return set_up(open_store(os.path.join(str(tmp_path), "ours"))), set_up(theirs)


NO_RUN, NO_EXPERIMENT = "e" * 32, "4242"
#: What is done with a run that does not exist, or is deleted.
RUN_CALLS: Dict[str, Callable[[Any, str], Any]] = {
    "rename": lambda store, run: store.update_run_info(run, RunStatus.FINISHED, 1, "plum"),
    "measure": lambda store, run: store.log_metric(run, Metric("height", 1.0, 1, 1)),
    "param": lambda store, run: store.log_param(run, Param("soil", "loam")),
    "tag": lambda store, run: store.set_tag(run, RunTag("soil", "loam")),
    "untag": lambda store, run: store.delete_tag(run, "soil"),
    "batch": lambda store, run: store.log_batch(run, [], [], []),
    "inputs": lambda store, run: store.log_inputs(run, [DatasetInput(mlflow.entities.Dataset("a", "b", "c", "d"))]),
    "outputs": lambda store, run: store.log_outputs(run, [LoggedModelOutput("m-1", 0)]),
    "old model": lambda store, run: store.record_logged_model(run, Model()),
}
CALLS: Dict[str, Callable[[Stage], Any]] = {
    "no experiment": lambda on: on.store.get_experiment(NO_EXPERIMENT),
    "no experiment to rename": lambda on: on.store.rename_experiment(NO_EXPERIMENT, "x"),
    "no experiment to delete": lambda on: on.store.delete_experiment(NO_EXPERIMENT),
    "no experiment to restore": lambda on: on.store.restore_experiment(on.active),
    "no experiment to tag": lambda on: on.store.set_experiment_tag(NO_EXPERIMENT, ExperimentTag("a", "b")),
    "no experiment for a run": lambda on: on.store.create_run(NO_EXPERIMENT, "me", 1, [], "x"),
    "no experiment for a model": lambda on: on.store.create_logged_model(NO_EXPERIMENT),
    "experiment deleted twice": lambda on: on.store.delete_experiment(on.deleted),
    "deleted experiment: rename": lambda on: on.store.rename_experiment(on.deleted, "x"),
    "deleted experiment: tag": lambda on: on.store.set_experiment_tag(on.deleted, ExperimentTag("a", "b")),
    "deleted experiment: untag": lambda on: on.store.delete_experiment_tag(on.deleted, "a"),
    "deleted experiment: run": lambda on: on.store.create_run(on.deleted, "me", 1, [], "x"),
    "deleted experiment: model": lambda on: on.store.create_logged_model(on.deleted),
    "name taken": lambda on: on.store.create_experiment("orchard"),
    "new name taken": lambda on: on.store.rename_experiment(on.active, "Default"),
    "too many results": lambda on: on.store.search_runs([on.active], "", 1, max_results=50_001),
    "no run to read": lambda on: on.store.get_run(NO_RUN),
    "no run to delete": lambda on: on.store.delete_run(NO_RUN),
    "no run to restore": lambda on: on.store.restore_run(NO_RUN),
    "no run, all metrics": lambda on: on.store.get_all_metrics(NO_RUN),
    "no run, all params": lambda on: on.store.get_all_params(NO_RUN),
    "no run, all tags": lambda on: on.store.get_all_tags(NO_RUN),
    "no model": lambda on: on.store.get_logged_model("m-none"),
    **{"no run: " + name: lambda on, do=do: do(on.store, NO_RUN) for name, do in RUN_CALLS.items()},
    **{"deleted run: " + name: lambda on, do=do: do(on.store, on.deleted_run) for name, do in RUN_CALLS.items()},
}


def refusal(call: Callable[[Stage], Any], stage: Stage) -> str:
    # The file store raises a bare Exception for one of them.
    with pytest.raises(Exception) as caught:
        call(stage)
    text = str(caught.value)
    for own, name in ((stage.active, "<active>"), (stage.deleted, "<deleted>"), (stage.deleted_run, "<run>")):
        text = re.sub(r"\b%s\b" % own, name, text)
    return text


def test_refusals_are_told_in_the_file_stores_words_too(stages: tuple[Stage, Stage]) -> None:
    """Each message ends with all that the file store says, in brackets, and says something before it."""
    ours, theirs = stages
    for name, call in CALLS.items():
        text, wanted = refusal(call, ours), refusal(call, theirs)
        assert text.endswith(" (%s)" % wanted), "%s: %r does not end with %r" % (name, text, wanted)
        assert not text.startswith(" ("), name


def test_refusals_are_mlflows_errors(stages: tuple[Stage, Stage]) -> None:
    """Whatever the file store raises, ours is an MlflowException."""
    for call in CALLS.values():
        with pytest.raises(MlflowException):
            call(stages[0])


def test_the_name_of_a_deleted_experiment_is_taken(stages: tuple[Stage, Stage]) -> None:
    """The message says in both words that it is taken, and how to have the name again."""
    for on in stages:
        with pytest.raises(MlflowException, match="Experiment 'felled' already exists in deleted state") as caught:
            on.store.create_experiment("felled")
        assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    with pytest.raises(MlflowException, match=r"Experiment\(name=felled\) already exists"):
        stages[0].store.rename_experiment(stages[0].active, "felled")


def test_the_default_experiment_has_its_number(stages: tuple[Stage, Stage]) -> None:
    """Programs take the default experiment's id from the store."""
    ours, theirs = stages
    assert ours.store.DEFAULT_EXPERIMENT_ID == theirs.store.DEFAULT_EXPERIMENT_ID == "0"
    assert ours.store.get_experiment(ours.store.DEFAULT_EXPERIMENT_ID).name == "Default"


def test_the_first_step_of_an_output_counts(stages: tuple[Stage, Stage]) -> None:
    """A model that a run says twice it has made keeps the step of the first time, also within one call."""
    for on in stages:
        store, run_id = on.store, on.store.create_run(on.active, "gardener", 1, [], "quince").info.run_id
        one, other = (store.create_logged_model(on.active, name).model_id for name in ("one", "other"))
        store.log_outputs(run_id, [LoggedModelOutput(one, 3)])
        store.log_outputs(run_id, [LoggedModelOutput(one, 4), LoggedModelOutput(other, 5), LoggedModelOutput(other, 6)])
        outputs = {output.model_id: output.step for output in store.get_run(run_id).outputs.model_outputs}
        assert outputs == {one: 3, other: 5}


def test_a_tag_of_a_model_without_a_value_is_empty(stages: tuple[Stage, Stage]) -> None:
    """A number is its text."""
    for on in stages:
        model_id = on.store.create_logged_model(on.active, "pear").model_id
        on.store.set_logged_model_tags(model_id, [LoggedModelTag("graft", None), LoggedModelTag("rings", 12)])
        assert on.store.get_logged_model(model_id).tags == {"graft": "", "rings": "12"}


def test_all_of_a_run_is_told_as_by_the_file_store(stages: tuple[Stage, Stage]) -> None:
    """Its latest metrics, params and tags, and the tags of an experiment, each asked for by itself."""
    seen = []
    for on in stages:
        store, run_id = on.store, on.store.create_run(on.active, "gardener", 1, [], "medlar").info.run_id
        points = [Metric("height", 1.5, 3, 1), Metric("height", 2.5, 2, 2), Metric("girth/cm", 4.0, 1, 0)]
        store.log_batch(run_id, points, [Param("soil", "loam"), Param("row", "7")], [RunTag("kind", "rosaceae")])
        store.set_experiment_tag(on.active, ExperimentTag("place", "hill"))
        store.delete_run(run_id)
        pairs = (store.get_all_params(run_id), store.get_all_tags(run_id), store.get_all_experiment_tags(on.active))
        metrics = sorted((one.key, one.value, one.timestamp, one.step) for one in store.get_all_metrics(run_id))
        seen.append([metrics, *(sorted((one.key, one.value) for one in found) for found in pairs)])
    assert seen[0] == seen[1]
    assert seen[0][0] == [("girth/cm", 4.0, 1, 0), ("height", 2.5, 2, 2)]
