"""DynamoDB's expressions as the quick stand-in reads them: what the program writes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.aws.tables import _Expression
from cch.ledger.store import Absent, Below, Change, Equals, When
from cch.testing.quick_aws import expressions
from cch.testing.quick_aws.expressions import KeyCondition, Placeholders
from cch.testing.quick_aws.protocol import AwsError

NAMES = st.sampled_from(["PK", "status", "open_fate", "n"])
VALUES = st.one_of(st.integers(-5, 10**15), st.text(max_size=5))
CLAUSES = st.one_of(st.builds(Absent, NAMES), st.builds(Equals, NAMES, VALUES), st.builds(Below, NAMES, VALUES))
ALTERNATIVES = st.lists(st.lists(CLAUSES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
ATTRIBUTES = st.sampled_from("abcdef")


def placeholders(values: dict[str, Any] | None = None, **names: str) -> Placeholders:
    named = {f"#{name}": attribute for name, attribute in names.items()}
    return Placeholders({"ExpressionAttributeNames": named, "ExpressionAttributeValues": values or {}})


@given(ALTERNATIVES)
def test_a_condition_is_read_as_it_was_written(alternatives: Any) -> None:
    """Whatever the ledger may ask of a table."""
    when, written = When(alternatives), _Expression()
    text = written.condition(when)
    found = Placeholders(written.arguments())

    assert expressions.condition(text, found) == when
    found.refuse_unused()


@given(
    sets=st.dictionaries(ATTRIBUTES, st.one_of(VALUES, st.frozensets(st.text(max_size=3), min_size=1))),
    rest=st.lists(st.sampled_from("ghijkl"), unique=True, min_size=1, max_size=6),
    cut=st.integers(0, 6),
)
def test_a_change_is_read_as_it_was_written(sets: dict[str, Any], rest: list[str], cut: int) -> None:
    """What is set, removed and added, in any number."""
    change, written = Change(set=sets, remove=rest[:cut], add=dict.fromkeys(rest[cut:], "member")), _Expression()
    text = written.change(change)
    found = Placeholders(written.arguments())

    read = expressions.change(text, found)

    assert (read.set, list(read.remove), read.add) == (change.set, list(change.remove), change.add)
    found.refuse_unused()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PK = :a", KeyCondition("PK", "x")),
        ("PK = :a AND begins_with(SK, :b)", KeyCondition("PK", "x", "SK", prefix="y")),
        ("PK=:a and begins_with ( #s , :b )", KeyCondition("PK", "x", "SK", prefix="y")),
        ("#p = :a AND #s BETWEEN :b AND :c", KeyCondition("PK", "x", "SK", between=("y", 7))),
    ],
)
def test_a_key_condition_is_read(text: str, expected: KeyCondition) -> None:
    """Of a table or of an index, with names and without."""
    values = {":a": {"S": "x"}, ":b": {"S": "y"}, ":c": {"N": "7"}}

    assert expressions.key_condition(text, placeholders(values, p="PK", s="SK")) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a = b",
        "a > :v",
        "a <= :v",
        "a <> :v",
        "NOT a = :v",
        "attribute_exists(a)",
        "attribute_not_exists(a",
        "attribute_not_exists(:v)",
        "size(a) = :v",
        "a = :v AND",
        "a = :v b = :v",
        "(a = :v) AND (b = :v)",
        "(a = :v OR b = :v)",
        "((a = :v))",
        "a.b = :v",
        "a[0] = :v",
        "a IN (:v)",
        ": = :v",
    ],
)
def test_a_condition_of_another_grammar_is_refused(text: str) -> None:
    """DynamoDB knows more; what is not known here must not be taken for something else."""
    with pytest.raises(AwsError, match="ConditionExpression: the quick stand-in does not read it") as error:
        expressions.condition(text, placeholders({":v": {"S": "x"}}))

    assert (error.value.code, error.value.status) == ("ValidationException", 400)


@pytest.mark.parametrize(
    "text",
    ["", "a = :v", "SET", "SET a", "SET a = b", "SET a = a + :v", "SET a = if_not_exists(a, :v)", "SET a = :v,",
     "SET a = :v SET b = :v", "DELETE a :v", "REMOVE", "REMOVE a[0]", "ADD a", "SET a = :v REMOVE a"],
)  # fmt: skip
def test_an_update_of_another_grammar_is_refused(text: str) -> None:
    """Also one that says two things of an attribute."""
    with pytest.raises(AwsError, match="Invalid UpdateExpression") as error:
        expressions.change(text, placeholders({":v": {"S": "x"}}))

    assert error.value.code == "ValidationException"


@pytest.mark.parametrize("added", [{"N": "1"}, {"S": "x"}, {"SS": ["x", "y"]}])
def test_only_one_member_is_added_at_a_time(added: dict[str, Any]) -> None:
    """Numbers are not counted up."""
    with pytest.raises(AwsError, match="adds one text to a set"):
        expressions.change("ADD a :v", placeholders({":v": added}))


@pytest.mark.parametrize(
    "text", ["PK < :v", "PK = :v AND SK = :v", "PK = :v AND SK > :v", "PK = :v OR SK = :v", "begins_with(PK, :v)"]
)
def test_a_key_condition_of_another_grammar_is_refused(text: str) -> None:
    """An equal sort key too: the program gets such an item."""
    with pytest.raises(AwsError, match="Invalid KeyConditionExpression"):
        expressions.key_condition(text, placeholders({":v": {"S": "x"}}))


def test_names_and_values_have_to_be_there_and_to_be_used() -> None:
    """As DynamoDB holds it: one that is left over is a mistake in the expression."""
    with pytest.raises(AwsError, match="attribute name is not defined: #gone"):
        expressions.condition("attribute_not_exists(#gone)", placeholders())
    with pytest.raises(AwsError, match="attribute value is not defined: :gone"):
        expressions.condition("a = :gone", placeholders())
    left = placeholders({":v": {"S": "x"}, ":w": {"S": "x"}}, n="a")
    expressions.condition("a = :v", left)
    with pytest.raises(AwsError, match="unused in expressions: keys: {#n, :w}"):
        left.refuse_unused()


@pytest.mark.parametrize(
    "typed",
    [{"M": {}}, {"L": []}, {"B": "eA=="}, {"NULL": True}, {"NS": ["1"]}, {"N": "1.5"}, {"N": "x"}, {"N": 1}, {"S": 1},
     {"SS": []}, {"SS": ["a", "a"]}, {"BOOL": "true"}, {"S": "a", "N": "1"}, {}, "text", None],
)  # fmt: skip
def test_values_that_the_ledger_does_not_have_are_refused(typed: Any) -> None:
    """Rather than kept as something else."""
    with pytest.raises(AwsError) as error:
        expressions.condition("a = :v", placeholders({":v": typed}))

    assert error.value.code == "ValidationException"
