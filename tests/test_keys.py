"""Keys and ids of every nasty kind: stored and read back, or refused with nothing left behind."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mini_mlflow import ExperimentTracker, InvalidKeyError, Run, start_run
from mini_mlflow.disk.keys import quote_key, unquote_name
from mini_mlflow.formats.commits import MetricChange
from mini_mlflow.writing.operations import Submission
from tree_check import list_tree


class Text(str):
    """A str of a class of its own."""


class Name(str, enum.Enum):
    LOSS = "loss"


class Number(enum.IntEnum):
    SEVEN = 7


class Liar(str):
    """A str that says something else when it is asked for its text."""

    def __str__(self) -> str:
        return "../../escape"


class Index:
    """An int to operator.index(), and nothing else."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        return self.value


GOOD_KEYS: List[str] = [
    "loss",
    "val_loss",
    "a",
    "A.b-c d@e",
    "train loss",
    "0",
    "-1",
    "_",
    "~",
    "#$&'()+,;=[]`{}^!",
    "100%",
    "a%2Fb",
    "%41",
    "%",
    "%%",
    "%~",
    ".hidden",
    ".tmp-x",
    ".tmp-",
    "..a",
    "a..b",
    "a.json",
    "a.history",
    "experiment.yaml",
    "meta.yaml",
    "snapshot.json",
    "params",
    "metric",
    "null",
    "true",
    "NaN",
    "console",
    "common",
    "lpt",
    "nulls",
    "connect.json",
    "__class__",
    "x" * 200,
    "é" * 100,
    "\U0001f600" * 50,
    "émoji \U0001f600 and ünïcode",
    "损失",
    "خسارة",
    "e\u0301 not normalised",
    "zero\u200bwidth",
    "left\u202eright",
    "soft\u00adhyphen",
    "byte\ufefforder",
    "private\ue000use",
    "last\uffffone",
]

BAD_KEYS: List[Tuple[Any, type, str]] = [
    ("", ValueError, "cannot be empty"),
    ("a/b", ValueError, "cannot contain slashes"),
    ("/", ValueError, "cannot contain slashes"),
    ("/etc/passwd", ValueError, "cannot contain slashes"),
    ("../../escape", ValueError, "cannot contain slashes"),
    ("..\\escape", ValueError, "cannot contain slashes"),
    ("C:\\x", ValueError, "cannot contain slashes"),
    (".", ValueError, "'.'"),
    ("..", ValueError, "'.'"),
    ("...", ValueError, "dot"),
    ("a.", ValueError, "dot"),
    (" a", ValueError, "space"),
    ("a ", ValueError, "space"),
    (" ", ValueError, "space"),
    ("\u3000a", ValueError, "space"),
    ("a\u00a0", ValueError, "space"),
    ("a:b", ValueError, "control characters"),
    ("C:", ValueError, "control characters"),
    ("a<b", ValueError, "control characters"),
    ("a>b", ValueError, "control characters"),
    ('a"b', ValueError, "control characters"),
    ("a|b", ValueError, "control characters"),
    ("a?", ValueError, "control characters"),
    ("a*", ValueError, "control characters"),
    ("a\0b", ValueError, "control characters"),
    ("\0", ValueError, "control characters"),
    ("a\nb", ValueError, "control characters"),
    ("a\r", ValueError, "control characters"),
    ("a\tb", ValueError, "control characters"),
    ("\x1b[31m", ValueError, "control characters"),
    ("a\x7f", ValueError, "control characters"),
    ("a\x85b", ValueError, "control characters"),
    ("a\u2028b", ValueError, "control characters"),
    ("con", ValueError, "device name"),
    ("CON", ValueError, "device name"),
    ("nul", ValueError, "device name"),
    ("Nul.json", ValueError, "device name"),
    ("prn.a.b", ValueError, "device name"),
    ("aux", ValueError, "device name"),
    ("com1", ValueError, "device name"),
    ("LPT9.txt", ValueError, "device name"),
    ("com\u00b9", ValueError, "device name"),
    ("CONIN$", ValueError, "device name"),
    ("\ud800", ValueError, "Unicode"),
    ("a\udfffb", ValueError, "Unicode"),
    ("\ud83d\ude00", ValueError, "Unicode"),
    ("x" * 201, ValueError, "200 bytes"),
    ("é" * 101, ValueError, "200 bytes"),
    ("\U0001f600" * 51, ValueError, "200 bytes"),
    ("x" * 1_000_000, ValueError, "200 bytes"),
    (None, TypeError, "must be a str"),
    (True, TypeError, "must be a str"),
    (0, TypeError, "must be a str"),
    (1.5, TypeError, "must be a str"),
    (float("nan"), TypeError, "must be a str"),
    (b"loss", TypeError, "must be a str"),
    (bytearray(b"loss"), TypeError, "must be a str"),
    (Path("loss"), TypeError, "must be a str"),
    (("a", "b"), TypeError, "must be a str"),
    (["loss"], TypeError, "must be a str"),
    ({"a": 1}, TypeError, "must be a str"),
    ({"a"}, TypeError, "must be a str"),
    (object(), TypeError, "must be a str"),
    (str, TypeError, "must be a str"),
    (Number.SEVEN, TypeError, "must be a str"),
]


def short(value: Any) -> str:
    """A test's name for a value: the same in every process, and of characters that any terminal takes."""
    if isinstance(value, (str, bytes)):
        text = ascii(value[:30])
        return text if len(value) <= 30 else "%s...%d" % (text, len(value))
    plain = value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**70)
    return ascii(value) if plain else getattr(value, "__name__", type(value).__name__)


def read(run: Run) -> Dict[str, Any]:
    """What a reader sees: the three kinds, and the history of each metric."""
    tracker = ExperimentTracker(experiment_id=run.experiment_id, runs_dir=run.runs_dir)
    stored = tracker.get_run(run.run_id)
    histories = {
        key: [(point.step, point.value) for point in tracker.get_metric_history(run.run_id, key)]
        for key in stored["metrics"]
    }
    return {"params": stored["params"], "metrics": stored["metrics"], "tags": stored["tags"], "histories": histories}


def log_all_kinds(run: Run, key: Any) -> None:
    run.log_param(key, key)
    run.log_metric(key, 1)
    run.log_metric(key, 2)
    run.set_tag(key, key)


def wanted(key: str) -> Dict[str, Any]:
    return {
        "params": {key: key},
        "metrics": {key: 2.0},
        "tags": {key: key},
        "histories": {key: [(0, 1.0), (1, 2.0)]},
    }


# -- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", GOOD_KEYS, ids=short)
def test_key_reads_back(runs_dir: str, key: str) -> None:
    """A key names a param, a metric and a tag; it reads back live, after the end, and after a resume."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    log_all_kinds(run, key)
    assert read(run) == wanted(key)
    run.end()
    assert read(run) == wanted(key)
    resumed = ExperimentTracker(runs_dir=runs_dir, fsync="never").start_run(run_id="r")
    assert read(resumed) == wanted(key)
    resumed.log_metric(key, 3)
    resumed.flush()
    assert read(resumed)["histories"] == {key: [(0, 1.0), (1, 2.0), (2, 3.0)]}


@pytest.mark.parametrize(("key", "error", "phrase"), BAD_KEYS, ids=short)
def test_bad_key_is_refused_and_leaves_nothing(runs_dir: str, key: Any, error: type, phrase: str) -> None:
    """Each logging call refuses the key with a message that says why, and no file of the tree changes."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    log_all_kinds(run, "before")
    before = list_tree(runs_dir)
    calls: List[Callable[[], Any]] = [
        lambda: run.log_param(key, 1),
        lambda: run.log_metric(key, 1),
        lambda: run.set_tag(key, 1),
    ]
    try:
        hash(key)
    except TypeError:
        pass
    else:
        calls += [
            lambda: run.log_params({"good": 1, key: 1}),
            lambda: run.log_metrics({"good": 1, key: 1}),
            lambda: run.set_tags({"good": 1, key: 1}),
        ]
    for call in calls:
        with pytest.raises(error) as raised:
            call()
        assert phrase in str(raised.value)
        assert len(str(raised.value)) < 1000
    assert list_tree(runs_dir) == before
    assert read(run) == wanted("before")


def test_errors_of_keys_say_which_kind(runs_dir: str) -> None:
    """The message says whether a param, a metric or a tag was to be named so."""
    run = Run(runs_dir=runs_dir)
    for kind, call in (("param", run.log_param), ("metric", run.log_metric), ("tag", run.set_tag)):
        with pytest.raises(InvalidKeyError, match="%s key cannot be empty" % kind):
            call("", 1)
        with pytest.raises(TypeError, match="%s key must be a str" % kind):
            call(1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [Text("loss"), Name.LOSS, Liar("loss")], ids=lambda value: type(value).__name__)
def test_key_of_a_subclass_of_str_is_its_text(runs_dir: str, key: Any) -> None:
    """A key that is a str of some class reads back as the text that it holds, as it does in a dict."""
    run = Run(runs_dir=runs_dir)
    log_all_kinds(run, key)
    run.log_metrics({key: 3})
    stored = read(run)
    assert stored["histories"] == {"loss": [(0, 1.0), (1, 2.0), (2, 3.0)]}
    assert [type(name) for kind in ("params", "metrics", "tags") for name in stored[kind]] == [str, str, str]


def test_all_good_keys_live_in_one_run(runs_dir: str) -> None:
    """No two keys meet in one file, in the log, the documents or the snapshot."""
    values = {key: index for index, key in enumerate(GOOD_KEYS)}
    run = Run(runs_dir=runs_dir, fsync="never")
    run.log_params(values)
    run.log_metrics(values)
    run.set_tags(values)
    for _ in range(2):
        stored = read(run)
        assert stored["params"] == stored["metrics"] == stored["tags"] == values
        if run.status == "RUNNING":
            run.end()


KEYS = st.one_of(
    st.text(max_size=210),
    st.text(alphabet="./\\ %-~:\0\naA0é\U0001f600", max_size=12),
    st.sampled_from(GOOD_KEYS),
    st.sampled_from([key for key, _, _ in BAD_KEYS if isinstance(key, str) and len(key) < 1000]),
)


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(key=KEYS)
@example(key="a%20b")
def test_any_text_is_a_key_or_refused(runs_dir: str, key: str) -> None:
    """Any text at all reads back as a key, or is a ValueError with the tree as it was."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    before = list_tree(runs_dir)
    try:
        run.log_param(key, key)
    except ValueError:
        assert list_tree(runs_dir) == before
        with pytest.raises(ValueError, match=r".+"):
            run.log_metric(key, 1)
        return
    run.log_metric(key, 1)
    stored = read(run)
    assert (stored["params"][key], stored["metrics"][key]) == (key, 1.0)
    assert stored["histories"][key][-1][1] == 1.0


# -- below the public rule -----------------------------------------------------------------------------------------

QUOTED_KEYS = [
    "train/loss",
    "../x",
    "a:b",
    "nul",
    "",
    "a\nb",
    "a\0b",
    "..",
    "../../meta",
    "%",
    "x" * 300,
    "é" * 300,
    ".tmp-1",
    "\ud800",
    "a b ",
    "a.",
]


@pytest.mark.parametrize("key", QUOTED_KEYS, ids=short)
def test_layer_above_may_store_any_text_as_a_key(runs_dir: str, key: str) -> None:
    """Below the public rule every key has a file name of its own, and its document knows which key it is of."""
    run = Run("r", runs_dir=runs_dir)
    change = MetricChange(key, 0.5, None, 1000)
    run._submit(Submission([change], [change.dump()]))
    assert read(run)["histories"] == {key: [(0, 0.5)]}
    run.end()
    assert read(run)["histories"] == {key: [(0, 0.5)]}
    (name,) = [name for name in os.listdir(os.path.join(runs_dir, "0", "r", "metrics")) if name.endswith(".json")]
    assert name == quote_key(key) + ".json"
    assert len(os.fsencode(name)) <= 255 - len(".history")


# -- run ids -------------------------------------------------------------------------------------------------------

GOOD_RUN_IDS = [key for key in GOOD_KEYS if not key.startswith(".tmp-") and key != "experiment.yaml"]
BAD_RUN_IDS = [
    *BAD_KEYS,
    (".tmp-x", ValueError, "uses itself"),
    (".tmp-", ValueError, "uses itself"),
    ("experiment.yaml", ValueError, "uses itself"),
    ("Experiment.YAML", ValueError, "uses itself"),
]


@pytest.mark.parametrize("run_id", GOOD_RUN_IDS, ids=short)
def test_run_id_reads_back(runs_dir: str, run_id: str) -> None:
    """A run with such an id is listed, read, attached to, ended and resumed."""
    run = Run(run_id, runs_dir=runs_dir, fsync="never")
    Run(run_id, runs_dir=runs_dir).log_metric("m", 1)
    tracker = ExperimentTracker(runs_dir=runs_dir, fsync="never")
    assert tracker.list_runs() == [run_id]
    run.end()
    assert tracker.list_runs() == [run_id]
    assert tracker.start_run(run_id=run_id).run_id == run_id
    tracker.end_run()
    stored = tracker.get_run(run_id)
    assert (stored["metadata"]["run_id"], stored["metrics"]) == (run_id, {"m": 1.0})


@pytest.mark.parametrize(("run_id", "error", "phrase"), BAD_RUN_IDS, ids=short)
def test_bad_run_id_is_refused_and_leaves_nothing(tmp_path: Path, run_id: Any, error: type, phrase: str) -> None:
    """No call takes such an id, and none makes a file, in the tree or out of it."""
    tracker = ExperimentTracker()
    calls: List[Callable[[], Any]] = [
        lambda: tracker.get_run(run_id),
        lambda: tracker.get_metric_history(run_id, "m"),
    ]
    if run_id is not None:
        calls += [
            lambda: Run(run_id),
            lambda: tracker.start_run(run_id=run_id),
            lambda: start_run(run_id=run_id),
            lambda: start_run(run_id=run_id, nested=True),
        ]
    for call in calls:
        with pytest.raises(error) as raised:
            call()
        assert phrase in str(raised.value)
        assert "run_id" in str(raised.value)
    assert os.listdir(tmp_path) == []
    assert tracker.active_run() is None


@pytest.mark.parametrize("run_id", [Text("loss"), Name.LOSS, Liar("loss")], ids=lambda value: type(value).__name__)
def test_run_id_of_a_subclass_of_str_is_its_text(tmp_path: Path, run_id: Any) -> None:
    """What was checked is what names the folder, whatever the object says when it is asked for its text."""
    run = Run(run_id)
    assert (run.run_id, type(run.run_id)) == ("loss", str)
    assert ExperimentTracker().get_run(run_id)["metadata"]["run_id"] == "loss"
    assert os.listdir(tmp_path) == ["mlruns"]
    assert os.listdir(tmp_path / "mlruns" / "0") == ["loss"]


def test_every_new_run_has_an_id_of_its_own(runs_dir: str) -> None:
    """None, or nothing, as a run id draws a new one each time."""
    assert len({Run(None, runs_dir=runs_dir, fsync="never").run_id for _ in range(20)}) == 20


# -- experiment ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_id", "stored"),
    [(0, 0), (7, 7), ("0", 0), ("12", 12), (2**63 - 1, 2**63 - 1), (Number.SEVEN, 7), (Text("7"), 7), (Index(5), 5)],
    ids=short,
)
def test_experiment_id_reads_back(runs_dir: str, given_id: Any, stored: int) -> None:
    """An int, its decimal str, or whatever is an int to Python, names the experiment of that number."""
    run = Run("r", given_id, runs_dir=runs_dir)
    assert (run.experiment_id, type(run.experiment_id)) == (stored, int)
    tracker = ExperimentTracker(experiment_id=given_id, runs_dir=runs_dir)
    assert tracker.get_run("r")["metadata"]["experiment_id"] == stored
    assert ExperimentTracker(runs_dir=runs_dir).list_runs(given_id) == ["r"]
    assert os.path.isdir(os.path.join(runs_dir, str(stored), "r"))


BAD_EXPERIMENT_IDS: List[Tuple[Any, type]] = [
    (-1, ValueError),
    (2**63, ValueError),
    (10**5000, ValueError),
    ("", ValueError),
    ("-1", ValueError),
    ("01", ValueError),
    ("+1", ValueError),
    ("1.0", ValueError),
    ("1e3", ValueError),
    ("1_0", ValueError),
    (" 1", ValueError),
    ("1\n", ValueError),
    ("\u0661", ValueError),
    ("\u00b2", ValueError),
    ("0x1", ValueError),
    ("a", ValueError),
    ("..", ValueError),
    ("../0", ValueError),
    ("/", ValueError),
    (".locks", ValueError),
    ("\0", ValueError),
    ("\ud800", ValueError),
    ("9" * 19, ValueError),
    ("1" * 5000, ValueError),
    (True, TypeError),
    (False, TypeError),
    (0.0, TypeError),
    (float("nan"), TypeError),
    (b"0", TypeError),
    ([0], TypeError),
    ({}, TypeError),
    ((0,), TypeError),
    (object(), TypeError),
    (int, TypeError),
    (Index("1"), TypeError),
    (Path("0"), TypeError),
]


@pytest.mark.parametrize(("experiment_id", "error"), BAD_EXPERIMENT_IDS, ids=short)
def test_bad_experiment_id_is_refused_and_leaves_nothing(tmp_path: Path, experiment_id: Any, error: type) -> None:
    """No call takes such an experiment id, and none makes a file."""
    tracker = ExperimentTracker()
    calls: List[Callable[[], Any]] = [
        lambda: Run(experiment_id=experiment_id),
        lambda: start_run(experiment_id=experiment_id),
        lambda: ExperimentTracker(experiment_id=experiment_id),
        lambda: tracker.start_run(experiment_id=experiment_id),
        lambda: tracker.list_runs(experiment_id),
        lambda: tracker.get_run("r", experiment_id),
        lambda: tracker.get_run_by_version("a", "v1", experiment_id),
        lambda: tracker.get_latest_version("a", experiment_id),
        lambda: tracker.get_metric_history("r", "m", experiment_id),
    ]
    for call in calls:
        with pytest.raises(error):
            call()
    assert os.listdir(tmp_path) == []
    assert tracker.active_run() is None


def test_none_is_no_experiment_of_a_run() -> None:
    """Those that start runs in an experiment that was chosen before take None, for that one."""
    with pytest.raises(TypeError, match="experiment_id"):
        Run(experiment_id=None)
    with start_run(experiment_id=None) as run:
        assert run.experiment_id == 0


def test_numpy_integers_are_experiment_ids(runs_dir: str) -> None:
    """An experiment id may come out of an array; a numpy bool is none."""
    numpy = pytest.importorskip("numpy")
    assert Run("r", numpy.int64(3), runs_dir=runs_dir).experiment_id == 3
    assert Run("r", numpy.uint8(4), runs_dir=runs_dir).experiment_id == 4
    for bad in (numpy.bool_(True), numpy.float64(1), numpy.array([1, 2])):
        with pytest.raises(TypeError):
            Run("r", bad, runs_dir=runs_dir)
    assert sorted(name for name in os.listdir(runs_dir) if name.isdigit()) == ["3", "4"]


# -- names and versions --------------------------------------------------------------------------------------------

TEXTS = [
    "",
    " ",
    "plain",
    "two words",
    "train/run 1",
    "..",
    "/etc/passwd",
    " leading",
    "trailing ",
    "trailing\n",
    "two\nlines",
    "\r\n",
    "tab\there",
    "nul\0byte",
    "bell\x07",
    "escape\x1b[31m",
    "delete\x7f",
    "next\x85line",
    "para\u2029graph",
    "line\u2028break",
    "byte\ufefforder",
    "\ufffe\uffff",
    "\U0001f600 émoji",
    "\U0010ffff",
    "yes",
    "No",
    "on",
    "y",
    "null",
    "~",
    "true",
    "NaN",
    ".nan",
    ".inf",
    "1",
    "1.0",
    "1e3",
    "0x10",
    "0o7",
    "1_000",
    "12:30:45",
    "2026-11-23",
    "2026-11-23T07:15:10Z",
    "=",
    "<<",
    "- item",
    "? key",
    "key: value",
    "a # comment",
    "#",
    "&anchor",
    "*alias",
    "!tag",
    "!!python/object/apply:os.system [true]",
    "%YAML 1.1",
    "---",
    "...",
    "@at",
    "`tick`",
    "{a: 1}",
    "[1, 2]",
    "'single'",
    '"double"',
    "back\\slash",
    "|",
    ">",
    "x" * 10_000,
    "\U0001f600" * 2_500,
]


@pytest.mark.parametrize("text", TEXTS, ids=short)
def test_name_and_version_read_back(runs_dir: str, text: str) -> None:
    """Any text is a name and a version, and nothing in it is YAML to a reader."""
    run = Run("r", name=text, version=text, runs_dir=runs_dir, fsync="never")
    tracker = ExperimentTracker(text, runs_dir=runs_dir, fsync="never")

    def told() -> Any:
        metadata = tracker.get_run("r")["metadata"]
        return metadata["name"], metadata["version"]

    assert (run.name, run.version) == told() == (text, text)
    run.end()
    assert told() == (text, text)
    tracker.start_run(run_id="r")
    assert told() == (text, text)
    tracker.end_run()
    found = tracker.get_run_by_version(text, text)
    assert found is not None
    assert tracker.get_latest_version(text) == found
    assert tracker.start_run().name == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x" * 10_001, ValueError),
        ("x" * 10_000_000, ValueError),
        ("\ud800", ValueError),
        (1, TypeError),
        (1.0, TypeError),
        (True, TypeError),
        (b"a", TypeError),
        (["a"], TypeError),
        ({"a": 1}, TypeError),
        (Path("a"), TypeError),
        (object(), TypeError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bad_name_or_version_is_refused_and_leaves_nothing(tmp_path: Path, text: Any, error: type) -> None:
    """What is no text, or too long, or no Unicode, is no name and no version; no file is made."""
    calls: List[Callable[[], Any]] = [
        lambda: Run(name=text),
        lambda: Run(version=text),
        lambda: start_run(text),
        lambda: start_run(version=text),
        lambda: ExperimentTracker(text),
        lambda: ExperimentTracker().start_run(text),
        lambda: ExperimentTracker().start_run(version=text),
    ]
    for call in calls:
        with pytest.raises(error):
            call()
    assert os.listdir(tmp_path) == []


def test_name_of_a_subclass_of_str_is_its_text(runs_dir: str) -> None:
    """A name that is a str of some class reads back as the text that it holds."""
    run = Run(name=Liar("a"), version=Name.LOSS, runs_dir=runs_dir)
    metadata = ExperimentTracker(runs_dir=runs_dir).get_run(run.run_id)["metadata"]
    assert (metadata["name"], metadata["version"]) == ("a", "loss")


# -- trees ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [Path, str, os.fsencode], ids=["Path", "str", "bytes"])
@pytest.mark.parametrize("name", ["tree", "with space", "ünï\U0001f600", "a%20b", "dots..", "deep/er/tree", "1"])
def test_trees_may_stand_anywhere(tmp_path: Path, as_path: Callable[[Any], Any], name: str) -> None:
    """runs_dir is any path that the system takes, given as str, bytes or Path; missing parents are made."""
    where = as_path(tmp_path / name)
    with ExperimentTracker(runs_dir=where) as run:
        run.log_metric("m", 1)
    assert ExperimentTracker(runs_dir=where).get_run(run.run_id)["metrics"] == {"m": 1.0}
    assert (tmp_path / name / "0" / run.run_id).is_dir()


@pytest.mark.parametrize(
    ("runs_dir", "error"),
    [("", ValueError), ("a\0b", ValueError), (b"", ValueError), (None, TypeError), (0, TypeError), (["a"], TypeError)],
    ids=short,
)
def test_what_is_no_path_is_refused(tmp_path: Path, runs_dir: Any, error: type) -> None:
    """A bad runs_dir is refused before anything is made."""
    for call in (lambda: Run(runs_dir=runs_dir), lambda: ExperimentTracker(runs_dir=runs_dir)):
        with pytest.raises(error):
            call()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("key", ["loss", "", "train/loss", "größe 1", "50 %", ".tmp-x", "nul", "a\ud800b", "%41", "%"])
def test_quoted_name_is_turned_back(key: str) -> None:
    assert unquote_name(quote_key(key)) == key


@pytest.mark.parametrize("name", ["50 %", "%41", "%zz", "%FF", "a/b", quote_key("/" * 300)])
def test_name_that_no_key_has_is_turned_into_none(name: str) -> None:
    """Nor one that was cut and ends in a hash."""
    assert unquote_name(name) is None
