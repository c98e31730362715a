"""What an import has made of a tree of MLflow's, compared with what that MLflow itself reads of it.

The answers are JSON, made by `ask_mlflow.py` with the MLflow that wrote the tree. From the root of the project, with a
Python that has that MLflow, and then with one that has this library::

    MLFLOW_ALLOW_FILE_STORE=true python tests/make_mlflow_tree.py old big
    MLFLOW_ALLOW_FILE_STORE=true python tests/ask_mlflow.py old answers.json
    python tests/mlflow_answers.py old answers.json runs

prints every difference, and how much was compared.
"""

from __future__ import annotations

import collections
import json
import os
import sys
from typing import Any, Callable, Counter, Dict, Iterator, List, Optional, Tuple

from mini_mlflow.disk.layout import MODELS, TRACES, TRASH, RunPaths, small_root
from mini_mlflow.entities import RunAddress
from mini_mlflow.formats.mlflow_records import (
    is_record,
    parse_assessment,
    parse_metric,
    parse_model,
    parse_trace,
    read_records,
)
from mini_mlflow.formats.times import iso_to_ms
from mini_mlflow.reading.experiments import list_experiments
from mini_mlflow.reading.metric_history import read_history
from mini_mlflow.reading.run_view import RunView, read_run

#: Key to how often it was compared.
Counts = Counter[str] if sys.version_info >= (3, 9) else collections.Counter
Json = Dict[str, Any]


class Comparison:
    """The tree ``root``, held against the answers."""

    def __init__(self, root: str, answers: Json) -> None:
        self._root, self._answers = root, answers
        self.counts: Counts = collections.Counter()
        self.differences: List[str] = []
        self._numbers: Dict[str, int] = {}
        self._deleted = {one["id"] for one in answers["experiments"] if one["stage"] == "deleted"}

    def run(self) -> List[str]:
        """Every difference, in words."""
        self._compare_experiments()
        for run in self._answers["runs"]:
            self._compare_run(run)
        for model in self._answers["models"]:
            self._compare_model(model)
        for trace in self._answers["traces"]:
            self._compare_trace(trace)
        return self.differences

    def _expect(self, what: str, name: str, told: Any, found: Any) -> None:
        self.counts[what] += 1
        if told != found:
            self.differences.append("%s of %s: MLflow reads %r, here is %r" % (what, name, told, found))

    def _compare_experiments(self) -> None:
        here = {one.name: one for one in list_experiments(self._root)}
        for told in self._answers["experiments"]:
            one = here.get(told["name"])
            if one is None:
                self.differences.append("experiment %r is missing" % told["name"])
                continue
            self._numbers[told["id"]] = one.experiment_id
            self._expect("experiment id", told["name"], int(told["id"]), one.experiment_id)
            self._expect("experiment stage", told["name"], told["stage"], one.lifecycle_stage)
            self._expect("experiment tags", told["name"], told["tags"], one.tags)
            self._expect("creation time", told["name"], told["creation"], iso_to_ms(one.creation_time))

    def _find(self, root: str, experiment: str, run_id: str) -> Tuple[Optional[RunPaths], bool]:
        number = self._numbers.get(experiment, -1)
        for is_deleted, top in ((False, root), (True, os.path.join(root, TRASH))):
            paths = RunPaths.of(RunAddress(top, number, run_id))
            if os.path.isdir(paths.folder):
                return paths, is_deleted
        return None, False

    def _compare_run(self, told: Json) -> None:
        name = told["id"]
        paths, is_deleted = self._find(self._root, told["experiment"], name)
        if paths is None:
            self.differences.append("run %s is missing" % name)
            return
        view = read_run(paths)
        metadata = view.metadata
        status = metadata.get("mlflow_status") or metadata["status"]
        self._expect("status", name, told["status"], status)
        # Of runs in an experiment that is deleted, MLflow 1.x says "active".
        stage = told["stage"] if told["experiment"] not in self._deleted else "deleted"
        self._expect("stage", name, stage, "deleted" if is_deleted else "active")
        self._expect("name", name, told["name"] or told["tags"].get("mlflow.runName"), metadata["name"])
        self._expect("user", name, told["user"], metadata["user"])
        self._expect("start time", name, told["start"], iso_to_ms(metadata["start_time"]))
        self._expect("end time", name, told["end"], iso_to_ms(metadata["end_time"]))
        self._expect("parent", name, told["tags"].get("mlflow.parentRunId"), metadata["parent_run_id"])
        self._expect_all("param", name, told["params"], view.params)
        self._expect_all("tag", name, told["tags"], {key: one for key, one in view.tags.items() if not is_record(key)})
        self._compare_records(told, view)
        self._compare_histories(told, paths, view)
        if "artifacts" in told:
            self._expect("artifacts", name, told["artifacts"], [list(one) for one in sorted(_walk(paths.artifacts))])

    def _expect_all(self, what: str, name: str, told: Json, found: Json) -> None:
        for key in {**told, **found}:
            self._expect(what, "%s %r" % (name, key), told.get(key), found.get(key))

    def _compare_records(self, told: Json, view: RunView) -> None:
        records = read_records(view.tags)
        inputs = sorted((one._asdict() for one in records.dataset_inputs), key=str)
        self._expect(
            "datasets", told["id"], sorted(map(_sorted, told.get("inputs", [])), key=str), list(map(_sorted, inputs))
        )
        self._expect("model inputs", told["id"], sorted(told.get("model_inputs", [])), records.model_inputs)
        outputs = [list(one) for one in records.model_outputs]
        self._expect("model outputs", told["id"], sorted(told.get("outputs", [])), outputs)

    def _compare_histories(self, told: Json, paths: RunPaths, view: RunView) -> None:
        self._expect("metrics", told["id"], sorted(told["history"]), sorted(view.metrics))
        for key, points in told["history"].items():
            expected = list(dict.fromkeys((step, _name(value), time_ms) for step, value, time_ms in points))
            found = [(step, _name(value), time_ms) for step, value, time_ms in read_history(paths, key).shown]
            self._expect("history", "%s %r" % (told["id"], key), _without_datasets(expected, found), found)
            self.counts["point"] += len(expected)

    # -- beside runs -----------------------------------------------------------------------------------------------

    def _compare_model(self, told: Json) -> None:
        view = self._read_beside(MODELS, told["id"])
        model = None if view is None else parse_model(view.tags.get("mini_mlflow:model"))
        if view is None or model is None:
            self.differences.append("model %s is missing" % told["id"])
            return
        self._expect("model name", told["id"], told["name"], view.metadata["name"])
        for field, found in (
            ("type", model.model_type),
            ("run", model.source_run_id),
            ("created", model.creation_timestamp),
            ("updated", model.last_updated_timestamp),
            ("status", {1: "PENDING", 2: "READY", 3: "FAILED"}[model.status]),
        ):
            self._expect("model " + field, told["id"], told[field], found)
        self._expect("model params", told["id"], told["params"], view.params)
        tags = {key: one for key, one in view.tags.items() if not is_record(key)}
        self._expect("model tags", told["id"], told["tags"], tags)
        points = [parse_metric(one) for key, one in view.tags.items() if key.startswith("mini_mlflow:metric/")]
        metrics = [
            [p.key, p.value, p.timestamp, p.step, p.run_id, p.dataset_name, p.dataset_digest] for p in points if p
        ]
        self._expect("model metrics", told["id"], told["metrics"], sorted(metrics, key=str))

    def _read_beside(self, kind: str, run_id: str) -> Optional[RunView]:
        for experiment in self._numbers:
            paths, _ = self._find(small_root(self._root, kind), experiment, run_id)
            if paths is not None:
                return read_run(paths)
        return None

    def _compare_trace(self, told: Json) -> None:
        view = self._read_beside(TRACES, told["id"])
        trace = None if view is None else parse_trace(view.tags.get("mini_mlflow:trace"))
        if view is None or trace is None:
            self.differences.append("trace %s is missing" % told["id"])
            return
        location = "mlflow.artifactLocation"
        tags = {key: one for key, one in view.tags.items() if not is_record(key) and key != location}
        self._expect("trace tags", told["id"], {k: v for k, v in told["tags"].items() if k != location}, tags)
        self._expect("trace metadata", told["id"], told["meta"], view.params)
        self._expect("trace state", told["id"], told["state"], trace.state)
        self._expect("trace time", told["id"], told["time"], trace.request_time)
        self._expect("trace duration", told["id"], told["duration"], trace.execution_duration)
        found = [parse_assessment(one) for key, one in view.tags.items() if key.startswith("mini_mlflow:assessment/")]
        assessments = sorted(([one.assessment_id, one.name, one.value, one.rationale] for one in found if one), key=str)
        self._expect("assessments", told["id"], told.get("assessments", []), assessments)


def _walk(folder: str) -> Iterator[Tuple[str, int]]:
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            yield os.path.relpath(path, folder), os.path.getsize(path)


def _name(value: Any) -> Any:
    return value if isinstance(value, str) or value - value == 0 else str(value)


def _sorted(fields: Json) -> Json:
    return dict(sorted(fields.items()))


def _without_datasets(expected: List[Any], found: List[Any]) -> List[Any]:
    """MLflow reads 0 for the step of a point with a dataset, which stands in its file: there, it is as found here."""
    if len(expected) != len(found):
        return expected
    return [there if one[0] == 0 and one[1:] == there[1:] else one for one, there in zip(expected, found)]


def main(tree: str, answers: str, runs_dir: str, take: Callable[..., Any]) -> int:
    """Imports, compares and prints; 0 if all is the same."""
    report = take(tree, runs_dir)
    with open(answers, encoding="utf-8") as stream:
        comparison = Comparison(os.path.abspath(runs_dir), json.load(stream))
    differences = comparison.run()
    for difference in differences:
        print(difference)
    print({name: value for name, value in report.to_dict().items() if value})
    print("compared:", dict(sorted(comparison.counts.items())))
    return 1 if differences else 0


if __name__ == "__main__":
    from mini_mlflow import import_mlflow

    sys.exit(main(*sys.argv[1:4], take=import_mlflow))
