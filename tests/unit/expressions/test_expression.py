"""Expressions: what they give, what they may not do, and which bounds they meet."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.expressions import bounds
from cch.expressions.expression import Expression, ExpressionError, FailedError, evaluated, expression_of, is_expression
from cch.values import MISSING

BIG = 2**60 + 1
CONTEXT: dict[str, Any] = {
    "value": 1200,
    "none": None,
    "big": BIG,
    "lines": [{"v": 1, "agency": None}, {"v": 2, "agency": "FDA"}, {"v": 3}],
    "parties": [{"role": "SHIPPER", "name": "A"}, {"role": "CONSIGNEE", "name": "B"}],
    "text": "a" * 200_000,
}


def of(text: str) -> Expression:
    found = expression_of(f"{{%{text}%}}")
    assert found is not None
    return found


def value(text: str, **names: Any) -> Any:
    return of(text).value(CONTEXT, names)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("value <= 2500 and $not(lines.agency)", False),
        ("value <= 2500 and $count(lines[agency]) < 2", True),
        ("parties[role='SHIPPER'].name", "A"),
        ("lines[v > 1].v", [2, 3]),
        ("lines[v > 2].v", 3),
        ("lines[v > 9].v", MISSING),
        ("gone", MISSING),
        ("none", None),
        ("none = null", True),
        ("$exists(gone)", False),
        ("$not(gone)", True),
        ("$not(lines.gone) and value > 1", True),
        ("$not(none)", True),
        ("$not(value)", False),
        ("$sum(lines.v)", 6),
        ("value / 2", 600),
        ("value / 7", 1200 / 7),
        ("-7 % 4", -3),
        ("5.5 % 2", 1.5),
        ("0.1 + 0.2", 0.1 + 0.2),
        ("big + 1", BIG + 1),
        ("-big", -BIG),
        ("big = 1152921504606846976", False),
        ("9223372036854775807 + 1", 2**63),
        ("$number('12345678901234567890')", 12345678901234567890),
        ("$string(big)", str(BIG)),
        ("'x' & big", f"x{BIG}"),
        ("$max([big, 1])", BIG),
        ("$floor(big)", BIG),
        ("$round(2.5)", 2),
        ("$round(2.345, 2)", 2.34),
        ("$power(2, 62)", 2**62),
        ("1 = true", False),
        ("[1, 2] = [1, 2]", True),
        ("[null] = [none]", True),
        ("{'a': 1, 'b': 2} = {'b': 2, 'a': 1.0}", True),
        ("2 in [1, 2]", True),
        ("$distinct([1, 1.0, '1', true, {'a': 1}, {'a': 1}])", [1, "1", True, {"a": 1}]),
        ("[1..4]", [1, 2, 3, 4]),
        ("lines#$i.{'i': $i, 'v': v}", [{"i": 0, "v": 1}, {"i": 1, "v": 2}, {"i": 2, "v": 3}]),
        ("$map(lines, function($l) { $l.v * 2 })", [2, 4, 6]),
        ("$fromMillis(0)", "1970-01-01T00:00:00.000Z"),
        ("$contains('Ab-12', /^[a-z]+-\\d+$/i)", True),
        ("$replace('a1b2', /[0-9]/, '#')", "a#b#"),
        ("$contains(text & 'b', /(a+)+$/)", False),
        ("{'kept': value, 'left out': gone}", {"kept": 1200}),
    ],
)
def test_what_expressions_give(text: str, wanted: Any) -> None:
    """JSONata's values, with whole numbers exact to 64 bits; true and 1 differ."""
    found = value(text)

    assert found is wanted if wanted is MISSING else json.dumps(found) == json.dumps(wanted)


def test_names_have_the_values_that_are_given() -> None:
    """One without a value gives nothing; null is null."""
    assert value("$reply.score > 3 and $item.hs = '84'", reply={"score": 4}, item={"hs": "84"}) is True
    assert value("$error.code") is MISSING
    assert value("$exists($error)") is False
    assert value("$item", item=None) is None
    assert value("$now", now="2026-01-05T08:00:00Z") == "2026-01-05T08:00:00Z"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("value <", "Unexpected end"),
        ("(value", "Expected )"),
        ("$eval('1')", "write the expression itself"),
        ("$random()", "a replay has to come to the same value"),
        ("$shuffle(lines)", "the same order"),
        ("$now()", "without parentheses"),
        ("($f := $millis; $f())", "$toMillis($now)"),
        ("$error('no')", "$assert"),
        ("|lines|{'v': 1}|", "$merge"),
        ("lines@$l.parties@$p.{'l': $l}", "multiplies"),
        ("$contains(text, /(?=a)/)", "regular expression"),
        ("$contains(text, /(a)\\1/)", "regular expression"),
        ("$valeu", "there is no $valeu"),
        ("$summ(lines.v)", "did you mean $sum?"),
        ("value + 99999999999999999999", "beyond"),
        ("(" * 2000 + "1" + ")" * 1999, "deep"),
        ("1" + "+1" * 3000, "characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_known_before_any_run(text: str, words: str) -> None:
    """With the reason, and what to do instead."""
    with pytest.raises(ExpressionError) as raised:
        of(text).check()

    assert words in str(raised.value)


def test_a_name_without_a_value_at_its_place_is_refused() -> None:
    """$reply is for outputs only; the position is where it stands."""
    with pytest.raises(ExpressionError, match=r"\$reply has no value here") as raised:
        of(" value + $reply.score").check(("now",))

    assert raised.value.position == len(" value + $reply")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "value + 'a'",
            'at character 7: The right side of the + operator must evaluate to a number; it met 1200 + "a"',
        ),
        ("value / 0", "a division by zero; it met 1200 / 0"),
        ("value < 'a'", 'it met 1200 < "a"'),
        ("$number('x')", "'x' is no number; it met $number(\"x\")"),
        ("$sum(parties.name)", 'it met $sum(["A", "B"])'),
        ("$assert(value < 5, 'too dear')", "too dear"),
        ("big * big", "more than 64 bits"),
        ("1e308 * 10", "no finite number"),
        ("$power(2, 64)", "more than 64 bits"),
        ("$power(0, -1)", "no finite number"),
        ("function($x) { $x }", "a function, which is no value"),
        ("[$sum]", "a function, which is no value"),
        ("$toMillis('5.3.2026', '[D].[M].[Y]')", "ISO 8601 only"),
    ],
)
def test_a_failure_says_where_and_what_it_met(text: str, words: str) -> None:
    """So that a person sees the cause without running anything again."""
    with pytest.raises(FailedError) as raised:
        value(text)

    assert words in str(raised.value)
    assert text[:20] in str(raised.value)


HOSTILE = {
    "a loop without end": "($f := function($n) { $f($n + 1) }; $f(1))",
    "recursion without end": "($f := function($n) { 1 + $f($n) }; $f(1))",
    "exponential recursion": "($f := function($n) { $n < 2 ? $n : $f($n - 1) + $f($n - 2) }; $f(40))",
    "a long range": "[1..10000000]",
    "many ranges": "[1..9999].[1..9999]",
    "a long padding": "$pad('a', 1000000000000)",
    "a long padding to the left": "$pad('a', -1000000000000)",
    "a text that doubles": "$reduce([1..60], function($a, $b) { $a & $a }, 'aaa')",
    "a list that doubles": "$reduce([1..60], function($a, $b) { $append($a, $a) }, [1])",
    "a tree that doubles": "$reduce([1..60], function($a, $b) { [$a, $a] }, [1])",
    "an object that doubles": "$reduce([1..60], function($a, $b) { {'l': $a, 'r': $a} }, 1)",
    "a text of a tree": "$string($reduce([1..60], function($a, $b) { {'l': $a, 'r': $a} }, 1))",
    "a comparison of trees": "($t := $reduce([1..60], function($a, $b) { {'l': $a, 'r': $a} }, 1); $t = $t)",
    "a replacement that grows": "$replace(text, 'a', text)",
    "a replacement by matches that grows": "$replace(text, /a/, text)",
    "a replacement by groups that grows": "$replace(text, /a*/, '$0$0$0$0$0$0$0$0')",
    "a joint that grows": "$join($split($substring(text, 0, 20000), ''), text)",
    "a large power": "$power(3, 100000000)",
    "a deep value": "$reduce([1..200], function($a, $b) { [[$a]] }, 1)",
    "a deep value by a loop": "($f := function($n, $x) { $n = 0 ? $x : $f($n - 1, [[$x]]) }; $f(5000, 1))",
    "everything, often": "$map([1..10000], function($i) { $string($) })",
    "a pair of each": "lines.($l := $; $map([1..10000], function($i) { $map([1..10000], function($j) { $l }) }))",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_too_much_meets_a_bound(text: str) -> None:
    """By counting, at the same point on every machine; memory stays small, because sizes are known beforehand."""
    reasons = []
    for _ in range(2):
        with pytest.raises(FailedError) as raised:
            value(text)
        reasons.append(str(raised.value))

    first, second = reasons
    assert first == second
    assert any(word in first for word in ("more than", "deep", "characters"))


def test_bounds_are_met_alike_in_any_thread() -> None:
    """Evaluations share nothing: two threads come to the same as one."""
    text, found = "$sum($map([1..2000], function($i) { $i * 2 }))", []

    threads = [threading.Thread(target=lambda: found.append(value(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [4_002_000] * 4


def test_loading_the_library_leaves_the_process_as_it_was() -> None:
    """It would raise the limit of recursion for everybody."""
    value("1")

    assert sys.getrecursionlimit() < 10_000


def test_the_context_is_never_changed() -> None:
    """What an expression gives is a copy."""
    before = json.dumps(CONTEXT)

    found = value("lines")
    found[0]["v"] = "changed"

    assert json.dumps(CONTEXT) == before


@pytest.mark.parametrize(
    ("text", "paths", "whole"),
    [
        ("value <= 2500 and lines[agency].v > $min(x.y)", {("value",), ("lines", "v"), ("x", "y")}, False),
        ("($x := a.b; $x.c)", {("a", "b")}, False),
        ("lines.{'x': v, 'z': $$.q}", {("lines",), ("q",)}, False),
        ("$map(lines, function($l) { $l.v + other })", {("lines",), ("other",)}, False),
        ("$keys($)", set(), True),
        ("$$", set(), True),
        ("**.v", set(), True),
        ("$.a.b", {("a", "b")}, False),
        ("$reply.foo", set(), False),
        ("lines^(>v).v", {("lines",)}, False),
        ("`a key`.`b.c`", {("a key", "b.c")}, False),
    ],
)
def test_what_an_expression_reads(text: str, paths: set[tuple[str, ...]], whole: bool) -> None:
    """Keys of the context only; what comes after a condition belongs to what was matched."""
    expression = of(text)

    assert (set(expression.reads), expression.reads_anything) == (paths, whole)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("$reply.a.b + $reply.c", ("a", "c")), ("$lookup($reply, 'a')", None), ("value", ()), ("$reply", None)],
)
def test_what_an_expression_reads_of_a_reply(text: str, keys: tuple[str, ...] | None) -> None:
    """None: all of it."""
    assert of(text).of_name("reply") == keys


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{% a %}", True),
        (" {%a%} ", True),
        ("{%\n a\n %}", True),
        ("a {% b %}", False),
        ("{{ a }}", False),
        ("", False),
    ],
)
def test_which_texts_are_expressions(text: str, is_one: bool) -> None:
    """The whole text has to be one."""
    assert is_expression(text) is is_one
    assert (expression_of(text) is not None) is is_one


def test_a_text_that_begins_like_one_is_refused() -> None:
    """Rather than taken for a text."""
    with pytest.raises(ExpressionError, match="does not end with"):
        expression_of("{% value <= 3")


def test_values_around_expressions() -> None:
    """Nested; what gives nothing is left out."""
    template = {"a": "{% value %}", "b": ["{% gone %}", "{% none %}", "text"], "c": {"d": "{% gone %}"}, "e": 1}

    assert evaluated(template, CONTEXT, {}) == {"a": 1200, "b": [None, "text"], "c": {}, "e": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(inside=JSON)
def test_a_value_goes_through_unchanged(inside: Any) -> None:
    """What a key of the context has is what its expression gives."""
    found = of("$lookup($$, 'k')").value({"k": inside}, {})

    assert found == inside
    assert json.dumps(of("{'v': $$.k}").value({"k": {"x": inside}}, {})) == json.dumps({"v": {"x": inside}})


@given(left=st.integers(-(2**63), 2**63), right=st.integers(-(2**63), 2**63), operator=st.sampled_from("+-*"))
def test_whole_numbers_are_exact_or_refused(left: int, right: int, operator: str) -> None:
    """Never rounded."""
    exact = {"+": left + right, "-": left - right, "*": left * right}[operator]
    expression = of(f"a {operator} b")

    if -(2**63) <= exact < 2**64:
        assert expression.value({"a": left, "b": right}, {}) == exact
    else:
        with pytest.raises(FailedError, match="64 bits"):
            expression.value({"a": left, "b": right}, {})


def test_long_lists_of_real_life_are_within_the_bounds() -> None:
    """Ten thousand lines are filtered and summed."""
    lines = [{"v": number, "agency": "FDA" if number % 2 else None} for number in range(10_000)]

    assert of("$sum(lines[agency].v)").value({"lines": lines}, {}) == 25_000_000
    assert bounds.MAX_STEPS == 200_000
