"""Values of every nasty kind: each reads back equal and of its type, or is refused with nothing left behind."""

from __future__ import annotations

import collections
import copy
import datetime
import decimal
import enum
import fractions
import json
import math
import os
import types
from typing import Any, Callable, Dict, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mini_mlflow import ExperimentTracker, Run
from tree_check import list_tree

NAN = float("nan")
INF = float("inf")


class Text(str):
    """A str of a class of its own."""

    def __str__(self) -> str:
        return "something else"

    def __repr__(self) -> str:
        return "something else"


class Whole(int):
    """An int of a class of its own."""

    def __repr__(self) -> str:
        return "something else"

    __str__ = __repr__


class Real(float):
    """A float of a class of its own."""

    def __repr__(self) -> str:
        return "something else"

    __str__ = __repr__


class Name(str, enum.Enum):
    LOSS = "loss"


class Number(enum.IntEnum):
    SEVEN = 7


class Colour(enum.Enum):
    RED = 1


class Pair(tuple):
    """A tuple of a class of its own."""


Point = collections.namedtuple("Point", "x y")


class Tensor:
    """What torch offers, as far as it matters: one number behind item(), and an array behind tolist()."""

    dtype = "float32"

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        if isinstance(self.value, list):
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.value

    def tolist(self) -> Any:
        return self.value


class Unspeakable:
    """An object that cannot even be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("no repr")

    __str__ = __repr__


class Failing:
    """An object whose every offer fails."""

    dtype = "float32"

    def item(self) -> Any:
        raise ValueError("can only convert an array of size 1 to a Python scalar")

    tolist = item


def nested(depth: int, innermost: Any = 0, as_dict: bool = False) -> Any:
    """A list of a list of ... (or dicts), ``depth`` levels of them around the innermost."""
    for _ in range(depth):
        innermost = {"a": innermost} if as_dict else [innermost]
    return innermost


def recursive_list() -> Any:
    value: List[Any] = [1]
    value.append(value)
    return value


def recursive_dict() -> Any:
    value: Dict[str, Any] = {"a": [1]}
    value["a"].append(value)
    return value


def short(value: Any) -> str:
    """A test's name for a value: the same in every process, and of characters that any terminal takes."""
    if isinstance(value, str):
        return ascii(str.__str__(value)[:30])
    plain = value is None or isinstance(value, (bool, float)) or (type(value) is int and abs(value) < 2**70)
    return ascii(value) if plain else getattr(value, "__name__", type(value).__name__)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down; NaN equals NaN, and zeros differ by their signs."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def read(run: Run) -> Dict[str, Any]:
    """The run as a reader sees it."""
    return ExperimentTracker(runs_dir=run.runs_dir).get_run(run.run_id)


def assert_stored(run: Run, key: str, wanted: Any) -> None:
    stored = read(run)
    for kind in ("params", "tags"):
        assert same(stored[kind][key], wanted), (kind, stored[kind][key])


def assert_reads_back(runs_dir: str, value: Any, wanted: Any) -> None:
    """The value reads back live, from the documents alone, after the end, and after a resume, as param and as tag."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    run.log_param("v", value)
    run.set_tags({"v": value})
    assert_stored(run, "v", wanted)
    run.flush()
    assert_stored(run, "v", wanted)
    run.end()
    assert_stored(run, "v", wanted)
    resumed = ExperimentTracker(runs_dir=runs_dir, fsync="never").start_run(run_id="r")
    assert_stored(resumed, "v", wanted)
    resumed.end()
    assert_stored(resumed, "v", wanted)


# -- params and tags -----------------------------------------------------------------------------------------------

PLAIN: List[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    -(2**64),
    10**4000,
    0.0,
    -0.0,
    0.1,
    1e-320,
    5e-324,
    1.7976931348623157e308,
    1e22,
    1.0,
    NAN,
    INF,
    -INF,
    "",
    " ",
    "text",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "1",
    '"quoted"',
    "back\\slash",
    "a/b/../c",
    "nul\0byte",
    "two\nlines\r\n",
    "\x1b[31m\x7f\x85",
    "\u2028\u2029\ufeff\ufffe\uffff",
    "\U0001f600 émoji 损失",
    "\ud800",
    "a\udc80b",
    "\udfff\ud800",
    "!!python/object/apply:os.system [true]",
    "x" * 1_000_000,
    [],
    {},
    [[]],
    [{}],
    {"": ""},
    {"a": []},
    [None, True, 1, 1.0, "1"],
    [1, [2, [3, {"four": [5.5]}]]],
    {"b": 1, "a": 2},
    {"a/b": 1, "..": 2, "a\0b\n": 3, "\ud800": 4, "é": 5, "%41": 6},
    {"value": 1, "timestamp": 2, "nonfinite": [[]], "key": "k", "commit": 99},
    [NAN],
    [INF, -INF, "NaN", "Infinity"],
    {"a": {"b": [1, NAN, "NaN"]}, "NaN": NAN, "": -INF},
    [[NAN], [[NAN, {"x": INF}]]],
    {"nonfinite": [NAN], "a/b": INF},
    ["\ud800", NAN, {"\udfff": INF}, -0.0, 2**70],
    nested(100),
    nested(100, innermost=NAN, as_dict=True)["a"],
    nested(99, innermost=NAN),
    [0] * 10_000,
]

CONVERTED: List[Tuple[Any, Any]] = [
    ((), []),
    ((1, (2, 3)), [1, [2, 3]]),
    (Pair((1, 2)), [1, 2]),
    (Point(1, (2,)), [1, [2]]),
    (Text("a"), "a"),
    (Whole(3), 3),
    (Real(0.5), 0.5),
    (Real("nan"), NAN),
    (Name.LOSS, "loss"),
    (Number.SEVEN, 7),
    ([Name.LOSS, {"n": Number.SEVEN}], ["loss", {"n": 7}]),
    ({Name.LOSS: 1, Text("t"): 2}, {"loss": 1, "t": 2}),
    (collections.OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (Tensor(0.5), 0.5),
    (Tensor([1, [NAN]]), [1, [NAN]]),
    ({"loss": Tensor(2)}, {"loss": 2}),
]

REFUSED: List[Tuple[Any, type]] = [
    (set(), TypeError),
    ({1}, TypeError),
    (frozenset([1]), TypeError),
    (b"bytes", TypeError),
    (bytearray(b"bytes"), TypeError),
    (memoryview(b"bytes"), TypeError),
    (1j, TypeError),
    (decimal.Decimal("0.1"), TypeError),
    (fractions.Fraction(1, 3), TypeError),
    (datetime.datetime(2026, 1, 1), TypeError),
    (datetime.timedelta(1), TypeError),
    (object(), TypeError),
    (object, TypeError),
    (int, TypeError),
    (Colour.RED, TypeError),
    (Tensor, TypeError),
    (Ellipsis, TypeError),
    (NotImplemented, TypeError),
    (len, TypeError),
    (short, TypeError),
    (os, TypeError),
    ((n for n in [1]), TypeError),
    (range(3), TypeError),
    ({"a": 1}.items(), TypeError),
    (types.MappingProxyType({"a": 1}), TypeError),
    (Exception("x"), TypeError),
    (Tensor(1j), TypeError),
    (Tensor(None), TypeError),
    (Tensor([1j]), TypeError),
    (Failing(), (TypeError, ValueError)),
    (Unspeakable(), TypeError),
    ({1: "a"}, TypeError),
    ({None: "a"}, TypeError),
    ({True: "a"}, TypeError),
    ({1.5: "a"}, TypeError),
    ({("a", "b"): 1}, TypeError),
    ({b"a": 1}, TypeError),
    ({Unspeakable(): 1}, TypeError),
    ([1, {"a": {2}}], TypeError),
    ([Unspeakable()], TypeError),
    (nested(101), ValueError),
    (nested(101, as_dict=True), ValueError),
    (nested(5_000), ValueError),
    (recursive_list(), ValueError),
    (recursive_dict(), ValueError),
    (10**5_000, ValueError),
    ([-(10**5_000)], ValueError),
    ("\ud83d\ude00", ValueError),
    ({"\ud83d\ude00": 1}, ValueError),
    (["\ud83d", "\ud83d\ude00"], ValueError),
]


@pytest.mark.parametrize("value", PLAIN, ids=short)
def test_json_value_reads_back_with_its_type(runs_dir: str, value: Any) -> None:
    """Any JSON value, at the top or nested, reads back equal and of the same type."""
    before = copy.deepcopy(value)
    assert_reads_back(runs_dir, value, value)
    assert same(value, before), "the caller's own value was changed"


@pytest.mark.parametrize(("value", "wanted"), CONVERTED, ids=short)
def test_value_becomes_its_plain_value(runs_dir: str, value: Any, wanted: Any) -> None:
    """Subclasses, tuples and array scalars read back as the JSON value that they hold."""
    assert_reads_back(runs_dir, value, wanted)


@pytest.mark.parametrize(("value", "error"), REFUSED, ids=short)
def test_other_value_is_refused_and_leaves_nothing(runs_dir: str, value: Any, error: Any) -> None:
    """Each call that sets a value refuses it, naming the key, and no file of the tree changes."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    run.log_param("v", "before")
    run.set_tag("v", "before")
    before = list_tree(runs_dir)
    calls: List[Callable[[], Any]] = [
        lambda: run.log_param("v", value),
        lambda: run.log_params({"good": 1, "v": value}),
        lambda: run.log_param("v", [value]),
        lambda: run.set_tag("v", value),
        lambda: run.set_tags({"good": 1, "v": value}),
    ]
    for call in calls:
        with pytest.raises(error) as raised:
            call()
        assert "'v'" in str(raised.value)
        assert len(str(raised.value)) < 1000
    assert list_tree(runs_dir) == before
    assert_stored(run, "v", "before")


def test_refused_type_is_named(runs_dir: str) -> None:
    """The message names the key and the type."""
    run = Run(runs_dir=runs_dir)
    with pytest.raises(TypeError, match=r"param 'p'.*complex"):
        run.log_param("p", 1j)
    with pytest.raises(TypeError, match=r"tag 't'.*set"):
        run.set_tag("t", [{1}])
    with pytest.raises(TypeError, match=r"param 'p'.*dict key.*int"):
        run.log_param("p", {1: 2})


def test_value_of_100_mb_is_refused_and_leaves_nothing(runs_dir: str) -> None:
    """A string too large for a param is a ValueError that says how large, and nothing of it reaches the disk."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    run.log_param("v", 1)
    before = list_tree(runs_dir)
    with pytest.raises(ValueError, match="too large") as raised:
        run.log_param("v", "x" * 100_000_000)
    assert len(str(raised.value)) < 1000
    with pytest.raises(ValueError, match="too large"):
        run.log_param("v", ["é" * 6_000_000])
    assert list_tree(runs_dir) == before


def test_value_of_a_million_items_is_refused(runs_dir: str) -> None:
    """A list of more values than a listing should ever read is a ValueError that says so."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    with pytest.raises(ValueError, match="'v' is too large"):
        run.log_param("v", [None] * 1_000_001)
    assert read(run)["params"] == {}


def test_value_just_within_the_limit_reads_back(runs_dir: str) -> None:
    """A string of nearly 10 MB is stored and reads back."""
    value = "x" * 9_999_990
    with Run("r", runs_dir=runs_dir, fsync="never") as run:
        run.log_param("v", value)
        assert read(run)["params"]["v"] == value
    assert read(run)["params"]["v"] == value


def test_value_that_appears_twice_is_not_recursive(runs_dir: str) -> None:
    """One list in two places is two values, not a loop."""
    shared = [1, 2]
    assert_reads_back(runs_dir, [shared, {"a": shared}, shared], [[1, 2], {"a": [1, 2]}, [1, 2]])


def test_value_is_taken_when_it_is_logged(runs_dir: str) -> None:
    """What the caller does to a list afterwards does not change what was logged."""
    run = Run(runs_dir=runs_dir)
    value = {"a": [1]}
    run.log_param("v", value)
    value["a"].append(2)
    run.flush()
    assert read(run)["params"] == {"v": {"a": [1]}}


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["NaN", "Infinity", "-Infinity", "", "\u2028", "\0"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=20,
)


@settings(
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=JSON)
def test_any_json_value_reads_back(runs_dir: str, value: Any) -> None:
    """Whatever JSON can say, and NaN and the infinities within it, reads back live, ended and resumed."""
    with ExperimentTracker(runs_dir=runs_dir, fsync="never").start_run(run_id="r") as run:
        run.log_param("v", value)
        run.set_tag("v", value)
        assert_stored(run, "v", value)
    assert_stored(run, "v", value)


# -- numpy ---------------------------------------------------------------------------------------------------------


def test_numpy_values_become_python_values(runs_dir: str) -> None:
    """Scalars and arrays of numpy are stored as what they hold, also nested."""
    numpy = pytest.importorskip("numpy")
    table: Dict[str, Tuple[Any, Any]] = {
        "int64": (numpy.int64(2**62), 2**62),
        "uint8": (numpy.uint8(255), 255),
        "float64": (numpy.float64(0.1), 0.1),
        "float32": (numpy.float32(0.5), 0.5),
        "float16": (numpy.float16(1.5), 1.5),
        "nan": (numpy.float32("nan"), NAN),
        "inf": (numpy.float64("-inf"), -INF),
        "bool": (numpy.bool_(True), True),
        "str": (numpy.str_("text"), "text"),
        "zero-d": (numpy.array(3), 3),
        "array": (numpy.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        "floats": (numpy.array([0.5, float("nan"), float("inf")]), [0.5, NAN, INF]),
        "bools": (numpy.array([True, False]), [True, False]),
        "strings": (numpy.array(["a", "é"]), ["a", "é"]),
        "empty": (numpy.array([]), []),
        "objects": (numpy.array([1, "a", None], dtype=object), [1, "a", None]),
        "nested": ([{"a": numpy.float32(0.25)}, (numpy.array([1]),)], [{"a": 0.25}, [[1]]]),
    }
    run = Run(runs_dir=runs_dir)
    run.log_params({key: value for key, (value, _) in table.items()})
    for _ in range(2):
        stored = read(run)["params"]
        for key, (_, wanted) in table.items():
            assert same(stored[key], wanted), (key, stored[key])
        if run.status == "RUNNING":
            run.end()


def test_numpy_values_without_a_json_value_are_refused(runs_dir: str) -> None:
    """Complex numbers, dates, bytes and objects of numpy are TypeErrors, with nothing left behind."""
    numpy = pytest.importorskip("numpy")
    run = Run(runs_dir=runs_dir)
    before = list_tree(runs_dir)
    for value in (
        numpy.complex64(1j),
        numpy.array([1j]),
        numpy.datetime64("2026-01-01"),
        numpy.array(["2026-01-01"], dtype="datetime64[D]"),
        numpy.timedelta64(1, "D"),
        numpy.bytes_(b"a"),
        numpy.array([object()]),
        numpy.dtype("float32"),
        numpy.float32,
    ):
        with pytest.raises(TypeError, match="'v'"):
            run.log_param("v", value)
        with pytest.raises(TypeError, match="'v'"):
            run.log_metric("v", value)
    assert list_tree(runs_dir) == before


# -- metrics -------------------------------------------------------------------------------------------------------

NUMBERS: List[Tuple[Any, float]] = [
    (0, 0.0),
    (1, 1.0),
    (-1, -1.0),
    (2**53 + 1, float(2**53 + 1)),
    (10**300, 1e300),
    (0.1, 0.1),
    (-0.0, -0.0),
    (5e-324, 5e-324),
    (1e-5, 1e-5),
    (1.7976931348623157e308, 1.7976931348623157e308),
    (NAN, NAN),
    (INF, INF),
    (-INF, -INF),
    (Whole(3), 3.0),
    (Real(0.5), 0.5),
    (Real("inf"), INF),
    (Number.SEVEN, 7.0),
    (fractions.Fraction(1, 4), 0.25),
    (Tensor(0.5), 0.5),
    (Tensor(2), 2.0),
    (Tensor(NAN), NAN),
]

NO_NUMBERS: List[Tuple[Any, Any]] = [
    (True, TypeError),
    (False, TypeError),
    (None, TypeError),
    ("1", TypeError),
    ("NaN", TypeError),
    ("", TypeError),
    (b"1", TypeError),
    (1j, TypeError),
    (decimal.Decimal("0.1"), TypeError),
    ([1.0], TypeError),
    ((1.0,), TypeError),
    ({"a": 1}, TypeError),
    ({1.0}, TypeError),
    (object(), TypeError),
    (float, TypeError),
    (Colour.RED, TypeError),
    (datetime.timedelta(1), TypeError),
    (range(1), TypeError),
    (recursive_list(), TypeError),
    (Tensor, TypeError),
    (Tensor([1, 2]), TypeError),
    (Tensor("1"), TypeError),
    (Tensor(True), TypeError),
    (Tensor(None), TypeError),
    (Tensor(1j), TypeError),
    (Failing(), TypeError),
    (Unspeakable(), TypeError),
    ([Unspeakable()], TypeError),
    ("x" * 10_000_000, TypeError),
    (10**400, ValueError),
    (-(10**400), ValueError),
    (10**5_000, ValueError),
    (Tensor(10**400), ValueError),
    (fractions.Fraction(10**400), ValueError),
]


@pytest.mark.parametrize(("value", "wanted"), NUMBERS, ids=short)
def test_number_is_stored_as_a_float(runs_dir: str, value: Any, wanted: float) -> None:
    """Any real number is a point, and reads back as a float: live, after the end, and after a resume."""
    tracker = ExperimentTracker(runs_dir=runs_dir, fsync="never")
    run = tracker.start_run(run_id="r")
    run.log_metric("m", 1)
    run.log_metric("m", value)
    run.log_metrics({"m": value, "once": value})

    def assert_reads(count: int) -> None:
        assert same(read(run)["metrics"], {"m": wanted, "once": wanted})
        values = [point.value for point in tracker.get_metric_history("r", "m")]
        assert same(values, [1.0, *[wanted] * count])
        assert same([point.value for point in tracker.get_metric_history("r", "once")], [wanted])

    assert_reads(2)
    tracker.end_run()
    assert_reads(2)
    run = tracker.start_run(run_id="r")
    run.log_metric("m", value)
    run.flush()
    assert_reads(3)


@pytest.mark.parametrize(("value", "error"), NO_NUMBERS, ids=short)
def test_what_is_no_number_is_refused_and_leaves_nothing(runs_dir: str, value: Any, error: Any) -> None:
    """Anything else is refused, naming the key, and no file of the tree changes."""
    run = Run("r", runs_dir=runs_dir, fsync="never")
    run.log_metric("m", 1)
    before = list_tree(runs_dir)
    for call in (
        lambda: run.log_metric("m", value),
        lambda: run.log_metrics({"good": 1, "m": value}),
    ):
        with pytest.raises(error) as raised:
            call()
        assert "'m'" in str(raised.value)
        assert len(str(raised.value)) < 1000
    assert list_tree(runs_dir) == before


def test_numpy_numbers_are_points(runs_dir: str) -> None:
    """Real scalars of numpy, and arrays of one, are points; a numpy bool is none."""
    numpy = pytest.importorskip("numpy")
    run = Run("r", runs_dir=runs_dir)
    values = [numpy.int8(-3), numpy.uint64(2**63), numpy.float16(0.5), numpy.float32(0.1), numpy.float64("nan")]
    for value in [*values, numpy.array(7), numpy.array([0.25])]:
        run.log_metric("m", value)
    wanted = [-3.0, float(2**63), 0.5, float(numpy.float32(0.1)), NAN, 7.0, 0.25]
    tracker = ExperimentTracker(runs_dir=runs_dir)
    assert same([point.value for point in tracker.get_metric_history("r", "m")], wanted)
    for bad in (numpy.bool_(True), numpy.str_("1"), numpy.array([1.0, 2.0]), numpy.array([])):
        with pytest.raises(TypeError, match="'m'"):
            run.log_metric("m", bad)
    assert len(tracker.get_metric_history("r", "m")) == len(wanted)


def test_numpy_longdouble_is_stored_or_refused(runs_dir: str) -> None:
    """A number of more precision than a float has is a float afterwards, or a TypeError; never something in between."""
    numpy = pytest.importorskip("numpy")
    run = Run("r", runs_dir=runs_dir)
    before = list_tree(runs_dir)
    try:
        run.log_metric("m", numpy.longdouble("0.1"))
    except TypeError:
        assert list_tree(runs_dir) == before
    else:
        assert read(run)["metrics"] == {"m": 0.1}


def test_numpy_integers_are_steps(runs_dir: str) -> None:
    """A step may come out of an array or be an IntEnum; a numpy bool or float is none."""
    numpy = pytest.importorskip("numpy")
    run = Run("r", runs_dir=runs_dir)
    for step in (numpy.int64(5), numpy.uint8(6), Number.SEVEN, Whole(8)):
        run.log_metric("m", 1.0, step=step)
    points = ExperimentTracker(runs_dir=runs_dir).get_metric_history("r", "m")
    assert same([point.step for point in points], [5, 6, 7, 8])
    for step in (numpy.float64(1), numpy.bool_(True), numpy.array([1, 2]), 1.0):
        with pytest.raises(TypeError, match="'m'"):
            run.log_metric("m", 1.0, step=step)


def test_files_are_strict_json_where_python_is_not(runs_dir: str) -> None:
    """NaN and the infinities are strings in the files, which any JSON parser reads, and in the snapshot too."""
    run = Run("r", runs_dir=runs_dir)
    for value in (NAN, INF, -INF):
        run.log_metric("m", value)
    run.log_param("p", [NAN, "NaN"])
    run.end()
    folder = os.path.join(runs_dir, "0", "r")
    found = {}
    for name in ("metrics/m.json", "params/p.json", "snapshot.json"):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found[name] = json.load(file, parse_constant=pytest.fail)
    assert [value for _, value, _ in found["metrics/m.json"]["points"]] == ["NaN", "Infinity", "-Infinity"]
    assert found["metrics/m.json"]["value"] == "-Infinity"
    assert found["params/p.json"]["value"] == ["NaN", "NaN"]
    assert found["snapshot.json"]["params"] == {"p": ["NaN", "NaN"]}
    assert same(read(run)["params"], {"p": [NAN, "NaN"]})
