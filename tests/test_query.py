"""The filter language: what it takes, what it makes of it, where it points when it does not, and what matches."""

from __future__ import annotations

import math
import pickle
from typing import Any, Dict, List, NamedTuple, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mini_mlflow import InvalidFilterError, InvalidTypeError
from mini_mlflow.reading.matching import compile_filter
from mini_mlflow.reading.query import NAN, Condition, Junction, Negation, dump_filter, parse_filter, parse_order
from mini_mlflow.reading.query_fields import NAMES, Field
from mini_mlflow.reading.ranking import Ranking, compile_order

pure = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
LOSS = Field("metrics", "loss")
LR = Field("params", "lr")
STAGE = Field("tags", "stage")
STATUS = Field("attributes", "status")


class FakeRun(NamedTuple):
    """What the language asks a run for."""

    run_id: str = "r"
    experiment_id: int = 0
    metadata: Dict[str, Any] = {}
    params: Dict[str, Any] = {}
    tags: Dict[str, Any] = {}
    metrics: Dict[str, float] = {}

    def last_value(self, key: str) -> Optional[float]:
        return self.metrics.get(key)


# -- parsing -------------------------------------------------------------------------------------------------------

PARSED = [
    ("metrics.loss < 0.5", Condition(LOSS, "<", 0.5)),
    ("metric.loss<=-1e-3", Condition(LOSS, "<=", -1e-3)),
    ("params.lr = 'adam'", Condition(LR, "=", "adam")),
    ('parameter.lr != "adam"', Condition(LR, "!=", "adam")),
    ("param.lr == 3", Condition(LR, "=", 3)),
    ("parameters.lr <> +3", Condition(LR, "!=", 3)),
    ("tag.stage LIKE 'try%'", Condition(STAGE, "LIKE", "try%")),
    ("tags.stage not ilike 'try%'", Condition(STAGE, "NOT ILIKE", "try%")),
    ("tags.stage in ('a', \"b\", 3)", Condition(STAGE, "IN", ("a", "b", 3))),
    ("tags.stage NOT IN ('a')", Condition(STAGE, "NOT IN", ("a",))),
    ("params.lr IS NULL", Condition(LR, "IS NULL", None)),
    ("params.lr is not null", Condition(LR, "IS NOT NULL", None)),
    ("params.lr = true", Condition(LR, "=", True)),
    ("metrics.loss = NaN", Condition(LOSS, "=", NAN)),
    ("metrics.loss < -inf", Condition(LOSS, "<", -math.inf)),
    ("metrics.loss < Infinity", Condition(LOSS, "<", math.inf)),
    ("status = 'FINISHED'", Condition(STATUS, "=", "FINISHED")),
    ("attributes.status = 'FINISHED'", Condition(STATUS, "=", "FINISHED")),
    ("attr.`status` = 'FINISHED'", Condition(STATUS, "=", "FINISHED")),
    ("run.status = 'FINISHED'", Condition(STATUS, "=", "FINISHED")),
    ("run_name = 'x'", Condition(Field("attributes", "name"), "=", "x")),
    ("`Run name` = 'x'", Condition(Field("attributes", "name"), "=", "x")),
    ("created > 1", Condition(Field("attributes", "start_time"), ">", 1)),
    ("start_time >= '2026-11-23'", Condition(Field("attributes", "start_time"), ">=", "2026-11-23")),
    ("metrics.`val loss` < 1", Condition(Field("metrics", "val loss"), "<", 1)),
    ('metrics."val loss" < 1', Condition(Field("metrics", "val loss"), "<", 1)),
    ("`metrics`.`a``b` < 1", Condition(Field("metrics", "a`b"), "<", 1)),
    ("tags.mlflow.source.name = 'x'", Condition(Field("tags", "mlflow.source.name"), "=", "x")),
    ("metrics.train/val-loss < 1", Condition(Field("metrics", "train/val-loss"), "<", 1)),
    ("metrics.größe < 1", Condition(Field("metrics", "größe"), "<", 1)),
    ("params.lr = 'it''s'", Condition(LR, "=", "it's")),
    ("params.in = 'and'", Condition(Field("params", "in"), "=", "and")),
    ("  metrics.loss<1\n", Condition(LOSS, "<", 1)),
    (
        "metrics.loss < 1 AND params.lr = 2 and status = 'x'",
        Junction("AND", (Condition(LOSS, "<", 1), Condition(LR, "=", 2), Condition(STATUS, "=", "x"))),
    ),
    (
        "metrics.loss < 1 OR params.lr = 2 AND NOT status = 'x'",
        Junction(
            "OR",
            (
                Condition(LOSS, "<", 1),
                Junction("AND", (Condition(LR, "=", 2), Negation(Condition(STATUS, "=", "x")))),
            ),
        ),
    ),
    (
        "(metrics.loss < 1 OR params.lr = 2) AND status = 'x'",
        Junction(
            "AND",
            (Junction("OR", (Condition(LOSS, "<", 1), Condition(LR, "=", 2))), Condition(STATUS, "=", "x")),
        ),
    ),
    ("NOT (NOT metrics.loss < 1)", Negation(Negation(Condition(LOSS, "<", 1)))),
]


def test_text_becomes_its_tree_and_comes_back() -> None:
    """Each of these means this; printed, the tree is a text that means the same."""
    for text, tree in PARSED:
        parsed = parse_filter(text)
        assert repr(parsed) == repr(tree), text
        assert repr(parse_filter(dump_filter(parsed))) == repr(tree), text
    assert [parse_filter(text) for text in ("", " \n ")] == [None, None]
    assert dump_filter(None) == ""


#: The text, where the caret stands, and a piece of what it says.
REFUSED = [
    ("loss < 1", 0, "metrics.loss, params.loss or tags.loss"),
    ("statsu = 'x'", 0, "did you mean status?"),
    ("metrc.loss < 1", 0, "expected metrics, params, tags or attributes"),
    ("metrics.loss", 12, "expected a comparison"),
    ("metrics.loss <", 14, "expected a number, found the end"),
    ("metrics.loss < 'x'", 15, "without quotes, found 'x'"),
    ("metrics.loss < x", 15, "expected a number, found x"),
    ("metrics.loss LIKE 'x'", 13, "a metric is a number"),
    ("metrics.loss = TRUE", 15, "a metric is a number"),
    ("params.lr = adam", 12, "in quotes, found adam"),
    ("params.lr < TRUE", 12, "not ordered"),
    ("params.lr LIKE 3", 15, "expected a pattern in quotes"),
    ("params.lr IN 3", 13, "expected a list in parentheses"),
    ("params.lr IN ()", 14, "expected a number, or a text in quotes, found )"),
    ("params.lr IN (1 2)", 16, "a comma or a closing parenthesis"),
    ("params.lr IS 3", 13, "expected NULL or NOT NULL"),
    ("params.lr IS NOT 3", 17, "expected NULL"),
    ("params.lr NOT 3", 14, "expected LIKE, ILIKE or IN after NOT"),
    ("params.lr = 1 params.lr", 14, "expected AND, OR or the end of the filter, found params.lr"),
    ("(params.lr = 1", 14, "a closing parenthesis, found the end"),
    ("params.lr = 1)", 13, "the end of the filter, found )"),
    ("params.lr = 1 AND", 17, "expected a name such as"),
    ("AND params.lr = 1", 0, "expected a name such as"),
    ("params.lr = 'x", 12, "not closed"),
    ("params.`lr = 1", 7, "not closed"),
    ("params. = 1", 6, "expected a key right after the dot"),
    ("params.lr = 1.5x", 15, "expected a number to end here"),
    ("params.lr = 1.2.3", 15, "expected a number to end here"),
    ("params.lr = 5; DROP", 13, "this character begins none"),
    ("start_time > 'monday'", 13, "a time in UTC"),
    ("start_time > TRUE", 13, "a time in UTC"),
    ("params.lr ~ 'x'", 10, "this character begins none"),
    ("3 < params.lr", 0, "expected a name such as"),
    ("(" * 60 + "params.lr = 1" + ")" * 60, 51, "nested deeper than 50 levels"),
]


def test_error_points_at_its_place() -> None:
    """The caret stands under the place, and what was expected there is said."""
    for text, position, problem in REFUSED:
        with pytest.raises(InvalidFilterError) as caught:
            parse_filter(text)
        assert (caught.value.position, caught.value.text) == (position, text), text
        assert problem in caught.value.problem, text
        line, caret = str(caught.value).splitlines()[-2:]
        assert line[caret.index("^") :][:1] == text[position : position + 1].replace("\n", " "), text


def test_error_shows_a_part_of_a_long_text_and_no_line_breaks() -> None:
    text = "metrics.loss < 1 AND\n" * 50 + "oops = 1"
    with pytest.raises(ValueError, match="oops is no attribute") as caught:
        parse_filter(text)
    _, line, caret = str(caught.value).split("\n")
    assert len(line) < 140
    assert line[caret.index("^") :] == "oops = 1"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.position) == (str(caught.value), text.index("oops"))


def test_order_is_a_name_and_a_direction() -> None:
    assert parse_order("metrics.loss") == (LOSS, False)
    assert parse_order("metrics.`loss` asc") == (LOSS, False)
    assert parse_order(" status DESC ") == (STATUS, True)
    for text, position in [("metrics.loss DOWN", 13), ("metrics.loss DESC, status", 17), ("", 0), ("loss", 0)]:
        with pytest.raises(InvalidFilterError) as caught:
            parse_order(text)
        assert caught.value.position == position


@pure
@given(st.text(max_size=60) | st.text(alphabet="metrics.pa`'\"()<=! 01ORANDNTin,%-+e\n", max_size=60))
def test_any_text_parses_or_is_refused_at_a_place(text: str) -> None:
    """There is no third way, and what parses prints as a text of the same meaning."""
    try:
        tree = parse_filter(text)
    except InvalidFilterError as error:
        assert 0 <= error.position <= len(text)
        assert str(error)
    else:
        assert repr(parse_filter(dump_filter(tree))) == repr(tree)


texts = st.text(max_size=8)
numbers = st.integers() | st.floats(allow_nan=False) | st.just(NAN)
keys = st.text(min_size=1, max_size=8)
conditions = st.one_of(
    st.builds(Condition, st.builds(Field, st.just("metrics"), keys), st.sampled_from(["<", "=", ">="]), numbers),
    st.builds(
        Condition,
        st.builds(Field, st.sampled_from(["params", "tags"]), keys),
        st.sampled_from(["=", "!=", "LIKE", "NOT ILIKE"]),
        texts,
    ),
    st.builds(
        Condition,
        st.builds(Field, st.just("tags"), keys),
        st.sampled_from(["IN", "NOT IN"]),
        st.lists(texts | numbers | st.booleans(), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(
        Condition,
        st.sampled_from([Field("attributes", name) for name in NAMES]),
        st.sampled_from(["IS NULL", "IS NOT NULL"]),
        st.none(),
    ),
)
trees = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(Negation, inner),
        st.builds(Junction, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@pure
@given(trees)
def test_printed_tree_parses_back(tree: Any) -> None:
    assert repr(parse_filter(dump_filter(tree))) == repr(tree)


# -- matching ------------------------------------------------------------------------------------------------------

RUN = FakeRun(
    run_id="abc",
    experiment_id=3,
    metadata={
        "name": "base_line",
        "status": "FINISHED",
        "start_time": "2026-11-23T07:15:10.123456Z",
        "end_time": None,
        "git_dirty": True,
    },
    params={"lr": 0.01, "layers": [64, 32], "opt": "Adam", "n": 3, "flag": True, "old": "0.5", "none": None, "t": "b"},
    tags={"stage": "a%b", "wide": "x\ny"},
    metrics={"loss": 0.25, "nan": math.nan, "inf": math.inf},
)

MATCHES = """
metrics.loss < 0.5                       metrics.loss = 0.25
metrics.loss >= 0.25                     metrics.loss != 1
metrics.nan = NaN                        metrics.nan != 1
metrics.inf > 1e300                      metrics.inf = Infinity
metrics.loss IN (1, 0.25)                metrics.loss NOT IN (1, 2)
metrics.loss IS NOT NULL                 metrics.gone IS NULL
params.lr < 0.1                          params.lr = 0.01
params.lr = '0.01'                       params.lr = '1e-2'
params.lr < '0.02'                       params.lr LIKE '0.%'
params.n = 3                             params.n = '3'
params.n = 3.0                           params.n > 2
params.flag = true                       params.flag = 'True'
params.flag != false                     params.flag != 1
params.old < 1                           params.old = 0.5
params.old > '0.4'                       params.layers = '[64, 32]'
params.opt = 'Adam'                      params.opt != 'adam'
params.opt ILIKE 'ADA_'                  params.opt LIKE 'A%m'
params.opt NOT LIKE 'a%'                 params.opt != 5
params.opt > 'A'                         params.t < 'c'
params.opt IN ('Adam', 'SGD')            params.opt NOT IN ('SGD')
params.none IS NULL                      params.opt IS NOT NULL
tags.stage LIKE 'a_b'                    tags.stage LIKE '%'
tags.stage LIKE '%b'                     tags.stage LIKE '%a%'
tags.wide LIKE 'x%y'                     NOT tags.stage = 'c'
tags.stage = 'a%b' OR tags.gone = 'x'    NOT (tags.stage = 'x' OR params.n = 4)
run_id = 'abc'                           experiment_id = 3
experiment_id = '3'                      experiment_id IN (1, 3)
name LIKE 'base_%'                       git_dirty = true
start_time > '2026-11-23'                start_time < '2026-11-23T07:16'
start_time = 1795418110123               start_time = '2026-11-23T07:15:10.123Z'
start_time >= 1795418110000              start_time LIKE '2026-11-%'
start_time IN ('2026-11-23T07:15:10.123Z')   end_time IS NULL
NOT params.lr >= 0.1                     NOT NOT metrics.loss < 1
metrics.loss < 1 AND params.n = 3        NOT (metrics.loss > 1 AND params.n = 3)
"""

DOES_NOT_MATCH = """
metrics.loss < 0.25                      metrics.gone < 1
metrics.gone != 1                        NOT metrics.gone = 1
metrics.gone NOT IN (1)                  metrics.nan < 1
metrics.nan >= 1                         NOT metrics.nan < 1
metrics.nan = 1                          metrics.loss != 0.25
metrics.loss IS NULL                     metrics.gone IS NOT NULL
NOT metrics.loss IS NOT NULL             metrics.loss NOT IN (0.25)
params.lr < 0.01                         params.gone != 'x'
params.gone NOT LIKE 'x'                 NOT params.gone LIKE 'x'
params.opt < 5                           NOT params.opt < 5
params.opt = 'adam'                      params.opt LIKE 'a%'
params.opt LIKE 'dam'                    params.opt LIKE 'Adam_'
params.flag = 1                          params.n = true
params.n != 3                            params.layers < 5
params.none = 'None'                     params.none IS NOT NULL
tags.stage LIKE 'b%a'                    tags.stage LIKE 'a%b%b'
tags.stage LIKE 'ab%ab'                  tags.stage NOT LIKE 'a%'
tags.stage = 'a%b' AND tags.gone = 'x'   run_id = 'a'
experiment_id = 4                        end_time != '2026-11-23'
end_time > 0                             start_time > '2026-11-24'
start_time < 1795418110123               git_dirty = false
version = 'x'                            version IS NOT NULL
"""


def lines(table: str) -> List[str]:
    return [text for line in table.strip().splitlines() for text in filter(None, line.split("   "))]


def matches(text: str, run: FakeRun = RUN) -> bool:
    test = compile_filter(text)
    assert test is not None
    return test(run)


def test_what_matches() -> None:
    assert [text for text in lines(MATCHES) if not matches(text)] == []
    assert len(lines(MATCHES)) > 60


def test_what_does_not_match() -> None:
    """Above all, a comparison with what a run does not have, and one that makes no sense, with NOT or without."""
    assert [text for text in lines(DOES_NOT_MATCH) if matches(text)] == []
    assert len(lines(DOES_NOT_MATCH)) > 40


@pure
@given(st.text(alphabet="ab%_", max_size=8), st.text(alphabet="abAB\n", max_size=10))
def test_like_is_what_a_walk_through_both_says(pattern: str, text: str) -> None:
    """% stands for any text, _ for one character, and nothing else for anything but itself."""

    def like(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "%":
            return any(like(i + 1, k) for k in range(j, len(text) + 1))
        return j < len(text) and pattern[i] in ("_", text[j]) and like(i + 1, j + 1)

    assert matches("tags.x LIKE '%s'" % pattern, FakeRun(tags={"x": text})) == like(0, 0)


def test_like_with_many_signs_takes_no_time_to_the_power_of_them() -> None:
    """As one regular expression, this would not end within anybody's life."""
    assert not matches("tags.x LIKE '%s'" % ("%a" * 40 + "b"), FakeRun(tags={"x": "a" * 5000}))


def test_filter_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidTypeError, match="filter_string must be a str, not int"):
        compile_filter(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="order_by must be texts, not int"):
        compile_order([3])


# -- order ---------------------------------------------------------------------------------------------------------


def order(runs: List[FakeRun], *keys: str, limit: Optional[int] = None) -> str:
    ranking = Ranking(compile_order(list(keys)), limit)
    for run in runs:
        ranking.add(run)
    return " ".join(run.run_id for run in ranking.runs())


def timed(run_id: str, second: int, **metrics: float) -> FakeRun:
    return FakeRun(run_id, metadata={"start_time": "2026-11-23T07:15:%02dZ" % second}, metrics=metrics)


def test_missing_and_nan_come_last_in_both_directions() -> None:
    runs = [timed("nan", 1, m=math.nan), timed("none", 2), timed("low", 3, m=-math.inf), timed("high", 4, m=2.0)]
    assert order(runs, "metrics.m") == "low high none nan"
    assert order(runs, "metrics.m DESC") == "high low none nan"


def test_later_keys_decide_where_earlier_are_equal() -> None:
    runs = [timed("a", 1, m=1.0, n=1.0), timed("b", 2, m=1.0, n=2.0), timed("c", 3, m=0.0, n=3.0), timed("d", 0, m=1.0)]
    assert order(runs, "metrics.m DESC", "metrics.n DESC") == "b a d c"
    assert order(runs, "metrics.m", "metrics.n") == "c a b d"
    assert order(runs, "metrics.m", "run_id DESC") == "c d b a"


def test_ties_are_newest_first_then_by_id() -> None:
    """As a listing has them: of one time the larger id first, and those without a time last."""
    runs = [timed("a", 1), timed("b", 2), timed("c", 1), FakeRun("d"), timed("e", 2, m=1.0)]
    assert order(runs) == "e b c a d"
    assert order(runs, "metrics.m") == "e b c a d"
    assert order(runs, "start_time") == "c a e b d"


def test_values_of_several_kinds_have_an_order() -> None:
    """Numbers, then texts, then the rest; TRUE and FALSE are 1 and 0 here."""
    values: List[Any] = ["b", 3, [2], "a", 1.5, {"k": 1}, True, None]
    runs = [FakeRun(str(n), params={"p": value}) for n, value in enumerate(values)]
    assert order(runs, "params.p") == "6 4 1 3 0 2 5 7"
    assert order(runs, "params.p DESC") == "5 2 0 3 1 4 6 7"


def test_order_by_may_be_one_text_or_nothing() -> None:
    assert compile_order("metrics.loss DESC") == [(LOSS, True)]
    assert (compile_order(None), compile_order([])) == ([], [])


def test_a_limit_keeps_few_and_the_same_as_no_limit() -> None:
    """Whatever the order of arrival, no more than some hundreds are kept at any time for a limit of ten."""
    runs = [timed("%04d" % n, n % 60, m=float(n * 7919 % 3000)) for n in range(3000)]
    ranking = Ranking(compile_order("metrics.m"), 10)
    most = 0
    for run in runs:
        ranking.add(run)
        most = max(most, len(ranking._candidates))
    assert most <= Ranking.CUT_AT
    assert " ".join(run.run_id for run in ranking.runs()) == " ".join(order(runs, "metrics.m").split()[:10])


def test_a_run_that_was_given_twice_is_found_once() -> None:
    """A folder that is renamed away and back while its parent is listed may be given twice."""
    runs = [timed("a", 1, m=1.0), timed("b", 1, m=2.0), timed("a", 1, m=3.0)]
    assert order(runs, "metrics.m") == "a b"
    assert order(runs, "metrics.m", limit=2) == "a b"
