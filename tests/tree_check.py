"""What holds for every tree that nobody damaged, checked without the library's own readers.

`check_tree` reads the files as a stranger with a JSON and a YAML parser would, so that a mistake that the library
makes both when it writes and when it reads does not go unseen.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, Iterator, List, Optional, Set

import yaml

ENDED = ("FINISHED", "FAILED", "KILLED")
KINDS = ("params", "metrics", "tags")
# In C where PyYAML has it: hundreds of trees are checked.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NONFINITE = ("NaN", "Infinity", "-Infinity")


class TreeError(AssertionError):
    """A tree breaks what holds for every tree; the message lists all places."""


def find_trees(path: str) -> List[str]:
    """The trees at or below ``path``: folders with ``<experiment>/<run>/meta.yaml`` or a ``.locks`` in them.

    But for those of MLflow's file store, whose experiments have a ``meta.yaml`` themselves.
    """
    found: Set[str] = set()
    for folder, names, files in os.walk(str(path)):
        experiment = os.path.dirname(folder)
        if "meta.yaml" in files and os.path.basename(experiment).isdigit():
            # What stands in the trash belongs to the tree above it.
            tree = os.path.dirname(experiment)
            found.add(os.path.dirname(tree) if os.path.basename(tree) == ".trash" else tree)
        if ".locks" in names:
            found.add(folder)
    return sorted(tree for tree in found if not _is_of_mlflow(tree))


def _is_of_mlflow(tree: str) -> bool:
    return any(os.path.exists(os.path.join(tree, name, "meta.yaml")) for name in os.listdir(tree))


def list_tree(path: str) -> Dict[str, bytes]:
    """Every file of the tree with its bytes, and every folder."""
    found = {}
    for folder, names, files in os.walk(path):
        for name in names:
            found[os.path.join(folder, name) + os.sep] = b""
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(folder, name)] = file.read()
    return found


def check_tree(path: str, leftovers: bool = False) -> None:
    """Returns if all holds for the tree ``path``.

    Args:
        path: a tree.
        leftovers: allow what a killed writer may leave: temporaries, sealed files that were merged, the log of an ended
            run, a snapshot whose run is not yet, or no more, called ended in ``meta.yaml``, or the reverse, and a
            change after the end that is in documents and not in the snapshot, or the reverse.

    Raises:
        TreeError: what does not hold, and in which file.
    """
    problems: List[str] = []
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            # An artifact may have any name.
            if name.startswith(".tmp-") and not leftovers and "/artifacts/" not in folder + "/":
                problems.append("%s: a temporary was left" % os.path.join(folder, name))
    problems += _check_locks(os.path.join(path, ".locks"))
    trash = os.path.join(path, ".trash")
    folders = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    folders += [os.path.join(trash, name) for name in sorted(os.listdir(trash))] if os.path.isdir(trash) else []
    for folder in folders:
        if os.path.basename(folder).isdigit() and os.path.isdir(folder):
            for run_id in sorted(os.listdir(folder)):
                if os.path.exists(os.path.join(folder, run_id, "meta.yaml")):
                    problems += _check_run(os.path.join(folder, run_id), leftovers)
    if problems:
        raise TreeError("\n".join(problems))


def _check_locks(path: str) -> Iterator[str]:
    for folder, _, files in os.walk(path):
        for name in files:
            if os.path.getsize(os.path.join(folder, name)):
                yield "%s: something was written into a lock file" % os.path.join(folder, name)


class _Broken(Exception):
    """A file does not say what it must."""


def read_strict_json(path: str) -> Any:
    """The value in a file of strict JSON (RFC 8259): UTF-8, no NaN, no key twice."""

    def refuse(word: str) -> Any:
        raise _Broken("%s: %s is not JSON" % (path, word))

    def without_twins(pairs: Any) -> Dict[str, Any]:
        keys = [key for key, _ in pairs]
        _expect(len(set(keys)) == len(keys), path, "has a key twice")
        return dict(pairs)

    with open(path, "rb") as file:
        try:
            text = file.read().decode("utf-8")
            return json.loads(text, parse_constant=refuse, object_pairs_hook=without_twins)
        except ValueError as error:
            raise _Broken("%s: %s" % (path, error)) from None


def _expect(true: bool, path: str, problem: str, *details: Any) -> None:
    if not true:
        raise _Broken("%s: %s%s" % (path, problem, "".join(" %r" % (detail,) for detail in details)))


def _check_run(folder: str, leftovers: bool) -> List[str]:
    problems: List[str] = []
    documents: Dict[str, Dict[str, Any]] = {kind: {} for kind in KINDS}
    meta: Dict[str, Any] = {}

    def attempt(check: Any, *args: Any) -> Any:
        try:
            return check(*args)
        except _Broken as broken:
            problems.append(str(broken))
            return None

    meta = attempt(_check_meta, folder) or {}
    for kind in KINDS:
        for path in _json_files(os.path.join(folder, kind)):
            document = attempt(_check_metric if kind == "metrics" else _check_value, path)
            if document is not None:
                documents[kind][document.get("key", os.path.basename(path)[: -len(".json")])] = document
    if not leftovers:
        attempt(_check_histories, os.path.join(folder, "metrics"), documents["metrics"])
    attempt(_check_log, os.path.join(folder, "log"))
    attempt(_check_end, folder, meta, documents, leftovers)
    return problems


def _json_files(folder: str) -> List[str]:
    if not os.path.isdir(folder):
        return []
    names = sorted(os.listdir(folder))
    return [os.path.join(folder, name) for name in names if name.endswith(".json") and not name.startswith(".tmp-")]


def _check_meta(folder: str) -> Dict[str, Any]:
    path = os.path.join(folder, "meta.yaml")
    with open(path, "rb") as file:
        try:
            meta = yaml.load(file, Loader=LOADER)  # noqa: S506 - a safe one
        except (yaml.YAMLError, ValueError) as error:
            raise _Broken("%s: %s" % (path, error)) from None
    _expect(isinstance(meta, dict), path, "is no mapping")
    for name in ("run_id", "experiment_id", "name", "version", "status", "start_time", "end_time"):
        _expect(name in meta, path, "lacks", name)
    _expect(str(meta["run_id"]) == os.path.basename(folder), path, "names another run", meta["run_id"])
    experiment = os.path.basename(os.path.dirname(folder))
    _expect(str(meta["experiment_id"]) == experiment, path, "names another experiment", meta["experiment_id"])
    _expect(meta["status"] in ("RUNNING", *ENDED), path, "has the status", meta["status"])
    return dict(meta)


def _check_value(path: str) -> Dict[str, Any]:
    document = read_strict_json(path)
    _expect(isinstance(document, dict) and "value" in document, path, "has no value")
    _expect(str(document.get("timestamp", "")).endswith("Z"), path, "has no timestamp")
    return dict(document)


def _number(value: Any, path: str) -> float:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    _expect(plain or value in NONFINITE, path, "holds a value that is no number:", value)
    return float(value)


def _check_point(point: Any, path: str) -> List[Any]:
    _expect(isinstance(point, list) and len(point) == 3, path, "holds what is no point:", point)
    step, value, timestamp = point
    _expect(type(step) is int and type(timestamp) is int, path, "holds a point of the wrong kind:", point)
    return [step, _number(value, path), timestamp]


def _check_metric(path: str) -> Dict[str, Any]:
    document = _check_value(path)
    if "count" not in document:
        return document
    points: List[List[Any]] = []
    for name in document["sealed"]:
        first, _, last = name.partition("-")
        sealed = os.path.join(path[: -len(".json")] + ".history", name + ".jsonl")
        _expect(int(first) == len(points), path, "has a gap or an overlap at the sealed file", name)
        _expect(os.path.isfile(sealed), path, "lacks the sealed file", name)
        with open(sealed, "rb") as file:
            lines = file.read().decode("utf-8").split("\n")
        _expect(lines.pop() == "", sealed, "does not end with a line's end")
        points += [_check_point(json.loads(line), sealed) for line in lines]
        _expect(len(points) == int(last) + 1, sealed, "does not hold what its name says")
    points += [_check_point(point, path) for point in document["points"]]
    _expect(len(points) == document["count"], path, "count and points differ:", document["count"], len(points))
    shown = _visible(points, document.get("rewinds", []))
    _expect(len(points) - len(shown) == document.get("hidden", 0), path, "hides another number of points")
    _expect(("hidden" in document) == ("rewinds" in document) == (shown != points), path, "has rewinds for nothing")
    if not shown:
        _expect(document["value"] is None or not points, path, "has a value, and no visible point")
    if points:
        if shown:
            _expect(shown[-1][0] == document["step"], path, "its step is not the last point's")
            _expect(_equal(shown[-1][1], _number(document["value"], path)), path, "its value is not the last point's")
        numbers = [value for _, value, _ in shown if not math.isnan(value)]
        for name, wanted in (("min", min(numbers, default=None)), ("max", max(numbers, default=None))):
            told = document[name]
            _expect(told == wanted or (told is not None and float(told) == wanted), path, "is wrong about its", name)
    latest = _named_latest(shown)
    told = _check_point(document["latest"], path) if "latest" in document else None
    _expect(repr(told) == repr(latest), path, "names another latest point than it has:", told, latest)
    with open(path, "rb") as file:
        first_line = file.readline()
    _expect(first_line.endswith(b'"points": [\n'), path, "is not laid out by lines")
    return document


def _named_latest(shown: List[List[Any]]) -> Optional[List[Any]]:
    """The point of the highest step, then time, then value (NaN as 0), the first of several; None if it is the last."""
    latest = None
    for point in shown:
        order = [
            (step, time_ms, 0.0 if math.isnan(value) else value) for step, value, time_ms in (point, latest or point)
        ]
        if latest is None or order[0] > order[1]:
            latest = point
    return None if not shown or repr(latest) == repr(shown[-1]) else latest


def _visible(points: List[List[Any]], rewinds: List[List[int]]) -> List[List[Any]]:
    return [
        point
        for index, point in enumerate(points)
        if not any(index < position and point[0] > step for position, step in rewinds)
    ]


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _check_histories(folder: str, metrics: Dict[str, Dict[str, Any]]) -> None:
    if not os.path.isdir(folder):
        return
    names = sum(len(os.listdir(os.path.join(folder, name))) for name in os.listdir(folder) if name.endswith(".history"))
    listed = sum(len(document.get("sealed", ())) for document in metrics.values())
    _expect(names == listed, folder, "has sealed files that no document lists:", names, listed)


def _check_log(folder: str) -> None:
    numbers = []
    for path in _json_files(folder):
        commit = read_strict_json(path)
        number = int(os.path.basename(path)[: -len(".json")])
        _expect(commit.get("commit") == number, path, "carries another number:", commit.get("commit"))
        _expect(isinstance(commit.get("changes"), list) and commit["changes"] != [], path, "has no changes")
        for change in commit["changes"]:
            known = isinstance(change, list) and len(change) >= 4 and change[0] in ("metric", "params", "tags")
            rewind = isinstance(change, list) and len(change) == 3 and change[0] == "rewind"
            _expect(known or rewind, path, "holds an unknown change:", change)
        numbers.append(number)
    numbers.sort()
    if numbers:
        _expect(numbers == list(range(numbers[0], numbers[-1] + 1)), folder, "has a gap:", numbers)


def _check_end(folder: str, meta: Dict[str, Any], documents: Dict[str, Dict[str, Any]], leftovers: bool) -> None:
    path = os.path.join(folder, "snapshot.json")
    ended, stands = meta.get("status") in ENDED, os.path.exists(path)
    if not leftovers:
        _expect(ended or not stands, path, "stands beside a run that has not ended")
        # Runs of mini-mlflow 0.1.0 have no format and no snapshot.
        _expect(stands or not ended or "format" not in meta, path, "is missing though the run has ended")
        _expect(not stands or not os.path.exists(os.path.join(folder, "log")), folder, "has ended and still has a log")
    if not stands:
        return
    snapshot = read_strict_json(path)
    _expect(snapshot["metadata"].get("status") in ENDED, path, "is of a run that has not ended")
    behind = leftovers and (not ended or meta.get("commit", 0) < snapshot["metadata"].get("commit", 0))
    _expect(snapshot["metadata"] == meta or behind, path, "disagrees with meta.yaml")
    number, told = snapshot["metadata"].get("commit", 0), meta.get("commit", 0)
    found = [one.get("commit", 0) for some in documents.values() for one in some.values()]
    if leftovers and (told < number or max(found, default=0) > number):
        # Whoever changed the run after its end was killed before or after the snapshot stood.
        return
    for kind in ("params", "tags"):
        shown = {key: document for key, document in documents[kind].items() if not _is_deleted(document, kind)}
        values = {key: document["value"] for key, document in shown.items()}
        _expect(snapshot[kind] == values, path, "disagrees with the documents of", kind)
        _check_marks(path, kind, snapshot["nonfinite"], shown)
    metrics = {key: one for key, one in documents["metrics"].items() if one.get("hidden", -1) != one.get("count")}
    _expect(set(snapshot["metrics"]) == set(metrics), path, "holds other metrics than the documents")
    for key, summary in snapshot["metrics"].items():
        for name in ("value", "step", "count", "min", "max", "hidden"):
            if name in metrics[key]:
                _expect(summary[name] == metrics[key][name], path, "disagrees about", key, name)
        _expect(summary.get("latest") == metrics[key].get("latest"), path, "disagrees about the latest point of", key)


def _is_deleted(document: Dict[str, Any], kind: str) -> bool:
    return kind == "tags" and document["value"] is None and document.get("nonfinite") == "deleted"


def _check_marks(path: str, kind: str, marks: Dict[str, Any], documents: Dict[str, Any]) -> None:
    told = {place.partition("/")[2]: where for place, where in marks.items() if place.startswith(kind + "/")}
    wanted = {key: document["nonfinite"] for key, document in documents.items() if "nonfinite" in document}
    _expect(told == wanted, path, "marks other non-finite numbers than the documents of", kind)
