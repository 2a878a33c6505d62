"""What comes into a context: JSON that can be stored, with the same meaning, or a refusal that says why."""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict, UserDict, namedtuple
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.ledger.payloads import dump
from cch.values import UnstorableError, is_large, reason_text, storable, storable_object


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    YES = "yes"


Point = namedtuple("Point", "x y")  # noqa: PYI024 - what users return


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None), (True, True), (1, 1), (2**70, 2**70), (1.5, 1.5), ("ä", "ä"), ([1, [2]], [1, [2]]),
        ((1, 2), [1, 2]), (Point(1, 2), [1, 2]), (range(3), [0, 1, 2]),
        (Colour.RED, "red"), (Number.ONE, 1), (Word.YES, "yes"),
        (Decimal(5), 5), (Decimal("5.00"), 5), (Decimal("0.1"), 0.1), (Decimal("1E+3"), 1000),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"), (Decimal("1E-999999"), "1E-999999"),
        (Decimal("1E+999999"), "1E+999999"),
        (date(2026, 1, 31), "2026-01-31"), (time(10, 5), "10:05:00"),
        (datetime(2026, 1, 31, 10, tzinfo=UTC), "2026-01-31T10:00:00+00:00"),
        (datetime(2026, 1, 31), "2026-01-31T00:00:00"),  # noqa: DTZ001
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        ({7: 1, None: 2, True: 3, 1.5: 4, Word.YES: 5}, {"7": 1, "null": 2, "true": 3, "1.5": 4, "yes": 5}),
        (OrderedDict(b=1), {"b": 1}), (MappingProxyType({"a": (1,)}), {"a": [1]}), (UserDict(a=1), {"a": 1}),
    ],
)  # fmt: skip
def test_what_has_a_form_in_json_is_stored_in_it(value: Any, stored: Any) -> None:
    """Numbers, texts and dates of Python's as JSON writes them."""
    assert storable(value) == stored
    assert type(storable(value)) is type(stored)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "k is nan"), (float("inf"), "k is inf"), (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "Infinity"), ("\ud83d", "half of a surrogate pair, U+D83D"), (b"x", "bytes"),
        (bytearray(b"x"), "bytes"), ({1}, "a set"), (object(), "of type object"), (1j, "of type complex"),
        ({"a": [1, {"b": float("nan")}]}, "k.a[1].b is nan"), ({b"x": 1}, "a key of k is of type bytes"),
        ({"\ud800": 1}, "half of a surrogate pair"), ({1: 1, "1": 2}, "two keys that read '1'"),
    ],
)  # fmt: skip
def test_what_has_none_is_refused_with_its_place(value: Any, words: str) -> None:
    """It is the failure of the node, and not an exception when the node's outcome is committed."""
    with pytest.raises(UnstorableError) as caught:
        storable_object({"k": value}, "a#b")

    assert words in str(caught.value)
    assert str(caught.value).startswith("a#b returned what cannot be stored: ")


def test_a_number_that_python_does_not_write_is_refused() -> None:
    """It has a limit of 4,300 digits."""
    with pytest.raises(UnstorableError, match="more digits"):
        storable(10**5000)


def test_what_contains_itself_is_refused() -> None:
    """As anything else that is nested too deep."""
    value: list[Any] = []
    value.append(value)

    with pytest.raises(UnstorableError, match="nested more than 100"):
        storable(value)


@pytest.mark.parametrize(("value", "words"), [([1], "returned list"), ("x", "returned str"), (7, "returned int")])
def test_outputs_are_a_mapping(value: Any, words: str) -> None:
    """Nothing at all is an empty one."""
    assert storable_object(None, "a#b") == {}
    with pytest.raises(UnstorableError, match=words):
        storable_object(value, "a#b")


@pytest.mark.parametrize(
    ("value", "large"),
    [
        ({}, False),
        ("x" * 100_000, False),
        (list(range(4_000)), False),
        (list(range(10_000)), True),
        ({"a": ({"b": list(range(10_000))},)}, True),
        ([[[number]] for number in range(4_000)], True),
    ],
)
def test_a_large_value_is_told_by_its_parts(value: Any, large: bool) -> None:
    """Long text is one part, and quickly read."""
    assert is_large(value) is large


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.dates() | st.datetimes()
    | st.binary(max_size=3) | st.text(st.characters(categories=["Cs"]), max_size=2) | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.sets(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3) | st.integers() | st.booleans() | st.none(), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(value=VALUES)
def test_whatever_passes_can_be_stored_and_is_found_again(value: Any) -> None:
    """The ledger writes it without an exception, and reads the same."""
    try:
        found = storable(value)
    except UnstorableError:
        return

    assert json.loads(dump(found).encode("utf-8")) == found
    assert storable(found) == found


@given(text=st.text(st.characters()))
def test_every_reason_can_be_stored(text: str) -> None:
    """An exception's message may be anything."""
    assert reason_text(text + "\ud800").encode("utf-8")
    assert len(reason_text(text * 1000)) <= 4001
