"""The instance's business data."""

from __future__ import annotations

from typing import Any

import pytest

from cch.definition.rules import FIRST, NEWEST
from cch.interpreter.context import MISSING, as_text, lookup, merge, selected


@pytest.mark.parametrize(
    ("base", "patch", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": {"z": 1}}}, {"a": {"y": {"w": 2}}}, {"a": {"x": 1, "y": {"z": 1, "w": 2}}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
    ],
)
def test_objects_merge_deeply_and_other_values_replace(
    base: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Null overwrites; neither side is changed."""
    before = repr((base, patch))

    assert merge(base, patch) == expected
    assert repr((base, patch)) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"), (True, "true"), (None, "null"), (MISSING, "null"), (1, "1"), (1.5, "1.5"), ("true", "true"),
        ({"a": "ä"}, '{"a":"ä"}'), ([1, 2], "[1,2]"),
    ],
)  # fmt: skip
def test_values_read_as_text(value: Any, text: str) -> None:
    """Text as it is, everything else in its JSON form."""
    assert as_text(value) == text


def test_private_keys_are_never_selected() -> None:
    """Whether all keys are sent, or they are asked for by name."""
    context = {"a": 1, "_secret": {"x": 1}, "b": {"c": 2}, "d.e": 3}

    assert selected(context, None) == {"a": 1, "b": {"c": 2}, "d.e": 3}
    assert selected(context, ["a", "b.c", "_secret", "_secret.x", "missing", "d\\.e"]) == {"a": 1, "b.c": 2, "d.e": 3}


def test_a_missing_key_reads_as_missing() -> None:
    """Not as null, which a key may have."""
    assert lookup({"a": None}, "a", NEWEST) is None
    assert lookup({"a": None}, "a.b", NEWEST) is MISSING


def test_a_capability_is_told_why_where_it_asks() -> None:
    """By names without an underscore, which a key of the business context wins; older instances know no such names."""
    context = {"_internalError": "it broke", "_errorNode": "N", "a": 1}

    assert selected(context, ["internalError", "errorNode"]) == {"internalError": "it broke", "errorNode": "N"}
    assert selected({**context, "internalError": "mine"}, ["internalError"]) == {"internalError": "mine"}
    assert selected(context, ["internalError"], FIRST) == {}
    assert selected({"a": 1}, ["internalError"]) == {}
